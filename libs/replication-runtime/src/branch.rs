//! Branches that a log has left. An origin whose database was restored goes on from where it is when no other region can be
//! asked, or when one was not heard; whoever held more then stands on a branch that the log has left.
//!
//! Nothing that was acknowledged is lost by that. The origin takes over every entry of such a branch that it does not
//! have ([`Branches::is_given_up`] tells when it has all). Whoever stands on the branch goes back to where the branches part
//! and follows the origin ([`leave`]), once each entry that it would give up is in the origin's log.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use ids::Region;
use pace::Rounds;
use replication::{Origin, Tip};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::{
    fence::Failed, known::HEARD_RECENTLY, recovery::common, server::PAGE_OPERATIONS_MAX, shared::Shared,
};

/// Other regions' logs are compared with their origins this often.
const COMPARE_INTERVAL: Duration = Duration::from_secs(1);
/// Entries of a branch that are looked at; one that is longer is left to an operator.
const BRANCH_MAX: usize = 100_000;

/// Branches of this region's log that other regions hold and whose entries are all here, by region.
#[derive(Default)]
pub struct Branches(BTreeMap<Region, Tip>);

impl Branches {
    /// Whether the copy in `region` that ends at `tip` has no entry that is not here, at whatever place.
    pub async fn is_given_up(&mut self, shared: &Shared, region: &Region, tip: &Tip) -> Result<bool, Failed> {
        if self.0.get(region) == Some(tip) {
            return Ok(true);
        }
        let here = shared.held().await?.get(&shared.own).copied().unwrap_or_default();
        // A branch is left for a newer epoch.
        if tip.position.epoch >= here.position.epoch {
            return Ok(false);
        }
        let parted = common(shared, &shared.own, here.position.seq, region, tip.position.seq).await?;
        let theirs = ids_there(shared, &shared.own, region, parted, None).await?;
        let ours = ids_here(shared, &shared.own, parted).await?;
        let given_up = theirs.is_subset(&ours);
        if given_up {
            self.0.insert(region.clone(), *tip);
        }
        Ok(given_up)
    }
}

/// Compares the logs of other regions with their origins until `stop`, and leaves branches that they have left.
pub async fn run(shared: Arc<Shared>, stop: CancellationToken) {
    let mut rounds = Rounds::new(COMPARE_INTERVAL, stop.clone());
    let regions: Vec<Region> = shared.peers.regions().cloned().collect();
    while rounds.next().await {
        for region in &regions {
            let left = stop.run_until_cancelled(leave(&shared, region)).await;
            if let Some(Err(error)) = left {
                tracing::debug!(%region, %error, "that region's log was not compared");
            }
        }
    }
}

/// Goes back to where the copy here of `region`'s log parts from the log itself, if it does and nothing is lost by it.
async fn leave(shared: &Shared, region: &Region) -> Result<(), Failed> {
    let origin = shared.own.in_region(region);
    let Some(heard) = shared.known.of(region) else { return Ok(()) };
    let is_open = !heard.told.fenced && heard.at.elapsed() <= HEARD_RECENTLY;
    let (Some(there), true) = (heard.told.held.get(&origin), is_open) else { return Ok(()) };
    let held = shared.held().await?;
    let Some(here) = held.get(&origin).filter(|here| here.position.seq > 0) else { return Ok(()) };
    if !may_have_parted(here, there) {
        return Ok(());
    }
    let parted = common(shared, &origin, here.position.seq, region, there.position.seq).await?;
    if parted == here.position.seq {
        return Ok(());
    }
    let ours = ids_here(shared, &origin, parted).await?;
    let theirs = ids_there(shared, &origin, region, parted, Some(&ours)).await?;
    if !ours.is_subset(&theirs) {
        tracing::warn!(%origin, parted, "the log has left the branch that is held here; it is asked to take it over");
        return Ok(());
    }
    tracing::warn!(%origin, parted, entries = ours.len(), "following the log to its other branch");
    let _applying = shared.hold_applying().await;
    // Nothing was applied meanwhile, or what was compared no longer holds.
    if shared.held().await?.get(&origin) == Some(here) {
        shared.log.cut_back(&origin, parted).await?;
        shared.mark_stale();
    }
    Ok(())
}

/// Whether it is worth to compare: a log that only goes on has no newer epoch and is never shorter than its copy.
fn may_have_parted(here: &Tip, there: &Tip) -> bool {
    there.position.epoch > here.position.epoch
        || (there.position.epoch == here.position.epoch
            && there.position.seq == here.position.seq
            && there.hash != here.hash)
}

async fn ids_here(shared: &Shared, origin: &Origin, after_seq: u64) -> Result<BTreeSet<Uuid>, Failed> {
    let (mut ids, mut after) = (BTreeSet::new(), after_seq);
    while ids.len() <= BRANCH_MAX {
        let page = shared.log.entries(origin, after, PAGE_OPERATIONS_MAX).await?;
        let Some(last) = page.last() else { return Ok(ids) };
        after = last.position.seq;
        ids.extend(page.iter().map(|entry| entry.id));
    }
    Err(Failed::Impossible("a branch is too long to be compared"))
}

/// Ids in `region`'s copy; no more than it takes to have all that are `wanted`.
async fn ids_there(
    shared: &Shared,
    origin: &Origin,
    region: &Region,
    after_seq: u64,
    wanted: Option<&BTreeSet<Uuid>>,
) -> Result<BTreeSet<Uuid>, Failed> {
    let (mut ids, mut after) = (BTreeSet::new(), after_seq);
    while ids.len() <= BRANCH_MAX {
        let page = shared.peers.fetch(region, origin, after, PAGE_OPERATIONS_MAX).await?;
        let Some(last) = page.last() else { return Ok(ids) };
        after = last.position.seq;
        ids.extend(page.iter().map(|entry| entry.id));
        if wanted.is_some_and(|wanted| wanted.is_subset(&ids)) {
            return Ok(ids);
        }
    }
    Err(Failed::Impossible("a branch is too long to be compared"))
}

#[cfg(test)]
mod tests {
    use replication::Position;

    use super::*;

    #[test]
    fn only_a_new_epoch_or_another_end_at_the_same_place_is_looked_into() {
        let tip = |epoch, seq, hash| Tip { position: Position { epoch, seq }, hash: [hash; 32] };
        assert!(!may_have_parted(&tip(1, 9, 1), &tip(1, 9, 1)), "equal");
        assert!(!may_have_parted(&tip(1, 9, 1), &tip(1, 12, 2)), "it goes on");
        assert!(!may_have_parted(&tip(1, 9, 1), &tip(1, 7, 2)), "told before what has come since");
        assert!(may_have_parted(&tip(1, 9, 1), &tip(2, 12, 2)));
        assert!(may_have_parted(&tip(1, 9, 1), &tip(2, 5, 2)));
        assert!(may_have_parted(&tip(1, 9, 1), &tip(1, 9, 2)));
    }
}
