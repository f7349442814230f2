//! Asks one endpoint whether it is up: a connection, or a request over it, with a time limit.

use std::{fmt, io, net::SocketAddr, sync::Arc};

use balancer::Observed;
use bytes::Bytes;
use http::{Request, StatusCode, header::HOST};
use http_body_util::Empty;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::TlsConnector;
use tokio_util::task::AbortOnDropHandle;

use super::{
    checks::{Ask, Checks},
    definition::Definition,
    spread::Place,
};
use crate::view::TlsProfile;

/// Most bytes that the head of an answer to a check may have.
const HEAD_MAX: usize = 32 * 1024;

/// Finds the configuration of TLS for a profile.
pub type SpokenAs = dyn Fn(&TlsProfile) -> Result<Arc<ClientConfig>, rustls::Error> + Send + Sync;

/// What checks need of the proxy: they may ask whom requests may ask, and speak TLS as requests do.
pub struct Prober {
    /// Whether a connection may be opened to an address.
    pub allows: Box<dyn Fn(SocketAddr) -> bool + Send + Sync>,
    /// How TLS is spoken to a target.
    pub tls: Box<SpokenAs>,
}

impl fmt::Debug for Prober {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Prober").finish_non_exhaustive()
    }
}

impl Prober {
    /// How TLS is spoken to whom no settings say anything of it, but whether the certificate is verified.
    pub fn usual_tls(&self, verify: bool) -> Result<Arc<ClientConfig>, rustls::Error> {
        (self.tls)(&TlsProfile::usual(verify))
    }

    /// What a check of `place` finds.
    pub async fn check(&self, checks: &Checks, definition: &Definition, place: &Place) -> Observed {
        match timeout(checks.timeout, self.ask(checks, definition, place)).await {
            Ok(Ok(None)) => Observed::Success,
            Ok(Ok(Some(status))) => checks.statuses.judge(status),
            Ok(Err(error)) => {
                tracing::debug!(address = %place.address, %error, "a check of a target failed");
                Observed::TcpFailure
            }
            Err(_) => Observed::Timeout,
        }
    }

    /// The status of the answer; `None` if there is only a connection.
    async fn ask(
        &self,
        checks: &Checks,
        definition: &Definition,
        place: &Place,
    ) -> anyhow::Result<Option<StatusCode>> {
        anyhow::ensure!((self.allows)(place.address), "no upstream may have this address");
        let tcp = TcpStream::connect(place.address).await?;
        match &checks.ask {
            Ask::Connection => Ok(None),
            Ask::Http => request(tcp, checks, definition, place, false).await.map(Some),
            Ask::Https { name, profile } => {
                let name = name.as_ref().or(place.name.as_ref());
                let name = name.ok_or_else(|| io::Error::other("there is no name for TLS"))?.clone();
                let tls = TlsConnector::from((self.tls)(profile)?).connect(name, tcp).await?;
                request(tls, checks, definition, place, true).await.map(Some)
            }
        }
    }
}

async fn request(
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    checks: &Checks,
    definition: &Definition,
    place: &Place,
    over_tls: bool,
) -> anyhow::Result<StatusCode> {
    let mut builder = http1::Builder::new();
    let (mut sender, connection) = builder.max_buf_size(HEAD_MAX).handshake(TokioIo::new(stream)).await?;
    let _driving = AbortOnDropHandle::new(tokio::spawn(connection));
    let mut request = Request::new(Empty::<Bytes>::new());
    *request.uri_mut() = checks.path.clone().into();
    let headers = request.headers_mut();
    headers.insert(HOST, definition.host_header.as_ref().unwrap_or_else(|| place.host(over_tls)).clone());
    headers.extend(checks.headers.iter().map(|(name, value)| (name.clone(), value.clone())));
    Ok(sender.send_request(request).await?.status())
}
