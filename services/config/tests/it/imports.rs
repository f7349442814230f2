//! `/imports`: how far writes of many entities have come, and what they came to.

use access::Action;
use axum::http::{Method, StatusCode};
use serde_json::{Value, json};
use sqlx::{PgConnection, Postgres, Transaction};
use uuid::Uuid;

use crate::{
    entities::Plane,
    world::{Answer, within},
};

const TWO: &str = "_format_version: '3.0'\nservices: [{name: s, host: h, routes: [{name: r, paths: [/]}]}]";

impl Plane {
    fn imports(&self) -> String {
        format!("{}/imports", self.path)
    }

    async fn import(&self, id: Uuid) -> Value {
        self.world.get(format!("{}/{id}", self.imports())).await.expect(StatusCode::OK)
    }

    async fn put_as(&self, id: Uuid, text: &str) -> Answer {
        let path = format!("{}/declarative?import_id={id}", self.path);
        self.world.call(Method::PUT, path).text("application/yaml", text).send().await
    }

    /// Waits until the import is as `wanted` says.
    async fn until(&self, id: Uuid, wanted: impl Fn(&Value) -> bool) -> Value {
        let path = format!("{}/{id}", self.imports());
        within("the import", async {
            loop {
                let shown = self.world.get(path.clone()).await;
                if shown.status == StatusCode::OK && wanted(&shown.body) {
                    return shown.body;
                }
            }
        })
        .await
    }

    /// Holds up every write of the control plane until the transaction ends.
    async fn held_up(&self) -> Transaction<'static, Postgres> {
        let mut holds = self.world.db.begin().await.expect("a transaction");
        let lock = sqlx::query("SELECT id FROM regional.control_plane FOR NO KEY UPDATE");
        lock.execute(&mut *holds as &mut PgConnection).await.expect("locked");
        holds
    }
}

/// Everything is read, and others have yet to let go of the control plane.
fn queued(import: &Value) -> bool {
    import["phase"] == "queued" && import["total"] == 2
}

#[tokio::test(flavor = "multi_thread")]
async fn an_import_is_seen_while_it_runs_and_afterwards() {
    let plane = Plane::new().await;
    let id = Uuid::now_v7();
    let holds = plane.held_up().await;
    let watch = async {
        let shown = plane.until(id, queued).await;
        for (field, value) in [
            ("id", json!(id)),
            ("source", json!("declarative")),
            ("dry_run", json!(false)),
            ("done", json!(0)),
            ("ended_at", Value::Null),
            ("result", Value::Null),
            ("problem", Value::Null),
        ] {
            assert_eq!(shown[field], value, "{field}");
        }
        assert!(shown["begun_by"].is_string() && shown["begun_at"].is_string(), "{shown}");
        let listed = plane.world.get(plane.imports()).await.expect(StatusCode::OK);
        assert_eq!(listed["data"][0]["phase"], "queued");

        let (problem, detail) = plane.put_as(id, TWO).await.problem(StatusCode::CONFLICT);
        assert_eq!(problem, "conflict");
        assert!(detail.contains("runs already") && detail.contains(&id.to_string()), "{detail}");
        let other = plane.put_as(id, "_format_version: '3.0'").await.problem(StatusCode::CONFLICT);
        assert!(other.1.contains("other content"), "{other:?}");
        holds.rollback().await.expect("let go");
    };
    let (answer, ()) = tokio::join!(plane.put_as(id, TWO), watch);
    let answer = answer.expect(StatusCode::OK);
    let result = json!({"version": 1, "created": 2, "updated": 0, "deleted": 0});
    assert_eq!(answer["import_id"], json!(id));
    let shown = plane.import(id).await;
    assert_eq!((&shown["phase"], &shown["result"]), (&json!("committed"), &result));
    assert_eq!((&shown["done"], &shown["total"]), (&json!(2), &json!(2)), "rows");
    assert!(shown["ended_at"].is_string(), "{shown}");

    // It is committed once, whatever has happened since.
    plane.delete("routes/r").await.expect(StatusCode::NO_CONTENT);
    assert_eq!(plane.put_as(id, TWO).await.expect(StatusCode::OK), answer);
    assert_eq!(plane.version().await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_import_goes_on_without_its_client() {
    let plane = Plane::new().await;
    let id = Uuid::now_v7();
    let holds = plane.held_up().await;
    tokio::select! {
        answer = plane.put_as(id, TWO) => panic!("{answer:?}"),
        _ = plane.until(id, queued) => {}
    }
    holds.rollback().await.expect("let go");
    let shown = plane.until(id, |import| !import["ended_at"].is_null()).await;
    assert_eq!((&shown["phase"], &shown["result"]["created"]), (&json!("committed"), &json!(2)));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_fails_is_told_and_may_begin_again() {
    let plane = Plane::new().await;
    let id = Uuid::now_v7();
    let wrong = "_format_version: '3.0'\nroutes: [{name: r, paths: [/], service: later}]";
    let tagged =
        "_format_version: '3.0'\n_info: {select_tags: [t]}\nroutes: [{name: r, paths: [/], service: later}]";
    let refused = plane.put_as(id, tagged).await.expect(StatusCode::BAD_REQUEST);
    let shown = plane.import(id).await;
    assert_eq!((&shown["phase"], &shown["result"]), (&json!("failed"), &Value::Null));
    for field in ["type", "title", "status", "detail", "invalid_parameters"] {
        assert_eq!(shown["problem"][field], refused[field], "{field}");
    }
    plane.put_as(id, wrong).await.problem(StatusCode::CONFLICT);
    plane.post("services", json!({"name": "later", "host": "h"})).await.expect(StatusCode::CREATED);
    plane.put_as(id, tagged).await.expect(StatusCode::OK);
    let shown = plane.import(id).await;
    assert_eq!((&shown["phase"], &shown["problem"]), (&json!("committed"), &Value::Null));

    let unread = Uuid::now_v7();
    plane.put_as(unread, "services: [").await.problem(StatusCode::BAD_REQUEST);
    let shown = plane.import(unread).await;
    assert_eq!((&shown["phase"], &shown["total"]), (&json!("failed"), &Value::Null), "nothing was counted");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_import_whose_process_has_ended_is_abandoned() {
    let plane = Plane::new().await;
    let id = Uuid::now_v7();
    plane.put_as(id, TWO).await.expect(StatusCode::OK);
    let silent = "UPDATE regional.import SET phase = 'writing', ended_at = NULL, result = NULL, seen_at = now() - interval '16 seconds'";
    plane.world.execute(silent).await;
    let shown = plane.import(id).await;
    assert_eq!((&shown["phase"], &shown["ended_at"]), (&json!("abandoned"), &Value::Null));
    let listed = plane.world.get(plane.imports()).await.expect(StatusCode::OK);
    assert_eq!(listed["data"][0]["phase"], "abandoned");
    let again = plane.put_as(id, TWO).await.expect(StatusCode::OK);
    assert_eq!((&again["created"], &again["version"]), (&json!(0), &json!(1)), "it was there");
    assert_eq!(plane.import(id).await["phase"], "committed");
}

#[tokio::test(flavor = "multi_thread")]
async fn writes_that_are_made_together_are_an_import() {
    let plane = Plane::new().await;
    let id = Uuid::now_v7();
    let path = format!("{}/batch?import_id={id}", plane.path);
    let create = json!({"op": "create", "kind": "service", "body": {"name": "s", "host": "h"}});
    let body = json!({ "operations": [create] });
    let done = plane.world.post(path.clone(), &body).await.expect(StatusCode::OK);
    assert_eq!((&done["import_id"], &done["results"][0]["kind"]), (&json!(id), &json!("service")));
    let again = plane.world.post(path, &body).await.expect(StatusCode::OK);
    assert_eq!((&again["import_id"], &again["created"]), (&json!(id), &json!(1)), "no second service");
    assert_eq!(again.get("results"), None, "they are not remembered");
    assert_eq!(plane.version().await, 1);
    let shown = plane.import(id).await;
    assert_eq!((&shown["source"], &shown["phase"]), (&json!("batch"), &json!("committed")));
    let second = plane.world.post(format!("{}/batch", plane.path), &body).await.problem(StatusCode::CONFLICT);
    assert!(second.1.contains("operations[0]"), "{second:?}");
    let listed = plane.world.get(plane.imports()).await.expect(StatusCode::OK);
    assert_eq!(listed["data"][0]["problem"]["detail"], second.1);
}

#[tokio::test(flavor = "multi_thread")]
async fn imports_are_listed_newest_first_and_forgotten() {
    let plane = Plane::new().await;
    let mut ids = Vec::new();
    for query in ["?dry_run=true", "", ""] {
        let done = plane.apply(query, "services: [{name: s, host: h}]").await.expect(StatusCode::OK);
        ids.insert(0, done["import_id"].clone());
    }
    let first = plane.world.get(format!("{}?page[size]=2", plane.imports())).await.expect(StatusCode::OK);
    let next = first["meta"]["page"]["next"].as_str().expect("more");
    let rest = plane.world.get(format!("{}?page[size]=2&page[after]={next}", plane.imports())).await;
    let rest = rest.expect(StatusCode::OK);
    assert_eq!(rest["meta"]["page"].get("next"), None);
    let pages = [&first, &rest].map(|page| page["data"].as_array().expect("a list").clone()).concat();
    assert_eq!(pages.iter().map(|import| import["id"].clone()).collect::<Vec<_>>(), ids);
    let phases = pages.iter().map(|import| import["phase"].as_str().expect("a phase")).collect::<Vec<_>>();
    assert_eq!(phases, ["committed", "committed", "planned"]);
    assert_eq!((&pages[2]["dry_run"], &pages[2]["result"]["created"]), (&json!(true), &json!(1)));

    plane
        .world
        .execute("UPDATE regional.import SET begun_at = now() - interval '8 days' WHERE dry_run")
        .await;
    plane.world.service.sweep_nodes().await.expect("swept");
    let left = plane.world.get(plane.imports()).await.expect(StatusCode::OK);
    assert_eq!(left["data"].as_array().expect("a list").len(), 2);
    plane
        .world
        .execute(
            "INSERT INTO regional.import (control_plane_id, id, run_id, fingerprint, source, dry_run, begun_by, begun_at, ended_at, phase)
             SELECT id, gen_random_uuid(), gen_random_uuid(), '', 'batch', false, id, now() - n * interval '1 minute', now(), 'failed'
             FROM regional.control_plane, generate_series(1, 200) AS n",
        )
        .await;
    plane.apply("", "").await.expect(StatusCode::OK);
    let kept = plane.world.get(format!("{}?page[size]=100", plane.imports())).await.expect(StatusCode::OK);
    assert_eq!(kept["data"].as_array().expect("a list").len(), 100);
    assert_eq!(kept["meta"]["page"].get("next"), None);

    plane.world.get(format!("{}/{}", plane.imports(), Uuid::nil())).await.problem(StatusCode::NOT_FOUND);
    let elsewhere = format!("/v2/control-planes/{}/imports", Uuid::now_v7());
    plane.world.get(elsewhere).await.problem(StatusCode::NOT_FOUND);
    let wrong = format!("{}/declarative?import_id=1", plane.path);
    let wrong = plane.world.call(Method::PUT, wrong).text("application/yaml", TWO).send().await;
    assert!(wrong.problem(StatusCode::BAD_REQUEST).1.contains("must be a UUID"));
    plane.world.peers.deny(Action::CpRetrieve);
    plane.world.get(plane.imports()).await.problem(StatusCode::FORBIDDEN);
}
