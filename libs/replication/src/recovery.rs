//! What becomes of an origin's log after its database was restored from an older copy, and of what it wrote before it
//! noticed. Pure; the executor does the following, and nothing is written for others meanwhile:
//!
//! 1. It tells the other regions, and each stops to apply entries of this origin ([`crate::Intake::pause`]) and answers
//!    what it holds of it. A region that is not heard may hold a longer tail.
//! 2. If somebody holds entries after the [`common`] point, what was written here after that point is [`cut`] out of the
//!    local log and kept aside: it was acknowledged. Rows are built anew from what stays.
//! 3. The tail is taken back in causal order with everything else that the copy lacks, through an intake that follows the
//!    own log like any other.
//! 4. Once this region's log has the furthest tip that was heard, a new epoch begins ([`next_epoch`]), also if nothing was
//!    lost: an entry that nobody has applied may still be under way, or wait in another region's memory for one that is
//!    lost, and its lower epoch tells it apart. The
//!    entries kept aside are appended in the new epoch ([`re_append`]), and the origin is open again. The epoch is kept
//!    for the next entry; the tip that others are told of stays that of the last entry, or they would wait for
//!    an entry that does not exist.

use std::collections::BTreeSet;

use uuid::Uuid;

use crate::{Entry, Origin, Position, Tip, Vector};

/// How many leading entries two copies of a log share. Both start after a point up to which the copies are equal.
pub fn common(own: &[Entry], theirs: &[Entry]) -> usize {
    own.iter().zip(theirs).take_while(|(own, theirs)| own.tip() == theirs.tip()).count()
}

/// What leaves a local log, and what stays.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cut {
    /// Of this region's log, in its order: kept aside until [`re_append`].
    pub forked: Vec<Entry>,
    /// Of other logs: the positions that they depend on are in the lost tail, and what stood at these positions here was
    /// something else. They are received again.
    pub again: Vec<Entry>,
    /// How far what stays goes. Kept with `forked`.
    pub base: Vector,
}

/// Cuts everything of `own` after `common` out of a local log, and everything that cannot stand without the real tail.
///
/// `since` is the end of the local log: the entries of all origins in the order in which they were applied here, from
/// the first of `own` after `common` on. `before` is how far every log was applied before them.
pub fn cut(before: &Vector, since: &[Entry], own: &Origin, common: Position) -> Cut {
    let others = before.iter().filter(|(origin, _)| *origin != own);
    let mut base: Vector = others.map(|(origin, position)| (origin.clone(), *position)).collect();
    base.advance(own, common);
    let (mut forked, mut again) = (Vec::new(), Vec::new());
    let mut broken: BTreeSet<&Origin> = BTreeSet::new();
    for entry in since {
        if entry.origin == *own {
            if entry.position > common {
                forked.push(entry.clone());
            }
        } else if broken.contains(&entry.origin) || !base.covers(&entry.deps) {
            broken.insert(&entry.origin);
            again.push(entry.clone());
        } else {
            base.advance(&entry.origin, entry.position);
        }
    }
    Cut { forked, again, base }
}

/// The epoch in which a log goes on at `now`, in seconds since 1970: above its own and every one that was heard of it.
///
/// What nobody tells of is no proof that it never was: a database that is put back to the same copy twice, before anybody
/// applied what it wrote in between, would count to the same number twice. So an epoch is the time at which it began, unless
/// the clock is behind what was heard, or past what the number holds (2106).
pub fn next_epoch(own: u32, heard: impl IntoIterator<Item = Position>, now: i64) -> u32 {
    let above = heard.into_iter().map(|position| position.epoch).fold(own, u32::max).saturating_add(1);
    above.max(u32::try_from(now).unwrap_or_default())
}

/// The entries of [`Cut::forked`] as they go on from `tip` in the new `epoch`. Those whose id is in `held` are in the
/// log by now.
///
/// Their dependencies are cut down to `base`: their writer did not see the tail that now stands before them, and they stay
/// concurrent with it ([`crate::Dot::follows`]). So a revocation in the tail holds against them.
pub fn re_append(
    forked: &[Entry],
    base: &Vector,
    tip: &Tip,
    epoch: u32,
    held: &BTreeSet<Uuid>,
) -> Vec<Entry> {
    let mut tip = *tip;
    let mut appended = Vec::new();
    for entry in forked.iter().filter(|entry| !held.contains(&entry.id)) {
        let again = Entry {
            position: Position { epoch, seq: tip.position.seq.saturating_add(1) },
            prev_hash: tip.hash,
            deps: cut_down(&entry.deps, &entry.origin, base),
            signature: None,
            ..entry.clone()
        };
        tip = again.tip();
        appended.push(again);
    }
    appended
}

/// The smaller of the two positions in each log. Not naming this region's log means all of it: then it is the base's.
fn cut_down(deps: &Vector, own: &Origin, base: &Vector) -> Vector {
    let nothing = Position::default();
    let base_of = |origin: &Origin| base.get(origin).unwrap_or(nothing);
    let entry = |(origin, position): (&Origin, &Position)| (origin.clone(), (*position).min(base_of(origin)));
    let own_seen = deps.get(own).map_or(base_of(own), |seen| seen.min(base_of(own)));
    deps.iter().filter(|(origin, _)| *origin != own).map(entry).chain([(own.clone(), own_seen)]).collect()
}

#[cfg(test)]
mod tests;
