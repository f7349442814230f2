use proptest::prelude::*;

use super::{Observed::*, Source::*, *};

const THREE: Thresholds = Thresholds { successes: 2, tcp_failures: 3, http_failures: 3, timeouts: 2 };
const PASSIVE: Rules = Rules {
    passive: Thresholds { successes: 0, ..THREE },
    active: Thresholds { successes: 0, tcp_failures: 0, http_failures: 0, timeouts: 0 },
    active_brings_back: false,
};
const BOTH: Rules = Rules { passive: PASSIVE.passive, active: THREE, active_brings_back: true };

fn at(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn see(health: &Health, source: Source, observed: &[Observed], rules: &Rules) -> Vec<Option<Shift>> {
    observed.iter().map(|observed| health.observe(source, *observed, rules, at(100))).collect()
}

#[test]
fn failures_of_one_kind_in_turn_take_it_down_and_a_success_makes_them_forgotten() {
    let health = Health::default();
    let seen = see(&health, Passive, &[HttpFailure, HttpFailure, Success, HttpFailure, HttpFailure], &BOTH);
    assert!(seen.iter().all(Option::is_none) && health.is_up());
    let seen = see(&health, Passive, &[TcpFailure, Timeout, Neutral, TcpFailure, HttpFailure], &BOTH);
    assert_eq!(seen, [None, None, None, None, Some(Shift::Down)]);
    // More of them change nothing. Two successes of active checks in turn bring it back.
    let seen = see(&health, Active, &[Success, HttpFailure, Success, Success], &BOTH);
    assert_eq!(seen, [None, None, None, Some(Shift::Up)]);
    assert!(see(&health, Passive, &[HttpFailure, HttpFailure], &BOTH).iter().all(Option::is_none));
}

#[test]
fn a_health_page_does_not_hide_requests_that_fail() {
    let health = Health::default();
    for _ in 0..2 {
        assert_eq!(see(&health, Passive, &[HttpFailure], &BOTH), [None]);
        assert_eq!(see(&health, Active, &[Success], &BOTH), [None]);
    }
    assert_eq!(see(&health, Passive, &[HttpFailure], &BOTH), [Some(Shift::Down)]);
}

#[test]
fn without_active_checks_one_request_at_a_time_tries_it() {
    let health = Health::default();
    see(&health, Passive, &[Timeout, Timeout], &PASSIVE);
    assert!(!health.is_up() && !health.takes_trial(at(109)));
    assert!(health.takes_trial(at(110)) && !health.takes_trial(at(110)));
    // It fails: the pause doubles, up to five minutes.
    assert_eq!(health.observe(Trial, TcpFailure, &PASSIVE, at(111)), None);
    // What was in flight when it went down does not count.
    assert_eq!(health.observe(Passive, TcpFailure, &PASSIVE, at(112)), None);
    assert!(!health.takes_trial(at(130)) && health.takes_trial(at(131)));
    // A request of which nothing is heard holds it for a pause.
    assert!(!health.takes_trial(at(140)) && health.takes_trial(at(141)));
    for n in 0..10 {
        health.observe(Trial, Timeout, &PASSIVE, at(1_000 * n));
    }
    assert!(!health.takes_trial(at(9_299)) && health.takes_trial(at(9_300)));
    // An answer that is no failure brings it back, and the pause is short again.
    assert_eq!(health.observe(Passive, Neutral, &PASSIVE, at(9_301)), None);
    assert_eq!(health.observe(Trial, Neutral, &PASSIVE, at(9_301)), Some(Shift::Up));
    see(&health, Passive, &[Timeout, Timeout], &PASSIVE);
    assert!(health.takes_trial(at(110)));
}

#[test]
fn with_a_threshold_of_successes_that_many_trials_must_succeed() {
    let health = Health::default();
    let rules = Rules { passive: THREE, ..PASSIVE };
    see(&health, Passive, &[Timeout, Timeout], &rules);
    assert!(health.takes_trial(at(110)));
    assert_eq!(health.observe(Trial, Success, &rules, at(110)), None);
    assert!(health.takes_trial(at(110)));
    assert_eq!(health.observe(Trial, Success, &rules, at(110)), Some(Shift::Up));
}

#[test]
fn what_hands_took_down_comes_back_by_hand_or_by_active_checks() {
    let health = Health::default();
    assert_eq!((health.set(true), health.set(false), health.set(false)), (None, Some(Shift::Down), None));
    assert_eq!(see(&health, Trial, &[Success, Success], &PASSIVE), [None, None]);
    assert!(!health.takes_trial(at(1_000_000)) && health.adopt(&Rules::default(), at(1)).is_none());
    assert_eq!(see(&health, Active, &[Success, Success], &BOTH), [None, Some(Shift::Up)]);
    health.set(false);
    assert_eq!(health.set(true), Some(Shift::Up));
}

#[test]
fn under_other_rules_nothing_stays_down_for_ever() {
    let health = Health::default();
    see(&health, Passive, &[Timeout, Timeout], &BOTH);
    assert!(!health.takes_trial(at(1_000)));
    assert_eq!(health.adopt(&PASSIVE, at(200)), None);
    assert!(health.takes_trial(at(200)));
    assert_eq!((health.adopt(&BOTH, at(201)), health.takes_trial(at(1_000))), (None, false));
    assert_eq!(health.adopt(&Rules::default(), at(202)), Some(Shift::Up));
}

proptest! {
    /// With thresholds of 0 nothing ever changes.
    #[test]
    fn zero_is_never(observed in prop::collection::vec(0usize..5, 0..600)) {
        let health = Health::default();
        for index in observed {
            let observed = [Success, Neutral, HttpFailure, TcpFailure, Timeout][index];
            for source in [Active, Passive] {
                prop_assert_eq!(health.observe(source, observed, &Rules::default(), at(1)), None);
            }
        }
        prop_assert!(health.is_up());
    }

    /// It goes down exactly at the failure that reaches its threshold since the last success.
    #[test]
    fn it_goes_down_at_its_threshold(observed in prop::collection::vec(0usize..4, 0..60)) {
        let (health, mut counts) = (Health::default(), [0; 3]);
        for index in observed {
            let observed = [HttpFailure, TcpFailure, Timeout, Success][index];
            match counts.get_mut(index) {
                Some(count) => *count += 1,
                None => counts = [0; 3],
            }
            let shift = health.observe(Passive, observed, &BOTH, at(1));
            let is_due = counts[0] >= 3 || counts[1] >= 3 || counts[2] >= 2;
            prop_assert_eq!((shift == Some(Shift::Down), health.is_up()), (is_due, !is_due));
            if is_due {
                break;
            }
        }
    }
}
