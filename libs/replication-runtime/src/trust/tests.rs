use super::*;
use crate::testing::{chain, origin, signer, trust};

fn region(name: &str) -> Region {
    name.parse().expect("a region")
}

fn messages(page: &[Entry]) -> Vec<wire::Operation> {
    page.iter().map(Entry::to_wire).collect()
}

/// As a release writes it that does not sign.
fn unsigned(mut page: Vec<Entry>) -> Vec<Entry> {
    page.iter_mut().for_each(|entry| entry.signature = None);
    page
}

/// Everything but the signature is as it should be; that is made by `forger`.
fn forged(after: &Entry, forger: &Origin) -> Entry {
    let tip = after.tip();
    let position = replication::Position { seq: tip.position.seq + 1, ..tip.position };
    let mut entry =
        Entry { position, prev_hash: tip.hash, body: r#"{"forged":true}"#.to_owned(), ..after.clone() };
    entry.signature = Some(signer(forger).sign(&entry.origin, &entry.tip()));
    entry
}

#[test]
fn an_entry_counts_only_if_its_origin_signed_it() {
    let (trust, us) = (trust(), origin("authz.us"));
    let log = chain(&us, 1, 3);
    assert_eq!(trust.admit(log[2].to_wire()), Ok(log[2].clone()));

    let by_another = forged(&log[2], &origin("authz.eu"));
    let stolen = Entry { signature: log[2].signature, ..forged(&log[2], &us) };
    let moved = Entry { position: replication::Position { epoch: 2, seq: 3 }, ..log[2].clone() };
    let changed = Entry { body: r#"{"other":1}"#.to_owned(), ..log[2].clone() };
    let of_another_log = Entry { origin: origin("authz.eu"), ..log[2].clone() };
    for entry in [by_another, stolen, moved, changed, of_another_log, unsigned(log.clone()).remove(2)] {
        assert!(trust.admit(entry.to_wire()).is_err(), "{entry:?}");
        let page = trust.admit_page(messages(&[log[0].clone(), log[1].clone(), entry.clone()]));
        assert!(page.is_err() || page == Ok(log[..2].to_vec()), "{page:?}");
        let believed = trust.believes(&region("eu"), &entry.origin, &entry.tip(), entry.signature.as_ref());
        assert!(believed.is_err(), "{entry:?}");
    }
}

#[test]
fn the_last_entry_proves_a_page() {
    let (trust, us) = (trust(), origin("authz.us"));
    let log = chain(&us, 1, 5);
    let mut page = unsigned(log.clone());
    page[3].signature = log[3].signature;
    assert_eq!(trust.admit_page(messages(&page)).expect("proven"), page[..4], "the rest will be signed");

    let swapped = Entry { body: r#"{"other":1}"#.to_owned(), ..page[1].clone() };
    page[1] = swapped;
    let refused = trust.admit_page(messages(&page));
    assert!(matches!(refused, Err(Refused::Unproven { reason: Unproven::NotInChain, .. })), "{refused:?}");
    assert_eq!(trust.admit_page(Vec::new()), Ok(Vec::new()));

    // Whoever gave the page can spoil the signatures before the last one, and not what they are of.
    let mut spoilt = log.clone();
    spoilt[1].signature = log[2].signature;
    spoilt[2].signature = Some(signer(&origin("authz.eu")).sign(&us, &log[2].tip()));
    let admitted = trust.admit_page(messages(&spoilt)).expect("proven by the last one");
    let signed = |entry: &Entry| entry.signature.is_some();
    assert_eq!(admitted.iter().map(signed).collect::<Vec<_>>(), [true, false, false, true, true]);
    assert_eq!(unsigned(admitted), unsigned(log));
}

#[test]
fn a_region_that_was_heard_to_sign_is_never_believed_without() {
    let (trust, us, eu) = (trust(), region("us"), region("eu"));
    let log = unsigned(chain(&origin("authz.us"), 1, 3));
    let tip = log[2].tip();
    let is_admitted = || {
        let entry = trust.admit(log[2].to_wire()).is_ok();
        assert_eq!(entry, trust.admit_page(messages(&log)).is_ok());
        entry
    };
    let believes = |region| trust.believes(region, &origin("authz.us"), &tip, None).is_ok();

    assert!(!is_admitted() && !believes(&us), "nothing is known of it");
    trust.heard(&us, 1);
    assert!(!is_admitted(), "it may have been heard to sign before");
    trust.load(Vec::new());
    assert!(!is_admitted(), "it was not heard since");
    trust.heard(&us, 1);
    assert!(is_admitted() && believes(&us) && !believes(&eu));

    assert!(trust.is_new_signer(&us, SIGNING_GENERATION));
    trust.heard(&us, SIGNING_GENERATION);
    assert!(!is_admitted() && !believes(&us));
    trust.heard(&us, 1);
    assert!(!is_admitted() && !believes(&us), "it does not forget to sign");
    assert!(!trust.is_new_signer(&us, SIGNING_GENERATION));

    trust.load(vec![us.clone()]);
    trust.heard(&us, 1);
    assert!(!is_admitted() && !believes(&us), "nor after a restart of this service");
}

#[test]
fn the_own_log_is_never_believed_without() {
    let trust = trust();
    trust.load(Vec::new());
    trust.heard(&region("ap"), 1);
    let log = unsigned(chain(&origin("authz.ap"), 1, 1));
    assert!(trust.admit(log[0].to_wire()).is_err());
    assert!(trust.admit_page(messages(&log)).is_err());
}

#[test]
fn signatures_are_refused_when_they_have_no_form() {
    let trust = trust();
    let log = chain(&origin("authz.us"), 1, 1);
    for bytes in [vec![0; 71], vec![0; 73], vec![0]] {
        let message = wire::Operation { signature: bytes.into(), ..log[0].to_wire() };
        assert_eq!(trust.admit(message), Err(Refused::Unreadable(Unreadable("signature"))));
    }
    let message = wire::Operation { signature: vec![0; 72].into(), ..log[0].to_wire() };
    assert!(matches!(trust.admit(message), Err(Refused::Unproven { reason: Unproven::UnknownKey, .. })));
}
