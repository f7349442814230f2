use std::{
    collections::HashMap,
    sync::atomic::{AtomicU64, Ordering},
    thread,
};

use clock::Clock;
use proptest::prelude::*;
use time::{Duration, macros::datetime};

use super::*;

const NOW_MS: u64 = 1_800_000_000_000;

fn subject(who: u128) -> Subject {
    Subject { scope: 7, kind: 0, who }
}

fn limit(period: Period, max: u64) -> Limit {
    Limit { period, max }
}

/// Says the same as the table, from the list of all that was counted.
#[derive(Default)]
struct Model(HashMap<(u128, Period), Vec<u64>>);

impl Model {
    fn take(&mut self, who: u128, limits: &[Limit], windows: Windows, now_ms: u64) -> (bool, Vec<u64>) {
        let used: Vec<u64> = limits
            .iter()
            .map(|limit| {
                let times = self.0.get(&(who, limit.period)).map(Vec::as_slice).unwrap_or_default();
                let window = limit.period.window(now_ms / 1000);
                let before = limit.period.before(window.start);
                let within = |from: u64, to: u64| {
                    times.iter().filter(|at| (from..to).contains(&(**at / 1000))).count() as u128
                };
                let (now, then) = (within(window.start, window.end), within(before, window.start));
                let weighted = then * u128::from(window.end * 1000 - now_ms) / u128::from(window.length_ms());
                u64::try_from(if windows == Windows::Sliding { now + weighted } else { now }).unwrap()
            })
            .collect();
        let is_within = limits.iter().zip(&used).all(|(limit, used)| *used < limit.max);
        if is_within {
            for limit in limits {
                self.0.entry((who, limit.period)).or_default().push(now_ms);
            }
        }
        (is_within, used)
    }
}

fn limits() -> impl Strategy<Value = Vec<Limit>> {
    proptest::sample::subsequence(Period::ALL.to_vec(), 1..=PERIODS).prop_flat_map(|periods| {
        let count = periods.len();
        proptest::collection::vec(1_u64..12, count)
            .prop_map(move |max| periods.iter().zip(max).map(|(period, max)| limit(*period, max)).collect())
    })
}

proptest! {
    #[test]
    fn counts_as_a_plain_list_does(
        limits in limits(),
        sliding in any::<bool>(),
        steps in proptest::collection::vec((0_u128..3, prop_oneof![0_u64..400, 0_u64..90_000, 0_u64..4_000_000_000]), 1..200),
    ) {
        let windows = if sliding { Windows::Sliding } else { Windows::Fixed };
        let (table, mut model, mut now) = (Table::new(Period::Hour), Model::default(), NOW_MS);
        for (who, step) in steps {
            now += step;
            let taken = table.take(subject(who), &limits, windows, now, 1);
            let (is_within, used) = model.take(who, &limits, windows, now);
            prop_assert_eq!((taken.is_within, &taken.used[..limits.len()]), (is_within, &used[..]));
            if step % 7 == 0 {
                table.sweep(now);
            }
        }
    }

    #[test]
    fn when_it_resets_there_is_room(
        max in 1_u64..30,
        sliding in any::<bool>(),
        steps in proptest::collection::vec(0_u64..40_000, 1..100),
    ) {
        let windows = if sliding { Windows::Sliding } else { Windows::Fixed };
        let (table, limits, mut now) = (Table::new(Period::Hour), [limit(Period::Minute, max)], NOW_MS);
        for step in steps {
            now += step;
            let taken = table.take(subject(1), &limits, windows, now, 1);
            if !taken.is_within {
                now += taken.resets_ms[0] + 1;
                let again = table.take(subject(1), &limits, windows, now, 1);
                prop_assert!(again.is_within, "{taken:?} {again:?}");
            }
        }
    }
}

#[test]
fn as_many_pass_as_the_limit_allows() {
    let (table, passed) = (Table::new(Period::Hour), AtomicU64::new(0));
    let limits = [limit(Period::Second, 1000), limit(Period::Hour, 500), limit(Period::Day, 900)];
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..625 {
                    if table.take(subject(1), &limits, Windows::Fixed, NOW_MS, 1).is_within {
                        passed.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
        }
    });
    assert_eq!(passed.into_inner(), 500);
    // What one limit refuses is not counted by the others.
    assert_eq!(table.take(subject(1), &limits, Windows::Fixed, NOW_MS, 0).used[..3], [500, 500, 500]);
}

#[test]
fn a_clock_that_goes_back_a_little_forgets_nothing() {
    let (table, limits) = (Table::new(Period::Hour), [limit(Period::Minute, 2)]);
    let take = |now: u64| table.take(subject(1), &limits, Windows::Fixed, now, 1).is_within;
    assert!(take(NOW_MS) && take(NOW_MS - 1) && !take(NOW_MS - 1) && !take(NOW_MS));
    // One that was wrong by a day begins anew when it is right again.
    assert!(take(NOW_MS - 86_400_000));
}

#[test]
fn a_full_table_forgets_the_lowest() {
    let table = Table::with_room(Period::Hour, 64 * 32);
    let limits = [limit(Period::Day, 100)];
    for _ in 0..100 {
        assert!(table.take(subject(0), &limits, Windows::Fixed, NOW_MS, 1).is_within);
    }
    for who in 1..100_000 {
        assert!(table.take(subject(who), &limits, Windows::Fixed, NOW_MS, 1).is_within);
    }
    assert_eq!(table.len(), 64 * 32);
    assert!(!table.take(subject(0), &limits, Windows::Fixed, NOW_MS, 1).is_within);
}

#[test]
fn what_is_over_is_dropped() {
    let (table, day) = (Table::new(Period::Year), 86_400_000);
    let limits = [limit(Period::Second, 5), limit(Period::Day, 5)];
    for who in 0..10_000 {
        let _ = table.take(subject(who), &limits, Windows::Fixed, NOW_MS, 1);
    }
    table.sweep(NOW_MS + 1000);
    assert_eq!(table.len(), 20_000);
    table.sweep(NOW_MS + 3000);
    assert_eq!(table.len(), 10_000);
    table.sweep(NOW_MS + 3 * day);
    assert_eq!(table.len(), 0);
}

#[test]
fn two_processes_on_one_folder_count_together() {
    let folder = tempfile::tempdir().unwrap();
    let disk = disk::Disk::open(folder.path()).unwrap();
    let (old, new) = (Table::new(Period::Hour), Table::new(Period::Hour));
    let limits = [limit(Period::Minute, 100), limit(Period::Hour, 100)];
    let take = |table: &Table, count: u64| table.take(subject(1), &limits, Windows::Fixed, NOW_MS, count);
    let keep = |table: &Table| table.settle(disk.add(&table.changes()).unwrap());
    let _ = take(&old, 10);
    keep(&old);
    new.settle(disk.load(NOW_MS).unwrap());
    let _ = (take(&old, 5), take(&new, 3));
    keep(&old);
    keep(&new);
    // The minute is not kept; the old process hears of the new one's when it writes again.
    assert_eq!(take(&new, 0).used[..2], [3, 18]);
    assert_eq!(take(&old, 1).used[..2], [15, 15]);
    keep(&old);
    assert_eq!(take(&old, 0).used[..2], [16, 19]);
    assert_eq!(disk.load(NOW_MS + 3 * 3_600_000).unwrap(), []);
    disk.sweep(NOW_MS + 3 * 3_600_000).unwrap();
    assert_eq!(disk.load(NOW_MS).unwrap(), []);
}

#[test]
fn what_could_not_be_kept_is_kept_later() {
    let table = Table::new(Period::Hour);
    let limits = [limit(Period::Hour, 100)];
    let _ = table.take(subject(1), &limits, Windows::Fixed, NOW_MS, 4);
    let changes = table.changes();
    let _ = table.take(subject(1), &limits, Windows::Fixed, NOW_MS, 2);
    table.restore(changes);
    let changes = table.changes();
    assert_eq!(changes.iter().map(|change| change.added).collect::<Vec<_>>(), [6]);
    assert_eq!(table.changes(), []);
}

#[test]
fn long_windows_survive_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let clock = Clock::manual(datetime!(2027-01-15 08:00:30 UTC));
    let now = |clock: &Clock| u64::try_from(clock.unix_seconds()).unwrap() * 1000;
    let limits = [limit(Period::Minute, 100), limit(Period::Hour, 100), limit(Period::Year, 100)];
    let take = |counters: &Counters, count| {
        counters.table().take(subject(1), &limits, Windows::Fixed, now(&clock), count).used
    };
    let start = || {
        let counters = Counters::default();
        counters.keep_in(folder.path().join("counters"), clock.clone());
        counters
    };
    let counters = start();
    take(&counters, 12);
    drop(counters);
    let counters = start();
    assert_eq!(take(&counters, 1)[..3], [0, 12, 12]);
    drop(counters);
    clock.advance(Duration::hours(1));
    assert_eq!(take(&start(), 0)[..3], [0, 0, 13]);
}
