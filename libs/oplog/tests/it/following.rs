//! Followers: in the local order, without gaps, and told when rows have to be read anew.

use std::time::Duration;

use ids::OrganizationId;
use oplog::{Applied, Batch, Cursor, FollowError, Follower};
use tokio::time::timeout;

use crate::things::{Region, Thing, Things, put, removed};

/// Longest wait for a batch.
const DEADLINE: Duration = Duration::from_secs(20);

async fn newest(region: &Region) -> Cursor {
    Cursor::read(&mut region.database.pool().acquire().await.expect("connection")).await.expect("cursor")
}

async fn follow(region: &Region) -> Follower<Things> {
    Follower::new(region.replica(), newest(region).await)
}

async fn next(follower: &mut Follower<Things>) -> Result<Batch<Vec<Thing>>, FollowError> {
    timeout(DEADLINE, follower.next()).await.expect("a batch in time")
}

async fn applied(follower: &mut Follower<Things>) -> Vec<Applied<Vec<Thing>>> {
    match next(follower).await.expect("readable") {
        Batch::Applied(applied) => applied,
        Batch::ReadAnew => panic!("nothing was made anew"),
    }
}

async fn must_read_anew(follower: &mut Follower<Things>) {
    assert!(matches!(next(follower).await.expect("readable"), Batch::ReadAnew));
}

#[tokio::test]
async fn what_entries_changed_comes_in_the_local_order_whoever_committed_it() {
    let (us, eu) = (Region::start("us").await, Region::start("eu").await);
    let organization = OrganizationId::generate();
    us.write(organization, vec![put("before")]).await;
    let mut follower = follow(&us).await;
    eu.write(organization, vec![put("theirs"), removed("ours")]).await;
    let theirs = eu.entries().await;

    us.write(organization, vec![put("ours"), put("ours")]).await;
    us.replica().receive_early(&theirs[1]).await.expect("denied");
    us.replica().receive(&theirs).await.expect("received");
    let mut seen = Vec::new();
    while seen.len() < 5 {
        seen.extend(applied(&mut follower).await);
    }
    let seen: Vec<_> = seen
        .into_iter()
        .map(|entry| (entry.dot.origin.to_string(), entry.dot.position.seq, entry.in_turn, entry.effects))
        .collect();
    let expected = [
        ("authz.us".to_owned(), 2, true, vec![put("ours")]),
        ("authz.us".to_owned(), 3, true, vec![]),
        ("authz.eu".to_owned(), 2, false, vec![removed("ours")]),
        ("authz.eu".to_owned(), 1, true, vec![put("theirs")]),
        ("authz.eu".to_owned(), 2, true, vec![removed("ours")]),
    ];
    assert_eq!(seen, expected);
    let nothing = timeout(Duration::from_millis(600), follower.next()).await;
    assert!(nothing.is_err(), "no batch is empty: {nothing:?}");
}

#[tokio::test]
async fn more_than_a_batch_is_followed_without_a_gap() {
    let us = Region::start("us").await;
    let mut follower = follow(&us).await;
    let organization = OrganizationId::generate();
    us.write(organization, (0..1500).map(|number| put(&number.to_string())).collect()).await;
    let (first, second) = (applied(&mut follower).await, applied(&mut follower).await);
    assert_eq!((first.len(), second.len()), (1000, 500));
    let seqs = first.iter().chain(&second).map(|entry| entry.dot.position.seq);
    assert!(seqs.eq(1..=1500));
}

#[tokio::test]
async fn rows_made_anew_are_to_be_read_anew_until_they_were() {
    let us = Region::start("us").await;
    let organization = OrganizationId::generate();
    let mut follower = follow(&us).await;
    us.write(organization, vec![put("a")]).await;
    us.replica().rebuild(organization).await.expect("rebuilt");
    us.write(organization, vec![put("b")]).await;
    // The first entry may come alone, before the rebuild was seen.
    if let Batch::Applied(applied) = next(&mut follower).await.expect("readable") {
        assert_eq!(applied.len(), 1);
        must_read_anew(&mut follower).await;
    }
    must_read_anew(&mut follower).await;
    follower.go_on_from(newest(&us).await);
    us.write(organization, vec![put("c")]).await;
    let effects: Vec<_> = applied(&mut follower).await.into_iter().map(|entry| entry.effects).collect();
    assert_eq!(effects, [vec![put("c")]]);
}

#[tokio::test]
async fn another_life_of_the_database_is_to_be_read_anew() {
    let us = Region::start("us").await;
    let organization = OrganizationId::generate();
    us.write(organization, vec![put("a")]).await;
    let copy = us.database.copy().await;
    let mut follower = follow(&us).await;
    us.write(organization, vec![put("b")]).await;
    assert_eq!(applied(&mut follower).await.len(), 1);

    us.database.restore(&copy).await;
    must_read_anew(&mut follower).await;
    follower.go_on_from(newest(&us).await);
    us.replica().confirm().await.expect("confirmed");
    us.write(organization, vec![put("c")]).await;
    assert_eq!(applied(&mut follower).await[0].effects, [put("c")]);

    us.database.restart().await;
    must_read_anew(&mut follower).await;
}

#[tokio::test]
async fn effects_that_cannot_be_read_are_an_error_and_stay_one() {
    let us = Region::start("us").await;
    let organization = OrganizationId::generate();
    let mut follower = follow(&us).await;
    us.write(organization, vec![put("a")]).await;
    let later_release = "UPDATE log_applied SET effects = '[{\"kind\":\"thing.cloned\",\"body\":{}}]'";
    sqlx::raw_sql(later_release).execute(&us.database.pool()).await.expect("altered");
    for _ in 0..2 {
        let error = next(&mut follower).await.expect_err("unreadable");
        assert!(matches!(error, FollowError::Unreadable { local_seq: 1, .. }), "{error:?}");
    }
}
