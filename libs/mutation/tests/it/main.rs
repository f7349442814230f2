//! Writes of the API against a real Postgres: their idempotency keys, kept answers and audit entries.

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

use axum::{
    Router,
    body::Body,
    extract::State,
    http::{HeaderMap, Request, StatusCode},
    middleware::from_fn_with_state,
    response::{IntoResponse as _, Response},
    routing::post,
};
use http_body_util::BodyExt as _;
use ids::OrganizationId;
use mutation::{
    Error, Key, Mutation,
    idempotency::{self, HEADER, REPLAYED},
};
use sqlx::{PgPool, migrate::Migrator};
use test_database::Database;
use tokio::sync::Barrier;
use tower::ServiceExt as _;
use uuid::Uuid;
use web::Problem;

/// Makes the tables of a service that has no log.
static MIGRATIONS: Migrator = sqlx::migrate!("../../migrations/config");

/// A service with one write, which counts how often it was done.
#[derive(Clone)]
struct Service {
    db: PgPool,
    organization: OrganizationId,
    done: Arc<AtomicU32>,
    /// Where a write waits, once it holds its key, for a test that looks at it then.
    at_work: Option<Arc<Barrier>>,
}

async fn write(State(service): State<Service>, key: Option<Key>, body: String) -> Result<Response, Response> {
    let id = key.as_ref().map(|key| key.derived_id("thing"));
    do_write(&service, key, id, &body).await.map_err(|error| Problem::from(error).into_response())
}

async fn do_write(
    service: &Service,
    key: Option<Key>,
    id: Option<Uuid>,
    body: &str,
) -> Result<Response, Error> {
    let mutation = Mutation::by_operator(service.organization, "thing.create").under(key);
    let mut tx = mutation.begin(&service.db).await?;
    sqlx::query("SELECT 1").execute(tx.connection()).await?;
    if let Some(at_work) = &service.at_work {
        at_work.wait().await;
        at_work.wait().await;
    }
    if body == "refused" {
        return Err(Error::Answer("dropped without an answer".to_owned()));
    }
    let number = service.done.fetch_add(1, Ordering::AcqRel);
    let answer = serde_json::json!({ "number": number, "id": id, "secret": "shown once" });
    tx.answer("thing 7", StatusCode::CREATED, &answer).await
}

struct World {
    database: Database,
    service: Service,
}

impl World {
    async fn start() -> Self {
        let database = test_database::create(&MIGRATIONS).await;
        let service = Service {
            db: database.pool(),
            organization: OrganizationId::generate(),
            done: Arc::default(),
            at_work: None,
        };
        Self { database, service }
    }

    async fn post(&self, path: &str, key: Option<&str>, body: &str) -> (StatusCode, HeaderMap, String) {
        post_to(&self.service, path, key, body).await
    }

    fn done(&self) -> u32 {
        self.service.done.load(Ordering::Acquire)
    }

    async fn count(&self, statement: &'static str) -> i64 {
        sqlx::query_scalar(statement).fetch_one(&self.database.pool()).await.expect("a count")
    }
}

async fn post_to(
    service: &Service,
    path: &str,
    key: Option<&str>,
    body: &str,
) -> (StatusCode, HeaderMap, String) {
    let replay = from_fn_with_state(service.db.clone(), idempotency::replay);
    let router = Router::new().route("/{*path}", post(write).layer(replay)).with_state(service.clone());
    let mut request = Request::post(path);
    if let Some(key) = key {
        request = request.header(HEADER, key);
    }
    let request = request.body(Body::from(body.to_owned())).expect("a request");
    let (parts, body) = router.oneshot(request).await.expect("an answer").into_parts();
    let body = body.collect().await.expect("a body").to_bytes();
    (parts.status, parts.headers, String::from_utf8(body.to_vec()).expect("text"))
}

#[tokio::test]
async fn a_repeated_request_is_answered_again_and_done_once() {
    let world = World::start().await;
    let (status, headers, first) = world.post("/things", Some("key"), "body").await;
    assert_eq!((status, headers.get(REPLAYED)), (StatusCode::CREATED, None));
    for _ in 0..2 {
        let (status, headers, again) = world.post("/things", Some("key"), "body").await;
        assert_eq!((status, &again), (StatusCode::CREATED, &first));
        assert_eq!(headers[REPLAYED], "true");
        assert_eq!(headers["content-type"], "application/json");
    }
    assert_eq!(world.done(), 1);
    assert_eq!(
        world.count("SELECT count(*) FROM audit WHERE target = 'thing 7' AND actor_id IS NULL").await,
        1
    );
}

#[tokio::test]
async fn a_key_stands_for_one_path_and_one_body() {
    let world = World::start().await;
    let (_, _, first) = world.post("/things", Some("key"), "body").await;
    let (status, _, problem) = world.post("/things", Some("key"), "another body").await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{problem}");
    let (status, _, elsewhere) = world.post("/others", Some("key"), "body").await;
    assert_eq!(status, StatusCode::CREATED);
    let (_, _, without) = world.post("/things", None, "body").await;
    assert_eq!(world.done(), 3);
    let id = |answer: &str| serde_json::from_str::<serde_json::Value>(answer).expect("JSON")["id"].clone();
    assert_ne!(id(&first), id(&elsewhere), "ids follow from the path too");
    assert!(id(&without).is_null());
}

#[tokio::test]
async fn the_same_key_makes_the_same_id_in_another_region() {
    let (us, eu) = (World::start().await, World::start().await);
    let (_, _, here) = us.post("/things", Some("key"), "body").await;
    let (_, _, there) = eu.post("/things", Some("key"), "body").await;
    assert_eq!(here, there);
}

#[tokio::test]
async fn a_key_that_is_none_is_refused_with_what_to_send() {
    let world = World::start().await;
    for key in ["", &"k".repeat(256)] {
        let (status, _, problem) = world.post("/things", Some(key), "body").await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{problem}");
        assert!(problem.contains("send 1 to 255 characters"), "{problem}");
    }
    let (status, _, _) = world.post("/things", Some(&"k".repeat(255)), "body").await;
    assert_eq!(status, StatusCode::CREATED);
    let long = "b".repeat(web::BODY_BYTES_MAX + 1);
    let (status, _, problem) = world.post("/things", Some("long"), &long).await;
    assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE, "{problem}");
    assert_eq!(world.done(), 1);
}

#[tokio::test]
async fn a_request_that_runs_makes_others_with_its_key_wait_and_then_be_told() {
    let mut world = World::start().await;
    let at_work = Arc::new(Barrier::new(2));
    world.service.at_work = Some(at_work.clone());
    let first = world.service.clone();
    let first = tokio::spawn(async move { post_to(&first, "/things", Some("key"), "body").await });
    at_work.wait().await;
    let second = Service { at_work: None, ..world.service.clone() };
    let second = tokio::spawn(async move { post_to(&second, "/things", Some("key"), "body").await });
    // Both have looked for the key in vain by then; the second one waits for the first one's transaction.
    let waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()";
    while world.count(waiting).await == 0 {
        tokio::task::yield_now().await;
    }
    at_work.wait().await;
    assert_eq!(first.await.expect("ended").0, StatusCode::CREATED);
    let (status, headers, problem) = second.await.expect("ended");
    assert_eq!(status, StatusCode::CONFLICT, "{problem}");
    assert_eq!(headers["retry-after"], "1");
    assert_eq!(world.done(), 1);
    world.service.at_work = None;
    let (status, headers, _) = world.post("/things", Some("key"), "body").await;
    assert_eq!((status, headers.contains_key(REPLAYED)), (StatusCode::CREATED, true));
}

#[tokio::test]
async fn a_write_that_ends_before_its_commit_leaves_nothing_and_its_key_free() {
    let mut world = World::start().await;
    let (status, _, _) = world.post("/things", Some("key"), "refused").await;
    assert_eq!(status, StatusCode::INTERNAL_SERVER_ERROR);
    // A process that dies at work.
    let at_work = Arc::new(Barrier::new(2));
    world.service.at_work = Some(at_work.clone());
    let dies = world.service.clone();
    let dies = tokio::spawn(async move { post_to(&dies, "/things", Some("key"), "body").await });
    at_work.wait().await;
    dies.abort();
    assert!(dies.await.expect_err("aborted").is_cancelled());
    world.service.at_work = None;
    let (status, headers, _) = world.post("/things", Some("key"), "body").await;
    assert_eq!((status, headers.get(REPLAYED)), (StatusCode::CREATED, None));
    assert_eq!(world.count("SELECT count(*) FROM audit").await, 1);
}

#[tokio::test]
async fn a_kept_answer_is_sealed_and_an_altered_one_is_not_given() {
    let world = World::start().await;
    world.post("/things", Some("my raw key"), "body").await;
    let (id, sealed): (Vec<u8>, Vec<u8>) = sqlx::query_as("SELECT id, sealed_answer FROM idempotency")
        .fetch_one(&world.database.pool())
        .await
        .expect("kept");
    for secret in ["my raw key", "shown once"] {
        let lies_in = |bytes: &[u8]| bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
        assert!(!lies_in(&id) && !lies_in(&sealed), "{secret} lies in clear");
    }
    let alter =
        "UPDATE idempotency SET sealed_answer = set_byte(sealed_answer, 20, get_byte(sealed_answer, 20) # 1)";
    sqlx::query(alter).execute(&world.database.pool()).await.expect("altered");
    let (status, _, problem) = world.post("/things", Some("my raw key"), "body").await;
    assert_eq!(status, StatusCode::INTERNAL_SERVER_ERROR, "{problem}");
    assert_eq!(world.done(), 1);
}

#[tokio::test]
async fn keys_are_forgotten_after_a_day() {
    let world = World::start().await;
    world.post("/things", Some("old"), "body").await;
    let age = "UPDATE idempotency SET created_at = now() - interval '24 hours 1 second'";
    sqlx::query(age).execute(&world.database.pool()).await.expect("aged");
    world.post("/things", Some("new"), "body").await;
    idempotency::sweep(world.database.pool(), async {
        while sqlx::query_scalar::<_, i64>("SELECT count(*) FROM idempotency")
            .fetch_one(&world.database.pool())
            .await
            .expect("a count")
            > 1
        {
            tokio::task::yield_now().await;
        }
    })
    .await
    .expect("swept");
    let (_, headers, _) = world.post("/things", Some("new"), "body").await;
    assert!(headers.contains_key(REPLAYED), "a young key stays");
    let (_, headers, _) = world.post("/things", Some("old"), "body").await;
    assert!(!headers.contains_key(REPLAYED), "an old one is free again");
}
