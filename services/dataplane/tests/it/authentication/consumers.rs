//! Consumers whom key-auth finds out: what upstreams are told of them, the plugins that are theirs or their groups', and when their keys end.

use gateway_model::Kind;
use uuid::Uuid;

use super::revoke;

use crate::{
    client::{Client, Response},
    gateway::Gateway,
    upstream::Upstream,
};

fn yaml(upstream: &Upstream) -> String {
    format!(
        r#"
_format_version: "3.0"
services:
- name: s
  url: http://{}
  plugins: [{{name: key-auth, config: {{hide_credentials: true}}}}]
  routes:
  - {{name: all, paths: [/]}}
  - name: maintenance
    paths: [/down]
    plugins: [{{name: request-termination, config: {{status_code: 418, message: back at noon}}}}]
consumers:
- username: alice
  custom_id: a-1
  keyauth_credentials: [{{key: alice-key}}]
- username: bob
  keyauth_credentials: [{{key: bob-key}}]
  plugins: [{{name: request-termination, config: {{status_code: 402, message: pay first}}}}]
"#,
        upstream.address
    )
}

async fn get(client: &mut Client, path: &str, key: &str) -> Response {
    super::get(client, path, &format!("apikey: {key}\r\n")).await
}

#[tokio::test]
async fn a_key_makes_a_consumer_and_the_upstream_is_told() {
    let upstream = Upstream::echo().await;
    let gateway = Gateway::start(&yaml(&upstream)).await;
    let mut client = Client::connect(gateway.http()).await;
    assert_eq!(get(&mut client, "/?apikey=x&b=1", "alice-key").await.status, 200);
    let seen = upstream.last();
    assert_eq!(seen.header("x-consumer-username"), Some("alice"));
    assert_eq!(seen.header("x-consumer-custom-id"), Some("a-1"));
    assert!(Uuid::parse_str(seen.header("x-consumer-id").unwrap()).is_ok());
    assert!(Uuid::parse_str(seen.header("x-credential-identifier").unwrap()).is_ok());
    assert_eq!((seen.header("apikey"), seen.target.as_str()), (None, "/?b=1"));
    assert!(!upstream.raw().contains("alice-key"));

    assert_eq!(client.get("/?apikey=alice-key").await.status, 200);
    assert_eq!(upstream.last().target, "/");

    for (request, message) in [
        ("GET / HTTP/1.1\r\nhost: a\r\n\r\n", "No API key found in request"),
        ("GET / HTTP/1.1\r\nhost: a\r\napikey: wrong\r\n\r\n", "Unauthorized"),
        ("GET / HTTP/1.1\r\nhost: a\r\napikey: alice-key\r\napikey: x\r\n\r\n", "Duplicate API key found"),
        ("GET / HTTP/1.1\r\nhost: a\r\nx-consumer-id: 1\r\n\r\n", "No API key found in request"),
    ] {
        client.send(request).await;
        let response = client.response().await;
        assert_eq!((response.status, response.header("www-authenticate")), (401, Some("Key")), "{request}");
        assert_eq!(response.json()["message"], message);
        assert_eq!(response.json()["request_id"].as_str(), response.header("x-request-id"));
    }
    assert_eq!(upstream.seen().len(), 2);
}

#[tokio::test]
async fn plugins_of_route_and_consumer_come_in_order() {
    let upstream = Upstream::echo().await;
    let gateway = Gateway::start(&yaml(&upstream)).await;
    let mut client = Client::connect(gateway.http()).await;
    // key-auth runs before request-termination, wherever they stand.
    assert_eq!(client.get("/down").await.status, 401);
    let response = get(&mut client, "/down", "alice-key").await;
    assert_eq!((response.status, response.json()["message"].as_str()), (418, Some("back at noon")));
    // The consumer's own plugin counts once the consumer is known, and before the route's.
    for path in ["/", "/down"] {
        let response = get(&mut client, path, "bob-key").await;
        assert_eq!(
            (response.status, response.json()["message"].as_str()),
            (402, Some("pay first")),
            "{path}"
        );
    }
    assert!(upstream.seen().is_empty());
}

#[tokio::test]
async fn a_key_ends_with_its_revocation_or_its_deletion() {
    let upstream = Upstream::echo().await;
    let text = yaml(&upstream);
    let gateway = Gateway::start(&text).await;
    let mut client = Client::connect(gateway.http()).await;
    assert_eq!(get(&mut client, "/", "alice-key").await.status, 200);

    revoke(&gateway, &text, Kind::KeyAuth, "");
    assert_eq!(get(&mut client, "/", "alice-key").await.status, 401);
    assert_eq!(get(&mut client, "/", "bob-key").await.status, 402);

    gateway.apply(&text.replace("[{key: bob-key}]", "[{key: new-key}]")).await;
    assert_eq!(get(&mut client, "/", "bob-key").await.status, 401);
    assert_eq!(get(&mut client, "/", "new-key").await.status, 402);
}

#[tokio::test]
async fn a_consumer_is_told_as_it_is_now() {
    let upstream = Upstream::echo().await;
    let text = yaml(&upstream);
    let gateway = Gateway::start(&text).await;
    let mut client = Client::connect(gateway.http()).await;
    for custom_id in ["a-1", "a-2", "a-3"] {
        gateway.apply(&text.replace("custom_id: a-1", &format!("custom_id: {custom_id}"))).await;
        for _ in 0..2 {
            assert_eq!(get(&mut client, "/", "alice-key").await.status, 200);
            assert_eq!(upstream.last().header("x-consumer-custom-id"), Some(custom_id));
        }
    }
}

#[tokio::test]
async fn a_plugin_of_a_group_is_for_its_members() {
    let upstream = Upstream::echo().await;
    let groups = "consumer_groups:\n- name: unpaid\n  plugins: [{name: request-termination, config: {status_code: 402, message: pay}}]\n";
    let text = yaml(&upstream).replace("consumers:\n", &format!("{groups}consumers:\n"));
    let alice = "  custom_id: a-1\n";
    let gateway = Gateway::start(&text).await;
    let mut client = Client::connect(gateway.http()).await;
    assert_eq!(get(&mut client, "/", "alice-key").await.status, 200);
    gateway.apply(&text.replace(alice, &format!("{alice}  groups: [{{name: unpaid}}]\n"))).await;
    let response = get(&mut client, "/", "alice-key").await;
    assert_eq!((response.status, response.json()["message"].as_str()), (402, Some("pay")));
    gateway.apply(&text).await;
    assert_eq!(get(&mut client, "/", "alice-key").await.status, 200);
}

#[tokio::test]
async fn what_key_auth_only_observes_passes_and_switching_it_on_refuses_exactly_that() {
    let upstream = Upstream::echo().await;
    let observing = yaml(&upstream).replace("{hide_credentials: true}", "{observe: true}");
    for (yaml, passes) in [(observing, 200), (yaml(&upstream), 401)] {
        let gateway = Gateway::start(&yaml).await;
        let mut client = Client::connect(gateway.http()).await;
        assert_eq!(get(&mut client, "/", "alice-key").await.status, 200);
        assert_eq!(upstream.last().header("x-consumer-username"), Some("alice"));
        assert_eq!(get(&mut client, "/", "wrong").await.status, passes);
        if passes == 200 {
            assert_eq!(upstream.last().header("x-consumer-username"), None);
        }
    }
}
