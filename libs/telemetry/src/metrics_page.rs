//! Prometheus metrics: recorded through the `metrics` facade anywhere, rendered here.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};

/// How often what histograms have recorded is put into their buckets. Until then each recorded value takes memory.
const UPKEEP_INTERVAL: Duration = Duration::from_secs(5);

/// Upper bounds of histogram buckets, in seconds: from a tenth of a millisecond to ten seconds.
pub const SECONDS: [f64; 16] = [
    0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
];

/// The same for histograms in milliseconds, whose names are Kong's: the bounds that Kong has, together.
pub const MILLISECONDS: [f64; 27] = [
    1.0, 2.0, 5.0, 7.0, 10.0, 15.0, 20.0, 25.0, 30.0, 50.0, 75.0, 80.0, 100.0, 200.0, 250.0, 400.0, 500.0,
    700.0, 750.0, 1_000.0, 2_000.0, 3_000.0, 5_000.0, 6_000.0, 10_000.0, 30_000.0, 60_000.0,
];

/// Renders what has been recorded.
#[derive(Clone)]
pub struct Metrics {
    recorder: PrometheusHandle,
    /// Called before the page is rendered.
    sources: Arc<Mutex<Vec<Source>>>,
}

type Source = Box<dyn Fn() + Send>;

impl Metrics {
    /// The page, in the text format of Prometheus.
    pub fn render(&self) -> String {
        self.sources.lock().unwrap_or_else(PoisonError::into_inner).iter().for_each(|source| source());
        self.recorder.run_upkeep();
        self.recorder.render()
    }

    /// Calls `source` each time before the page is rendered. For what is counted apart from the facade, and brought into it then.
    pub fn add_source(&self, source: impl Fn() + Send + 'static) {
        self.sources.lock().unwrap_or_else(PoisonError::into_inner).push(Box::new(source));
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Metrics")
    }
}

/// Makes this the process's recorder. Histograms are named `…_seconds`, or `…_ms`. Called in a runtime, which keeps the recorder's memory small.
pub fn install() -> anyhow::Result<Metrics> {
    let recorder = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &SECONDS)?
        .set_buckets_for_metric(Matcher::Suffix("_ms".to_owned()), &MILLISECONDS)?
        .install_recorder()?;
    let kept = recorder.clone();
    tokio::spawn(async move {
        let mut ticks = tokio::time::interval(UPKEEP_INTERVAL);
        loop {
            ticks.tick().await;
            kept.run_upkeep();
        }
    });
    Ok(Metrics { recorder, sources: Arc::default() })
}
