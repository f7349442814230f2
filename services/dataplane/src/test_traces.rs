//! For tests: the spans that this process has ended, in memory instead of at an OTLP receiver.

use std::{
    sync::{Arc, Mutex, OnceLock},
    time::{Duration, Instant},
};

use opentelemetry::trace::{SpanId, TracerProvider as _};
use opentelemetry_sdk::{
    error::OTelSdkResult,
    trace::{SdkTracerProvider, SpanData, SpanExporter},
};
use tracing_subscriber::{Layer as _, filter::LevelFilter, layer::SubscriberExt as _};

/// How long a span may take to end.
const DEADLINE: Duration = Duration::from_secs(10);

#[derive(Clone, Debug, Default)]
struct Ended(Arc<Mutex<Vec<SpanData>>>);

impl SpanExporter for Ended {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        self.0.lock().expect("lock").extend(batch);
        Ok(())
    }
}

/// A trace that a test begins: its id, and the id of the span that is the parent of everything.
pub struct TestTrace {
    id: u128,
    parent: u64,
}

impl TestTrace {
    /// A trace of its own for the test; `number` is the test's choice. Spans are collected from now on.
    pub fn new(number: u64) -> TestTrace {
        ended();
        TestTrace { id: u128::from(number) << 64 | 0x7e57, parent: 0x7e57_0000_0000_0000 | number }
    }

    /// As a header: version, trace, parent, flags.
    pub fn traceparent(&self, sampled: bool) -> String {
        format!("00-{:032x}-{:016x}-0{}", self.id, self.parent, u8::from(sampled))
    }

    /// The id of the span that is the parent of everything.
    pub fn parent(&self) -> SpanId {
        SpanId::from(self.parent)
    }

    /// The spans of this trace that have ended.
    pub fn spans(&self) -> Vec<SpanData> {
        let ended = ended().0.lock().expect("lock");
        let mine = |span: &&SpanData| span.span_context.trace_id() == self.id.into();
        ended.iter().filter(mine).cloned().collect()
    }

    /// Waits until a span called `name` has ended.
    pub async fn span(&self, name: &str) -> SpanData {
        let deadline = Instant::now() + DEADLINE;
        loop {
            if let Some(span) = self.spans().into_iter().find(|span| span.name == name) {
                return span;
            }
            assert!(Instant::now() < deadline, "no span `{name}` among {:?}", self.spans());
            tokio::task::yield_now().await;
        }
    }
}

/// The process's one collector.
fn ended() -> &'static Ended {
    static ENDED: OnceLock<Ended> = OnceLock::new();
    ENDED.get_or_init(|| {
        let ended = Ended::default();
        let provider = SdkTracerProvider::builder().with_simple_exporter(ended.clone()).build();
        let spans = tracing_opentelemetry::layer().with_tracer(provider.tracer("test"));
        let subscriber = tracing_subscriber::registry().with(spans.with_filter(LevelFilter::INFO));
        tracing::subscriber::set_global_default(subscriber).expect("the only subscriber of this process");
        ended
    })
}
