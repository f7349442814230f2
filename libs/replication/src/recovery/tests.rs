use ids::OrganizationId;

use super::*;
use crate::NO_HASH;

fn origin(name: &str) -> Origin {
    name.parse().expect("an origin")
}

fn at(epoch: u32, seq: u64) -> Position {
    Position { epoch, seq }
}

fn vector(entries: &[(&str, Position)]) -> Vector {
    entries.iter().map(|(name, position)| (origin(name), *position)).collect()
}

/// The entry with this id and these dependencies after `before` in the log of `name`.
fn entry(name: &str, before: &Tip, epoch: u32, id: u128, deps: &[(&str, Position)]) -> Entry {
    Entry {
        id: Uuid::from_u128(id),
        origin: origin(name),
        position: at(epoch, before.position.seq + 1),
        prev_hash: before.hash,
        deps: vector(deps),
        organization: OrganizationId::from_uuid(Uuid::nil()),
        actor: None,
        authority: Vec::new(),
        kind: "assignment.put".into(),
        body: String::new(),
        at: 0,
        traceparent: String::new(),
        signature: None,
    }
}

fn log(name: &str, before: Tip, ids: &[u128]) -> Vec<Entry> {
    let mut tip = before;
    let next = |id: &u128| {
        let entry = entry(name, &tip, 1, *id, &[]);
        tip = entry.tip();
        entry
    };
    ids.iter().map(next).collect()
}

#[test]
fn the_common_part_ends_at_the_first_difference() {
    let own = log("authz.us", Tip::default(), &[1, 2, 3]);
    assert_eq!(common(&own, &own), 3);
    assert_eq!(common(&own, &own[..2]), 2);
    assert_eq!(common(&own, &log("authz.us", Tip::default(), &[1, 9, 3])), 1);
    assert_eq!(common(&own, &[]), 0);
}

#[test]
fn what_rests_on_the_lost_tail_is_cut_out_with_the_fork() {
    let us = log("authz.us", Tip::default(), &[1, 2, 3]);
    let nothing = Tip::default();
    let stays = entry("authz.eu", &nothing, 1, 10, &[("authz.us", at(1, 1))]);
    let rests = entry("authz.eu", &stays.tip(), 1, 11, &[("authz.us", at(1, 2))]);
    let behind = entry("authz.eu", &rests.tip(), 1, 12, &[]);
    let rests_too = entry("authz.ap", &nothing, 1, 13, &[("authz.eu", at(1, 2))]);
    let since = [&us[1], &stays, &rests, &us[2], &behind, &rests_too].map(Clone::clone);
    let cut = cut(&vector(&[("authz.us", at(1, 1))]), &since, &origin("authz.us"), at(1, 1));
    assert_eq!(cut.forked, us[1..]);
    assert_eq!(cut.again, [rests, behind, rests_too]);
    assert_eq!(cut.base, vector(&[("authz.us", at(1, 1)), ("authz.eu", at(1, 1))]));
}

#[test]
fn forked_entries_follow_the_tail_in_a_new_epoch() {
    let tail = log("authz.us", Tip::default(), &[1, 2, 3, 4]);
    let tip = tail[3].tip();
    let mut forked = log("authz.us", tail[0].tip(), &[7, 3, 8]);
    forked[2].deps = vector(&[("authz.eu", at(1, 9)), ("authz.ap", at(1, 1))]);
    let base = vector(&[("authz.us", at(1, 1)), ("authz.eu", at(1, 5)), ("authz.ap", at(1, 3))]);
    let held = tail.iter().map(|entry| entry.id).collect();
    let appended = re_append(&forked, &base, &tip, next_epoch(1, [at(3, 2), at(2, 4)], 0), &held);

    assert_eq!(appended.iter().map(|entry| entry.position).collect::<Vec<_>>(), [at(4, 5), at(4, 6)]);
    assert!(tip.precedes(&appended[0]) && appended[0].tip().precedes(&appended[1]));
    assert_eq!(appended[0].deps, vector(&[("authz.us", at(1, 1))]));
    let seen = [("authz.us", at(1, 1)), ("authz.eu", at(1, 5)), ("authz.ap", at(1, 1))];
    assert_eq!(appended[1].deps, vector(&seen));
    // After the common point and the fork, not after the tail that was taken back.
    let us = |position| crate::Dot { origin: origin("authz.us"), position };
    assert!(appended[1].comes_after(&us(at(1, 1))) && appended[1].comes_after(&us(at(4, 5))));
    assert!(!appended[1].comes_after(&us(at(1, 2))) && !appended[1].comes_after(&us(at(1, 4))));
    // A second restore does not widen what they had seen.
    let twice = re_append(&appended, &vector(&[("authz.us", at(1, 4))]), &tip, 5, &BTreeSet::new());
    assert_eq!(twice[0].deps, vector(&[("authz.us", at(1, 1))]));
}

#[test]
fn an_epoch_is_the_time_at_which_it_began_and_never_falls() {
    assert_eq!(next_epoch(1, [], 1_900_000_000), 1_900_000_000);
    assert_eq!(next_epoch(1_900_000_000, [], 1_800_000_000), 1_900_000_001, "the clock was put back");
    assert_eq!(next_epoch(1, [at(1_900_000_005, 2)], 1_900_000_000), 1_900_000_006);
    assert_eq!(next_epoch(7, [], i64::MAX), 8);
    assert_eq!(next_epoch(7, [], -1), 8);
}

#[test]
fn a_log_that_never_was_is_named_as_seen_by_nobody() {
    let forked = log("authz.us", Tip { position: at(1, 0), hash: NO_HASH }, &[7]);
    let appended = re_append(&forked, &Vector::default(), &Tip::default(), 2, &BTreeSet::new());
    assert_eq!(appended[0].deps.get(&origin("authz.us")), Some(at(0, 0)));
    assert!(!appended[0].comes_after(&crate::Dot { origin: origin("authz.us"), position: at(1, 1) }));
}
