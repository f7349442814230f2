//! Documents that are written aside, while others write to the same control plane: each is whole, in one order with the other writes, and
//! what is kept beside the rows (keys, references, digest, counts) stays right.

use std::{
    collections::BTreeSet,
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use axum::http::{Method, StatusCode};
use config::Limits;
use futures::future::join_all;
use gateway_model::{Entity, Kind};
use proptest::{prelude::*, test_runner::TestRunner};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{
    entities::{Plane, assert_digest},
    world::Answer,
};

impl Plane {
    /// A control plane of which every document is written aside.
    async fn aside() -> Self {
        Self::with_limits(Limits { at_once_max: 0, ..Limits::default() }).await
    }

    async fn put_json(&self, query: &str, document: &Value) -> Answer {
        let path = format!("{}/declarative{query}", self.path);
        self.world.call(Method::PUT, path).text("application/json", document.to_string()).send().await
    }

    /// Keys and references are those of the live entities, as are the digest and the counts.
    async fn assert_consistent(&self) {
        assert_digest(self).await;
        let rows: Vec<(String, Uuid, String)> =
            sqlx::query_as("SELECT kind, id, body FROM regional.entity WHERE NOT deleted")
                .fetch_all(&self.world.db)
                .await
                .expect("read");
        let (mut keys, mut references, mut cost) = (BTreeSet::new(), BTreeSet::new(), 0);
        for (name, id, body) in &rows {
            let kind = Kind::from_name(name).expect("a kind");
            let entity = Entity::from_wire(kind, body.as_bytes()).expect("readable");
            for key in entity.unique_keys() {
                assert!(keys.insert((name.clone(), key.field.to_owned(), key.value.clone(), *id)), "{key:?}");
            }
            let targets = entity.references().into_iter().map(|found| (found.kind, found.target.id()));
            references.extend(targets.map(|(kind, target)| (*id, kind.name(), target.expect("resolved"))));
            cost += entity.path_cost();
        }
        let live: BTreeSet<(&str, Uuid)> = rows.iter().map(|(kind, id, _)| (kind.as_str(), *id)).collect();
        for (from, kind, target) in &references {
            assert!(live.contains(&(*kind, *target)), "{from} refers to the {kind} {target}, which is gone");
        }
        let held: Vec<(String, String, String, Uuid)> =
            sqlx::query_as("SELECT kind, field, value, entity_id FROM regional.entity_key")
                .fetch_all(&self.world.db)
                .await
                .expect("read");
        assert_eq!(held.into_iter().collect::<BTreeSet<_>>(), keys);
        let held: Vec<(Uuid, String, Uuid)> =
            sqlx::query_as("SELECT from_id, to_kind, to_id FROM regional.entity_ref")
                .fetch_all(&self.world.db)
                .await
                .expect("read");
        let held: BTreeSet<_> = held.iter().map(|(from, kind, to)| (*from, kind.as_str(), *to)).collect();
        assert_eq!(held, references);
        let (count, path_cost): (Option<i64>, Option<i64>) =
            sqlx::query_as("SELECT entities, path_cost FROM regional.control_plane")
                .fetch_one(&self.world.db)
                .await
                .expect("read");
        assert_eq!((count, path_cost), (Some(rows.len() as i64), Some(cost as i64)));
    }
}

/// A document of so many consumers, with a key each.
fn consumers(count: usize, generation: usize) -> Value {
    let consumer = |number: usize| {
        json!({"username": format!("c{number}"), "tags": ["import", format!("g{generation}")],
               "keyauth_credentials": [{"key": format!("key-of-consumer-{number}"), "tags": ["import"]}]})
    };
    let consumers: Vec<Value> = (0..count).map(consumer).collect();
    json!({"consumers": consumers, "_format_version": "3.0", "_info": {"select_tags": ["import"]}})
}

#[tokio::test(flavor = "multi_thread")]
async fn others_write_while_a_document_is_written_aside() {
    let plane = Plane::aside().await;
    plane.put("services/other", json!({"host": "h"})).await.expect(StatusCode::OK);
    plane.put_json("", &consumers(1500, 0)).await.expect(StatusCode::OK);
    let is_done = AtomicBool::new(false);
    let document = async {
        for generation in 1..3 {
            let done = plane.put_json("", &consumers(1500, generation)).await.expect(StatusCode::OK);
            assert_eq!((&done["created"], &done["updated"]), (&json!(0), &json!(1500)), "{done}");
        }
        is_done.store(true, Ordering::Release);
    };
    // What the document does not have, and what it has too.
    let own = async |writer: usize| {
        let (mut writes, mut longest) = (0, Duration::ZERO);
        while !is_done.load(Ordering::Acquire) {
            let begun = Instant::now();
            let body = json!({"host": format!("h{writes}"), "name": format!("own-{writer}")});
            plane.put(&format!("services/own-{writer}"), body).await.expect(StatusCode::OK);
            longest = longest.max(begun.elapsed());
            writes += 1;
        }
        (writes, longest)
    };
    let same = async {
        let mut answers = Vec::new();
        while !is_done.load(Ordering::Acquire) {
            let name = format!("c{}", answers.len() % 1500);
            let body = json!({"username": name, "tags": ["import", "by-hand"]});
            answers.push(plane.put(&format!("consumers/{name}"), body).await);
        }
        answers
    };
    let ((), written, answers) = tokio::join!(document, join_all((0..3).map(own)), same);
    for (writes, longest) in written {
        assert!(
            writes > 3,
            "others are not held up for as long as a document takes: {writes} writes, {longest:?}"
        );
    }
    for answer in answers {
        assert!(matches!(answer.status, StatusCode::OK | StatusCode::TOO_MANY_REQUESTS), "{}", answer.body);
    }
    plane.assert_consistent().await;
    plane.put_json("", &consumers(1500, 2)).await.expect(StatusCode::OK);
    let told = plane.put_json("?dry_run=true", &consumers(1500, 2)).await.expect(StatusCode::OK);
    assert_eq!(told["changes"], json!([]));
    plane.assert_consistent().await;
}

/// A name goes from one entity to another, in a circle.
#[tokio::test(flavor = "multi_thread")]
async fn names_may_change_places() {
    let plane = Plane::aside().await;
    let ids: Vec<Uuid> = (1..=3).map(Uuid::from_u128).collect();
    let named = |names: [&str; 3]| {
        let service = |(id, name): (&Uuid, &str)| json!({"id": id, "name": name, "host": "h"});
        let services: Vec<Value> = ids.iter().zip(names).map(service).collect();
        json!({"_format_version": "3.0", "services": services})
    };
    for names in [["a", "b", "c"], ["b", "c", "a"], ["c", "a", "b"], ["a", "c", "d"]] {
        plane.put_json("", &named(names)).await.expect(StatusCode::OK);
        for (id, name) in ids.iter().zip(names) {
            let found = plane.get(&format!("services/{name}")).await.expect(StatusCode::OK);
            assert_eq!(found["id"], json!(id));
        }
        plane.assert_consistent().await;
    }
}

/// What a document says of itself may stand behind its entities, and what is below an entity before the entity's own fields.
#[tokio::test(flavor = "multi_thread")]
async fn the_order_of_fields_says_nothing() {
    let plane = Plane::aside().await;
    let text = r#"{"services": [{"routes": [{"plugins": [{"name": "key-auth"}], "paths": ["/"], "name": "r"}],
                                 "host": "h", "name": "s"}], "_info": {"select_tags": ["t"]}, "_format_version": "3.0"}"#;
    let path = format!("{}/declarative", plane.path);
    let put = async |text: &str| {
        let call = plane.world.call(Method::PUT, path.clone());
        call.text("application/json", text).send().await
    };
    let done = put(text).await.expect(StatusCode::OK);
    assert_eq!(done["created"], 3);
    let plugin = &plane.get("plugins").await.expect(StatusCode::OK)["data"][0];
    let route = plane.get("routes/r").await.expect(StatusCode::OK);
    assert_eq!((&plugin["route"]["id"], &plugin["tags"]), (&route["id"], &json!(["t"])));

    let wrong = text.replace("\"/\"", "\"x\"");
    let refused = put(&wrong).await.expect(StatusCode::BAD_REQUEST);
    let error = &refused["invalid_parameters"][0];
    assert_eq!(error["field"], "services[0].routes[0].paths[0]", "{refused}");
    assert!(error["reason"].as_str().is_some_and(|reason| reason.contains("(line 1, column")), "{error}");
    let twice = text.replace("\"host\": \"h\"", "\"host\": \"h\", \"host\": \"i\"");
    let refused = put(&twice).await.expect(StatusCode::BAD_REQUEST);
    assert!(refused.to_string().contains("`host` occurs twice"), "{refused}");
    plane.assert_consistent().await;
}

/// A document, as few services, routes, consumers and keys as may meet what others write.
fn documents() -> impl Strategy<Value = Value> {
    let name = |letter: &'static str| (0..4u8).prop_map(move |number| format!("{letter}{number}"));
    let routes = prop::collection::btree_set(name("r"), 0..3);
    let services = prop::collection::btree_map(name("s"), (0..3u8, routes), 0..4);
    let consumers = prop::collection::btree_map(name("c"), prop::option::of(0..4u8), 0..4);
    (services, consumers, any::<bool>()).prop_map(|(services, consumers, has_tag)| {
        let (mut routes_seen, mut keys_seen) = (BTreeSet::new(), BTreeSet::new());
        let services: Vec<Value> = services
            .into_iter()
            .map(|(name, (host, routes))| {
                let new = routes.into_iter().filter(|route| routes_seen.insert(route.clone()));
                let routes: Vec<Value> =
                    new.map(|route| json!({"name": route, "paths": ["/", "~/a+"]})).collect();
                json!({"name": name, "host": format!("h{host}"), "routes": routes})
            })
            .collect();
        let consumers: Vec<Value> = consumers
            .into_iter()
            .map(|(name, key)| {
                let keys = key.into_iter().filter(|key| keys_seen.insert(*key));
                let keys: Vec<Value> = keys.map(|key| json!({"key": format!("key-number-{key}")})).collect();
                json!({"username": name, "keyauth_credentials": keys})
            })
            .collect();
        let info = if has_tag { json!({"select_tags": ["t"]}) } else { json!({}) };
        json!({"_format_version": "3.0", "_info": info, "services": services, "consumers": consumers})
    })
}

/// A single write: method, path and body.
fn writes() -> impl Strategy<Value = (Method, String, Value)> {
    let tags = prop::sample::select(vec![json!([]), json!(["t"]), json!(["t", "u"])]);
    let put = prop_oneof![
        (0..4u8, 0..3u8)
            .prop_map(|(name, host)| (format!("services/s{name}"), json!({"host": format!("h{host}")}))),
        (0..4u8, 0..4u8).prop_map(|(name, service)| {
            (format!("routes/r{name}"), json!({"paths": ["/x"], "service": {"name": format!("s{service}")}}))
        }),
        (0..4u8).prop_map(|name| (format!("consumers/c{name}"), json!({}))),
    ];
    let put = (put, tags).prop_map(|((path, mut body), tags)| {
        body["tags"] = tags;
        (Method::PUT, path, body)
    });
    let key = (0..4u8, 0..4u8).prop_map(|(consumer, key)| {
        (Method::POST, format!("consumers/c{consumer}/key-auth"), json!({"key": format!("key-number-{key}")}))
    });
    let delete = (prop::sample::select(vec!["services/s", "routes/r", "consumers/c"]), 0..4u8)
        .prop_map(|(path, name)| (Method::DELETE, format!("{path}{name}"), json!({})));
    prop_oneof![3 => put, 2 => key, 1 => delete]
}

/// Random documents and random writes at the same time, at two replicas.
#[test]
fn documents_and_writes_have_one_order() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    let plane = runtime.block_on(Plane::aside());
    let cases = (documents(), prop::collection::vec(writes(), 0..24));
    let config = ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() };
    let outcome = TestRunner::new(config).run(&cases, |(document, writes)| {
        runtime.block_on(async {
            let at_once = writes.iter().map(|(method, path, body)| {
                plane.world.call(method.clone(), plane.at(path)).json(body).send()
            });
            let (applied, answers) = tokio::join!(plane.put_json("", &document), join_all(at_once));
            for answer in &answers {
                assert!(answer.status.as_u16() < 500, "{}", answer.body);
            }
            plane.assert_consistent().await;
            // A document that owns its tags only may be in the way of what others have.
            if applied.status != StatusCode::OK {
                assert_eq!(applied.status, StatusCode::BAD_REQUEST, "{}", applied.body);
                return;
            }
            let again = plane.put_json("", &document).await;
            plane.assert_consistent().await;
            if again.status == StatusCode::OK {
                let told = plane.put_json("?dry_run=true", &document).await.expect(StatusCode::OK);
                assert_eq!(told["changes"], json!([]), "{document}");
            }
        });
        Ok(())
    });
    outcome.expect("one order");
}
