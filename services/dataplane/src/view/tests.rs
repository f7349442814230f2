//! Quarantine fails closed, and only there; incremental views equal rebuilt ones.

use std::collections::BTreeMap;

use gateway_model::Entity;
use http::StatusCode;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::router;

/// What opens secrets here.
pub fn key() -> NodeKey {
    NodeKey::new(&[7; 32])
}

/// The certificate of the model's examples. `changed`: with its chain twice, so that it is another one.
pub fn certificate(n: u128, changed: bool) -> Change {
    let mut body = Kind::Certificate.example();
    if changed {
        body["cert"] = format!("{0}{0}", body["cert"].as_str().unwrap()).into();
    }
    let mut entity = Entity::from_api(Kind::Certificate, &body).unwrap_or_else(|error| panic!("{error}"));
    key().seal(id(n), &mut entity, None);
    Change { kind: "certificate".to_owned(), id: id(n), body: Some(entity.to_wire().unwrap().into()) }
}

fn id(n: u128) -> Uuid {
    Uuid::from_u128(n)
}

fn put(kind: &str, n: u128, body: Value) -> Change {
    Change { kind: kind.to_owned(), id: id(n), body: Some(body.to_string().into()) }
}

fn delete(kind: &str, n: u128) -> Change {
    Change { kind: kind.to_owned(), id: id(n), body: None }
}

fn reference(n: u128) -> Value {
    json!({ "id": id(n).to_string() })
}

fn service(n: u128) -> Change {
    put("service", n, json!({ "host": "upstream.internal" }))
}

fn route(n: u128, path: &str, service: u128) -> Change {
    put("route", n, json!({ "paths": [path], "service": reference(service) }))
}

/// What a plain GET of `path` meets: the route, and its plugins or that it is quarantined.
fn meets(view: &View, path: &str) -> Option<(u128, Result<Vec<&'static str>, ()>)> {
    let found = view.find(&router::Lookup::get("h", path))?;
    let outcome = match &found.served.outcome {
        Outcome::Serve { chain, .. } => Ok(chain.names().collect()),
        Outcome::Quarantined => Err(()),
    };
    Some((found.served.route.as_u128(), outcome))
}

fn reasons(view: &View) -> Vec<(String, u128)> {
    view.quarantined().into_iter().map(|entry| (entry.kind, entry.id.as_u128())).collect()
}

/// Two services with a route each: 1 → /a (11), 2 → /b (12).
fn shop() -> View {
    View::default().with(&[service(1), service(2), route(11, "/a", 1), route(12, "/b", 2)])
}

#[test]
fn a_plugin_applies_to_its_scope_and_the_most_specific_wins() {
    let terminate = |n, code: u16, extra: Value| {
        let mut body = json!({ "name": "request-termination", "config": { "status_code": code } });
        body.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        put("plugin", n, body)
    };
    let key_auth = put("plugin", 20, json!({ "name": "key-auth", "config": {}, "service": reference(1) }));
    let view = shop().with(&[
        key_auth,
        terminate(21, 500, json!({})),
        terminate(22, 501, json!({ "service": reference(1) })),
        terminate(23, 502, json!({ "consumer": reference(40) })),
        terminate(24, 504, json!({ "consumer": reference(40), "route": reference(11) })),
        terminate(25, 505, json!({ "consumer": reference(41), "enabled": false })),
    ]);
    assert_eq!(view.counts(), Counts { services: 2, routes: 2, plugins: 5, quarantined: 0 });
    assert_eq!(meets(&view, "/a"), Some((11, Ok(vec!["key-auth", "request-termination"]))));
    assert_eq!(meets(&view, "/b"), Some((12, Ok(vec!["request-termination"]))));

    let code = |view: &View, path: &str, consumer: Option<u128>| {
        let found = view.find(&router::Lookup::get("h", path)).unwrap();
        let Outcome::Serve { chain, .. } = &found.served.outcome else { panic!("quarantined") };
        let own = consumer.and_then(|consumer| view.chain_for(found.served, id(consumer)).unwrap());
        format!("{:?}", own.as_ref().unwrap_or(chain))
            .split("status: ")
            .nth(1)
            .and_then(|rest| rest.get(..3)?.parse::<u16>().ok())
            .unwrap()
    };
    assert_eq!(code(&view, "/a", None), 501);
    assert_eq!(code(&view, "/b", None), 500);
    assert_eq!(code(&view, "/a", Some(40)), 504);
    assert_eq!(code(&view, "/b", Some(40)), 502);
    assert_eq!(code(&view, "/b", Some(41)), 500);
    let view = view.with(&[delete("plugin", 24), delete("plugin", 23)]);
    assert_eq!(code(&view, "/a", Some(40)), 501);
}

/// What `view` does with a request of `consumer` to the route at `path`: the status of the request-termination that runs, if one does.
fn terminated(view: &View, path: &str, consumer: u128) -> Result<Option<u16>, Blocked> {
    let found = view.find(&router::Lookup::get("h", path)).unwrap();
    let own = view.chain_for(found.served, id(consumer))?;
    let Outcome::Serve { chain, .. } = &found.served.outcome else { panic!("quarantined") };
    let text = format!("{:?}", own.as_ref().unwrap_or(chain));
    Ok(text.split("status: ").nth(1).map(|rest| rest[..3].parse().unwrap()))
}

#[test]
fn a_plugin_of_a_group_is_for_its_members() {
    // In the order in which they win, for a request of a member of the group 30, which is the consumer 40, to route 11 of service 1.
    let (consumer, group) = (("consumer", 40), ("consumer_group", 30));
    let (route, service) = (("route", 11), ("service", 1));
    let order = [
        vec![consumer, route, service],
        vec![group, route, service],
        vec![consumer, route],
        vec![consumer, service],
        vec![group, route],
        vec![group, service],
        vec![route, service],
        vec![consumer],
        vec![group],
        vec![route],
        vec![service],
        vec![],
    ];
    let plugins: Vec<Change> = order
        .iter()
        .zip(0u16..)
        .map(|(scope, n)| {
            let mut body = json!({ "name": "request-termination", "config": { "status_code": 500 + n } });
            for (field, target) in scope {
                body[*field] = reference(*target);
            }
            put("plugin", 100 + u128::from(n), body)
        })
        .collect();
    let member = |n, consumer, group| {
        let body = json!({ "consumer": reference(consumer), "consumer_group": reference(group) });
        put("consumer_group_member", n, body)
    };
    let mut view = shop().with(&[member(50, 40, 30), member(51, 41, 31), member(52, 42, 30)]).with(&plugins);
    for n in 0..12 {
        assert_eq!(terminated(&view, "/a", 40), Ok(Some(500 + n)), "{:?}", order[usize::from(n)]);
        view = view.with(&[delete("plugin", 100 + u128::from(n))]);
    }
    assert_eq!(terminated(&view, "/a", 40), Ok(None));

    let of_group = |n, group, code: u16| {
        let config = json!({ "status_code": code });
        let body =
            json!({ "name": "request-termination", "config": config, "consumer_group": reference(group) });
        put("plugin", n, body)
    };
    let view = view.with(&[of_group(20, 30, 430), of_group(21, 31, 431)]);
    for (consumer, code) in [(40, Some(430)), (41, Some(431)), (42, Some(430)), (43, None)] {
        assert_eq!(terminated(&view, "/b", consumer), Ok(code), "{consumer}");
    }
    // Of several groups the oldest counts; a membership ends with its deletion; another one may say the same.
    let both = view.with(&[member(53, 41, 30), member(54, 41, 30)]);
    assert_eq!(terminated(&both, "/b", 41), Ok(Some(430)));
    let one = both.with(&[delete("consumer_group_member", 53)]);
    assert_eq!(terminated(&one, "/b", 41), Ok(Some(430)));
    let none = one.with(&[delete("consumer_group_member", 54)]);
    assert_eq!(terminated(&none, "/b", 41), Ok(Some(431)));
    // Nobody knows whose a membership is that cannot be read.
    let unreadable = none.with(&[put("consumer_group_member", 60, json!({ "from_the_future": 1 }))]);
    assert_eq!(terminated(&unreadable, "/b", 43), Err(Blocked));
    assert_eq!(reasons(&unreadable), [("consumer_group_member".to_owned(), 60)]);
    let gone = unreadable.with(&[delete("consumer_group_member", 60)]);
    assert_eq!(terminated(&gone, "/b", 43), Ok(None));
}

#[test]
fn a_quarantined_service_takes_down_its_routes_only() {
    let view = shop().with(&[put("service", 1, json!({ "host": "h", "from_the_future": 1 }))]);
    assert_eq!(meets(&view, "/a"), Some((11, Err(()))));
    assert_eq!(meets(&view, "/b"), Some((12, Ok(vec![]))));
    assert_eq!(reasons(&view), [("service".to_owned(), 1)]);
    assert_eq!(view.counts(), Counts { services: 1, routes: 2, plugins: 0, quarantined: 1 });
    let view = view.with(&[service(1)]);
    assert_eq!(meets(&view, "/a"), Some((11, Ok(vec![]))));
    assert_eq!(reasons(&view), []);
}

#[test]
fn a_quarantined_plugin_blocks_its_scope() {
    for (scope, a, b) in [
        (json!({ "route": reference(11) }), Err(()), Ok(vec![])),
        (json!({ "service": reference(2) }), Ok(vec![]), Err(())),
        (json!({}), Err(()), Err(())),
        (json!({ "consumer_group": reference(9) }), Ok(vec![]), Ok(vec![])),
        (json!({ "enabled": false }), Ok(vec![]), Ok(vec![])),
    ] {
        let mut body = json!({ "name": "from-the-future", "config": {} });
        body.as_object_mut().unwrap().extend(scope.as_object().unwrap().clone());
        let view = shop().with(&[put("plugin", 20, body)]);
        assert_eq!((meets(&view, "/a"), meets(&view, "/b")), (Some((11, a)), Some((12, b))), "{scope}");
        assert_eq!(reasons(&view), [("plugin".to_owned(), 20)]);
        assert_eq!(meets(&view.with(&[delete("plugin", 20)]), "/a"), Some((11, Ok(vec![]))));
    }
    let garbage = Change { kind: "plugin".to_owned(), id: id(20), body: Some(Bytes::from_static(b"\xff")) };
    assert_eq!(meets(&shop().with(&[garbage]), "/b"), Some((12, Err(()))));
}

#[test]
fn a_quarantined_plugin_of_a_consumer_blocks_that_consumer() {
    let body = json!({ "name": "from-the-future", "consumer": reference(40) });
    let view = shop().with(&[put("plugin", 20, body)]);
    let found = view.find(&router::Lookup::get("h", "/a")).unwrap();
    assert!(matches!(found.served.outcome, Outcome::Serve { .. }));
    assert!(view.chain_for(found.served, id(40)).is_err());
    assert!(matches!(view.chain_for(found.served, id(41)), Ok(None)));
}

#[test]
fn a_plugin_that_cannot_be_executed_is_quarantined_too() {
    let config = json!({ "status_code": 101 });
    let body = json!({ "name": "request-termination", "config": config, "route": reference(11) });
    let view = shop().with(&[put("plugin", 20, body)]);
    assert_eq!((meets(&view, "/a"), meets(&view, "/b")), (Some((11, Err(()))), Some((12, Ok(vec![])))));
}

#[test]
fn a_quarantined_route_does_not_fall_through_to_a_broader_one() {
    let view = shop().with(&[
        route(13, "/", 2),
        put("route", 11, json!({ "paths": ["/a"], "service": reference(1), "from_the_future": true })),
    ]);
    assert_eq!(meets(&view, "/a/x"), Some((11, Err(()))));
    assert_eq!(meets(&view, "/c"), Some((13, Ok(vec![]))));
    assert_eq!(view.counts(), Counts { services: 2, routes: 2, plugins: 0, quarantined: 1 });
    let view = view.with(&[delete("route", 11)]);
    assert_eq!(meets(&view, "/a/x"), Some((13, Ok(vec![]))));
    assert_eq!(reasons(&view), []);
}

#[test]
fn unknown_kinds_are_held_and_harm_nothing() {
    let view = shop().with(&[put("galaxy", 50, json!({})), put("consumer", 51, json!({ "x": 1 }))]);
    assert_eq!(reasons(&view), [("consumer".to_owned(), 51), ("galaxy".to_owned(), 50)]);
    assert_eq!(meets(&view, "/a"), Some((11, Ok(vec![]))));
    assert_eq!(reasons(&view.with(&[delete("galaxy", 50), delete("consumer", 51)])), []);
}

/// Kinds that this gateway holds and does not serve: nothing depends on them silently.
#[test]
fn what_is_not_served_is_told_and_what_depends_on_it_answers_503() {
    let vault = put("vault", 51, json!({ "name": "env", "prefix": "env", "config": {} }));
    let view = shop().with(&[vault]);
    assert_eq!((view.unserved(), reasons(&view)), (BTreeMap::from([("vault", 1)]), vec![]));
    assert_eq!(view.with(&[delete("vault", 51)]).unserved(), BTreeMap::new());
    // A certificate that is not there.
    let tls = shop().with(&[put(
        "service",
        1,
        json!({ "host": "h", "protocol": "https", "ca_certificates": [id(7)] }),
    )]);
    assert_eq!(meets(&tls, "/a"), Some((11, Err(()))));
}

fn upstream(n: u128, mut body: Value) -> Change {
    body["name"] = body.get("name").cloned().unwrap_or_else(|| "Orders.test".into());
    put("upstream", n, body)
}

fn target(n: u128, upstream: u128, target: &str) -> Change {
    put("target", n, json!({ "upstream": reference(upstream), "target": target }))
}

/// The targets of the upstream that the requests for `path` are spread over; `None`: they go to a host.
fn targets(view: &View, path: &str) -> Option<Vec<String>> {
    let found = view.find(&router::Lookup::get("", path)).expect("a route");
    let Outcome::Serve { balanced, .. } = &found.served.outcome else { panic!("quarantined") };
    let targets = &balanced.as_ref()?.definition.targets;
    Some(targets.iter().map(ToString::to_string).collect())
}

#[test]
fn a_service_whose_host_is_an_upstreams_name_is_spread_over_its_targets() {
    let named = [put("service", 1, json!({ "host": "orders.TEST" }))];
    let held = [upstream(50, json!({})), target(60, 50, "b.test:81"), target(61, 50, "10.0.0.1")];
    let view = shop().with(&held).with(&named);
    let both = || Some(vec!["10.0.0.1:8000".to_owned(), "b.test:81".to_owned()]);
    assert_eq!((targets(&view, "/a"), targets(&view, "/b")), (both(), None));
    assert_eq!((view.upstreams().len(), reasons(&view)), (1, vec![]));
    // The order of the changes does not matter.
    let mut reversed = held.clone();
    reversed.reverse();
    let other_order =
        reversed.iter().fold(shop().with(&named), |view, change| view.with(std::slice::from_ref(change)));
    assert_eq!(targets(&other_order, "/a"), both());
    // Without the upstream it is a host again.
    for gone in [delete("upstream", 50), upstream(50, json!({ "name": "other.test" }))] {
        assert_eq!(targets(&view.with(&[gone]), "/a"), None);
    }
    // An upstream whose targets are all gone has none: its name is still no host.
    let without = view.with(&[delete("target", 60), delete("target", 61)]);
    assert_eq!(targets(&without, "/a"), Some(vec![]));
    // What does not change keeps its definition, and so its group.
    let served = |view: &View| view.upstreams().get(&id(50)).cloned().unwrap();
    let elsewhere = view.with(&[service(2), upstream(52, json!({ "name": "third.test" }))]);
    assert!(Arc::ptr_eq(&served(&view), &served(&elsewhere)));
    assert!(!Arc::ptr_eq(&served(&view), &served(&view.with(&[target(60, 50, "b.test:82")]))));
}

#[test]
fn an_upstream_that_cannot_be_served_answers_503_and_a_target_that_cannot_is_left_out() {
    let named = [put("service", 1, json!({ "host": "orders.test" })), target(60, 50, "b.test:81")];
    let by_grpc = json!({ "active": { "type": "grpc", "healthy": { "interval": 5 } } });
    let by_https = json!({ "active": { "type": "https", "healthy": { "interval": 5 } } });
    // Of a certificate that is not there.
    let cases = [
        json!({ "from_the_future": true }),
        json!({ "client_certificate": reference(9), "healthchecks": by_https }),
        json!({ "healthchecks": by_grpc }),
    ];
    for body in cases {
        let view = shop().with(&named).with(&[upstream(50, body)]);
        assert_eq!((meets(&view, "/a"), view.upstreams().len()), (Some((11, Err(()))), 0));
        assert_eq!(reasons(&view), [("upstream".to_owned(), 50)]);
        // It is served when it can be, and a host when it is gone.
        let served = view.with(&[upstream(50, json!({}))]);
        assert_eq!((targets(&served, "/a"), reasons(&served)), (Some(vec!["b.test:81".to_owned()]), vec![]));
        let gone = view.with(&[delete("upstream", 50)]);
        assert_eq!((targets(&gone, "/a"), reasons(&gone)), (None, vec![]));
    }
    let odd = put("target", 61, json!({ "upstream": reference(50), "target": "c:1", "from_the_future": 1 }));
    let view = shop().with(&named).with(&[upstream(50, json!({})), odd]);
    assert_eq!(targets(&view, "/a"), Some(vec!["b.test:81".to_owned()]));
    assert_eq!(reasons(&view), [("target".to_owned(), 61)]);
}

#[test]
fn an_upstream_starts_its_targets_slowly_where_it_says_so() {
    let slow_start = |body| {
        let view = View::default().with(&[upstream(50, body)]);
        view.upstreams()[&id(50)].definition.settings.slow_start.as_millis()
    };
    assert_eq!((slow_start(json!({})), slow_start(json!({ "slow_start": 2.5 }))), (0, 2_500));
}

#[test]
fn the_budget_for_retries_stays_when_a_service_changes() {
    let budget = |view: &View| {
        let found = view.find(&router::Lookup::get("", "/a")).unwrap();
        let Outcome::Serve { upstream: Some(upstream), .. } = &found.served.outcome else {
            panic!("not served")
        };
        upstream.budget.clone()
    };
    let (before, changed) = (shop(), shop().with(&[put("service", 1, json!({ "host": "u", "retries": 1 }))]));
    assert!(Arc::ptr_eq(
        &budget(&before),
        &budget(&before.with(&[put("service", 1, json!({ "host": "v" }))]))
    ));
    assert!(!Arc::ptr_eq(&budget(&before), &budget(&changed)), "another gateway's");
}

#[test]
fn a_disabled_service_has_no_routes_and_a_missing_one_is_not_served() {
    let view =
        shop().with(&[put("service", 1, json!({ "host": "h", "enabled": false })), delete("service", 2)]);
    assert_eq!(meets(&view, "/a"), None);
    assert_eq!(meets(&view, "/b"), Some((12, Err(()))));
    assert_eq!(meets(&view.with(&[service(1), service(2)]), "/a"), Some((11, Ok(vec![]))));
}

#[test]
fn https_only_routes_are_found_by_plain_requests_and_http_only_ones_not_by_tls() {
    let only =
        |n, path: &str, protocol: &str| put("route", n, json!({ "paths": [path], "protocols": [protocol] }));
    let view = View::default().with(&[only(1, "/s", "https"), only(2, "/p", "http")]);
    let find = |path, https| {
        let found = view.find(&router::Lookup { https, ..router::Lookup::get("", path) })?;
        Some(found.served.settings.https_only)
    };
    assert_eq!(find("/s", false), Some(Some(StatusCode::UPGRADE_REQUIRED)));
    assert_eq!(find("/p", false), Some(None));
    assert_eq!(find("/p", true), None);
}

#[test]
fn an_upstream_is_ready_to_use() {
    let body = json!({ "protocol": "https", "host": "u.example", "path": "/v1", "read_timeout": 5, "tls_verify": false });
    let view = View::default().with(&[put("service", 1, body), route(11, "/a", 1)]);
    let found = view.find(&router::Lookup::get("", "/a")).unwrap();
    let Outcome::Serve { upstream: Some(upstream), .. } = &found.served.outcome else { panic!("not served") };
    assert_eq!(
        (upstream.destination.authority().as_str(), upstream.host.to_str().unwrap()),
        ("u.example:443", "u.example")
    );
    assert_eq!(
        (
            upstream.base.as_str(),
            upstream.read_timeout.as_millis(),
            upstream.destination.tls().is_some_and(|tls| tls.profile.verify)
        ),
        ("/v1", 5, false)
    );
}

/// A route for all paths with up to nine letters and an `x`, which costs about 60.
fn regex_route(n: u128, path: &str) -> Change {
    route(n, &format!("~{path}\\w{{1,9}}x"), 1)
}

#[test]
fn expressions_beyond_the_budget_are_not_compiled_and_answer_503() {
    let each = match Entity::from_wire(Kind::Route, regex_route(0, "/0/").body.unwrap().as_ref()) {
        Ok(entity) => entity.path_cost(),
        Err(error) => panic!("{error}"),
    };
    let nothing = View::new(2 * each, Tools::default());
    let view = nothing.with(&[
        service(1),
        route(10, "/", 1),
        regex_route(13, "/c/"),
        regex_route(12, "/b/"),
        regex_route(11, "/a/"),
    ]);
    assert_eq!(meets(&view, "/a/ax"), Some((11, Ok(vec![]))));
    assert_eq!(meets(&view, "/b/ax"), Some((12, Ok(vec![]))));
    // What it would have matched is answered 503, and nothing else is.
    assert_eq!(meets(&view, "/c/ax"), Some((13, Err(()))));
    assert_eq!(meets(&view, "/c/a-x"), Some((10, Ok(vec![]))));
    assert_eq!(reasons(&view), [("route".to_owned(), 13)]);
    assert!(view.quarantined()[0].reason.contains("path_regex_cost_max"));
    // The third fits once another is gone, and does not once it is back.
    let without = view.with(&[delete("route", 11)]);
    assert_eq!(meets(&without, "/c/ax"), Some((13, Ok(vec![]))));
    assert_eq!(reasons(&without), []);
    assert_eq!(meets(&without.with(&[regex_route(11, "/a/")]), "/c/ax"), Some((13, Err(()))));
}

#[test]
fn a_broken_route_cannot_get_around_the_budget() {
    let body = json!({ "paths": ["~/\\w{1,3000}x"], "from_the_future": 1 });
    let view =
        View::new(100, Tools::default()).with(&[service(1), route(10, "/", 1), put("route", 11, body)]);
    assert_eq!(meets(&view, "/ax"), Some((11, Err(()))));
    assert_eq!(meets(&view, "/-"), Some((10, Ok(vec![]))));
    assert_eq!(view.patterns.len(), (0, 1), "only the small one that stands for it");
}

#[test]
fn an_expression_that_stays_is_not_compiled_again() {
    let view = View::default().with(&[service(1), regex_route(11, "/a/"), regex_route(12, "/a/")]);
    assert_eq!(view.patterns.len(), (1, 0));
    let compiled = view.patterns.exact("/a/\\w{1,9}x").unwrap();
    let changed = view.with(&[put("route", 11, json!({ "paths": ["~/a/\\w{1,9}x", "~/b+"] }))]);
    let snapshot = changed.emptied().with(&[service(1), regex_route(12, "/a/")]);
    for view in [changed, snapshot] {
        assert!(Arc::ptr_eq(&compiled, &view.patterns.exact("/a/\\w{1,9}x").unwrap()));
    }
}

/// One of a small world of changes, good and bad, so that they meet each other.
fn any_change() -> impl Strategy<Value = Change> {
    let small = 0u128..4;
    let odd = prop_oneof![4 => Just(json!({})), 1 => Just(json!({ "from_the_future": 1 })), 1 => Just(json!({ "enabled": false }))];
    let with = |mut body: Value, extra: Value| {
        body.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        body
    };
    let services = (small.clone(), odd.clone())
        .prop_map(move |(n, odd)| put("service", n, with(json!({ "host": "u" }), odd)));
    let path = prop_oneof![3 => "/[ab]{0,2}", 2 => ("[ab]{0,2}", 1u8..9).prop_map(|(start, most)| format!("~/{start}\\w{{1,{most}}}")), 1 => Just("~/(".to_owned())];
    let routes = (small.clone(), prop::option::of(small.clone()), path, any::<bool>()).prop_map(
        move |(n, service, path, odd)| {
            let mut body = json!({ "paths": [path] });
            if let Some(service) = service {
                body["service"] = reference(service);
            }
            if odd {
                body["from_the_future"] = json!(1);
            }
            put("route", n + 10, body)
        },
    );
    let target = prop::option::of(small.clone());
    let plugins = (small, odd, target.clone(), target.clone(), target, any::<bool>()).prop_map(
        move |(n, odd, service, route, consumer, auth)| {
            let name = if auth { "key-auth" } else { "request-termination" };
            let mut body = with(json!({ "name": name }), odd);
            for (field, target) in
                [("service", service), ("route", route.map(|n| n + 10)), ("consumer", consumer)]
            {
                if let Some(target) = target {
                    body[field] = reference(target);
                }
            }
            put("plugin", n + 20, body)
        },
    );
    let upstreams = (0u128..3, prop_oneof!["u", "v"], any::<bool>()).prop_map(|(n, name, odd)| {
        let body = if odd { json!({ "name": name, "from_the_future": 1 }) } else { json!({ "name": name }) };
        put("upstream", n + 40, body)
    });
    let targets = (0u128..4, 0u128..3, 1u8..4)
        .prop_map(|(n, upstream, host)| self::target(n + 50, upstream + 40, &format!("10.0.0.{host}")));
    let small = 0u128..4;
    let certificates = (small.clone(), any::<bool>()).prop_map(|(n, changed)| certificate(n + 30, changed));
    let name = prop_oneof![Just("a.b.test"), Just("*.b.test"), Just("a.b.*"), Just("*"), Just("?")];
    let snis = (small.clone(), name, small.clone()).prop_map(|(n, name, certificate)| {
        put("sni", n + 60, json!({ "name": name, "certificate": reference(certificate + 30) }))
    });
    let secured = (small.clone(), prop::option::of(small)).prop_map(|(n, certificate)| {
        let mut body = json!({ "host": "u", "protocol": "https" });
        body["client_certificate"] =
            certificate.map_or(Value::Null, |certificate| reference(certificate + 30));
        put("service", n, body)
    });
    let authorities = (0u128..4, prop::bool::weighted(0.8)).prop_map(|(n, good)| {
        let body = if good { Kind::CaCertificate.example() } else { json!({ "cert": "?" }) };
        put("ca_certificate", n + 70, body)
    });
    let trusting = (0u128..4, 0u128..4, 0u128..4, any::<bool>()).prop_map(|(n, authority, route, tells)| {
        let config = json!({ "ca_certificates": [id(authority + 70)], "send_ca_dn": tells });
        put(
            "plugin",
            n + 20,
            json!({ "name": "mtls-auth", "config": config, "route": reference(route + 10) }),
        )
    });
    let named = (0u128..4, "/[ab]").prop_map(|(n, path)| {
        put(
            "route",
            n + 10,
            json!({ "paths": [path], "protocols": ["https"], "snis": ["a.b.test", "*.b.test"] }),
        )
    });
    let more = prop_oneof![authorities, trusting, named];
    (
        prop_oneof![services, routes, plugins, upstreams, targets, certificates, snis, secured, more],
        prop::bool::weighted(0.25),
    )
        .prop_map(|(change, gone)| Change { body: change.body.filter(|_| !gone), ..change })
}

/// All that requests can see of a view.
fn observed(view: &View) -> String {
    let mut seen = format!("{:?}{:?}{:?}", view.quarantined(), view.counts(), view.certificates_revision());
    for name in [None, Some("a.b.test"), Some("c.b.test"), Some("a.b.com"), Some("other.test.")] {
        seen += &format!(" {:?} {:?}", view.certificate(name).map(|pair| *pair.hash()), view.asks(name));
    }
    for path in ["/", "/a", "/b", "/aa", "/ab", "/ba", "/bb"] {
        let found = view.find(&router::Lookup { https: true, ..router::Lookup::get("h", path) });
        seen += &format!("\n{path} {found:?}");
        for consumer in 0..4 {
            let chain = found.as_ref().map(|found| view.chain_for(found.served, id(consumer)));
            seen += &format!(" {chain:?}");
        }
    }
    seen
}

proptest! {
    #[test]
    fn a_view_depends_on_what_is_held_not_on_how_it_came(
        changes in prop::collection::vec(any_change(), 0..40),
        cut in 1usize..7,
    ) {
        let nothing = View::new(60, Tools::default()).opening_with(Some(key()));
        let stepwise = changes.chunks(cut).fold(nothing.clone(), |view, some| view.with(some));
        let held: BTreeMap<_, _> = changes.iter().map(|change| ((change.kind.clone(), change.id), change.clone())).collect();
        let live: Vec<Change> = held.into_values().filter(|change| change.body.is_some()).rev().collect();
        prop_assert_eq!(observed(&stepwise), observed(&nothing.with(&live)));
    }
}
