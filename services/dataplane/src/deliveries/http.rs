//! Batches as the bodies of HTTP requests.

use std::{
    fmt,
    sync::{Arc, OnceLock},
    time::Duration,
};

use bytes::Bytes;
use futures::future::BoxFuture;
use http::{HeaderMap, HeaderValue, Method, header::CONTENT_TYPE};
use reqwest::{
    Client, Url,
    dns::{Name, Resolve, Resolving},
    redirect::Policy,
};
use tokio::sync::OnceCell;

use super::{Destination, Failed, Reach};

/// Bytes of an answer that are read, so that the connection can be used again.
const ANSWER_MAX: usize = 64 * 1024;

/// Where and how.
#[derive(Clone)]
pub struct HttpSettings {
    /// Where requests go. User name and password in it are sent as basic authentication.
    pub url: Url,
    /// Their method.
    pub method: Method,
    /// Their content type.
    pub content_type: HeaderValue,
    /// Their other headers.
    pub headers: HeaderMap,
    /// Limit of connecting.
    pub connect_timeout: Duration,
    /// Limit of the whole request.
    pub timeout: Duration,
    /// How long a connection is kept without use.
    pub keepalive: Duration,
    /// How the body is made of the entries.
    pub encoding: Encoding,
}

/// Makes a body of entries.
pub type Encoding = Arc<dyn Fn(&[Bytes]) -> Bytes + Send + Sync>;

/// See the module.
pub struct Http {
    settings: HttpSettings,
    reach: Arc<OnceLock<Reach>>,
    client: OnceCell<Client>,
}

impl Http {
    /// Nothing is open yet.
    pub fn new(settings: HttpSettings, reach: Arc<OnceLock<Reach>>) -> Self {
        Self { settings, reach, client: OnceCell::new() }
    }

    async fn send(&self, batch: &[Bytes]) -> Result<(), String> {
        let HttpSettings { url, method, content_type, headers, encoding, .. } = &self.settings;
        let port = url.port_or_known_default().unwrap_or(80);
        let reach = Reach::known(&self.reach).map_err(|error| error.to_string())?;
        // The client asks for the addresses of names only.
        if let Some(host) = url.host_str().filter(|_| url.domain().is_none()) {
            reach.addresses(host, port).await.map_err(|error| error.to_string())?;
        }
        let client = self.client.get_or_try_init(|| async { self.client(reach, port) }).await;
        let request = client.map_err(|error| told(&error))?.request(method.clone(), url.clone());
        let request = request.headers(headers.clone()).header(CONTENT_TYPE, content_type.clone());
        let mut response = request.body(encoding(batch)).send().await.map_err(|error| told(&error))?;
        let status = response.status();
        let mut read = 0;
        while let Ok(Some(data)) = response.chunk().await {
            read += data.len();
            if read > ANSWER_MAX {
                break;
            }
        }
        if status.is_success() { Ok(()) } else { Err(format!("the receiver answered {status}")) }
    }

    fn client(&self, reach: &Reach, port: u16) -> reqwest::Result<Client> {
        let HttpSettings { connect_timeout, timeout, keepalive, .. } = self.settings;
        Client::builder()
            .tls_backend_preconfigured(rustls::ClientConfig::clone(&reach.tls))
            .dns_resolver(Arc::new(Resolver { reach: self.reach.clone(), port }))
            .redirect(Policy::none())
            .no_proxy()
            .connect_timeout(connect_timeout)
            .timeout(timeout)
            .pool_idle_timeout(keepalive)
            .pool_max_idle_per_host(if keepalive.is_zero() { 0 } else { usize::MAX })
            .build()
    }
}

/// What went wrong, without the URL: a password may be in it.
fn told(error: &reqwest::Error) -> String {
    let causes = std::iter::successors(std::error::Error::source(error), |error| error.source());
    // The last one says it.
    causes.last().map_or_else(|| "the request failed".to_owned(), ToString::to_string)
}

/// Finds the addresses that may be called.
struct Resolver {
    reach: Arc<OnceLock<Reach>>,
    port: u16,
}

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let (reach, port) = (self.reach.clone(), self.port);
        Box::pin(async move {
            let addresses = Reach::known(&reach)?.addresses(name.as_str(), port).await?;
            Ok(Box::new(addresses.into_iter()) as Box<_>)
        })
    }
}

impl Destination for Http {
    fn deliver<'a>(&'a self, batch: &'a [Bytes]) -> BoxFuture<'a, Result<(), Failed>> {
        Box::pin(async move { self.send(batch).await.map_err(|cause| Failed::whole(batch, cause)) })
    }
}

impl fmt::Debug for Http {
    /// Without the URL and headers, which may hold secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Http").field("host", &self.settings.url.host_str()).finish_non_exhaustive()
    }
}
