//! What nodes tell of the health of targets.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn health_of_targets_is_shown_as_each_node_sees_it_and_a_state_set_by_hand_reaches_nodes() {
    let served = Served::new().await;
    let entities = format!("{}/core-entities", served.plane);
    let upstream =
        json!({"name": "orders.internal", "healthchecks": {"passive": {"unhealthy": {"tcp_failures": 1}}}});
    let upstream =
        served.world.post(format!("{entities}/upstreams"), &upstream).await.expect(StatusCode::CREATED);
    let upstream = format!("{entities}/upstreams/{}", upstream["id"].as_str().expect("an id"));
    let mut targets = Vec::new();
    for target in ["10.0.0.1:80", "10.0.0.2:80", "orders.test:80"] {
        let made = served.world.post(format!("{upstream}/targets"), &json!({ "target": target })).await;
        targets.push(made.expect(StatusCode::CREATED)["id"].as_str().expect("an id").to_owned());
    }
    let health = async || {
        let shown = served.world.get(format!("{entities}/upstreams/orders.internal/health")).await;
        let shown = shown.expect(StatusCode::OK);
        let mut data = shown["data"].as_array().expect("a list").clone();
        data.sort_by_key(|target| target["target"].to_string());
        data
    };
    let together = async || health().await.iter().map(|target| target["health"].clone()).collect::<Vec<_>>();
    assert_eq!(together().await, ["UNKNOWN"; 3]);

    let (one, other) = (served.enrol().await, served.enrol().await);
    let mut streams = [served.welcomed(&one).await, served.welcomed(&other).await];
    for stream in &mut streams {
        stream.snapshot(&[]).await;
        let delta = stream.delta().await;
        stream.applied(&delta).await;
    }
    assert_eq!(together().await, ["UNKNOWN"; 3], "nodes of earlier releases tell nothing");
    let unhealthy =
        |target: &str, state: wire::unhealthy_target::State, addresses: &[&str]| wire::UnhealthyTarget {
            id: target.parse::<uuid::Uuid>().expect("an id").as_bytes().to_vec().into(),
            state: state.into(),
            addresses: addresses.iter().map(|address| (*address).to_owned()).collect(),
        };
    use wire::unhealthy_target::State::{DnsError, Unhealthy};
    let said = |targets: Vec<wire::UnhealthyTarget>| FromNode::Health(wire::Health { targets, omitted: 0 });
    let no_address = unhealthy(&targets[2], DnsError, &[]);
    let down = unhealthy(&targets[0], Unhealthy, &["10.0.0.1:80"]);
    streams[0].send(said(vec![down.clone(), no_address.clone()])).await;
    streams[1].send(said(vec![no_address])).await;
    let expected = [json!("MIXED"), json!("HEALTHY"), json!("DNS_ERROR")];
    within("both nodes' views", async {
        while together().await != expected {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let shown = &health().await[0];
    let nodes = shown["nodes"].as_array().expect("a list");
    let of = |node: &Node| nodes.iter().find(|shown| shown["id"] == node.id.to_string()).expect("shown");
    assert_eq!(
        (&of(&one)["health"], &of(&one)["unhealthy_addresses"]),
        (&json!("UNHEALTHY"), &json!(["10.0.0.1:80"]))
    );
    assert_eq!((&of(&other)["health"], &of(&other)["unhealthy_addresses"]), (&json!("HEALTHY"), &json!([])));

    // By id, or as Kong has it by host and port.
    for (target, word) in [(targets[0].as_str(), "healthy"), ("10.0.0.2:80", "unhealthy")] {
        let set = served.world.put(format!("{upstream}/targets/{target}/{word}"), &json!({})).await;
        set.expect(StatusCode::NO_CONTENT);
        let delta = streams[0].delta().await;
        let rows = decode_batch(delta.entities.clone()).expect("rows");
        let body: serde_json::Value = serde_json::from_slice(&rows[0].body).expect("JSON");
        assert_eq!((rows.len(), &body["set_healthy"]), (1, &json!(word == "healthy")));
        assert!(body["set_at"].as_u64().expect("a time") > 0);
        streams[0].applied(&delta).await;
    }
    // A write of the target leaves it as it is: the stored state is no part of bodies.
    let body = json!({"target": "10.0.0.2:80", "weight": 7});
    served.world.put(format!("{upstream}/targets/{}", targets[1]), &body).await.expect(StatusCode::OK);
    let delta = streams[0].delta().await;
    let rows = decode_batch(delta.entities.clone()).expect("rows");
    let stored: serde_json::Value = serde_json::from_slice(&rows[0].body).expect("JSON");
    assert_eq!((&stored["weight"], &stored["set_healthy"]), (&json!(7), &json!(false)));

    for path in [
        format!("{upstream}/targets/10.0.0.9:80/healthy"),
        format!("{upstream}/targets/{}/healthy", uuid::Uuid::now_v7()),
        format!("{entities}/upstreams/nowhere/targets/{}/healthy", targets[0]),
    ] {
        served.world.put(&path, &json!({})).await.problem(StatusCode::NOT_FOUND);
    }
    served.world.get(format!("{entities}/upstreams/nowhere/health")).await.problem(StatusCode::NOT_FOUND);
    // Whoever has left is asked no more.
    streams[1].send(FromNode::Leaving(wire::Leaving {})).await;
    while !streams[1].ends().await {}
    assert_eq!(together().await, ["UNHEALTHY", "HEALTHY", "DNS_ERROR"]);
}
