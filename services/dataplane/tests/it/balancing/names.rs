//! Targets by name: addresses that change, services, and name servers that do not answer.

use dataplane::{balancing::Names, proxy::ProxyOptions};

use super::{
    ask, configuration, counts,
    name_server::{NameServer, loopback},
    target::Target,
    targets, until,
};
use crate::gateway::{Gateway, any_port};

async fn start(names: &NameServer, yaml: &str) -> Gateway {
    let options = ProxyOptions { http: Some(any_port()), ..ProxyOptions::default() };
    Gateway::start_with_names(yaml, options, Names::new(&[names.address])).await
}

/// Targets at several addresses with one port.
pub async fn at_one_port<const N: usize>(names: [&'static str; N]) -> (u16, Vec<Target>) {
    loop {
        let first = Target::start_at(names[0], (loopback(1), 0).into()).await.unwrap();
        let (port, mut targets) = (first.address.port(), vec![first]);
        for (name, last) in names[1..].iter().zip(2..) {
            // Somebody else may have the port at that address.
            let Ok(target) = Target::start_at(name, (loopback(last), port).into()).await else { break };
            targets.push(target);
        }
        if targets.len() == N {
            return (port, targets);
        }
    }
}

#[tokio::test]
async fn a_name_is_followed_when_its_addresses_change_and_the_last_answer_bridges_silence() {
    let names = NameServer::start().await;
    let (port, pool) = at_one_port(["a", "b", "c"]).await;
    names.addresses("pool.test", &[loopback(1), loopback(2)]);
    let gateway = start(&names, &configuration("", "", &[format!("target: 'pool.test:{port}'")])).await;
    // The first request is answered: the configuration waited for the addresses.
    assert_eq!(ask(&gateway, 10).await, counts([(200, "a", 5), (200, "b", 5)]));
    assert_eq!(pool[0].last_header("host"), Some(format!("pool.test:{port}")));
    names.addresses("pool.test", &[loopback(2), loopback(3)]);
    until(&gateway, 10, [(200, "b", 5), (200, "c", 5)]).await;
    // Nobody answers: the last answer counts.
    names.is_silent(true);
    names.asked(4).await;
    assert_eq!(ask(&gateway, 10).await, counts([(200, "b", 5), (200, "c", 5)]));
    names.is_silent(false);
    names.addresses("pool.test", &[loopback(1)]);
    until(&gateway, 4, [(200, "a", 4)]).await;
    // An answer that there is nothing takes the target away.
    names.addresses("pool.test", &[]);
    until(&gateway, 2, [(503, "no-healthy-target", 2)]).await;
}

#[tokio::test]
async fn services_say_port_weight_and_priority() {
    let names = NameServer::start().await;
    let [mut a, mut b, c] = targets(["a", "b", "c"]).await;
    let port = |target: &Target| target.address.port();
    let hosts = [(1, 3, port(&a), "a.test"), (1, 1, port(&b), "b.test"), (9, 1, port(&c), "c.test")];
    names.services("pool.test", &hosts);
    for (.., host) in hosts {
        names.addresses(host, &["127.0.0.1".parse().unwrap()]);
    }
    let passive = "use_srv_name: true\n  healthchecks: {passive: {unhealthy: {tcp_failures: 1}}}";
    let yaml = configuration(passive, "", &["target: 'pool.test:1'".to_owned()]);
    let gateway = start(&names, &yaml).await;
    assert_eq!(ask(&gateway, 8).await, counts([(200, "a", 6), (200, "b", 2)]));
    assert_eq!(a.last_header("host"), Some(format!("a.test:{}", port(&a))));
    // Those of a later priority take over when all others are down.
    a.die().await;
    b.die().await;
    assert_eq!(ask(&gateway, 8).await, counts([(200, "c", 8)]));
}

#[tokio::test]
async fn a_name_that_nobody_resolves_is_503_until_somebody_does() {
    let names = NameServer::start().await;
    names.is_silent(true);
    let (port, _targets) = at_one_port(["a"]).await;
    let gateway = start(&names, &configuration("", "", &[format!("target: 'pool.test:{port}'")])).await;
    assert_eq!(ask(&gateway, 2).await, counts([(503, "no-healthy-target", 2)]));
    names.is_silent(false);
    names.addresses("pool.test", &[loopback(1)]);
    until(&gateway, 2, [(200, "a", 2)]).await;
}

#[tokio::test]
async fn addresses_of_ipv6_are_used_where_there_are_none_of_ipv4() {
    let names = NameServer::start().await;
    let target = Target::start_at("a", "[::1]:0".parse().unwrap()).await.expect("the machine has IPv6");
    names.addresses("pool.test", &["::1".parse().unwrap()]);
    let port = target.address.port();
    let gateway = start(&names, &configuration("", "", &[format!("target: 'pool.test:{port}'")])).await;
    assert_eq!(ask(&gateway, 3).await, counts([(200, "a", 3)]));
}

/// Each of the dead ones takes seconds, and again and again.
#[tokio::test]
async fn names_without_an_answer_delay_no_other() {
    let names = NameServer::start().await;
    let (port, _pool) = at_one_port(["a", "b", "c"]).await;
    names.is_silent_for("dead");
    names.addresses("pool.test", &[loopback(1)]);
    names.addresses("late.test", &[loopback(3)]);
    let mut targets: Vec<String> = (0..60).map(|n| format!("target: 'dead{n}.test:80'")).collect();
    targets.push(format!("target: 'pool.test:{port}'"));
    let gateway = start(&names, &configuration("", "", &targets)).await;
    assert_eq!(ask(&gateway, 2).await, counts([(200, "a", 2)]));
    names.addresses("pool.test", &[loopback(2)]);
    until(&gateway, 2, [(200, "b", 2)]).await;
    targets.push(format!("target: 'late.test:{port}'"));
    gateway.apply(&configuration("", "", &targets)).await;
    until(&gateway, 2, [(200, "b", 1), (200, "c", 1)]).await;
}
