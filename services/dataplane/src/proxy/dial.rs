//! Opens TCP connections to upstreams: resolves the name, leaves out the addresses that no upstream may have, and connects to
//! the others, in their order.

use std::{
    future::ready,
    io,
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use http::{Uri, uri::Scheme};
use hyper_util::{
    client::legacy::connect::{HttpConnector, dns::Name},
    rt::TokioIo,
};
use tokio::net::{TcpStream, lookup_host};
use tower::Service as _;

use super::guard::Guard;

/// Pause before the TCP keep-alive of an upstream connection.
const TCP_KEEPALIVE: Duration = Duration::from_secs(60);

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Opens TCP connections.
#[derive(Clone)]
pub struct Dialler {
    /// Decides which addresses may be connected to.
    pub guard: Arc<Guard>,
    /// Limit for all addresses of a name together, without the time for resolving it.
    pub connect_timeout: Duration,
}

impl Dialler {
    async fn dial(self, upstream: Uri) -> Result<TokioIo<TcpStream>, BoxError> {
        let mut connector = HttpConnector::new_with_resolver(tower::service_fn({
            let addresses = self.allowed(&upstream).await?;
            // Not asked for the host if that is an address: then it is the one address that was checked.
            move |_: Name| ready(Ok::<_, io::Error>(addresses.clone().into_iter()))
        }));
        connector.enforce_http(false);
        connector.set_nodelay(true);
        connector.set_keepalive(Some(TCP_KEEPALIVE));
        connector.set_connect_timeout(Some(self.connect_timeout));
        Ok(connector.call(upstream).await?)
    }

    /// The addresses of `upstream` that may be connected to; an error if there is none.
    async fn allowed(&self, upstream: &Uri) -> Result<Vec<SocketAddr>, BoxError> {
        let host = upstream.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
        let default_port = if upstream.scheme() == Some(&Scheme::HTTPS) { 443 } else { 80 };
        let resolved = lookup_host((host, upstream.port_u16().unwrap_or(default_port))).await?;
        let (mut allowed, mut refused) = (Vec::new(), None);
        for address in resolved {
            match self.guard.check(address) {
                Ok(()) => allowed.push(address),
                Err(forbidden) => refused = Some(forbidden),
            }
        }
        match refused {
            Some(forbidden) if allowed.is_empty() => Err(forbidden.into()),
            _ => Ok(allowed),
        }
    }
}

impl tower::Service<Uri> for Dialler {
    type Response = TokioIo<TcpStream>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, upstream: Uri) -> Self::Future {
        Box::pin(self.clone().dial(upstream))
    }
}
