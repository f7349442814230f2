//! Writers: alone, in groups, beside another replica, and those that fail.

use std::{future::Future as _, pin::pin, task::Poll};

use futures::future::join_all;
use ids::{OrganizationId, PrincipalId};
use oplog::{Author, NotWritten};
use replication::{NO_HASH, Position, Tip};
use uuid::Uuid;

use crate::things::{NOW, Region, append, open, put, reason, write};

/// Keeps every writer waiting until it is dropped, so that those behind the first come together in one group.
async fn hold_the_log(region: &Region) -> sqlx::Transaction<'static, sqlx::Postgres> {
    let mut transaction = region.database.pool().begin().await.expect("a transaction");
    sqlx::query("SELECT FROM log_head FOR UPDATE").execute(&mut *transaction).await.expect("locked");
    transaction
}

#[tokio::test]
async fn writers_of_two_replicas_make_one_dense_chain() {
    let us = Region::start("us").await;
    let (other, committer) = open(us.database.pool(), "us");
    let committing = tokio::spawn(committer.run(us.drain.clone()));
    let organization = OrganizationId::generate();
    let writes = (0..60).map(|number| {
        let log = if number % 2 == 0 { us.log.clone() } else { other.clone() };
        async move { write(&log, organization, vec![put(&format!("{number:02}")), put("shared")]).await }
    });
    let positions = join_all(writes).await.into_iter().collect::<anyhow::Result<Vec<_>>>().expect("written");

    let entries = us.entries().await;
    assert_eq!(entries.len(), 120);
    let mut tip = Tip { position: Position { epoch: 1, seq: 0 }, hash: NO_HASH };
    for entry in &entries {
        assert!(tip.precedes(entry), "{entry:?} does not follow {tip:?}");
        assert_eq!(entry.at, clock::microseconds(NOW));
        tip = entry.tip();
    }
    let mut seqs: Vec<u64> = positions.iter().map(|position| position.seq).collect();
    seqs.sort_unstable();
    assert_eq!(
        seqs,
        (1..=60).map(|number| number * 2).collect::<Vec<_>>(),
        "each was told its own last entry"
    );
    assert_eq!(us.names(organization).await.len(), 61);
    let state = us.replica().read_state().await.expect("state");
    assert_eq!(state.tips.get(us.log.origin()), Some(&tip));
    assert_eq!(us.replica().organization_vector(organization).await.expect("vector"), state.vector());
    us.stop().await;
    committing.await.expect("ended").expect("in good order");
}

#[tokio::test]
async fn an_entry_names_its_author_and_what_it_depends_on() {
    let (us, eu) = (Region::start("us").await, Region::start("eu").await);
    let organization = OrganizationId::generate();
    us.write(organization, vec![put("first")]).await;
    eu.replica().receive(&us.entries().await).await.expect("received");
    let author = Author { principal: Some(PrincipalId::generate()), authority: vec![Uuid::now_v7()] };
    let written = eu.log.write(author.clone(), move |tx| {
        Box::pin(async move {
            assert_eq!((tx.at(), tx.written()), (NOW, None));
            assert_eq!(tx.next_position(), Position { epoch: 1, seq: 1 });
            let position = tx.append(organization, put("second")).await?;
            assert_eq!((tx.written(), position.seq), (Some(position), 1));
            anyhow::Ok(())
        })
    });
    written.await.expect("written");
    let entry = eu.replica().entry(eu.log.origin(), 1).await.expect("read").expect("held");
    assert_eq!((entry.actor, entry.authority.clone()), (author.principal, author.authority));
    assert_eq!(entry.deps, us.replica().read_state().await.expect("state").vector());
    assert_eq!(us.replica().entry(eu.log.origin(), 1).await.expect("read"), None);
}

#[tokio::test]
async fn a_writer_that_fails_takes_nobody_along() {
    let us = Region::start("us").await;
    let organization = OrganizationId::generate();
    let held = hold_the_log(&us).await;
    let good = |name: &'static str| {
        let log = us.log.clone();
        tokio::spawn(async move { write(&log, organization, vec![put(name)]).await })
    };
    let first = good("first");
    let log = us.log.clone();
    let refused = tokio::spawn(async move {
        let refused = log.write(Author::operator(), move |tx| {
            Box::pin(async move {
                append(tx, organization, vec![put("refused")]).await?;
                sqlx::query("SELECT 1 / 0").execute(tx.connection()).await?;
                anyhow::Ok(())
            })
        });
        refused.await
    });
    let log = us.log.clone();
    let panics = tokio::spawn(async move {
        let panics = log.write(Author::operator(), move |tx| {
            Box::pin(async move {
                append(tx, organization, vec![put("panicked")]).await?;
                assert!(tx.written().is_none(), "a writer's own fault");
                anyhow::Ok(())
            })
        });
        panics.await
    });
    let last = good("last");
    held.rollback().await.expect("released");

    let refused = refused.await.expect("ended").expect_err("refused");
    assert!(refused.downcast_ref::<sqlx::Error>().is_some(), "the writer's own error: {refused:?}");
    let panicked = panics.await.expect("ended").expect_err("it panicked");
    assert!(matches!(reason(&panicked), NotWritten::Panicked), "{panicked:?}");
    first.await.expect("ended").expect("written");
    last.await.expect("ended").expect("written");
    assert_eq!(us.names(organization).await, ["first", "last"]);
    let seqs: Vec<u64> = us.entries().await.iter().map(|entry| entry.position.seq).collect();
    assert_eq!(seqs, [1, 2], "what failed leaves no gap");
}

#[tokio::test]
async fn a_writer_alone_that_fails_leaves_nothing() {
    let us = Region::start("us").await;
    let organization = OrganizationId::generate();
    let refused = us.log.write(Author::operator(), move |tx| {
        Box::pin(async move {
            append(tx, organization, vec![put("refused")]).await?;
            Err::<(), _>(anyhow::anyhow!("no"))
        })
    });
    assert_eq!(refused.await.expect_err("refused").to_string(), "no");
    let nothing = us.log.write(Author::operator(), |_tx| Box::pin(async { anyhow::Ok("done") }));
    let nothing = nothing.await.expect("done");
    assert_eq!((nothing.value, nothing.position), ("done", None));
    assert!(us.names(organization).await.is_empty() && us.entries().await.is_empty());
}

#[tokio::test]
async fn an_unconfirmed_commit_is_told_to_everybody_in_the_group() {
    let us = Region::start("us").await;
    let refuse_commits = "
        CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE ''no commit''; END';
        CREATE CONSTRAINT TRIGGER refuse AFTER INSERT ON thing DEFERRABLE INITIALLY DEFERRED
            FOR EACH ROW EXECUTE FUNCTION refuse()";
    sqlx::raw_sql(refuse_commits).execute(&us.database.pool()).await.expect("a trigger");
    let organization = OrganizationId::generate();
    for outcome in join_all((0..5).map(|_| write(&us.log, organization, vec![put("a")]))).await {
        let error = outcome.expect_err("not committed");
        assert!(matches!(reason(&error), NotWritten::Unconfirmed(_)), "{error:?}");
    }
    assert!(us.entries().await.is_empty());
    assert!(us.replica().watch_applied().borrow().is_empty(), "nobody is told of what was not committed");
}

#[tokio::test]
async fn a_fenced_log_refuses_until_it_is_confirmed() {
    let us = Region::start("us").await;
    let organization = OrganizationId::generate();
    us.write(organization, vec![put("before")]).await;
    us.replica().suspect().await.expect("suspected");
    let refused = write(&us.log, organization, vec![put("a")]).await.expect_err("fenced");
    assert!(matches!(reason(&refused), NotWritten::Fenced), "{refused:?}");
    us.replica().confirm().await.expect("confirmed");
    us.write(organization, vec![put("a")]).await;

    us.database.restart().await;
    assert!(!us.replica().is_confirmed().await.expect("asked"), "another start may be a copy from the past");
    let refused = write(&us.log, organization, vec![put("b")]).await.expect_err("fenced");
    assert!(matches!(reason(&refused), NotWritten::Fenced), "{refused:?}");
    assert_eq!(us.names(organization).await, ["a", "before"]);
}

#[tokio::test]
async fn a_full_queue_refuses_at_once_and_a_drain_serves_those_that_wait() {
    let us = Region::start("us").await;
    let (log, committer) = open(us.database.pool(), "us");
    let organization = OrganizationId::generate();
    let mut waiting = Vec::new();
    for number in 0..1024 {
        let mut write = Box::pin(write(&log, organization, vec![put(&number.to_string())]));
        assert!(futures::poll!(&mut write).is_pending(), "there is room for {number}");
        waiting.push(write);
    }
    let refused = write(&log, organization, vec![put("one more")]).await.expect_err("full");
    assert!(matches!(reason(&refused), NotWritten::QueueFull), "{refused:?}");

    // Half of those who asked go away before their turn.
    waiting.truncate(512);
    let drain = tokio_util::sync::CancellationToken::new();
    drain.cancel();
    let committing = tokio::spawn(committer.run(drain));
    for outcome in join_all(waiting).await {
        outcome.expect("written before the end");
    }
    committing.await.expect("ended").expect("in good order");
    let late = write(&log, organization, vec![put("late")]).await.expect_err("stopped");
    assert!(matches!(reason(&late), NotWritten::Stopping), "{late:?}");
    assert_eq!(us.names(organization).await.len(), 512, "whoever has gone wrote nothing");
}

#[tokio::test]
async fn a_database_that_is_away_is_told_as_such() {
    let us = Region::start("us").await;
    us.database.pool().close().await;
    let (log, committer) = {
        let pool = us.database.pool();
        pool.close().await;
        open(pool, "us")
    };
    let mut committing = pin!(committer.run(tokio_util::sync::CancellationToken::new()));
    let write = write(&log, OrganizationId::generate(), vec![put("a")]);
    let mut write = pin!(write);
    let outcome = std::future::poll_fn(|context| {
        let _ = committing.as_mut().poll(context);
        match write.as_mut().poll(context) {
            Poll::Ready(outcome) => Poll::Ready(outcome),
            Poll::Pending => Poll::Pending,
        }
    })
    .await;
    let error = outcome.expect_err("no database");
    assert!(matches!(reason(&error), NotWritten::Database(_)), "{error:?}");
}
