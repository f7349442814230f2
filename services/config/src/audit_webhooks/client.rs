//! HTTPS to the endpoints of webhooks. Every exchange has a time and a size; redirections are not followed.

use std::{io, net::SocketAddr, path::Path, sync::Arc, time::Duration};

use anyhow::Context as _;
use axum::http::{Request, StatusCode, Uri};
use bytes::Bytes;
use futures::future::BoxFuture;
use http_body_util::Full;
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

use super::address::is_public;

/// Longest time of one delivery.
const EXCHANGE_TIMEOUT: Duration = Duration::from_secs(15);
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
        let uri: Uri = text.parse().map_err(|_| "must be a URL, as in https://siem.example/landbridge")?;
        let authority = uri.authority().ok_or("must be a URL, as in https://siem.example/landbridge")?;
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

    /// Posts; answers the status, or why there is none. The body of the answer is not read.
    pub async fn post(&self, request: Request<Full<Bytes>>) -> Result<StatusCode, String> {
        match timeout(EXCHANGE_TIMEOUT, self.pool.request(request)).await {
            Ok(Ok(response)) => Ok(response.status()),
            Ok(Err(error)) => Err(format!("it cannot be reached: {}", causes(&error))),
            Err(_) => Err(format!("it does not answer within {} seconds", EXCHANGE_TIMEOUT.as_secs())),
        }
    }
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
        for good in ["https://siem.example/x", "https://8.8.8.8:8443/", "https://[2606:4700::1111]/"] {
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
        let request = axum::http::Request::post(uri).body(Default::default()).expect("a request");
        let refused = client.post(request).await.expect_err("not called");
        assert!(refused.contains(super::NOT_PUBLIC), "{refused}");
    }
}
