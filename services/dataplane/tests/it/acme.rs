//! Challenges of ACME: the gateway answers those that are open, before any route, and nothing else of that path.

use dataplane::view::Change;
use serde_json::json;
use uuid::Uuid;

use crate::{client::Client, gateway::Gateway};

const PATH: &str = "/.well-known/acme-challenge";
/// What the route answers without TLS: 426.
const ROUTED: u16 = 426;

/// An ACME certificate whose challenges are open.
fn open(challenges: &[&str]) -> Change {
    let body = json!({"account_email": "ops@shop.example", "challenges": challenges, "domains": ["shop.example"],
                      "tos_accepted": true});
    let body = Some(body.to_string().into());
    Change { kind: "acme_certificate".to_owned(), id: Uuid::from_u128(7), body }
}

#[tokio::test]
async fn an_open_challenge_is_answered_before_any_route_and_everything_else_is_routed() {
    // A route that takes everything, and over TLS only.
    let yaml = "_format_version: \"3.0\"\nservices:\n\
        - {name: s, url: 'http://127.0.0.1:1', routes: [{name: r, paths: [/], protocols: [https]}]}\n";
    let gateway = Gateway::start(yaml).await;
    let mut client = Client::connect(gateway.http()).await;
    assert_eq!(client.get(&format!("{PATH}/token-1")).await.status, ROUTED);
    gateway.change(vec![open(&["token-1.thumb", "token-2.thumb"])]).await;
    assert_eq!(gateway.quarantined(), Vec::<String>::new());
    let answer = client.get(&format!("{PATH}/token-1")).await;
    assert_eq!((answer.status, answer.text()), (200, "token-1.thumb"));
    assert_eq!(answer.header("content-type"), Some("text/plain; charset=utf-8"));
    assert_eq!(client.get(&format!("{PATH}/token-2?x=1")).await.text(), "token-2.thumb");
    client.send(format!("HEAD {PATH}/token-1 HTTP/1.1\r\nhost: shop.example\r\n\r\n")).await;
    let head = client.response_to_head().await;
    assert_eq!((head.status, head.header("content-length")), (200, Some("13")));
    for path in ["/token-3", "/token-1/x", "/", ""] {
        assert_eq!(client.get(&format!("{PATH}{path}")).await.status, ROUTED, "{path}");
    }
    client.send(format!("POST {PATH}/token-1 HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\n\r\n")).await;
    assert_eq!(client.response().await.status, ROUTED);
    gateway.change(vec![open(&[])]).await;
    assert_eq!(client.get(&format!("{PATH}/token-1")).await.status, ROUTED);
}
