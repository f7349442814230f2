//! Transformers over real sockets: whatever they are told to do, messages stay framed once, and identities are the gateway's.

use proptest::{prelude::*, test_runner::TestRunner};
use serde_json::{Value, json};

use crate::{client::Client, gateway::Gateway, upstream::Upstream};

fn yaml(upstream: &Upstream, plugins: &Value) -> String {
    let config = json!({
        "_format_version": "3.0",
        "services": [{
            "name": "s",
            "url": format!("http://{}/base", upstream.address),
            "routes": [
                { "name": "r", "paths": ["/r"] },
                { "name": "captured", "paths": ["~/c/(?<id>[0-9]+)$"], "plugins": [{
                    "name": "request-transformer",
                    "config": { "replace": { "uri": "/v2/$(uri_captures.id)/$(headers.x_kind or 'none')" } },
                }] },
            ],
        }],
        "consumers": [{ "username": "till", "keyauth_credentials": [{ "key": "the-key-of-the-till" }] }],
        "plugins": plugins,
    });
    config.to_string()
}

#[tokio::test]
async fn a_request_and_its_answer_are_changed_on_their_ways() {
    let upstream = Upstream::echo().await;
    let plugins = json!([
        { "name": "request-transformer", "config": {
            "http_method": "PUT",
            "remove": { "headers": ["x-gone"], "querystring": ["gone"] },
            "replace": { "headers": ["host:other.test"] },
            "add": { "headers": ["x-new:$(query_params.a)"], "body": ["c:3"] },
        } },
        { "name": "response-transformer", "config": { "add": { "headers": ["x-answer:1"] } } },
    ]);
    let gateway = Gateway::start(&yaml(&upstream, &plugins)).await;
    let mut client = Client::connect(gateway.http()).await;
    client
        .send(
            "POST /r/x?a=b%20c&gone=1 HTTP/1.1\r\nhost: a\r\nx-gone: 1\r\ncontent-type: application/json\r\n\
             content-length: 7\r\n\r\n{\"a\":1}",
        )
        .await;
    let response = client.response().await;
    assert_eq!((response.status, response.header("x-answer")), (200, Some("1")));
    let seen = upstream.last();
    assert_eq!((seen.target.as_str(), seen.host.as_str()), ("/base/x?a=b%20c", "other.test"));
    assert_eq!((seen.header("x-gone"), seen.header("x-new")), (None, Some("b c")));
    assert_eq!(String::from_utf8(seen.body).unwrap(), r#"{"a":1,"c":"3"}"#);
    assert!(upstream.raw().starts_with("PUT /base/x?"), "{}", upstream.raw());
}

#[tokio::test]
async fn the_path_is_replaced_by_what_the_route_has_matched() {
    let upstream = Upstream::echo().await;
    let gateway = Gateway::start(&yaml(&upstream, &json!([]))).await;
    let mut client = Client::connect(gateway.http()).await;
    assert_eq!(client.get("/c/42").await.status, 200);
    assert_eq!(upstream.last().target, "/v2/42/none");
    client.send("GET /c/42 HTTP/1.1\r\nhost: a\r\nx-kind: a b?/../c\r\n\r\n").await;
    assert_eq!(client.response().await.status, 200);
    assert_eq!(upstream.last().target, "/v2/42/c");
}

/// Names that a transformer might be told to touch.
const NAMES: [&str; 14] = [
    "Connection",
    "Content-Length",
    "Transfer-Encoding",
    "Host",
    "Upgrade",
    "TE",
    "Keep-Alive",
    "X-Consumer-Id",
    "X_Consumer_Username",
    "X-Credential-Identifier",
    "X-Request-Id",
    "Via",
    "x-other",
    "Content-Type",
];

/// One list of a transformer's settings.
fn lists() -> impl Strategy<Value = Value> {
    let name = || prop::sample::select(NAMES.to_vec());
    let value = prop::sample::select(vec![
        "1",
        "chunked",
        "close",
        "0",
        "x-other",
        "$(headers.x_b)",
        "$(query_params.q)",
    ]);
    let removed = prop::collection::btree_set(name(), 0..3);
    let renamed = prop::collection::btree_map(name(), name(), 0..3);
    let valued = || prop::collection::btree_map(name(), value.clone(), 0..3);
    (removed, renamed, valued(), valued(), valued()).prop_map(
        |(removed, renamed, replaced, added, appended)| {
            let pairs = |map: std::collections::BTreeMap<&str, &str>| -> Vec<String> {
                map.iter().map(|(name, value)| format!("{name}:{value}")).collect()
            };
            json!({
                "remove": { "headers": removed },
                "rename": { "headers": pairs(renamed) },
                "replace": { "headers": pairs(replaced) },
                "add": { "headers": pairs(added) },
                "append": { "headers": pairs(appended) },
            })
        },
    )
}

/// Whether the settings can be given to a gateway. Those that can do no harm are seen to by the model.
fn is_accepted(name: &str, config: &Value) -> bool {
    let body = json!({ "name": name, "config": config });
    gateway_model::Entity::from_api(gateway_model::Kind::Plugin, &body).is_ok()
}

/// Without templates.
fn plain(config: &Value) -> Value {
    serde_json::from_str(&config.to_string().replace("$(headers.x_b)", "b").replace("$(query_params.q)", "q"))
        .unwrap()
}

#[test]
fn whatever_is_transformed_messages_are_framed_once_and_identities_are_the_gateways() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let (upstream, gateway) = runtime.block_on(async {
        let upstream = Upstream::echo().await;
        let gateway = Gateway::start(&yaml(&upstream, &json!([]))).await;
        (upstream, gateway)
    });
    let mut runner =
        TestRunner::new(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() });
    let result = runner.run(&(lists(), lists(), any::<bool>()), |(request, response, chunked)| {
        let mut plugins = vec![json!({ "name": "key-auth" })];
        if is_accepted("request-transformer", &request) {
            plugins.push(json!({ "name": "request-transformer", "config": request }));
        }
        let response = plain(&response);
        if is_accepted("response-transformer", &response) {
            plugins.push(json!({ "name": "response-transformer", "config": response }));
        }
        runtime.block_on(check(&gateway, &upstream, &json!(plugins), chunked));
        Ok(())
    });
    result.unwrap();
}

async fn check(gateway: &Gateway, upstream: &Upstream, plugins: &Value, chunked: bool) {
    gateway.apply(&yaml(upstream, plugins)).await;
    let before = upstream.raw().len();
    let mut client = Client::connect(gateway.http()).await;
    let framing = if chunked {
        "transfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
    } else {
        "content-length: 5\r\n\r\nhello"
    };
    let request = format!(
        "POST /r/x?q=forged HTTP/1.1\r\nhost: a\r\napikey: the-key-of-the-till\r\nx-consumer-id: forged\r\nx-other: forged\r\n\
         x-b: forged\r\n{framing}"
    );
    client.send(&request).await;
    let response = client.response().await;
    // On the same connection: what follows is read as an answer only if the one before it was framed rightly.
    client.send(&request).await;
    assert_eq!(client.response().await.status, response.status, "{plugins}");
    assert_eq!(response.status, 200, "{plugins}");
    let seen = upstream.last();
    assert_eq!(seen.body, b"hello", "{plugins}");
    let count = |name: &str| seen.headers.get_all(name).into_iter().count();
    assert!(count("content-length") + count("transfer-encoding") <= 1, "{plugins} {:?}", seen.headers);
    for (name, most) in [("host", 1), ("x-request-id", 1), ("upgrade", 0), ("keep-alive", 0), ("te", 0)] {
        assert!(count(name) <= most, "{plugins} {name}: {:?}", seen.headers);
    }
    for (name, value) in &seen.headers {
        let plain = name.as_str().replace('_', "-");
        if plain.starts_with("x-consumer-") || plain.starts_with("x-credential-") {
            assert_ne!(value, "forged", "{plugins}");
            assert_ne!(value, "1", "{plugins}");
        }
    }
    let raw = upstream.raw();
    let heads = raw[before..].matches("HTTP/1.1\r\n").count();
    assert_eq!(heads, 2, "{plugins}");
}
