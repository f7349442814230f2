//! What a port is opened with.

use std::{fmt, sync::Arc};

use rustls::{ServerConfig, server::ClientHello};
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
    pub tls: Option<Tls>,
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

/// How TLS is spoken on a port.
#[derive(Clone)]
pub enum Tls {
    /// With everybody alike. A certificate that a client shows is verified by it, and its connections are counted by that.
    Alike(Arc<ServerConfig>),
    /// As is chosen for each client. What its certificate is worth is left to whoever serves the connection.
    Chosen(Arc<Choose>),
}

/// Chooses how TLS is spoken with a client.
pub type Choose = dyn Fn(&ClientHello<'_>) -> Choice + Send + Sync;

/// How TLS is spoken with a client.
#[derive(Clone, Debug)]
pub struct Choice {
    /// In which way.
    pub config: Arc<ServerConfig>,
    /// Whether it asks for a certificate.
    pub asks: bool,
}

impl From<Arc<ServerConfig>> for Tls {
    fn from(config: Arc<ServerConfig>) -> Self {
        Self::Alike(config)
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Alike(_) => "Alike(…)",
            Self::Chosen(_) => "Chosen(…)",
        })
    }
}
