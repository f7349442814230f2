//! What a request by a method that is not safe has changed, so that what is kept of it is given no more (RFC 9111, section 4.4): the path that
//! it was for, and those that `Location` and `Content-Location` of its answer name, where they have the same origin.
//!
//! Nobody knows all names under which answers of a path are kept: they differ by consumer, query and headers. So a name has the generation
//! of its path in it. When that goes on, nobody finds the answers of the earlier generation again, not even one that the upstream is giving
//! just now. Example: after `DELETE /users/7`, the next `GET /users/7?full=1` of any consumer goes upstream.

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

use http::{
    HeaderMap, Method, StatusCode,
    header::{CONTENT_LOCATION, LOCATION},
};
use url::Url;

use crate::{
    plugins::Exchange,
    router::path::{DotSegments, canonical},
};

/// Generations that are counted apart. Paths that share one forget together, which costs a question to the upstream.
const GENERATIONS: usize = 1 << 16;

/// How often each path has changed, over all hosts and paths. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Generations(Arc<[AtomicU32]>);

impl Default for Generations {
    fn default() -> Self {
        Self((0..GENERATIONS).map(|_| AtomicU32::new(0)).collect())
    }
}

impl Generations {
    /// The present one of a path.
    pub fn of(&self, host: &str, path: &str) -> u32 {
        self.counter(host, path).load(Ordering::Acquire)
    }

    /// What is kept of a path is given no more.
    fn next(&self, host: &str, path: &str) {
        self.counter(host, path).fetch_add(1, Ordering::AcqRel);
    }

    fn counter(&self, host: &str, path: &str) -> &AtomicU32 {
        let mut hasher = blake3::Hasher::new();
        hasher.update(host.as_bytes()).update(&[0]);
        // Some plugins ignore the case: then answers to one path are answers to the other.
        hasher.update(path.to_lowercase().as_bytes());
        let [a, b, ..] = *hasher.finalize().as_bytes();
        &self.0[usize::from(u16::from_be_bytes([a, b]))]
    }
}

/// A request that may change what it is for. Kept until it is answered.
pub struct Change {
    host: String,
    path: String,
    /// The whole URL, which `Location` may be relative to. `None`: it is none.
    url: Option<Url>,
}

impl Change {
    /// `None`: the method is safe (RFC 9110, section 9.2.1).
    pub fn of(exchange: &Exchange<'_, '_>) -> Option<Self> {
        let is_safe = [Method::GET, Method::HEAD, Method::OPTIONS, Method::TRACE].contains(exchange.method);
        if is_safe {
            return None;
        }
        let client = &exchange.client;
        let scheme = if client.https { "https" } else { "http" };
        let url = format!("{scheme}://{}:{}{}", client.host, client.port, exchange.uri.path());
        Some(Self {
            host: client.host.to_owned(),
            path: exchange.path.to_owned(),
            url: Url::parse(&url).ok(),
        })
    }

    /// The upstream has answered: what it says is done is done.
    pub fn conclude(&self, status: StatusCode, headers: &HeaderMap, generations: &Generations) {
        if !status.is_success() && !status.is_redirection() {
            return;
        }
        generations.next(&self.host, &self.path);
        for name in [LOCATION, CONTENT_LOCATION] {
            for value in headers.get_all(name) {
                if let Some(path) = value.to_str().ok().and_then(|location| self.path_of(location)) {
                    generations.next(&self.host, &path);
                }
            }
        }
    }

    /// The path of another URL of the same origin.
    fn path_of(&self, location: &str) -> Option<String> {
        let own = self.url.as_ref()?;
        let url = own.join(location).ok().filter(|url| url.origin() == own.origin())?;
        Some(canonical(url.path(), DotSegments::default()).ok()?.into_owned())
    }
}
