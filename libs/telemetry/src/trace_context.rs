//! One trace through HTTP, gRPC and NATS: the W3C trace context (`traceparent`) goes in and out with every message.

use std::collections::HashMap;

use opentelemetry::{
    Context,
    propagation::{Extractor, Injector, TextMapPropagator as _},
    trace::TraceContextExt as _,
};
use opentelemetry_sdk::propagation::TraceContextPropagator;
use tonic::{
    Request, Status,
    metadata::AsciiMetadataValue,
    service::{Interceptor, interceptor::InterceptedService},
    transport::Channel,
};
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

/// Headers as the carrier of a trace context.
pub(crate) struct Headers<'a>(pub &'a http::HeaderMap);

impl Extractor for Headers<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key)?.to_str().ok()
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(http::HeaderName::as_str).collect()
    }
}

#[derive(Default)]
struct Carrier(HashMap<String, String>);

impl Injector for Carrier {
    fn set(&mut self, key: &str, value: String) {
        self.0.insert(key.to_owned(), value);
    }
}

/// The current span's `traceparent`; empty outside a trace.
pub fn traceparent() -> String {
    let mut carrier = Carrier::default();
    TraceContextPropagator::new().inject_context(&Span::current().context(), &mut carrier);
    carrier.0.remove("traceparent").unwrap_or_default()
}

/// Makes `span` a child of the span that `traceparent` names, where that is valid. Has an effect only before `span` is
/// entered for the first time.
pub fn adopt(span: &Span, traceparent: &str) {
    // Fails where no traces are made at all.
    let _ = span.set_parent(read(traceparent));
}

/// Calls `span` by another name, also when it has been entered.
pub fn rename(span: &Span, name: String) {
    span.context().span().update_name(name);
}

/// Links `span` to the span that `traceparent` names, where that is valid: for a span that does the work of several traces at
/// once, and can be the child of one of them only.
pub fn link(span: &Span, traceparent: &str) {
    span.add_link(read(traceparent).span().span_context().clone());
}

/// Links `span` to `other`, a span of this process.
pub fn link_to(span: &Span, other: &Span) {
    span.add_link(other.context().span().span_context().clone());
}

/// The context that a `traceparent` describes; one without a span where it is not valid.
fn read(traceparent: &str) -> Context {
    let carrier = HashMap::from([("traceparent".to_owned(), traceparent.to_owned())]);
    // Not the propagator's default, which would fall back to the current span.
    TraceContextPropagator::new().extract_with_context(&Context::new(), &carrier)
}

/// A gRPC channel whose calls carry the caller's trace.
pub type TracedChannel = InterceptedService<Channel, TraceContext>;

/// Adds the current trace to every call.
#[derive(Clone, Copy, Debug, Default)]
pub struct TraceContext;

impl Interceptor for TraceContext {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Ok(value) = traceparent().parse::<AsciiMetadataValue>()
            && !value.is_empty()
        {
            request.metadata_mut().insert("traceparent", value);
        }
        Ok(request)
    }
}
