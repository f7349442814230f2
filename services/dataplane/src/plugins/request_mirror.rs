//! request-mirror: another server gets a copy of requests. Nobody waits for it, and whatever becomes of it concerns no client.
//!
//! A copy leaves when the request's body has gone upstream. It has the headers that plugins have left, and the request's id. How many copies
//! are on their way is bounded; further ones are dropped and counted.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use gateway_model::plugin::request_mirror::Config;
use http::{
    HeaderMap, HeaderName, Method,
    header::{CONTENT_LENGTH, EXPECT, HOST, SEC_WEBSOCKET_KEY},
};
use reqwest::Url;
use tokio::{
    runtime::Handle,
    sync::{OwnedSemaphorePermit, Semaphore},
};

use super::{BodyCopy, Compiled, Exchange, Make, NotExecutable, Phases, Plugin, Verdict};
use crate::{
    calls::{ANSWER_MAX, Caller, CallerSettings},
    store::StoreError,
};

const MIRRORED: &str = "landbridge_mirrored_requests_total";
/// How long a connection is kept without use.
const KEEPALIVE: Duration = Duration::from_secs(60);
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The compiled plugin.
#[derive(Debug)]
pub struct RequestMirror {
    url: Url,
    share: f64,
    body_max: usize,
    seats: Arc<Semaphore>,
    caller: Arc<Caller>,
    runtime: Option<Handle>,
}

/// A copy that may leave.
struct Copy {
    method: Method,
    url: Url,
    headers: HeaderMap,
    caller: Arc<Caller>,
    /// Counts it as dropped if it never leaves.
    fate: Fate,
    _seat: OwnedSemaphorePermit,
}

/// What becomes of a copy, counted when it is over.
struct Fate(&'static str);

impl Drop for Fate {
    fn drop(&mut self) {
        metrics::counter!(MIRRORED, "outcome" => self.0).increment(1);
    }
}

impl Compiled for RequestMirror {
    type Config = Config;
    const PRIORITY: u32 = 1;
    const PHASES: Phases = Phases::REQUEST;

    /// An error if the URL is none.
    fn new(config: &Config, make: &Make<'_>) -> Result<Self, NotExecutable> {
        let url = Url::parse(&config.url).map_err(|error| NotExecutable(format!("url: {error}")))?;
        let timeout = Duration::from_millis(config.timeout.into());
        let settings = CallerSettings {
            connect_timeout: timeout,
            timeout,
            keepalive: KEEPALIVE,
            answer_max: ANSWER_MAX,
        };
        Ok(Self {
            share: config.sample_percentage / 100.0,
            body_max: config.max_body_bytes as usize,
            seats: Arc::new(Semaphore::new(config.max_in_flight as usize)),
            caller: Arc::new(Caller::new(settings, make.tools.calls().clone())),
            runtime: make.tools.runtime().cloned(),
            url,
        })
    }
}

impl Plugin for RequestMirror {
    fn request(&self, exchange: &mut Exchange<'_, '_>) -> Result<Verdict, StoreError> {
        let Some(runtime) = self.runtime.clone() else { return Ok(Verdict::Pass) };
        let opens_websocket = exchange.headers.contains_key(SEC_WEBSOCKET_KEY);
        let is_drawn = self.share >= 1.0 || (exchange.random.number() as f64) < self.share * u64::MAX as f64;
        if opens_websocket || !is_drawn {
            return Ok(Verdict::Pass);
        }
        let fate = Fate("dropped");
        let Ok(seat) = self.seats.clone().try_acquire_owned() else { return Ok(Verdict::Pass) };
        let copy = Copy {
            method: exchange.method.clone(),
            url: self.url_of(exchange),
            headers: headers(exchange),
            caller: self.caller.clone(),
            fate,
            _seat: seat,
        };
        let give = move |body| drop(runtime.spawn(copy.send(body)));
        exchange.effects.want().body_copy = Some(BodyCopy { max: self.body_max, give: Box::new(give) });
        Ok(Verdict::Pass)
    }
}

impl RequestMirror {
    fn url_of(&self, exchange: &Exchange<'_, '_>) -> Url {
        let mut url = self.url.clone();
        let path = format!("{}{}", self.url.path().trim_end_matches('/'), exchange.path);
        url.set_path(&path);
        url.set_query(exchange.query.as_deref());
        url
    }
}

/// The headers of a copy. `Host` and the length are the client's that sends it.
fn headers(exchange: &Exchange<'_, '_>) -> HeaderMap {
    let mut headers = exchange.headers.clone();
    for name in [HOST, CONTENT_LENGTH, EXPECT] {
        headers.remove(name);
    }
    headers.insert(REQUEST_ID, exchange.request_id.clone());
    headers
}

impl Copy {
    async fn send(mut self, body: Bytes) {
        self.fate.0 = match self.caller.call((self.method, self.url), self.headers, body).await {
            Ok(_) => "sent",
            Err(error) => {
                tracing::debug!(error, "a copy of a request was not taken");
                "failed"
            }
        };
    }
}

/// Names the metrics of this module.
pub fn describe_metrics() {
    metrics::describe_counter!(
        MIRRORED,
        "Copies of requests for other servers, by what became of them: sent, failed, dropped (too many on their way, or the body too long)."
    );
}
