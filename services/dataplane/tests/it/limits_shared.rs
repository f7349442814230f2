//! Limits that gateways share by a Redis server: the real one, and the gateways' own binary.

use std::{collections::HashMap, net::SocketAddr, time::Duration};

use futures::future::join_all;
use local_redis::{LocalRedis, Options};
use random::Random;
use tempfile::TempDir;
use tokio::time::{sleep, timeout};

use crate::{
    client::{Client, Response},
    gateway::Gateway,
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

fn protected() -> Options<'static> {
    Options { password: Some("secret"), ..Options::default() }
}

fn redis() -> LocalRedis {
    LocalRedis::start(protected()).unwrap()
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

/// `limit` makes the settings of a plugin that tolerates the fault, or does not. While it is asked, answers have `header`.
async fn the_server_goes_and_is_back(
    redis: LocalRedis,
    limit: impl Fn(&LocalRedis, bool) -> String,
    header: &str,
) {
    let upstream = Upstream::start(None).await;
    let tolerant = gateways(1, &limited(upstream.address, &limit(&redis, true))).await;
    let strict = gateways(1, &limited(upstream.address, &limit(&redis, false))).await;
    let (tolerant_at, strict_at) = (tolerant.addresses[0], strict.addresses[0]);
    for address in [tolerant_at, strict_at] {
        assert!(get(address, "a").await.header(header).is_some());
    }
    let port = redis.address.port();
    drop(redis);
    let response = get(tolerant_at, "a").await;
    assert_eq!((response.status, response.header(header)), (200, None));
    let response = get(strict_at, "a").await;
    assert_eq!((response.status, &response.json()["message"]), (500, &"An unexpected error occurred".into()));
    // It is back, and has forgotten everything.
    let _redis = LocalRedis::start_at(port, protected()).unwrap();
    for address in [tolerant_at, strict_at] {
        until(address, |response| response.header(header).is_some()).await;
    }
}

#[tokio::test]
async fn without_the_server_requests_pass_or_not_as_configured() {
    let limit =
        |redis: &LocalRedis, tolerant| shared(redis, &format!("year: 1000, fault_tolerant: {tolerant}"));
    the_server_goes_and_is_back(redis(), limit, "ratelimit-limit").await;
}

#[tokio::test]
async fn without_the_server_answers_pass_or_not_as_configured() {
    let limit = |redis: &LocalRedis, tolerant| used_up(redis, &format!("fault_tolerant: {tolerant}"));
    the_server_goes_and_is_back(redis(), limit, "x-ratelimit-limit-sms-year").await;
}

/// Gateways in this process with the same configuration.
async fn here(count: usize, configuration: &str) -> Vec<Gateway> {
    join_all((0..count).map(|_| Gateway::start(configuration))).await
}

#[tokio::test]
async fn gateways_count_as_one_plain_list_does() {
    const LIMITS: [u64; 2] = [7, 9];
    let (upstream, redis, random) = (Upstream::start(None).await, redis(), Random::seeded(41));
    let limit = shared(&redis, "month: 7, year: 9, limit_by: header, header_name: x-who");
    let gateways = here(3, &limited(upstream.address, &limit)).await;
    let mut counted = HashMap::<u64, u64>::new();
    for step in 0..200 {
        let (gateway, who) = (&gateways[random.number() as usize % 3], random.number() % 12);
        let response = get(gateway.http(), &who.to_string()).await;
        let count = counted.entry(who).or_default();
        let passes = LIMITS.iter().all(|max| *count < *max);
        *count += u64::from(passes);
        let left = ["month", "year"].map(|period| {
            response.header(&format!("x-ratelimit-remaining-{period}")).unwrap().parse::<u64>().unwrap()
        });
        let expected = (if passes { 200 } else { 429 }, LIMITS.map(|max| max - *count));
        assert_eq!((response.status, left), expected, "step {step}, {who}");
    }
}

/// A request whose answer uses so much.
async fn using(address: SocketAddr, used: &str) -> Response {
    Client::connect(address).await.get(&format!("/limit/{used}")).await
}

/// What is left of each.
fn left(response: &Response) -> [u64; 2] {
    ["sms", "video"]
        .map(|name| response.header(&format!("x-ratelimit-remaining-{name}-year")).unwrap().parse().unwrap())
}

/// The settings of `sms` and `video`, which are counted by the server.
fn used_up(redis: &LocalRedis, more: &str) -> String {
    let limits = "limits: {sms: {year: 40}, video: {year: 15}}";
    shared(redis, &format!("{limits}, limit_by: ip, {more}"))
        .replace("rate-limiting", "response-ratelimiting")
}

#[tokio::test]
async fn what_answers_use_is_counted_as_in_one_plain_list() {
    let (upstream, redis, random) = (Upstream::start(None).await, redis(), Random::seeded(42));
    let gateways = here(3, &limited(upstream.address, &used_up(&redis, ""))).await;
    let any = || gateways[random.number() as usize % 3].http();
    let mut model = [40_u64, 15];
    let mut withheld = 0;
    for step in 0..60 {
        let amounts = [random.number() % 4, random.number() % 3];
        let [sms, video] = amounts;
        let response = using(any(), &format!("sms={sms},video={video}")).await;
        let is_beyond = model.iter().zip(amounts).any(|(left, amount)| amount > 0 && *left == 0);
        let after = [0, 1].map(|index| model[index].saturating_sub(amounts[index]));
        let expected = (if is_beyond { 429 } else { 200 }, if is_beyond { "" } else { "ok" }, after);
        assert_eq!((response.status, response.text(), left(&response)), expected, "step {step}: {amounts:?}");
        if !is_beyond {
            model = after;
        }
        withheld += usize::from(is_beyond);
        // The server hears of it beside the answer.
        let told = async {
            while left(&using(any(), "sms=0").await) != model {
                sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(LOADED, told).await.unwrap_or_else(|_| panic!("step {step}: {model:?} is not heard of"));
    }
    assert_eq!((model, withheld > 0), ([0, 0], true));
}

#[tokio::test]
async fn nothing_that_answers_use_is_lost_among_gateways() {
    let (upstream, redis) = (Upstream::start(None).await, redis());
    let configuration = limited(upstream.address, &used_up(&redis, "").replace("year: 40", "year: 1000"));
    let gateways = here(2, &configuration).await;
    let asked = (0..240).map(|number| using(gateways[number % 2].http(), "sms=3"));
    assert!(join_all(asked).await.iter().all(|response| response.status == 200));
    let told = async {
        while left(&using(gateways[0].http(), "sms=0").await)[0] != 1000 - 3 * 240 {
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(LOADED, told).await.expect("something is lost, or counted twice");
}
