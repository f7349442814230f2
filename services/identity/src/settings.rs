//! Settings of the identity service.

use std::collections::BTreeMap;

use ids::Region;
use serde::Deserialize;
use settings::sections::{
    Certificate, Consistency, Database, Listen, Nats, PeerRegion, Public, Secrets, Telemetry, Tls,
};
use utoipa::ToSchema;

/// All settings of the service.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The region that this service is part of.
    #[schema(value_type = String)]
    pub region: Region,
    pub listen: Listen,
    pub tls: Tls,
    /// Presented on `listen.api`.
    pub api_tls: Certificate,
    pub database: Database,
    pub nats: Nats,
    pub peers: Peers,
    pub secrets: Secrets,
    pub consistency: Consistency,
    pub public: Public,
    /// The other regions, by name; none for a region that is alone.
    #[serde(default)]
    #[schema(value_type = BTreeMap<String, PeerRegion>)]
    pub regions: BTreeMap<Region, PeerRegion>,
    #[serde(default)]
    pub telemetry: Telemetry,
}

/// Services that this one calls.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Peers {
    /// Internal address of authz, as in `https://127.0.0.1:9444`.
    pub authz: String,
}
