//! The lane of revocations.

use super::*;

/// A revocation does not wait for the node to apply what it was sent.
#[tokio::test(flavor = "multi_thread")]
async fn a_revocation_overtakes_a_delta_and_is_replayed_to_who_was_away() {
    let served = Served::new().await;
    let node = served.enrol().await;
    let mut stream = served.settled(&node).await;
    served.consumer("a").await;
    let pending = stream.delta().await;
    // Not acknowledged yet.
    served
        .world
        .delete(format!("{}/core-entities/consumers/a", served.plane))
        .await
        .expect(StatusCode::NO_CONTENT);
    let FromPlane::Revocation(revocation) = stream.next().await else { panic!("no revocation") };
    assert_eq!((revocation.seq, revocation.kind.as_str()), (1, "consumer"));
    stream.send(FromNode::RevocationApplied(wire::RevocationApplied { seq: 1 })).await;
    stream.applied(&pending).await;
    let delta = stream.delta().await;
    assert!(decode_batch(delta.entities.clone()).expect("rows")[0].deleted);

    // Another stream hears of it first of all, unless it says that it has.
    let mut again = served.welcomed(&node).await;
    assert!(matches!(again.next().await, FromPlane::Revocation(_)));
    let knows = wire::Hello { revocation_seq: 1, ..at(1, 3) };
    let mut informed = served.open(&node, knows).await;
    assert!(matches!(informed.next().await, FromPlane::Welcome(_)));
    assert!(matches!(informed.next().await, FromPlane::Delta(_)));
}

/// What a document deletes is denied like a single delete, once the document has committed: by a node that is busy with an earlier
/// delta, too.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_document_deletes_is_revoked_ahead_of_the_delta() {
    let served = Served::new().await;
    let node = served.enrol().await;
    let mut stream = served.settled(&node).await;
    served.consumer("ada").await;
    let mut keys = Vec::new();
    for (consumer, key) in [("first", "one"), ("first", "two"), ("ada", "three")] {
        let path = format!("{}/core-entities/consumers/{consumer}/key-auth", served.plane);
        let made = served.world.post(path, &json!({ "key": key })).await.expect(StatusCode::CREATED);
        keys.push(made["id"].as_str().expect("an id").to_owned());
    }
    let pending = stream.delta().await;
    // Not acknowledged yet. A document that is refused revokes nothing.
    let document = async |body: &str| {
        let path = format!("{}/declarative", served.plane);
        let text = format!("_format_version: '3.0'\nconsumers: [{{username: first{body}}}]");
        served.world.call(Method::PUT, path).text("application/yaml", text).send().await
    };
    document("}, {username: first").await.problem(StatusCode::BAD_REQUEST);
    let applied = document(", keyauth_credentials: [{key: one}]").await.expect(StatusCode::OK);
    let ada = stream.revoked().await;
    assert_eq!((ada.seq, ada.kind.as_str()), (1, "consumer"));
    let two = stream.revoked().await;
    let id = uuid::Uuid::from_slice(&two.id).expect("an id").to_string();
    assert_eq!((two.seq, two.kind.as_str(), id.as_str()), (2, "key_auth", keys[1].as_str()));

    // Made again under its old id before the node has heard of the delete: the delta settles the revocations of both.
    let again = format!("{}/core-entities/consumers/first/key-auth/{}", served.plane, keys[1]);
    let put = served.world.put(again, &json!({"key": "two"})).await;
    put.expect(StatusCode::OK);
    stream.applied(&pending).await;
    let delta = stream.delta().await;
    assert_eq!(states(&delta, &id), [false]);
    assert_eq!((delta.settled_seq, &delta.undone[..]), (2, &[][..]));
    // Whoever holds that is told of nothing.
    let mut informed = served.open(&node, at(1, delta.version)).await;
    assert!(matches!(informed.next().await, FromPlane::Welcome(_)));
    assert!(matches!(informed.next().await, FromPlane::Delta(_)));
    let rows: Vec<(bool, Option<i64>)> = sqlx::query_as("SELECT done, version FROM regional.revocation")
        .fetch_all(&served.world.db)
        .await
        .expect("rows");
    let version = applied["version"].as_i64().expect("a number");
    assert_eq!(rows, [(true, Some(version)), (true, Some(version))], "none for the key of ada");
}

/// Of each state of an entity in a delta, in order: whether it is a tombstone.
fn states(delta: &wire::Delta, id: &str) -> Vec<bool> {
    let entities = decode_batch(delta.entities.clone()).expect("rows");
    entities.iter().filter(|state| state.id.to_string() == id).map(|state| state.deleted).collect()
}

/// A delete that takes the lane by itself is one revocation, also of what goes with it.
#[tokio::test(flavor = "multi_thread")]
async fn a_single_delete_is_one_revocation() {
    let served = Served::new().await;
    served.consumer("ada").await;
    let consumer = format!("{}/core-entities/consumers/ada", served.plane);
    for key in ["one", "two"] {
        served
            .world
            .post(format!("{consumer}/key-auth"), &json!({ "key": key }))
            .await
            .expect(StatusCode::CREATED);
    }
    served.world.delete(consumer.clone()).await.expect(StatusCode::NO_CONTENT);
    served.world.delete(consumer).await.expect(StatusCode::NO_CONTENT);
    let rows: Vec<(i64, String, bool, Option<i64>)> =
        sqlx::query_as("SELECT seq, kind, done, version FROM regional.revocation")
            .fetch_all(&served.world.db)
            .await
            .expect("rows");
    assert_eq!(rows, [(1, "consumer".to_owned(), true, Some(4))]);
}
