//! opentelemetry: tells a collector of requests, as spans over OTLP and HTTP, and the upstream of the trace that it is part of.

mod context;
mod span;

use std::{collections::BTreeMap, sync::Arc};

use gateway_model::plugin::opentelemetry::{Config, Format, HeaderType, SamplingStrategy};
use http::{HeaderName, HeaderValue, Method};

use self::context::Context;
use super::{
    Compiled, Exchange, Make, NotExecutable, Phases, Plugin, Transaction, Verdict,
    logging::{http_headers, http_url, options},
};
use crate::{
    calls::{ANSWER_MAX, CallerSettings},
    deliveries::{Http, HttpSettings, Outlet},
    store::StoreError,
};

/// The compiled plugin.
#[derive(Debug)]
pub struct OpenTelemetry {
    outlet: Outlet,
    told: HeaderType,
    usual: Format,
    rate: f64,
    strategy: SamplingStrategy,
    answer_header: Option<HeaderName>,
}

/// The span of a request, until that is over.
struct Begun {
    context: Context,
    parent: Option<[u8; 8]>,
}

impl Compiled for OpenTelemetry {
    type Config = Config;
    const PRIORITY: u32 = 14;
    const PHASES: Phases = Phases { request: true, response: false, log: true, count: false };

    /// An error if the endpoint is no URL, or a header cannot be sent.
    fn new(config: &Config, make: &Make<'_>) -> Result<Self, NotExecutable> {
        let millis = |millis: u32| std::time::Duration::from_millis(millis.into());
        let answer_header = config.http_response_header_for_traceid.as_ref();
        let answer_header = answer_header.map(|name| HeaderName::from_bytes(name.as_bytes())).transpose();
        let resource = span::resource(&config.resource_attributes);
        let settings = HttpSettings {
            url: http_url("traces_endpoint", config.url())?,
            method: Method::POST,
            content_type: HeaderValue::from_static("application/x-protobuf"),
            headers: http_headers(&config.headers)?,
            limits: CallerSettings {
                connect_timeout: millis(config.connect_timeout),
                timeout: millis(config.send_timeout.saturating_add(config.read_timeout)),
                keepalive: std::time::Duration::from_secs(60),
                answer_max: ANSWER_MAX,
            },
            encoding: Arc::new(move |spans| span::request(&resource, spans)),
        };
        let deliveries = make.tools.deliveries();
        let http = Arc::new(Http::new(settings, make.tools.calls().clone()));
        Ok(Self {
            outlet: deliveries.outlet(("opentelemetry", make.id), options(&config.queue()), http),
            told: config.header_type,
            usual: config.propagation.default_format,
            rate: config.sampling_rate.unwrap_or(1.0),
            strategy: config.sampling_strategy,
            answer_header: answer_header
                .map_err(|_| NotExecutable("http_response_header_for_traceid: not a header".to_owned()))?,
        })
    }
}

impl OpenTelemetry {
    /// Whether a request is traced that says `parent` of it, and whose trace has this id.
    fn samples(&self, parent: Option<bool>, trace: &[u8; 16]) -> bool {
        match (self.strategy, parent) {
            (_, Some(false)) => false,
            (SamplingStrategy::Parent, Some(true)) => true,
            // The same for all who ask about this trace.
            _ => {
                let [.., a, b, c, d] = *trace;
                f64::from(u32::from_be_bytes([a, b, c, d])) < self.rate * (f64::from(u32::MAX) + 1.0)
            }
        }
    }

    /// In which formats the upstream is told, where the request came with `given`.
    fn formats(&self, given: Option<Format>) -> [Option<Format>; 2] {
        let own = match self.told {
            HeaderType::Preserve | HeaderType::Ignore => None,
            HeaderType::W3c => Some(Format::W3c),
            HeaderType::B3 => Some(Format::B3),
            HeaderType::B3Single => Some(Format::B3Single),
        };
        [given.or(own.is_none().then_some(self.usual)), own]
    }
}

impl Plugin for OpenTelemetry {
    fn request(&self, exchange: &mut Exchange<'_, '_>) -> Result<Verdict, StoreError> {
        let given = match self.told {
            HeaderType::Ignore => {
                context::remove(exchange.headers);
                None
            }
            _ => context::extract(exchange.headers),
        };
        let (format, parent) = given.unzip();
        let trace = parent.map_or_else(|| exchange.random.bytes(), |parent| parent.trace);
        let sampled = self.samples(parent.and_then(|parent| parent.sampled), &trace);
        let context = Context { trace, span: exchange.random.bytes(), sampled: Some(sampled) };
        for format in self.formats(format).into_iter().flatten() {
            context::inject(exchange.headers, format, &context);
        }
        if let Some(name) = &self.answer_header
            && let Ok(value) = HeaderValue::try_from(hex::encode(trace))
        {
            exchange.answer_with(name.clone(), value);
        }
        if sampled {
            exchange.effects.put(Begun { context, parent: parent.map(|parent| parent.span) });
        }
        Ok(Verdict::Pass)
    }

    fn log(&self, transaction: &Transaction<'_>) {
        if let Some(begun) = transaction.effects.get::<Begun>() {
            self.outlet.send(span::of(begun, transaction));
        }
    }
}

/// Names and values.
type Attributes = BTreeMap<String, String>;
