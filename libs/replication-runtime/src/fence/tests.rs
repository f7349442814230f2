use replication::Position;

use super::*;

fn tip(epoch: u32, seq: u64, hash: u8) -> Tip {
    Tip { position: Position { epoch, seq }, hash: [hash; 32] }
}

fn region(name: &str) -> Region {
    name.parse().expect("a region")
}

fn copy(relation: Relation, seq: u64) -> Option<Copy> {
    Some(Copy { tip: (seq > 0).then(|| tip(1, seq, 1)), relation })
}

/// A log of some entries, fenced a moment ago, with regions eu and ap configured and nobody heard.
fn fenced() -> Evidence {
    Evidence {
        confirmed: false,
        fenced_for: Duration::from_millis(100),
        is_empty: false,
        took_back: false,
        regions: BTreeMap::from([(region("ap"), None), (region("eu"), None)]),
        lacks_others: false,
        stream: None,
    }
}

fn heard(mut evidence: Evidence, name: &str, relation: Relation, seq: u64) -> Evidence {
    evidence.regions.insert(region(name), copy(relation, seq));
    evidence
}

fn from(name: &str) -> Step {
    Step::Recover(Source::Region(region(name)))
}

#[test]
fn a_copy_is_compared_at_its_own_end() {
    let end = tip(1, 9, 7);
    assert_eq!(relation(None, None, 0), Relation::Within);
    assert_eq!(relation(Some(&tip(0, 0, 0)), None, 0), Relation::Within, "an empty copy");
    assert_eq!(relation(Some(&end), Some([7; 32]), 12), Relation::Within);
    assert_eq!(relation(Some(&end), Some([8; 32]), 12), Relation::Forked);
    assert_eq!(relation(Some(&end), None, 8), Relation::Ahead);
    assert_eq!(relation(Some(&end), None, 12), Relation::Within, "kept no longer");
}

#[test]
fn opens_when_everybody_was_heard_and_nobody_holds_more() {
    let evidence = heard(heard(fenced(), "eu", Relation::Within, 9), "ap", Relation::Within, 0);
    let evidence = Evidence { stream: copy(Relation::Within, 9), ..evidence };
    assert_eq!(decide(&evidence), Step::Confirm);
    let left_behind = Evidence { stream: copy(Relation::Forked, 9), ..evidence };
    assert_eq!(decide(&left_behind), Step::Renew, "the stream ends on a branch that nobody holds");
    assert_eq!(
        decide(&Evidence { took_back: true, stream: copy(Relation::Within, 9), ..left_behind }),
        Step::Renew
    );
}

#[test]
fn waits_until_it_has_of_the_other_logs_what_others_had_but_not_for_ever() {
    let evidence = heard(heard(fenced(), "eu", Relation::Within, 9), "ap", Relation::Within, 0);
    let evidence = Evidence { stream: copy(Relation::Within, 9), lacks_others: true, ..evidence };
    assert_eq!(decide(&evidence), Step::Wait);
    assert_eq!(decide(&Evidence { fenced_for: CATCH_UP_MAX, ..evidence }), Step::Confirm);
}

#[test]
fn waits_for_those_who_have_not_answered_but_not_for_ever() {
    let one = heard(fenced(), "eu", Relation::Within, 9);
    assert_eq!(decide(&one), Step::Wait);
    let late = Evidence { fenced_for: GATHER, ..one };
    assert_eq!(decide(&late), Step::Renew, "somebody was heard");
    let no_stream = heard(heard(fenced(), "eu", Relation::Within, 9), "ap", Relation::Within, 9);
    assert_eq!(decide(&no_stream), Step::Renew, "NATS was not heard: something may be under way in it");
}

#[test]
fn stays_closed_while_nobody_can_be_asked() {
    assert_eq!(decide(&fenced()), Step::Wait);
    let late = || Evidence { fenced_for: GATHER, ..fenced() };
    assert!(matches!(decide(&late()), Step::Close(_)));
    let emptied = Evidence { stream: copy(Relation::Within, 0), ..late() };
    assert!(matches!(decide(&emptied), Step::Close(_)), "an emptied stream proves nothing");
    let forked = Evidence { stream: copy(Relation::Forked, 9), ..late() };
    // The stream's last message is of another branch: only a region can tell which.
    assert!(matches!(decide(&forked), Step::Close(_)));
}

#[test]
fn the_own_stream_proves_that_nothing_published_is_lost() {
    let late = Evidence { fenced_for: GATHER, stream: copy(Relation::Within, 9), ..fenced() };
    assert_eq!(decide(&late), Step::Renew);
    assert_eq!(
        decide(&Evidence { fenced_for: Duration::ZERO, ..late }),
        Step::Wait,
        "regions may answer yet"
    );
}

#[test]
fn a_new_region_opens_alone() {
    let new = Evidence { is_empty: true, fenced_for: GATHER, ..fenced() };
    assert!(matches!(decide(&new), Step::Close(_)), "NATS is away: it may be an emptied database");
    assert_eq!(decide(&Evidence { stream: copy(Relation::Within, 0), ..new }), Step::Renew);
    let emptied = Evidence { is_empty: true, stream: copy(Relation::Ahead, 9), ..fenced() };
    assert_eq!(decide(&emptied), Step::Wait);
    assert_eq!(decide(&Evidence { fenced_for: GATHER, ..emptied }), Step::Recover(Source::Stream));
}

#[test]
fn a_region_without_others_opens_at_once() {
    let alone = || Evidence { regions: BTreeMap::new(), ..fenced() };
    assert_eq!(decide(&alone()), Step::Wait, "its stream is asked first");
    assert_eq!(decide(&Evidence { fenced_for: ALONE, ..alone() }), Step::Confirm);
    let stream = |relation, seq| Evidence { stream: copy(relation, seq), ..alone() };
    assert_eq!(decide(&stream(Relation::Within, 0)), Step::Confirm);
    assert_eq!(decide(&stream(Relation::Ahead, 12)), Step::Recover(Source::Stream));
}

#[test]
fn takes_back_from_whoever_holds_most() {
    let one = heard(fenced(), "eu", Relation::Ahead, 12);
    assert_eq!(decide(&one), Step::Wait, "ap may hold more");
    assert_eq!(decide(&Evidence { fenced_for: GATHER, ..one }), from("eu"));
    let both = |ap| heard(heard(fenced(), "eu", Relation::Ahead, 12), "ap", Relation::Ahead, ap);
    assert_eq!(decide(&both(15)), from("ap"));
    assert_eq!(decide(&both(11)), from("eu"));
    assert_eq!(
        decide(&Evidence { stream: copy(Relation::Ahead, 20), ..both(15) }),
        Step::Recover(Source::Stream)
    );
    assert_eq!(decide(&Evidence { stream: copy(Relation::Ahead, 15), ..both(15) }), from("ap"));
    let fork = heard(heard(fenced(), "eu", Relation::Forked, 5), "ap", Relation::Within, 4);
    assert_eq!(decide(&fork), from("eu"));
}

#[test]
fn a_later_epoch_counts_for_more_than_a_longer_log() {
    let mut evidence = heard(fenced(), "eu", Relation::Ahead, 20);
    let later = Copy { tip: Some(tip(2, 15, 1)), relation: Relation::Ahead };
    evidence.regions.insert(region("ap"), Some(later));
    assert_eq!(decide(&evidence), from("ap"));
}

#[test]
fn an_open_log_rests_until_somebody_holds_more_than_it_ever_wrote() {
    let open = || Evidence { confirmed: true, ..fenced() };
    assert_eq!(decide(&open()), Step::Rest);
    assert_eq!(decide(&heard(open(), "eu", Relation::Within, 9)), Step::Rest);
    assert_eq!(decide(&heard(open(), "eu", Relation::Ahead, 12)), from("eu"), "ap is not waited for");
    assert_eq!(decide(&heard(open(), "ap", Relation::Forked, 8)), from("ap"));
}
