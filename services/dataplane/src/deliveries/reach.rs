//! Who may be called, and how: the same addresses, names and certificates as for upstreams.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    sync::{Arc, OnceLock},
};

use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client::TlsStream};

use crate::{
    balancing::{Hosts, NoAnswer, Prober},
    view::TlsProfile,
};

/// See the module.
pub struct Reach {
    /// Whether something may be sent to an address.
    pub allows: Box<dyn Fn(SocketAddr) -> bool + Send + Sync>,
    /// Knows the addresses of names.
    pub hosts: Hosts,
    /// How TLS is spoken.
    pub tls: Arc<ClientConfig>,
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

impl Reach {
    /// As upstreams are reached that say nothing of TLS.
    pub fn as_upstreams(prober: Arc<Prober>, hosts: Hosts) -> Result<Self, rustls::Error> {
        let tls = (prober.tls)(&TlsProfile::usual(true))?;
        Ok(Self { allows: Box::new(move |address| (prober.allows)(address)), hosts, tls })
    }

    /// What is known of it; an error before the listeners are open.
    pub fn known(reach: &OnceLock<Reach>) -> Result<&Reach, Unreachable> {
        reach.get().ok_or(Unreachable::NotYet)
    }

    /// The addresses that `host` has, and that may be called at `port`. Not empty.
    pub async fn addresses(&self, host: &str, port: u16) -> Result<Vec<SocketAddr>, Unreachable> {
        let host = host.trim_matches(['[', ']']);
        let ips = match host.parse::<IpAddr>() {
            Ok(ip) => vec![ip],
            Err(_) => self.hosts.addresses(host).await?,
        };
        let all = ips.into_iter().map(|ip| SocketAddr::new(ip, port));
        let allowed: Vec<SocketAddr> = all.filter(|address| (self.allows)(*address)).collect();
        if allowed.is_empty() { Err(Unreachable::Forbidden) } else { Ok(allowed) }
    }

    /// A connection to the first of the addresses that takes one.
    pub async fn connect(&self, host: &str, port: u16) -> Result<TcpStream, Unreachable> {
        let addresses = self.addresses(host, port).await?;
        let stream = TcpStream::connect(addresses.as_slice()).await?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }

    /// TLS over `stream`, with whoever is `name`.
    pub async fn secure(&self, stream: TcpStream, name: &str) -> Result<TlsStream<TcpStream>, Unreachable> {
        let name = ServerName::try_from(name.trim_matches(['[', ']']).to_owned())
            .map_err(|_| Unreachable::NoServerName)?;
        // What is spoken is not HTTP.
        let mut config = ClientConfig::clone(&self.tls);
        config.alpn_protocols.clear();
        Ok(TlsConnector::from(Arc::new(config)).connect(name, stream).await?)
    }
}
