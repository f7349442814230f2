//! Envoy: a tree of path prefixes, and its filter for API keys.

use serde_json::{Map, Value, json};

use super::Files;
use crate::documents::{Size, consumer_name, key, route_path};

/// The file to start with.
pub const FILE: &str = "envoy.yaml";

/// Its configuration.
pub fn files(size: Size) -> Files {
    let template = include_str!("../../../peers/envoy.yaml");
    let filled = template.replace("@ROUTES@", &virtual_host(size).to_string());
    vec![(FILE, filled.replace("@KEYS@", &keys(size).to_string()))]
}

/// A list of routes would be gone through one by one.
fn virtual_host(size: Size) -> Value {
    let action = json!({ "action": { "name": "route", "typed_config": {
        "@type": "type.googleapis.com/envoy.config.route.v3.Route",
        "match": { "prefix": "/" },
        "route": { "cluster": "upstream" },
    }}});
    let routes: Map<String, Value> =
        (0..size.routes).map(|route| (route_path(route), action.clone())).collect();
    json!({
        "name": "all",
        "domains": ["*"],
        "matcher": { "matcher_tree": {
            "input": { "name": "path", "typed_config": {
                "@type": "type.googleapis.com/envoy.type.matcher.v3.HttpRequestHeaderMatchInput",
                "header_name": ":path",
            }},
            "prefix_match_map": { "map": routes },
        }},
    })
}

fn keys(size: Size) -> Value {
    (0..size.consumers)
        .map(|consumer| json!({ "key": key(consumer), "client": consumer_name(consumer) }))
        .collect()
}
