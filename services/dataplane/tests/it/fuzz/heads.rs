//! Paths and heads: whatever comes in, the gateway answers or closes, and an upstream is told nothing that it must not believe.

use std::time::Duration;

use dataplane::router::path::{DotSegments, canonical, has_dot_segment};
use fuzzing::Corpus;
use http::HeaderName;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};

use super::corpus;
use crate::{
    client::Client,
    gateway::Gateway,
    upstream::{Seen, Upstream},
};

const PATHS: usize = 20_000;
const HEADS: usize = 400;
/// How long the gateway may think about a head that is not whole. It would wait for the rest longer than a test can.
const PATIENCE: Duration = Duration::from_millis(20);

/// What is put in at random places.
const WORDS: [&str; 40] = [
    "/",
    "//",
    "\\",
    "%2f",
    "%5C",
    ".",
    "..",
    "%2e",
    ";",
    "%3B",
    "%252e",
    "%c0%ae",
    "%00",
    "%",
    "\0",
    "\u{e9}",
    "\r\n",
    "\n",
    "\r",
    " ",
    "\t",
    ":",
    ",",
    "_",
    "-",
    "connection: ",
    "x-real-ip",
    "x-forwarded-for: 6.6.6.6\r\n",
    "X_Real_Ip: 6.6.6.6\r\n",
    "x-consumer-id: 6.6.6.6\r\n",
    "x.consumer~id: 6.6.6.6\r\n",
    "transfer-encoding: chunked\r\n",
    "content-length: 3\r\n",
    "te: trailers\r\n",
    "upgrade: websocket\r\n",
    "via: 1.1 landbridge\r\n",
    "host: b\r\n",
    "HTTP/1.0",
    "/cut",
    "/../",
];

#[test]
fn every_path_has_one_form_without_dot_segments_or_none() {
    for case in Corpus::of_lines(corpus("paths")).with_words(&WORDS).run(PATHS) {
        let raw = String::from_utf8_lossy(&case);
        for dots in [DotSegments::Refuse, DotSegments::Resolve, DotSegments::ResolveAndPassParameters] {
            let Ok(path) = canonical(&raw, dots) else { continue };
            assert!(path.starts_with('/') && path.is_ascii() && !path.contains("//"), "{raw:?}: {path}");
            assert!(!has_dot_segment(&path, dots), "{raw:?}: {path}");
            assert_eq!(canonical(&path, dots).as_deref(), Ok(&*path), "{raw:?}: not its own form");
        }
    }
}

#[tokio::test]
async fn no_head_tells_an_upstream_what_only_the_gateway_may_say() {
    let upstream = Upstream::echo().await;
    let yaml = format!(
        "_format_version: \"3.0\"\nservices:\n- {{name: s, url: 'http://{}/base', routes: [{{name: r, paths: [/, /cut]}}]}}\n",
        upstream.address
    );
    let gateway = Gateway::start(&yaml).await;
    let mut judged = 0;
    for case in Corpus::of_files(corpus("heads")).with_words(&WORDS).run(HEADS) {
        let mut stream = TcpStream::connect(gateway.http()).await.unwrap();
        // The gateway may close while this is written.
        let _ = stream.write_all(&case).await;
        let _ = stream.shutdown().await;
        let mut answer = Vec::new();
        let _ = timeout(PATIENCE, stream.read_to_end(&mut answer)).await;
        let seen = upstream.seen();
        for seen in seen.iter().skip(judged) {
            check(seen).unwrap_or_else(|wrong| {
                panic!("{wrong}\n{seen:?}\nof {:?}", case.escape_ascii().to_string())
            });
        }
        judged = seen.len();
    }
    assert!(judged > 10, "only {judged} reached the upstream");
    assert_eq!(Client::connect(gateway.http()).await.get("/x").await.status, 200, "the gateway is well");
}

/// Whether the upstream was told only what it may believe.
fn check(seen: &Seen) -> Result<(), &'static str> {
    let is_below_base = matches!(seen.target.strip_prefix("/base"), Some(rest) if rest.is_empty() || rest.starts_with(['/', '?']));
    let only = |name: &str, value: &str| seen.headers.get_all(name).iter().eq([value]);
    let reads_as = |name: &str, known: &str| {
        let dashed = |byte: u8| if byte.is_ascii_alphanumeric() { byte } else { b'-' };
        name.bytes().map(dashed).take(known.len()).eq(known.bytes())
    };
    let is_identity = |name: &&str| {
        ["x-consumer-", "x-credential-", "x-authenticated-", "x-anonymous-"]
            .iter()
            .any(|family| reads_as(name, family))
    };
    let is_odd = |name: &&str| {
        let names = ["x-forwarded-for", "x-real-ip", "x-request-id", "content-length", "transfer-encoding"];
        names.iter().any(|known| *name != *known && name.len() == known.len() && reads_as(name, known))
    };
    let trailers: Vec<&str> =
        seen.trailers.iter().flat_map(|trailers| trailers.keys()).map(HeaderName::as_str).collect();
    let names: Vec<&str> = seen.headers.keys().map(HeaderName::as_str).chain(trailers.clone()).collect();
    match () {
        () if !is_below_base => Err("the request left the service's path"),
        () if !only("x-forwarded-for", "127.0.0.1") => Err("X-Forwarded-For is not the client's address"),
        () if !only("x-real-ip", "127.0.0.1") => Err("X-Real-IP is not the client's address"),
        () if seen.headers.get_all("x-request-id").iter().count() != 1 => Err("not one request id"),
        () if !seen.headers.get_all("via").iter().any(|via| via.as_bytes().ends_with(b" landbridge")) => {
            Err("Via lacks the gateway")
        }
        () if names.iter().any(is_identity) => Err("a client said who the consumer is"),
        () if names.iter().any(is_odd) => Err("an odd spelling of the gateway's own headers passed"),
        () if trailers.contains(&"x-real-ip") => Err("a trailer said the client's address"),
        () => Ok(()),
    }
}
