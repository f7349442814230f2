//! Prometheus metrics: recorded through the `metrics` facade anywhere, rendered here.

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};

/// Upper bounds of histogram buckets, in seconds: from a tenth of a millisecond to ten seconds.
const SECONDS: [f64; 16] = [
    0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
];

/// Renders what has been recorded.
#[derive(Clone)]
pub struct Metrics(PrometheusHandle);

impl Metrics {
    /// The page, in the text format of Prometheus.
    pub fn render(&self) -> String {
        self.0.run_upkeep();
        self.0.render()
    }
}

/// Makes this the process's recorder. Histograms are named `…_seconds`.
pub fn install() -> anyhow::Result<Metrics> {
    let handle = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &SECONDS)?
        .install_recorder()?;
    Ok(Metrics(handle))
}
