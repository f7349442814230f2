//! What a client says of itself or of its way is not believed; what the gateway says cannot be taken away.

use dataplane::proxy::{ProxyOptions, Trust};
use http::HeaderName;
use settings::AddressRanges;

use crate::{
    client::Client,
    gateway::{Gateway, any_port},
    upstream::{Seen, Upstream, scripted},
};

fn yaml(upstream: &Upstream) -> String {
    format!(
        r#"
_format_version: "3.0"
services:
- name: s
  url: http://{0}
  routes: [{{name: r, paths: [/]}}]
- name: keyed
  url: http://{0}
  plugins: [{{name: key-auth, config: {{hide_credentials: true}}}}]
  routes:
  - {{name: keyed, paths: [/keyed]}}
  - {{name: secure, paths: [/secure], protocols: [https]}}
consumers:
- username: alice
  custom_id: a-1
  keyauth_credentials: [{{key: alice-key}}]
"#,
        upstream.address
    )
}

/// A gateway that trusts what comes from this machine, with `change` made to its trust.
async fn trusting(upstream: &Upstream, change: impl FnOnce(&mut Trust)) -> Gateway {
    let mut trust =
        Trust { proxies: AddressRanges::parse(["127.0.0.0/8", "10.0.0.0/8"]).unwrap(), ..Trust::default() };
    change(&mut trust);
    let options = ProxyOptions { http: Some(any_port()), trust, ..ProxyOptions::default() };
    Gateway::start_with(&yaml(upstream), options).await
}

/// What the upstream sees of a GET with `headers`.
async fn seen(gateway: &Gateway, upstream: &Upstream, path: &str, headers: &str) -> Seen {
    let mut client = Client::connect(gateway.http()).await;
    client.send(format!("GET {path} HTTP/1.1\r\nhost: a\r\n{headers}\r\n")).await;
    assert_eq!(client.response().await.status, 200, "{headers}");
    upstream.last()
}

const SET_BY_THE_GATEWAY: [&str; 14] = [
    "X-Consumer-Id",
    "X-Consumer-Username",
    "X-Consumer-Custom-Id",
    "X-Credential-Identifier",
    "X-Forwarded-For",
    "X-Forwarded-Proto",
    "X-Forwarded-Host",
    "X-Forwarded-Port",
    "X-Forwarded-Prefix",
    "X-Real-IP",
    "X-Request-Id",
    "Via",
    "Host",
    "X_Consumer_Id",
];

#[tokio::test]
async fn a_client_cannot_nominate_what_the_gateway_sets() {
    let upstream = Upstream::echo().await;
    let plain = Gateway::start(&yaml(&upstream)).await;
    let trusting = trusting(&upstream, |_| {}).await;
    let all = SET_BY_THE_GATEWAY.join(", ");
    for gateway in [&plain, &trusting] {
        for connection in [
            format!("connection: close, {all}\r\n"),
            format!("Connection: {}\r\n", all.to_lowercase()),
            SET_BY_THE_GATEWAY.map(|name| format!("connection: {name}\r\n")).concat(),
            format!("connection: te, {all}\r\nte: trailers, {all}\r\n"),
            format!("connection: upgrade, {all}\r\nupgrade: h2c, {all}\r\n"),
            format!("proxy-connection: {all}\r\nkeep-alive: {all}\r\ntrailer: {all}\r\n"),
        ] {
            let headers = format!("apikey: alice-key\r\n{connection}");
            let seen = seen(gateway, &upstream, "/keyed/x", &headers).await;
            assert_eq!(seen.header("x-consumer-username"), Some("alice"), "{connection}");
            assert_eq!(seen.header("x-consumer-custom-id"), Some("a-1"), "{connection}");
            for name in &SET_BY_THE_GATEWAY[..13] {
                assert!(seen.headers.contains_key(*name), "{name}: {connection}");
            }
        }
    }
}

#[tokio::test]
async fn what_is_nominated_is_gone_before_plugins_run() {
    let upstream = Upstream::echo().await;
    let gateway = Gateway::start(&yaml(&upstream)).await;
    let mut client = Client::connect(gateway.http()).await;
    // Not to be seen by one and not by the other.
    client.send("GET /keyed HTTP/1.1\r\nhost: a\r\nconnection: apikey\r\napikey: alice-key\r\n\r\n").await;
    assert_eq!(client.response().await.status, 401);
    assert!(upstream.seen().is_empty());
}

#[tokio::test]
async fn a_websocket_request_cannot_nominate_what_the_gateway_sets() {
    let upstream = Upstream::echo().await;
    let gateway = Gateway::start(&yaml(&upstream)).await;
    let mut client = Client::connect(gateway.http()).await;
    let all = SET_BY_THE_GATEWAY.join(", ");
    client
        .send(format!(
            "GET /keyed/upgrade/websocket HTTP/1.1\r\nhost: a\r\napikey: alice-key\r\nconnection: upgrade, {all}\r\n\
             upgrade: websocket\r\nsec-websocket-key: k\r\nsec-websocket-version: 13\r\n\r\n"
        ))
        .await;
    assert_eq!(client.head().await.unwrap().status, 101);
    let seen = upstream.last();
    assert_eq!(seen.header("x-consumer-username"), Some("alice"));
    assert_eq!(seen.header("connection"), Some("upgrade"), "nothing more is nominated to the upstream");
    assert_eq!(seen.header("x-real-ip"), Some("127.0.0.1"));
}

#[tokio::test]
async fn an_upstream_cannot_nominate_what_the_gateway_answers() {
    let answer = "HTTP/1.1 200 OK\r\nconnection: close, x-request-id, content-length, x-own\r\nx-own: 1\r\nx-request-id: theirs\r\n\
                  content-length: 2\r\n\r\nok";
    let (address, _) = scripted(vec![answer]).await;
    let yaml = format!(
        "_format_version: \"3.0\"\nservices:\n- {{name: s, url: 'http://{address}', routes: [{{name: r, paths: [/]}}]}}\n"
    );
    let gateway = Gateway::start(&yaml).await;
    let mut client = Client::connect(gateway.http()).await;
    client.send("GET / HTTP/1.1\r\nhost: a\r\nx-request-id: mine\r\n\r\n").await;
    let response = client.response().await;
    assert_eq!((response.header("x-request-id"), response.header("x-own")), (Some("mine"), None));
    assert_eq!((response.header("content-length"), response.text()), (Some("2"), "ok"));
}

/// A header that only the gateway or a proxy may set, and a spelling that CGI does not distinguish from it.
const SPOOFED: &str = "forwarded: for=6.6.6.6\r\nx-forwarded-for: 6.6.6.6\r\nx-forwarded-scheme: https\r\n\
    x-forwarded-ssl: on\r\nx-forwarded-path: /6.6.6.6\r\nx-forwarded-server: 6.6.6.6\r\nx-forwarded-by: 6.6.6.6\r\n\
    x-client-ip: 6.6.6.6\r\ntrue-client-ip: 6.6.6.6\r\nx-original-url: /6.6.6.6\r\nx-rewrite-url: /6.6.6.6\r\n\
    x-real-ip: 6.6.6.6\r\nx-authenticated-userid: 6.6.6.6\r\nx-credential-username: 6.6.6.6\r\n\
    x-anonymous-consumer: true\r\nx-consumer-id: 6.6.6.6\r\nx_forwarded_for: 6.6.6.6\r\nX_Real_IP: 6.6.6.6\r\n\
    x_consumer_id: 6.6.6.6\r\nX_Original-URL: /6.6.6.6\r\nTRUE_CLIENT_IP: 6.6.6.6\r\ncf-connecting-ip: 6.6.6.6\r\n\
    remote-user: 6.6.6.6\r\nx_request_id: 6.6.6.6\r\ncontent_length: 666\r\nproxy: http://6.6.6.6\r\n";

#[tokio::test]
async fn no_header_of_a_client_passes_for_the_gateways_or_a_proxys() {
    let upstream = Upstream::echo().await;
    let gateway = Gateway::start(&yaml(&upstream)).await;
    let seen = seen(&gateway, &upstream, "/keyed/x", &format!("apikey: alice-key\r\n{SPOOFED}")).await;
    let raw = format!("{:?}", seen.headers);
    assert!(!raw.contains("6.6.6.6") && !raw.contains("\"666\""), "{raw}");
    let mut names: Vec<&str> = seen.headers.keys().map(HeaderName::as_str).collect();
    names.sort_unstable();
    let own = [
        "host",
        "via",
        "x-consumer-custom-id",
        "x-consumer-id",
        "x-consumer-username",
        "x-credential-identifier",
        "x-forwarded-for",
        "x-forwarded-host",
        "x-forwarded-port",
        "x-forwarded-prefix",
        "x-forwarded-proto",
        "x-real-ip",
        "x-request-id",
    ];
    assert_eq!(names, own);
    assert_eq!(seen.header("x-forwarded-for"), Some("127.0.0.1"));
}

#[tokio::test]
async fn trailers_cannot_say_it_later() {
    let upstream = Upstream::echo().await;
    let gateway = Gateway::start(&yaml(&upstream)).await;
    let mut client = Client::connect(gateway.http()).await;
    client
        .send(format!(
            "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\ntrailer: x-sum\r\n\r\n1\r\nz\r\n0\r\n\
             x-sum: 7\r\nvia: 6.6.6.6\r\nx-request-id: 6.6.6.6\r\n{SPOOFED}\r\n"
        ))
        .await;
    assert_eq!(client.response().await.status, 200);
    let trailers = upstream.last().trailers.unwrap();
    assert_eq!(trailers.keys().map(HeaderName::as_str).collect::<Vec<_>>(), ["x-sum"]);
}

#[tokio::test]
async fn a_trusted_proxy_is_believed_about_the_way_and_not_about_the_consumer() {
    let upstream = Upstream::echo().await;
    let gateway = trusting(&upstream, |trust| {
        trust.real_ip_header = HeaderName::from_static("x-forwarded-for");
        trust.recursive = true;
    })
    .await;
    let headers = "x-forwarded-for: 6.6.6.6, 1.2.3.4, 10.0.0.1\r\nx-forwarded-proto: https\r\nx-forwarded-host: shop.io\r\n\
        x-forwarded-port: 443\r\nx-forwarded-prefix: /outer\r\nforwarded: for=1.2.3.4\r\nx-original-url: /o\r\n\
        x-consumer-id: 1\r\nx_forwarded_host: evil\r\nconnection: x-forwarded-for\r\n";
    let seen = seen(&gateway, &upstream, "/", headers).await;
    for (name, value) in [
        ("x-forwarded-for", Some("6.6.6.6, 1.2.3.4, 10.0.0.1, 127.0.0.1")),
        ("x-real-ip", Some("1.2.3.4")),
        ("x-forwarded-proto", Some("https")),
        ("x-forwarded-host", Some("shop.io")),
        ("x-forwarded-port", Some("443")),
        ("x-forwarded-prefix", Some("/outer")),
        ("forwarded", Some("for=1.2.3.4")),
        ("x-original-url", Some("/o")),
        ("x-consumer-id", None),
        ("x_forwarded_host", None),
    ] {
        assert_eq!(seen.header(name), value, "{name}");
    }
    // The client spoke TLS to the proxy.
    let mut client = Client::connect(gateway.http()).await;
    for (proto, status) in [("https", 401), ("http", 426)] {
        client.send(format!("GET /secure HTTP/1.1\r\nhost: a\r\nx-forwarded-proto: {proto}\r\n\r\n")).await;
        assert_eq!(client.response().await.status, status, "{proto}");
    }
    // From nobody else.
    let strict = Gateway::start(&yaml(&upstream)).await;
    let mut client = Client::connect(strict.http()).await;
    client.send("GET /secure HTTP/1.1\r\nhost: a\r\nx-forwarded-proto: https\r\n\r\n").await;
    assert_eq!(client.response().await.status, 426);
}

#[tokio::test]
async fn the_proxy_protocol_is_read_from_trusted_addresses_only() {
    let upstream = Upstream::echo().await;
    let balanced = trusting(&upstream, |trust| trust.proxy_protocol = true).await;
    let v2 = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\x01\x02\x03\x04\x0a\0\0\x01\x12\x34\x01\xbb";
    let v1 = b"PROXY TCP4 1.2.3.4 10.0.0.1 4660 443\r\n";
    let request = b"GET / HTTP/1.1\r\nhost: a\r\nx-forwarded-for: 6.6.6.6\r\nx-real-ip: 6.6.6.6\r\n\r\n";
    for header in [v1.as_slice(), v2] {
        let mut client = Client::connect(balanced.http()).await;
        client.send([header, request].concat()).await;
        assert_eq!(client.response().await.status, 200);
        let seen = upstream.last();
        // The balancer is trusted, and its client is not.
        for (name, value) in
            [("x-forwarded-for", "1.2.3.4"), ("x-real-ip", "1.2.3.4"), ("x-forwarded-port", "443")]
        {
            assert_eq!(seen.header(name), Some(value), "{name}");
        }
    }
    let reached = upstream.seen().len();
    for bytes in [request.as_slice(), b"PROXY TCP4 nonsense\r\n", b"PROXY TCP4 1.2.3.4 10.0.0.1 4660 443 "] {
        let mut client = Client::connect(balanced.http()).await;
        client.send([bytes, request].concat()).await;
        assert!(client.try_response().await.is_none(), "without a valid header nothing is served");
    }
    // Whom the gateway does not trust cannot use it, whether others may or nobody.
    let elsewhere = trusting(&upstream, |trust| {
        trust.proxies = AddressRanges::parse(["192.0.2.0/24"]).unwrap();
        trust.proxy_protocol = true;
    })
    .await;
    for gateway in [&elsewhere, &Gateway::start(&yaml(&upstream)).await] {
        for header in [v1.as_slice(), v2] {
            let mut client = Client::connect(gateway.http()).await;
            client.send([header, request].concat()).await;
            assert_eq!(client.head().await.unwrap().status, 400);
        }
    }
    assert_eq!(upstream.seen().len(), reached);
}
