//! Entries are signed when they are stored, and those that are not can be signed later.

use ids::{OrganizationId, Region as RegionName};
use replication::{Entry, Keyring, Origin, Signer};

use crate::things::{Region, put, signer};

/// Trusts `signer` for the log of `origin`.
fn keyring(origin: &Origin, signer: &Signer) -> Keyring {
    let mut keys = Keyring::default();
    keys.trust(origin.clone(), vec![signer.public().clone()]);
    keys
}

#[tokio::test]
async fn every_entry_is_signed_and_keeps_its_signature_elsewhere() {
    let (us, eu) = (Region::start("us").await, Region::start("eu").await);
    let organization = OrganizationId::generate();
    us.write(organization, vec![put("a"), put("b")]).await;
    us.write(organization, vec![put("c")]).await;
    let entries = us.entries().await;
    let keys = keyring(us.log.origin(), &signer());
    assert!(entries.iter().all(|entry| keys.prove(entry).is_ok()), "{entries:?}");

    eu.replica().receive(&entries).await.expect("received");
    assert_eq!(eu.replica().entries(us.log.origin(), 0, 10).await.expect("entries"), entries);
    for region in [&us, &eu] {
        let state = region.replica().read_state().await.expect("state");
        assert_eq!(state.signatures.get(us.log.origin()), entries[2].signature.as_ref());
    }
}

#[tokio::test]
async fn what_is_not_signed_with_the_present_key_can_be_signed() {
    let us = Region::start("us").await;
    us.write(OrganizationId::generate(), vec![put("a"), put("b"), put("c"), put("d")]).await;
    let (replica, origin) = (us.replica(), us.log.origin());
    let old = Signer::from_seed(&[1; 32]).expect("a key");
    let mut entries = us.entries().await;
    entries[1].signature = Some(old.sign(origin, &entries[1].tip()));
    replica.keep_signatures(&entries[1..2]).await.expect("kept");
    sqlx::query("UPDATE log_operation SET signature = NULL WHERE seq = 3")
        .execute(replica.db())
        .await
        .expect("as an earlier release left it");

    let present = signer().public().id();
    let seqs = async |after: u64, limit: u32| {
        let found = replica.signed_otherwise(origin, after, &present, limit).await.expect("entries");
        found.iter().map(|entry| entry.position.seq).collect::<Vec<_>>()
    };
    assert_eq!(seqs(0, 10).await, [2, 3]);
    assert_eq!(seqs(0, 1).await, [2]);
    assert_eq!(seqs(2, 10).await, [3]);

    let mut otherwise = replica.signed_otherwise(origin, 0, &present, 10).await.expect("entries");
    replica.sign(&mut otherwise);
    replica.keep_signatures(&otherwise).await.expect("kept");
    assert!(seqs(0, 10).await.is_empty());
    let keys = keyring(origin, &signer());
    assert!(us.entries().await.iter().all(|entry| keys.prove(entry).is_ok()));
}

#[tokio::test]
async fn a_signature_is_kept_only_for_the_entry_that_it_is_of() {
    let us = Region::start("us").await;
    us.write(OrganizationId::generate(), vec![put("a")]).await;
    let entries = us.entries().await;
    let mut other = Entry { at: 7, ..entries[0].clone() };
    other.signature = Some(Signer::from_seed(&[1; 32]).expect("a key").sign(&other.origin, &other.tip()));
    us.replica().keep_signatures(&[other]).await.expect("nothing to keep");
    us.replica().keep_signatures(&[]).await.expect("nothing to keep");
    assert_eq!(us.entries().await, entries);
}

#[tokio::test]
async fn who_signs_is_remembered() {
    let us = Region::start("us").await;
    let eu: RegionName = "eu".parse().expect("a region");
    assert!(us.replica().signing_regions().await.expect("read").is_empty());
    for _ in 0..2 {
        us.replica().note_signing(&eu).await.expect("noted");
    }
    assert_eq!(us.replica().signing_regions().await.expect("read"), [eu]);
}
