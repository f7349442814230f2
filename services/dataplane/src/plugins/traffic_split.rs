//! traffic-split: requests are divided among services by weight, or by a header.

use gateway_model::{Target, plugin::traffic_split::Config};
use http::{HeaderName, HeaderValue};
use uuid::Uuid;

use super::{
    Compiled, Divert, Exchange, Make, NotExecutable, Phases, Plugin, Verdict,
    canary::{Sticky, header},
};
use crate::store::StoreError;

/// The compiled plugin.
#[derive(Debug)]
pub struct TrafficSplit {
    splits: Vec<Split>,
    /// The weights of all splits and of the route's own service.
    total: u32,
    sticky: Sticky,
}

#[derive(Debug)]
struct Split {
    service: Uuid,
    weight: u32,
    /// The header that makes a request belong here, and its value if that matters.
    header: Option<(HeaderName, Option<HeaderValue>)>,
}

impl Compiled for TrafficSplit {
    type Config = Config;
    const PRIORITY: u32 = 13;
    const PHASES: Phases = Phases::REQUEST;

    /// An error if the name or value of a header is none, or the service is not known by its id.
    fn new(config: &Config, _: &Make<'_>) -> Result<Self, NotExecutable> {
        let splits = config.splits.iter().map(|split| {
            let value = |value: &String| {
                HeaderValue::from_str(value)
                    .map_err(|_| NotExecutable("header_value: not a header value".to_owned()))
            };
            let value = split.header_value.as_ref().map(value).transpose()?;
            let name = split.header_name.as_deref().map(header).transpose()?;
            let service = split.service.as_ref().and_then(Target::id);
            let service = service.ok_or_else(|| NotExecutable("service: not an id".to_owned()))?;
            Ok(Split { service, weight: split.weight, header: name.map(|name| (name, value)) })
        });
        let splits = splits.collect::<Result<Vec<_>, NotExecutable>>()?;
        let total = splits.iter().fold(config.weight, |total, split| total.saturating_add(split.weight));
        Ok(Self { splits, total, sticky: Sticky::new(config.hash, config.hash_header.as_deref())? })
    }
}

impl Plugin for TrafficSplit {
    fn request(&self, exchange: &mut Exchange<'_, '_>) -> Result<Verdict, StoreError> {
        let by_header = self.splits.iter().find(|split| {
            split.header.as_ref().is_some_and(|(name, value)| {
                let mut held = exchange.headers.get_all(name).into_iter();
                held.any(|held| value.as_ref().is_none_or(|value| value == held))
            })
        });
        if let Some(split) = by_header.or_else(|| self.by_weight(exchange)) {
            let divert = Divert { service: Some(split.service), ..Divert::default() };
            exchange.effects.want().divert = Some(divert);
        }
        Ok(Verdict::Pass)
    }
}

impl TrafficSplit {
    /// The part that the request belongs to by weight; `None`: the route's own.
    fn by_weight(&self, exchange: &Exchange<'_, '_>) -> Option<&Split> {
        let mut place = self.sticky.pick(exchange, self.total);
        self.splits.iter().find(|split| {
            let is_here = place < split.weight;
            place = place.saturating_sub(split.weight);
            is_here
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use gateway_model::PluginConfig;
    use serde_json::{Value, json};

    use super::*;
    use crate::plugins::testing::{self, Request, get, settings};

    fn split(config: Value) -> TrafficSplit {
        let PluginConfig::TrafficSplit(config) = settings("traffic-split", config) else { panic!("a split") };
        testing::compile(&config).unwrap()
    }

    fn id(number: u128) -> String {
        Uuid::from_u128(number).to_string()
    }

    /// The number of the service that a request goes to; 0: the route's own.
    fn goes(plugin: &TrafficSplit, request: Request) -> u128 {
        let outcome = request.show(plugin);
        let divert = outcome.effects.wanted().and_then(|wanted| wanted.divert.clone());
        divert.map_or(0, |divert| divert.service.unwrap().as_u128())
    }

    #[test]
    fn requests_are_divided_by_weight() {
        let plugin = split(json!({"weight": 50, "splits": [
            {"weight": 30, "service": {"id": id(7)}}, {"weight": 20, "service": {"id": id(8)}},
        ]}));
        let mut counts = BTreeMap::new();
        for number in 0..4000 {
            let client = get("/").from(&format!("10.0.{}.{}", number / 250, number % 250));
            *counts.entry(goes(&plugin, client)).or_insert(0) += 1;
        }
        assert!((1850..2150).contains(&counts[&0]) && (1050..1350).contains(&counts[&7]), "{counts:?}");
        assert_eq!(counts.values().sum::<i32>(), 4000);
        let all = split(json!({"weight": 0, "splits": [{"weight": 1, "service": {"id": id(7)}}]}));
        assert_eq!(goes(&all, get("/")), 7);
    }

    #[test]
    fn a_header_decides_before_weights() {
        let plugin = split(json!({"splits": [
            {"service": {"id": id(7)}, "header_name": "x-version", "header_value": "2"},
            {"service": {"id": id(8)}, "header_name": "x-beta"},
        ]}));
        assert_eq!(goes(&plugin, get("/").header("x-version", "2")), 7);
        assert_eq!(goes(&plugin, get("/").header("x-version", "1").header("x-version", "2")), 7);
        assert_eq!(goes(&plugin, get("/").header("x-version", "3")), 0);
        assert_eq!(goes(&plugin, get("/").header("x-beta", "")), 8);
        assert_eq!(goes(&plugin, get("/")), 0);
    }
}
