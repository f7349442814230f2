//! A span for each SQL statement, in one place for all services: sqlx tells of every statement when it has ended, as an event,
//! and a layer of the subscriber makes a span of it that began as long ago as the statement took.
//!
//! Only statements within a trace that is recorded get a span: what a service asks its database of its own accord, such as a
//! poll, is no part of any trace. Texts of statements hold placeholders, never values.

use std::{
    fmt::Debug,
    time::{Duration, SystemTime},
};

use opentelemetry::{
    Context as TraceContext, KeyValue,
    trace::{Span as _, SpanKind, TraceContextExt as _, Tracer as _},
};
use opentelemetry_sdk::trace::SdkTracer;
use tracing::{
    Event, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::layer::{Context, Layer};

/// Target of sqlx's events.
pub const TARGET: &str = "sqlx::query";

/// Makes spans of sqlx's events.
pub struct SqlSpans(pub SdkTracer);

impl<S: Subscriber> Layer<S> for SqlSpans {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let parent = TraceContext::current();
        if event.metadata().target() != TARGET || !parent.span().span_context().is_sampled() {
            return;
        }
        let mut statement = Statement::default();
        event.record(&mut statement);
        let ended = now();
        let mut attributes = vec![KeyValue::new("db.system.name", "postgresql")];
        let text = statement.text.trim();
        let summary = statement.summary.trim_end_matches(" …").to_owned();
        attributes.push(KeyValue::new(
            "db.query.text",
            if text.is_empty() { summary.clone() } else { text.to_owned() },
        ));
        attributes.push(KeyValue::new("db.response.returned_rows", statement.rows_returned));
        let mut span = self
            .0
            .span_builder(summary)
            .with_kind(SpanKind::Client)
            .with_start_time(ended.checked_sub(statement.took).unwrap_or(ended))
            .with_attributes(attributes)
            .start_with_context(&self.0, &parent);
        span.end_with_timestamp(ended);
    }
}

/// The moment on the clock that spans are dated by.
#[expect(clippy::disallowed_methods, reason = "dates a span, as OpenTelemetry itself does")]
fn now() -> SystemTime {
    SystemTime::now()
}

/// What sqlx tells of a statement.
#[derive(Default)]
struct Statement {
    /// Its first words.
    summary: String,
    /// The whole of it; empty where the summary is the whole.
    text: String,
    rows_returned: i64,
    took: Duration,
}

impl Visit for Statement {
    fn record_f64(&mut self, field: &Field, value: f64) {
        if field.name() == "elapsed_secs" {
            self.took = Duration::try_from_secs_f64(value).unwrap_or_default();
        }
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        if field.name() == "rows_returned" {
            self.rows_returned = i64::try_from(value).unwrap_or(i64::MAX);
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "summary" => value.clone_into(&mut self.summary),
            "db.statement" => value.clone_into(&mut self.text),
            _ => {}
        }
    }

    fn record_debug(&mut self, _: &Field, _: &dyn Debug) {}
}
