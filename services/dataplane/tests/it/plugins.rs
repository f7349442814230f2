//! What plugins may do, through the whole gateway: answers that they change whoever gives them, bodies that they see and bound, answers that
//! they keep, and files that name some which do not run.

use crate::{
    client::Client,
    gateway::Gateway,
    upstream::{Upstream, scripted},
};

/// A gateway with one open route to `address`, and these plugins for all requests.
async fn gateway(address: impl std::fmt::Display, plugins: &str) -> Gateway {
    let yaml = format!(
        "_format_version: '3.0'\nservices: [{{name: s, url: 'http://{address}', routes: [{{name: all, paths: [/]}}]}}]\n\
         plugins: [{plugins}]\n"
    );
    Gateway::start(&yaml).await
}

#[tokio::test]
async fn headers_of_answers_replace_the_upstreams_and_come_with_every_answer() {
    let answer = "HTTP/1.1 200 OK\r\nAccess-Control-Allow-Origin: https://evil.example\r\nVary: Accept\r\nX-Kept: 1\r\nContent-Length: 2\r\n\r\nok";
    let (address, _) = scripted(vec![answer]).await;
    let cors =
        "{name: cors, config: {origins: ['https://a.example', 'https://b.example'], credentials: true}}";
    let gateway =
        gateway(address, &format!("{cors}, {{name: ip-restriction, config: {{deny: [192.0.2.1]}}}}")).await;
    let mut client = Client::connect(gateway.http()).await;
    client.send("GET / HTTP/1.1\r\nhost: a\r\norigin: https://b.example\r\n\r\n").await;
    let response = client.response().await;
    assert_eq!((response.status, response.text()), (200, "ok"));
    let all = |name: &str| -> Vec<&str> {
        response.headers.iter().filter(|(held, _)| held == name).map(|(_, value)| value.as_str()).collect()
    };
    assert_eq!(all("access-control-allow-origin"), ["https://b.example"]);
    assert_eq!((all("vary"), all("x-kept")), (vec!["Origin", "Accept"], vec!["1"]));
    // The upstream is gone: the gateway's own answer has them too.
    client.send("GET / HTTP/1.1\r\nhost: a\r\norigin: https://b.example\r\n\r\n").await;
    let response = client.response().await;
    assert_eq!(
        (response.status, response.header("access-control-allow-origin")),
        (502, Some("https://b.example"))
    );
    // A preflight goes nowhere.
    client
        .send("OPTIONS / HTTP/1.1\r\nhost: a\r\norigin: https://b.example\r\naccess-control-request-method: PUT\r\n\r\n")
        .await;
    let response = client.response().await;
    assert_eq!((response.status, response.header("content-length")), (200, Some("0")));
}

#[tokio::test]
async fn what_another_plugin_refuses_tells_the_page_that_asked() {
    let gateway = gateway("127.0.0.1:9", "{name: cors}, {name: key-auth}").await;
    let mut client = Client::connect(gateway.http()).await;
    let response = client.get("/").await;
    assert_eq!((response.status, response.header("access-control-allow-origin")), (401, Some("*")));
}

#[tokio::test]
async fn a_body_that_grows_too_large_is_refused_on_its_way_unless_it_is_only_observed() {
    let upstream = Upstream::echo().await;
    let limit = |more: &str| {
        format!(
            "{{name: request-size-limiting, config: {{allowed_payload_size: 8, size_unit: bytes{more}}}}}"
        )
    };
    let chunked = "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n5\r\nabcde\r\n5\r\nfghij\r\n0\r\n\r\n";
    let enforcing = gateway(upstream.address, &limit("")).await;
    let mut client = Client::connect(enforcing.http()).await;
    client.send(chunked).await;
    let response = client.response().await;
    assert_eq!(response.status, 413, "{}", response.text());
    client.assert_closed().await;
    let mut client = Client::connect(enforcing.http()).await;
    client.send("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 9\r\n\r\nabcdefghi").await;
    assert_eq!(client.response().await.status, 413);
    let mut client = Client::connect(enforcing.http()).await;
    client.send("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 8\r\n\r\nabcdefgh").await;
    assert_eq!((client.response().await.status, upstream.last().body), (200, b"abcdefgh".to_vec()));

    let observing = gateway(upstream.address, &limit(", observe: true")).await;
    let mut client = Client::connect(observing.http()).await;
    client.send(chunked).await;
    assert_eq!((client.response().await.status, upstream.last().body), (200, b"abcdefghij".to_vec()));
    client.send("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 9\r\n\r\nabcdefghi").await;
    assert_eq!(client.response().await.status, 200);
}

#[tokio::test]
async fn a_body_that_a_plugin_has_read_still_goes_upstream_whole() {
    let upstream = Upstream::echo().await;
    // Its answer shows the body, so it reads up to 64 KiB; what has no trigger passes.
    let echo = "{name: request-termination, config: {echo: true, status_code: 200, trigger: x-show}}";
    let gateway = gateway(upstream.address, echo).await;
    let mut client = Client::connect(gateway.http()).await;
    client.send("POST /p HTTP/1.1\r\nhost: a\r\nx-show: 1\r\ncontent-length: 3\r\n\r\nabc").await;
    assert_eq!(client.response().await.json()["request"]["raw_body"], "abc");
    let large = "x".repeat(100_000);
    client
        .send(format!("POST /p HTTP/1.1\r\nhost: a\r\nx-show: 1\r\ncontent-length: 100000\r\n\r\n{large}"))
        .await;
    assert!(client.response().await.json()["request"]["raw_body"].is_null());
    let mut client = Client::connect(gateway.http()).await;
    client.send(format!("POST /p HTTP/1.1\r\nhost: a\r\ncontent-length: 100000\r\n\r\n{large}")).await;
    assert_eq!((client.response().await.status, upstream.last().body.len()), (200, 100_000));
}

#[tokio::test]
async fn a_body_too_large_for_one_plugin_is_read_by_the_next() {
    let upstream = Upstream::echo().await;
    let yaml = format!(
        "_format_version: '3.0'\nservices: [{{name: s, url: 'http://{}', routes: [{{name: all, paths: [/]}}]}}]\n\
         consumers: [{{username: nobody}}, {{username: ada, keyauth_credentials: [{{key: hers}}]}}]\n\
         plugins:\n\
         - {{name: key-auth, config: {{key_in_body: true, body_max_bytes: 64, anonymous: nobody}}}}\n\
         - {{name: request-transformer, config: {{add: {{body: ['more:1']}}}}}}\n\
         - {{name: request-termination, config: {{echo: true, status_code: 200, trigger: x-show}}}}\n",
        upstream.address
    );
    let gateway = Gateway::start(&yaml).await;
    let mut client = Client::connect(gateway.http()).await;
    let small = r#"{"apikey":"hers"}"#.to_owned();
    let large = format!(r#"{{"apikey":"hers","x":"{}"}}"#, "x".repeat(1000));
    for (body, who) in [(&small, "ada"), (&large, "nobody"), (&small, "ada")] {
        let whole = format!("content-length: {}\r\n\r\n{body}", body.len());
        let chunked = format!("transfer-encoding: chunked\r\n\r\n{:x}\r\n{body}\r\n0\r\n\r\n", body.len());
        for framed in [whole, chunked] {
            let head = "POST / HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\n";
            client.send(format!("{head}{framed}")).await;
            assert_eq!(client.response().await.status, 200);
            let seen = upstream.last();
            assert_eq!(seen.header("x-consumer-username"), Some(who));
            let seen: serde_json::Value = serde_json::from_slice(&seen.body).unwrap();
            let mut expected: serde_json::Value = serde_json::from_str(body).unwrap();
            expected["more"] = "1".into();
            assert_eq!(seen, expected);
            client.send(format!("{head}x-show: 1\r\n{framed}")).await;
            let shown = client.response().await.json();
            assert!(shown["request"]["raw_body"].as_str().unwrap().contains("hers"), "{shown}");
        }
    }
}

#[tokio::test]
async fn answers_are_kept_and_given_again() {
    let answer = |body: &str| {
        format!(
            "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nX-Up: 1\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )
    };
    let cut = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 20\r\n\r\ncut".to_owned();
    let (address, heads) = scripted(vec![answer("first"), cut, answer("second")]).await;
    let gateway = gateway(address, "{name: proxy-cache, config: {strategy: memory}}").await;
    let mut client = Client::connect(gateway.http()).await;
    for status in ["Miss", "Hit", "Hit"] {
        let response = client.get("/a").await;
        assert_eq!((response.text(), response.header("x-cache-status")), ("first", Some(status)));
        assert_eq!((response.header("x-up"), response.header("content-length")), (Some("1"), Some("5")));
    }
    assert_eq!(heads.lock().unwrap().len(), 1);
    // What broke off is not kept.
    client.send("GET /cut HTTP/1.1\r\nhost: a\r\n\r\n").await;
    assert!(client.try_response().await.is_none());
    let mut client = Client::connect(gateway.http()).await;
    let response = client.get("/cut").await;
    assert_eq!((response.text(), response.header("x-cache-status")), ("second", Some("Miss")));
    assert_eq!(heads.lock().unwrap().len(), 3);
}

#[tokio::test]
async fn the_cache_answers_heads_and_forgets_what_is_changed() {
    let answer = |body: &str| {
        format!("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {}\r\n\r\n{body}", body.len())
    };
    let head = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\n".to_owned();
    let created = "HTTP/1.1 201 Created\r\nLocation: /other\r\nContent-Length: 0\r\n\r\n".to_owned();
    let failed = "HTTP/1.1 500 Oh\r\nContent-Length: 0\r\n\r\n".to_owned();
    let answers =
        vec![head, answer("first"), answer("other"), failed, created, answer("again!"), answer("o")];
    let (address, heads) = scripted(answers).await;
    let gateway = gateway(address, "{name: proxy-cache, config: {strategy: memory}}").await;
    let mut client = Client::connect(gateway.http()).await;
    let head = async |client: &mut Client, status: &str, length: &str| {
        client.send("HEAD /a HTTP/1.1\r\nhost: a\r\n\r\n").await;
        let response = client.response_to_head().await;
        assert_eq!(response.header("x-cache-status"), Some(status));
        assert_eq!((response.status, response.header("content-length")), (200, Some(length)));
    };
    let get = async |client: &mut Client, path: &str| {
        let response = client.get(path).await;
        (response.header("x-cache-status").unwrap().to_owned(), response.text().to_owned())
    };
    let of = |status: &str, text: &str| (status.to_owned(), text.to_owned());
    head(&mut client, "Miss", "5").await;
    assert_eq!(get(&mut client, "/a").await, of("Miss", "first"));
    head(&mut client, "Hit", "5").await;
    // There is nothing of a body between two answers of one connection.
    assert_eq!(get(&mut client, "/a").await, of("Hit", "first"));
    assert_eq!(get(&mut client, "/other").await, of("Miss", "other"));
    for (status, kept) in [(500, "Hit"), (201, "Miss")] {
        client.send("POST /a HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\n\r\nx").await;
        assert_eq!(client.response().await.status, status);
        let bodies = if status == 500 { ["first", "other"] } else { ["again!", "o"] };
        assert_eq!(get(&mut client, "/a").await, of(kept, bodies[0]));
        assert_eq!(get(&mut client, "/other").await, of(kept, bodies[1]));
    }
    head(&mut client, "Hit", "6").await;
    assert_eq!(heads.lock().unwrap().len(), 7);
}

#[tokio::test]
async fn requests_go_to_other_services_hosts_and_targets() {
    let (usual, other) = (Upstream::echo().await, Upstream::echo().await);
    let yaml = format!(
        r#"
_format_version: '3.0'
upstreams: [{{name: pool, targets: [{{target: '{other}'}}]}}]
services:
- {{name: other, url: 'http://{other}/other'}}
- name: usual
  url: 'http://{usual}/usual'
  routes:
  - {{name: split, paths: [/split], plugins: [{{name: traffic-split, config: {{splits: [{{service: other, header_name: x-to, header_value: other}}]}}}}]}}
  - {{name: host, paths: [/host], plugins: [{{name: canary, config: {{percentage: 100, upstream_host: '{host}', upstream_port: {port}, upstream_uri: /next}}}}]}}
  - {{name: pool, paths: [/pool], plugins: [{{name: canary, config: {{percentage: 100, upstream_host: pool}}}}]}}
"#,
        other = other.address,
        usual = usual.address,
        host = other.address.ip(),
        port = other.address.port(),
    );
    let gateway = Gateway::start(&yaml).await;
    let mut client = Client::connect(gateway.http()).await;
    assert_eq!(client.get("/split/a").await.status, 200);
    assert_eq!((usual.seen().len(), usual.last().target.as_str()), (1, "/usual/a"));
    client.send("GET /split/a HTTP/1.1\r\nhost: a\r\nx-to: other\r\n\r\n").await;
    assert_eq!(client.response().await.status, 200);
    assert_eq!((other.seen().len(), other.last().target.as_str()), (1, "/other/a"));
    assert_eq!(client.get("/host/a?b=1").await.status, 200);
    assert_eq!((other.last().target.as_str(), other.last().host), ("/next/a?b=1", other.address.to_string()));
    assert_eq!(client.get("/pool/a").await.status, 200);
    assert_eq!(other.last().target, "/usual/a");
    assert_eq!((usual.seen().len(), other.seen().len()), (1, 3));
}

#[tokio::test]
async fn another_server_gets_copies_and_nobody_waits_for_it() {
    let (upstream, shadow) = (Upstream::echo().await, Upstream::echo().await);
    let mirror = format!(
        "{{name: request-mirror, config: {{url: 'http://{}/base', max_body_bytes: 8}}}}",
        shadow.address
    );
    let mirrored = gateway(upstream.address, &mirror).await;
    let mut client = Client::connect(mirrored.http()).await;
    client.send("POST /a?b=1 HTTP/1.1\r\nhost: a\r\nx-c: 2\r\ntransfer-encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n").await;
    let response = client.response().await;
    assert_eq!(response.status, 200);
    shadow.wait_for_requests(1).await;
    client.send("POST /long HTTP/1.1\r\nhost: a\r\ncontent-length: 9\r\n\r\n123456789").await;
    assert_eq!(client.response().await.status, 200);
    assert_eq!(client.get("/a").await.status, 200);
    shadow.wait_for_requests(2).await;
    let seen = loop {
        let seen = shadow.seen();
        if seen.len() > 1 {
            break seen;
        }
        tokio::task::yield_now().await;
    };
    assert_eq!((seen[0].target.as_str(), seen[0].body.as_slice()), ("/base/a?b=1", &b"body"[..]));
    assert_eq!(
        (seen[0].header("x-c"), seen[0].host.as_str()),
        (Some("2"), shadow.address.to_string().as_str())
    );
    assert_eq!(seen[0].header("x-request-id"), response.header("x-request-id"));
    assert_eq!((seen[1].target.as_str(), seen.len()), ("/base/a", 2), "the long one is not copied");
    assert_eq!(upstream.seen().len(), 3);
    // Nobody is there to take copies: no client notices.
    let lonely =
        gateway(upstream.address, "{name: request-mirror, config: {url: 'http://127.0.0.1:9'}}").await;
    let mut client = Client::connect(lonely.http()).await;
    assert_eq!(client.get("/").await.status, 200);
}
