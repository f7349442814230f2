//! The handshake and the connection: who is asked, sessions that are resumed, HTTP/2, and changes while connections are open.

use bytes::Bytes;
use dataplane::view::Change;
use gateway_model::Kind;
use http::Request;
use http_body_util::{BodyExt as _, Empty};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::HandshakeKind;
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use super::{
    Site, VERSIONS,
    pki::{Authority, Clients, Pair, id},
    route,
};
use crate::{client::Client, tls::connect};

/// A route for server names only is asked for by these.
fn named(path: &str, names: &str, settings: &str) -> String {
    let route = route(path, &[1], settings, "");
    route.replacen("paths:", &format!("protocols: [https], snis: [{names}], paths:"), 1)
}

#[tokio::test]
async fn a_client_is_asked_only_where_a_plugin_may_want_its_certificate() {
    let open = "  - {name: open, paths: [/open]}\n";
    let routes =
        [open, &named("a", "a.shop.io", "send_ca_dn: true"), &named("w", "'*.w.shop.io', 't.*'", "")];
    let site = Site::start(&routes.concat()).await;
    let common = site.root.issue("common", &[]);
    let asked = async |name: &str| {
        let clients = site.clients(Some(&common));
        // The certificate of the gateway is for one label only.
        let _ = connect(&site.gateway, name, clients.config.clone()).await;
        clients.asked()
    };
    for (name, expected) in [
        ("a.shop.io", vec![1]),
        ("A.Shop.io", vec![1]),
        ("shop.io", vec![]),
        ("b.shop.io", vec![]),
        ("w.shop.io", vec![]),
        ("127.0.0.1", vec![]),
    ] {
        assert_eq!(asked(name).await, expected, "{name}");
    }
    let mut client = site.open(&site.clients(Some(&common)), "a.shop.io").await;
    assert_eq!((client.get("/open").await.status, client.get("/a").await.status), (200, 200));
    // Under another name, the route is not there.
    let mut client = site.open(&site.clients(Some(&common)), "b.shop.io").await;
    assert_eq!((client.get("/open").await.status, client.get("/a").await.status), (200, 404));

    // A route without server names makes all clients be asked; where one plugin tells no authorities, none are told.
    let all = format!("{}{}", routes.concat(), route("all", &[3], "", ""));
    site.apply(&all).await;
    for (name, expected) in [("a.shop.io", vec![0]), ("shop.io", vec![0]), ("127.0.0.1", vec![0])] {
        assert_eq!(asked(name).await, expected, "{name}");
    }
    site.apply(&all.replace(&route("all", &[3], "", ""), &route("all", &[3], "send_ca_dn: true", ""))).await;
    for (name, expected) in [("a.shop.io", vec![2]), ("shop.io", vec![1])] {
        assert_eq!(asked(name).await, expected, "{name}");
    }
    site.apply(open).await;
    assert_eq!(asked("a.shop.io").await, Vec::<usize>::new());
}

fn kind(client: &Client<TlsStream<TcpStream>>) -> HandshakeKind {
    client.stream.get_ref().1.handshake_kind().unwrap()
}

#[tokio::test]
async fn a_resumed_session_keeps_its_certificate_under_its_own_name_and_while_clients_are_asked() {
    let restricted = named("a", "a.shop.io", "");
    let open = "  - {name: open, paths: [/open]}\n".to_owned();
    let site = Site::start(&(open.clone() + &restricted)).await;
    for version in VERSIONS {
        let common = site.root.issue("common", &[]);
        let clients = Clients::new(&site.server, Some(&common), &[version], "http/1.1");
        for expected in [HandshakeKind::Full, HandshakeKind::Resumed, HandshakeKind::Resumed] {
            let mut client = site.open(&clients, "a.shop.io").await;
            assert_eq!(client.get("/a").await.status, 200, "{version:?} {expected:?}");
            assert_eq!(kind(&client), expected, "{version:?}");
        }
        assert_eq!(clients.asked().len(), 1, "{version:?}: a resumed session asks for nothing");

        // A session that began without being asked, and is resumed until clients are asked.
        for expected in [HandshakeKind::Full, HandshakeKind::Resumed] {
            let mut client = site.open(&clients, "b.shop.io").await;
            assert_eq!(client.get("/open").await.status, 200);
            assert_eq!(kind(&client), expected, "{version:?}");
        }
        site.apply(&(open.clone() + &restricted + &named("b", "b.shop.io", ""))).await;
        let mut client = site.open(&clients, "b.shop.io").await;
        assert_eq!(client.get("/b").await.status, 200, "{version:?}");
        assert_ne!(kind(&client), HandshakeKind::Resumed, "{version:?}");
        // The client of a session that is resumed is judged like any other.
        site.apply(&(open.clone() + &restricted.replace(&id(1), &id(3)))).await;
        let mut client = site.open(&clients, "a.shop.io").await;
        assert_eq!(client.get("/a").await.status, 401, "{version:?}");
        site.apply(&(open.clone() + &restricted)).await;
    }
}

#[tokio::test]
async fn a_change_holds_for_the_next_request_of_an_open_connection() {
    let open = "  - {name: open, paths: [/open]}\n".to_owned();
    let site = Site::start(&open).await;
    let common = site.root.issue("common", &[]);
    let mut early = site.open(&site.clients(Some(&common)), "shop.io").await;
    assert_eq!(early.get("/open").await.status, 200);
    let trusting = |authorities: &[u32], settings| open.clone() + &route("a", authorities, settings, "");

    // Nobody asked this client: it has to open another connection.
    site.apply(&trusting(&[1], "")).await;
    let response = early.get("/a").await;
    assert_eq!((response.status, response.header("connection")), (421, Some("close")), "{response:?}");
    early.assert_closed().await;

    let mut client = site.open(&site.clients(Some(&common)), "shop.io").await;
    for (authorities, settings, status) in [
        (&[1][..], "", 200),
        (&[3], "", 401),
        (&[1, 3], "", 200),
        (&[3], "anonymous: nobody", 200),
        (&[1], "consumer_by: []", 401),
        (&[1], "", 200),
    ] {
        site.apply(&trusting(authorities, settings)).await;
        assert_eq!(client.get("/a").await.status, status, "{authorities:?} {settings}");
    }
    // The authority goes, and the plugin with it is not there to judge.
    let ca = |body| Change { kind: Kind::CaCertificate.name().to_owned(), id: id(1).parse().unwrap(), body };
    site.gateway.change(vec![ca(None)]).await;
    assert_eq!((client.get("/a").await.status, client.get("/open").await.status), (503, 200));
    let [reason] = &site.gateway.quarantined()[..] else { panic!("{:?}", site.gateway.quarantined()) };
    assert!(reason.starts_with("plugin: ca_certificates: 00000000"), "{reason}");
    // Another one comes in its place, and then itself.
    let body = |authority: &Authority| Some(serde_json::json!({ "cert": authority.pem }).to_string().into());
    for (authority, status) in [(&site.other, 401), (&site.root, 200)] {
        site.gateway.change(vec![ca(body(authority))]).await;
        assert_eq!(client.get("/a").await.status, status);
        assert!(site.gateway.quarantined().is_empty());
    }
}

#[tokio::test]
async fn requests_of_http2_are_judged_by_their_route_whatever_host_they_name() {
    let hosts = |path: &str, host: &str, authority| {
        route(path, &[authority], "", "").replacen("paths:", &format!("hosts: [{host}], paths:"), 1)
    };
    let site = Site::start(&(hosts("a", "a.shop.io", 1) + &hosts("b", "b.shop.io", 3))).await;
    let ask = async |pair: Option<&Pair>, urls: &[&str]| {
        let clients = Clients::new(&site.server, pair, &VERSIONS, "h2");
        let stream = connect(&site.gateway, "a.shop.io", clients.config.clone()).await.unwrap();
        let builder = hyper::client::conn::http2::Builder::new(TokioExecutor::new());
        let (sender, connection) = builder.handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        let asked = urls.iter().map(|url| {
            let request = Request::get(*url).body(Empty::<Bytes>::new()).unwrap();
            let mut sender = sender.clone();
            async move {
                let response = sender.send_request(request).await.unwrap();
                let status = response.status().as_u16();
                response.into_body().collect().await.unwrap();
                status
            }
        });
        futures::future::join_all(asked).await
    };
    let urls = ["https://a.shop.io/a", "https://b.shop.io/b", "https://a.shop.io/b", "https://a.shop.io/a"];
    assert_eq!(ask(Some(&site.root.issue("common", &[])), &urls).await, [200, 401, 404, 200]);
    assert_eq!(ask(Some(&site.other.issue("common", &[])), &urls).await, [401, 200, 404, 401]);
    assert_eq!(ask(None, &urls).await, [401, 401, 404, 401]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_clients_are_each_who_they_are_while_authorities_come_and_go() {
    let base = route("a", &[1], "skip_consumer_lookup: true", "");
    let site = std::sync::Arc::new(Site::start(&base).await);
    let tasks: Vec<_> = (0..100)
        .map(|number: u32| {
            let site = site.clone();
            tokio::spawn(async move {
                let authority = if number.is_multiple_of(4) { &site.other } else { &site.root };
                let pair = (!number.is_multiple_of(5)).then(|| authority.issue(&format!("c{number}"), &[]));
                let expected = if pair.is_none() || number.is_multiple_of(4) { 401 } else { 200 };
                let mut client = site.open(&site.clients(pair.as_ref()), "shop.io").await;
                for _ in 0..5 {
                    client.send(format!("GET /a/{number} HTTP/1.1\r\nhost: a\r\n\r\n")).await;
                    assert_eq!(client.response().await.status, expected, "{number}");
                }
            })
        })
        .collect();
    // Changes that concern nobody's verdict.
    for number in 0..20 {
        let more = route(&format!("more-{number}"), &[1, 3], "send_ca_dn: true", "");
        site.apply(&(base.clone() + &more)).await;
    }
    for task in tasks {
        task.await.unwrap();
    }
    for seen in site.upstream.seen() {
        let number = seen.target.rsplit('/').next().unwrap().to_owned();
        assert_eq!(seen.header("x-client-cert-dn"), Some(format!("CN=c{number},O=Shop").as_str()));
    }
}

#[tokio::test]
async fn a_chain_that_is_too_long_or_too_large_opens_no_connection() {
    let site = Site::start(&route("a", &[1], "", "")).await;
    let common = site.root.issue("common", &[]);
    let opens = async |pair: &Pair| {
        let Ok(stream) = connect(&site.gateway, "shop.io", site.clients(Some(pair)).config).await else {
            return false;
        };
        let mut client = Client::over(stream);
        client.try_send("GET /a HTTP/1.1\r\nhost: a\r\n\r\n").await.is_ok()
            && client.try_response().await.is_some()
    };
    let long = |count| (0..count).fold(common.clone(), |pair, _| pair.with(&site.between));
    assert!(opens(&long(9)).await);
    assert!(!opens(&long(10)).await);
    let large = site.root.issue_as("common", &[], |params| {
        let names = (0..400).map(|number| format!("name-{number:040}.shop.io").try_into().unwrap());
        params.subject_alt_names = names.map(rcgen::SanType::DnsName).collect();
    });
    assert!(!opens(&large).await);
}
