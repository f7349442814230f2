//! What a port is opened with.

use std::sync::Arc;

use rustls::ServerConfig;
use settings::AddressRanges;

use crate::Limits;

/// What a port is opened with.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// The port's name in metrics and logs, as in `api`.
    pub name: &'static str,
    /// What its connections may cost.
    pub limits: Limits,
    /// How TLS is spoken; `None`: not at all.
    pub tls: Option<Arc<ServerConfig>>,
    /// Who may stand in front of it.
    pub balancers: Balancers,
}

/// Load balancers in front of a port. They stand for many clients, so their connections are not counted against their address.
#[derive(Clone, Debug, Default)]
pub struct Balancers {
    /// Where they are.
    pub addresses: AddressRanges,
    /// Whether their connections begin with a header of the PROXY protocol. Those are refused without one.
    pub proxy_protocol: bool,
}
