//! Requests that two parsers may read in two ways. Each is refused, or reaches the upstream in exactly one reading.

use dataplane::{proxy::ProxyOptions, router::path::DotSegments};

use crate::{
    client::Client,
    gateway::{Gateway, any_port},
    upstream::{Seen, Upstream},
};

async fn start() -> (Gateway, Upstream) {
    let upstream = Upstream::echo().await;
    let yaml = format!(
        r#"
_format_version: "3.0"
services:
- name: open
  url: http://{0}
  routes: [{{name: all, paths: [/], strip_path: false}}]
- name: admin
  url: http://{0}
  routes: [{{name: admin, paths: [/admin], strip_path: false, plugins: [{{name: key-auth}}]}}]
- name: internal
  url: http://{0}/base
  routes: [{{name: cut, paths: [/cut]}}]
"#,
        upstream.address
    );
    (Gateway::start(&yaml).await, upstream)
}

/// What must never be taken for a request of its own.
const EVIL: &str = "GET /evil HTTP/1.1\r\nhost: evil\r\n\r\n";

/// Each is answered with the status, the connection is closed, and nothing, not even `EVIL` behind it, goes upstream.
#[tokio::test]
async fn ambiguous_requests_are_refused_whole() {
    let (gateway, upstream) = start().await;
    let big = "x".repeat(40_000);
    let post = |headers: &str, body: &str| format!("POST / HTTP/1.1\r\nhost: a\r\n{headers}\r\n{body}");
    let get = |headers: &str| format!("GET / HTTP/1.1\r\nhost: a\r\n{headers}\r\n");
    let line = |line: &str| format!("{line}\r\nhost: a\r\n\r\n");
    let cases: Vec<(&str, String, u16)> = vec![
        ("CL.TE", post("content-length: 6\r\ntransfer-encoding: chunked\r\n", "0\r\n\r\nG"), 400),
        ("TE.CL", post("transfer-encoding: chunked\r\ncontent-length: 6\r\n", "0\r\n\r\nG"), 400),
        (
            "TE.CL, other spelling",
            post("Transfer-ENCODING:\tchunked\r\nCONTENT-length:6\r\n", "0\r\n\r\n"),
            400,
        ),
        ("CL 0 and TE", post("content-length: 0\r\ntransfer-encoding: chunked\r\n", "0\r\n\r\n"), 400),
        ("TE identity", post("transfer-encoding: identity\r\ncontent-length: 3\r\n", "abc"), 400),
        ("TE chunked, identity", post("transfer-encoding: chunked, identity\r\n", "0\r\n\r\n"), 400),
        (
            "TE identity in a second line",
            post("transfer-encoding: chunked\r\ntransfer-encoding: identity\r\n", "0\r\n\r\n"),
            400,
        ),
        ("TE gzip, chunked", post("transfer-encoding: gzip, chunked\r\n", "0\r\n\r\n"), 501),
        (
            "TE chunked twice in two lines",
            post("transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n", "0\r\n\r\n"),
            501,
        ),
        ("TE chunked twice", post("transfer-encoding: chunked, chunked\r\n", "0\r\n\r\n"), 501),
        ("TE ,chunked", post("transfer-encoding: ,chunked\r\n", "0\r\n\r\n"), 501),
        ("TE xchunked", post("transfer-encoding: xchunked\r\n", "0\r\n\r\n"), 400),
        ("TE with parameter", post("transfer-encoding: chunked;q=1\r\n", "0\r\n\r\n"), 400),
        ("TE quoted", post("transfer-encoding: \"chunked\"\r\n", "0\r\n\r\n"), 400),
        ("TE behind vertical tab", post("transfer-encoding: \x0bchunked\r\n", "0\r\n\r\n"), 400),
        ("TE empty", post("transfer-encoding:\r\n", "0\r\n\r\n"), 400),
        (
            "TE in HTTP/1.0",
            "POST / HTTP/1.0\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n".to_owned(),
            400,
        ),
        ("space before the colon", post("transfer-encoding : chunked\r\n", "0\r\n\r\n"), 400),
        ("tab before the colon", post("content-length\t: 3\r\n", "abc"), 400),
        ("obs-fold", post("x: a\r\n transfer-encoding: chunked\r\n", "0\r\n\r\n"), 400),
        ("folded coding", post("transfer-encoding:\r\n chunked\r\n", "0\r\n\r\n"), 400),
        ("space before the first header", "GET / HTTP/1.1\r\n host: a\r\n\r\n".to_owned(), 400),
        ("differing lengths", post("content-length: 3\r\ncontent-length: 4\r\n", "abcd"), 400),
        ("length list", post("content-length: 3, 3\r\n", "abc"), 400),
        ("length list of two", post("content-length: 3,4\r\n", "abc"), 400),
        ("length +3", post("content-length: +3\r\n", "abc"), 400),
        ("length -3", post("content-length: -3\r\n", "abc"), 400),
        ("length 0x3", post("content-length: 0x3\r\n", "abc"), 400),
        ("length 1 2", post("content-length: 1 2\r\n", "abc"), 400),
        ("length empty", post("content-length:\r\n", "abc"), 400),
        ("length 3.0", post("content-length: 3.0\r\n", "abc"), 400),
        ("length beyond 64 bits", post("content-length: 18446744073709551619\r\n", "abc"), 400),
        ("bare LF behind the request line", "GET / HTTP/1.1\nhost: a\r\n\r\n".to_owned(), 400),
        ("bare LF behind a header", get("x: 1\ny: 2\r\n"), 400),
        ("bare LF at the end", "GET / HTTP/1.1\r\nhost: a\r\n\n".to_owned(), 400),
        (
            "bare LF hides TE",
            post("x: 1\ntransfer-encoding: chunked\r\ncontent-length: 5\r\n", "0\r\n\r\n"),
            400,
        ),
        ("bare CR in a value", get("x: 1\ry: 2\r\n"), 400),
        ("NUL in a value", get("x: a\0b\r\n"), 400),
        ("NUL in a name", get("x\0y: a\r\n"), 400),
        ("no name", get(": a\r\n"), 400),
        ("no colon", get("nonsense\r\n"), 400),
        ("no Host", "GET / HTTP/1.1\r\nx: 1\r\n\r\n".to_owned(), 400),
        ("two Hosts", get("host: b\r\n"), 400),
        ("equal Hosts", get("host: a\r\n"), 400),
        ("empty Host", "GET / HTTP/1.1\r\nhost:\r\n\r\n".to_owned(), 400),
        ("Host with a path", "GET / HTTP/1.1\r\nhost: a/b\r\n\r\n".to_owned(), 400),
        ("Host with a user", "GET / HTTP/1.1\r\nhost: u@a\r\n\r\n".to_owned(), 400),
        ("Host with a bad port", "GET / HTTP/1.1\r\nhost: a:b\r\n\r\n".to_owned(), 400),
        ("absolute target without Host", "GET http://a/ HTTP/1.1\r\nx: 1\r\n\r\n".to_owned(), 400),
        ("absolute target with a user", line("GET http://u@a/ HTTP/1.1"), 400),
        ("two spaces in the request line", line("GET  / HTTP/1.1"), 400),
        ("tab in the request line", line("GET\t/\tHTTP/1.1"), 400),
        ("space in the target", line("GET /a b HTTP/1.1"), 400),
        ("no version", "GET /\r\n\r\n".to_owned(), 400),
        ("unknown version", line("GET / HTTP/1.2"), 400),
        ("version 2 in text", line("GET / HTTP/2.0"), 400),
        ("lower-case version", line("GET / http/1.1"), 400),
        ("method that is no token", line("GE(T / HTTP/1.1"), 400),
        ("asterisk target", line("OPTIONS * HTTP/1.1"), 400),
        ("bad escape", line("GET /%zz HTTP/1.1"), 400),
        ("encoded NUL", line("GET /a%00b HTTP/1.1"), 400),
        ("unknown expectation", get("expect: 200-ok\r\n"), 417),
        ("CONNECT", line("CONNECT a:443 HTTP/1.1"), 405),
        ("TRACE", line("TRACE / HTTP/1.1"), 405),
        ("huge header", get(&format!("x: {big}\r\n")), 431),
        ("many headers", get(&"x: 1\r\n".repeat(150)), 431),
        ("huge target", line(&format!("GET /{} HTTP/1.1", &big[..20_000])), 414),
        ("huge request line", line(&format!("GET /{big}{big} HTTP/1.1")), 414),
    ];
    assert!(cases.len() > 60);
    for (name, request, status) in cases {
        println!("{name}");
        let mut client = Client::connect(gateway.http()).await;
        client.send(request + EVIL).await;
        let response = client.head().await.unwrap_or_else(|| panic!("{name}: no answer"));
        if name.starts_with("huge") {
            assert!((400..500).contains(&response.status), "{name}: {}", response.status);
        } else {
            assert_eq!(response.status, status, "{name}");
        }
        let length = response.header("content-length").map_or(0, |length| length.parse().unwrap());
        client.take(length).await.unwrap();
        client.assert_closed().await;
    }
    assert_eq!(upstream.raw(), "");
}

/// Numbers that a parser may keep for lengths that are not known, or that overflow when something is added to them.
#[tokio::test]
async fn the_largest_length_is_refused() {
    let (gateway, upstream) = start().await;
    for length in ["18446744073709551615", "18446744073709551614", "9223372036854775808"] {
        let mut client = Client::connect(gateway.http()).await;
        client.send(format!("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: {length}\r\n\r\n{EVIL}")).await;
        assert_eq!(client.head().await.unwrap().status, 400, "{length}");
    }
    assert!(upstream.seen().is_empty());
}

/// A body that is broken behind a good head: the upstream never sees the request complete, and nothing behind it.
#[tokio::test]
async fn broken_chunks_never_become_a_complete_request() {
    let (gateway, upstream) = start().await;
    for (name, body) in [
        ("size not hexadecimal", "zz\r\nabc\r\n0\r\n\r\n"),
        ("size overflow", "fffffffffffffffff\r\nabc\r\n0\r\n\r\n"),
        ("size 2^64", "10000000000000000\r\nabc\r\n0\r\n\r\n"),
        ("size 0x3", "0x3\r\nabc\r\n0\r\n\r\n"),
        ("size +3", "+3\r\nabc\r\n0\r\n\r\n"),
        ("size -3", "-3\r\nabc\r\n0\r\n\r\n"),
        ("size with space before", " 3\r\nabc\r\n0\r\n\r\n"),
        ("no size", "\r\nabc\r\n0\r\n\r\n"),
        ("garbage behind the size", "3 x\r\nabc\r\n0\r\n\r\n"),
        ("LF behind the size", "3\nabc\r\n0\r\n\r\n"),
        ("LF in an extension", "3;x\nabc\r\n0\r\n\r\n"),
        ("CR without LF behind the size", "3\rabc\r\n0\r\n\r\n"),
        ("data longer than the size", "3\r\nabcd\r\n0\r\n\r\n"),
        ("data without CRLF", "3\r\nabc0\r\n\r\n"),
        ("LF behind the data", "3\r\nabc\n0\r\n\r\n"),
        ("LF behind the last size", "3\r\nabc\r\n0\n\n"),
        ("bad trailer", "3\r\nabc\r\n0\r\nno colon\r\n\r\n"),
    ] {
        println!("{name}");
        let mut client = Client::connect(gateway.http()).await;
        client
            .send(format!("POST /c HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n{body}{EVIL}"))
            .await;
        if let Some(response) = client.try_response().await {
            assert_eq!(response.status, 400, "{name}");
        }
        client.assert_closed().await;
    }
    let complete: Vec<Seen> = upstream.seen().into_iter().filter(|seen| seen.complete).collect();
    assert!(complete.is_empty(), "{complete:?}");
    assert!(!upstream.raw().contains("evil"));
}

#[tokio::test]
async fn odd_but_legal_framing_arrives_in_one_reading() {
    let (gateway, upstream) = start().await;
    let mut client = Client::connect(gateway.http()).await;
    for (request, body) in [
        ("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\ncontent-length: 3\r\n\r\nabc", "abc"),
        ("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 0003\r\n\r\nabc", "abc"),
        ("\r\n\r\nPOST / HTTP/1.1\r\nhost: a\r\ncontent-length:   3  \r\n\r\nabc", "abc"),
        (
            "POST / HTTP/1.1\r\nhost: a\r\nTransfer-Encoding:  CHUNKED \r\n\r\n3;ext=\"y\"\r\nabc\r\n0002 \r\nde\r\n000\r\n\r\n",
            "abcde",
        ),
        ("GET / HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\n\r\nabc", "abc"),
        ("GET / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", "abc"),
        (
            "POST / HTTP/1.1\r\nhost: a\r\nconnection: content-length, host\r\ncontent-length: 3\r\n\r\nabc",
            "abc",
        ),
        (
            "POST / HTTP/1.1\r\nhost: a\r\nconnection: transfer-encoding\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
            "abc",
        ),
        ("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\n\r\n", ""),
        (
            "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 36\r\n\r\nGET /evil HTTP/1.1\r\nhost: evil\r\n\r\n12",
            "GET /evil HTTP/1.1\r\nhost: evil\r\n\r\n12",
        ),
    ] {
        client.send(request).await;
        assert_eq!(client.response().await.status, 200, "{request}");
        let seen = upstream.last();
        assert_eq!((String::from_utf8_lossy(&seen.body).as_ref(), seen.complete), (body, true), "{request}");
        let lengths = seen.headers.get_all("content-length").into_iter().count();
        assert!(
            lengths <= 1 && (lengths == 0 || !seen.headers.contains_key("transfer-encoding")),
            "{request}"
        );
        assert!(seen.headers.contains_key("host"));
    }
    assert_eq!(upstream.seen().len(), 10);
    assert!(!upstream.raw().contains("ext="), "chunk extensions end here");
}

#[tokio::test]
async fn pipelined_requests_are_neither_swallowed_nor_mixed() {
    let (gateway, upstream) = start().await;
    let mut client = Client::connect(gateway.http()).await;
    let one = "POST /one HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\n\r\nabc";
    let two = "GET /two HTTP/1.1\r\nhost: a\r\n\r\n";
    let three = "POST /three HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n1\r\nz\r\n0\r\n\r\n";
    client.send([one, two, three, two].concat()).await;
    for _ in 0..4 {
        assert_eq!(client.response().await.status, 200);
    }
    let targets: Vec<String> = upstream.seen().into_iter().map(|seen| seen.target).collect();
    assert_eq!(targets, ["/one", "/two", "/three", "/two"]);

    // An ambiguous one in the middle ends it there.
    let bad =
        "POST /bad HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n";
    client.send([two, bad, two].concat()).await;
    assert_eq!(client.response().await.status, 200);
    assert_eq!(client.response().await.status, 400);
    client.assert_closed().await;
    assert_eq!(upstream.seen().len(), 5);
}

/// The body of a refused request is not read as the next request.
#[tokio::test]
async fn an_unread_body_is_not_a_request() {
    let (gateway, upstream) = start().await;
    let mut client = Client::connect(gateway.http()).await;
    let filler = "x".repeat(200_000);
    let head =
        format!("POST /admin HTTP/1.1\r\nhost: a\r\ncontent-length: {}\r\n\r\n", filler.len() + EVIL.len());
    client.send(head).await;
    assert_eq!(client.response().await.status, 401);
    // The gateway may have closed already.
    let sent =
        tokio::io::AsyncWriteExt::write_all(&mut client.stream, format!("{filler}{EVIL}").as_bytes()).await;
    drop(sent);
    client.assert_closed().await;
    assert_eq!(upstream.raw(), "");
}

#[tokio::test]
async fn an_upgrade_that_is_not_websocket_is_not_offered() {
    let (gateway, upstream) = start().await;
    let mut client = Client::connect(gateway.http()).await;
    let h2c = "GET /one HTTP/1.1\r\nhost: a\r\nconnection: upgrade, http2-settings\r\nupgrade: h2c\r\nhttp2-settings: AAMAAABk\r\n\r\n";
    client.send([h2c, EVIL].concat()).await;
    assert_eq!(client.response().await.status, 200);
    assert_eq!(client.response().await.status, 200);
    let seen = upstream.seen();
    assert_eq!(seen.len(), 2);
    for name in ["upgrade", "connection", "http2-settings"] {
        assert!(!seen[0].headers.contains_key(name), "{name}");
    }
    // An upstream that switches nevertheless is at fault; no bytes are tunnelled to it.
    client.send("GET /upgrade/h2c HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: h2c\r\n\r\n").await;
    assert_eq!(client.response().await.status, 502);
}

/// A client cannot use the moment before the answer to an upgrade to slip a request past the gateway.
#[tokio::test]
async fn a_refused_upgrade_leaves_plain_requests_behind() {
    let (gateway, upstream) = start().await;
    let mut client = Client::connect(gateway.http()).await;
    let upgrade = "GET /status/200 HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n";
    client.send([upgrade, "GET /admin HTTP/1.1\r\nhost: a\r\n\r\n"].concat()).await;
    assert_eq!(client.response().await.status, 200);
    assert_eq!(client.response().await.status, 401);
    assert_eq!(upstream.seen().len(), 1);
}

#[tokio::test]
async fn no_spelling_of_a_path_escapes_its_plugin() {
    let (gateway, upstream) = start().await;
    let mut client = Client::connect(gateway.http()).await;
    for path in [
        "/admin",
        "/admin/",
        "//admin",
        "/x/../admin",
        "/x/%2e%2e/admin",
        "/x/.%2E/admin",
        "/./admin",
        "/%61dmin",
        "/ad%6Din/x",
        "/x/y/../../admin",
        "/x//..//admin",
        "/../admin",
        "/admin#x",
        "/admin?x",
        "http://a/admin",
        "http://a//x/../admin",
    ] {
        assert_eq!(client.get(path).await.status, 401, "{path}");
    }
    for (path, target) in [
        ("/x%2fy/z", "/x%2Fy/z"),
        ("/x/..%2f../../admin", "/x/admin"),
        ("/lodi%256E", "/lodi%256E"),
        ("/x\\y", "/x%5Cy"),
        ("/ADMIN", "/ADMIN"),
        ("/x/../y?q=/../admin", "/y?q=/../admin"),
    ] {
        assert_eq!(client.get(path).await.status, 200, "{path}");
        assert_eq!(upstream.last().target, target);
    }
    // Nor out of a service's own path, when stripping cuts a segment, or for an upstream that decodes slashes.
    for path in [
        "/cut../secret",
        "/cut..",
        "/cut./x",
        "/cut..%2fprivate",
        "/cut..%5cprivate",
        "/cut%2e%2e%2fprivate",
        "/cut.%2e%5Cprivate",
        "/cut..\\private",
        "/cut..;/private",
        "/cut/..;/private",
        "/cut/..;x=1/private",
        "/cut/%2e%2e%3bx/private",
        "/cut/%c0%ae%c0%ae/private",
        "/cut%c0%ae%c0%ae%c0%afprivate",
        "/cut/%e0%80%ae%e0%80%ae/private",
        "/public/..;/private",
        "/x/..%2fadmin",
        "/x\\..\\admin",
        "/x/..%5cadmin",
        "/admi%256E",
    ] {
        let mut client = Client::connect(gateway.http()).await;
        assert_eq!(client.get(path).await.status, 400, "{path}");
    }
    for (path, target) in [
        ("/cut/x", "/base/x"),
        ("/cut//x", "/base/x"),
        ("/cut%252e%252e%252fx", "/base/%252e%252e%252fx"),
        ("/cut...;x", "/base/...;x"),
        ("/cut/a;x=..", "/base/a;x=.."),
    ] {
        assert_eq!(client.get(path).await.status, 200, "{path}");
        assert_eq!(upstream.last().target, target);
    }
}

/// Answers that frame their body twice or wrongly do not get through as they are.
#[tokio::test]
async fn ambiguous_answers_are_made_unambiguous_or_refused() {
    let cases = [
        (
            "HTTP/1.1 200 OK\r\ncontent-length: 3\r\ntransfer-encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n",
            200,
            "ab",
        ),
        ("HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 2\r\n\r\nab", 200, "ab"),
        ("HTTP/1.1 200 OK\r\ncontent-length: 2, 2\r\n\r\nab", 200, "ab"),
        ("HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\nabc", 502, ""),
        ("HTTP/1.1 200 OK\r\ncontent-length: +2\r\n\r\nab", 502, ""),
        ("HTTP/1.0 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n", 502, ""),
        ("HTTP/1.1 200 OK\r\nx: a\r\n folded\r\ncontent-length: 2\r\n\r\nab", 502, ""),
        ("HTTP/1.1 304 Not Modified\r\ncontent-length: 5\r\n\r\n", 304, ""),
        ("HTTP/1.1 204 No Content\r\ncontent-length: 5\r\n\r\n", 204, ""),
        (
            "HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nab",
            200,
            "ab",
        ),
        ("HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\nraw", 502, ""),
        ("HTTP/1.0 200 OK\r\n\r\nuntil the end", 200, "until the end"),
        ("nonsense\r\n\r\n", 502, ""),
        ("", 502, ""),
    ];
    let (address, _) = crate::upstream::scripted(cases.iter().map(|(answer, ..)| *answer).collect()).await;
    let yaml = format!(
        "_format_version: \"3.0\"\nservices:\n- {{name: s, url: 'http://{address}', retries: 0, routes: [{{name: r, paths: [/]}}]}}\n"
    );
    let gateway = Gateway::start(&yaml).await;
    for (answer, status, body) in cases {
        let mut client = Client::connect(gateway.http()).await;
        let response = client.get("/").await;
        assert_eq!(response.status, status, "{answer}");
        if status < 400 {
            assert_eq!(response.text(), body, "{answer}");
            let lengths: Vec<_> =
                response.headers.iter().filter(|(name, _)| name == "content-length").collect();
            assert!(
                lengths.len() <= 1 && lengths.iter().all(|(_, value)| value.parse::<u64>().is_ok()),
                "{answer}"
            );
            assert!(lengths.is_empty() || response.header("transfer-encoding").is_none(), "{answer}");
        }
    }
}

#[tokio::test]
async fn dot_segments_pass_or_not_as_set() {
    let upstream = Upstream::echo().await;
    let yaml = format!(
        "_format_version: \"3.0\"\nservices:\n- {{name: s, url: 'http://{}/base', routes: [{{name: r, paths: [/api]}}]}}\n",
        upstream.address
    );
    let start = async |dots| {
        let options = ProxyOptions { http: Some(any_port()), dots, ..ProxyOptions::default() };
        Gateway::start_with(&yaml, options).await
    };
    let (refusing, passing) =
        (start(DotSegments::Refuse).await, start(DotSegments::ResolveAndPassParameters).await);
    for (path, refused, passed) in [
        ("/api/x/../y", 400, "/base/y"),
        ("/api/x/%2e%2E/y", 400, "/base/y"),
        ("/api/x/./y", 400, "/base/x/y"),
        ("/api/x/..;/y", 400, "/base/x/..;/y"),
        ("/api/x/...", 200, "/base/x/..."),
        ("/api/..%2fy", 400, ""),
        ("/api..;/y", 400, "/base/..;/y"),
    ] {
        assert_eq!(Client::connect(refusing.http()).await.get(path).await.status, refused, "{path}");
        let status = Client::connect(passing.http()).await.get(path).await.status;
        assert_eq!(status, if passed.is_empty() { 400 } else { 200 }, "{path}");
        if !passed.is_empty() {
            assert_eq!(upstream.last().target, passed);
        }
    }
}
