//! A request as a span, and spans as a request to a collector. Attributes have the names of OpenTelemetry's conventions for HTTP.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use opentelemetry_proto::tonic::{
    common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value::Value},
    resource::v1::Resource,
    trace::v1::{Span, Status, span::SpanKind, status::StatusCode},
};
use prost::Message;

use super::{Attributes, Begun};
use crate::plugins::{CONSUMER_USERNAME, Transaction};

/// `ExportTraceServiceRequest`, whose spans are encoded already: a message within a message is written as bytes.
#[derive(Clone, PartialEq, Message)]
struct Request {
    #[prost(message, repeated, tag = "1")]
    resource_spans: Vec<ResourceSpans>,
}

#[derive(Clone, PartialEq, Message)]
struct ResourceSpans {
    #[prost(message, optional, tag = "1")]
    resource: Option<Resource>,
    #[prost(message, repeated, tag = "2")]
    scope_spans: Vec<ScopeSpans>,
}

#[derive(Clone, PartialEq, Message)]
struct ScopeSpans {
    #[prost(message, optional, tag = "1")]
    scope: Option<InstrumentationScope>,
    #[prost(bytes = "bytes", repeated, tag = "2")]
    spans: Vec<Bytes>,
}

/// What is said of the gateway.
pub fn resource(attributes: &Attributes) -> Resource {
    let named = attributes.contains_key("service.name");
    let usual = (!named).then(|| text("service.name", "landbridge"));
    let given = attributes.iter().map(|(name, value)| text(name, value));
    Resource { attributes: usual.into_iter().chain(given).collect(), ..Resource::default() }
}

/// The body of a request with `spans`.
pub fn request(resource: &Resource, spans: &[Bytes]) -> Bytes {
    let scope = InstrumentationScope { name: "landbridge".to_owned(), ..InstrumentationScope::default() };
    let scope_spans = vec![ScopeSpans { scope: Some(scope), spans: spans.to_vec() }];
    let resource_spans = vec![ResourceSpans { resource: Some(resource.clone()), scope_spans }];
    Request { resource_spans }.encode_to_vec().into()
}

/// The span of a request that is over.
pub fn of(begun: &Begun, transaction: &Transaction<'_>) -> Bytes {
    let Transaction { asked, place, .. } = transaction;
    let status = transaction.answer.map(|(status, _)| *status);
    let authority = String::from_utf8_lossy(asked.authority.as_bytes());
    let mut attributes = vec![
        text("http.request.method", asked.method.as_str()),
        text("url.scheme", if asked.peer.1 { "https" } else { "http" }),
        text("url.path", asked.uri.path()),
        text("server.address", &authority),
        text("client.address", &asked.client.to_string()),
        text("http.route", place.route_name),
        text("landbridge.route.id", &place.route.to_string()),
    ];
    if let Some(service) = place.service {
        attributes.push(text("landbridge.service.name", place.service_name));
        attributes.push(text("landbridge.service.id", &service.to_string()));
    }
    if let Some(name) = transaction.consumer.and_then(|identity| identity.says(&CONSUMER_USERNAME)) {
        attributes.push(text("landbridge.consumer", &String::from_utf8_lossy(name.as_bytes())));
    }
    let number = |name: &str, value: u64| KeyValue {
        key: name.to_owned(),
        value: Some(AnyValue { value: Some(Value::IntValue(value.cast_signed())) }),
        ..KeyValue::default()
    };
    attributes.extend(status.map(|status| number("http.response.status_code", status.as_u16().into())));
    attributes.push(number("http.request.body.size", transaction.received));
    attributes.push(number("http.response.body.size", transaction.sent));
    attributes.push(number("landbridge.tries", transaction.tries.into()));
    let micros = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
    attributes.extend(transaction.gateway.map(|time| number("landbridge.gateway_us", micros(time))));
    attributes.extend(transaction.upstream.map(|time| number("landbridge.upstream_us", micros(time))));
    attributes.extend(transaction.reason.map(|reason| text("error.type", reason)));
    // A failure of the server's, by the conventions; a client that goes away is none.
    let is_error = status.is_some_and(|status| status.is_server_error());
    let span = Span {
        trace_id: begun.context.trace.to_vec(),
        span_id: begun.context.span.to_vec(),
        parent_span_id: begun.parent.map(Vec::from).unwrap_or_default(),
        flags: 1,
        name: format!("{} {}", asked.method, place.route_name),
        kind: SpanKind::Server.into(),
        start_time_unix_nano: nanos(transaction.began),
        end_time_unix_nano: nanos(transaction.began + transaction.total),
        attributes,
        status: is_error.then(|| Status { code: StatusCode::Error.into(), ..Status::default() }),
        ..Span::default()
    };
    span.encode_to_vec().into()
}

fn text(name: &str, value: &str) -> KeyValue {
    let value = Some(AnyValue { value: Some(Value::StringValue(value.to_owned())) });
    KeyValue { key: name.to_owned(), value, ..KeyValue::default() }
}

fn nanos(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}
