//! The client.

use std::{fmt, io, net::SocketAddr, path::Path, sync::Arc, time::Duration};

use anyhow::Context as _;
use bytes::Bytes;
use futures::future::BoxFuture;
use http::{HeaderMap, Request, StatusCode, Uri};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{
        Client as Pooled,
        connect::{HttpConnector, dns::Name},
    },
    rt::TokioExecutor,
};
use rustls::{ClientConfig, RootCertStore, crypto::aws_lc_rs};
use rustls_pki_types::{CertificateDer, pem::PemObject as _};
use tokio::time::timeout;

use crate::is_public;

/// Longest time to connect.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Longest URL, bytes.
const URL_BYTES_MAX: usize = 2048;

const NOT_PUBLIC: &str = "its address is not one of the public internet";

/// A client. Cheap to clone.
#[derive(Clone)]
pub struct Client {
    pool: Pooled<HttpsConnector<HttpConnector<Resolver>>, Full<Bytes>>,
    private: bool,
}

impl Client {
    /// Verifies servers by the CAs in the file `ca`, else by the public ones. `private`: whether they may have addresses that are not public.
    pub fn new(ca: Option<&Path>, private: bool) -> anyhow::Result<Self> {
        let mut roots = RootCertStore::empty();
        match ca {
            None => roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned()),
            Some(path) => {
                let unusable = || format!("cannot use {}", path.display());
                for certificate in CertificateDer::pem_file_iter(path).with_context(unusable)? {
                    roots.add(certificate.with_context(unusable)?).with_context(unusable)?;
                }
                anyhow::ensure!(!roots.is_empty(), "{}: there is no certificate in it", path.display());
            }
        }
        let tls = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let mut http = HttpConnector::new_with_resolver(Resolver { private });
        http.enforce_http(false);
        http.set_connect_timeout(Some(CONNECT_TIMEOUT));
        let https = HttpsConnectorBuilder::new().with_tls_config(tls).https_only();
        let connector = https.enable_all_versions().wrap_connector(http);
        Ok(Self { pool: Pooled::builder(TokioExecutor::new()).build(connector), private })
    }

    /// The endpoint in `text`, if it may be called; else why not. Names are looked at when they are resolved, for each connection.
    pub fn endpoint(&self, text: &str) -> Result<Uri, &'static str> {
        if text.len() > URL_BYTES_MAX {
            return Err("must be at most 2048 bytes");
        }
        let uri: Uri = text.parse().map_err(|_| "must be a URL, as in https://example.com/path")?;
        let authority = uri.authority().ok_or("must be a URL, as in https://example.com/path")?;
        if uri.scheme_str() != Some("https") {
            return Err("must begin with https://");
        }
        if authority.as_str().contains('@') {
            return Err("must have no user and no password");
        }
        let host = authority.host().trim_start_matches('[').trim_end_matches(']');
        match host.parse() {
            Ok(ip) if !self.private && !is_public(ip) => Err("must lead to a public address"),
            _ => Ok(uri),
        }
    }

    /// The status that is answered to `request` within `wait`. The body of the answer is not read.
    pub async fn status(
        &self,
        request: Request<Full<Bytes>>,
        wait: Duration,
    ) -> Result<StatusCode, Unreachable> {
        within(wait, async { Ok(self.send(request).await?.status()) }).await
    }

    /// The whole answer to `request` within `wait`. Its body may have `bytes_max` bytes; one that has more is an error.
    pub async fn exchange(
        &self,
        request: Request<Full<Bytes>>,
        wait: Duration,
        bytes_max: usize,
    ) -> Result<Answer, Unreachable> {
        within(wait, async {
            let (parts, body) = self.send(request).await?.into_parts();
            let body = Limited::new(body, bytes_max).collect().await;
            let unread = |error| Unreachable(format!("its answer cannot be read: {error}"));
            Ok(Answer {
                status: parts.status,
                headers: parts.headers,
                body: body.map_err(unread)?.to_bytes(),
            })
        })
        .await
    }

    async fn send(&self, request: Request<Full<Bytes>>) -> Result<http::Response<Incoming>, Unreachable> {
        let unreachable = |error| Unreachable(format!("it cannot be reached: {}", causes(&error)));
        self.pool.request(request).await.map_err(unreachable)
    }
}

/// What an endpoint has answered.
#[derive(Debug)]
pub struct Answer {
    /// Its status.
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Bytes,
}

/// There is no answer; says why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unreachable(pub String);

impl fmt::Display for Unreachable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Unreachable {}

async fn within<T>(
    wait: Duration,
    exchange: impl Future<Output = Result<T, Unreachable>>,
) -> Result<T, Unreachable> {
    let late = |_| Err(Unreachable(format!("it does not answer within {} seconds", wait.as_secs())));
    timeout(wait, exchange).await.unwrap_or_else(late)
}

/// An error and what caused it, since hyper's own words are "client error (Connect)".
fn causes(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

/// Resolves names, and leaves out addresses that may not be called: whatever a name says later, a connection goes to what was checked.
#[derive(Clone)]
struct Resolver {
    private: bool,
}

impl tower::Service<Name> for Resolver {
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = io::Error;
    type Future = BoxFuture<'static, io::Result<Self::Response>>;

    fn poll_ready(&mut self, _context: &mut std::task::Context<'_>) -> std::task::Poll<io::Result<()>> {
        std::task::Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let private = self.private;
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let found: Vec<_> = found.filter(|address| private || is_public(address.ip())).collect();
            if found.is_empty() { Err(io::Error::other(NOT_PUBLIC)) } else { Ok(found.into_iter()) }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Client;

    #[test]
    fn an_endpoint_is_https_at_a_public_address() {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let client = Client::new(None, false).expect("a client");
        for good in ["https://example.com/x", "https://8.8.8.8:8443/", "https://[2606:4700::1111]/"] {
            assert!(client.endpoint(good).is_ok(), "{good}");
        }
        for bad in [
            "http://siem.example/",
            "siem.example",
            "https://a:b@siem.example/",
            "https://127.0.0.1/",
            "https://[::1]/",
            "https://169.254.169.254/latest",
            "/x",
            "",
        ] {
            assert!(client.endpoint(bad).is_err(), "{bad}");
        }
        let private = Client::new(None, true).expect("a client");
        assert!(private.endpoint("https://127.0.0.1/").is_ok());
    }

    #[tokio::test]
    async fn a_name_that_leads_inside_is_not_called() {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let client = Client::new(None, false).expect("a client");
        let uri = client.endpoint("https://localhost:1/").expect("only a name");
        let request = http::Request::post(uri).body(Default::default()).expect("a request");
        let refused =
            client.status(request, std::time::Duration::from_secs(5)).await.expect_err("not called");
        assert!(refused.0.contains(super::NOT_PUBLIC), "{refused}");
    }
}
