//! Calls over HTTP, on connections that are kept.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode};
use reqwest::{
    Client, Url,
    dns::{Name, Resolve, Resolving},
    redirect::Policy,
};
use rustls::ClientConfig;

use super::{Calls, Unreachable};

/// Bytes of an answer that nobody reads, but for the sake of the connection.
pub const ANSWER_MAX: usize = 64 * 1024;
/// Ports whose connections one caller keeps. With more, all are let go.
const PORTS_MAX: usize = 16;

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

/// Calls servers. Follows no redirect, and uses no proxy.
pub struct Caller {
    settings: CallerSettings,
    calls: Calls,
    /// By port: whether an address may be called depends on it, and who resolves a name for a client is not told it.
    clients: Mutex<HashMap<u16, Client>>,
}

impl Caller {
    /// Nothing is open yet.
    pub fn new(settings: CallerSettings, calls: Calls) -> Self {
        Self { settings, calls, clients: Mutex::default() }
    }

    /// Sends a request to `url`. An error says why there is no answer; it names no URL, which may have a password.
    pub async fn call(
        &self,
        (method, url): (Method, Url),
        headers: HeaderMap,
        body: Bytes,
    ) -> Result<Answer, String> {
        let port = url.port_or_known_default().ok_or("the URL has no port")?;
        let client = self.client(port).map_err(|error| error.to_string())?;
        // A client looks no address up, so nobody would check it.
        if let Some(address) = url.host_str().filter(|_| url.domain().is_none()) {
            self.calls.addresses(address, port).await.map_err(|error| error.to_string())?;
        }
        let request = client.request(method, url).headers(headers).body(body);
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

    /// The client for servers at `port`.
    fn client(&self, port: u16) -> Result<Client, Unreachable> {
        let tls = self.calls.tls(true)?;
        // A panic while the lock is held leaves the map in a valid state.
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = clients.get(&port) {
            return Ok(client.clone());
        }
        let client = self.new_client(port, tls).map_err(std::io::Error::other)?;
        if clients.len() >= PORTS_MAX {
            clients.clear();
        }
        clients.insert(port, client.clone());
        Ok(client)
    }

    fn new_client(&self, port: u16, tls: &ClientConfig) -> reqwest::Result<Client> {
        let CallerSettings { connect_timeout, timeout, keepalive, .. } = self.settings;
        Client::builder()
            .tls_backend_preconfigured(tls.clone())
            .dns_resolver(Arc::new(Resolver { calls: self.calls.clone(), port }))
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
        f.debug_struct("Caller").field("settings", &self.settings).finish_non_exhaustive()
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
    calls: Calls,
    port: u16,
}

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let (calls, port) = (self.calls.clone(), self.port);
        Box::pin(async move {
            let addresses = calls.addresses(name.as_str(), port).await?;
            Ok(Box::new(addresses.into_iter()) as Box<_>)
        })
    }
}
