//! The plugins that authenticate, through the whole gateway: with credentials in a real store, in combination, and while the configuration changes.

mod consumers;

use std::time::Duration;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use dataplane::store::{Place, Revocation};
use gateway_model::{Entity, Kind, declarative};
use jsonwebtoken::{EncodingKey, Header, encode};
use serde_json::json;
use uuid::Uuid;

use crate::{
    client::{Client, Response},
    gateway::Gateway,
    upstream::Upstream,
};

/// Each path has plugins of its own.
fn yaml(upstream: &Upstream) -> String {
    format!(
        r#"
_format_version: "3.0"
services:
- name: s
  url: http://{}
  routes:
  - name: basic
    paths: [/basic]
    plugins: [{{name: basic-auth, config: {{hide_credentials: true}}}}]
  - name: jwt
    paths: [/jwt]
    plugins:
    - {{name: jwt, config: {{claims_to_verify: [exp]}}}}
    - {{name: acl, config: {{allow: [staff]}}}}
  - name: hmac
    paths: [/hmac]
    plugins: [{{name: hmac-auth, config: {{validate_request_body: true, enforce_headers: [date, digest]}}}}]
  - name: any
    paths: [/any]
    plugins:
    - {{name: key-auth, config: {{anonymous: nobody}}}}
    - {{name: basic-auth, config: {{anonymous: nobody}}}}
    - {{name: jwt, config: {{anonymous: nobody}}}}
  - name: members
    paths: [/members]
    plugins:
    - {{name: key-auth, config: {{anonymous: nobody}}}}
    - {{name: acl, config: {{deny: [guests]}}}}
  - name: both
    paths: [/both]
    plugins: [{{name: key-auth}}, {{name: basic-auth}}]
  - name: body
    paths: [/body]
    plugins: [{{name: key-auth, config: {{key_in_body: true, hide_credentials: true}}}}]
consumers:
- username: alice
  custom_id: a-1
  keyauth_credentials: [{{key: alice-key}}]
  basicauth_credentials: [{{username: alice, password: open sesame}}]
  jwt_secrets: [{{key: alice-jwt, secret: hush, algorithm: HS256}}]
  hmacauth_credentials: [{{username: alice, secret: hush}}]
  acls: [{{group: staff}}, {{group: admin}}]
- username: bob
  basicauth_credentials: [{{username: bob, password: bobs}}]
  jwt_secrets: [{{key: bob-jwt, secret: hush, algorithm: HS256}}]
- username: nobody
  acls: [{{group: guests}}]
"#,
        upstream.address
    )
}

fn basic(user: &str) -> String {
    format!("authorization: Basic {}\r\n", BASE64_STANDARD.encode(user))
}

fn jwt(issuer: &str) -> String {
    let claims = json!({ "iss": issuer, "exp": 4_000_000_000_u64 });
    let token = encode(&Header::default(), &claims, &EncodingKey::from_secret(b"hush")).unwrap();
    format!("authorization: Bearer {token}\r\n")
}

async fn get(client: &mut Client, path: &str, headers: &str) -> Response {
    client.send(format!("GET {path} HTTP/1.1\r\nhost: a\r\n{headers}\r\n")).await;
    client.response().await
}

/// Revokes the first entity of `kind` in the file `text` that `has` this among its fields.
fn revoke(gateway: &Gateway, text: &str, kind: Kind, has: &str) {
    let entities = declarative::parse(text).unwrap().entities(Uuid::nil(), &|_, _| None).unwrap();
    let found = |entity: &Entity| entity.kind() == kind && format!("{entity:?}").contains(has);
    let id = entities.iter().find(|(_, entity)| found(entity)).unwrap().0;
    gateway.store.deny(&Revocation {
        place: Place { incarnation: 1, seq: 1 },
        kind: kind.name().to_owned(),
        id,
    });
}

#[tokio::test]
async fn each_kind_of_credential_makes_its_consumer() {
    let upstream = Upstream::echo().await;
    let gateway = Gateway::start(&yaml(&upstream)).await;
    let mut client = Client::connect(gateway.http()).await;
    assert!(gateway.quarantined().is_empty(), "{:?}", gateway.quarantined());

    for _ in 0..2 {
        assert_eq!(get(&mut client, "/basic", &basic("alice:open sesame")).await.status, 200);
        let seen = upstream.last();
        assert_eq!(seen.header("x-consumer-username"), Some("alice"));
        assert_eq!(seen.header("x-credential-identifier"), Some("alice"));
        assert_eq!(seen.header("authorization"), None);
    }
    let response = get(&mut client, "/basic", &basic("alice:wrong")).await;
    assert_eq!(
        (response.status, response.header("www-authenticate")),
        (401, Some("Basic realm=\"service\""))
    );

    assert_eq!(get(&mut client, "/jwt", &jwt("alice-jwt")).await.status, 200);
    let seen = upstream.last();
    assert_eq!(seen.header("x-credential-identifier"), Some("alice-jwt"));
    assert_eq!(seen.header("x-consumer-groups"), Some("admin, staff"));
    assert_eq!(get(&mut client, "/jwt", &jwt("bob-jwt")).await.status, 403);
    assert_eq!(get(&mut client, "/jwt", "").await.status, 401);
    assert_eq!(get(&mut client, "/jwt", "authorization: Bearer a.b.c\r\n").await.status, 401);
}

#[tokio::test]
async fn a_signed_body_arrives_whole_and_an_altered_one_does_not() {
    let upstream = Upstream::echo().await;
    let gateway = Gateway::start(&yaml(&upstream)).await;
    let mut client = Client::connect(gateway.http()).await;
    let date = httpdate::fmt_http_date(dataplane::seams::Seams::system().clock.now().into());
    let digest = BASE64_STANDARD.encode(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, b"hello"));
    let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, b"hush");
    let signed = format!("date: {date}\ndigest: SHA-256={digest}");
    let signature = BASE64_STANDARD.encode(aws_lc_rs::hmac::sign(&key, signed.as_bytes()));
    let head = format!(
        "POST /hmac HTTP/1.1\r\nhost: a\r\ndate: {date}\r\ndigest: SHA-256={digest}\r\ncontent-length: 5\r\nauthorization: hmac \
         username=\"alice\", algorithm=\"hmac-sha256\", headers=\"date digest\", signature=\"{signature}\"\r\n\r\n"
    );
    for (body, status) in [("hello", 200), ("hullo", 401)] {
        client.send(format!("{head}{body}")).await;
        assert_eq!(client.response().await.status, status, "{body}");
    }
    assert_eq!(upstream.seen().len(), 1);
    assert_eq!(upstream.last().body, b"hello");
}

#[tokio::test]
async fn a_key_in_a_body_is_found_and_does_not_go_on() {
    let upstream = Upstream::echo().await;
    let gateway = Gateway::start(&yaml(&upstream)).await;
    let mut client = Client::connect(gateway.http()).await;
    let head = "POST /body HTTP/1.1\r\nhost: a\r\ncontent-type: application/x-www-form-urlencoded\r\n";
    client.send(format!("{head}content-length: 20\r\n\r\na=1&apikey=alice-key")).await;
    assert_eq!(client.response().await.status, 200);
    let seen = upstream.last();
    assert_eq!((seen.body.as_slice(), seen.header("content-length")), (&b"a=1"[..], Some("3")));
    client.send(format!("{head}content-length: 3\r\n\r\na=1")).await;
    assert_eq!(client.response().await.status, 401);
}

#[tokio::test]
async fn one_of_several_is_enough_where_each_has_an_anonymous_consumer_and_else_all_are_needed() {
    let upstream = Upstream::echo().await;
    let gateway = Gateway::start(&yaml(&upstream)).await;
    let mut client = Client::connect(gateway.http()).await;
    let forged = "x-consumer-username: root\r\nx-anonymous-consumer: false\r\nx-consumer-groups: admin\r\nx-authenticated-groups: admin\r\n";
    for (headers, username, anonymous, credential) in [
        (String::new(), "nobody", Some("true"), None),
        ("apikey: wrong\r\n".to_owned(), "nobody", Some("true"), None),
        (basic("bob:bobs"), "bob", None, Some("bob")),
        (basic("bob:wrong"), "nobody", Some("true"), None),
        (jwt("bob-jwt"), "bob", None, Some("bob-jwt")),
        (format!("apikey: wrong\r\n{}", jwt("alice-jwt")), "alice", None, Some("alice-jwt")),
    ] {
        assert_eq!(get(&mut client, "/any", &format!("{forged}{headers}")).await.status, 200, "{headers}");
        let seen = upstream.last();
        assert_eq!(seen.header("x-consumer-username"), Some(username), "{headers}");
        assert_eq!(seen.header("x-anonymous-consumer"), anonymous, "{headers}");
        assert_eq!(seen.header("x-credential-identifier"), credential, "{headers}");
        assert_eq!((seen.header("x-consumer-groups"), seen.header("x-authenticated-groups")), (None, None));
    }
    let key = "apikey: alice-key\r\n";
    for (headers, status) in [
        (key.to_owned(), 401),
        (basic("bob:bobs"), 401),
        (format!("{key}{}", basic("bob:wrong")), 401),
        (format!("{key}{}", basic("bob:bobs")), 200),
    ] {
        assert_eq!(get(&mut client, "/both", &headers).await.status, status, "{headers}");
    }
    assert_eq!(upstream.last().header("x-consumer-username"), Some("bob"));
    assert_eq!(upstream.last().header("x-consumer-custom-id"), None, "nothing is left of who came first");

    assert_eq!(get(&mut client, "/members", "").await.status, 401);
    assert_eq!(get(&mut client, "/members", key).await.status, 200);
}

#[tokio::test]
async fn credentials_and_groups_end_with_their_revocation_or_deletion() {
    let upstream = Upstream::echo().await;
    let text = yaml(&upstream);
    let gateway = Gateway::start(&text).await;
    let mut client = Client::connect(gateway.http()).await;
    assert_eq!(get(&mut client, "/jwt", &jwt("alice-jwt")).await.status, 200);
    revoke(&gateway, &text, Kind::Acl, "\"staff\"");
    assert_eq!(get(&mut client, "/jwt", &jwt("alice-jwt")).await.status, 403);
    assert_eq!(get(&mut client, "/basic", &basic("bob:bobs")).await.status, 200);
    revoke(&gateway, &text, Kind::BasicAuth, "\"bob\"");
    assert_eq!(get(&mut client, "/basic", &basic("bob:bobs")).await.status, 401);

    gateway
        .apply(&text.replace(
            "[{key: alice-jwt, secret: hush, algorithm: HS256}]",
            "[{key: alice-jwt, secret: other, algorithm: HS256}]",
        ))
        .await;
    assert_eq!(get(&mut client, "/jwt", &jwt("alice-jwt")).await.status, 401);
}

#[tokio::test]
async fn an_algorithm_that_nobody_verifies_is_named() {
    let upstream = Upstream::echo().await;
    let pem = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).unwrap().public_key_pem();
    let pem = pem.lines().map(|line| format!("      {line}\n")).collect::<String>();
    let credential = format!(
        "  jwt_secrets:\n  - key: bob-jwt\n    secret: s\n    algorithm: ES512\n    rsa_public_key: |\n{pem}"
    );
    let text = yaml(&upstream)
        .replace("  jwt_secrets: [{key: bob-jwt, secret: hush, algorithm: HS256}]\n", &credential);
    let gateway = Gateway::start(&text).await;
    assert_eq!(gateway.quarantined(), ["jwt: algorithm: this gateway does not verify `ES512`"]);
}

/// Changes of what identifies somebody come all the time: nobody is refused meanwhile who is known, and a password is not hashed anew each time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_is_refused_while_the_configuration_changes() {
    let upstream = Upstream::echo().await;
    let text = yaml(&upstream);
    let gateway = Gateway::start(&text).await;
    let address = gateway.http();
    let traffic = tokio::spawn(async move {
        let mut client = Client::connect(address).await;
        for _ in 0..200 {
            assert_eq!(get(&mut client, "/basic", &basic("alice:open sesame")).await.status, 200);
            assert_eq!(get(&mut client, "/jwt", &jwt("alice-jwt")).await.status, 200);
        }
    });
    let mut number = 0;
    while !traffic.is_finished() {
        number += 1;
        gateway.apply(&text.replace("custom_id: a-1", &format!("custom_id: a-{number}"))).await;
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    traffic.await.unwrap();
}
