//! A span for each proxied request, so that the gateway is visible in the traces of its clients and upstreams.
//!
//! Only where spans are exported. Elsewhere nothing happens, and the client's trace context (W3C `traceparent`) passes
//! through unchanged, like any other header. The same holds for a request whose client says that its trace is not sampled. A
//! request without a trace context begins a trace, or a share of them does (setting `trace_sample`); the exporter's sampler
//! (`OTEL_TRACES_SAMPLER`) decides whether it is kept.

use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode, uri::Authority};
use random::Random;
use tracing::{Span, field::Empty};
use uuid::Uuid;

use super::access_log::version;
use crate::proxy::connection::ClientConnection;

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// The span of `request`, a child of the client's. `None` if the client's trace is not sampled, or if the request has none and is not
/// among the share `sample` of those that begin one.
pub fn span<B>(
    connection: &ClientConnection,
    request: &Request<B>,
    request_id: &HeaderValue,
    (sample, random): (f64, &Random),
) -> Option<Span> {
    let parent = request.headers().get(TRACEPARENT).and_then(|value| value.to_str().ok());
    let is_wanted = match parent {
        Some(parent) => !is_unsampled(parent),
        None => sample >= 1.0 || (random.number() as f64) < sample * u64::MAX as f64,
    };
    if !is_wanted {
        return None;
    }
    let arrival = &connection.arrival;
    let span = tracing::info_span!(
        "proxy request",
        otel.name = request.method().as_str(),
        otel.kind = "server",
        otel.status_code = Empty,
        http.request.method = request.method().as_str(),
        url.scheme = if arrival.https { "https" } else { "http" },
        url.path = request.uri().path(),
        network.protocol.version = version(request.version()),
        client.address = %arrival.peer.ip().to_canonical(),
        http.response.status_code = Empty,
        error.type = Empty,
        landbridge.route = Empty,
        request_id = request_id.to_str().unwrap_or_default(),
    );
    if let Some(parent) = parent {
        telemetry::adopt(&span, parent);
    }
    Some(span)
}

/// Notes the route that the current request found, and that people call `name`. Spans are called by method and route, as the conventions
/// have it.
pub fn found(method: &Method, route: Uuid, name: &str) {
    let span = Span::current();
    // Most requests are in no trace.
    if span.is_none() {
        return;
    }
    span.record("landbridge.route", tracing::field::display(route));
    telemetry::rename(&span, format!("{method} {name}"));
}

/// A span for the way to the upstream and back, whose parent is the current one, and of which `headers` tell the upstream; `None` if there is
/// no current one: then the client's context passes unchanged.
pub fn upstream(method: &Method, destination: &Authority, headers: &mut HeaderMap) -> Option<Span> {
    if Span::current().is_none() {
        return None;
    }
    let span = tracing::info_span!(
        "upstream",
        otel.name = method.as_str(),
        otel.kind = "client",
        http.request.method = method.as_str(),
        server.address = destination.host(),
        server.port = destination.port_u16(),
    );
    if let Ok(value) = HeaderValue::from_str(&span.in_scope(telemetry::traceparent))
        && !value.is_empty()
    {
        headers.insert(TRACEPARENT, value);
    }
    Some(span)
}

/// Notes the answer, and why it is the gateway's own. One of 500 and above is a failure of the server's, by OpenTelemetry's conventions.
pub fn ended(span: &Span, status: StatusCode, reason: Option<&str>) {
    span.record("http.response.status_code", status.as_u16());
    if let Some(reason) = reason {
        span.record("error.type", reason);
    }
    if status.is_server_error() {
        span.record("otel.status_code", "ERROR");
    }
}

/// Whether `traceparent` is valid and says that its trace is not recorded. The flags are its last field, in hexadecimal; bit 0
/// is "sampled" (W3C Trace Context, section 3.2.2.5).
fn is_unsampled(traceparent: &str) -> bool {
    let fields: Vec<&str> = traceparent.split('-').collect();
    let [_, trace, parent, flags, ..] = fields.as_slice() else { return false };
    let flags = u8::from_str_radix(flags, 16);
    (trace.len(), parent.len()) == (32, 16) && flags.is_ok_and(|flags| flags & 1 == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_valid_context_can_say_that_it_is_unsampled() {
        let ids = "0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331";
        for (text, unsampled) in [
            (format!("00-{ids}-00"), true),
            (format!("00-{ids}-02"), true),
            (format!("00-{ids}-01"), false),
            (format!("00-{ids}-zz"), false),
            (format!("00-{ids}"), false),
            ("00-1-2-00".to_owned(), false),
            (String::new(), false),
        ] {
            assert_eq!(is_unsampled(&text), unsampled, "{text}");
        }
    }
}
