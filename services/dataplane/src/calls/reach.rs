//! Addresses that may be called, and connections to them.

use std::{
    fmt, io,
    net::{IpAddr, SocketAddr},
    sync::{Arc, OnceLock},
};

use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client::TlsStream};

use crate::balancing::{Hosts, NoAnswer, Prober};

/// Calls others. Before the listeners are open, nobody is called: it is not known yet which addresses are the gateway's own. Cheap to clone.
#[derive(Clone, Default)]
pub struct Calls(Arc<OnceLock<Reach>>);

struct Reach {
    prober: Arc<Prober>,
    hosts: Hosts,
    verified: Arc<ClientConfig>,
    unverified: Arc<ClientConfig>,
}

/// With whom TLS is spoken.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TlsWith {
    /// The name that the other end's certificate is for.
    pub name: String,
    /// Whether the certificate is verified, by the authorities that upstreams are verified by.
    pub verify: bool,
}

/// Why nobody is reached.
#[derive(Debug, thiserror::Error)]
pub enum Unreachable {
    /// The listeners are not open yet, so nobody knows which addresses are the gateway's own.
    #[error("the gateway is not ready to call anybody yet")]
    NotYet,
    /// The name cannot be resolved.
    #[error("the name has no address: {0}")]
    NoAddress(#[from] NoAnswer),
    /// It is the gateway's own, or link-local.
    #[error("no upstream may have the address, so nothing else may: it is this gateway's own, or link-local")]
    Forbidden,
    /// It takes no connection.
    #[error("cannot connect: {0}")]
    Refused(#[from] io::Error),
    /// It is no name that a certificate could have.
    #[error("the name is none that a certificate can have")]
    NoServerName,
}

impl Calls {
    /// Allows calls: of the addresses that `prober` allows, by the names that `hosts` knows, with the TLS of upstreams that say nothing of it.
    pub fn open(&self, prober: Arc<Prober>, hosts: Hosts) -> Result<(), rustls::Error> {
        let (verified, unverified) = (prober.usual_tls(true)?, prober.usual_tls(false)?);
        let reach = Reach { prober, hosts, verified, unverified };
        // It is said once, by whoever opens the listeners.
        let _ = self.0.set(reach);
        Ok(())
    }

    fn reach(&self) -> Result<&Reach, Unreachable> {
        self.0.get().ok_or(Unreachable::NotYet)
    }

    /// The addresses that `host` has, and that may be called at `port`. Not empty.
    pub async fn addresses(&self, host: &str, port: u16) -> Result<Vec<SocketAddr>, Unreachable> {
        let reach = self.reach()?;
        let host = host.trim_matches(['[', ']']);
        let ips = match host.parse::<IpAddr>() {
            Ok(ip) => vec![ip],
            Err(_) => reach.hosts.addresses(host).await?,
        };
        let all = ips.into_iter().map(|ip| SocketAddr::new(ip, port));
        let allowed: Vec<SocketAddr> = all.filter(|address| (reach.prober.allows)(*address)).collect();
        if allowed.is_empty() { Err(Unreachable::Forbidden) } else { Ok(allowed) }
    }

    /// A connection to the first of the addresses that takes one.
    pub async fn connect(&self, host: &str, port: u16) -> Result<TcpStream, Unreachable> {
        let addresses = self.addresses(host, port).await?;
        let stream = TcpStream::connect(addresses.as_slice()).await?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }

    /// TLS over `stream`, for what is not HTTP.
    pub async fn secure(
        &self,
        stream: TcpStream,
        with: &TlsWith,
    ) -> Result<TlsStream<TcpStream>, Unreachable> {
        let name = ServerName::try_from(with.name.trim_matches(['[', ']']).to_owned())
            .map_err(|_| Unreachable::NoServerName)?;
        let mut config = ClientConfig::clone(self.tls(with.verify)?);
        config.alpn_protocols.clear();
        Ok(TlsConnector::from(Arc::new(config)).connect(name, stream).await?)
    }

    /// How TLS is spoken, for HTTP.
    pub(super) fn tls(&self, verify: bool) -> Result<&Arc<ClientConfig>, Unreachable> {
        let reach = self.reach()?;
        Ok(if verify { &reach.verified } else { &reach.unverified })
    }
}

impl fmt::Debug for Calls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Calls").field("may_call", &self.0.get().is_some()).finish()
    }
}
