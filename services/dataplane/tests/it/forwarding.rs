//! What the upstream is told, and what the client gets back.

use uuid::Uuid;

use crate::{
    client::Client,
    gateway::Gateway,
    upstream::{Upstream, scripted},
};

async fn start(service: &str, route: &str) -> (Gateway, Upstream) {
    let upstream = Upstream::echo().await;
    let yaml = format!(
        "_format_version: \"3.0\"\nservices:\n- {{name: s, url: 'http://{}', {service}routes: [{{name: r, {route}}}]}}\n",
        upstream.address
    );
    (Gateway::start(&yaml).await, upstream)
}

#[tokio::test]
async fn the_upstream_learns_how_the_request_came() {
    let (gateway, upstream) = start("", "paths: [/api]").await;
    let mut client = Client::connect(gateway.http()).await;
    client
        .send(
            "GET /api/x?q=%20a&b HTTP/1.1\r\nHost: Shop.example:81\r\nx-forwarded-for: 9.9.9.9\r\nx-forwarded-proto: https\r\n\
             x-forwarded-prefix: /lie\r\nx-consumer-id: 1\r\nX_Consumer_Username: root\r\nx-real-ip: 9.9.9.9\r\n\
             connection: x-secret\r\nx-secret: 1\r\nproxy-authorization: x\r\nvia: 1.0 before\r\naccept: a\r\n\
             accept: b\r\ncookie: c=1\r\nauthorization: Bearer t\r\n\
             traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\n\r\n",
        )
        .await;
    assert_eq!(client.response().await.status, 200);
    let seen = upstream.last();
    assert_eq!(seen.target, "/x?q=%20a&b");
    let port = gateway.http().port().to_string();
    for (name, value) in [
        ("host", upstream.address.to_string().as_str()),
        ("x-forwarded-for", "127.0.0.1"),
        ("x-forwarded-proto", "http"),
        ("x-forwarded-host", "Shop.example:81"),
        ("x-forwarded-port", port.as_str()),
        ("x-forwarded-prefix", "/api"),
        ("x-real-ip", "127.0.0.1"),
        ("cookie", "c=1"),
        ("authorization", "Bearer t"),
        ("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
    ] {
        assert_eq!(seen.header(name), Some(value), "{name}");
    }
    let all = |name: &str| {
        seen.headers.get_all(name).into_iter().map(|value| value.to_str().unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(all("accept"), ["a", "b"]);
    assert_eq!(all("via"), ["1.0 before", "1.1 landbridge"]);
    for name in ["x-secret", "proxy-authorization", "x-consumer-id", "x_consumer_username", "connection"] {
        assert!(!seen.headers.contains_key(name), "{name}");
    }
}

#[tokio::test]
async fn the_request_id_is_kept_or_made_and_given_back() {
    let (gateway, upstream) = start("", "paths: [/]").await;
    let mut client = Client::connect(gateway.http()).await;
    client.send("GET / HTTP/1.1\r\nhost: a\r\nx-request-id: mine-1\r\n\r\n").await;
    assert_eq!(client.response().await.header("x-request-id"), Some("mine-1"));
    assert_eq!(upstream.last().header("x-request-id"), Some("mine-1"));
    let response = client.get("/").await;
    let made = response.header("x-request-id").unwrap();
    assert!(Uuid::parse_str(made).is_ok());
    assert_eq!(upstream.last().header("x-request-id"), Some(made));
}

#[tokio::test]
async fn paths_are_joined_and_stripped_as_configured() {
    for (base, route, asked, target) in [
        ("", "paths: [/a]", "/a/b", "/b"),
        ("", "paths: [/a]", "/a", "/"),
        ("/v1", "paths: [/a]", "/a/b/", "/v1/b/"),
        ("/v1", "paths: [/a], strip_path: false", "/a/b", "/v1/a/b"),
        ("/v1/", "paths: ['~/users/(?<id>\\d+)'], strip_path: true", "/users/12/x", "/v1/x"),
        ("", "hosts: [a]", "/any/path", "/any/path"),
    ] {
        let upstream = Upstream::echo().await;
        let yaml = format!(
            "_format_version: \"3.0\"\nservices:\n- {{name: s, url: 'http://{}{base}', routes: [{{name: r, {route}}}]}}\n",
            upstream.address
        );
        let gateway = Gateway::start(&yaml).await;
        assert_eq!(Client::connect(gateway.http()).await.get(asked).await.status, 200, "{asked}");
        assert_eq!(upstream.last().target, target, "{base} {route} {asked}");
    }
}

#[tokio::test]
async fn the_host_is_preserved_where_asked() {
    let (gateway, upstream) = start("", "paths: [/], preserve_host: true").await;
    let mut client = Client::connect(gateway.http()).await;
    client.send("GET / HTTP/1.1\r\nhost: Shop.example:81\r\n\r\n").await;
    client.response().await;
    assert_eq!(upstream.last().header("host"), Some("Shop.example:81"));
    // The target's authority stands above the header, for the upstream too.
    client.send("GET http://real.example/ HTTP/1.1\r\nhost: other\r\n\r\n").await;
    client.response().await;
    assert_eq!(upstream.last().header("host"), Some("real.example"));
    // HTTP/1.0 may have none.
    client.send("GET / HTTP/1.0\r\n\r\n").await;
    assert_eq!(client.response().await.status, 200);
    assert_eq!(upstream.last().header("host"), Some(upstream.address.to_string().as_str()));
}

#[tokio::test]
async fn the_target_decides_the_route_not_the_host_header() {
    let upstream = Upstream::echo().await;
    let yaml = format!(
        "_format_version: \"3.0\"\nservices:\n- name: s\n  url: http://{}\n  routes:\n  - {{name: a, hosts: [a.io]}}\n  - {{name: b, hosts: ['*.b.io'], plugins: [{{name: key-auth}}]}}\n",
        upstream.address
    );
    let gateway = Gateway::start(&yaml).await;
    let mut client = Client::connect(gateway.http()).await;
    for (line, host, status) in [
        ("/", "A.io", 200),
        ("/", "a.io.:8000", 200),
        ("/", "x.b.io", 401),
        ("/", "c.io", 404),
        ("http://a.io/", "x.b.io", 200),
        ("http://x.b.io/", "a.io", 401),
        ("https://x.b.io:1/", "a.io", 401),
    ] {
        client.send(format!("GET {line} HTTP/1.1\r\nhost: {host}\r\n\r\n")).await;
        assert_eq!(client.response().await.status, status, "{line} {host}");
    }
}

#[tokio::test]
async fn answers_lose_what_belongs_to_the_connection() {
    let (gateway, _upstream) = start("", "paths: [/]").await;
    let mut client = Client::connect(gateway.http()).await;
    let response = client.get("/headers").await;
    let cookies: Vec<_> = response
        .headers
        .iter()
        .filter(|(name, _)| name == "set-cookie")
        .map(|(_, value)| value.as_str())
        .collect();
    assert_eq!(cookies, ["a=1", "b=2"]);
    for name in ["connection", "keep-alive", "x-private"] {
        assert_eq!(response.header(name), None, "{name}");
    }
    assert_eq!(response.header("content-length"), Some("2"));
}

#[tokio::test]
async fn head_and_empty_answers_keep_the_connection_in_step() {
    let (gateway, upstream) = start("", "paths: [/]").await;
    let mut client = Client::connect(gateway.http()).await;
    client.send("HEAD /big/1000 HTTP/1.1\r\nhost: a\r\n\r\n").await;
    let response = client.response_to_head().await;
    assert_eq!((response.status, response.header("content-length")), (200, Some("1000")));
    for code in [204, 304, 404, 500] {
        assert_eq!(client.get(&format!("/status/{code}")).await.status, code);
    }
    client.send("POST / HTTP/1.1\r\nhost: a\r\n\r\n").await;
    assert_eq!(client.response().await.status, 200);
    assert_eq!(upstream.last().header("content-length"), Some("0"));
}

#[tokio::test]
async fn connections_to_the_upstream_are_reused() {
    let (gateway, upstream) = start("", "paths: [/]").await;
    for _ in 0..3 {
        let mut client = Client::connect(gateway.http()).await;
        for _ in 0..10 {
            assert_eq!(client.get("/").await.status, 200);
        }
    }
    assert_eq!((upstream.seen().len(), upstream.connections()), (30, 1));
}

#[tokio::test]
async fn unmatched_and_unserved_requests_say_why() {
    let upstream = Upstream::echo().await;
    let yaml = format!(
        "_format_version: \"3.0\"\nservices:\n- {{name: s, url: 'http://{}', routes: [{{name: r, paths: [/a]}}]}}\nroutes:\n- {{name: none, paths: [/none]}}\n",
        upstream.address
    );
    let gateway = Gateway::start(&yaml).await;
    let mut client = Client::connect(gateway.http()).await;
    let response = client.get("/b").await;
    assert_eq!(response.status, 404);
    assert_eq!(response.header("content-type"), Some("application/json; charset=utf-8"));
    assert_eq!(response.json()["message"], "no Route matched with those values");
    assert_eq!(response.json()["request_id"].as_str(), response.header("x-request-id"));
    let response = client.get("/none").await;
    assert_eq!((response.status, response.json()["reason"].as_str()), (503, Some("no-service")));
    assert!(response.header("retry-after").is_some());

    // A service that this gateway does not understand takes its route down, and says so.
    let service = upstream_service(&gateway, &yaml);
    let body = Some(bytes::Bytes::from_static(b"{\"host\":\"h\",\"from_the_future\":1}"));
    gateway.change(vec![dataplane::view::Change { kind: "service".to_owned(), id: service, body }]).await;
    let response = client.get("/a").await;
    assert_eq!(
        (response.status, response.json()["reason"].as_str()),
        (503, Some("configuration-quarantined"))
    );
    assert_eq!(client.get("/none").await.json()["reason"], "no-service");
}

fn upstream_service(_gateway: &Gateway, yaml: &str) -> Uuid {
    let entities =
        gateway_model::declarative::parse(yaml).unwrap().entities(Uuid::nil(), &|_, _| None).unwrap();
    entities.iter().find(|(_, entity)| entity.kind() == gateway_model::Kind::Service).unwrap().0
}

#[tokio::test]
async fn plain_requests_to_https_routes_are_told_or_redirected() {
    let upstream = Upstream::echo().await;
    let yaml = format!(
        "_format_version: \"3.0\"\nservices:\n- name: s\n  url: http://{}\n  routes:\n  - {{name: a, paths: [/a], protocols: [https]}}\n  - {{name: b, paths: [/b], protocols: [https], https_redirect_status_code: 308}}\n",
        upstream.address
    );
    let gateway = Gateway::start(&yaml).await;
    let mut client = Client::connect(gateway.http()).await;
    let response = client.get("/a").await;
    assert_eq!((response.status, response.header("upgrade")), (426, Some("TLS/1.2, HTTP/1.1")));
    client.send("GET /b/x?y=1 HTTP/1.1\r\nhost: shop.io:8000\r\n\r\n").await;
    let response = client.response().await;
    assert_eq!((response.status, response.header("location")), (308, Some("https://shop.io/b/x?y=1")));
    assert!(upstream.seen().is_empty());
}

#[tokio::test]
async fn an_upstream_that_is_not_there_is_tried_as_often_as_configured() {
    // A port that was free a moment ago: nothing listens.
    let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let yaml = format!(
        "_format_version: \"3.0\"\nservices:\n- {{name: s, url: 'http://{gone}', retries: 2, routes: [{{name: r, paths: [/]}}]}}\n"
    );
    let gateway = Gateway::start(&yaml).await;
    let mut client = Client::connect(gateway.http()).await;
    client.send("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\n\r\nabc").await;
    let response = client.response().await;
    assert_eq!((response.status, response.json()["reason"].as_str()), (502, Some("upstream-connect")));
    assert_eq!(response.json()["source"], "upstream");
}

/// What was sent is not sent twice, unless it does no harm: an idempotent request without body whose connection broke.
#[tokio::test]
async fn only_harmless_requests_are_repeated_after_they_were_sent() {
    let ok = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
    for (request, status, heads) in [
        ("GET / HTTP/1.1\r\nhost: a\r\n\r\n", 200, 2),
        ("DELETE / HTTP/1.1\r\nhost: a\r\n\r\n", 200, 2),
        ("POST / HTTP/1.1\r\nhost: a\r\n\r\n", 502, 1),
        ("PUT / HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\n\r\nx", 502, 1),
    ] {
        let (address, seen) = scripted(vec!["", ok]).await;
        let yaml = format!(
            "_format_version: \"3.0\"\nservices:\n- {{name: s, url: 'http://{address}', retries: 1, routes: [{{name: r, paths: [/]}}]}}\n"
        );
        let gateway = Gateway::start(&yaml).await;
        let mut client = Client::connect(gateway.http()).await;
        client.send(request).await;
        assert_eq!(client.response().await.status, status, "{request}");
        assert_eq!(seen.lock().unwrap().len(), heads, "{request}");
    }
}
