//! Opens connections to upstreams: resolves the name, leaves out the addresses that no upstream may have, connects to the others in their
//! order, and opens TLS and HTTP.

use std::{future::ready, io, net::SocketAddr, sync::Arc, time::Duration};

use http::{Uri, uri::Scheme};
use hyper::client::conn::http2;
use hyper_util::{
    client::legacy::connect::{HttpConnector, dns::Name},
    rt::{TokioIo, TokioTimer},
};
use listener::HEAD_MAX;
use tokio::{net::TcpStream, time::timeout};
use tokio_rustls::{TlsConnector, client::TlsStream};
use tokio_util::either::Either;
use tower::Service as _;

use super::{Connection, Forbidden, Guard, Http1, Tls, reads_on::ReadsOn, tls::HTTP_2};
use crate::{
    balancing::Hosts,
    proxy::local::LocalExecutor,
    view::{Destination, Versions},
};

/// Pause before the TCP keep-alive of an upstream connection.
const TCP_KEEPALIVE: Duration = Duration::from_secs(60);

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// No upstream may have this address.
    #[error(transparent)]
    Forbidden(#[from] Forbidden),
    /// It took too long.
    #[error("no connection in time")]
    Late,
    /// The name has no address, or none of the addresses takes connections.
    #[error("cannot connect: {0}")]
    Refused(Box<dyn std::error::Error + Send + Sync>),
    /// The upstream is not who it should be, or speaks no TLS.
    #[error("TLS: {0}")]
    Tls(io::Error),
    /// Only HTTP/2 will do.
    #[error("the upstream does not offer HTTP/2")]
    NoHttp2,
    /// The upstream does not begin to speak HTTP/2, on which TLS has agreed.
    #[error("HTTP: {0}")]
    Http(#[from] hyper::Error),
}

/// Opens connections.
pub struct Dialler {
    /// Decides which addresses may be connected to.
    pub guard: Guard,
    /// How TLS is spoken.
    pub tls: Arc<Tls>,
    /// Knows the addresses of names.
    pub hosts: Hosts,
}

impl Dialler {
    /// Opens a connection within `limit`, TLS included.
    pub async fn connect(&self, to: &Destination, limit: Duration) -> Result<Connection, ConnectError> {
        timeout(limit, self.open(to, limit)).await.unwrap_or(Err(ConnectError::Late))
    }

    async fn open(&self, to: &Destination, limit: Duration) -> Result<Connection, ConnectError> {
        let tcp = self.dial(to, limit).await?;
        let Some(tls) = to.tls() else {
            return match to.versions() {
                Versions::Http2 => http2(Either::Left(tcp)).await,
                Versions::Http1 | Versions::Negotiated => Ok(http1(Either::Left(tcp), to)),
            };
        };
        let config = self.tls.config(&tls.profile, to.versions());
        let connector =
            TlsConnector::from(config.map_err(|error| ConnectError::Tls(io::Error::other(error)))?);
        let stream = connector.connect(tls.name.clone(), tcp).await.map_err(ConnectError::Tls)?;
        match (stream.get_ref().1.alpn_protocol() == Some(HTTP_2), to.versions()) {
            (true, _) => http2(Either::Right(stream)).await,
            (false, Versions::Http2) => Err(ConnectError::NoHttp2),
            (false, Versions::Http1 | Versions::Negotiated) => Ok(http1(Either::Right(stream), to)),
        }
    }

    /// Connects within `limit` for all addresses together, without the time for resolving them.
    async fn dial(&self, to: &Destination, limit: Duration) -> Result<TcpStream, ConnectError> {
        let addresses = self.allowed(to).await?;
        // Not asked for the host if that is an address: then it is the one address that was checked.
        let mut connector = HttpConnector::new_with_resolver(tower::service_fn(move |_: Name| {
            ready(Ok::<_, io::Error>(addresses.clone().into_iter()))
        }));
        connector.enforce_http(false);
        connector.set_nodelay(true);
        connector.set_keepalive(Some(TCP_KEEPALIVE));
        connector.set_connect_timeout(Some(limit));
        let mut parts = http::uri::Parts::default();
        (parts.scheme, parts.authority) = (Some(scheme(to)), Some(to.authority().clone()));
        parts.path_and_query = Some(http::uri::PathAndQuery::from_static("/"));
        let uri = Uri::from_parts(parts).map_err(|error| ConnectError::Refused(error.into()))?;
        match connector.call(uri).await {
            Ok(tcp) => Ok(tcp.into_inner()),
            Err(error) if timed_out(&error) => Err(ConnectError::Late),
            Err(error) => Err(ConnectError::Refused(error.into())),
        }
    }

    /// The addresses that may be connected to; an error if there is none.
    async fn allowed(&self, to: &Destination) -> Result<Vec<SocketAddr>, ConnectError> {
        let host = to.authority().host().trim_matches(['[', ']']);
        let port = to.authority().port_u16().unwrap_or(if to.tls().is_some() { 443 } else { 80 });
        let ips = match host.parse() {
            Ok(ip) => vec![ip],
            Err(_) => {
                let ips = self.hosts.addresses(host).await;
                ips.map_err(|error| ConnectError::Refused(error.into()))?
            }
        };
        let (mut allowed, mut refused) = (Vec::new(), None);
        for address in ips.into_iter().map(|ip| SocketAddr::new(ip, port)) {
            match self.guard.check(address) {
                Ok(()) => allowed.push(address),
                Err(forbidden) => refused = Some(forbidden),
            }
        }
        match refused {
            Some(forbidden) if allowed.is_empty() => Err(forbidden.into()),
            None if allowed.is_empty() => Err(ConnectError::Refused("the name has no address".into())),
            _ => Ok(allowed),
        }
    }
}

fn scheme(to: &Destination) -> Scheme {
    if to.tls().is_some() { Scheme::HTTPS } else { Scheme::HTTP }
}

fn timed_out(error: &(dyn std::error::Error + 'static)) -> bool {
    let mut causes = std::iter::successors(Some(error), |error| error.source());
    causes.any(|cause| {
        cause.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::TimedOut)
    })
}

fn http1(stream: Either<TcpStream, TlsStream<TcpStream>>, to: &Destination) -> Connection {
    Connection::Http1(Box::new(Http1::new(ReadsOn::new(stream), to.clone())))
}

async fn http2(stream: Either<TcpStream, TlsStream<TcpStream>>) -> Result<Connection, ConnectError> {
    let (sender, driver) = http2::Builder::new(LocalExecutor)
        .timer(TokioTimer::new())
        .max_header_list_size(HEAD_MAX as u32)
        .handshake(TokioIo::new(ReadsOn::new(stream)))
        .await?;
    tokio::task::spawn_local(driver);
    Ok(Connection::Http2(sender))
}
