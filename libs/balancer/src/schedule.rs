//! Weighted round robin as a list of turns that is walked over and over.
//!
//! An endpoint of weight w has the turns that are due at (2k + 1) / 2w of a round, for each k below w: the earliest due comes first. So
//! each endpoint gets exactly its share of a round, spread evenly over it, and no two endpoints alternate in bursts.

/// Who has each turn, as indexes into `weights`. Those of weight 0 have none. At most about `turns_max` turns: where the weights, divided by
/// what they have in common, come to more, they are scaled down, but none to 0.
pub fn schedule(weights: &[u32], turns_max: usize) -> Vec<u32> {
    let weights = reduced(weights, turns_max as u64);
    let mut turns: Vec<(u64, u64, u32)> = Vec::new();
    for (weight, index) in weights.into_iter().zip(0u32..) {
        turns.extend((0..weight).map(|turn| (2 * turn + 1, weight, index)));
    }
    // The fractions are compared without dividing. Both factors are below 2³³.
    turns.sort_by(|(due, weight, index), (other_due, other_weight, other_index)| {
        (due * other_weight).cmp(&(other_due * weight)).then(index.cmp(other_index))
    });
    turns.into_iter().map(|(.., index)| index).collect()
}

fn reduced(weights: &[u32], turns_max: u64) -> Vec<u64> {
    let weights: Vec<u64> = weights.iter().copied().map(u64::from).collect();
    let weights = without_common_factor(weights);
    let total: u64 = weights.iter().sum();
    if total <= turns_max {
        return weights;
    }
    let scaled = |weight: u64| if weight == 0 { 0 } else { (weight * turns_max / total).max(1) };
    without_common_factor(weights.into_iter().map(scaled).collect())
}

fn without_common_factor(weights: Vec<u64>) -> Vec<u64> {
    let common = weights.iter().copied().fold(0, greatest_common_divisor).max(1);
    weights.into_iter().map(|weight| weight / common).collect()
}

fn greatest_common_divisor(one: u64, other: u64) -> u64 {
    if other == 0 { one } else { greatest_common_divisor(other, one % other) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::schedule;

    fn turns_of(turns: &[u32], index: u32) -> usize {
        turns.iter().filter(|turn| **turn == index).count()
    }

    #[test]
    fn turns_are_spread() {
        assert_eq!(schedule(&[100, 100, 100], 10_000), [0, 1, 2]);
        assert_eq!(schedule(&[4, 2, 2], 10_000), [0, 1, 2, 0]);
        assert_eq!(schedule(&[5, 1], 10_000), [0, 0, 0, 1, 0, 0]);
        assert_eq!(schedule(&[0, 7], 10_000), [1]);
        assert!(schedule(&[0, 0], 10_000).is_empty() && schedule(&[], 10_000).is_empty());
    }

    proptest! {
        #[test]
        fn a_round_has_the_exact_shares(weights in prop::collection::vec(0u32..40, 1..12)) {
            let turns = schedule(&weights, 10_000);
            let total: u32 = weights.iter().sum();
            for (index, weight) in (0u32..).zip(&weights) {
                prop_assert_eq!(turns_of(&turns, index) * total as usize, *weight as usize * turns.len());
            }
        }

        /// In any part of a round, nobody is ahead of its share or behind it by more than one turn and the ties.
        #[test]
        fn no_part_of_a_round_is_unfair(weights in prop::collection::vec(1u32..40, 1..12)) {
            let turns = schedule(&weights, 10_000);
            let total = f64::from(weights.iter().sum::<u32>());
            for (index, weight) in (0u32..).zip(&weights) {
                for end in 0..turns.len() {
                    let due = end as f64 * f64::from(*weight) / total;
                    let had = turns_of(&turns[..end], index) as f64;
                    let bound = 1.0 + weights.len() as f64 / 2.0 * f64::from(*weight) / total;
                    prop_assert!((had - due).abs() <= bound, "{} of {} at {}", had, due, end);
                }
            }
        }

        #[test]
        fn the_length_is_bounded_and_the_shares_nearly_met(
            weights in prop::collection::vec(0u32..=65_535, 1..50),
            turns_max in 10usize..2000,
        ) {
            let turns = schedule(&weights, turns_max);
            prop_assert!(turns.len() <= turns_max + weights.len());
            let total: u32 = weights.iter().sum();
            for (index, weight) in (0u32..).zip(&weights) {
                let (had, due) = (turns_of(&turns, index), f64::from(*weight) / f64::from(total.max(1)));
                prop_assert_eq!(had == 0, *weight == 0);
                if *weight > 0 {
                    let error = (had as f64 / turns.len() as f64 - due).abs();
                    prop_assert!(error <= (1.0 + weights.len() as f64) / turns.len() as f64, "off by {}", error);
                }
            }
        }
    }
}
