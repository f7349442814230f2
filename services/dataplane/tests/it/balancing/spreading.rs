//! Which target a request goes to, and how.

use std::{collections::BTreeSet, time::Duration};

use super::{
    ask, configuration, counts, equal,
    target::{Does, Target},
    targets,
};
use crate::{client::Client, gateway::Gateway};

#[tokio::test]
async fn requests_are_spread_by_weight_and_the_weight_0_gets_none() {
    let all = targets(["a", "b", "c", "d"]).await;
    let weighted =
        |(target, weight): (&Target, u32)| format!("target: '{}', weight: {weight}", target.address);
    let yaml = configuration("", "", &all.iter().zip([200, 100, 100, 0]).map(weighted).collect::<Vec<_>>());
    let gateway = Gateway::start(&yaml).await;
    assert_eq!(ask(&gateway, 40).await, counts([(200, "a", 20), (200, "b", 10), (200, "c", 10)]));
    let seen = all.each_ref().map(Target::requests);
    assert_eq!(seen, [20, 10, 10, 0]);
    // Connections are kept for each target.
    assert_eq!(all.each_ref().map(Target::connections), [1, 1, 1, 0]);
    assert_eq!(all[0].last_header("host"), Some(all[0].address.to_string()));
}

#[tokio::test]
async fn host_header_and_preserve_host_say_what_targets_see() {
    let all = targets(["a"]).await;
    let gateway = Gateway::start(&configuration("host_header: shop.test", "", &equal(&all))).await;
    ask(&gateway, 1).await;
    assert_eq!(all[0].last_header("host").as_deref(), Some("shop.test"));
    let preserved = configuration("host_header: shop.test", "", &equal(&all))
        .replace("paths: [/]", "paths: [/], preserve_host: true");
    gateway.apply(&preserved).await;
    ask(&gateway, 1).await;
    assert_eq!(all[0].last_header("host").as_deref(), Some("a"), "what the client named");
}

#[tokio::test]
async fn the_same_header_leads_to_the_same_target_and_without_one_they_take_turns() {
    let all = targets(["a", "b", "c"]).await;
    let hashing = "algorithm: consistent-hashing\n  hash_on: header\n  hash_on_header: x-user";
    let gateway = Gateway::start(&configuration(hashing, "", &equal(&all))).await;
    let mut client = Client::connect(gateway.http()).await;
    let mut owners = BTreeSet::new();
    for user in 0..30 {
        let mut told = BTreeSet::new();
        for _ in 0..3 {
            client.send(format!("GET / HTTP/1.1\r\nhost: a\r\nx-user: {user}\r\n\r\n")).await;
            told.insert(client.response().await.text().to_owned());
        }
        assert_eq!(told.len(), 1, "user {user}");
        owners.extend(told);
    }
    assert_eq!(owners.len(), 3);
    assert_eq!(ask(&gateway, 30).await, counts([(200, "a", 10), (200, "b", 10), (200, "c", 10)]));
}

/// Each user of each tenant has its target, whatever else the path says. Without a user the tenant decides, and without both they take turns.
#[tokio::test]
async fn a_group_of_the_routes_expression_leads_to_the_same_target() {
    let all = targets(["a", "b", "c"]).await;
    let hashing = "algorithm: consistent-hashing\n  hash_on: uri_capture\n  hash_on_uri_capture: user\n  \
                   hash_fallback: uri_capture\n  hash_fallback_uri_capture: tenant";
    let paths = "paths: ['~/(?<tenant>\\w+)/users/(?<user>\\d+)?', '~/(\\d+)/nobody', /plain]";
    let yaml = configuration(hashing, "", &equal(&all)).replace("paths: [/]", paths);
    let gateway = Gateway::start(&yaml).await;
    assert_eq!(gateway.quarantined(), [""; 0]);
    let mut client = Client::connect(gateway.http()).await;
    let mut owners = async |asked: &[String]| {
        let mut owners = Vec::new();
        for path in asked {
            owners.push(client.get(path).await.text().to_owned());
        }
        owners
    };
    let mut all_owners = BTreeSet::new();
    for user in 0..20 {
        let paths = ["x", "y", "z"].map(|tenant| format!("/{tenant}/users/{user}/{tenant}"));
        let told: BTreeSet<String> = owners(&paths).await.into_iter().collect();
        assert_eq!(told.len(), 1, "user {user}");
        all_owners.extend(told);
    }
    assert_eq!(all_owners.len(), 3);
    let tenants: Vec<String> = (0..20).map(|tenant| format!("/t{tenant}/users/")).collect();
    let told = owners(&tenants).await;
    assert_eq!(owners(&tenants).await, told, "the group of users takes no part");
    assert_eq!(told.iter().collect::<BTreeSet<_>>().len(), 3);
    for without in ["/7/nobody", "/plain/users"] {
        let told = owners(&[without; 30].map(str::to_owned)).await;
        assert_eq!(["a", "b", "c"].map(|name| told.iter().filter(|told| *told == name).count()), [10; 3]);
    }
    // As in Kong, a number names no group. And a change of the upstream alone is seen by its routes.
    let by_number = yaml.replace("hash_on_uri_capture: user", "hash_on_uri_capture: '2'");
    gateway.apply(&by_number).await;
    let users = [1, 2, 3, 4, 5, 6, 7, 8].map(|user| format!("/x/users/{user}"));
    assert_eq!(owners(&users).await.iter().collect::<BTreeSet<_>>().len(), 1, "the tenant decides");
    gateway.apply(&yaml).await;
    assert!(owners(&users).await.iter().collect::<BTreeSet<_>>().len() > 1);
}

#[tokio::test]
async fn a_cookie_is_set_where_it_is_missing() {
    let all = targets(["a", "b", "c"]).await;
    let hashing = "algorithm: consistent-hashing\n  hash_on: cookie\n  hash_on_cookie: place";
    let gateway = Gateway::start(&configuration(hashing, "", &equal(&all))).await;
    let mut client = Client::connect(gateway.http()).await;
    for _ in 0..10 {
        let first = client.get("/").await;
        let cookie = first.header("set-cookie").unwrap();
        let (pair, rest) = cookie.split_once(';').unwrap();
        assert!(pair.starts_with("place=") && rest == " Path=/; HttpOnly", "{cookie}");
        client.send(format!("GET / HTTP/1.1\r\nhost: a\r\ncookie: {pair}\r\n\r\n")).await;
        let second = client.response().await;
        assert_eq!((second.text(), second.header("set-cookie")), (first.text(), None));
    }
}

#[tokio::test]
async fn a_target_that_no_upstream_may_have_gets_nothing_and_others_do() {
    let all = targets(["a"]).await;
    let both = ["target: '169.254.169.254:80'".to_owned(), format!("target: '{}'", all[0].address)];
    let gateway = Gateway::start(&configuration("", "", &both)).await;
    assert_eq!(ask(&gateway, 10).await, counts([(200, "a", 10)]));
    gateway.apply(&configuration("", "", &both[..1])).await;
    assert_eq!(ask(&gateway, 2).await, counts([(502, "upstream-forbidden", 2)]));
}

/// Eight clients at a time for a while; the slow target is asked as often as it can answer.
#[tokio::test]
async fn a_slow_target_gets_fewer_requests_by_least_connections_and_latency() {
    for algorithm in ["least-connections", "latency"] {
        let all = targets(["a", "b", "c"]).await;
        all[2].does(Does::Takes(Duration::from_millis(150)));
        let gateway =
            Gateway::start(&configuration(&format!("algorithm: {algorithm}"), "", &equal(&all))).await;
        let clients = (0..8).map(|_| async {
            let mut client = Client::connect(gateway.http()).await;
            for _ in 0..50 {
                assert_eq!(client.get("/").await.status, 200);
            }
        });
        futures::future::join_all(clients).await;
        let seen = all.each_ref().map(Target::requests);
        assert_eq!(seen.iter().sum::<usize>(), 400, "{algorithm}");
        assert!(seen[2] * 3 < seen[0].min(seen[1]), "{algorithm}: {seen:?}");
    }
}
