//! A span for each proxied request, so that the gateway is visible in the traces of its clients and upstreams.
//!
//! Only where spans are exported. Elsewhere nothing happens, and the client's trace context (W3C `traceparent`) passes
//! through unchanged, like any other header. The same holds for a request whose client says that its trace is not sampled. A
//! request without a trace context begins a trace, or a share of them does (setting `trace_sample`); the exporter's sampler
//! (`OTEL_TRACES_SAMPLER`) decides whether it is kept.

use http::{HeaderMap, HeaderName, HeaderValue, Request, StatusCode};
use random::Random;
use tracing::Span;

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// The span of `request`, a child of the client's. `None` if the client's trace is not sampled, or if the request has none and is not
/// among the share `sample` of those that begin one.
pub fn span<B>(request: &Request<B>, request_id: &HeaderValue, sample: f64, random: &Random) -> Option<Span> {
    let parent = request.headers().get(TRACEPARENT).and_then(|value| value.to_str().ok());
    let is_wanted = match parent {
        Some(parent) => !is_unsampled(parent),
        None => sample >= 1.0 || (random.number() as f64) < sample * u64::MAX as f64,
    };
    if !is_wanted {
        return None;
    }
    let span = tracing::info_span!(
        "proxy request",
        otel.kind = "server",
        http.request.method = %request.method(),
        url.path = request.uri().path(),
        http.response.status_code = tracing::field::Empty,
        otel.status_code = tracing::field::Empty,
        landbridge.route = tracing::field::Empty,
        request_id = request_id.to_str().unwrap_or_default(),
    );
    if let Some(parent) = parent {
        telemetry::adopt(&span, parent);
    }
    Some(span)
}

/// Notes the id of the route that the current request found.
pub fn found(route: uuid::Uuid) {
    Span::current().record("landbridge.route", tracing::field::display(route));
}

/// Notes the answer. One of 500 and above is a failure of the server's, by OpenTelemetry's conventions.
pub fn ended(span: &Span, status: StatusCode) {
    span.record("http.response.status_code", status.as_u16());
    if status.is_server_error() {
        span.record("otel.status_code", "ERROR");
    }
}

/// Tells the upstream that the current span is its parent.
pub fn continue_trace(headers: &mut HeaderMap) {
    if let Ok(value) = HeaderValue::from_str(&telemetry::traceparent())
        && !value.is_empty()
    {
        headers.insert(TRACEPARENT, value);
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
