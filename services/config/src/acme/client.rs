//! HTTPS to ACME servers and to the hook of DNS. Every exchange has a time and a size.

use std::{path::Path, pin::Pin, sync::Arc, time::Duration};

use anyhow::Context as _;
use axum::http::{Request, Response, Uri};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client as Pooled, connect::HttpConnector},
    rt::TokioExecutor,
};
use instant_acme::{BodyWrapper, BytesResponse, Error, HttpClient};
use rustls::{ClientConfig, RootCertStore, crypto::aws_lc_rs};
use rustls_pki_types::{CertificateDer, pem::PemObject as _};
use tokio::time::timeout;

/// Longest time of one exchange.
const EXCHANGE_TIMEOUT: Duration = Duration::from_secs(30);
/// Longest time to connect.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Largest answer, bytes: a chain of certificates is far smaller.
const ANSWER_BYTES_MAX: usize = 1024 * 1024;

/// A client for servers that are verified by certain CAs. Cheap to clone.
#[derive(Clone)]
pub struct Client(Pooled<HttpsConnector<HttpConnector>, Full<Bytes>>);

/// There is no answer.
#[derive(Debug, thiserror::Error)]
pub enum Unanswered {
    #[error("it cannot be reached: {}", causes(.0))]
    Unreachable(#[from] hyper_util::client::legacy::Error),
    #[error("it does not answer within {} seconds", EXCHANGE_TIMEOUT.as_secs())]
    TooSlow,
    #[error("its answer cannot be read: {0}")]
    Unreadable(Box<dyn std::error::Error + Send + Sync>),
}

/// An error and what caused it, since hyper's own words are "client error (Connect)".
fn causes(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

impl Client {
    /// Verifies servers by the CAs in the file `ca`, else by the public ones.
    pub fn new(ca: Option<&Path>) -> anyhow::Result<Self> {
        let mut roots = RootCertStore::empty();
        match ca {
            None => roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned()),
            Some(path) => {
                let unusable = || format!("cannot use {}", path.display());
                let certificates = CertificateDer::pem_file_iter(path).with_context(unusable)?;
                for certificate in certificates {
                    roots.add(certificate.with_context(unusable)?).with_context(unusable)?;
                }
                anyhow::ensure!(!roots.is_empty(), "{}: there is no certificate in it", path.display());
            }
        }
        let tls = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let mut http = HttpConnector::new();
        http.enforce_http(false);
        http.set_connect_timeout(Some(CONNECT_TIMEOUT));
        let https = HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http();
        let connector = https.enable_all_versions().wrap_connector(http);
        Ok(Self(Pooled::builder(TokioExecutor::new()).build(connector)))
    }

    /// Sends a request; answers what comes back, whatever its status.
    pub async fn exchange(&self, request: Request<Full<Bytes>>) -> Result<Response<Bytes>, Unanswered> {
        let exchange = async {
            let (parts, body) = self.0.request(request).await?.into_parts();
            let body =
                Limited::new(body, ANSWER_BYTES_MAX).collect().await.map_err(Unanswered::Unreadable)?;
            Ok(Response::from_parts(parts, body.to_bytes()))
        };
        timeout(EXCHANGE_TIMEOUT, exchange).await.unwrap_or(Err(Unanswered::TooSlow))
    }
}

impl HttpClient for Client {
    fn request(
        &self,
        request: Request<BodyWrapper<Bytes>>,
    ) -> Pin<Box<dyn Future<Output = Result<BytesResponse, Error>> + Send>> {
        let client = self.clone();
        Box::pin(async move {
            let (parts, body) = request.into_parts();
            // It is in memory.
            let body = body.collect().await.unwrap_or_else(|never| match never {}).to_bytes();
            let answer = client.exchange(Request::from_parts(parts, Full::new(body))).await;
            Ok(answer.map_err(|error| Error::Other(error.into()))?.map(Full::new).into())
        })
    }
}

/// The URL of a setting: HTTPS, or plain HTTP on loopback.
pub fn url(text: &str) -> anyhow::Result<Uri> {
    let uri: Uri = text.parse().with_context(|| format!("{text} is not a URL"))?;
    let host = uri.host().with_context(|| format!("{text} names no host"))?;
    let is_loopback = matches!(host, "127.0.0.1" | "[::1]" | "localhost");
    match uri.scheme_str() {
        Some("https") => Ok(uri),
        Some("http") if is_loopback => Ok(uri),
        _ => anyhow::bail!("{text} must begin with https://"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_loopback_is_asked_without_tls() {
        for good in ["https://acme.example/directory", "http://127.0.0.1:1/", "http://[::1]:1/x"] {
            url(good).expect(good);
        }
        for bad in ["http://acme.example/", "acme.example", "/directory", "ftp://acme.example/", ""] {
            assert!(url(bad).is_err(), "{bad}");
        }
    }
}
