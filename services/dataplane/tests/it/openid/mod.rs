//! openid-connect and oauth2-introspection with a real provider: signed tokens, tokens that it is asked about, logins of browsers, new keys, and
//! a provider that is gone.

mod provider;

use std::time::{Duration, Instant};

use self::provider::Provider;
use crate::{
    client::{Client, DEADLINE, Response},
    gateway::Gateway,
    upstream::Upstream,
};

fn yaml(upstream: &Upstream, provider: &Provider) -> String {
    let (issuer, introspect) = (provider.issuer(), provider.url("oauth/introspect"));
    format!(
        r#"
_format_version: "3.0"
services:
- name: s
  url: http://{}
  routes:
  - name: bearer
    paths: [/bearer]
    plugins:
    - name: openid-connect
      config: {{issuer: '{issuer}', auth_methods: [bearer], audience_required: [api], consumer_claim: [sub], consumer_by: [custom_id],
                upstream_headers_claims: [sub], upstream_headers_names: [x-subject], hide_credentials: true}}
  - name: other
    paths: [/other]
    plugins:
    - name: openid-connect
      config: {{issuer: '{issuer}', auth_methods: [bearer], audience_required: [somebody-else]}}
  - name: opaque
    paths: [/opaque]
    plugins:
    - name: openid-connect
      config: {{issuer: '{issuer}', auth_methods: [introspection], client_id: [api], client_secret: secret, cache_ttl: 0,
                consumer_claim: [sub], consumer_by: [custom_id]}}
  - name: introspection
    paths: [/introspection]
    plugins:
    - name: oauth2-introspection
      config: {{introspection_url: '{introspect}', authorization_value: Basic YXBpOnNlY3JldA==, ttl: 0}}
  - name: page
    paths: [/page]
    plugins:
    - name: openid-connect
      config: {{issuer: '{issuer}', auth_methods: [authorization_code, session], client_id: [web], client_secret: secret,
                scopes: [openid, profile], session_secret: a-long-random-secret, consumer_claim: [sub], consumer_by: [custom_id],
                logout_uri_suffix: /bye}}
consumers:
- username: test-user@localhost
  custom_id: id1
"#,
        upstream.address
    )
}

async fn get(client: &mut Client, path: &str, headers: &str) -> Response {
    client.send(format!("GET {path} HTTP/1.1\r\nhost: a\r\n{headers}\r\n")).await;
    client.response().await
}

async fn bearer(client: &mut Client, path: &str, token: &str) -> u16 {
    get(client, path, &format!("authorization: Bearer {token}\r\n")).await.status
}

/// Name and value of the cookie that the answer sets, whose name ends so.
fn cookie(response: &Response, name: &str) -> String {
    let set = response.headers.iter().filter(|(header, _)| header == "set-cookie").map(|(_, value)| value);
    let found = set.clone().find(|value| value.starts_with(&format!("{name}=")));
    let found = found.unwrap_or_else(|| panic!("{response:?}"));
    assert!(found.contains("HttpOnly") && found.contains("SameSite=Lax"), "{found}");
    found.split(';').next().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tokens_count_as_the_provider_says() {
    let (upstream, provider) = (Upstream::echo().await, Provider::start().await);
    let gateway = Gateway::start(&yaml(&upstream, &provider)).await;
    assert!(gateway.quarantined().is_empty(), "{:?}", gateway.quarantined());
    let mut client = Client::connect(gateway.http()).await;
    let tokens = provider.tokens().await;
    let (signed, opaque) = (tokens["id_token"].as_str().unwrap(), tokens["access_token"].as_str().unwrap());

    assert_eq!(bearer(&mut client, "/bearer", signed).await, 200);
    let seen = upstream.last();
    assert_eq!(seen.header("x-consumer-username"), Some("test-user@localhost"));
    assert_eq!((seen.header("x-subject"), seen.header("authorization")), (Some("id1"), None));
    assert_eq!(bearer(&mut client, "/other", signed).await, 401);
    let altered = signed.replacen('.', ".e", 1);
    for wrong in [altered.as_str(), &signed[..signed.len() - 2], opaque, "a.b.c", "x"] {
        assert_eq!(bearer(&mut client, "/bearer", wrong).await, 401, "{wrong}");
    }
    assert_eq!(get(&mut client, "/bearer", "").await.header("www-authenticate"), Some("Bearer"));

    for path in ["/opaque", "/introspection"] {
        assert_eq!(bearer(&mut client, path, opaque).await, 200, "{path}");
        assert_eq!(upstream.last().header("x-consumer-username"), Some("test-user@localhost"), "{path}");
        assert_eq!(bearer(&mut client, path, "wrong").await, 401, "{path}");
    }

    // The provider is gone: what it has signed counts on, and nobody passes whom it would have to be asked about.
    let port = provider.port;
    drop(provider);
    assert_eq!(bearer(&mut client, "/bearer", signed).await, 200);
    for path in ["/opaque", "/introspection"] {
        assert_eq!(bearer(&mut client, path, opaque).await, 503, "{path}");
    }
    // It is back with other keys.
    let provider = Provider::start_at(port).await;
    let tokens = provider.tokens().await;
    let (began, signed) = (Instant::now(), tokens["id_token"].as_str().unwrap());
    while bearer(&mut client, "/bearer", signed).await != 200 {
        assert!(began.elapsed() < DEADLINE, "the new keys are not learned");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_browser_logs_in_and_out() {
    let (upstream, provider) = (Upstream::echo().await, Provider::start().await);
    let gateway = Gateway::start(&yaml(&upstream, &provider)).await;
    let mut client = Client::connect(gateway.http()).await;

    let sent = get(&mut client, "/page?x=1", "").await;
    assert_eq!((sent.status, sent.header("cache-control")), (302, Some("no-store")));
    let login = cookie(&sent, "session_login");
    let authorize = sent.header("location").unwrap();
    assert!(authorize.contains("code_challenge_method=S256") && authorize.contains("nonce="), "{authorize}");
    let back = provider.log_in(authorize).await;
    let (_, query) = back.split_once('?').unwrap();

    // Another browser, another login, or a made-up state: nobody is let in.
    let other = cookie(&get(&mut client, "/page", "").await, "session_login");
    for (query, cookie) in [(query, ""), (query, other.as_str()), ("code=x&state=y", login.as_str())] {
        let refused = get(&mut client, &format!("/page?{query}"), &format!("cookie: {cookie}\r\n")).await;
        assert_eq!(refused.status, 302);
        assert!(refused.header("location").unwrap().starts_with(&provider.issuer()), "{refused:?}");
    }
    let redeemed = get(&mut client, &format!("/page?{query}"), &format!("cookie: {login}\r\n")).await;
    assert_eq!((redeemed.status, redeemed.header("location")), (302, Some("/page?x=1")), "{redeemed:?}");
    let session = cookie(&redeemed, "session");
    assert!(upstream.seen().is_empty());

    let cookies = format!("cookie: a=1; {session}; b=2\r\n");
    assert_eq!(get(&mut client, "/page?x=1", &cookies).await.status, 200);
    let seen = upstream.last();
    assert_eq!(seen.header("x-consumer-username"), Some("test-user@localhost"));
    assert_eq!(seen.header("cookie"), Some("a=1; b=2"));
    // A code counts once, and a session that was altered not at all.
    assert_eq!(
        get(&mut client, &format!("/page?{query}"), &format!("cookie: {login}\r\n")).await.status,
        401
    );
    let altered = format!("cookie: {}A\r\n", &session[..session.len() - 1]);
    assert_eq!(get(&mut client, "/page", &altered).await.status, 302);
    client.send("POST /page HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\n\r\n").await;
    assert_eq!(client.response().await.status, 401);

    let gone = get(&mut client, "/page/bye", &cookies).await;
    assert_eq!((gone.status, cookie(&gone, "session").as_str()), (302, "session="));
    assert!(gone.header("location").unwrap().starts_with(&provider.url("end_session")), "{gone:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_provider_that_was_never_reached_lets_nobody_in() {
    let (upstream, provider) = (Upstream::echo().await, Provider::start().await);
    let text = yaml(&upstream, &provider);
    drop(provider);
    let gateway = Gateway::start(&text).await;
    let mut client = Client::connect(gateway.http()).await;
    let token = jsonwebtoken::encode(
        &jsonwebtoken::Header::default(),
        &serde_json::json!({ "sub": "id1" }),
        &jsonwebtoken::EncodingKey::from_secret(b"x"),
    );
    assert_eq!(bearer(&mut client, "/bearer", &token.unwrap()).await, 503);
    assert_eq!(get(&mut client, "/page", "").await.status, 503);
    assert!(upstream.seen().is_empty());
}
