use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{Router, body::Body, http::StatusCode, routing::put};
use opentelemetry::trace::{SpanId, SpanKind, Status, TraceId, TracerProvider as _};
use opentelemetry_sdk::{
    error::OTelSdkResult,
    trace::{SdkTracerProvider, SpanData, SpanExporter},
};
use tower::ServiceExt as _;
use tracing::{Instrument as _, subscriber::DefaultGuard};
use tracing_subscriber::layer::SubscriberExt as _;

use crate::{SqlSpans, adopt, http_trace_layer, link, traceparent};

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const PARENT: &str = "b7ad6b7169203331";

fn from_parent() -> String {
    format!("00-{TRACE}-{PARENT}-01")
}

/// Keeps what would be exported.
#[derive(Clone, Debug, Default)]
struct Kept(Arc<Mutex<Vec<SpanData>>>);

impl SpanExporter for Kept {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        self.0.lock().expect("no panic").extend(batch);
        Ok(())
    }
}

impl Kept {
    fn named(&self, name: &str) -> SpanData {
        let spans = self.0.lock().expect("no panic");
        let found = spans.iter().find(|span| span.name == name);
        found.unwrap_or_else(|| panic!("no span {name} in {spans:?}")).clone()
    }
}

/// Traces on this thread go to what is answered, until the guard is dropped.
fn traced() -> (Kept, DefaultGuard) {
    let kept = Kept::default();
    let tracer = SdkTracerProvider::builder().with_simple_exporter(kept.clone()).build().tracer("test");
    let spans = tracing_opentelemetry::layer().with_tracer(tracer.clone());
    let subscriber = tracing_subscriber::registry().with(spans).with(SqlSpans(tracer));
    (kept, tracing::subscriber::set_default(subscriber))
}

fn attribute(span: &SpanData, name: &str) -> String {
    let found = span.attributes.iter().find(|attribute| attribute.key.as_str() == name);
    found.map(|attribute| attribute.value.to_string()).unwrap_or_default()
}

#[tokio::test]
async fn a_request_has_a_span_named_by_its_route_below_the_callers() {
    let (kept, _guard) = traced();
    let router = Router::new()
        .route("/things/{id}", put(|| async { StatusCode::SERVICE_UNAVAILABLE }))
        .layer(http_trace_layer());
    let request = http::Request::put("/things/7")
        .header("traceparent", from_parent())
        .header("x-request-id", "r1")
        .body(Body::empty())
        .expect("request");
    router.oneshot(request).await.expect("an answer");

    let span = kept.named("PUT /things/{id}");
    assert_eq!(span.span_kind, SpanKind::Server);
    assert_eq!(span.span_context.trace_id(), TraceId::from_hex(TRACE).expect("an id"));
    assert_eq!(span.parent_span_id, SpanId::from_hex(PARENT).expect("an id"));
    let expected = [
        ("http.request.method", "PUT"),
        ("http.route", "/things/{id}"),
        ("url.path", "/things/7"),
        ("http.response.status_code", "503"),
        ("request_id", "r1"),
    ];
    for (name, value) in expected {
        assert_eq!(attribute(&span, name), value, "{name}");
    }
    assert!(matches!(span.status, Status::Error { .. }), "a server error is an error of the span");
}

#[tokio::test]
async fn a_trace_goes_out_as_it_came_in_and_further_ones_are_linked() {
    let (kept, _guard) = traced();
    let span = tracing::info_span!("work");
    adopt(&span, &from_parent());
    let other = format!("00-{}-{PARENT}-01", "1".repeat(32));
    link(&span, &other);
    link(&span, "nonsense");
    let sent = async { traceparent() }.instrument(span).await;

    let span = kept.named("work");
    assert_eq!(sent, format!("00-{TRACE}-{}-01", span.span_context.span_id()));
    let links: Vec<_> = span.links.iter().map(|link| link.span_context.trace_id().to_string()).collect();
    assert_eq!(links, ["1".repeat(32)], "what cannot be read links to nothing");
    assert_eq!(traceparent(), "", "there is no trace outside");
}

#[tokio::test]
async fn a_statement_within_a_trace_has_a_span_of_its_own_length() {
    let (kept, _guard) = traced();
    let tell = |summary: &str| {
        // As sqlx does, when the statement has ended.
        tracing::debug!(
            target: "sqlx::query",
            summary,
            db.statement = "\n\nSELECT a FROM b WHERE c = $1\n",
            rows_returned = 3_u64,
            elapsed_secs = 0.25,
        );
    };
    tell("SELECT outside");
    tracing::info_span!("work").in_scope(|| tell("SELECT a FROM b …"));

    let (work, statement) = (kept.named("work"), kept.named("SELECT a FROM b"));
    assert_eq!(statement.span_kind, SpanKind::Client);
    assert_eq!(statement.parent_span_id, work.span_context.span_id());
    assert_eq!(attribute(&statement, "db.query.text"), "SELECT a FROM b WHERE c = $1");
    assert_eq!(attribute(&statement, "db.response.returned_rows"), "3");
    let took = statement.end_time.duration_since(statement.start_time).expect("it ended after it began");
    assert_eq!(took, Duration::from_millis(250));
    assert_eq!(kept.0.lock().expect("no panic").len(), 2, "a statement outside of a trace has none");
}
