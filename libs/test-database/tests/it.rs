//! What tests rely on: databases of their own, copies, restarts, and that making one is cheap.

use std::time::Instant;

use sqlx::{
    PgPool, SqlSafeStr,
    migrate::{Migration, MigrationType, Migrator},
};

const TABLE: &str = "CREATE TABLE note (text text NOT NULL); INSERT INTO note VALUES ('of the template')";

fn migrations() -> Migrator {
    Migrator::with_migrations(vec![Migration::new(
        1,
        "note".into(),
        MigrationType::Simple,
        TABLE.into_sql_str(),
        false,
    )])
}

async fn notes(pool: &PgPool) -> Vec<String> {
    sqlx::query_scalar("SELECT text FROM note ORDER BY text").fetch_all(pool).await.expect("read")
}

async fn write(pool: &PgPool, text: &str) {
    sqlx::query("INSERT INTO note VALUES ($1)").bind(text).execute(pool).await.expect("write");
}

async fn server_start(pool: &PgPool) -> String {
    sqlx::query_scalar("SELECT pg_postmaster_start_time()::text").fetch_one(pool).await.expect("read")
}

#[tokio::test]
async fn each_database_has_the_migrations_and_nothing_of_another_one() {
    let (one, other) =
        (test_database::create(&migrations()).await, test_database::create(&migrations()).await);
    write(&one.pool(), "in one").await;
    assert_eq!(notes(&one.pool()).await, ["in one", "of the template"]);
    assert_eq!(notes(&other.pool()).await, ["of the template"]);
    let empty = test_database::create_empty().await;
    sqlx::query("SELECT FROM note").execute(&empty.pool()).await.expect_err("no migrations were run");
}

#[tokio::test]
async fn several_tasks_get_databases_at_the_same_time() {
    let tasks: Vec<_> =
        (0..8).map(|_| tokio::spawn(async { test_database::create(&migrations()).await })).collect();
    for task in tasks {
        assert_eq!(notes(&task.await.expect("create").pool()).await, ["of the template"]);
    }
}

#[tokio::test]
async fn a_copy_has_what_was_there_and_can_be_put_in_place() {
    let database = test_database::create(&migrations()).await;
    let pool = database.pool();
    write(&pool, "before").await;
    let copy = database.copy().await;
    write(&pool, "later").await;
    assert_eq!(notes(&copy.pool()).await, ["before", "of the template"]);

    let start = server_start(&pool).await;
    database.restore(&copy).await;
    assert_eq!(notes(&pool).await, ["before", "of the template"], "the same pool reads the restored data");
    assert_ne!(server_start(&pool).await, start, "a restored database has a server that was started anew");
}

#[tokio::test]
async fn a_restart_closes_connections_and_changes_the_start_time() {
    let database = test_database::create(&migrations()).await;
    let pool = database.pool();
    let start = server_start(&pool).await;
    assert_eq!(server_start(&pool).await, start);
    let mut transaction = pool.begin().await.expect("begin");
    database.restart().await;
    sqlx::query("SELECT 1").execute(&mut *transaction).await.expect_err("the connection was closed");
    drop(transaction);
    assert_ne!(server_start(&pool).await, start);
}

/// Prints the price of a database: `cargo nextest run -E 'package(test-database)' --no-capture`.
#[tokio::test]
async fn making_a_database_takes_milliseconds() {
    const COUNT: u32 = 20;
    drop(test_database::create(&migrations()).await);
    let started = Instant::now();
    for _ in 0..COUNT {
        let database = test_database::create(&migrations()).await;
        assert_eq!(notes(&database.pool()).await, ["of the template"]);
    }
    println!("{} ms for each database", started.elapsed().as_millis() / u128::from(COUNT));
}
