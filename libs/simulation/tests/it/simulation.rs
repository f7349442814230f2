//! Schedules from fixed and from random seeds.

use random::Random;

use crate::schedule::{GATEWAYS, Seen, run};

/// Schedules of each test, unless `LANDBRIDGE_SIMULATION_SEEDS` says how many.
const SCHEDULES: u64 = 4;

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable}: a number")))
}

fn go_through(seeds: impl Iterator<Item = u64>) -> Seen {
    let mut seen = Seen::default();
    let gateways = number("LANDBRIDGE_SIMULATION_GATEWAYS").unwrap_or(GATEWAYS as u64) as usize;
    for seed in seeds {
        if let Err(failure) = run((seed, gateways), &mut seen, |_| {}) {
            panic!(
                "{}\nto see it again: LANDBRIDGE_SIMULATION_SEED={} cargo test --test it simulation\nlast of what happened:\n{}",
                failure.violation, failure.seed, failure.trace
            );
        }
    }
    println!("{seen:?}");
    seen
}

#[test]
fn nodes_become_equal_from_fixed_seeds() {
    let seeds: Vec<u64> = match number("LANDBRIDGE_SIMULATION_SEED") {
        Some(seed) => vec![seed],
        None => (0..SCHEDULES).collect(),
    };
    let all = seeds.len() as u64 == SCHEDULES;
    let seen = go_through(seeds.into_iter());
    let happened = [seen.kills, seen.restores, seen.cuts, seen.harms, seen.documents, seen.revocations];
    assert!(
        !all || (happened.into_iter().all(|count| count > 0) && seen.snapshots > 10 && seen.deltas > 20),
        "{seen:?}"
    );
}

#[test]
fn nodes_become_equal_from_random_seeds() {
    if number("LANDBRIDGE_SIMULATION_SEED").is_none() {
        let count = number("LANDBRIDGE_SIMULATION_SEEDS").unwrap_or(SCHEDULES);
        go_through((0..count).map(|_| Random::system().number()));
    }
}
