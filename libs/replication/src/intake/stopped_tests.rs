//! Logs that are stopped or paused, and revocations that deny before their turn.

use super::tests::{applied, at, chain, origin, settle, vector};
use super::*;

fn is_revocation(entry: &Entry) -> bool {
    entry.kind == "revoke"
}

#[test]
fn nothing_is_given_out_of_a_stopped_log_but_its_revocations_deny() {
    let us = chain(Tip::default(), "authz.us", 1, 3);
    let eu = chain(Tip::default(), "authz.eu", 1, 1);
    let mut intake = Intake::new(None, Applied::new());
    intake.stop(&origin("authz.us"));
    us.iter().for_each(|entry| assert_eq!(intake.offer(entry.clone()), Offered::Waiting));
    assert_eq!(intake.offer(eu[0].clone()), Offered::Ready, "another log goes on");
    assert_eq!(intake.ready(), eu);
    assert_eq!(intake.gaps(&vector(&[("authz.us", at(1, 9))])), [], "nothing more of it is fetched");
    // `us[0]` is a grant. A log that is only paused gives out no revocation either.
    assert_eq!(intake.waiting_revocations(is_revocation), us[1..]);

    intake.resume(&origin("authz.us"));
    assert!(intake.ready() == eu, "what was held of it has to be fetched again");
    us.iter().for_each(|entry| _ = intake.offer(entry.clone()));
    assert_eq!(settle(&mut intake).len(), 4);
}

#[test]
fn a_paused_log_keeps_its_revocations_back() {
    let us = chain(Tip::default(), "authz.us", 1, 3);
    let mut intake = Intake::new(None, Applied::new());
    intake.pause(&origin("authz.us"));
    us.iter().for_each(|entry| _ = intake.offer(entry.clone()));
    assert_eq!(intake.waiting_revocations(is_revocation), []);
    // Once stopped it is no longer a question of what the origin itself knows.
    intake.stop(&origin("authz.us"));
    assert_eq!(intake.waiting_revocations(is_revocation), us[1..]);
}

#[test]
fn a_log_that_is_resumed_is_no_longer_stopped() {
    let us = chain(Tip::default(), "authz.us", 1, 3);
    let mut intake = Intake::new(None, Applied::new());
    intake.stop(&origin("authz.us"));
    intake.resume(&origin("authz.us"));
    intake.pause(&origin("authz.us"));
    us[1..].iter().for_each(|entry| _ = intake.offer(entry.clone()));
    assert_eq!(intake.waiting_revocations(is_revocation), [], "it is paused only");
}

#[test]
fn the_number_of_paused_logs_is_bounded() {
    let name = |number: usize| format!("authz.r{number}");
    let mut intake = Intake::new(None, Applied::new());
    (0..ORIGINS_MAX).for_each(|number| intake.pause(&origin(&name(number))));
    intake.stop(&origin("authz.late"));
    let late = chain(Tip::default(), "authz.late", 1, 1);
    assert_eq!(intake.offer(late[0].clone()), Offered::Ready, "one too many is not stopped");
}

#[test]
fn revocations_that_wait_deny_again_when_told_so() {
    let us = chain(Tip::default(), "authz.us", 1, 3);
    let mut intake = Intake::new(None, Applied::new());
    us[1..].iter().for_each(|entry| _ = intake.offer(entry.clone()));
    assert_eq!(intake.waiting_revocations(is_revocation), us[1..]);
    assert_eq!(intake.waiting_revocations(is_revocation), []);
    intake.deny_again();
    assert_eq!(intake.waiting_revocations(is_revocation), us[1..], "they still wait");
    intake.deny_again();
    intake.reset(applied(&[&us[2]]));
    assert_eq!(intake.waiting_revocations(is_revocation), [], "they are applied");
}

#[test]
fn says_whether_anything_waits() {
    let us = chain(Tip::default(), "authz.us", 1, 2);
    let mut intake = Intake::new(None, Applied::new());
    assert!(intake.is_empty());
    intake.offer(us[1].clone());
    assert!(!intake.is_empty());
    intake.offer(us[0].clone());
    settle(&mut intake);
    assert!(intake.is_empty());
}

#[test]
fn neither_the_own_log_nor_an_entry_before_the_first_is_taken_in() {
    let ap = chain(Tip::default(), "authz.ap", 1, 1);
    let mut intake = Intake::new(Some(origin("authz.ap")), Applied::new());
    assert_eq!(intake.offer(ap[0].clone()), Offered::Old, "this database writes it");
    let before_the_first = Entry { position: at(1, 0), ..chain(Tip::default(), "authz.us", 1, 1).remove(0) };
    assert_eq!(intake.offer(before_the_first), Offered::Old);
    assert!(intake.is_empty() && intake.vector().is_empty());
}

#[test]
fn what_the_own_log_has_written_never_goes_back() {
    let mut intake = Intake::new(Some(origin("authz.ap")), Applied::new());
    intake.wrote(&vector(&[("authz.ap", at(1, 4)), ("authz.us", at(1, 9))]));
    intake.wrote(&vector(&[("authz.ap", at(1, 3))]));
    assert_eq!(
        intake.vector(),
        vector(&[("authz.ap", at(1, 4))]),
        "another log's position is not the caller's to say"
    );
}

#[test]
fn a_transaction_takes_no_more_than_a_batch() {
    let us = chain(Tip::default(), "authz.us", 1, BATCH_MAX + 1);
    let mut intake = Intake::new(None, Applied::new());
    us.iter().for_each(|entry| _ = intake.offer(entry.clone()));
    assert_eq!(intake.ready(), us[..BATCH_MAX]);
    assert_eq!(settle(&mut intake), us);
}

#[test]
fn an_entry_that_names_its_own_log_among_its_dependencies_waits_for_the_others_only() {
    let us = chain(Tip::default(), "authz.us", 1, 1);
    let deps = vector(&[("authz.us", at(9, 9)), ("authz.eu", at(1, 1))]);
    let second = super::tests::after(&us[0].tip(), "authz.us", 1, deps);
    let eu = chain(Tip::default(), "authz.eu", 1, 1);
    let mut intake = Intake::new(None, applied(&[&us[0]]));
    assert_eq!(intake.offer(second.clone()), Offered::Waiting);
    intake.offer(eu[0].clone());
    assert_eq!(settle(&mut intake), [eu[0].clone(), second]);
}
