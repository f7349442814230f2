//! Lookups in a real database.

use std::{collections::HashMap, time::Duration};

use futures::{FutureExt as _, future::join_all};
use sqlx::{PgConnection, PgPool, types::time::OffsetDateTime};
use test_database::Database;
use tokio::time::{Instant, sleep};

use super::{Lookups, Row};
use crate::Error;

const DEADLINE: Duration = Duration::from_secs(10);
/// Asking for it is an error of the database.
const FAILS: i32 = -1;
/// Asking for it panics.
const PANICS: i32 = -2;

#[derive(Clone, Debug, PartialEq, Eq)]
struct Word {
    word: String,
    /// The time of the statement.
    at: OffsetDateTime,
}

impl Row for Word {
    type Key = i32;
    type Error = Error;

    async fn read(connection: &mut PgConnection, keys: Vec<i32>) -> Result<HashMap<i32, Self>, Error> {
        assert!(!keys.contains(&PANICS), "asked to");
        let rows: Vec<(i32, String, OffsetDateTime)> = sqlx::query_as(
            "SELECT w.id, w.word, now() FROM unnest($1::int[]) AS wanted (id) JOIN word AS w USING (id)
             WHERE 1 / (wanted.id + 1) >= 0",
        )
        .bind(keys)
        .fetch_all(connection)
        .await?;
        Ok(rows.into_iter().map(|(id, word, at)| (id, Self { word, at })).collect())
    }
}

async fn words() -> (Database, PgPool, Lookups<Word>) {
    let database = test_database::create_empty().await;
    let db = database.pool();
    for statement in [
        "CREATE TABLE word (id int PRIMARY KEY, word text NOT NULL)",
        "INSERT INTO word SELECT id, 'word ' || id FROM generate_series(-2, 200) AS id",
    ] {
        sqlx::query(statement).execute(&db).await.expect("a statement");
    }
    (database, db.clone(), Lookups::new(db))
}

async fn word(words: &Lookups<Word>, id: i32) -> Option<String> {
    words.find(id).await.expect("an answer").map(|found| found.word)
}

/// Waits until so many backends of the database wait for a lock.
async fn until_blocked(db: &PgPool) {
    let started = Instant::now();
    loop {
        let waiting = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
        let (waiting,): (i64,) = sqlx::query_as(waiting).fetch_one(db).await.expect("a count");
        if waiting > 0 {
            return;
        }
        assert!(started.elapsed() < DEADLINE, "no statement waits");
        sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn each_gets_its_own_row_as_it_is_now() {
    let (_database, db, words) = words().await;
    let found = join_all((0..300).map(|id| word(&words, id % 250))).await;
    for (id, found) in found.into_iter().enumerate() {
        let expected = (id % 250 <= 200).then(|| format!("word {}", id % 250));
        assert_eq!(found, expected, "{id}");
    }
    for round in 0..20 {
        sqlx::query("UPDATE word SET word = $1 WHERE id = 7")
            .bind(format!("round {round}"))
            .execute(&db)
            .await
            .expect("an update");
        assert_eq!(word(&words, 7).await, Some(format!("round {round}")));
    }
}

#[tokio::test]
async fn those_that_come_while_a_statement_is_under_way_are_the_next_one() {
    let (_database, db, words) = words().await;
    let mut lock = db.begin().await.expect("a transaction");
    sqlx::query("LOCK TABLE word").execute(&mut *lock).await.expect("a lock");
    let first = tokio::spawn({
        let words = words.clone();
        async move { words.find(1).await.expect("an answer").expect("a row") }
    });
    until_blocked(&db).await;
    let mut others = join_all((0..100).map(|id| words.find(id)));
    assert!((&mut others).now_or_never().is_none());
    // Whoever gives up is no loss to the others.
    drop(words.find(3));
    lock.commit().await.expect("a commit");
    let first = first.await.expect("no panic");
    let times: Vec<_> =
        others.await.into_iter().map(|found| found.expect("an answer").expect("a row").at).collect();
    assert!(times.iter().all(|at| *at == times[0]), "one statement: {times:?}");
    assert_ne!(first.at, times[0]);
}

#[tokio::test]
async fn a_fault_is_told_to_those_that_asked_and_ends_nothing() {
    let (_database, db, words) = words().await;
    assert_eq!(word(&words, 1).await.as_deref(), Some("word 1"));
    let fault = words.find(FAILS).await.expect_err("division by zero");
    assert!(matches!(*fault, Error::Fault(_)), "{fault}");
    let fault = words.find(PANICS).await.expect_err("a panic");
    assert!(matches!(*fault, Error::Unavailable(_)), "{fault}");
    assert_eq!(word(&words, 2).await.as_deref(), Some("word 2"));

    // The connection that is kept is cut between two lookups.
    let cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()";
    sqlx::query(cut).execute(&db).await.expect("cut");
    assert_eq!(word(&words, 3).await.as_deref(), Some("word 3"));
}
