//! Settings of `opentelemetry`: a span for each request is sent to a collector.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{PluginSettings, http_log::URL, queue::{Queue, SpanQueue}};
use crate::record::{
    Fields, Rules, Secret, SecretMap, absent, integer, object, optional_decimal, optional_integer, record, sealed, sealed_map,
    text, text_map, word, words,
};
use crate::rules::{HEADER_NAME, HEADER_VALUE, NAME};

words! {
    /// How headers tell of a trace.
    pub enum Format {
        /// `traceparent` and `tracestate` of the W3C.
        W3c = "w3c",
        /// Zipkin's `X-B3-…`.
        B3 = "b3",
        /// Zipkin's `b3`.
        B3Single = "b3-single",
    }
}

words! {
    /// Which headers tell of a trace.
    pub enum HeaderType {
        /// Those of the request; `traceparent` where it has none.
        Preserve = "preserve",
        /// What a request says is not listened to.
        Ignore = "ignore",
        /// `traceparent` and `tracestate` of the W3C, beside those of the request.
        W3c = "w3c",
        /// Zipkin's `X-B3-…`, beside those of the request.
        B3 = "b3",
        /// Zipkin's `b3`, beside those of the request.
        B3Single = "b3-single",
    }
}

words! {
    /// Which requests are traced, where a request says something of it.
    pub enum SamplingStrategy {
        /// One that says no is not; of the others, the share `sampling_rate` is.
        ParentDrop = "parent_drop_probability_fallback",
        /// As the request says; of those that say nothing, the share `sampling_rate` is.
        Parent = "parent_probability_fallback",
    }
}

record! {
    /// Settings of `opentelemetry`. Each request that is traced becomes a span, which is sent as OTLP over HTTP; the upstream is told of it. One of
    /// `traces_endpoint` and `endpoint` is required.
    pub struct Config {
        /// Where spans are sent, such as `https://collector.example.com/v1/traces`.
        pub traces_endpoint: Option<Secret> = sealed("traces_endpoint_sealed", URL),
        /// Kong's earlier name of `traces_endpoint`.
        pub endpoint: Option<Secret> = sealed("endpoint_sealed", URL),
        /// Further headers of the requests.
        pub headers: SecretMap = sealed_map("headers_sealed", HEADER_NAME, HEADER_VALUE),
        /// What is said of this gateway. `service.name` is `landbridge` where nothing is said.
        pub resource_attributes: BTreeMap<String, String> = text_map(NAME, HEADER_VALUE),
        /// How spans are kept until they are sent.
        pub queue: SpanQueue = object(),
        /// Kong's earlier name of `queue.max_batch_size`. Counts unless it is 200.
        pub batch_span_count: Option<u32> = optional_integer(1..=1_000_000),
        /// Kong's earlier name of `queue.max_coalescing_delay`. Counts unless it is 3.
        pub batch_flush_delay: Option<f64> = optional_decimal(0.0..=3600.0),
        /// Milliseconds that connecting may take.
        pub connect_timeout: u32 = integer(1_000, 0..=2_147_483_646),
        /// Milliseconds that sending may take.
        pub send_timeout: u32 = integer(5_000, 0..=2_147_483_646),
        /// Milliseconds that the answer may take.
        pub read_timeout: u32 = integer(5_000, 0..=2_147_483_646),
        /// The header by which the client is told the trace's id.
        pub http_response_header_for_traceid: Option<String> = text(HEADER_NAME),
        /// Which headers tell of a trace.
        pub header_type: HeaderType = word(HeaderType::Preserve),
        /// The share of the requests that is traced, from 0 to 1; all where nothing is said.
        pub sampling_rate: Option<f64> = optional_decimal(0.0..=1.0),
        /// What a request's own word counts.
        pub sampling_strategy: SamplingStrategy = word(SamplingStrategy::ParentDrop),
        /// The format that begins where a request has none.
        pub propagation: Propagation = object(),
    }
    besides {
        logs_endpoint = absent("no Lua runs here, whose logs would be sent; use `http-log`").shown(),
        access_logs_endpoint = absent("use `http-log`").shown(),
    }
}

record! {
    /// How a trace is handed on where a request tells of none.
    pub struct Propagation {
        /// The format.
        pub default_format: Format = word(Format::W3c),
    }
    besides {
        extract = absent("use `header_type`").shown(),
        clear = absent("use request-transformer").shown(),
        inject = absent("use `header_type`").shown(),
    }
}

impl PluginSettings for Config {
    const NAME: &'static str = "opentelemetry";

    fn smallest() -> Value {
        json!({ "traces_endpoint": "https://collector.example.com/v1/traces" })
    }
}

impl Config {
    /// Where spans are sent; `None` if that is sealed.
    pub fn url(&self) -> Option<&str> {
        self.traces_endpoint.as_ref().or(self.endpoint.as_ref())?.plain()
    }

    /// The queue, with what the earlier names say.
    pub fn queue(&self) -> Queue {
        let mut queue = Queue::from(&self.queue);
        if let Some(size) = self.batch_span_count.filter(|size| *size != 200) {
            queue.max_batch_size = size;
        }
        if let Some(delay) = self.batch_flush_delay.filter(|delay| *delay != 3.0) {
            queue.max_coalescing_delay = delay;
        }
        queue
    }
}

impl Rules for Config {
    fn check(&self, fields: &mut Fields<'_>) {
        if self.traces_endpoint.is_none() && self.endpoint.is_none() && !fields.has("traces_endpoint") && !fields.has("endpoint") {
            fields.fail("traces_endpoint", "is required: name the URL that spans are sent to");
        }
    }
}

impl Rules for Propagation {}
