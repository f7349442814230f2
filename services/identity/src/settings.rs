//! Settings of the identity service.

use std::{collections::BTreeMap, net::SocketAddr, num::NonZeroUsize, path::PathBuf};

use anyhow::Context as _;
use ids::Region;
use serde::Deserialize;
use settings::sections::{
    Audit, Certificate, Connections, Consistency, Database, Listen, LogKeys, Nats, PeerRegion, Public, Rates,
    Secrets, Telemetry, Tls,
};
use utoipa::ToSchema;

use crate::{console::origins::Origins, mail::Server, single_sign_on};

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
    /// The key that seals the private signing keys in the database.
    pub secrets: Secrets,
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
    /// The mail server that takes mail to people. Without this section nobody can be invited, nor get a new password.
    pub mail: Option<Mail>,
    /// The web console.
    #[serde(default)]
    pub console: Console,
    /// Sign-on by identity providers.
    #[serde(default)]
    pub single_sign_on: SingleSignOn,
    /// The service's audit log.
    #[serde(default)]
    pub audit: Audit,
    /// How much anybody may ask.
    #[serde(default)]
    pub rates: Rates,
    /// How much one principal may have.
    #[serde(default)]
    pub limits: Limits,
    /// What connections to each of the service's ports may cost.
    #[serde(default)]
    pub connections: Connections,
    /// Logs and traces.
    #[serde(default)]
    pub telemetry: Telemetry,
}

impl Settings {
    /// Checks what only this service knows of. An error names the setting that is wrong.
    pub fn check(&self) -> anyhow::Result<()> {
        Origins::new(&self.console.origins)?;
        self.single_sign_on()?;
        self.mail.as_ref().map(Server::new).transpose().map(drop)
    }
}

impl Settings {
    /// What signs people on by identity providers, in all regions.
    pub fn single_sign_on(&self) -> anyhow::Result<single_sign_on::SingleSignOn> {
        let SingleSignOn { ca, private_addresses, .. } = &self.single_sign_on;
        let others = self.regions.iter().map(|(region, peer)| (region.clone(), peer.public.api.clone()));
        let publics = others.chain([(self.region.clone(), self.public.api.clone())]).collect();
        let made = single_sign_on::SingleSignOn::new(ca.as_deref(), *private_addresses, publics);
        made.context("single_sign_on.ca")
    }
}

/// How identity providers of organizations are reached, and how it is found out whether a domain is an organization's.
#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SingleSignOn {
    /// PEM file with the CA that identity providers' certificates are verified by, instead of the public ones.
    #[schema(value_type = Option<String>)]
    pub ca: Option<PathBuf>,
    /// Whether identity providers may have addresses that are not public. Leave it off where organizations are not to reach what is inside
    /// the network.
    #[schema(default = false)]
    pub private_addresses: bool,
    /// Name servers that are asked whether a domain is an organization's, as in `192.0.2.53:53`; those of the system if there are none.
    #[schema(value_type = Vec<String>, default = json!([]))]
    pub name_servers: Vec<SocketAddr>,
}

/// How mail is sent, by SMTP over TLS.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Mail {
    /// Name or address of the mail server. Its certificate must name it.
    pub server: String,
    /// Port of the mail server; 465 for `implicit` and 587 for `starttls` unless given.
    pub port: Option<u16>,
    /// How the connection is encrypted: `implicit` from its first byte on, `starttls` after a greeting. Nothing is sent without.
    #[serde(default)]
    #[schema(value_type = String, default = "implicit")]
    pub tls: MailTls,
    /// PEM file with the CA that signs the mail server's certificate; those that browsers know unless given.
    #[schema(value_type = Option<String>)]
    pub ca: Option<PathBuf>,
    /// Name to sign on to the mail server with; none for one that asks for no password.
    pub user: Option<String>,
    /// File with the password of `mail.user`.
    #[schema(value_type = Option<String>)]
    pub password_file: Option<PathBuf>,
    /// Who mail is from, as in `Landbridge <landbridge@example.com>`.
    pub from: String,
    /// Where the links in mail lead: the address of the web console, as in `https://console.example.com`.
    pub link_base_url: String,
}

/// How a connection to the mail server is encrypted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MailTls {
    /// From its first byte on.
    #[default]
    Implicit,
    /// After a greeting in clear. A server that cannot do it gets nothing.
    StartTls,
}

/// The web console, where it is served from another address than the API.
#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Console {
    /// Where pages of the console come from, as in `https://console.example.com`: browsers let them, and no others, use the API, and
    /// sessions are kept in cookies for them only.
    #[serde(default)]
    #[schema(default = json!([]))]
    pub origins: Vec<String>,
}

/// How much one principal may have. The platform operator can set more limits for single organizations.
#[derive(Clone, Copy, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Most access tokens of one person or system account that are neither revoked nor expired.
    #[schema(value_type = u64, default = 10)]
    pub access_tokens_max: NonZeroUsize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { access_tokens_max: const { NonZeroUsize::new(10).expect("not zero") } }
    }
}

/// Services that this one calls.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Peers {
    /// Internal address of authz, as in `https://127.0.0.1:9444`.
    pub authz: String,
}
