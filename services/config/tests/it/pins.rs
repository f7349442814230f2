//! The API of pinned certificates. What they open is tried in `streams/pinned`.

use axum::http::{Method, StatusCode};
use rcgen::{CertificateParams, KeyPair};
use serde_json::json;
use uuid::Uuid;

use crate::world::World;

/// A self-signed certificate, valid for ten years from an hour ago, which says what `say` says.
pub fn certificate(world: &World, key: &KeyPair, say: impl FnOnce(&mut CertificateParams)) -> String {
    let mut params = CertificateParams::default();
    params.not_before = world.clock.now() - time::Duration::hours(1);
    params.not_after = world.clock.now() + time::Duration::days(3650);
    say(&mut params);
    params.self_signed(key).expect("a certificate").pem()
}

/// The collection of a control plane.
pub fn path(plane: &str) -> String {
    format!("{plane}/dp-client-certificates")
}

/// The id of a control plane whose path this is.
pub fn id_of(plane: &str) -> String {
    plane.rsplit('/').next().expect("an id").to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn certificates_are_pinned_listed_and_deleted_in_konnects_shape() {
    let world = World::new().await;
    let (plane, other) = (world.plane("own").await, world.plane("other").await);
    let key = KeyPair::generate().expect("a key");
    let pem = certificate(&world, &key, |_| ());
    let made = world.post(path(&plane), &json!({ "cert": pem })).await.expect(StatusCode::CREATED);
    let item = &made["item"];
    assert_eq!((&item["cert"], &item["title"]), (&json!(pem), &json!("")), "as it was sent");
    assert!(item["created_at"].is_i64() && item["created_at"] == item["updated_at"]);
    assert_eq!(
        (&made["gateway"]["control_plane"], &made["gateway"]["region"], &made["gateway"]["sync"]),
        (&json!(id_of(&plane)), &json!("us"), &json!(["sync.us.example:443"]))
    );
    let one = format!("{}/{}", path(&plane), item["id"].as_str().expect("an id"));
    assert_eq!(world.get(&one).await.expect(StatusCode::OK), made);
    let list = world.get(path(&plane)).await.expect(StatusCode::OK);
    assert_eq!(list, json!({"items": [item], "page": {"total_count": 1}}));

    // It belongs to one control plane, in which alone it is found.
    for plane in [&plane, &other] {
        let (problem, _) =
            world.post(path(plane), &json!({ "cert": pem })).await.problem(StatusCode::CONFLICT);
        assert_eq!(problem, "conflict");
    }
    let elsewhere = format!("{}/{}", path(&other), item["id"].as_str().expect("an id"));
    world.get(&elsewhere).await.problem(StatusCode::NOT_FOUND);
    world.delete(&elsewhere).await.problem(StatusCode::NOT_FOUND);
    let nobodys = format!("/v2/control-planes/{}", Uuid::now_v7());
    for method in [Method::GET, Method::POST] {
        let sent = world.call(method, path(&nobodys)).json(&json!({ "cert": pem })).send().await;
        sent.problem(StatusCode::NOT_FOUND);
    }

    world.delete(&one).await.expect(StatusCode::NO_CONTENT);
    world.delete(&one).await.problem(StatusCode::NOT_FOUND);
    world.post(path(&other), &json!({ "cert": pem })).await.expect(StatusCode::CREATED);
    let audit: Vec<String> = world.audit().await.into_iter().map(|(action, _)| action).collect();
    assert!(audit.ends_with(&[
        "dp-client-certificate.create".to_owned(),
        "dp-client-certificate.delete".to_owned(),
        "dp-client-certificate.create".to_owned()
    ]));
}
