//! Services whose host is a name and no upstream: their names are resolved as those of targets are.

use std::{fs, pin::pin};

use dataplane::{balancing::Names, proxy::ProxyOptions};
use futures::poll;

use super::{
    ask, configuration, counts,
    name_server::{NameServer, loopback},
    names::at_one_port,
    target::Target,
    until,
};
use crate::gateway::{Gateway, any_port};

/// A service at `host` and `port`.
fn service(host: &str, port: u16) -> String {
    let url = format!("url: 'http://{host}:{port}'");
    configuration("", "retries: 0,", &[]).replace("host: orders.test", &url)
}

async fn start(yaml: &str, names: Names) -> Gateway {
    let options = ProxyOptions { http: Some(any_port()), ..ProxyOptions::default() };
    Gateway::start_with_names(yaml, options, names).await
}

#[tokio::test]
async fn the_name_of_a_service_is_followed_and_the_last_answer_bridges_silence() {
    let names = NameServer::start().await;
    let (port, mut pool) = at_one_port(["a", "b"]).await;
    names.addresses("shop.test", &[loopback(1)]);
    let gateway = start(&service("Shop.test", port), Names::new(&[names.address])).await;
    assert_eq!(ask(&gateway, 4).await, counts([(200, "a", 4)]));
    assert_eq!(pool[0].last_header("host"), Some(format!("shop.test:{port}")));
    names.addresses("shop.test", &[loopback(2)]);
    pool[0].die().await;
    until(&gateway, 4, [(200, "b", 4)]).await;
    // Nobody answers: each connection that is opened has the last answer.
    names.is_silent(true);
    let mut asked = pin!(names.asked(4));
    while poll!(&mut asked).is_pending() {
        pool[1].die().await;
        pool[1].revive();
        assert_eq!(ask(&gateway, 2).await, counts([(200, "b", 2)]));
    }
    names.is_silent(false);
    names.addresses("shop.test", &[]);
    pool[1].die().await;
    until(&gateway, 2, [(502, "upstream-connect", 2)]).await;
}

#[tokio::test]
async fn connections_go_to_all_addresses_of_a_name_in_turn() {
    let names = NameServer::start().await;
    let (port, mut pool) = at_one_port(["a", "b", "c"]).await;
    names.addresses("shop.test", &[loopback(1), loopback(2), loopback(3)]);
    let gateway = start(&service("shop.test", port), Names::new(&[names.address])).await;
    for _ in 0..6 {
        assert_eq!(ask(&gateway, 1).await.keys().filter(|(status, _)| *status == 200).count(), 1);
        for target in &mut pool {
            target.die().await;
            target.revive();
        }
    }
    let connections: Vec<usize> = pool.iter().map(Target::connections).collect();
    assert_eq!(connections, [2, 2, 2]);
}

#[tokio::test]
async fn the_hosts_file_comes_first_and_localhost_needs_nobody() {
    let (names, folder) = (NameServer::start().await, tempfile::tempdir().unwrap());
    let (port, _pool) = at_one_port(["a", "b"]).await;
    let file = folder.path().join("hosts");
    fs::write(&file, format!("{} short shop.test # both\n", loopback(1))).unwrap();
    names.addresses("shop.test", &[loopback(9)]);
    let resolver = || Names::new(&[names.address]).with_hosts_file(&file);
    for host in ["short", "shop.test", "SHORT"] {
        let gateway = start(&service(host, port), resolver()).await;
        assert_eq!(ask(&gateway, 2).await, counts([(200, "a", 2)]), "{host}");
    }
    // Targets too; and what is added later is seen.
    let of_target = configuration("", "", &[format!("target: 'short:{port}'")]);
    let gateway = start(&of_target, resolver()).await;
    assert_eq!(ask(&gateway, 2).await, counts([(200, "a", 2)]));
    let gateway = start(&service("later", port), resolver()).await;
    assert_eq!(ask(&gateway, 1).await, counts([(502, "upstream-connect", 1)]));
    fs::write(&file, format!("{} later\n", loopback(2))).unwrap();
    until(&gateway, 2, [(200, "b", 2)]).await;
    names.is_silent(true);
    let nobody = Names::new(&[names.address]).with_hosts_file(&folder.path().join("none"));
    let local = Target::start("c").await;
    let gateway = start(&service("localhost", local.address.port()), nobody).await;
    assert_eq!(ask(&gateway, 2).await, counts([(200, "c", 2)]));
}

#[tokio::test]
async fn a_name_that_answers_the_gateways_own_address_leads_nowhere() {
    let names = NameServer::start().await;
    names.addresses("self.test", &["127.0.0.1".parse().unwrap()]);
    let gateway = start(&service("self.test", 1), Names::new(&[names.address])).await;
    let own = gateway.http().port();
    for yaml in [service("self.test", own), configuration("", "", &[format!("target: 'self.test:{own}'")])] {
        gateway.apply(&yaml).await;
        assert_eq!(ask(&gateway, 2).await, counts([(502, "upstream-forbidden", 2)]));
    }
}
