use std::{
    collections::{BTreeSet, HashMap},
    thread,
};

use proptest::prelude::*;

use super::*;
use crate::{
    hash::{hash, mix},
    health::{Observed, Source, Thresholds},
};

const SECOND: Duration = Duration::from_secs(1);
const POLICIES: [Policy; 4] =
    [Policy::RoundRobin, Policy::LeastConnections, Policy::Hashing, Policy::Latency];
/// One timeout takes an endpoint down.
const RULES: Rules = Rules {
    active: Thresholds { successes: 0, tcp_failures: 0, http_failures: 0, timeouts: 0 },
    passive: Thresholds { successes: 0, tcp_failures: 0, http_failures: 0, timeouts: 1 },
    active_brings_back: false,
};

fn settings(policy: Policy) -> Settings {
    Settings { policy, slots: 1_000, threshold: 0.0, slow_start: Duration::ZERO, rules: RULES }
}

fn member(n: usize, weight: u32) -> Member {
    Member { endpoint: Arc::default(), key: hash(format!("10.0.0.{n}:80").as_bytes()), weight, tier: 0 }
}

fn members(weights: &[u32]) -> Vec<Member> {
    weights.iter().enumerate().map(|(n, weight)| member(n, *weight)).collect()
}

fn balancer(policy: Policy, weights: &[u32]) -> Balancer {
    Balancer::new(settings(policy), members(weights), None)
}

/// A source of the same numbers each time.
fn numbers() -> impl Fn() -> u64 {
    let drawn = std::cell::Cell::new(0u64);
    move || {
        drawn.set(drawn.get() + 1);
        mix(drawn.get().wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }
}

fn pick(balancer: &Balancer, now: Duration, key: Option<u64>, random: &dyn Fn() -> u64) -> Option<Pick> {
    balancer.pick(&Draw { now, key, tried: &[], random })
}

fn picks(balancer: &Balancer, count: usize) -> HashMap<usize, usize> {
    let (mut picks, random) = (HashMap::new(), numbers());
    for _ in 0..count {
        *picks.entry(pick(balancer, SECOND, None, &random).expect("one is up").member).or_default() += 1;
    }
    picks
}

fn take_down(balancer: &Balancer, place: usize) {
    balancer.members()[place].endpoint.health().set(false);
    balancer.settle();
}

#[test]
fn shares_are_exact_across_threads() {
    let balancer = balancer(Policy::RoundRobin, &[5, 3, 2]);
    let picked: Vec<HashMap<usize, usize>> = thread::scope(|scope| {
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(|| picks(&balancer, 5_000))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let of = |place| picked.iter().map(|picks| picks.get(&place).copied().unwrap_or_default()).sum::<usize>();
    assert_eq!((of(0), of(1), of(2)), (10_000, 6_000, 4_000));
}

#[test]
fn the_others_keep_their_shares_when_one_is_down() {
    let balancer = balancer(Policy::RoundRobin, &[1, 1, 2, 0]);
    take_down(&balancer, 0);
    assert_eq!(picks(&balancer, 300), HashMap::from([(1, 100), (2, 200)]));
}

#[test]
fn a_change_goes_on_where_the_last_one_was() {
    let one = balancer(Policy::RoundRobin, &[1, 1, 1]);
    let random = numbers();
    assert_eq!(pick(&one, SECOND, None, &random).unwrap().member, 0);
    let next = Balancer::new(settings(Policy::RoundRobin), one.members().to_vec(), Some(&one));
    assert_eq!(pick(&next, SECOND, None, &random).unwrap().member, 1);
}

/// Four clients, one request at a time each, of which an endpoint that is slow needs ten times as long.
fn closed_loop(policy: Policy, weights: &[u32], took: &[u64]) -> Vec<usize> {
    let (balancer, random) = (balancer(policy, weights), numbers());
    let mut counts = vec![0; weights.len()];
    let mut under_way: Vec<(u64, usize, crate::InFlight)> = Vec::new();
    for millisecond in 0..20_000 {
        let now = Duration::from_millis(millisecond);
        under_way.retain(|(end, place, _)| {
            if *end <= millisecond {
                balancer.members()[*place].endpoint.answered(now, Duration::from_millis(took[*place]));
            }
            *end > millisecond
        });
        while under_way.len() < 4 {
            let place = pick(&balancer, now, None, &random).unwrap().member;
            counts[place] += 1;
            under_way.push((millisecond + took[place], place, balancer.members()[place].endpoint.begin()));
        }
    }
    counts
}

#[test]
fn a_slow_endpoint_gets_fewer_requests_by_least_connections_and_by_latency() {
    let in_turn = closed_loop(Policy::RoundRobin, &[1, 1, 1], &[2, 2, 50]);
    assert!(in_turn[0].abs_diff(in_turn[2]) <= 1, "{in_turn:?}");
    for policy in [Policy::LeastConnections, Policy::Latency] {
        let counts = closed_loop(policy, &[1, 1, 1], &[2, 2, 50]);
        assert!(counts[0].min(counts[1]) > 10 * counts[2], "{policy:?}: {counts:?}");
        assert!(counts.iter().sum::<usize>() > 4 * in_turn.iter().sum::<usize>(), "{counts:?} {in_turn:?}");
    }
    // Where one of three is down, the other two have equal turns.
    let two_up = balancer(Policy::LeastConnections, &[1, 1, 1]);
    take_down(&two_up, 0);
    assert_eq!(picks(&two_up, 300), HashMap::from([(1, 150), (2, 150)]));
    // The share of equals follows the weights, and equals without requests take turns.
    let counts = closed_loop(Policy::LeastConnections, &[3, 1], &[10, 10]);
    assert!((2.9..3.1).contains(&(counts[0] as f64 / counts[1] as f64)), "{counts:?}");
    assert_eq!(
        picks(&balancer(Policy::LeastConnections, &[1, 1, 1]), 300),
        HashMap::from([(0, 100), (1, 100), (2, 100)])
    );
}

#[test]
fn an_endpoint_that_refuses_quickly_is_not_a_fast_one() {
    let balancer = balancer(Policy::Latency, &[1, 1]);
    balancer.members()[0].endpoint.failed(SECOND, Duration::from_micros(100));
    balancer.members()[1].endpoint.answered(SECOND, Duration::from_millis(30));
    assert_eq!(picks(&balancer, 100), HashMap::from([(1, 100)]));
}

#[test]
fn only_the_keys_of_an_endpoint_that_is_down_move_and_they_come_back() {
    let balancer = balancer(Policy::Hashing, &[100; 5]);
    let random = numbers();
    let owners = || -> Vec<usize> {
        (0..3_000u32)
            .map(|n| pick(&balancer, SECOND, Some(hash(&n.to_be_bytes())), &random).unwrap().member)
            .collect()
    };
    let before = owners();
    assert_eq!(before, owners());
    take_down(&balancer, 2);
    let meanwhile = owners();
    for (before, meanwhile) in before.iter().zip(&meanwhile) {
        assert!(if *before == 2 { *meanwhile != 2 } else { before == meanwhile });
    }
    let fallen: BTreeSet<usize> =
        before.iter().zip(&meanwhile).filter(|(before, _)| **before == 2).map(|(_, now)| *now).collect();
    assert_eq!(fallen, BTreeSet::from([0, 1, 3, 4]), "they are spread over all others");
    balancer.members()[2].endpoint.health().set(true);
    balancer.settle();
    assert_eq!(owners(), before);
    // Those without a key take turns.
    assert_eq!(picks(&balancer, 500).values().copied().collect::<Vec<_>>(), [100; 5]);
}

#[test]
fn below_the_threshold_nobody_takes_requests() {
    let balancer = Balancer::new(
        Settings { threshold: 50.0, ..settings(Policy::RoundRobin) },
        members(&[3, 1, 2]),
        None,
    );
    take_down(&balancer, 2);
    assert!(pick(&balancer, SECOND, None, &numbers()).is_some(), "four of six are up");
    take_down(&balancer, 1);
    assert!(pick(&balancer, SECOND, None, &numbers()).is_some(), "three of six are up");
    take_down(&balancer, 0);
    balancer.members()[2].endpoint.health().set(true);
    balancer.settle();
    assert_eq!(pick(&balancer, SECOND, None, &numbers()), None);
}

#[test]
fn where_nearly_all_are_down_the_others_share_by_weight_and_where_all_are_nobody_is_asked() {
    for policy in POLICIES {
        let weights: Vec<u32> = (0..1_000).map(|n| [1, 3, 7, 100][n % 4]).collect();
        let balancer = balancer(policy, &weights);
        let fails = |place: usize| {
            let health = balancer.members()[place].endpoint.health();
            assert!(health.observe(Source::Passive, Observed::Timeout, &RULES, SECOND).is_some());
            balancer.settle();
        };
        (0..1_000).filter(|place| ![500, 501].contains(place)).for_each(fails);
        let picks = picks(&balancer, 4_000);
        assert!(picks.keys().all(|place| [500, 501].contains(place)), "{policy:?}: {picks:?}");
        if matches!(policy, Policy::RoundRobin | Policy::Hashing) {
            assert!((2_800..=3_200).contains(&picks[&501]), "{policy:?}: {picks:?}");
        }
        [500, 501].into_iter().for_each(fails);
        let random = || -> u64 { panic!("nobody draws") };
        assert_eq!(pick(&balancer, SECOND, None, &random), None, "{policy:?}");
        // Ten seconds later each is tried once, whoever looked meanwhile.
        let tried = (0..2_000).filter_map(|_| pick(&balancer, 12 * SECOND, None, &random));
        assert_eq!(tried.map(|pick| pick.member).collect::<BTreeSet<_>>().len(), 1_000, "{policy:?}");
    }
}

#[test]
fn a_later_tier_takes_what_no_earlier_one_can() {
    let mut members = members(&[1, 1, 1]);
    members[0].tier = 7;
    members[2].tier = 7;
    for policy in POLICIES {
        let balancer = Balancer::new(settings(policy), members.clone(), None);
        assert_eq!(picks(&balancer, 10), HashMap::from([(1, 10)]));
        take_down(&balancer, 1);
        assert_eq!(picks(&balancer, 200).keys().copied().collect::<BTreeSet<_>>(), BTreeSet::from([0, 2]));
        balancer.members()[1].endpoint.health().set(true);
    }
}

#[test]
fn an_endpoint_that_is_down_is_tried_by_one_request_and_a_retry_tries_none() {
    for policy in POLICIES {
        let (balancer, random) = (balancer(policy, &[1, 1]), numbers());
        let down = &balancer.members()[0].endpoint;
        down.health().observe(Source::Passive, Observed::Timeout, &RULES, SECOND);
        balancer.settle();
        assert_eq!(picks(&balancer, 10), HashMap::from([(1, 10)]));
        let later = 12 * SECOND;
        let retry = Draw { now: later, key: None, tried: &[1], random: &random };
        assert_eq!(balancer.pick(&retry), None);
        assert_eq!(pick(&balancer, later, None, &random), Some(Pick { member: 0, is_trial: true }));
        assert_eq!(pick(&balancer, later, None, &random), Some(Pick { member: 1, is_trial: false }));
    }
    // A key tries only the endpoint that it belongs to.
    let (balancer, random) = (balancer(Policy::Hashing, &[1, 1]), numbers());
    balancer.members()[0].endpoint.health().observe(Source::Passive, Observed::Timeout, &RULES, SECOND);
    balancer.settle();
    let table = Table::new(
        1_000,
        members(&[1, 1]).iter().map(|member| Candidate { key: member.key, weight: 1 }).collect(),
        None,
    );
    let key_of = |owner| (0u64..).map(mix).find(|key| table.owner(table.slot(*key)) == Some(owner)).unwrap();
    let (own, other) = (key_of(0), key_of(1));
    assert_eq!(pick(&balancer, 12 * SECOND, Some(other), &random), Some(Pick { member: 1, is_trial: false }));
    assert_eq!(pick(&balancer, 12 * SECOND, Some(own), &random), Some(Pick { member: 0, is_trial: true }));
}

#[test]
fn an_endpoint_that_has_just_come_gets_its_share_step_by_step() {
    for policy in [Policy::RoundRobin, Policy::Hashing] {
        let mut members = members(&[1, 1]);
        members[1].endpoint = Arc::new(Endpoint::coming(100 * SECOND));
        let settings = Settings { slow_start: 10 * SECOND, ..settings(policy) };
        let (balancer, random) = (Balancer::new(settings, members, None), numbers());
        let share = |seconds: u32| {
            let of_it = (0..4_000u64)
                .filter(|n| pick(&balancer, seconds * SECOND, Some(mix(*n)), &random).unwrap().member == 1);
            of_it.count() as f64 / 4_000.0
        };
        let shares = [100, 103, 106, 110].map(share);
        assert!(shares[0] > 0.02 && shares.is_sorted(), "{shares:?}");
        assert!(shares[0] < 0.12 && (0.45..0.55).contains(&shares[3]), "{policy:?}: {shares:?}");
        // The only one takes all.
        take_down(&balancer, 0);
        assert_eq!(pick(&balancer, 100 * SECOND, Some(1), &random).unwrap().member, 1);
    }
}

proptest! {
    /// Nobody gets a request that is down, was tried, or has the weight 0. And if there is somebody else, somebody gets it.
    #[test]
    fn nobody_is_picked_that_must_not_be(
        held in prop::collection::vec((0u32..4, any::<bool>(), any::<bool>(), 0u16..3), 0..8),
        policy in 0usize..4,
        keys in prop::collection::vec(prop::option::of(any::<u64>()), 1..20),
    ) {
        let (up, tried): (Vec<bool>, Vec<bool>) = held.iter().map(|(_, up, tried, _)| (*up, *tried)).unzip();
        let members: Vec<Member> =
            held.iter().enumerate().map(|(n, (weight, _, _, tier))| Member { tier: *tier, ..member(n, *weight) }).collect();
        let may = |place: &usize| up[*place] && !tried[*place] && members[*place].weight > 0;
        let could: Vec<usize> = (0..members.len()).filter(may).collect();
        for (member, up) in members.iter().zip(&up) {
            member.endpoint.health().set(*up);
        }
        let balancer = Balancer::new(settings(POLICIES[policy]), members.clone(), None);
        let tried: Vec<usize> = (0..tried.len()).filter(|place| tried[*place]).collect();
        let random = numbers();
        for key in keys {
            let picked = balancer.pick(&Draw { now: SECOND, key, tried: &tried, random: &random });
            match picked {
                Some(picked) => prop_assert!(could.contains(&picked.member) && !picked.is_trial),
                None => prop_assert!(could.is_empty()),
            }
            let first = could.iter().map(|place| members[*place].tier).min();
            prop_assert_eq!(picked.map(|picked| members[picked.member].tier), first);
        }
    }
}
