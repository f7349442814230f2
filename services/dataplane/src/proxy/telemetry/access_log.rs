//! The access log: a line of JSON for each request, when it is over.
//!
//! Names are those of OpenTelemetry's semantic conventions for HTTP; what they have no name for begins with `landbridge.`. Times are in
//! seconds. A line has nothing that may be secret: no header but `User-Agent`, and no query, in which keys travel.

use std::{net::IpAddr, sync::Arc, time::Duration};

use clock::Clock;
use http::{
    HeaderValue, Method, Request, Uri, Version,
    header::{HOST, USER_AGENT},
    uri::Authority,
};
use serde::{Serialize, Serializer};
use time::OffsetDateTime;
use uuid::Uuid;

use super::{log_file::Lines, record::Record};
use crate::{proxy::connection::ClientConnection, view::Live};

/// Bytes of a text that the client chose, at most; the rest is cut off.
const TEXT_MAX: usize = 1024;
/// A whole line, in the millionths that requests without one make up for.
const LINE: u32 = 1_000_000;
/// Bytes of lines that wait for more to come, at most.
const WAITING_MAX: usize = 32 * 1024;

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
    client: (IpAddr, u16),
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
            client: (arrival.peer.ip().to_canonical(), arrival.peer.port()),
            is_https: arrival.https,
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
    /// Where the names are.
    live: Live,
}

/// A line.
#[derive(Serialize)]
struct Line<'a> {
    timestamp: Rfc3339Text,
    #[serde(rename = "http.request.method")]
    method: &'a str,
    #[serde(rename = "url.scheme")]
    scheme: &'static str,
    #[serde(rename = "url.path")]
    path: &'a str,
    #[serde(rename = "server.address", skip_serializing_if = "Option::is_none")]
    host: Option<&'a str>,
    #[serde(rename = "server.port", skip_serializing_if = "Option::is_none")]
    port: Option<u16>,
    #[serde(rename = "network.protocol.version")]
    version: &'static str,
    #[serde(rename = "client.address")]
    client: IpAddr,
    #[serde(rename = "client.port")]
    client_port: u16,
    #[serde(rename = "user_agent.original", skip_serializing_if = "Option::is_none")]
    user_agent: Option<&'a str>,
    #[serde(rename = "http.response.status_code", skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
    #[serde(rename = "error.type", skip_serializing_if = "Option::is_none")]
    error: Option<&'a str>,
    #[serde(rename = "http.request.body.size")]
    received: u64,
    #[serde(rename = "http.response.body.size")]
    sent: u64,
    #[serde(rename = "http.server.request.duration", serialize_with = "seconds")]
    total: Duration,
    #[serde(
        rename = "landbridge.gateway.duration",
        serialize_with = "optional_seconds",
        skip_serializing_if = "Option::is_none"
    )]
    gateway: Option<Duration>,
    #[serde(
        rename = "landbridge.upstream.duration",
        serialize_with = "optional_seconds",
        skip_serializing_if = "Option::is_none"
    )]
    upstream: Option<Duration>,
    #[serde(rename = "landbridge.upstream.retries", skip_serializing_if = "is_zero")]
    retries: u32,
    #[serde(rename = "landbridge.service", skip_serializing_if = "Option::is_none")]
    service: Option<String>,
    #[serde(rename = "landbridge.route", skip_serializing_if = "Option::is_none")]
    route: Option<String>,
    #[serde(rename = "landbridge.consumer.id", skip_serializing_if = "Option::is_none")]
    consumer: Option<Uuid>,
    request_id: &'a str,
}

impl AccessLog {
    /// Lines of requests, which go to `lines`. Names are those of the view in `live`.
    pub fn new(options: AccessLogOptions, lines: Arc<Lines>, clock: Clock, live: Live) -> Self {
        Self { options, lines, waiting: Vec::with_capacity(WAITING_MAX), count: 0, owed: 0, clock, live }
    }

    /// Writes the line of a request, if it gets one.
    pub fn write(&mut self, record: &Record, asked: &Asked) {
        let total = record.began.elapsed();
        if !self.wants(record, total) {
            return;
        }
        let names = record.route.map(|route| self.live.load().names(route));
        let (service, route) = names.unzip();
        let authority = asked.uri.authority().cloned();
        let authority = authority.or_else(|| Authority::try_from(asked.host.as_ref()?.as_bytes()).ok());
        let abandoned = (!record.is_complete).then_some("aborted");
        let line = Line {
            timestamp: Rfc3339Text(self.clock.now() - total),
            method: cut(asked.method.as_str()),
            scheme: if asked.is_https { "https" } else { "http" },
            path: cut(asked.uri.path()),
            host: authority.as_ref().map(|authority| cut(authority.host())),
            port: authority.as_ref().and_then(Authority::port_u16),
            version: version(asked.version),
            client: asked.client.0,
            client_port: asked.client.1,
            user_agent: asked.user_agent.as_ref().and_then(|agent| agent.to_str().ok()).map(cut),
            status: record.answered.map(|answered| answered.status.as_u16()),
            error: record.reason.or(abandoned),
            received: record.received,
            sent: record.sent,
            total,
            gateway: record.gateway(),
            upstream: record.at_upstream(),
            retries: record.upstream.map_or(0, |upstream| upstream.retries),
            service,
            route,
            consumer: record.consumer.as_ref().map(|identity| identity.consumer),
            request_id: asked.request_id.to_str().unwrap_or_default(),
        };
        // Into memory, and of texts and numbers: it cannot fail.
        if serde_json::to_writer(&mut self.waiting, &line).is_ok() {
            self.waiting.push(b'\n');
            self.count += 1;
        }
        if self.waiting.len() >= WAITING_MAX {
            self.flush();
        }
    }

    /// Hands over the lines that wait.
    pub fn flush(&mut self) {
        if !self.waiting.is_empty() {
            let lines = std::mem::replace(&mut self.waiting, Vec::with_capacity(WAITING_MAX));
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

/// A version of HTTP as OpenTelemetry has it.
pub fn version(version: Version) -> &'static str {
    match version {
        Version::HTTP_2 => "2",
        Version::HTTP_10 => "1.0",
        _ => "1.1",
    }
}

/// A time of day as RFC 3339 has it, in UTC and to the millisecond.
struct Rfc3339Text(OffsetDateTime);

impl Serialize for Rfc3339Text {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (at, month) = (self.0, u8::from(self.0.month()));
        serializer.collect_str(&format_args!(
            "{:04}-{month:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z",
            at.year(),
            at.day(),
            at.hour(),
            at.minute(),
            at.second(),
            at.millisecond()
        ))
    }
}

fn seconds<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    // To the microsecond.
    serializer.serialize_f64(duration.as_micros() as f64 / 1e6)
}

fn optional_seconds<S: Serializer>(duration: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
    seconds(&duration.unwrap_or_default(), serializer)
}

fn is_zero(count: &u32) -> bool {
    *count == 0
}

/// The beginning of a text that is too long.
fn cut(text: &str) -> &str {
    text.get(..text.floor_char_boundary(TEXT_MAX)).unwrap_or(text)
}
