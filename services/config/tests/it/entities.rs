//! `/core-entities` and the declarative document: kinds, references, names, versions, limits, many writers at once.

use std::num::NonZeroU32;

use axum::http::{Method, StatusCode};
use config::Limits;
use futures::future::join_all;
use serde_json::{Value, json};

use crate::world::{Answer, World, within};

pub struct Plane {
    pub world: World,
    pub path: String,
}

impl Plane {
    pub async fn new() -> Self {
        Self::with_limits(Limits::default()).await
    }

    pub async fn with_limits(limits: Limits) -> Self {
        let world = World::with_limits(limits).await;
        let path = world.plane("edge").await;
        Self { world, path }
    }

    pub fn at(&self, rest: &str) -> String {
        format!("{}/core-entities/{rest}", self.path)
    }

    pub async fn get(&self, rest: &str) -> Answer {
        self.world.get(self.at(rest)).await
    }

    pub async fn post(&self, rest: &str, body: Value) -> Answer {
        self.world.post(self.at(rest), &body).await
    }

    pub async fn put(&self, rest: &str, body: Value) -> Answer {
        self.world.put(self.at(rest), &body).await
    }

    pub async fn patch(&self, rest: &str, body: Value) -> Answer {
        self.world.patch(self.at(rest), &body).await
    }

    pub async fn delete(&self, rest: &str) -> Answer {
        self.world.delete(self.at(rest)).await
    }

    pub async fn apply(&self, query: &str, document: &str) -> Answer {
        let text = format!("_format_version: '3.0'\n{document}");
        let path = format!("{}/declarative{query}", self.path);
        self.world.call(Method::PUT, path).text("application/yaml", text).send().await
    }

    pub async fn version(&self) -> i64 {
        let (version,): (i64,) = sqlx::query_as("SELECT version FROM regional.control_plane")
            .fetch_one(&self.world.db)
            .await
            .expect("one control plane");
        version
    }

    /// What is written at the head: how many live entities, counted and as the row says.
    async fn counted(&self) -> (i64, Option<i64>) {
        sqlx::query_as(
            "SELECT (SELECT count(*) FROM regional.entity WHERE NOT deleted),
                    CASE WHEN entities_version = version THEN entities END
             FROM regional.control_plane",
        )
        .fetch_one(&self.world.db)
        .await
        .expect("one control plane")
    }
}

/// The ids or names in a list.
fn shown<'a>(page: &'a Value, field: &str) -> Vec<&'a str> {
    let data = page["data"].as_array().expect("a list");
    data.iter().map(|one| one[field].as_str().expect("text")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entity_is_made_shown_replaced_and_deleted_by_id_and_by_name() {
    let plane = Plane::new().await;
    let made = plane.post("services", json!({"name": "s", "host": "h"})).await;
    assert_eq!(made.header("etag"), Some("\"1\""));
    let made = made.expect(StatusCode::CREATED);
    let id = made["id"].as_str().expect("an id");
    for selector in [id, "s"] {
        let found = plane.get(&format!("services/{selector}")).await;
        assert_eq!(found.header("etag"), Some("\"1\""));
        assert_eq!(found.expect(StatusCode::OK), made);
    }
    let put = plane.put("services/s", json!({"host": "other"})).await;
    assert_eq!(put.header("etag"), Some("\"2\""));
    let put = put.expect(StatusCode::OK);
    assert_eq!((&put["id"], &put["host"], &put["name"]), (&made["id"], &json!("other"), &json!("s")));
    // The same again writes nothing.
    assert_eq!(plane.put("services/s", json!({"host": "other"})).await.header("etag"), Some("\"2\""));
    assert_eq!(plane.version().await, 2);
    let given = "0192d3a4-5b6c-7d8e-9f00-112233445566";
    let at_id = plane.put(&format!("services/{given}"), json!({"host": "h"})).await.expect(StatusCode::OK);
    assert_eq!(at_id["id"], given);

    plane.delete("services/s").await.expect(StatusCode::NO_CONTENT);
    plane.delete("services/s").await.expect(StatusCode::NO_CONTENT);
    plane.get("services/s").await.problem(StatusCode::NOT_FOUND);
    assert_eq!(plane.counted().await, (1, Some(1)));
    let actions: Vec<String> = plane.world.audit().await.into_iter().map(|(action, _)| action).collect();
    let puts = ["service.put"; 3];
    assert_eq!(
        actions,
        [&["control-plane.create", "service.create"][..], &puts, &["service.delete"]].concat()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_breaks_a_rule_is_refused_and_changes_nothing() {
    let plane = Plane::new().await;
    plane.post("services", json!({"name": "s", "host": "h"})).await.expect(StatusCode::CREATED);
    let id = plane.get("services/s").await.body["id"].as_str().expect("an id").to_owned();
    let routes = json!({"name": "r", "paths": ["/"], "service": {"id": id}});
    plane.post("routes", routes).await.expect(StatusCode::CREATED);
    let version = plane.version().await;

    let conflict =
        plane.post("services", json!({"name": "s", "host": "h"})).await.expect(StatusCode::CONFLICT);
    assert_eq!(conflict["invalid_parameters"][0]["field"], "name");
    let same_id = json!({"id": id, "name": "t", "host": "h"});
    assert_eq!(plane.post("services", same_id).await.problem(StatusCode::CONFLICT).0, "conflict");
    let nobody = json!({"paths": ["/"], "service": {"name": "nobody"}});
    let missing = plane.post("routes", nobody).await.problem(StatusCode::BAD_REQUEST);
    assert_eq!(missing, ("invalid-body".to_owned(), "service: no such service; create it first".to_owned()));
    let in_use = plane.delete("services/s").await.problem(StatusCode::BAD_REQUEST);
    assert!(in_use.0 == "in-use" && in_use.1.contains("in use by route"), "{in_use:?}");
    let unknown = plane.post("services", json!({"host": "h", "colour": "red"})).await;
    assert_eq!(unknown.problem(StatusCode::BAD_REQUEST).0, "invalid-body");
    plane
        .put(&format!("services/{id}"), json!({"id": plane_id(&plane), "host": "h"}))
        .await
        .problem(StatusCode::BAD_REQUEST);
    plane.put("services/s", json!({"name": "t", "host": "h"})).await.problem(StatusCode::BAD_REQUEST);
    // Credentials have no names.
    plane.put("key-auths/k", json!({})).await.problem(StatusCode::NOT_FOUND);
    plane
        .world
        .call(Method::POST, plane.at("services"))
        .text("application/json", "{")
        .send()
        .await
        .problem(StatusCode::BAD_REQUEST);
    let parameter = |answer: Answer| answer.problem(StatusCode::BAD_REQUEST).0;
    for query in
        ["size=0", "size=1001", "size=x", "offset=!", "tags=a,b/c", "tags=a,b,c,d,e,f", "tags=a/b/c/d/e/f"]
    {
        assert_eq!(parameter(plane.get(&format!("services?{query}")).await), "invalid-parameter", "{query}");
    }
    assert_eq!(plane.version().await, version);
}

fn plane_id(plane: &Plane) -> &str {
    plane.path.rsplit('/').next().expect("an id")
}

#[tokio::test(flavor = "multi_thread")]
async fn if_match_holds_for_the_version_it_names() {
    let plane = Plane::new().await;
    plane.post("services", json!({"name": "s", "host": "h"})).await.expect(StatusCode::CREATED);
    let with = |method: Method, rest: &str, tag: &str| {
        plane.world.call(method, plane.at(rest)).header("if-match", tag).json(&json!({"host": tag_host(tag)}))
    };
    let stale = with(Method::PUT, "services/s", "\"7\"").send().await;
    assert_eq!(stale.problem(StatusCode::PRECONDITION_FAILED).0, "precondition-failed");
    with(Method::DELETE, "services/s", "\"7\"").send().await.problem(StatusCode::PRECONDITION_FAILED);
    with(Method::PUT, "services/s", "7").send().await.problem(StatusCode::BAD_REQUEST);
    with(Method::PUT, "services/s", "\"1\"").send().await.expect(StatusCode::OK);
    with(Method::DELETE, "services/s", "\"2\"").send().await.expect(StatusCode::NO_CONTENT);
    // What grants access is revoked first: the version is compared before that.
    plane.post("consumers", json!({"username": "c"})).await.expect(StatusCode::CREATED);
    with(Method::DELETE, "consumers/c", "\"1\"").send().await.problem(StatusCode::PRECONDITION_FAILED);
    let (revocations,): (i64,) = sqlx::query_as("SELECT count(*) FROM regional.revocation")
        .fetch_one(&plane.world.db)
        .await
        .expect("read");
    assert_eq!(revocations, 0);
    with(Method::DELETE, "consumers/c", "\"4\"").send().await.expect(StatusCode::NO_CONTENT);
}

fn tag_host(tag: &str) -> String {
    format!("h{}", tag.trim_matches('"'))
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nests_is_found_below_its_parent_only() {
    let plane = Plane::new().await;
    for name in ["a", "b"] {
        plane.post("services", json!({"name": name, "host": "h"})).await.expect(StatusCode::CREATED);
    }
    let route = plane.post("services/a/routes", json!({"name": "r", "paths": ["/"]})).await;
    let route = route.expect(StatusCode::CREATED);
    plane.post("routes/r/plugins", json!({"name": "request-termination"})).await.expect(StatusCode::CREATED);
    assert_eq!(shown(&plane.get("services/a/routes").await.body, "name"), ["r"]);
    assert_eq!(shown(&plane.get("services/b/routes").await.body, "name"), Vec::<&str>::new());
    assert_eq!(plane.get("services/a/routes/r").await.expect(StatusCode::OK), route);
    plane.get("services/b/routes/r").await.problem(StatusCode::NOT_FOUND);
    plane.get("services/nobody/routes").await.problem(StatusCode::NOT_FOUND);
    plane.delete("services/b/routes/r").await.expect(StatusCode::NO_CONTENT);
    plane.get("routes/r").await.expect(StatusCode::OK);
    plane.delete("services/a/routes/r").await.expect(StatusCode::NO_CONTENT);
    // Its plugin went along.
    assert_eq!(shown(&plane.get("plugins").await.body, "name"), Vec::<&str>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_has_pages_and_is_narrowed_by_tags() {
    let plane = Plane::new().await;
    for n in 0..5 {
        let tags = if n % 2 == 0 { json!(["even", "all"]) } else { json!(["all"]) };
        let body = json!({"username": format!("c{n}"), "tags": tags});
        plane.post("consumers", body).await.expect(StatusCode::CREATED);
    }
    let mut seen = Vec::new();
    let mut next = plane.at("consumers?size=2");
    while !next.is_empty() {
        let page = plane.world.get(&next).await.expect(StatusCode::OK);
        seen.extend(shown(&page, "username").into_iter().map(str::to_owned));
        next = page["next"].as_str().unwrap_or_default().to_owned();
    }
    assert_eq!(seen, ["c0", "c1", "c2", "c3", "c4"]);
    for (tags, found) in [("even/odd", 3), ("odd/all", 5), ("odd/none", 0), ("/", 5), (",", 5)] {
        let any = plane.get(&format!("consumers?tags={tags}")).await.expect(StatusCode::OK);
        assert_eq!(any["data"].as_array().map(Vec::len), Some(found), "{tags}");
    }
    let even = plane.get("consumers?tags=even,all&size=2").await.expect(StatusCode::OK);
    assert_eq!(shown(&even, "username"), ["c0", "c2"]);
    let rest = plane.world.get(even["next"].as_str().expect("more")).await.expect(StatusCode::OK);
    assert_eq!(shown(&rest, "username"), ["c4"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_is_chosen_where_none_is_given_and_sealed_at_rest() {
    let plane = Plane::new().await;
    plane.post("consumers", json!({"username": "c"})).await.expect(StatusCode::CREATED);
    let chosen = plane.post("consumers/c/key-auth", json!({})).await.expect(StatusCode::CREATED);
    let key = chosen["key"].as_str().expect("a key").to_owned();
    assert_eq!(key.len(), 32);
    let id = chosen["id"].as_str().expect("an id");
    assert_eq!(plane.get(&format!("key-auths/{id}")).await.body["key"], key);
    let (body, secret): (String, Vec<u8>) =
        sqlx::query_as("SELECT body, secret FROM regional.entity WHERE kind = 'key_auth'")
            .fetch_one(&plane.world.db)
            .await
            .expect("read");
    assert!(!body.contains(&key) && !String::from_utf8_lossy(&secret).contains(&key));
    let taken = plane.post("consumers/c/key-auth", json!({ "key": key })).await.problem(StatusCode::CONFLICT);
    assert_eq!(taken.1, "key: another credential has this key");
}

/// What the platform operator sets for an organization counts in place of the settings, for single writes and for documents.
#[tokio::test(flavor = "multi_thread")]
async fn an_organization_may_have_a_limit_of_its_own() {
    let plane = Plane::with_limits(Limits { entities_max: 2, ..Limits::default() }).await;
    let consumer = |n: u8| json!({"username": format!("c{n}")});
    for n in 0..2 {
        plane.post("consumers", consumer(n)).await.expect(StatusCode::CREATED);
    }
    plane.post("consumers", consumer(2)).await.problem(StatusCode::FORBIDDEN);
    *plane.world.peers.limits.lock().expect("lock") =
        access::Limits { entities: NonZeroU32::new(3), ..access::Limits::default() };
    // The session is remembered for a quarter of a second.
    within("the new limit counts", async {
        while plane.post("consumers", consumer(2)).await.status != StatusCode::CREATED {}
    })
    .await;
    let full = ("limit-reached".to_owned(), "a control plane holds at most 3 entities".to_owned());
    within("both replicas know the new limit", async {
        let mut known = 0;
        while known < 2 {
            let refused = plane.post("consumers", consumer(3)).await.problem(StatusCode::FORBIDDEN);
            known = if refused == full { known + 1 } else { 0 };
        }
    })
    .await;
    let four = "consumers: [{username: a}, {username: b}, {username: c}, {username: d}]";
    assert_eq!(plane.apply("", four).await.problem(StatusCode::FORBIDDEN), full);
    let three = "consumers: [{username: a}, {username: b}, {username: c}]";
    plane.apply("", three).await.expect(StatusCode::OK);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_write_goes_beyond_the_limit_on_entities() {
    let plane = Plane::with_limits(Limits { entities_max: 2, ..Limits::default() }).await;
    let consumer = |n: u8| json!({"username": format!("c{n}")});
    for n in 0..2 {
        plane.post("consumers", consumer(n)).await.expect(StatusCode::CREATED);
    }
    let full = ("limit-reached".to_owned(), "a control plane holds at most 2 entities".to_owned());
    assert_eq!(plane.post("consumers", consumer(2)).await.problem(StatusCode::FORBIDDEN), full);
    assert_eq!(plane.put("consumers/c2", json!({})).await.problem(StatusCode::FORBIDDEN), full);
    let three = "consumers: [{username: a}, {username: b}, {username: c}]";
    assert_eq!(plane.apply("", three).await.problem(StatusCode::FORBIDDEN), full);
    plane.put("consumers/c1", json!({"tags": ["x"]})).await.expect(StatusCode::OK);
    plane.delete("consumers/c0").await.expect(StatusCode::NO_CONTENT);
    plane.post("consumers", consumer(2)).await.expect(StatusCode::CREATED);

    // A release without counts moves the version alone: then the rows are counted.
    plane.world.execute("UPDATE regional.control_plane SET version = version + 1").await;
    assert_eq!(plane.counted().await, (2, None));
    assert_eq!(plane.post("consumers", consumer(3)).await.problem(StatusCode::FORBIDDEN), full);
    plane.delete("consumers/c1").await.expect(StatusCode::NO_CONTENT);
    plane.post("consumers", consumer(3)).await.expect(StatusCode::CREATED);
    assert_eq!(plane.counted().await, (2, Some(2)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_document_is_the_whole_configuration_all_or_nothing() {
    let plane = Plane::new().await;
    plane.post("consumers", json!({"username": "old"})).await.expect(StatusCode::CREATED);
    let document = "services: [{name: s, host: h, routes: [{name: r, paths: [/]}]}]\n";
    let told = plane.apply("?dry_run=true", document).await.expect(StatusCode::OK);
    let counts = ["version", "created", "updated", "deleted"].map(|field| &told[field]);
    assert_eq!((counts, &told["dry_run"]), ([&json!(1), &json!(2), &json!(0), &json!(1)], &json!(true)));
    plane.get("consumers/old").await.expect(StatusCode::OK);
    let done = plane.apply("", document).await.expect(StatusCode::OK);
    let counts = ["version", "created", "updated", "deleted"].map(|field| &done[field]);
    assert_eq!((counts, &done["dry_run"]), ([&json!(2), &json!(2), &json!(0), &json!(1)], &json!(false)));
    plane.get("consumers/old").await.problem(StatusCode::NOT_FOUND);
    let again = plane.apply("", document).await.expect(StatusCode::OK);
    assert_eq!((&again["version"], &again["updated"]), (&json!(2), &json!(0)));
    let wrong =
        plane.apply("", "routes: [{paths: [/], service: nobody}]").await.expect(StatusCode::BAD_REQUEST);
    assert_eq!(wrong["invalid_parameters"][0]["field"], "routes[0].service");
    plane.apply("", "services: [").await.problem(StatusCode::BAD_REQUEST);
    assert_eq!((plane.version().await, plane.counted().await), (2, (2, Some(2))));
}

/// Sixty-four writers at once. Names meet, references meet, some bodies are wrong: each is answered by itself, and what is
/// there afterwards keeps every rule.
#[tokio::test(flavor = "multi_thread")]
async fn many_writers_share_versions_and_a_refused_write_disturbs_nobody() {
    let plane = Plane::new().await;
    plane.post("services", json!({"name": "s", "host": "h"})).await.expect(StatusCode::CREATED);
    let before = plane.version().await;
    let writes = (0..64).map(|n| {
        let plane = &plane;
        async move {
            match n % 4 {
                // Eight writers for each name.
                0 | 1 => plane.post("consumers", json!({"username": format!("c{}", n % 8)})).await.status,
                2 => plane.post("routes", json!({"paths": ["/"], "service": {"name": "s"}})).await.status,
                _ => {
                    plane.post("routes", json!({"paths": ["/"], "service": {"name": "nobody"}})).await.status
                }
            }
        }
    });
    let statuses = join_all(writes).await;
    let of = |status| statuses.iter().filter(|found| **found == status).count();
    assert_eq!(of(StatusCode::CREATED), 4 + 16, "one per name, and every route with a service: {statuses:?}");
    assert_eq!(of(StatusCode::CONFLICT), 28);
    assert_eq!(of(StatusCode::BAD_REQUEST), 16);
    let versions = plane.version().await - before;
    assert!(versions < 20, "writes that wait share a version: {versions}");
    assert_eq!(plane.counted().await, (21, Some(21)));
    assert_digest(&plane).await;
}

/// The digest in the control plane's row is that of its rows.
pub async fn assert_digest(plane: &Plane) {
    let rows: Vec<(String, uuid::Uuid, i64, String)> =
        sqlx::query_as("SELECT kind, id, version, body FROM regional.entity WHERE NOT deleted")
            .fetch_all(&plane.world.db)
            .await
            .expect("read");
    let (held,): (Vec<u8>,) = sqlx::query_as("SELECT digest FROM regional.control_plane")
        .fetch_one(&plane.world.db)
        .await
        .expect("read");
    let digests: Vec<sync::Digest> = rows
        .iter()
        .map(|(kind, id, version, body)| {
            sync::entity_digest(kind, *id, version.cast_unsigned(), body.as_bytes())
        })
        .collect();
    assert_eq!(digests.iter().collect::<sync::Digest>().as_bytes()[..], held[..]);
}

/// A write that the database refuses takes nobody along: the others of its transaction are committed alone.
#[tokio::test(flavor = "multi_thread")]
async fn one_failing_write_of_a_group_is_answered_alone() {
    let plane = Plane::new().await;
    plane
        .world
        .execute("ALTER TABLE regional.entity ADD CONSTRAINT no_poison CHECK (body NOT LIKE '%poison%')")
        .await;
    let writes = (0..20).map(|n| {
        let name = if n == 7 { "poison".to_owned() } else { format!("c{n}") };
        let plane = &plane;
        async move { plane.post("consumers", json!({ "username": name })).await.status }
    });
    let statuses = join_all(writes).await;
    for (n, status) in statuses.into_iter().enumerate() {
        let expected = if n == 7 { StatusCode::INTERNAL_SERVER_ERROR } else { StatusCode::CREATED };
        assert_eq!(status, expected, "writer {n}");
    }
    assert_eq!(plane.counted().await.0, 19);
    assert_digest(&plane).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_of_a_refused_write_stays_free_and_a_used_one_answers_again() {
    let plane = Plane::new().await;
    let create = |body: Value| {
        plane
            .world
            .call(Method::POST, plane.at("consumers"))
            .header("idempotency-key", "k")
            .json(&body)
            .send()
    };
    plane.post("consumers", json!({"username": "taken"})).await.expect(StatusCode::CREATED);
    create(json!({"username": "taken"})).await.problem(StatusCode::CONFLICT);
    let first = create(json!({"username": "free"})).await;
    let again = create(json!({"username": "free"})).await;
    assert_eq!((first.header("etag"), again.header("etag")), (Some("\"2\""), Some("\"2\"")));
    assert_eq!(again.header("idempotent-replayed"), Some("true"));
    assert_eq!(first.expect(StatusCode::CREATED), again.expect(StatusCode::CREATED));
    // Two at once: one is made; the other is told that it runs, or is answered the same.
    let both = join_all((0..2).map(|_| {
        plane
            .world
            .call(Method::POST, plane.at("consumers"))
            .header("idempotency-key", "two")
            .json(&json!({"username": "twice"}))
            .send()
    }))
    .await;
    assert!(both.iter().any(|answer| answer.status == StatusCode::CREATED));
    for answer in &both {
        assert!([StatusCode::CREATED, StatusCode::CONFLICT].contains(&answer.status), "{}", answer.body);
    }
    assert_eq!(plane.counted().await.0, 3);
}

/// The process may end between a revocation and its delete: the sweep commits it.
#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_entity_is_deleted_even_if_its_process_did_not_live_to_do_it() {
    let plane = Plane::new().await;
    plane.post("consumers", json!({"username": "c"})).await.expect(StatusCode::CREATED);
    plane
        .world
        .execute(
            "INSERT INTO regional.revocation (control_plane_id, seq, kind, id, at)
         SELECT control_plane_id, 1, kind, id, now() - interval '6 seconds' FROM regional.entity",
        )
        .await;
    plane.world.service.sweep_revocations().await.expect("swept");
    plane.get("consumers/c").await.problem(StatusCode::NOT_FOUND);
    assert_eq!(plane.world.audit().await.last(), Some(&("consumer.delete".to_owned(), false)));
    let (done,): (bool,) = sqlx::query_as("SELECT done FROM regional.revocation")
        .fetch_one(&plane.world.db)
        .await
        .expect("read");
    assert!(done);
    // A kind that only a newer release knows is left to that release, and said.
    plane.world.execute("UPDATE regional.revocation SET done = false, kind = 'hologram'").await;
    let error = plane.world.service.sweep_revocations().await.expect_err("unknown");
    assert!(error.to_string().contains("hologram"), "{error}");
}
