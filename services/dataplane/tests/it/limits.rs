//! Limits over real sockets: as many requests pass as may, whoever counts them, whatever else happens meanwhile.

use std::{
    fs,
    net::SocketAddr,
    path::Path,
    time::{Duration, SystemTime},
};

use clock::Clock;
use futures::future::join_all;
use tokio::time::{sleep, timeout};

use crate::{
    client::{Client, DEADLINE, Response},
    gateway::Gateway,
    process::{Process, Signal, settings},
    upstream::Upstream,
};

/// A configuration with one open route to `upstream` and this plugin for all requests.
pub fn limited(upstream: SocketAddr, plugin: &str) -> String {
    format!(
        "_format_version: '3.0'\nservices: [{{name: s, url: 'http://{upstream}', routes: [{{name: r, paths: [/]}}]}}]\n\
         plugins: [{plugin}]\n"
    )
}

/// How many of so many requests to each gateway pass, all at one time over a few connections. The others are refused.
pub async fn passed(gateways: &[SocketAddr], each: usize) -> usize {
    const CONNECTIONS: usize = 8;
    let clients = gateways.iter().flat_map(|address| [*address; CONNECTIONS]);
    let sent = clients.map(|address| async move {
        let (mut client, mut passed) = (Client::connect(address).await, 0);
        for _ in 0..each / CONNECTIONS {
            match client.get("/").await.status {
                200 => passed += 1,
                status => assert_eq!(status, 429),
            }
        }
        passed
    });
    join_all(sent).await.into_iter().sum()
}

pub async fn get(address: SocketAddr, who: &str) -> Response {
    let mut client = Client::connect(address).await;
    client.send(format!("GET / HTTP/1.1\r\nhost: a\r\nx-who: {who}\r\n\r\n")).await;
    client.response().await
}

fn left(response: &Response) -> u64 {
    response.header("ratelimit-remaining").unwrap().parse().unwrap()
}

#[tokio::test]
async fn as_many_pass_as_may() {
    let upstream = Upstream::start(None).await;
    let plugin = "{name: rate-limiting, config: {year: 60}}";
    let gateway = Gateway::start(&limited(upstream.address, plugin)).await;
    assert_eq!(passed(&[gateway.http()], 600).await, 60);
    let refused = get(gateway.http(), "a").await;
    assert_eq!(refused.json()["message"], "API rate limit exceeded");
    assert_eq!((left(&refused), refused.header("x-ratelimit-limit-year")), (0, Some("60")));
    let seconds: u64 = refused.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=366 * 86_400).contains(&seconds), "{seconds}");
}

#[tokio::test]
async fn observing_counts_and_refuses_nobody() {
    let upstream = Upstream::start(None).await;
    let plugin = "{name: rate-limiting, config: {year: 1, observe: true}}";
    let gateway = Gateway::start(&limited(upstream.address, plugin)).await;
    for _ in 0..5 {
        assert_eq!(get(gateway.http(), "a").await.status, 200);
    }
    gateway.apply(&limited(upstream.address, "{name: rate-limiting, config: {year: 1}}")).await;
    assert_eq!(get(gateway.http(), "a").await.status, 429);
}

#[tokio::test]
async fn counts_outlive_a_hundred_configurations() {
    let upstream = Upstream::start(None).await;
    let configuration = |limit: u64| {
        limited(upstream.address, &format!("{{name: rate-limiting, config: {{year: {limit}}}}}"))
    };
    let gateway = Gateway::start(&configuration(1000)).await;
    for sent in 1..=100 {
        gateway.apply(&configuration(1000 + sent)).await;
        assert_eq!(left(&get(gateway.http(), "a").await), 1000);
    }
}

#[tokio::test]
async fn answers_are_counted_by_what_upstreams_say() {
    let answer = "HTTP/1.1 200 OK\r\nX-Kong-Limit: sms=2\r\ncontent-length: 2\r\n\r\nok";
    let (address, _) = crate::upstream::scripted(vec![answer; 4]).await;
    let plugin = "{name: response-ratelimiting, config: {limits: {sms: {year: 3}}}}";
    let gateway = Gateway::start(&limited(address, plugin)).await;
    let mut client = Client::connect(gateway.http()).await;
    for (status, remaining, body) in [(200, "1", "ok"), (200, "0", "ok"), (429, "0", "")] {
        let response = client.get("/").await;
        let told = response.header("x-ratelimit-remaining-sms-year");
        assert_eq!((response.status, told, response.text()), (status, Some(remaining), body));
        assert_eq!(response.header("x-kong-limit"), None);
    }
}

/// Waits until what was counted before now is on disk. Requests of somebody else make the gateway write.
async fn written(data: &Path, address: SocketAddr) {
    let file = data.join("counters/data.mdb");
    // A write that has begun is complete when the next one has begun.
    for _ in 0..2 {
        // The file system's clock is a little behind.
        let now = SystemTime::from(Clock::system().now()) + Duration::from_millis(20);
        let is_begun = async {
            while fs::metadata(&file).unwrap().modified().unwrap() <= now {
                get(address, "somebody-else").await;
                sleep(Duration::from_millis(20)).await;
            }
        };
        timeout(DEADLINE, is_begun).await.expect("nothing is written");
    }
}

#[tokio::test]
async fn long_windows_survive_a_gateway_that_is_killed() {
    let (upstream, folder) = (Upstream::start(None).await, tempfile::tempdir().unwrap());
    let plugin = "{name: rate-limiting, config: {year: 10000, limit_by: header, header_name: x-who}}";
    let settings = settings(folder.path(), &limited(upstream.address, plugin), "");
    let mut gateway = Process::start(&settings, &[]);
    let address = gateway.listening().await.http;
    for sent in 1..=6 {
        assert_eq!(left(&get(address, "a").await), 10_000 - sent);
    }
    written(&folder.path().join("data"), address).await;
    gateway.signal(Signal::KILL);
    gateway.ended().await;
    let mut gateway = Process::start(&settings, &[]);
    let address = gateway.listening().await.http;
    assert_eq!(left(&get(address, "a").await), 9993);
    // One that ends by itself loses nothing.
    gateway.signal(Signal::TERM);
    gateway.ended().await;
    let mut gateway = Process::start(&settings, &[]);
    assert_eq!(left(&get(gateway.listening().await.http, "a").await), 9992);
}
