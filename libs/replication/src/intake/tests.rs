use ids::OrganizationId;
use proptest::prelude::*;
use rand::{Rng, SeedableRng, rngs::StdRng, seq::SliceRandom};
use uuid::Uuid;

use super::*;

const NAMES: [&str; 3] = ["authz.us", "authz.eu", "authz.ap"];

pub(super) fn origin(name: &str) -> Origin {
    name.parse().expect("an origin")
}

pub(super) fn at(epoch: u32, seq: u64) -> Position {
    Position { epoch, seq }
}

pub(super) fn vector(entries: &[(&str, Position)]) -> Vector {
    entries.iter().map(|(name, position)| (origin(name), *position)).collect()
}

pub(super) fn after(before: &Tip, name: &str, epoch: u32, deps: Vector) -> Entry {
    Entry {
        id: Uuid::from_u128(u128::from(before.position.seq)),
        origin: origin(name),
        position: at(epoch, before.position.seq + 1),
        prev_hash: before.hash,
        deps,
        organization: OrganizationId::from_uuid(Uuid::nil()),
        actor: None,
        authority: Vec::new(),
        kind: if before.position.seq.is_multiple_of(3) { "grant" } else { "revoke" }.into(),
        body: String::new(),
        at: 0,
        traceparent: String::new(),
        signature: None,
    }
}

pub(super) fn chain(before: Tip, name: &str, epoch: u32, length: usize) -> Vec<Entry> {
    let mut tip = before;
    let next = |_| {
        let entry = after(&tip, name, epoch, Vector::default());
        tip = entry.tip();
        entry
    };
    (0..length).map(next).collect()
}

pub(super) fn applied(tips: &[&Entry]) -> Applied {
    tips.iter().map(|entry| (entry.origin.clone(), entry.tip())).collect()
}

pub(super) fn settle(intake: &mut Intake) -> Vec<Entry> {
    let mut all = Vec::new();
    loop {
        let ready = intake.ready();
        if ready.is_empty() {
            return all;
        }
        ready.iter().for_each(|entry| intake.applied(entry));
        all.extend(ready);
    }
}

/// A causal history of three logs: each entry depends on what its writer happened to have seen. In a valid order.
fn history(rng: &mut StdRng, length: usize) -> Vec<Entry> {
    let mut seen = [(); 3].map(|()| Vector::default());
    let mut tips = [Tip::default(); 3];
    let mut epochs = [1; 3];
    let mut entries = Vec::new();
    for _ in 0..length {
        let (writer, other) = (rng.random_range(0..3), rng.random_range(0..3));
        if rng.random_bool(0.5) {
            let of_other = seen[other].clone();
            seen[writer].merge(&of_other);
        }
        if rng.random_bool(0.05) {
            epochs[writer] += 1;
        }
        let own = origin(NAMES[writer]);
        let deps = seen[writer].iter().filter(|(origin, _)| **origin != own);
        let deps = deps.map(|(origin, position)| (origin.clone(), *position)).collect();
        let entry = after(&tips[writer], NAMES[writer], epochs[writer], deps);
        tips[writer] = entry.tip();
        seen[writer].advance(&own, entry.position);
        entries.push(entry);
    }
    entries
}

fn assert_is_applicable(vector: &mut Vector, entry: &Entry) {
    assert!(vector.covers(&entry.deps), "{entry:?} before {:?}", vector.missing(&entry.deps));
    let before = vector.get(&entry.origin).unwrap_or_default();
    assert_eq!(before.seq + 1, entry.position.seq);
    vector.advance(&entry.origin, entry.position);
}

proptest! {
    /// Any order, losses, repetitions and failed transactions: all is applied once, in a valid order, given that gaps
    /// are fetched.
    #[test]
    fn everything_is_applied_once_and_in_order(seed in any::<u64>(), length in 1usize..60) {
        let mut rng = StdRng::seed_from_u64(seed);
        let history = history(&mut rng, length);
        let mut tips = Vector::default();
        history.iter().for_each(|entry| tips.advance(&entry.origin, entry.position));
        let mut stream: Vec<_> = history.iter().filter(|_| rng.random_bool(0.8)).cloned().collect();
        stream.extend_from_within(..stream.len() / 3);
        stream.shuffle(&mut rng);

        let mut intake = Intake::new(None, Applied::new());
        let (mut done, mut database, mut count) = (Vector::default(), Applied::new(), 0);
        let mut rounds = 0;
        while done != tips {
            rounds += 1;
            prop_assert!(rounds < 1000, "stuck at {done:?} of {tips:?}: {:?}", intake.gaps(&tips));
            match stream.pop() {
                Some(entry) => _ = intake.offer(entry),
                None => for gap in intake.gaps(&tips) {
                    let is_missing = |entry: &&Entry| {
                        entry.origin == gap.origin
                            && (gap.after_seq + 1..=gap.up_to).contains(&entry.position.seq)
                    };
                    stream.extend(history.iter().filter(is_missing).cloned());
                }
            }
            if rng.random_bool(0.1) {
                intake.reset(database.clone());
            }
            for entry in intake.ready() {
                assert_is_applicable(&mut done, &entry);
                database.insert(entry.origin.clone(), entry.tip());
                intake.applied(&entry);
                count += 1;
            }
            prop_assert_eq!(&intake.vector(), &done);
            prop_assert!(intake.forks().is_empty());
        }
        prop_assert_eq!(count, history.len());
        prop_assert!(intake.gaps(&tips).is_empty());
        prop_assert!(history.into_iter().all(|entry| intake.offer(entry) == Offered::Old));
    }
}

#[test]
fn waits_for_its_log_and_for_its_dependencies() {
    let us = chain(Tip::default(), "authz.us", 1, 2);
    let eu = after(&Tip::default(), "authz.eu", 1, vector(&[("authz.us", at(1, 2)), ("authz.ap", at(1, 4))]));
    let mut intake = Intake::new(Some(origin("authz.ap")), Applied::new());
    assert_eq!(intake.offer(eu.clone()), Offered::Waiting);
    assert_eq!(intake.offer(us[1].clone()), Offered::Waiting);
    // This region's log is not fetched, though something depends on it.
    let gap = Gap { origin: origin("authz.us"), after_seq: 0, up_to: 1 };
    assert_eq!(intake.gaps(&Vector::default()), [gap]);
    assert_eq!(intake.offer(us[0].clone()), Offered::Ready);
    assert_eq!(intake.offer(us[0].clone()), Offered::Old);
    assert_eq!(settle(&mut intake), us);
    intake.wrote(&vector(&[("authz.ap", at(1, 3))]));
    assert_eq!(settle(&mut intake), []);
    intake.wrote(&vector(&[("authz.ap", at(1, 4))]));
    assert_eq!(settle(&mut intake), [eu]);
    assert_eq!(intake.offer(chain(Tip::default(), "authz.ap", 1, 1).remove(0)), Offered::Old);
}

#[test]
fn gaps_are_named_up_to_what_is_held_or_known() {
    let us = chain(Tip::default(), "authz.us", 1, 9);
    let mut intake = Intake::new(None, applied(&[&us[1]]));
    let gaps = |intake: &Intake, tip: u64| {
        let gaps = intake.gaps(&vector(&[("authz.us", at(1, tip))]));
        gaps.into_iter().map(|gap| (gap.after_seq, gap.up_to)).collect::<Vec<_>>()
    };
    assert_eq!(gaps(&intake, 0), []);
    assert_eq!(gaps(&intake, 2), []);
    assert_eq!(gaps(&intake, 9), [(2, 9)]);
    intake.offer(us[5].clone());
    assert_eq!(gaps(&intake, 9), [(2, 5)]);
    assert_eq!(gaps(&intake, 0), [(2, 5)]);
    us[2..5].iter().for_each(|entry| _ = intake.offer(entry.clone()));
    assert_eq!(gaps(&intake, 9), [(6, 9)]);
    assert_eq!(gaps(&intake, 6), []);
    // An entry of a lost branch was waited for, and a later epoch has come: nothing is missing.
    assert_eq!(intake.gaps(&vector(&[("authz.us", at(0, 9))])), []);
}

#[test]
fn a_later_epoch_goes_on_and_replaces_what_waits() {
    let us = chain(Tip::default(), "authz.us", 1, 8);
    let second = chain(us[2].tip(), "authz.us", 2, 3);
    let mut intake = Intake::new(None, applied(&[&us[0]]));
    // Of the lost branch, not applied.
    us[3..].iter().for_each(|entry| assert_eq!(intake.offer(entry.clone()), Offered::Waiting));
    assert_eq!(intake.offer(second[1].clone()), Offered::Waiting);
    assert_eq!(intake.offer(us[5].clone()), Offered::Old);
    assert_eq!(intake.offer(us[4].clone()), Offered::Old);
    assert_eq!(intake.offer(us[1].clone()), Offered::Ready);
    assert_eq!(intake.offer(us[2].clone()), Offered::Waiting);
    let wanted = vector(&[("authz.us", at(2, 4))]);
    assert_eq!(intake.offer(second[0].clone()), Offered::Waiting);
    assert_eq!(intake.offer(second[2].clone()), Offered::Waiting);
    assert_eq!(settle(&mut intake), [&us[1..3], &second].concat());
    assert!(intake.gaps(&wanted).is_empty() && intake.forks().is_empty());
    us[3..].iter().for_each(|entry| assert_eq!(intake.offer(entry.clone()), Offered::Old));
}

#[test]
fn a_later_epoch_is_fetched_in_the_place_of_what_waits() {
    let us = chain(Tip::default(), "authz.us", 1, 3);
    let waiting = after(&us[0].tip(), "authz.us", 1, vector(&[("authz.eu", at(1, 1))]));
    let second = chain(us[0].tip(), "authz.us", 2, 1);
    let mut intake = Intake::new(None, applied(&[&us[0]]));
    assert_eq!(intake.offer(waiting), Offered::Waiting);
    let gaps = intake.gaps(&vector(&[("authz.us", at(2, 2))]));
    assert!(gaps.contains(&Gap { origin: origin("authz.us"), after_seq: 1, up_to: 2 }), "{gaps:?}");
    assert_eq!(intake.offer(second[0].clone()), Offered::Ready);
    assert_eq!(settle(&mut intake), second);
}

#[test]
fn a_fork_stops_its_log_until_somebody_decides() {
    let us = chain(Tip::default(), "authz.us", 1, 4);
    let other = chain(us[0].tip(), "authz.us", 2, 4);
    let twin = Entry { at: 1, ..us[3].clone() };
    let eu = chain(Tip::default(), "authz.eu", 1, 1);
    let held = applied(&[&us[2]]);
    let forks = [
        (Entry { at: 1, ..us[2].clone() }, "another hash at the tip"),
        (Entry { prev_hash: [7; 32], ..us[3].clone() }, "does not follow the tip"),
        (other[1].clone(), "another branch of a later epoch, at an applied place"),
        (other[2].clone(), "another branch of a later epoch, as the next"),
    ];
    for (fork, why) in forks {
        let mut intake = Intake::new(None, held.clone());
        let expected = Fork { offered: fork.position, applied: us[2].tip() };
        assert_eq!(intake.offer(fork), Offered::Fork(expected), "{why}");
        assert_eq!(intake.offer(us[3].clone()), Offered::Fork(expected), "{why}");
        assert_eq!(intake.forks().get(&origin("authz.us")), Some(&expected), "{why}");
        assert_eq!(intake.gaps(&vector(&[("authz.us", at(1, 9))])), [], "{why}");
        // Other logs go on.
        assert_eq!(intake.offer(eu[0].clone()), Offered::Ready);
        assert_eq!(settle(&mut intake), eu);
        intake.reset(held.clone());
        assert_eq!(intake.offer(us[3].clone()), Offered::Ready, "{why}");
    }
    // Two different entries at one place, neither applied.
    let mut intake = Intake::new(None, held);
    assert_eq!(intake.offer(us[3].clone()), Offered::Ready);
    assert!(matches!(intake.offer(twin), Offered::Fork(_)));
    assert_eq!(intake.ready(), []);
}

/// What does not follow, behind something held, is only found when its turn comes: it is fetched again.
#[test]
fn what_turns_out_not_to_follow_is_fetched_again() {
    let us = chain(Tip::default(), "authz.us", 1, 3);
    let stray = Entry { prev_hash: [9; 32], ..us[2].clone() };
    let mut intake = Intake::new(None, applied(&[&us[0]]));
    assert_eq!(intake.offer(stray), Offered::Waiting);
    assert_eq!(intake.offer(us[1].clone()), Offered::Ready);
    assert_eq!(settle(&mut intake), us[1..2]);
    let gap = Gap { origin: origin("authz.us"), after_seq: 2, up_to: 3 };
    assert_eq!(intake.gaps(&vector(&[("authz.us", at(1, 3))])), [gap]);
    assert_eq!(intake.offer(us[2].clone()), Offered::Ready);
}

#[test]
fn memory_is_bounded_and_the_nearest_are_kept() {
    let us = chain(Tip::default(), "authz.us", 1, HELD_MAX + 10);
    let mut intake = Intake::new(None, Applied::new());
    for entry in us[5..].iter().take(HELD_MAX) {
        assert_eq!(intake.offer(entry.clone()), Offered::Waiting);
    }
    assert_eq!(intake.offer(us[HELD_MAX + 5].clone()), Offered::Full);
    assert_eq!(intake.offer(us[0].clone()), Offered::Ready);
    assert_eq!(intake.logs[&origin("authz.us")].held().count(), HELD_MAX);
    assert_eq!(intake.ready().len(), 1);
    us[1..5].iter().for_each(|entry| _ = intake.offer(entry.clone()));
    assert_eq!(intake.gaps(&vector(&[("authz.us", at(1, HELD_MAX as u64 + 10))])), [], "no room for more");
    assert_eq!(intake.ready(), us[..BATCH_MAX]);
    assert_eq!(settle(&mut intake), us[..HELD_MAX]);

    let mut intake = Intake::new(None, Applied::new());
    let names = (0..ORIGINS_MAX).map(|at| format!("authz.r{at}"));
    let offered: Vec<_> =
        names.map(|name| intake.offer(chain(Tip::default(), &name, 1, 1).remove(0))).collect();
    assert!(offered.iter().all(|offered| *offered == Offered::Ready));
    assert_eq!(intake.offer(us[0].clone()), Offered::Full);
}

#[test]
fn revocations_that_wait_are_given_out_once() {
    let us = chain(Tip::default(), "authz.us", 1, 6);
    let is_revocation = |entry: &Entry| entry.kind == "revoke";
    let mut intake = Intake::new(None, Applied::new());
    us[1..].iter().for_each(|entry| _ = intake.offer(entry.clone()));
    let waiting = intake.waiting_revocations(is_revocation);
    assert_eq!(waiting, [&us[1], &us[2], &us[4], &us[5]].map(Clone::clone));
    assert_eq!(intake.waiting_revocations(is_revocation), []);
    // A new process does not know which were given out.
    intake.reset(applied(&[&us[0]]));
    assert_eq!(intake.waiting_revocations(is_revocation), [], "all are ready");
    assert_eq!(settle(&mut intake), us[1..]);
}

#[test]
fn nothing_is_applied_of_a_paused_log() {
    let us = chain(Tip::default(), "authz.us", 1, 3);
    let is_revocation = |_: &Entry| true;
    let mut intake = Intake::new(None, applied(&[&us[0]]));
    intake.pause(&origin("authz.us"));
    assert_eq!(intake.offer(us[1].clone()), Offered::Waiting);
    assert_eq!((intake.ready(), intake.waiting_revocations(is_revocation)), (Vec::new(), Vec::new()));
    assert_eq!(intake.gaps(&vector(&[("authz.us", at(1, 3))])), []);
    // The origin went on otherwise: what was held is not of its log any more.
    intake.resume(&origin("authz.us"));
    assert_eq!(intake.ready(), []);
    let second = chain(us[0].tip(), "authz.us", 2, 1);
    assert_eq!(intake.offer(second[0].clone()), Offered::Ready);
    intake.resume(&origin("authz.us"));
    assert_eq!(settle(&mut intake), second, "resuming what was not paused drops nothing");
}
