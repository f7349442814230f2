//! Settings of the authz service.

use std::collections::BTreeMap;

use ids::Region;
use serde::Deserialize;
use settings::sections::{
    Audit, Certificate, Connections, Consistency, Database, Listen, LogKeys, Nats, PeerRegion, Public, Rates,
    Telemetry, Tls,
};
use utoipa::ToSchema;

/// All settings of the service.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The region that this service is part of.
    #[schema(value_type = String)]
    pub region: Region,
    /// Where the service listens.
    pub listen: Listen,
    /// This service's certificate on internal connections.
    pub tls: Tls,
    /// Presented on `listen.api`.
    pub api_tls: Certificate,
    /// The service's own database.
    pub database: Database,
    /// The NATS server of the region.
    pub nats: Nats,
    /// Services of this region that this one calls.
    pub peers: Peers,
    /// The key of consistency tokens, the same in every region.
    pub consistency: Consistency,
    /// What this service's log is signed with.
    pub log: LogKeys,
    /// The region's public addresses.
    pub public: Public,
    /// The other regions, by name; none for a region that is alone.
    #[serde(default)]
    #[schema(value_type = BTreeMap<String, PeerRegion>)]
    pub regions: BTreeMap<Region, PeerRegion>,
    /// The service's audit log.
    #[serde(default)]
    pub audit: Audit,
    /// How much anybody may ask.
    #[serde(default)]
    pub rates: Rates,
    /// What connections to each of the service's ports may cost.
    #[serde(default)]
    pub connections: Connections,
    /// Logs and traces.
    #[serde(default)]
    pub telemetry: Telemetry,
}

/// Services that this one calls.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Peers {
    /// Internal address of identity, as in `https://127.0.0.1:9444`.
    pub identity: String,
}
