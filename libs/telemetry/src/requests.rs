//! A span for each request that is served, named and described as OpenTelemetry's conventions say, child of the caller's span.
//!
//! HTTP: the name is method and path template, as in `PUT /v2/control-planes/{control_plane_id}`. gRPC: the name is the full
//! method, as in `landbridge.authz.v1.Authz/Check`. Conventions: <https://opentelemetry.io/docs/specs/semconv/>.

use std::{error::Error, fmt::Display, time::Duration};

use axum::extract::MatchedPath;
use opentelemetry::propagation::TextMapPropagator as _;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use tower_http::{
    classify::{
        GrpcCode, GrpcErrorsAsFailures, GrpcFailureClass, ServerErrorsAsFailures, ServerErrorsFailureClass,
        SharedClassifier,
    },
    trace::{
        DefaultOnBodyChunk, DefaultOnEos, DefaultOnFailure, DefaultOnRequest, DefaultOnResponse, MakeSpan,
        OnFailure, OnResponse, TraceLayer,
    },
};
use tracing::{Level, Span, field::Empty};
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

use crate::trace_context::Headers;

/// Header that names a request across the parts it passes.
const REQUEST_ID: &str = "x-request-id";

type Layer<Classifier, Make> = TraceLayer<
    SharedClassifier<Classifier>,
    Make,
    DefaultOnRequest,
    Answered,
    DefaultOnBodyChunk,
    DefaultOnEos,
    Failed,
>;

/// A span per HTTP request. Requests are logged at debug level; server errors are logged as failures. Layer it on a router,
/// whose routes give the spans their names.
pub fn http_trace_layer() -> Layer<ServerErrorsAsFailures, HttpSpan> {
    TraceLayer::new_for_http()
        .make_span_with(HttpSpan)
        .on_request(DefaultOnRequest::new().level(Level::DEBUG))
        .on_response(Answered::default())
        .on_failure(Failed::default())
}

/// The same for gRPC. What a caller did wrong, or asked too early, is an answer and no failure of the server: the codes that
/// OpenTelemetry counts as errors of a server are the others.
pub fn grpc_trace_layer() -> Layer<GrpcErrorsAsFailures, GrpcSpan> {
    let expected = [
        GrpcCode::Cancelled,
        GrpcCode::InvalidArgument,
        GrpcCode::NotFound,
        GrpcCode::AlreadyExists,
        GrpcCode::PermissionDenied,
        GrpcCode::ResourceExhausted,
        GrpcCode::FailedPrecondition,
        GrpcCode::Aborted,
        GrpcCode::OutOfRange,
        GrpcCode::Unauthenticated,
    ];
    let classifier =
        expected.into_iter().fold(GrpcErrorsAsFailures::new(), GrpcErrorsAsFailures::with_success);
    TraceLayer::new(SharedClassifier::new(classifier))
        .make_span_with(GrpcSpan)
        .on_request(DefaultOnRequest::new().level(Level::DEBUG))
        .on_response(Answered::default())
        .on_failure(Failed::default())
}

/// Makes the span of an HTTP request.
#[derive(Clone, Copy, Debug)]
pub struct HttpSpan;

impl<B> MakeSpan<B> for HttpSpan {
    fn make_span(&mut self, request: &http::Request<B>) -> Span {
        let route = request.extensions().get::<MatchedPath>().map(MatchedPath::as_str);
        let method = request.method().as_str();
        let name = route.map_or_else(|| method.to_owned(), |route| format!("{method} {route}"));
        let span = tracing::info_span!(
            "request",
            otel.name = name,
            otel.kind = "server",
            otel.status_code = Empty,
            http.request.method = method,
            http.route = route,
            http.response.status_code = Empty,
            url.path = request.uri().path(),
            request_id = request_id(request),
        );
        continue_trace(&span, request);
        span
    }
}

/// Makes the span of a gRPC request.
#[derive(Clone, Copy, Debug)]
pub struct GrpcSpan;

impl<B> MakeSpan<B> for GrpcSpan {
    fn make_span(&mut self, request: &http::Request<B>) -> Span {
        let span = tracing::info_span!(
            "request",
            otel.name = request.uri().path().trim_start_matches('/'),
            otel.kind = "server",
            otel.status_code = Empty,
            rpc.system.name = "grpc",
            rpc.method = request.uri().path().trim_start_matches('/'),
            http.response.status_code = Empty,
            request_id = request_id(request),
        );
        continue_trace(&span, request);
        span
    }
}

fn request_id<B>(request: &http::Request<B>) -> Option<&str> {
    request.headers().get(REQUEST_ID)?.to_str().ok()
}

fn continue_trace<B>(span: &Span, request: &http::Request<B>) {
    // Fails only where no traces are made at all.
    let _ = span.set_parent(TraceContextPropagator::new().extract(&Headers(request.headers())));
}

/// Notes the status of an answer in its request's span. Logs why a call over gRPC was refused, where the refusal carries that.
#[derive(Clone, Debug, Default)]
pub struct Answered(DefaultOnResponse);

impl<B> OnResponse<B> for Answered {
    fn on_response(self, response: &http::Response<B>, latency: Duration, span: &Span) {
        span.record("http.response.status_code", response.status().as_u16());
        if let Some(cause) = response.extensions().get::<tonic::Status>().and_then(Error::source) {
            tracing::warn!(cause, "refused");
        }
        self.0.on_response(response, latency, span);
    }
}

/// Notes in its span that a request failed for a fault of the server's, and logs it. "Not now" is logged at debug level: anybody can
/// bring it about, for example with a made-up token that names a far place in a log. Where it has a cause that an operator wants to
/// know, whoever knows the cause logs that.
#[derive(Clone, Debug, Default)]
pub struct Failed(DefaultOnFailure);

/// A class of failures.
pub trait Failure: Display {
    /// Whether the request only has to be sent again.
    fn is_not_now(&self) -> bool;
}

impl Failure for ServerErrorsFailureClass {
    fn is_not_now(&self) -> bool {
        matches!(self, Self::StatusCode(http::StatusCode::SERVICE_UNAVAILABLE))
    }
}

impl Failure for GrpcFailureClass {
    fn is_not_now(&self) -> bool {
        matches!(self, Self::Code(code) if code.get() == tonic::Code::Unavailable as i32)
    }
}

impl<F: Failure> OnFailure<F> for Failed {
    fn on_failure(&mut self, failure: F, latency: Duration, span: &Span) {
        span.record("otel.status_code", "ERROR");
        if failure.is_not_now() {
            tracing::debug!(classification = %failure, latency_ms = latency.as_millis(), "not now");
        } else {
            self.0.on_failure(failure, latency, span);
        }
    }
}
