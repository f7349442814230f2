//! Settings of `prometheus`: metrics as Kong's, beside the gateway's own.

use super::PluginSettings;
use crate::record::{Rules, boolean, fixed, record};

record! {
    /// Settings of `prometheus`. The metrics stand on the page `/metrics` of the admin port, whether or not this plugin runs; it adds those
    /// that Kong has, under their names.
    pub struct Config {
        /// Whether requests and bytes are also counted by consumer.
        pub per_consumer: bool = boolean(false),
        /// Whether requests are counted by status: `kong_http_requests_total`.
        pub status_code_metrics: bool = boolean(false),
        /// Whether times are measured: `kong_kong_latency_ms`, `kong_upstream_latency_ms`, `kong_request_latency_ms`.
        pub latency_metrics: bool = boolean(false),
        /// Whether bytes are counted: `kong_bandwidth_bytes`.
        pub bandwidth_metrics: bool = boolean(false),
        /// Whether the health of targets is shown: `kong_upstream_target_health`.
        pub upstream_health_metrics: bool = boolean(false),
    }
    besides {
        ai_metrics = fixed(false, "no requests to language models are told apart; remove it"),
        wasm_metrics = fixed(false, "no WebAssembly runs here; remove it"),
    }
}

impl PluginSettings for Config {
    const NAME: &'static str = "prometheus";
}

impl Rules for Config {}
