use std::time::Duration;

use http::StatusCode;
use uuid::Uuid;

use super::*;
use crate::plugins::{Identity, Place, Tools};

const ALL: Config = Config {
    per_consumer: true,
    status_code_metrics: true,
    latency_metrics: true,
    bandwidth_metrics: true,
    upstream_health_metrics: false,
};

fn ended(route: u128, status: u16) -> Ended<'static> {
    Ended {
        place: Place {
            route: Uuid::from_u128(route),
            route_name: "r",
            service: Some(Uuid::from_u128(1)),
            service_name: "s",
            upstream: None,
        },
        consumer: None,
        status: Some(StatusCode::from_u16(status).unwrap()),
        is_of_upstream: status < 500,
        received: 3,
        sent: 5,
        total: Duration::from_millis(8),
        gateway: Some(Duration::from_micros(900)),
        upstream: Some(Duration::from_millis(7)),
    }
}

fn plugin(config: &Config) -> (Tools, Prometheus) {
    let tools = Tools::default();
    let plugin = Prometheus::new(
        config,
        &Make { id: Uuid::nil(), tools: &tools, authorities: crate::plugins::Authorities::NONE },
    )
    .unwrap();
    (tools, plugin)
}

#[test]
fn what_is_asked_for_is_counted_by_route_and_consumer() {
    let (tools, plugin) = plugin(&ALL);
    for _ in 0..2 {
        plugin.count(&ended(1, 200));
    }
    plugin.count(&ended(1, 503));
    let consumer = Identity::of_consumer(Uuid::from_u128(9));
    plugin.count(&Ended { consumer: Some(&consumer), ..ended(1, 200) });
    let without = ended(1, 200);
    plugin.count(&Ended { place: Place { service: None, ..without.place }, ..without });
    let mut all: Vec<_> = tools.kong_metrics().take().collect();
    all.sort_by_key(|(key, _)| *key);
    let [(_, nobody), (_, somebody)] = all.as_slice() else { panic!("{all:?}") };
    assert_eq!(nobody.codes, [((200, true), 2), ((503, false), 1)]);
    assert_eq!((nobody.bytes, &*nobody.names.consumer), ([9, 15], ""));
    assert_eq!((somebody.bytes, &*somebody.names.consumer), ([3, 5], &*consumer.consumer.to_string()));
    let [gateway, upstream, total] = &**nobody.latencies.as_ref().unwrap();
    for (latencies, millis) in [(gateway, 1.0), (upstream, 7.0), (total, 10.0)] {
        let bucket = telemetry::MILLISECONDS.iter().position(|bound| *bound == millis).unwrap();
        assert_eq!(latencies.0[bucket].0, 3, "{millis}");
    }
    assert_eq!(tools.kong_metrics().take().count(), 0);
}

#[test]
fn what_is_not_asked_for_is_not_counted() {
    let nothing = Config {
        per_consumer: false,
        status_code_metrics: false,
        latency_metrics: false,
        bandwidth_metrics: false,
        upstream_health_metrics: false,
    };
    let (tools, plugin) = plugin(&nothing);
    plugin.count(&ended(1, 200));
    let counted = tools.kong_metrics().take().next().unwrap().1;
    assert!(counted.codes.is_empty() && counted.bytes == [0; 2] && counted.latencies.is_none());
}

#[test]
fn series_and_statuses_are_bounded() {
    let (tools, plugin) = plugin(&ALL);
    for route in 0..2_000 {
        plugin.count(&ended(route, 200));
    }
    for status in 100..1_000 {
        plugin.count(&ended(1, status));
    }
    let all: Vec<_> = tools.kong_metrics().take().collect();
    assert_eq!(all.len(), counts::SERIES_MAX + 1);
    let others = &all.iter().find(|(key, _)| key.is_none()).unwrap().1;
    assert_eq!((&*others.names.route, others.codes[0].1), ("other", 1_000));
    assert!(all.iter().all(|(_, counted)| counted.codes.len() <= counts::CODES_MAX));
}
