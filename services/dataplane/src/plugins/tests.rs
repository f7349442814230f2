use std::collections::BTreeSet;

use gateway_model::{Entity, Kind};
use http::Method;
use serde_json::json;

use super::{
    request_termination::RequestTermination,
    testing::{self, get, request, settings},
    *,
};

fn termination(config: serde_json::Value) -> Result<RequestTermination, NotExecutable> {
    let PluginConfig::RequestTermination(config) = settings("request-termination", config) else {
        panic!("a termination was asked for")
    };
    testing::compile(&config)
}

#[test]
fn termination_answers_with_message_or_body() {
    let outcome = get("/").show(&termination(json!({})).unwrap());
    assert_eq!(outcome.refused(), (StatusCode::SERVICE_UNAVAILABLE, "Service unavailable"));
    let config = json!({ "status_code": 418, "body": "<p>", "content_type": "text/html" });
    let outcome = get("/").show(&termination(config).unwrap());
    assert_eq!(outcome.refused(), (StatusCode::IM_A_TEAPOT, "<p>"));
    assert_eq!(outcome.answer_header("content-type"), Some("text/html"));
    let interim = gateway_model::plugin::request_termination::Config {
        status_code: 101,
        message: None,
        body: None,
        content_type: None,
        echo: false,
        trigger: None,
        observe: false,
    };
    assert!(testing::compile::<RequestTermination>(&interim).is_err());
}

#[test]
fn termination_answers_only_what_has_the_trigger() {
    let plugin = termination(json!({ "trigger": "X-Closed" })).unwrap();
    assert!(get("/?x-closed=1").show(&plugin).passed(), "the case of arguments matters");
    assert!(!get("/?X-Closed").show(&plugin).passed());
    assert!(!get("/").header("x-closed", "").show(&plugin).passed());
}

#[test]
fn termination_shows_the_request() {
    let plugin = termination(json!({ "echo": true, "status_code": 200 })).unwrap();
    let sent =
        request(Method::POST, "/a?b=1&b=2&c=3").header("x-a", "1").header("x-a", "2").body("{\"d\":4}");
    let outcome = sent.show(&plugin);
    let (status, body) = outcome.refused();
    let body: serde_json::Value = serde_json::from_str(body).unwrap();
    assert_eq!((status, &body["message"]), (StatusCode::OK, &json!("OK")));
    let expected = json!({
        "scheme": "http", "host": "example.com", "port": 80, "method": "POST", "path": "/a",
        "headers": {"x-a": ["1", "2"]}, "query": {"b": ["1", "2"], "c": "3"},
        "body": {"d": 4}, "raw_body": "{\"d\":4}",
    });
    assert_eq!(body["request"], expected);
    assert_eq!(body["matched_route"]["name"], "route");
    assert_eq!(body["matched_service"]["name"], "service");
}

/// The rows of the table in PLUGINS.md that has priorities: each plugin in its order.
fn documented() -> Vec<(u32, &'static str)> {
    let rows = include_str!("../../PLUGINS.md").lines().filter_map(|line| line.strip_prefix("| `"));
    let mut documented = Vec::new();
    for row in rows {
        let mut cells = row.split(" | ");
        let (names, priorities) = (cells.next().unwrap(), cells.next().unwrap());
        let mut priorities = priorities.split(", ").map(|priority| priority.parse().unwrap());
        let mut priority = None;
        for name in names.split(", ") {
            // One priority may stand for several plugins.
            priority = priorities.next().or(priority);
            documented.push((priority.unwrap(), name.trim_matches('`')));
        }
    }
    documented
}

#[test]
fn the_plugins_that_are_documented_are_those_that_run_with_their_priorities() {
    let Ok(Entity::CaCertificate(ca)) = Entity::from_api(Kind::CaCertificate, &Kind::CaCertificate.example())
    else {
        panic!("an example is valid")
    };
    let authority = Arc::new(Authority::new(&ca).unwrap());
    let find = |_| Some(authority.clone());
    let (tools, authorities) = (Tools::default(), Authorities(&find));
    let make = Make { id: Uuid::from_u128(1), tools: &tools, authorities };
    let priority = |name| {
        let smallest = gateway_model::Plugin::smallest_config(name).unwrap();
        compile(&settings(name, smallest), &make).unwrap().priority()
    };
    let documented = documented();
    assert!(documented.is_sorted_by(|(before, _), (after, _)| before >= after), "{documented:?}");
    let running: BTreeSet<_> =
        gateway_model::Plugin::supported().map(|name| (priority(name), name)).collect();
    assert_eq!(documented.into_iter().collect::<BTreeSet<_>>(), running);
}
