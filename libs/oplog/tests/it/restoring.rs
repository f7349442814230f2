//! A database that was put back to an earlier copy: its log takes back what others hold, and goes on in a new epoch.

use ids::OrganizationId;
use replication::{Position, Tip};

use crate::things::{NOW, Region, put, removed};

/// The epoch that begins at the tests' time.
fn renewed() -> u32 {
    NOW.unix_timestamp().try_into().expect("before 2106")
}

#[tokio::test]
async fn accepting_opens_the_log_in_a_new_epoch() {
    let us = Region::start("us").await;
    let organization = OrganizationId::generate();
    us.write(organization, vec![put("a")]).await;
    assert!(!us.replica().accept().await.expect("asked"), "there is nothing to accept");
    us.replica().suspect().await.expect("suspected");
    assert!(us.replica().accept().await.expect("accepted"));
    assert_eq!(us.write(organization, vec![put("b")]).await, Position { epoch: renewed(), seq: 2 });
}

/// Us writes three entries, is put back to the copy after the first, and goes on with another one. Eu holds all three.
#[tokio::test]
async fn a_forked_log_takes_the_lost_part_back_and_appends_its_own_anew() {
    let (us, eu) = (Region::start("us").await, Region::start("eu").await);
    let organization = OrganizationId::generate();
    us.write(organization, vec![put("kept")]).await;
    let copy = us.database.copy().await;
    us.write(organization, vec![put("lost"), removed("kept")]).await;
    let lost = us.entries().await;
    eu.replica().receive(&lost).await.expect("received");

    us.database.restore(&copy).await;
    us.replica().confirm().await.expect("confirmed, wrongly");
    us.write(organization, vec![put("forked")]).await;
    assert_eq!(us.names(organization).await, ["forked", "kept"]);
    us.replica().suspect().await.expect("suspected");

    us.replica().recover(1, &lost[1..], renewed()).await.expect("recovered");
    assert_eq!(us.names(organization).await, ["forked", "lost"], "the removal that was lost holds");
    let entries = us.entries().await;
    assert_eq!(entries[..3], lost[..], "what others hold stands in its place");
    let mut tip = Tip::default();
    for entry in &entries {
        assert!(tip.precedes(entry), "{entry:?} does not follow {tip:?}");
        tip = entry.tip();
    }
    assert_eq!(
        entries[3].position,
        Position { epoch: renewed() + 1, seq: 4 },
        "above every epoch that was heard of"
    );
    assert!(us.replica().is_confirmed().await.expect("asked"));
    assert_eq!(us.write(organization, vec![put("later")]).await, Position { epoch: renewed() + 1, seq: 5 });

    eu.replica().receive(&us.entries().await).await.expect("received");
    let digest = async |region: &Region| region.replica().digest(organization).await.expect("digest");
    assert_eq!(digest(&us).await, digest(&eu).await);
}

/// What another log says on the strength of lost entries is received again, after them.
#[tokio::test]
async fn what_depends_on_the_lost_part_of_a_log_follows_it_again() {
    let (us, eu) = (Region::start("us").await, Region::start("eu").await);
    let organization = OrganizationId::generate();
    us.write(organization, vec![put("first")]).await;
    let copy = us.database.copy().await;
    us.write(organization, vec![put("second")]).await;
    let lost = us.entries().await;
    eu.replica().receive(&lost).await.expect("received");
    eu.write(organization, vec![put("answer"), removed("second")]).await;

    us.database.restore(&copy).await;
    us.replica().confirm().await.expect("confirmed, wrongly");
    us.write(organization, vec![put("fork")]).await;
    us.replica().suspect().await.expect("suspected");
    us.replica().recover(1, &lost[1..], 1).await.expect("recovered");
    us.replica().receive(&eu.entries().await).await.expect("received");
    eu.replica().receive(&us.entries().await).await.expect("received");
    for region in [&us, &eu] {
        assert_eq!(region.names(organization).await, ["answer", "first", "fork"]);
    }
}

#[tokio::test]
async fn renewing_changes_the_epoch_and_nothing_else() {
    let us = Region::start("us").await;
    let organization = OrganizationId::generate();
    us.write(organization, vec![put("a"), put("b")]).await;
    us.replica().suspect().await.expect("suspected");
    let before = us.entries().await;
    us.replica().recover(2, &[], 1).await.expect("renewed");
    assert_eq!(us.entries().await, before);
    assert_eq!(us.write(organization, vec![put("c")]).await, Position { epoch: renewed(), seq: 3 });
}
