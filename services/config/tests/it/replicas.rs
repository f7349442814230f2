//! Several replicas write to one control plane at the same time: names stay unique, references hold, one of those who write on the same
//! condition succeeds, a key has one effect, and what one replica commits reaches the nodes of the other.

use axum::http::{Method, StatusCode};
use futures::future::join_all;
use serde_json::{Value, json};
use sqlx::PgPool;

use crate::{
    entities::Plane,
    world::{Answer, BARRED},
};

/// Rounds of a race.
const ROUNDS: usize = 25;

impl Plane {
    /// A write that comes to one of the two replicas.
    async fn at_replica(&self, replica: usize, method: Method, rest: &str, body: &Value) -> Answer {
        self.world.call(method, self.at(rest)).to(replica).json(body).send().await
    }
}

fn count(answers: &[Answer], status: StatusCode) -> usize {
    answers.iter().filter(|answer| answer.status == status).count()
}

/// References of live entities to services that are not there.
async fn dangling(db: &PgPool) -> i64 {
    let (dangling,): (i64,) = sqlx::query_as(
        "SELECT count(*) FROM regional.entity AS route
         WHERE route.kind = 'route' AND NOT route.deleted AND NOT EXISTS (
             SELECT FROM regional.entity AS service
             WHERE service.kind = 'service' AND NOT service.deleted
               AND service.id::text = route.body::jsonb -> 'service' ->> 'id')",
    )
    .fetch_one(db)
    .await
    .expect("read");
    dangling
}

#[tokio::test(flavor = "multi_thread")]
async fn one_of_many_gets_a_name() {
    let plane = Plane::new().await;
    for round in 0..ROUNDS {
        let body = json!({"name": format!("same-{round}"), "host": "h"});
        let writes = (0..8).map(|n| plane.at_replica(n, Method::POST, "services", &body));
        let answers = join_all(writes).await;
        assert_eq!(count(&answers, StatusCode::CREATED), 1);
        assert_eq!(count(&answers, StatusCode::CONFLICT), 7);
        // By name it is one entity, whoever comes first.
        let rest = format!("consumers/same-{round}");
        let body = json!({"custom_id": format!("{round}")});
        let puts = (0..8).map(|n| plane.at_replica(n, Method::PUT, &rest, &body));
        let puts = join_all(puts).await;
        assert_eq!(count(&puts, StatusCode::OK), 8);
        assert!(puts.iter().all(|put| put.body["id"] == puts[0].body["id"]));
    }
    crate::entities::assert_digest(&plane).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_referred_to_is_not_deleted_at_the_same_time() {
    let plane = Plane::new().await;
    for round in 0..ROUNDS {
        let name = format!("s{round}");
        plane
            .put(&format!("services/{name}"), json!({"name": name, "host": "h"}))
            .await
            .expect(StatusCode::OK);
        let (route, service) =
            (json!({"paths": ["/"], "service": {"name": name}}), format!("services/{name}"));
        let nothing = json!({});
        let (made, gone) = tokio::join!(
            plane.at_replica(0, Method::POST, "routes", &route),
            plane.at_replica(1, Method::DELETE, &service, &nothing),
        );
        match (made.status, gone.status) {
            (StatusCode::CREATED, StatusCode::BAD_REQUEST)
            | (StatusCode::BAD_REQUEST, StatusCode::NO_CONTENT) => {}
            other => panic!("{other:?}: {} {}", made.body, gone.body),
        }
    }
    assert_eq!(dangling(&plane.world.db).await, 0);
    crate::entities::assert_digest(&plane).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_of_many_writes_at_a_version() {
    let plane = Plane::new().await;
    plane.post("services", json!({"name": "s", "host": "h"})).await.expect(StatusCode::CREATED);
    for round in 0..ROUNDS {
        let read = plane.get("services/s").await;
        let tag = read.header("etag").expect("a version").to_owned();
        let writes = (0..6).map(|n| {
            let call = plane.world.call(Method::PUT, plane.at("services/s")).to(n).header("if-match", &tag);
            call.json(&json!({"name": "s", "host": format!("h{round}-{n}")})).send()
        });
        let answers = join_all(writes).await;
        assert_eq!(count(&answers, StatusCode::OK), 1);
        assert_eq!(count(&answers, StatusCode::PRECONDITION_FAILED), 5);
    }
    assert_eq!(plane.version().await, 1 + ROUNDS as i64);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_has_one_effect_at_whichever_replica() {
    let plane = Plane::new().await;
    for round in 0..ROUNDS {
        let writes = (0..6).map(|n| {
            let call = plane.world.call(Method::POST, plane.at("services")).to(n);
            let call = call.header("idempotency-key", format!("key-{round}"));
            call.json(&json!({"host": "h"})).send()
        });
        let answers = join_all(writes).await;
        let made: Vec<&Answer> =
            answers.iter().filter(|answer| answer.status == StatusCode::CREATED).collect();
        assert!(!made.is_empty());
        assert!(made.iter().all(|answer| answer.body["id"] == made[0].body["id"]));
        assert_eq!(made.len() + count(&answers, StatusCode::CONFLICT), 6);
    }
    let (services,): (i64,) = sqlx::query_as("SELECT count(*) FROM regional.entity")
        .fetch_one(&plane.world.db)
        .await
        .expect("read");
    assert_eq!(services, ROUNDS as i64);
}

/// A document of one replica against single writes of the other: each is whole, in one order.
#[tokio::test(flavor = "multi_thread")]
async fn documents_and_single_writes_have_one_order() {
    let plane = Plane::new().await;
    for round in 0..ROUNDS {
        let document = plane.world.call(Method::PUT, format!("{}/declarative", plane.path)).to(0);
        let text =
            "_format_version: '3.0'\nservices: [{name: s, host: h, routes: [{name: r, paths: [/]}]}]\n";
        let document = document.text("application/yaml", text).send();
        let body = json!({"paths": ["/x"], "service": {"name": "s"}});
        let rest = format!("routes/x{round}");
        let (applied, route) = tokio::join!(document, plane.at_replica(1, Method::PUT, &rest, &body));
        applied.expect(StatusCode::OK);
        // Before the first document there is no service.
        assert!(route.status == StatusCode::OK || round == 0, "{}", route.body);
        assert_eq!(dangling(&plane.world.db).await, 0);
    }
    crate::entities::assert_digest(&plane).await;
}

/// Keys are claimed, let go and kept for a whole group.
#[tokio::test(flavor = "multi_thread")]
async fn each_key_of_a_group_has_one_effect() {
    let plane = Plane::new().await;
    let create = |key: usize, name: String| {
        let call = plane.world.call(Method::POST, plane.at("consumers")).to(0);
        call.header("idempotency-key", format!("key-{key}")).json(&json!({ "username": name })).send()
    };
    for round in 0..ROUNDS {
        // Two of each key, and one in four asks for a name that is taken.
        let name =
            |key: usize| if key.is_multiple_of(4) { "taken".to_owned() } else { format!("{round}-{key}") };
        create(usize::MAX, "taken".to_owned()).await;
        let key = |number: usize| round * 100 + number % 8;
        let answers = join_all((0..16).map(|number| create(key(number), name(number % 8)))).await;
        for (number, answer) in answers.iter().enumerate() {
            assert!([StatusCode::CREATED, StatusCode::CONFLICT].contains(&answer.status), "{}", answer.body);
            assert!((number % 8) % 4 != 0 || answer.status == StatusCode::CONFLICT, "{}", answer.body);
        }
        for number in (0..8).filter(|number| number % 4 != 0) {
            let again = create(key(number), name(number)).await;
            assert_eq!(again.header("idempotent-replayed"), Some("true"), "{}", again.body);
            let first =
                answers.iter().skip(number).step_by(8).find(|first| first.status == StatusCode::CREATED);
            assert_eq!(again.body["id"], first.expect("made once").body["id"]);
        }
        // A refused write has not used its key up.
        let key = key(0);
        create(key, format!("free-{key}")).await.expect(StatusCode::CREATED);
    }
    crate::entities::assert_digest(&plane).await;
}

/// What a write does not change of an entity's keys and references is not written, and holds.
#[tokio::test(flavor = "multi_thread")]
async fn names_and_references_that_stay_hold_and_those_that_go_are_free() {
    let plane = Plane::new().await;
    let send = async |method: Method, rest: &str, body: Value| plane.at_replica(0, method, rest, &body).await;
    let service = async |name: &str| {
        let made = send(Method::POST, "services", json!({"name": name, "host": "h"})).await;
        made.expect(StatusCode::CREATED)["id"].clone()
    };
    let (a, b) = (service("a").await, service("b").await);
    let route = |name: &str, path: &str, service: &Value| json!({"name": name, "paths": [path], "service": { "id": service }});
    let made = send(Method::POST, "routes", route("r", "/one", &a)).await.expect(StatusCode::CREATED);
    let by_id = format!("routes/{}", made["id"].as_str().expect("an id"));
    for path in ["/two", "/three"] {
        send(Method::PUT, &by_id, route("r", path, &a)).await.expect(StatusCode::OK);
        send(Method::POST, "routes", route("r", "/x", &b)).await.problem(StatusCode::CONFLICT);
        send(Method::DELETE, "services/a", Value::Null).await.problem(StatusCode::BAD_REQUEST);
    }
    send(Method::PUT, "routes/r", route("r", "/four", &b)).await.expect(StatusCode::OK);
    send(Method::DELETE, "services/a", Value::Null).await.expect(StatusCode::NO_CONTENT);
    send(Method::DELETE, "services/b", Value::Null).await.problem(StatusCode::BAD_REQUEST);
    send(Method::PUT, &by_id, route("s", "/five", &b)).await.expect(StatusCode::OK);
    send(Method::POST, "routes", route("s", "/x", &b)).await.problem(StatusCode::CONFLICT);
    send(Method::POST, "routes", route("r", "/x", &b)).await.expect(StatusCode::CREATED);
    send(Method::PUT, &by_id, json!({"name": "s", "paths": ["/six"]})).await.expect(StatusCode::OK);
    send(Method::DELETE, "routes/r", Value::Null).await.expect(StatusCode::NO_CONTENT);
    send(Method::DELETE, "services/b", Value::Null).await.expect(StatusCode::NO_CONTENT);
    let left: Vec<(String, String)> = sqlx::query_as("SELECT field, value FROM regional.entity_key")
        .fetch_all(&plane.world.db)
        .await
        .expect("rows");
    assert_eq!(left, [("name".to_owned(), "s".to_owned())]);
    let (references,): (i64,) = sqlx::query_as("SELECT count(*) FROM regional.entity_ref")
        .fetch_one(&plane.world.db)
        .await
        .expect("a number");
    assert_eq!(references, 0);
    crate::entities::assert_digest(&plane).await;
}

/// Nothing is remembered of a control plane: what another replica has done to it counts for the next request.
#[tokio::test(flavor = "multi_thread")]
async fn a_label_that_another_replica_has_set_counts_at_once() {
    let plane = Plane::new().await;
    let body = json!({"host": "h"});
    let at = plane.at("");
    let (itself, _) = at.split_once("/core-entities").expect("a path");
    let label = async |labels: Value| {
        let change = json!({ "labels": labels });
        plane.world.call(Method::PATCH, itself).to(1).json(&change).send().await.expect(StatusCode::OK);
    };
    for _ in 0..10 {
        plane.at_replica(0, Method::PUT, "services/s", &body).await.expect(StatusCode::OK);
        plane.at_replica(0, Method::GET, "services/s", &Value::Null).await.expect(StatusCode::OK);
        label(json!({ BARRED: "yes" })).await;
        plane.at_replica(0, Method::PUT, "services/s", &body).await.problem(StatusCode::FORBIDDEN);
        plane.at_replica(0, Method::GET, "services/s", &Value::Null).await.problem(StatusCode::FORBIDDEN);
        label(json!({})).await;
    }
}

/// Each write asks whether its control plane is still there.
#[tokio::test(flavor = "multi_thread")]
async fn a_write_to_a_control_plane_that_another_replica_has_just_deleted_is_404() {
    let plane = Plane::new().await;
    let body = json!({"host": "h"});
    plane.at_replica(0, Method::PUT, "services/s", &body).await.expect(StatusCode::OK);
    let at = plane.at("");
    let (itself, _) = at.split_once("/core-entities").expect("a path");
    plane.world.call(Method::DELETE, itself).to(1).send().await.expect(StatusCode::NO_CONTENT);
    for _ in 0..3 {
        plane.at_replica(0, Method::PUT, "services/s", &body).await.problem(StatusCode::NOT_FOUND);
    }
    plane.at_replica(0, Method::POST, "services", &body).await.problem(StatusCode::NOT_FOUND);
}
