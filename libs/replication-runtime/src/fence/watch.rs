//! Gathers the evidence and does what it asks for, again and again, in the replica that holds the lease.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use ids::Region;
use oplog::ReceiveError;
use pace::ticks;
use replication::{Applied, Entry, Origin, Tip, Vector};
use tokio::{sync::mpsc, time::Instant};
use tokio_util::sync::CancellationToken;

use super::{Copy, Evidence, Fence, Relation, Source, Step, decide, relation};
use crate::{
    branch::Branches,
    known::HEARD_RECENTLY,
    metrics,
    peers::Unreachable,
    recovery::{self, Plan},
    shared::{Following, Shared},
    stream::{Away, OwnStream},
};

/// The evidence is looked at this often; while the log is fenced, also whenever a region was heard.
const TICK: Duration = Duration::from_millis(250);
/// Pause after something failed.
const RETRY_DELAY: Duration = Duration::from_millis(500);
/// The end of this region's stream is read back this often while it is what the log is taken back from.
const STREAM_READ_INTERVAL: Duration = Duration::from_secs(1);
/// Readings of the stream without which the log has moved: what is in it does not follow what is here.
const STREAM_READS_MAX: u32 = 5;

/// A step of the check of a fenced log did not come to its end. It is tried again after [`RETRY_DELAY`].
#[derive(Debug, thiserror::Error)]
pub enum Failed {
    #[error(transparent)]
    Database(#[from] postgres::Error),
    #[error(transparent)]
    Receive(#[from] ReceiveError),
    #[error(transparent)]
    Unreachable(#[from] Unreachable),
    #[error(transparent)]
    Away(#[from] Away),
    #[error("{0}")]
    Impossible(&'static str),
}

/// Since the log was fenced.
struct Check {
    since: Instant,
    took_back: bool,
    /// What each region held of the other logs when it first answered.
    others: BTreeMap<Region, Vector>,
    /// When this region's stream was last read back, after which entry, and how often so.
    read_back: Option<(Instant, u64, u32)>,
}

impl Check {
    /// Only the first answer counts: what is written since then arrives as always.
    fn note_others(&mut self, region: &Region, held: &Applied, own: &Origin) {
        let others = held.iter().filter(|(origin, _)| *origin != own);
        let others = || others.map(|(origin, tip)| (origin.clone(), tip.position)).collect();
        self.others.entry(region.clone()).or_insert_with(others);
    }

    fn lacks_others(&self, here: &Vector) -> bool {
        !self.others.values().all(|held| here.covers(held))
    }
}

/// Runs until `stop`. What is read back of this region's stream goes to `inbox` like everything that is received.
pub async fn watch(
    shared: Arc<Shared>,
    stream: OwnStream,
    inbox: mpsc::Sender<Entry>,
    stop: CancellationToken,
) {
    let (compared, branches) = (BTreeMap::new(), Branches::default());
    let mut fence = Watch { shared, stream, inbox, check: None, compared, branches };
    let mut heard = fence.shared.known.changes();
    let mut ticks = ticks(TICK);
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            Ok(()) = heard.changed(), if fence.check.is_some() => {}
            () = stop.cancelled() => return,
        }
        let outcome = stop.run_until_cancelled(fence.step()).await;
        if let Some(Err(error)) = outcome {
            tracing::warn!(%error, "whether this region's log is whole could not be found out; trying again");
            stop.run_until_cancelled(tokio::time::sleep(RETRY_DELAY)).await;
        }
    }
}

struct Watch {
    shared: Arc<Shared>,
    stream: OwnStream,
    inbox: mpsc::Sender<Entry>,
    /// While the log is fenced.
    check: Option<Check>,
    /// Copies that had nothing more while the log was open: as long as they do not change, neither does that.
    compared: BTreeMap<Region, Tip>,
    branches: Branches,
}

impl Watch {
    async fn step(&mut self) -> Result<(), Failed> {
        let evidence = self.gather().await?;
        match decide(&evidence) {
            Step::Rest | Step::Wait => {}
            Step::Confirm => {
                self.follow(Following::Others);
                self.shared.log.confirm().await?;
            }
            Step::Renew => {
                self.follow(Following::Others);
                let _applying = self.shared.hold_applying().await;
                recovery::renew(&self.shared, heard_epoch(&evidence)).await?;
            }
            Step::Close(reason) => self.show(Fence::Closed(reason.to_owned())),
            Step::Recover(source) => self.recover(source, &evidence).await?,
        }
        Ok(())
    }

    async fn gather(&mut self) -> Result<Evidence, Failed> {
        let shared = self.shared.clone();
        let told = match &self.check {
            None => shared.told_lately().await?,
            Some(_) => shared.tell().await?,
        };
        let confirmed = !told.fenced;
        let now = Instant::now();
        if self.check.is_some() || !confirmed {
            self.compared.clear();
        }
        if confirmed {
            if self.check.take().is_some() {
                tracing::info!("this region's log is open");
                self.follow(Following::Others);
            }
        } else if self.check.is_none() {
            tracing::warn!("this region's log is fenced until its end was compared with what others hold");
            self.check =
                Some(Check { since: now, took_back: false, others: BTreeMap::new(), read_back: None });
            shared.links.ask_all();
        }
        let mut regions = BTreeMap::new();
        for region in shared.peers.regions() {
            // What it tells of this log and cannot prove may be true or made up: it counts as not heard.
            let heard =
                shared.known.of(region).filter(|heard| !heard.told.not_believed.contains(&shared.own));
            let held = heard.and_then(|heard| match &mut self.check {
                None => {
                    let is_heard = now.saturating_duration_since(heard.at) <= HEARD_RECENTLY;
                    is_heard.then_some(heard.told.held)
                }
                // While fenced only an answer counts that stays true: of a region that applies nothing of this log now.
                Some(check) => {
                    let answer = heard.while_fenced.filter(|answer| answer.asked_at >= check.since)?;
                    check.note_others(region, &answer.held, &shared.own);
                    Some(answer.held)
                }
            });
            let copy = match held {
                Some(held) => self.compare_region(region, held.get(&shared.own).copied()).await?,
                None => None,
            };
            regions.insert(region.clone(), copy);
        }
        Ok(Evidence {
            confirmed,
            fenced_for: self.check.as_ref().map_or(Duration::ZERO, |check| now.duration_since(check.since)),
            is_empty: told.held.get(&shared.own).is_none_or(|tip| tip.position.seq == 0),
            took_back: self.check.as_ref().is_some_and(|check| check.took_back),
            lacks_others: self.check.as_ref().is_some_and(|check| check.lacks_others(&told.vector())),
            regions,
            stream: match told.held.get(&shared.own) {
                _ if confirmed => None,
                own => self.compare_stream(own.map_or(0, |own| own.position.epoch)).await,
            },
        })
    }

    /// A region on a branch that was given up, all of whose entries are here by now, holds nothing more. `None`: it holds
    /// more or not, but does not answer which.
    async fn compare_region(&mut self, region: &Region, tip: Option<Tip>) -> Result<Option<Copy>, Failed> {
        if tip.is_some() && self.compared.get(region) == tip.as_ref() {
            return Ok(Some(Copy { tip, relation: Relation::Within }));
        }
        let mut copy = self.compare(tip).await?;
        if let (Some(tip), false, None) = (tip, copy.has_more(), &self.check) {
            self.compared.insert(region.clone(), tip);
        }
        if let Some(tip) = tip.filter(|_| copy.has_more()) {
            match self.branches.is_given_up(&self.shared, region, &tip).await {
                Ok(true) => copy.relation = Relation::Within,
                Ok(false) => {}
                Err(Failed::Unreachable(error)) => {
                    tracing::debug!(%region, %error, "its copy of this region's log could not be compared");
                    return Ok(None);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(Some(copy))
    }

    /// What the stream holds of an epoch before this region's was given up when this region's began.
    async fn compare_stream(&self, epoch: u32) -> Option<Copy> {
        let last = match self.stream.last().await {
            Ok(last) => last.map(|last| last.entry.tip()).filter(|tip| tip.position.epoch >= epoch),
            Err(error) => {
                tracing::debug!(%error, "this region's stream could not be asked");
                return None;
            }
        };
        self.compare(last).await.ok()
    }

    /// The copy's end is known before this region's database is asked: what is not here then was never here.
    async fn compare(&self, tip: Option<Tip>) -> Result<Copy, postgres::Error> {
        let shared = &self.shared;
        let here = match tip {
            Some(tip) if tip.position.seq > 0 => shared.log.entry(&shared.own, tip.position.seq).await?,
            _ => None,
        };
        let here = here.map(|entry| entry.hash());
        let own_seq = shared.held().await?.get(&shared.own).map_or(0, |tip| tip.position.seq);
        Ok(Copy { tip, relation: relation(tip.as_ref(), here, own_seq) })
    }

    async fn recover(&mut self, source: Source, evidence: &Evidence) -> Result<(), Failed> {
        let shared = self.shared.clone();
        if evidence.confirmed {
            tracing::error!(?source, "somebody holds more of this region's log than is here: fencing it");
            shared.log.suspect().await?;
            return Ok(());
        }
        let Some(check) = &mut self.check else { return Ok(()) };
        if !check.took_back {
            tracing::warn!(?source, "taking back what this database has lost");
            ::metrics::counter!(metrics::RECOVERIES).increment(1);
            check.took_back = true;
        }
        if !matches!(*self.shared.fence.borrow(), Fence::Closed(_)) {
            self.show(Fence::Recovering);
        }
        match source {
            Source::Region(region) => {
                let tip = evidence.regions.get(&region).copied().flatten().and_then(|copy| copy.tip);
                let tip = tip.ok_or(Failed::Impossible("a copy that has more has no end"))?;
                match recovery::plan(&shared, &region, &tip).await? {
                    Plan::Follow => self.follow(Following::All),
                    Plan::Replace { common_seq } => {
                        self.follow(Following::Others);
                        recovery::replace(&shared, &region, &tip, common_seq, heard_epoch(evidence)).await?;
                    }
                }
            }
            Source::Stream => self.read_back().await?,
        }
        Ok(())
    }

    /// The stream's end goes the way of everything received.
    async fn read_back(&mut self) -> Result<(), Failed> {
        self.follow(Following::All);
        let Some(check) = &mut self.check else { return Ok(()) };
        let now = Instant::now();
        if check.read_back.is_some_and(|(at, ..)| now.duration_since(at) < STREAM_READ_INTERVAL) {
            return Ok(());
        }
        let held = self.shared.held().await?;
        let own_seq = held.get(&self.shared.own).map_or(0, |tip| tip.position.seq);
        let times = match check.read_back {
            Some((_, seq, times)) if seq == own_seq => times.saturating_add(1),
            _ => 1,
        };
        check.read_back = Some((now, own_seq, times));
        if times > STREAM_READS_MAX {
            let reason = "this region's stream holds entries that are not here and do not follow what is";
            self.show(Fence::Closed(reason.to_owned()));
        }
        for entry in self.stream.tail(own_seq).await? {
            let sent = self.inbox.send(entry).await;
            sent.map_err(|_| Failed::Impossible("the inbox is closed"))?;
        }
        Ok(())
    }

    fn follow(&self, following: Following) {
        self.shared.following.send_if_modified(|now| std::mem::replace(now, following) != following);
    }

    fn show(&self, fence: Fence) {
        self.shared.fence.send_if_modified(|now| {
            let news = *now != fence;
            if let (true, Fence::Closed(reason)) = (news, &fence) {
                tracing::error!(reason, "this region's log is closed; `accept-restore` opens it as it is");
            }
            *now = fence;
            news
        });
    }
}

/// The newest epoch that anybody told of this region's log.
fn heard_epoch(evidence: &Evidence) -> u32 {
    let regions = evidence.regions.values().flatten();
    let copies = regions.chain(evidence.stream.as_ref());
    copies.filter_map(|copy| copy.tip).map(|tip| tip.position.epoch).max().unwrap_or_default()
}
