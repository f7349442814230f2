//! Limits that gateways share by a Redis server: the real one, and the gateways' own binary.

use std::{net::SocketAddr, time::Duration};

use futures::future::join_all;
use local_redis::LocalRedis;
use tempfile::TempDir;
use tokio::time::{sleep, timeout};

use crate::{
    client::Response,
    limits::{get, limited, passed},
    load::LOADED,
    process::{Process, settings},
    upstream::Upstream,
};

/// The settings of a limit that is counted by the server. `more` are further ones.
fn shared(redis: &LocalRedis, more: &str) -> String {
    let port = redis.address.port();
    format!(
        "{{name: rate-limiting, config: {{policy: redis, redis: {{host: 127.0.0.1, port: {port}, password: secret}}, {more}}}}}"
    )
}

fn redis() -> LocalRedis {
    LocalRedis::start(Some("secret")).unwrap()
}

struct Gateways {
    addresses: Vec<SocketAddr>,
    _running: Vec<(Process, TempDir)>,
}

/// Some gateways with the same configuration.
async fn gateways(count: usize, configuration: &str) -> Gateways {
    let start = |_| async {
        let folder = tempfile::tempdir().unwrap();
        let mut gateway = Process::start(&settings(folder.path(), configuration, ""), &[]);
        (gateway.listening().await.http, (gateway, folder))
    };
    let (addresses, running) = join_all((0..count).map(start)).await.into_iter().unzip();
    Gateways { addresses, _running: running }
}

/// Asks until the answer is as wanted.
async fn until(address: SocketAddr, is_wanted: impl Fn(&Response) -> bool) -> Response {
    let asked = async {
        loop {
            let response = get(address, "a").await;
            if is_wanted(&response) {
                return response;
            }
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(LOADED, asked).await.expect("no answer is as wanted")
}

#[tokio::test]
async fn as_many_pass_as_may_by_all_gateways_together() {
    let (upstream, redis) = (Upstream::start(None).await, redis());
    for window in ["fixed", "sliding"] {
        let limit = shared(&redis, &format!("year: 90, limit_by: service, window_type: {window}"));
        // Another plugin has another count.
        let configuration =
            limited(upstream.address, &limit).replace("name: r,", &format!("name: {window},"));
        let configuration = configuration.replace(
            "{name: rate-limiting,",
            &format!("{{id: {}, name: rate-limiting,", uuid::Uuid::new_v4()),
        );
        let gateways = gateways(3, &configuration).await;
        assert_eq!(passed(&gateways.addresses, 304).await, 90, "{window}");
        let refused = get(gateways.addresses[0], "a").await;
        assert_eq!((refused.status, refused.header("ratelimit-remaining")), (429, Some("0")));
    }
}

#[tokio::test]
async fn gateways_that_synchronize_hear_of_each_other() {
    let (upstream, redis) = (Upstream::start(None).await, redis());
    let limit = shared(&redis, "year: 100, limit_by: service, sync_rate: 0.02");
    let gateways = gateways(2, &limited(upstream.address, &limit)).await;
    let (one, other) = (gateways.addresses[0], gateways.addresses[1]);
    assert_eq!(passed(&[one], 96).await, 96);
    // The other one has counted nothing so far, and hears of those with its first.
    assert_eq!(get(other, "a").await.status, 200);
    until(other, |response| {
        response.header("ratelimit-remaining").is_some_and(|left| left.parse::<u64>().unwrap() < 4)
    })
    .await;
    for address in [other, one] {
        until(address, |response| response.status == 429).await;
    }
}

#[tokio::test]
async fn without_the_server_requests_pass_or_not_as_configured() {
    let (upstream, redis) = (Upstream::start(None).await, redis());
    let limit = |tolerant: bool| shared(&redis, &format!("year: 1000, fault_tolerant: {tolerant}"));
    let tolerant = gateways(1, &limited(upstream.address, &limit(true))).await;
    let strict = gateways(1, &limited(upstream.address, &limit(false))).await;
    let (tolerant_at, strict_at) = (tolerant.addresses[0], strict.addresses[0]);
    for address in [tolerant_at, strict_at] {
        assert_eq!(get(address, "a").await.header("ratelimit-limit"), Some("1000"));
    }
    let port = redis.address.port();
    drop(redis);
    let response = get(tolerant_at, "a").await;
    assert_eq!((response.status, response.header("ratelimit-limit")), (200, None));
    let response = get(strict_at, "a").await;
    assert_eq!((response.status, &response.json()["message"]), (500, &"An unexpected error occurred".into()));
    // It is back, and has forgotten everything.
    let _redis = LocalRedis::start_at(port, Some("secret")).unwrap();
    for address in [tolerant_at, strict_at] {
        until(address, |response| response.header("ratelimit-limit") == Some("1000")).await;
    }
}
