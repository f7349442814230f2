//! Several replicas write to one control plane at the same time: names stay unique, references hold, one of those who write on the same
//! condition succeeds, a key has one effect, and what one replica commits reaches the nodes of the other.

use axum::http::{Method, StatusCode};
use futures::future::join_all;
use serde_json::{Value, json};
use sqlx::PgPool;

use crate::{entities::Plane, world::Answer};

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
