//! What a running process tells about itself: logs and traces, metrics, health. Used by every binary.

mod health;
mod metrics_page;
mod requests;
mod sql;
#[cfg(test)]
mod tests;
mod trace_context;

use std::{
    io::{self, IsTerminal as _},
    time::Duration,
};

use anyhow::Context as _;
pub use health::operator_router;
pub use metrics_page::{MILLISECONDS, Metrics, SECONDS, install as install_metrics};
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_otlp::WithExportConfig as _;
use opentelemetry_sdk::{Resource, propagation::TraceContextPropagator, trace::SdkTracerProvider};
pub use requests::{GrpcSpan, HttpSpan, grpc_trace_layer, http_trace_layer};
use settings::sections::{LogFormat, Telemetry};
use sql::SqlSpans;
pub use trace_context::{TraceContext, TracedChannel, adopt, link, link_to, rename, traceparent};
use tracing::{Level, level_filters::LevelFilter};
use tracing_subscriber::{
    EnvFilter, Layer as _, filter::Targets, layer::SubscriberExt as _, util::SubscriberInitExt as _,
};

/// How long a process waits for its last traces to leave, at its end.
const TRACE_FLUSH_TIMEOUT: Duration = Duration::from_secs(2);

/// Keeps the exporter alive; flushes it when dropped.
pub struct Guard(Option<SdkTracerProvider>);

impl Drop for Guard {
    fn drop(&mut self) {
        if let Some(provider) = self.0.take() {
            let _ = provider.shutdown_with_timeout(TRACE_FLUSH_TIMEOUT);
        }
    }
}

/// What a process does with trace context while it exports no traces itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unexported {
    /// Its spans have ids all the same, so that a trace passes through it: what it calls and writes is told of them.
    Relayed,
    /// It makes no spans.
    Nothing,
}

/// Starts logs, and traces where an OTLP endpoint is set. Call once, inside the runtime. `service` names this process.
pub fn init(service: &'static str, settings: &Telemetry, unexported: Unexported) -> anyhow::Result<Guard> {
    opentelemetry::global::set_text_map_propagator(TraceContextPropagator::new());
    let filter = EnvFilter::try_new(&settings.log).context("telemetry.log is not a log filter")?;
    // Colours are for terminals: files and collectors get text.
    let lines =
        tracing_subscriber::fmt::layer().with_writer(io::stderr).with_ansi(io::stderr().is_terminal());
    let lines = match settings.format {
        LogFormat::Text => lines.boxed(),
        LogFormat::Json => lines.json().flatten_event(true).boxed(),
    };

    let mut provider = SdkTracerProvider::builder()
        .with_resource(Resource::builder().with_service_name(format!("landbridge-{service}")).build());
    if let Some(endpoint) = &settings.otlp {
        let exporter = opentelemetry_otlp::SpanExporter::builder()
            .with_tonic()
            .with_endpoint(endpoint)
            .build()
            .context("telemetry.otlp is not a usable endpoint")?;
        provider = provider.with_batch_exporter(exporter);
    }
    let provider = provider.build();
    let tracer = provider.tracer(service);
    // What is logged has no part in this: a process that logs warnings only still passes traces on.
    // Where in the code a span was made, and on which thread, its name says well enough; and each entry would take the time.
    let spans = tracing_opentelemetry::layer()
        .with_location(false)
        .with_threads(false)
        .with_tracked_inactivity(false)
        .with_tracer(tracer.clone())
        .with_filter(LevelFilter::INFO);
    let spans = (settings.otlp.is_some() || unexported == Unexported::Relayed).then_some(spans);
    let is_sql = Targets::new().with_target(sql::TARGET, Level::DEBUG);
    let statements = settings.otlp.is_some().then(|| SqlSpans(tracer).with_filter(is_sql));
    tracing_subscriber::registry().with(lines.with_filter(filter)).with(spans).with(statements).init();
    Ok(Guard(Some(provider)))
}
