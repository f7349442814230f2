//! Waits for what another region has written and this one has not applied yet. Used before a token or a key is called
//! unknown. Example: a token that was made in eu a moment ago is shown in us; us waits for eu's entry before it answers.
//!
//! There are two ways to be sure that nothing more will come: the entry is applied here, or the region that writes the log
//! says itself that its log does not reach so far. If neither is known in time, the answer is 503, never 401.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use access::Unavailable;
use ids::{Region, ServiceName};
use oplog::Replica;
use replication::{Origin, Position, Vector};
use replication_runtime::Replication;
use tokio::{sync::Semaphore, time::timeout};

/// How long a request waits.
pub const WAIT_MAX: Duration = Duration::from_secs(2);
/// Requests that wait at once. Anybody can make up a token that names a far place; what is beyond is answered 503 at once.
const WAITING_MAX: usize = 256;

/// What is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// The entry at this position of the region's log. Epoch 0: it is not known in which epoch it was written.
    Place(Position),
    /// All that the region has written by now.
    Everything,
}

/// How a wait ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrival {
    /// Everything up to the wanted entry is applied here. The caller looks again.
    Arrived,
    /// The entry was never written.
    Never,
}

/// Waits for other regions. Cheap to clone; clones share the limit of requests that wait.
#[derive(Clone)]
pub struct Arrivals {
    log: Replica,
    replication: Replication,
    regions: Arc<BTreeSet<Region>>,
    waiting: Arc<Semaphore>,
}

impl Arrivals {
    /// `regions` are the other regions of the deployment.
    pub fn new(log: Replica, replication: Replication, regions: BTreeSet<Region>) -> Self {
        Self { log, replication, regions: Arc::new(regions), waiting: Arc::new(Semaphore::new(WAITING_MAX)) }
    }

    /// Waits for what `region` wrote, at most two seconds. To be called after looking for it in vain.
    pub async fn wait_for(&self, region: &Region, wanted: Wanted) -> Result<Arrival, Unavailable> {
        let origin = self.log.origin().in_region(region);
        if origin == *self.log.origin() {
            return self.own(&origin, wanted).await;
        }
        if !self.regions.contains(region) {
            return Ok(Arrival::Never);
        }
        let Ok(_permit) = self.waiting.try_acquire() else {
            return Err(self.not_yet(&origin, wanted));
        };
        self.replication.hurry();
        let arrival = timeout(WAIT_MAX, async {
            match wanted {
                Wanted::Place(wanted) => self.place(&origin, wanted).await,
                Wanted::Everything => self.everything(&origin).await,
            }
        });
        arrival.await.ok().flatten().ok_or_else(|| self.not_yet(&origin, wanted))
    }

    /// This region's own rows are complete, unless its database may be a copy from the past.
    async fn own(&self, origin: &Origin, wanted: Wanted) -> Result<Arrival, Unavailable> {
        match self.log.is_confirmed().await {
            Ok(true) => Ok(Arrival::Never),
            Ok(false) => Err(self.not_yet(origin, wanted)),
            Err(error) => Err(Unavailable::new(ServiceName::Identity, &error)),
        }
    }

    /// Whichever is known first: that the entry at `wanted` is applied here, or that the origin's log does not reach it.
    async fn place(&self, origin: &Origin, wanted: Position) -> Option<Arrival> {
        let (seq, applied) = (wanted.seq, self.wait_applied(origin, wanted));
        let asked = self.replication.ask_tip(origin);
        tokio::pin!(applied, asked);
        tokio::select! {
            biased;
            arrived = &mut applied => return arrived,
            // After a restore, other regions may hold more of the origin's log than the origin itself.
            end = &mut asked => if was_never_written(end, seq) && !self.is_told_of(origin, seq) {
                return Some(Arrival::Never);
            },
        }
        applied.await
    }

    fn is_told_of(&self, origin: &Origin, seq: u64) -> bool {
        self.replication.tips().get(origin).is_some_and(|tip| tip.seq >= seq)
    }

    async fn everything(&self, origin: &Origin) -> Option<Arrival> {
        let seq = self.replication.ask_tip(origin).await?;
        self.wait_applied(origin, Position { epoch: 0, seq }).await
    }

    async fn wait_applied(&self, origin: &Origin, wanted: Position) -> Option<Arrival> {
        let mut applied = self.log.watch_applied();
        let here = applied.borrow().get(origin);
        let place = place_to_reach(here, self.replication.tips().get(origin), wanted);
        applied.wait_for(|applied| applied.get(origin).is_some_and(|here| here.seq >= place)).await.ok()?;
        Some(Arrival::Arrived)
    }

    fn not_yet(&self, origin: &Origin, wanted: Wanted) -> Unavailable {
        let epoch = self.log.watch_applied().borrow().get(origin).unwrap_or_default().epoch;
        let seq = match wanted {
            Wanted::Place(Position { seq, .. }) => seq,
            Wanted::Everything => 0,
        };
        Unavailable::not_yet(Vector::from_iter([(origin.clone(), Position { epoch, seq })]))
    }
}

/// The sequence number up to which a log has to be applied, so that what was written at `wanted` is. Here it is applied up to
/// `here`; its known end is `tip`. If the origin was restored since it wrote that, in a later epoch, it may follow at another place,
/// up to that end. Where the epoch of `wanted` is not known, it counts as the one that is applied here.
fn place_to_reach(here: Option<Position>, tip: Option<Position>, wanted: Position) -> u64 {
    let epoch = match wanted.epoch {
        0 => here.unwrap_or_default().epoch,
        epoch => epoch,
    };
    match tip {
        Some(tip) if tip.epoch > epoch => wanted.seq.max(tip.seq),
        _ => wanted.seq,
    }
}

/// Whether the end of a log, as its own region has just told, says that nothing was ever written at `seq`. `None`: that region
/// cannot be asked.
fn was_never_written(end: Option<u64>, seq: u64) -> bool {
    end.is_some_and(|end| end < seq)
}

#[cfg(test)]
mod tests {
    use replication::Position;

    use super::{place_to_reach, was_never_written};

    fn at(epoch: u32, seq: u64) -> Option<Position> {
        Some(Position { epoch, seq })
    }

    #[test]
    fn what_a_restored_region_moved_is_waited_for() {
        let seven = Position { epoch: 0, seq: 7 };
        assert_eq!(place_to_reach(None, None, seven), 7);
        assert_eq!(place_to_reach(at(1, 5), at(1, 9), seven), 7);
        assert_eq!(place_to_reach(at(2, 5), at(2, 9), seven), 7);
        assert_eq!(place_to_reach(at(1, 9), at(2, 12), seven), 12, "it may lie between 10 and 12 now");
        assert_eq!(place_to_reach(None, at(1, 9), seven), 9, "nothing is here: any epoch is a later one");
        assert_eq!(place_to_reach(at(1, 5), at(2, 6), seven), 7);

        let of_first = Position { epoch: 1, seq: 7 };
        assert_eq!(place_to_reach(None, at(1, 9), of_first), 7);
        assert_eq!(
            place_to_reach(at(2, 8), at(2, 12), of_first),
            12,
            "the epoch that is here says nothing about it"
        );
        assert_eq!(place_to_reach(at(1, 5), at(2, 12), Position { epoch: 2, seq: 7 }), 7);
    }

    #[test]
    fn only_the_origin_itself_can_say_never() {
        assert!(was_never_written(Some(6), 7));
        assert!(!was_never_written(Some(7), 7));
        assert!(!was_never_written(None, 7), "it cannot be asked");
    }
}
