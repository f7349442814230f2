//! Takes back what this region's database has lost after a restore.
//!
//! Usually this region's log is a beginning of what others hold: then the inbox follows this region's log like every other, page by
//! page and in causal order, and the log goes on in a new epoch. Where this region's log went another way before it was fenced,
//! the lost part is gathered first, and put in the place of this region's part in one transaction; that part is appended anew.

use std::collections::BTreeMap;

use ids::Region;
use replication::{Applied, Entry, Gap, Intake, Origin, Tip};
use tokio::time::Instant;

use crate::{
    fence::Failed,
    fetch::{Holder, choose, fetch},
    peers::Unreachable,
    server::PAGE_OPERATIONS_MAX,
    shared::Shared,
};

/// Most entries that a log which went another way takes back.
const REPLACED_MAX: usize = 100_000;
/// By how much further back the next place is compared when the last one was not common.
const SPAN_GROWTH: u64 = 8;

/// How this region's log is brought to what a region holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plan {
    /// The region's copy goes on from this region's end.
    Follow,
    /// The copies part after this entry.
    Replace { common_seq: u64 },
}

/// Compares this region's log with the copy in `region` that ends at `theirs`.
pub async fn plan(shared: &Shared, region: &Region, theirs: &Tip) -> Result<Plan, Failed> {
    let own = own_tip(shared).await?.position.seq;
    let common_seq = common(shared, &shared.own, own, region, theirs.position.seq).await?;
    Ok(if common_seq == own { Plan::Follow } else { Plan::Replace { common_seq } })
}

/// The last entry of `origin` that is the same here, where it ends at `here`, and in `region`, where it ends at `there`.
/// Hashes are chained: equal at one place means equal before. Logs part near their ends, so it is looked for from there.
pub async fn common(
    shared: &Shared,
    origin: &Origin,
    here: u64,
    region: &Region,
    there: u64,
) -> Result<u64, Failed> {
    let end = here.min(there);
    if is_same(shared, origin, region, end).await? {
        return Ok(end);
    }
    let mut span = u64::from(PAGE_OPERATIONS_MAX);
    let mut seq = end.saturating_sub(span);
    while !is_same(shared, origin, region, seq).await? {
        span = span.saturating_mul(SPAN_GROWTH);
        seq = end.saturating_sub(span);
    }
    loop {
        let theirs = shared.peers.fetch(region, origin, seq, PAGE_OPERATIONS_MAX).await?;
        let ours = shared.log.entries(origin, seq, PAGE_OPERATIONS_MAX).await?;
        let same = replication::recovery::common(&ours, &theirs);
        seq = seq.saturating_add(same as u64);
        if same == 0 || same < ours.len().min(theirs.len()) {
            return Ok(seq);
        }
    }
}

async fn is_same(shared: &Shared, origin: &Origin, region: &Region, seq: u64) -> Result<bool, Failed> {
    let Some(before) = seq.checked_sub(1) else { return Ok(true) };
    let page = shared.peers.fetch(region, origin, before, 1).await?;
    let theirs = page.first().ok_or(Unreachable::Unusable("it does not hold what it told of"))?;
    let ours = shared.log.entry(origin, seq).await?;
    Ok(ours.is_some_and(|ours| ours.tip() == theirs.tip()))
}

/// Opens the log in a new epoch, above every one that was heard of.
pub async fn renew(shared: &Shared, heard_epoch: u32) -> Result<(), Failed> {
    let own = own_tip(shared).await?;
    shared.log.recover(own.position.seq, &[], heard_epoch).await?;
    shared.mark_stale();
    tracing::info!(seq = own.position.seq, "this region's log goes on in a new epoch");
    Ok(())
}

/// Puts what others hold after `common_seq` in the place of what is here.
pub async fn replace(
    shared: &Shared,
    region: &Region,
    theirs: &Tip,
    common_seq: u64,
    heard_epoch: u32,
) -> Result<(), Failed> {
    let _applying = shared.hold_applying().await;
    let lost = gather(shared, region, theirs, common_seq).await?;
    tracing::warn!(%region, common_seq, entries = lost.len(), "this region's log went another way; replacing that part");
    shared.log.recover(common_seq, &lost, heard_epoch).await?;
    shared.mark_stale();
    Ok(())
}

/// This region's log after `common_seq` as `region` holds it, with what it depends on of other logs, in causal order.
async fn gather(
    shared: &Shared,
    region: &Region,
    theirs: &Tip,
    common_seq: u64,
) -> Result<Vec<Entry>, Failed> {
    let mut applied: Applied = shared.held().await?;
    let common = match common_seq {
        0 => Tip::default(),
        seq => shared.log.entry(&shared.own, seq).await?.map(|entry| entry.tip()).unwrap_or_default(),
    };
    applied.insert(shared.own.clone(), common);
    let others = shared.known.tips();
    let others = others.iter().filter(|(origin, _)| **origin != shared.own);
    let own_end = [(shared.own.clone(), theirs.position)];
    let tips = others.map(|(origin, position)| (origin.clone(), *position)).chain(own_end).collect();
    let mut intake = Intake::new(None, applied);
    let mut gathered = Vec::new();
    let mut after = BTreeMap::new();
    loop {
        let ready = intake.ready();
        for entry in &ready {
            intake.applied(entry);
        }
        gathered.extend(ready);
        if gathered.len() > REPLACED_MAX {
            return Err(Failed::Impossible("more was lost than can be put in the place of a forked part"));
        }
        let position = intake.vector().get(&shared.own);
        if position.is_some_and(|position| position.seq >= theirs.position.seq) && intake.ready().is_empty() {
            return Ok(gathered);
        }
        let gaps = intake.gaps(&tips);
        if gaps.iter().all(|gap| after.get(&gap.origin) == Some(&gap.after_seq)) && intake.ready().is_empty()
        {
            return Err(Failed::Impossible("what was lost cannot be put in order"));
        }
        for gap in gaps {
            after.insert(gap.origin.clone(), gap.after_seq);
            for entry in page(shared, region, gap).await? {
                intake.offer(entry);
            }
        }
    }
}

/// This region's log comes from `region`, others from whoever holds them.
async fn page(shared: &Shared, region: &Region, gap: Gap) -> Result<Vec<Entry>, Failed> {
    let now = Instant::now();
    let holders: Vec<Holder> = shared
        .known
        .holders(&gap.origin, now)
        .into_iter()
        .filter(|(holder, ..)| holder != shared.region())
        .map(|(region, seq, heard_ago)| Holder { region, seq, heard_ago, failed_ago: None })
        .collect();
    let from = if gap.origin == shared.own {
        region.clone()
    } else {
        let chosen = choose(&gap.origin, gap.after_seq, &holders);
        chosen.ok_or(Failed::Impossible("nobody who is heard holds what the lost part depends on"))?.clone()
    };
    Ok(fetch(shared.peers.clone(), from, gap).await.page?)
}

async fn own_tip(shared: &Shared) -> Result<Tip, postgres::Error> {
    Ok(shared.held().await?.get(&shared.own).copied().unwrap_or_default())
}
