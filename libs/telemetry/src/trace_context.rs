//! One trace through HTTP, gRPC and NATS: the W3C trace context (`traceparent`) goes in and out with every message.

use std::collections::HashMap;

use opentelemetry::propagation::{Extractor, Injector, TextMapPropagator as _};
use opentelemetry_sdk::propagation::TraceContextPropagator;
use tonic::{
    Request, Status,
    metadata::AsciiMetadataValue,
    service::{Interceptor, interceptor::InterceptedService},
    transport::Channel,
};
use tower_http::{
    classify::{GrpcErrorsAsFailures, ServerErrorsAsFailures, SharedClassifier},
    trace::{DefaultOnRequest, MakeSpan, TraceLayer},
};
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

/// Header that names a request across the parts it passes.
const REQUEST_ID: &str = "x-request-id";

struct Headers<'a>(&'a http::HeaderMap);

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

/// Makes `span` a child of the trace named by `traceparent`, where that is valid.
pub fn adopt(span: &Span, traceparent: &str) {
    let carrier = HashMap::from([("traceparent".to_owned(), traceparent.to_owned())]);
    let _ = span.set_parent(TraceContextPropagator::new().extract(&carrier));
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

/// Opens a span for each HTTP or gRPC request, as a child of the caller's.
#[derive(Clone)]
pub struct RequestSpan;

impl<B> MakeSpan<B> for RequestSpan {
    fn make_span(&mut self, request: &http::Request<B>) -> Span {
        let request_id =
            request.headers().get(REQUEST_ID).and_then(|id| id.to_str().ok()).unwrap_or_default();
        let span = tracing::info_span!(
            "request",
            method = %request.method(),
            path = request.uri().path(),
            request_id,
            otel.kind = "server"
        );
        let _ = span.set_parent(TraceContextPropagator::new().extract(&Headers(request.headers())));
        span
    }
}

/// A span per request, logged at debug level; server errors are logged as failures.
pub fn http_trace_layer() -> TraceLayer<SharedClassifier<ServerErrorsAsFailures>, RequestSpan> {
    TraceLayer::new_for_http()
        .make_span_with(RequestSpan)
        .on_request(DefaultOnRequest::new().level(tracing::Level::DEBUG))
}

/// The same for gRPC.
pub fn grpc_trace_layer() -> TraceLayer<SharedClassifier<GrpcErrorsAsFailures>, RequestSpan> {
    TraceLayer::new_for_grpc()
        .make_span_with(RequestSpan)
        .on_request(DefaultOnRequest::new().level(tracing::Level::DEBUG))
}
