//! Calls over HTTP, on connections that are kept, to addresses that may be called.

use std::{
    fmt,
    sync::{Arc, OnceLock},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode};
use reqwest::{
    Client, Url,
    dns::{Name, Resolve, Resolving},
    redirect::Policy,
};
use tokio::sync::OnceCell;

use super::Reach;

/// Bytes of an answer that nobody reads, but for the sake of the connection.
pub const ANSWER_MAX: usize = 64 * 1024;

/// What a call may take.
#[derive(Clone, Copy, Debug)]
pub struct CallerSettings {
    /// Limit of connecting.
    pub connect_timeout: Duration,
    /// Limit of the whole call.
    pub timeout: Duration,
    /// How long a connection is kept without use.
    pub keepalive: Duration,
    /// Bytes of the answer that are read. A longer one is cut off, and its connection with it.
    pub answer_max: usize,
}

/// An answer, whatever its status.
#[derive(Debug)]
pub struct Answer {
    /// Its status.
    pub status: StatusCode,
    /// Its body, as far as it may be read.
    pub body: Bytes,
    /// Whether that is all of it.
    pub is_whole: bool,
}

/// Calls one server. Follows no redirect, and uses no proxy.
pub struct Caller {
    settings: CallerSettings,
    reach: Arc<OnceLock<Reach>>,
    /// Where it calls, if that is an address: then no name is looked up.
    address: Option<String>,
    port: u16,
    client: OnceCell<Client>,
}

impl Caller {
    /// Calls the server of `url`. Nothing is open yet.
    pub fn new(url: &Url, settings: CallerSettings, reach: Arc<OnceLock<Reach>>) -> Self {
        let address = url.host_str().filter(|_| url.domain().is_none()).map(str::to_owned);
        let port = url.port_or_known_default().unwrap_or(80);
        Self { settings, reach, address, port, client: OnceCell::new() }
    }

    /// Sends a request to `url`, which is one of the caller's server. An error says why there is no answer; it names no URL, which may have a
    /// password.
    pub async fn call(
        &self,
        (method, url): (Method, Url),
        headers: HeaderMap,
        body: Bytes,
    ) -> Result<Answer, String> {
        let reach = Reach::known(&self.reach).map_err(|error| error.to_string())?;
        if let Some(address) = &self.address {
            reach.addresses(address, self.port).await.map_err(|error| error.to_string())?;
        }
        let client = self.client.get_or_try_init(|| async { self.client(reach) }).await;
        let request = client.map_err(|error| told(&error))?.request(method, url).headers(headers).body(body);
        let mut response = request.send().await.map_err(|error| told(&error))?;
        let (status, mut body) = (response.status(), Vec::new());
        while let Some(data) = response.chunk().await.map_err(|error| told(&error))? {
            if body.len() + data.len() > self.settings.answer_max {
                return Ok(Answer { status, body: body.into(), is_whole: false });
            }
            body.extend_from_slice(&data);
        }
        Ok(Answer { status, body: body.into(), is_whole: true })
    }

    fn client(&self, reach: &Reach) -> reqwest::Result<Client> {
        let CallerSettings { connect_timeout, timeout, keepalive, .. } = self.settings;
        Client::builder()
            .tls_backend_preconfigured(rustls::ClientConfig::clone(&reach.tls))
            .dns_resolver(Arc::new(Resolver { reach: self.reach.clone(), port: self.port }))
            .redirect(Policy::none())
            .no_proxy()
            .connect_timeout(connect_timeout)
            .timeout(timeout)
            .pool_idle_timeout(keepalive)
            .pool_max_idle_per_host(if keepalive.is_zero() { 0 } else { usize::MAX })
            .build()
    }
}

impl fmt::Debug for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Caller").field("port", &self.port).finish_non_exhaustive()
    }
}

/// What went wrong, without the URL.
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
