//! Where no route leads: to the gateway itself, to what only its machine reaches, or round in circles.

use dataplane::{
    admin, declarative,
    proxy::{Guard, ProxyOptions},
    status::{Source, Status},
};
use ids::NodeId;
use time::OffsetDateTime;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::{
    client::{Client, Response},
    gateway::{Gateway, any_port},
    upstream::Upstream,
};

const NOTHING: &str = "_format_version: \"3.0\"\n";

fn yaml(url: &str) -> String {
    format!(
        "_format_version: \"3.0\"\nservices:\n- {{name: s, url: '{url}', retries: 3, routes: [{{name: r, paths: [/]}}]}}\n"
    )
}

async fn get(gateway: &Gateway) -> Response {
    Client::connect(gateway.http()).await.get("/").await
}

#[tokio::test]
async fn no_name_of_the_gateways_own_listeners_is_an_upstream() {
    // In place of the admin port, which is told to the proxy in the same way.
    let admin = Upstream::echo().await;
    for listen in ["127.0.0.1:0", "0.0.0.0:0"] {
        let options = ProxyOptions {
            http: Some(listen.parse().unwrap()),
            guard: Guard { own: vec![admin.address], allows_link_local: true },
            ..ProxyOptions::default()
        };
        let gateway = Gateway::start_with(NOTHING, options).await;
        for port in [gateway.http().port(), admin.address.port()] {
            for host in
                ["127.0.0.1", "localhost", "LOCALHOST", "0.0.0.0", "[::ffff:127.0.0.1]", "[::ffff:0:0]"]
            {
                gateway.apply(&yaml(&format!("http://{host}:{port}"))).await;
                let response = get(&gateway).await;
                assert_eq!(response.json()["reason"], "upstream-forbidden", "{host}");
                assert_eq!(response.status, 502, "{host}");
            }
            // Some of these are no host in the configuration, others none that the system resolves.
            for host in ["2130706433", "0x7f000001", "127.1", "0", "localhost.", "0177.0.0.1"] {
                let yaml = yaml(&format!("http://{host}:{port}"));
                if declarative::check(&yaml).is_ok() {
                    gateway.apply(&yaml).await;
                    assert!(get(&gateway).await.status >= 500, "{host}");
                }
            }
        }
    }
    assert_eq!(admin.connections(), 0);
    // Another port of the same machine is an upstream like any other.
    let upstream = Upstream::echo().await;
    let gateway = Gateway::start(&yaml(&format!("http://localhost:{}", upstream.address.port()))).await;
    assert_eq!(get(&gateway).await.status, 200);
}

/// A gateway cannot know which ports others on its machine keep for operators.
#[tokio::test]
async fn no_gateway_leads_to_another_gateways_admin_port() {
    let status =
        Status::new(NodeId::generate(), OffsetDateTime::UNIX_EPOCH, Source::Declarative(Default::default()));
    let (_status, watched) = watch::channel(status);
    let bound =
        admin::bind(any_port(), listener::Limits::default(), &mut listener::Inherited::default()).unwrap();
    let stop = CancellationToken::new();
    let port = admin::serve(bound, &[], watched, crate::admin::metrics(), None, stop.clone());
    let gateway = Gateway::start(&yaml(&format!("http://{}", port.address))).await;
    for path in ["/status", "/metrics", "/livez", "/config"] {
        let response = Client::connect(gateway.http()).await.get(path).await;
        assert_eq!(response.status, 403, "{path}: {}", response.text());
    }
    stop.cancel();
}

#[tokio::test]
async fn metadata_services_are_no_upstreams() {
    let gateway = Gateway::start(NOTHING).await;
    for host in ["169.254.169.254", "[::ffff:169.254.169.254]", "[fe80::1]", "[fd00:ec2::254]", "2852039166"]
    {
        for scheme in ["http", "https"] {
            gateway.apply(&yaml(&format!("{scheme}://{host}"))).await;
            let response = get(&gateway).await;
            assert_eq!(response.json()["reason"], "upstream-forbidden", "{host}");
            assert!(response.text().contains("allow_link_local_upstreams"), "{}", response.text());
        }
    }
}

#[tokio::test]
async fn a_loop_of_gateways_ends() {
    let one = Gateway::start(NOTHING).await;
    let two = Gateway::start(&yaml(&format!("http://{}", one.http()))).await;
    one.apply(&yaml(&format!("http://{}", two.http()))).await;
    let mut client = Client::connect(one.http()).await;
    // A client cannot take the count away.
    client.send("GET / HTTP/1.1\r\nhost: a\r\nconnection: close, via\r\n\r\n").await;
    let response = client.response().await;
    assert_eq!((response.status, response.json()["reason"].as_str()), (508, Some("loop")));
    assert!(response.text().contains("8 gateways"), "{}", response.text());

    let upstream = Upstream::echo().await;
    let options = ProxyOptions { http: Some(any_port()), hops_max: 2, ..ProxyOptions::default() };
    let gateway = Gateway::start_with(&yaml(&format!("http://{}", upstream.address)), options).await;
    for (via, status) in [
        ("1.1 landbridge", 200),
        ("1.1 other, 1.1 another", 200),
        ("1.1 landbridge, 2 landbridge", 508),
        ("1.1 landbridge\r\nvia: 1.0 landbridge (x)", 508),
    ] {
        let mut client = Client::connect(gateway.http()).await;
        client.send(format!("GET / HTTP/1.1\r\nhost: a\r\nvia: {via}\r\n\r\n")).await;
        assert_eq!(client.response().await.status, status, "{via}");
    }
}
