//! Whether this region's log may be written to. A database that was started anew may be a copy from the past, which does not know
//! what it has lost; writing to it would give one position two meanings. So after every start of the database's server the
//! log is fenced until its end has been compared with what others hold of it: other regions, and this region's stream.
//!
//! [`decide`] is pure; what it finds is done by [`mod@watch`]. The comparison goes on while the log is open: somebody who
//! holds more than was ever written here means that the database was exchanged unnoticed.

mod watch;

use std::{collections::BTreeMap, time::Duration};

use ids::Region;
use replication::{Hash, Tip};

pub use self::watch::{Failed, watch};

/// How long all regions are waited for; then those that have answered must do. Whoever answers later and holds more is
/// heard then.
const GATHER: Duration = Duration::from_secs(2);
/// How long a region that has no other waits for its own stream.
const ALONE: Duration = Duration::from_secs(1);
/// How long a region waits until it also has of the *other* logs what the regions that have answered had then. Its database
/// may have forgotten them too, and what it has shown once it must not call absent. After that time one of those logs is
/// taken to stand still for another reason.
const CATCH_UP_MAX: Duration = Duration::from_secs(60);

/// The state of this region's log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fence {
    /// Writes are taken.
    Open,
    /// The log's end is being compared with what others hold of it.
    Checking,
    /// Others hold more; it is being taken back.
    Recovering,
    /// Nobody can be asked. Read-only until somebody can be, or an operator accepts what is here.
    Closed(String),
}

/// How another copy of this region's log stands to this region's database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Relation {
    /// It has nothing that is not here.
    Within,
    /// It ends after this region's end.
    Ahead,
    /// It ends before this region's end, in another entry than is here.
    Forked,
}

/// Compares a copy's end with `here`, the hash of the entry at the same place in this region's database, whose log ends at
/// `own_seq`. Entries that every region has may be kept no longer.
fn relation(theirs: Option<&Tip>, here: Option<Hash>, own_seq: u64) -> Relation {
    match (theirs, here) {
        (None, _) => Relation::Within,
        (Some(theirs), None) if theirs.position.seq <= own_seq => Relation::Within,
        (Some(_), None) => Relation::Ahead,
        (Some(theirs), Some(hash)) if theirs.hash == hash => Relation::Within,
        (Some(_), Some(_)) => Relation::Forked,
    }
}

/// A copy of this region's log, compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Copy {
    /// Where it ends; `None` for an empty one.
    tip: Option<Tip>,
    relation: Relation,
}

impl Copy {
    fn has_more(&self) -> bool {
        self.relation != Relation::Within
    }
}

/// Where lost entries are taken back from.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Source {
    Region(Region),
    /// This region's stream.
    Stream,
}

/// All that a decision depends on.
struct Evidence {
    /// Whether the log is open: confirmed under the database server that runs now.
    confirmed: bool,
    /// How long it has been fenced.
    fenced_for: Duration,
    /// Whether this region's log has no entry.
    is_empty: bool,
    /// Whether anything was taken back since it was fenced.
    took_back: bool,
    /// Every other region that is configured; `None` while it has not answered since the log was fenced.
    regions: BTreeMap<Region, Option<Copy>>,
    /// Whether a region that has answered had more of another log then than is here now.
    lacks_others: bool,
    /// This region's stream; `None` while NATS cannot be asked. It is not asked while the log is open.
    stream: Option<Copy>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Step {
    /// The log is open and stays so.
    Rest,
    /// Everybody was heard and nobody holds more: open it.
    Confirm,
    /// Open it in a new epoch: something was taken back, or somebody who was not heard may hold more.
    Renew,
    Wait,
    Close(&'static str),
    Recover(Source),
}

fn decide(evidence: &Evidence) -> Step {
    let Evidence { regions, stream, .. } = evidence;
    let heard = || regions.values().flatten();
    let all_heard = regions.values().all(Option::is_some);
    let has_gathered = all_heard || evidence.fenced_for >= GATHER;

    if let Some(source) = furthest(evidence) {
        // The one that holds most is wanted, so all are heard first; an open log is fenced before.
        return if evidence.confirmed || has_gathered { Step::Recover(source) } else { Step::Wait };
    }
    if evidence.confirmed {
        return Step::Rest;
    }
    if evidence.lacks_others && evidence.fenced_for < CATCH_UP_MAX {
        return Step::Wait;
    }
    let in_stream = stream.map(|copy| copy.relation);
    let is_proven = !evidence.took_back && in_stream != Some(Relation::Forked);
    let opened = if is_proven { Step::Confirm } else { Step::Renew };
    if regions.is_empty() {
        let is_known = stream.is_some() || evidence.fenced_for >= ALONE;
        return if is_known { opened } else { Step::Wait };
    }
    if all_heard && stream.is_some() {
        return opened;
    }
    if !has_gathered {
        return Step::Wait;
    }
    if heard().next().is_some() {
        return Step::Renew;
    }
    match stream {
        // What was published is here, and more than that nobody but an unheard region can have seen.
        Some(Copy { tip: Some(_), relation: Relation::Within }) => Step::Renew,
        // A new region: neither database nor stream has ever held anything.
        Some(Copy { tip: None, .. }) if evidence.is_empty => Step::Renew,
        _ => Step::Close("no other region has confirmed that this database is whole"),
    }
}

/// Who holds most of what is not here.
fn furthest(evidence: &Evidence) -> Option<Source> {
    let regions =
        evidence.regions.iter().filter_map(|(region, copy)| Some((Source::Region(region.clone()), (*copy)?)));
    // Of a stream only an end can be taken back: for another branch somebody has to be asked who has all of it.
    let stream = evidence.stream.filter(|copy| copy.relation == Relation::Ahead);
    let copies = regions.chain(stream.map(|copy| (Source::Stream, copy)));
    let more = copies.filter(|(_, copy)| copy.has_more());
    // The first of equals: a region before the stream.
    let place = |copy: &Copy| copy.tip.map(|tip| tip.position);
    more.reduce(|most, next| if place(&next.1) > place(&most.1) { next } else { most })
        .map(|(source, _)| source)
}

#[cfg(test)]
mod tests;
