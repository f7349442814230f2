//! correlation-id: a header that names a request at everything that it passes.

use std::sync::atomic::{AtomicU64, Ordering};

use gateway_model::plugin::correlation_id::{Config, Generator};
use http::{HeaderName, HeaderValue};
use uuid::Uuid;

use super::{Compiled, Exchange, Make, NotExecutable, Phases, Plugin, Verdict};
use crate::store::StoreError;

/// The compiled plugin.
#[derive(Debug)]
pub struct CorrelationId {
    header: HeaderName,
    generator: Generator,
    echo: bool,
    /// Where the ids of this gateway begin, and how many there were.
    base: Uuid,
    count: AtomicU64,
}

impl Compiled for CorrelationId {
    type Config = Config;
    const PRIORITY: u32 = 100_001;
    const PHASES: Phases = Phases::REQUEST;

    /// An error if the header's name is none.
    fn new(config: &Config, make: &Make<'_>) -> Result<Self, NotExecutable> {
        let header = HeaderName::from_bytes(config.header_name.as_bytes());
        Ok(Self {
            header: header.map_err(|_| NotExecutable("header_name: not a header name".to_owned()))?,
            generator: config.generator,
            echo: config.echo_downstream,
            base: make.tools.seams().random.uuid(),
            count: AtomicU64::new(0),
        })
    }
}

impl Plugin for CorrelationId {
    fn request(&self, exchange: &mut Exchange<'_, '_>) -> Result<Verdict, StoreError> {
        let given = exchange.headers.get(&self.header).filter(|given| !given.is_empty()).cloned();
        let id = match given {
            Some(given) => given,
            None => {
                let id = HeaderValue::try_from(self.generate(exchange)).expect("an id is visible ASCII");
                exchange.headers.insert(self.header.clone(), id.clone());
                id
            }
        };
        if self.echo {
            exchange.answer_with(self.header.clone(), id);
        }
        Ok(Verdict::Pass)
    }
}

impl CorrelationId {
    fn generate(&self, exchange: &Exchange<'_, '_>) -> String {
        let number = || self.count.fetch_add(1, Ordering::Relaxed) + 1;
        match self.generator {
            Generator::Uuid => exchange.random.uuid().to_string(),
            Generator::UuidCounter => format!("{}#{}", self.base, number()),
            Generator::Tracker => {
                let (port, process, number) = (exchange.client.port, std::process::id(), number());
                let millis = exchange.clock.now().unix_timestamp_nanos() / 1_000_000;
                let (seconds, millis) = (millis / 1000, millis % 1000);
                // The address is the one that was asked for: what a machine has of them is nobody's business.
                format!("{}-{port}-{process}-{number}-{number}-{seconds}.{millis:03}", exchange.client.host)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use gateway_model::PluginConfig;
    use serde_json::{Value, json};

    use super::*;
    use crate::plugins::testing::{self, get, settings};

    fn plugin(config: Value) -> CorrelationId {
        let PluginConfig::CorrelationId(config) = settings("correlation-id", config) else {
            panic!("correlation-id was asked for")
        };
        testing::compile(&config).unwrap()
    }

    fn id(plugin: &CorrelationId) -> String {
        let outcome = get("/").show(plugin);
        assert!(outcome.answered_with().is_empty());
        outcome.headers["kong-request-id"].to_str().unwrap().to_owned()
    }

    #[test]
    fn ids_are_made_as_configured() {
        let counting = plugin(json!({}));
        let (first, second) = (id(&counting), id(&counting));
        let (base, number) = first.split_once('#').unwrap();
        assert!(Uuid::parse_str(base).is_ok() && number == "1");
        assert_eq!(second, format!("{base}#2"));
        let random = plugin(json!({"generator": "uuid"}));
        assert!(Uuid::parse_str(&id(&random)).is_ok());
        assert_ne!(id(&random), id(&random));
        let tracker = id(&plugin(json!({"generator": "tracker"})));
        assert_eq!(tracker.split('-').count(), 6, "{tracker}");
    }

    #[test]
    fn one_that_the_client_gives_is_kept_and_told_back_where_asked() {
        let echoing = plugin(json!({"header_name": "x-trace", "echo_downstream": true}));
        let outcome = get("/").header("x-trace", "mine").show(&echoing);
        assert_eq!(
            (outcome.headers["x-trace"].to_str().unwrap(), outcome.answered_with()),
            ("mine", vec!["x-trace: mine".to_owned()])
        );
        let outcome = get("/").header("x-trace", "").show(&echoing);
        let made = outcome.headers["x-trace"].to_str().unwrap();
        assert_eq!(outcome.answered_with(), [format!("x-trace: {made}")]);
    }
}
