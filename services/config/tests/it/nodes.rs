//! Enrolment, the registry of nodes, and what is swept.

use axum::http::{Method, StatusCode};
use ids::NodeId;
use rcgen::{CertificateParams, KeyPair};
use serde_json::{Value, json};
use sync::enrolment::EnrolmentToken;
use time::Duration;

use crate::world::{Answer, World};

/// A certificate request, in PEM.
pub fn csr(key: &KeyPair) -> String {
    let request = CertificateParams::default().serialize_request(key).expect("a request");
    request.pem().expect("PEM")
}

pub async fn token(world: &World, plane: &str, body: Value) -> String {
    let made = world.post(format!("{plane}/enrolment-tokens"), &body).await.expect(StatusCode::CREATED);
    made["token"].as_str().expect("a token").to_owned()
}

/// Enrols a node with a key that nobody has seen before.
async fn enrol(world: &World, token: &str, node: NodeId) -> Answer {
    enrol_with(world, token, node, &KeyPair::generate().expect("a key")).await
}

async fn enrol_with(world: &World, token: &str, node: NodeId, key: &KeyPair) -> Answer {
    let body = json!({"token": token, "node_id": node, "hostname": "gw-1", "csr_pem": csr(key)});
    world.post("/v1/nodes/enrol", &body).await
}

#[tokio::test]
async fn tokens_are_made_listed_and_deleted() {
    let world = World::new().await;
    let plane = world.plane("edge").await;
    let all = format!("{plane}/enrolment-tokens");
    let made = world
        .post(&all, &json!({"name": "ci", "ttl_seconds": 60, "uses": 2}))
        .await
        .expect(StatusCode::CREATED);
    assert!(made["command"].as_str().expect("a command").contains(made["token"].as_str().expect("a token")));
    let read = EnrolmentToken::parse(made["token"].as_str().expect("a token")).expect("readable");
    assert_eq!(
        (read.api.as_str(), read.sync.as_slice()),
        ("https://api.us.example", &["sync.us.example:443".to_owned()][..])
    );
    let list = world.get(&all).await.expect(StatusCode::OK);
    assert_eq!((&list["data"][0]["uses_max"], &list["data"][0]["uses"]), (&json!(2), &json!(0)));
    assert!(list["data"][0].get("token").is_none(), "shown once");
    for (body, field) in [
        (json!({"ttl_seconds": 0}), "ttl_seconds"),
        (json!({"ttl_seconds": 604_801}), "ttl_seconds"),
        (json!({"uses": 0}), "uses"),
        (json!({"uses": 10_001}), "uses"),
    ] {
        let (_, detail) = world.post(&all, &body).await.problem(StatusCode::BAD_REQUEST);
        assert!(detail.starts_with(field), "{body}: {detail}");
    }
    let one = format!("{all}/{}", made["id"].as_str().expect("an id"));
    world.delete(&one).await.expect(StatusCode::NO_CONTENT);
    world.delete(&one).await.problem(StatusCode::NOT_FOUND);
    let refused = enrol(&world, made["token"].as_str().expect("a token"), NodeId::generate()).await;
    assert_eq!(refused.problem(StatusCode::UNAUTHORIZED).0, "unauthenticated");
}

#[tokio::test]
async fn a_token_enrols_as_many_nodes_as_it_says_while_it_lasts() {
    let world = World::new().await;
    let plane = world.plane("edge").await;
    let token = token(&world, &plane, json!({"ttl_seconds": 60, "uses": 1})).await;
    let (node, key) = (NodeId::generate(), KeyPair::generate().expect("a key"));
    let enrolled = enrol_with(&world, &token, node, &key).await.expect(StatusCode::OK);
    assert!(enrolled["certificate_pem"].as_str().expect("PEM").contains("BEGIN CERTIFICATE"));
    assert_eq!((&enrolled["region"], &enrolled["sync"]), (&json!("us"), &json!(["sync.us.example:443"])));
    // The same node again, because the answer was lost, is no second use.
    enrol_with(&world, &token, node, &key).await.expect(StatusCode::OK);
    enrol(&world, &token, NodeId::generate()).await.problem(StatusCode::UNAUTHORIZED);
    let shown = world.get(format!("{plane}/nodes/{node}")).await.expect(StatusCode::OK);
    assert_eq!((&shown["item"]["state"], &shown["item"]["hostname"]), (&json!("enrolled"), &json!("gw-1")));
    world.clock.advance(Duration::seconds(60));
    enrol_with(&world, &token, node, &key).await.problem(StatusCode::UNAUTHORIZED);
    assert!(world.audit().await.contains(&("node.enrol".to_owned(), false)));
}

/// Whoever knows a node's id, and a token, gets no certificate for that node: neither with the token that it enrolled with, nor with
/// another one.
#[tokio::test]
async fn a_node_id_belongs_to_the_key_that_it_was_enrolled_with() {
    let world = World::new().await;
    let plane = world.plane("edge").await;
    let used_up = token(&world, &plane, json!({"uses": 1})).await;
    let other = token(&world, &plane, json!({"uses": 2})).await;
    let (node, key) = (NodeId::generate(), KeyPair::generate().expect("a key"));
    enrol_with(&world, &used_up, node, &key).await.expect(StatusCode::OK);
    for token in [&used_up, &other] {
        let (kind, detail) = enrol(&world, token, node).await.problem(StatusCode::CONFLICT);
        assert_eq!(kind, "conflict", "{detail}");
    }
    // The refusals used nothing up.
    enrol_with(&world, &other, node, &key).await.expect(StatusCode::OK);
    enrol(&world, &other, NodeId::generate()).await.expect(StatusCode::OK);

    world.execute("UPDATE regional.node SET key_sha256 = NULL").await;
    let last = token(&world, &plane, json!({})).await;
    enrol_with(&world, &last, node, &key).await.problem(StatusCode::CONFLICT);
}

#[tokio::test]
async fn an_enrolment_token_ends_with_the_token_that_it_was_made_with() {
    let world = World::new().await;
    let plane = world.plane("edge").await;
    let made = token(&world, &plane, json!({"uses": 2})).await;
    enrol(&world, &made, NodeId::generate()).await.expect(StatusCode::OK);
    world.peers.end_session();
    enrol(&world, &made, NodeId::generate()).await.problem(StatusCode::UNAUTHORIZED);
    // One that an earlier release made, which did not note in which session.
    world.execute("UPDATE regional.enrolment_token SET session = NULL").await;
    enrol(&world, &made, NodeId::generate()).await.expect(StatusCode::OK);
}

#[tokio::test]
async fn what_does_not_prove_the_right_to_enrol_is_refused() {
    let world = World::new().await;
    let plane = world.plane("edge").await;
    let good = token(&world, &plane, json!({})).await;
    let parsed = EnrolmentToken::parse(&good).expect("readable");
    let forged = EnrolmentToken { secret: [9; 32], ..parsed.clone() }.encode();
    let unknown = EnrolmentToken { id: uuid::Uuid::now_v7(), ..parsed }.encode();
    for bad in ["", "lbe_damaged", &good[..good.len() - 3], &forged, &unknown] {
        let answer = enrol(&world, bad, NodeId::generate()).await;
        assert_eq!(answer.problem(StatusCode::UNAUTHORIZED).0, "unauthenticated", "{bad}");
    }
    let body = |hostname: &str, csr: &str| json!({"token": good, "node_id": NodeId::generate(), "hostname": hostname, "csr_pem": csr});
    let key = KeyPair::generate().expect("a key");
    let long = "h".repeat(1025);
    let junk = "-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n";
    for (body, field) in [
        (body(&long, &csr(&key)), "hostname"),
        (body("gw", "junk"), "csr_pem"),
        (body("gw", junk), "csr_pem"),
    ] {
        let (_, detail) = world.post("/v1/nodes/enrol", &body).await.problem(StatusCode::BAD_REQUEST);
        assert!(detail.starts_with(field), "{detail}");
    }
    // Nothing of it used the token up.
    enrol(&world, &good, NodeId::generate()).await.expect(StatusCode::OK);
}

#[tokio::test]
async fn a_removed_node_does_not_come_back() {
    let world = World::new().await;
    let plane = world.plane("edge").await;
    let token = token(&world, &plane, json!({"uses": 5})).await;
    let node = NodeId::generate();
    enrol(&world, &token, node).await.expect(StatusCode::OK);
    let one = format!("{plane}/nodes/{node}");
    world.delete(&one).await.expect(StatusCode::NO_CONTENT);
    world.delete(&one).await.problem(StatusCode::NOT_FOUND);
    world.get(&one).await.problem(StatusCode::NOT_FOUND);
    assert_eq!(enrol(&world, &token, node).await.problem(StatusCode::FORBIDDEN).0, "forbidden");
}

#[tokio::test]
async fn nodes_are_listed_in_pages_with_their_states() {
    let world = World::new().await;
    let plane = world.plane("edge").await;
    let token = token(&world, &plane, json!({"uses": 9})).await;
    for _ in 0..3 {
        enrol(&world, &token, NodeId::generate()).await.expect(StatusCode::OK);
    }
    let all = format!("{plane}/nodes");
    let first = world.get(format!("{all}?page[size]=2")).await.expect(StatusCode::OK);
    assert_eq!(
        (first["items"].as_array().expect("a list").len(), &first["page"]["total_count"]),
        (2, &json!(3))
    );
    let next = first["page"]["next"].as_str().expect("more");
    let second = world.get(format!("{all}?page[size]=2&page[after]={next}")).await.expect(StatusCode::OK);
    assert_eq!(second["items"].as_array().expect("a list").len(), 1);
    assert!(second["page"].get("next").is_none());

    let states = async || {
        let list = world.get(&all).await.expect(StatusCode::OK);
        let states = list["items"].as_array().expect("a list").iter();
        states.map(|node| node["state"].as_str().expect("a state").to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(states().await, ["enrolled"; 3]);
    world.execute("UPDATE regional.node SET last_seen_at = now()").await;
    assert_eq!(states().await, ["connected"; 3]);
    world.execute("UPDATE regional.node SET last_seen_at = now() - interval '31 seconds'").await;
    assert_eq!(states().await, ["stale"; 3]);
    world.execute("UPDATE regional.node SET left_at = now()").await;
    assert_eq!(states().await, ["gone"; 3]);
    world.execute("UPDATE regional.node SET left_at = now() - interval '1 hour', created_at = now() - interval '1 hour'").await;
    assert_eq!(states().await, ["gone"; 3], "heard of 31 seconds ago");
    world.execute("UPDATE regional.node SET last_seen_at = now() - interval '1 hour'").await;
    assert_eq!(states().await, Vec::<String>::new());
    // A row that cannot be read is an error, not an empty list.
    world.execute("UPDATE regional.node SET last_seen_at = now(), quarantined = '['").await;
    assert_eq!(world.get(&all).await.problem(StatusCode::INTERNAL_SERVER_ERROR).0, "internal");
}

#[tokio::test]
async fn propagation_counts_connected_nodes_at_a_version() {
    let world = World::new().await;
    let plane = world.plane("edge").await;
    let path = |query: &str| format!("{plane}/propagation{query}");
    let nobody = world.get(path("")).await.expect(StatusCode::OK);
    assert_eq!(nobody, json!({"version": 0, "nodes": 0, "applied": 0, "complete": false}));
    let token = token(&world, &plane, json!({"uses": 9})).await;
    for _ in 0..2 {
        enrol(&world, &token, NodeId::generate()).await.expect(StatusCode::OK);
    }
    world
        .execute("UPDATE regional.node SET last_seen_at = now(), digest_matches = true, applied_epoch = 1")
        .await;
    world.execute("UPDATE regional.node SET applied_version = 3 WHERE id = (SELECT min(id::text)::uuid FROM regional.node)").await;
    let one = world.get(path("?version=3&wait=1ms")).await.expect(StatusCode::OK);
    assert_eq!(one, json!({"version": 3, "nodes": 2, "applied": 1, "complete": false}));
    world.execute("UPDATE regional.node SET applied_version = 4").await;
    let both = world.get(path("?version=3&wait=30s")).await.expect(StatusCode::OK);
    assert_eq!((&both["applied"], &both["complete"]), (&json!(2), &json!(true)));
    // Many who wait are answered by the same looks.
    let waiting = (0..300).map(|version| {
        let (world, path) = (&world, path(&format!("?version={}&wait=30s", version % 6)));
        async move { world.get(path).await.expect(StatusCode::OK)["complete"].clone() }
    });
    let later = async {
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
        world.execute("UPDATE regional.node SET applied_version = 5").await;
    };
    let (complete, ()) = tokio::join!(futures::future::join_all(waiting), later);
    assert!(complete.iter().all(|complete| complete == true), "{complete:?}");
    world.execute("UPDATE regional.node SET applied_epoch = 2").await;
    assert_eq!(world.get(path("?version=3")).await.body["applied"], 0, "another incarnation");
    for query in ["?version=9223372036854775808", "?wait=31s", "?wait=5", "?version=x"] {
        assert_eq!(
            world.get(path(query)).await.problem(StatusCode::BAD_REQUEST).0,
            "invalid-parameter",
            "{query}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_has_had_its_time_is_swept_and_the_floor_rises() {
    let world = World::new().await;
    let plane = world.plane("edge").await;
    let token = token(&world, &plane, json!({"uses": 9})).await;
    for _ in 0..2 {
        enrol(&world, &token, NodeId::generate()).await.expect(StatusCode::OK);
    }
    let consumers = format!("{plane}/core-entities/consumers");
    for name in ["a", "b"] {
        world.post(&consumers, &json!({ "username": name })).await.expect(StatusCode::CREATED);
        world.delete(format!("{consumers}/{name}")).await.expect(StatusCode::NO_CONTENT);
    }
    let counts = async || -> (i64, i64, i64, i64, i64) {
        sqlx::query_as(
            "SELECT (SELECT count(*) FROM regional.node), (SELECT count(*) FROM regional.enrolment_token),
                    (SELECT count(*) FROM regional.revocation), (SELECT count(*) FROM regional.entity),
                    (SELECT floor FROM regional.control_plane)",
        )
        .fetch_one(&world.db)
        .await
        .expect("read")
    };
    world.service.sweep_nodes().await.expect("swept");
    assert_eq!(counts().await, (2, 1, 2, 2, 0), "nothing is old");
    world.execute("UPDATE regional.node SET certificate_expires_at = now() - interval '89 days'").await;
    world.service.sweep_nodes().await.expect("swept");
    assert_eq!(counts().await.0, 2, "their certificates may be renewed");
    world.execute("UPDATE regional.node SET certificate_expires_at = now() - interval '91 days' WHERE id = (SELECT min(id::text)::uuid FROM regional.node)").await;
    world.execute("UPDATE regional.enrolment_token SET expires_at = now() - interval '8 days'").await;
    world.execute("UPDATE regional.revocation SET at = now() - interval '8 days', done = seq = 1").await;
    world
        .execute("UPDATE regional.entity SET updated_at = now() - interval '25 hours' WHERE version = 2")
        .await;
    world.service.sweep_nodes().await.expect("swept");
    assert_eq!(counts().await, (1, 0, 1, 1, 2));
}

/// Only the methods that an endpoint has.
#[tokio::test]
async fn a_path_without_that_method_says_so() {
    let world = World::new().await;
    let answer = world.call(Method::PUT, "/v1/nodes/enrol").json(&json!({})).send().await;
    assert_eq!(answer.problem(StatusCode::METHOD_NOT_ALLOWED).0, "method-not-allowed");
}
