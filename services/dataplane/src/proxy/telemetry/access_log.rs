//! The access log: a line of JSON for each request, when it is over.
//!
//! Names are those of OpenTelemetry's semantic conventions for HTTP; what they have no name for begins with `landbridge.`. Times are in
//! seconds. A line has nothing that may be secret: no header but `User-Agent`, and no query, in which keys travel.

use std::{sync::Arc, time::Duration};

use clock::Clock;
use http::{
    HeaderValue, Method, Request, Uri, Version,
    header::{HOST, USER_AGENT},
    uri::Authority,
};

use super::{
    line::{Line, Seconds},
    log_file::Lines,
    record::Record,
};
use crate::proxy::connection::ClientConnection;

/// Bytes of a text that the client chose, at most; the rest is cut off.
const TEXT_MAX: usize = 1024;
/// A whole line, in the millionths that requests without one make up for.
const LINE: u32 = 1_000_000;
/// Bytes of lines that wait for more to come, at most.
const WAITING_MAX: usize = 32 * 1024;
/// Room for a usual line behind those, in bytes.
const LINE_ROOM: usize = 2 * 1024;

/// Which requests get a line.
#[derive(Clone, Copy, Debug)]
pub struct AccessLogOptions {
    /// The share of all requests, from 0 to 1.
    pub sample: f64,
    /// All requests that are answered with this status, or one above.
    pub always_from_status: u16,
    /// All requests that take longer, from their head to their answer's last byte.
    pub always_slower_than: Option<Duration>,
}

impl Default for AccessLogOptions {
    fn default() -> Self {
        Self { sample: 1.0, always_from_status: 500, always_slower_than: None }
    }
}

/// What a line says of the request itself.
pub struct Asked {
    method: Method,
    uri: Uri,
    version: Version,
    host: Option<HeaderValue>,
    user_agent: Option<HeaderValue>,
    request_id: HeaderValue,
    client: (HeaderValue, u16),
    is_https: bool,
}

impl Asked {
    /// What is to be said of `request`.
    pub fn of<B>(connection: &ClientConnection, request: &Request<B>, request_id: &HeaderValue) -> Self {
        let (headers, arrival) = (request.headers(), &connection.arrival);
        Self {
            method: request.method().clone(),
            uri: request.uri().clone(),
            version: request.version(),
            host: headers.get(HOST).cloned(),
            user_agent: headers.get(USER_AGENT).cloned(),
            request_id: request_id.clone(),
            client: (arrival.told.0.clone(), arrival.peer.port()),
            is_https: arrival.https,
        }
    }

    fn write(&self, line: &mut Line<'_>) {
        line.text("http.request.method", cut(self.method.as_str()));
        line.plain("url.scheme", if self.is_https { "https" } else { "http" });
        line.text("url.path", cut(self.uri.path()));
        let told = self.host.as_ref().filter(|_| self.uri.authority().is_none());
        let told = told.and_then(|host| Authority::try_from(host.as_bytes()).ok());
        if let Some(authority) = told.as_ref().or(self.uri.authority()) {
            line.text("server.address", cut(authority.host()));
            if let Some(port) = authority.port_u16() {
                line.number("server.port", port);
            }
        }
        line.plain("network.protocol.version", version(self.version));
        line.plain("client.address", self.client.0.to_str().unwrap_or_default());
        line.number("client.port", self.client.1);
        if let Some(agent) = self.user_agent.as_ref().and_then(|agent| agent.to_str().ok()) {
            line.text("user_agent.original", cut(agent));
        }
    }
}

/// One thread's lines.
pub struct AccessLog {
    options: AccessLogOptions,
    lines: Arc<Lines>,
    waiting: Vec<u8>,
    count: u64,
    /// How much of a line the requests without one have made up for.
    owed: u32,
    clock: Clock,
    seconds: Seconds,
}

impl AccessLog {
    /// Lines of requests, which go to `lines`.
    pub fn new(options: AccessLogOptions, lines: Arc<Lines>, clock: Clock) -> Self {
        Self { options, lines, waiting: room(), count: 0, owed: 0, clock, seconds: Seconds::default() }
    }

    /// Writes the line of a request, if it gets one.
    pub fn write(&mut self, record: &Record, asked: &Asked) {
        let total = record.began.elapsed();
        if !self.wants(record, total) {
            return;
        }
        let at = self.clock.now() - total;
        let mut line = Line::begin(&mut self.waiting, "timestamp", at, &mut self.seconds);
        asked.write(&mut line);
        if let Some(answered) = record.answered {
            line.number("http.response.status_code", answered.status.as_u16());
        }
        if let Some(error) = record.reason.or((!record.is_complete).then_some("aborted")) {
            line.plain("error.type", error);
        }
        line.number("http.request.body.size", record.received);
        line.number("http.response.body.size", record.sent);
        line.seconds("http.server.request.duration", total);
        if let Some(gateway) = record.gateway() {
            line.seconds("landbridge.gateway.duration", gateway);
        }
        if let Some(upstream) = record.at_upstream() {
            line.seconds("landbridge.upstream.duration", upstream);
        }
        if let Some(retries) = record.upstream.map(|upstream| upstream.retries).filter(|retries| *retries > 0)
        {
            line.number("landbridge.upstream.retries", retries);
        }
        if let Some(served) = &record.served {
            line.text("landbridge.service", &served.labels.service);
            line.text("landbridge.route", &served.labels.route);
        }
        if let Some(observed) = record.after.as_ref().and_then(|after| after.observed()) {
            line.text("landbridge.observed", &observed);
        }
        if let Some(identity) = &record.consumer {
            line.id("landbridge.consumer.id", identity.consumer);
        }
        line.text("request_id", asked.request_id.to_str().unwrap_or_default());
        line.end();
        self.count += 1;
        if self.waiting.len() >= WAITING_MAX {
            self.flush();
        }
    }

    /// Hands over the lines that wait.
    pub fn flush(&mut self) {
        if !self.waiting.is_empty() {
            let lines = std::mem::replace(&mut self.waiting, room());
            self.lines.send(lines, std::mem::take(&mut self.count));
        }
    }

    fn wants(&mut self, record: &Record, total: Duration) -> bool {
        let AccessLogOptions { sample, always_from_status, always_slower_than } = self.options;
        let status = record.answered.map(|answered| answered.status.as_u16());
        if status.is_some_and(|status| status >= always_from_status)
            || always_slower_than.is_some_and(|limit| total > limit)
        {
            return true;
        }
        self.owed += (sample * f64::from(LINE)) as u32;
        let is_due = self.owed >= LINE;
        if is_due {
            self.owed -= LINE;
        }
        is_due
    }
}

impl Drop for AccessLog {
    fn drop(&mut self) {
        self.flush();
    }
}

fn room() -> Vec<u8> {
    Vec::with_capacity(WAITING_MAX + LINE_ROOM)
}

/// A version of HTTP as OpenTelemetry has it.
pub fn version(version: Version) -> &'static str {
    match version {
        Version::HTTP_2 => "2",
        Version::HTTP_10 => "1.0",
        _ => "1.1",
    }
}

/// The beginning of a text that is too long.
fn cut(text: &str) -> &str {
    text.get(..text.floor_char_boundary(TEXT_MAX)).unwrap_or(text)
}
