//! http-log: sends entries to an HTTP server.

use std::sync::Arc;

use bytes::Bytes;
use gateway_model::{SecretMap, plugin::http_log::Config};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use reqwest::Url;

use super::{entry::entry, millis, options};
use crate::{
    calls::{ANSWER_MAX, CallerSettings},
    deliveries::{Http, HttpSettings, Outlet},
    plugins::{Compiled, Make, NotExecutable, Phases, Plugin, Transaction},
};

/// The compiled plugin.
#[derive(Debug)]
pub struct HttpLog(Outlet);

impl Compiled for HttpLog {
    type Config = Config;
    const PRIORITY: u32 = 12;
    const PHASES: Phases = Phases::LOG;

    /// An error if the endpoint is no URL, or a header cannot be sent.
    fn new(config: &Config, make: &Make<'_>) -> Result<Self, NotExecutable> {
        let queue = config.queue();
        let method = Method::from_bytes(config.method.as_str().as_bytes());
        let settings = HttpSettings {
            url: url("http_endpoint", config.http_endpoint.plain())?,
            method: method.map_err(|_| NotExecutable("method: not a method".to_owned()))?,
            content_type: HeaderValue::from_static(config.content_type.as_str()),
            headers: headers(&config.headers)?,
            limits: CallerSettings {
                connect_timeout: millis(config.timeout),
                timeout: millis(config.timeout),
                keepalive: millis(config.keepalive),
                answer_max: ANSWER_MAX,
            },
            encoding: Arc::new(if queue.max_batch_size == 1 { one } else { array }),
        };
        let deliveries = make.tools.deliveries();
        let http = Http::new(settings, make.tools.calls().clone());
        Ok(Self(deliveries.outlet(("http-log", make.id), options(&queue), Arc::new(http))))
    }
}

impl Plugin for HttpLog {
    fn log(&self, transaction: &Transaction<'_>) {
        self.0.send(entry(transaction));
    }
}

/// The URL of the setting `name`.
pub fn url(name: &str, text: Option<&str>) -> Result<Url, NotExecutable> {
    let text = text.ok_or_else(|| NotExecutable(format!("{name}: cannot be opened")))?;
    text.parse().map_err(|error| NotExecutable(format!("{name}: {error}")))
}

/// The headers of a setting.
pub fn headers(set: &SecretMap) -> Result<HeaderMap, NotExecutable> {
    let entries = set.entries().ok_or_else(|| NotExecutable("headers: cannot be opened".to_owned()))?;
    let header = |(name, value): (String, String)| {
        let header = HeaderName::from_bytes(name.as_bytes()).ok().zip(HeaderValue::try_from(value).ok());
        header.ok_or_else(|| NotExecutable(format!("headers.{name}: not a header")))
    };
    entries.into_iter().map(header).collect()
}

/// A queue whose batches are one entry sends that.
fn one(batch: &[Bytes]) -> Bytes {
    batch.first().cloned().unwrap_or_default()
}

fn array(batch: &[Bytes]) -> Bytes {
    let mut body = Vec::with_capacity(batch.iter().map(|entry| entry.len() + 1).sum::<usize>() + 2);
    body.push(b'[');
    for (index, entry) in batch.iter().enumerate() {
        body.extend((index > 0).then_some(b','));
        body.extend_from_slice(entry);
    }
    body.push(b']');
    body.into()
}
