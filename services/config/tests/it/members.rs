//! Members of consumer groups, from both sides.

use axum::http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::world::World;

#[tokio::test]
async fn members_are_added_listed_and_taken_out_from_both_sides() {
    let world = World::new().await;
    let base = format!("{}/core-entities", world.plane("members").await);
    let path = |rest: &str| format!("{base}/{rest}");
    let group =
        world.post(path("consumer_groups"), &json!({"name": "gold"})).await.expect(StatusCode::CREATED);
    let mut consumers = Vec::new();
    for name in ["alice", "bob", "carol"] {
        let body = json!({ "username": name });
        consumers.push(world.post(path("consumers"), &body).await.expect(StatusCode::CREATED));
    }
    let add = async |consumer: &str| {
        let body = json!({ "consumer": consumer });
        world.post(path("consumer_groups/gold/consumers"), &body).await
    };
    let added = add("alice").await.expect(StatusCode::CREATED);
    assert_eq!((&added["consumer_group"]["id"], &added["consumers"][0]), (&group["id"], &consumers[0]));
    // By id, and a second time.
    let bob = consumers[1]["id"].as_str().expect("an id");
    for _ in 0..2 {
        add(bob).await.expect(StatusCode::CREATED);
    }
    let from_below = json!({ "group": "gold" });
    let added =
        world.post(path("consumers/carol/consumer_groups"), &from_below).await.expect(StatusCode::CREATED);
    assert_eq!(added["consumer_groups"][0]["name"], "gold");

    let names = |list: &Value| -> Vec<String> {
        let all = list.as_array().expect("a list").iter();
        let mut names: Vec<String> =
            all.map(|one| one["username"].as_str().expect("a name").to_owned()).collect();
        names.sort();
        names
    };
    let shown = world.get(path("consumer_groups/gold")).await.expect(StatusCode::OK);
    assert_eq!(names(&shown["consumers"]), ["alice", "bob", "carol"]);
    assert_eq!((&shown["consumer_group"]["name"], &shown["name"]), (&json!("gold"), &json!("gold")));
    let without = world.get(path("consumer_groups/gold?list_consumers=false")).await.expect(StatusCode::OK);
    assert_eq!(without["consumers"], json!([]));
    let page = world.get(path("consumer_groups/gold/consumers?size=2")).await.expect(StatusCode::OK);
    let rest = world.get(page["next"].as_str().expect("more").to_owned()).await.expect(StatusCode::OK);
    let both =
        [page["data"].as_array().expect("a list").clone(), rest["data"].as_array().expect("a list").clone()];
    assert_eq!(names(&json!(both.concat())), ["alice", "bob", "carol"]);
    let groups = world.get(path("consumers/bob/consumer_groups")).await.expect(StatusCode::OK);
    assert_eq!(groups["data"][0]["name"], "gold");

    for _ in 0..2 {
        let taken = world.call(Method::DELETE, path("consumer_groups/gold/consumers/alice")).send().await;
        taken.expect(StatusCode::NO_CONTENT);
    }
    let taken = world.call(Method::DELETE, path("consumers/bob/consumer_groups/gold")).send().await;
    taken.expect(StatusCode::NO_CONTENT);
    let left = world.get(path("consumer_groups/gold/consumers")).await.expect(StatusCode::OK);
    assert_eq!(names(&left["data"]), ["carol"]);

    // All at once, from either side, in one version.
    for all in ["consumers/carol/consumer_groups", "consumer_groups/gold/consumers"] {
        world.post(path("consumer_groups/gold/consumers"), &json!({"consumer": "bob"})).await;
        let before = world.get(base.clone().replace("/core-entities", "")).await.expect(StatusCode::OK);
        for _ in 0..2 {
            world.call(Method::DELETE, path(all)).send().await.expect(StatusCode::NO_CONTENT);
        }
        let after = world.get(base.replace("/core-entities", "")).await.expect(StatusCode::OK);
        assert_eq!(after["version"].as_u64(), before["version"].as_u64().map(|version| version + 1), "{all}");
        let left = world.get(path(all)).await.expect(StatusCode::OK);
        assert_eq!(left["data"], json!([]), "{all}");
    }
    world
        .call(Method::DELETE, path("consumer_groups/none/consumers"))
        .send()
        .await
        .problem(StatusCode::NOT_FOUND);

    for (body, at) in [(json!({}), "consumer"), (json!({"consumer": "nobody"}), "consumer")] {
        let refused =
            world.post(path("consumer_groups/gold/consumers"), &body).await.expect(StatusCode::BAD_REQUEST);
        assert_eq!(refused["invalid_parameters"][0]["field"], at, "{refused}");
    }
    world
        .post(path("consumer_groups/silver/consumers"), &json!({"consumer": "carol"}))
        .await
        .problem(StatusCode::NOT_FOUND);
}

/// As Kong's Terraform provider uses them.
#[tokio::test]
async fn config_stores_keep_secrets_that_are_never_shown_there() {
    let world = World::new().await;
    let stores = format!("{}/config-stores", world.plane("stores").await);
    let made = world.post(stores.clone(), &json!({"name": "shop"})).await.expect(StatusCode::CREATED);
    let store = format!("{stores}/{}", made["id"].as_str().expect("an id"));
    assert_eq!(world.get(store.clone()).await.expect(StatusCode::OK), made);
    assert_eq!(world.get(stores.clone()).await.expect(StatusCode::OK)["data"], json!([made]));
    let renamed = world.call(Method::PUT, &store).json(&json!({"name": "shop2"})).send().await;
    assert_eq!(renamed.expect(StatusCode::OK)["name"], "shop2");

    let secrets = format!("{store}/secrets");
    let body = json!({"key": "password", "value": "s3cret"});
    let secret = world.post(secrets.clone(), &body).await.expect(StatusCode::CREATED);
    assert_eq!((&secret["key"], &secret["value"]), (&json!("password"), &Value::Null));
    world.post(secrets.clone(), &body).await.problem(StatusCode::CONFLICT);
    let one = format!("{secrets}/password");
    assert_eq!(world.get(one.clone()).await.expect(StatusCode::OK), secret);
    assert_eq!(world.get(secrets.clone()).await.expect(StatusCode::OK)["data"], json!([secret]));
    let replaced = world.call(Method::PUT, &one).json(&json!({"value": "other"})).send().await;
    assert_eq!(replaced.expect(StatusCode::OK)["key"], "password");
    let put = world.call(Method::PUT, format!("{secrets}/new")).json(&json!({"value": "v"})).send().await;
    put.expect(StatusCode::OK);
    for _ in 0..2 {
        world.call(Method::DELETE, &one).send().await.expect(StatusCode::NO_CONTENT);
    }
    world.get(one).await.problem(StatusCode::NOT_FOUND);
    world.call(Method::DELETE, &store).send().await.problem(StatusCode::BAD_REQUEST);
    let forced = world.call(Method::DELETE, format!("{store}?force=true")).send().await;
    forced.expect(StatusCode::NO_CONTENT);
    world.get(format!("{secrets}/new")).await.problem(StatusCode::NOT_FOUND);
    world.get(store).await.problem(StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_hash_that_kong_keeps_is_taken_over_as_it_is() {
    let world = World::new().await;
    let base = format!("{}/core-entities", world.plane("hashes").await);
    world.post(format!("{base}/consumers"), &json!({"username": "alice"})).await.expect(StatusCode::CREATED);
    let path = format!("{base}/consumers/alice/basic-auth?skip_hash=true");
    let hash = "0123456789abcdef0123456789ABCDEF01234567";
    let made = world.post(path.clone(), &json!({"username": "alice", "password": hash})).await;
    let made = made.expect(StatusCode::CREATED);
    assert_eq!(made["password"], format!("$kong-sha1${}", hash.to_ascii_lowercase()));
    let refused = world.post(path, &json!({"username": "bob", "password": "in clear"})).await;
    assert_eq!(refused.expect(StatusCode::BAD_REQUEST)["invalid_parameters"][0]["field"], "password");
}

/// A body that leaves the key open takes over the one that is stored, and the same time to live begins no new one. What is past its end
/// is swept; what is not stays.
#[tokio::test]
async fn a_key_stays_as_it_is_and_is_swept_after_its_end() {
    let world = World::new().await;
    let base = format!("{}/core-entities", world.plane("keys").await);
    world.post(format!("{base}/consumers"), &json!({"username": "alice"})).await.expect(StatusCode::CREATED);
    let keys = format!("{base}/consumers/alice/key-auth");
    let made = world.post(keys.clone(), &json!({"ttl": 3600})).await.expect(StatusCode::CREATED);
    let one = format!("{keys}/{}", made["id"].as_str().expect("an id"));
    let again = world.call(Method::PUT, one.clone()).json(&json!({"ttl": 3600})).send().await;
    assert_eq!(again.expect(StatusCode::OK), made);
    let kept = world.post(keys, &json!({"ttl": 3600})).await.expect(StatusCode::CREATED);
    world.service.sweep_expired().await.expect("swept");
    assert_eq!(world.get(one.clone()).await.expect(StatusCode::OK), made);
    sqlx::query("UPDATE regional.entity SET expires_at = now() - interval '1 second' WHERE id::text = $1")
        .bind(made["id"].as_str().expect("an id"))
        .execute(&world.db)
        .await
        .expect("updated");
    world.service.sweep_expired().await.expect("swept");
    world.get(one).await.problem(StatusCode::NOT_FOUND);
    let left = world.get(format!("{base}/key-auths")).await.expect(StatusCode::OK);
    assert_eq!(left["data"], json!([kept]));
}
