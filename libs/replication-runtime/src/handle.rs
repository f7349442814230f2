//! What the rest of a service asks of replication.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use clock::Clock;
use ids::Region;
use oplog::Replica;
use random::Random;
use replication::{Keyring, Origin, Tip, Vector};
use settings::sections::Public;
use time::OffsetDateTime;
use tokio::{
    sync::{mpsc, watch},
    time::{Instant, timeout},
};

use crate::{
    fence::Fence,
    known::{HEARD_RECENTLY, Lag, Told},
    peers::Peers,
    shared::{GENERATION, Shared},
    trust::Trust,
};

/// This region's log is fenced, so nothing can be said to be absent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this region's log has not been confirmed to be whole")]
pub struct Fenced;

/// A region, as this one knows it.
#[derive(Clone, Debug)]
pub struct RegionStatus {
    /// Its name.
    pub region: Region,
    /// The addresses under which its clients reach it.
    pub public: Public,
    /// Whether it is this region itself.
    pub here: bool,
    /// Whether it was heard within the last second.
    pub reachable: bool,
    /// Since it was last heard; `None` if it never was.
    pub heard_ago: Option<Duration>,
    /// Whether its own log takes no writes: its database may have lost a part of it.
    pub fenced: bool,
    /// Newest generation of entries that it can read.
    pub generation: u32,
    /// How far it has applied each log, when it was last heard.
    pub held: Vector,
    /// The logs in which it is behind the furthest position known.
    pub behind: Vec<Lag>,
}

/// Handle on the running parts. Cheap to clone.
#[derive(Clone)]
pub struct Replication {
    pub(crate) shared: Arc<Shared>,
    pub(crate) public: Arc<BTreeMap<Region, Public>>,
}

impl Replication {
    /// Whether the deployment has this region.
    pub fn knows(&self, region: &Region) -> bool {
        self.public.contains_key(region)
    }

    /// A handle with nothing running behind it: no other region is called, and none is heard but through [`Replication::hear`].
    /// For tests of a service. `public` has the addresses of every region, by name.
    pub fn without_tasks(log: Replica, public: BTreeMap<Region, Public>) -> Self {
        // Nothing is compared, so nothing is received.
        let (compare, _) = mpsc::channel(1);
        let idle = (Clock::manual(OffsetDateTime::UNIX_EPOCH), Random::fixed(0));
        let trust = Arc::new(Trust::new(Keyring::default(), log.origin().region().clone()));
        let shared = Shared::new(log, Peers::default(), trust, Fence::Open, compare, idle);
        Self { shared: Arc::new(shared), public: Arc::new(public) }
    }

    /// Takes in that `region` tells which entries it holds, as if it had been asked just now. For tests of a service.
    pub fn hear(&self, region: &Region, held: BTreeMap<Origin, Tip>) {
        let told = Told { held, generation: GENERATION, ..Told::default() };
        self.shared.known.heard(region, told, Instant::now());
    }

    /// Takes in that `region` runs a release of this generation, and holds no entry. For tests of a service.
    pub fn hear_generation(&self, region: &Region, generation: u32) {
        self.shared.known.heard(region, Told { generation, ..Told::default() }, Instant::now());
    }

    /// Reads this region's own log, as the running parts do every 250 ms. For tests of a service.
    pub async fn look(&self) -> Result<(), postgres::Error> {
        self.shared.tell().await?;
        Ok(())
    }

    /// What has to be applied here before anything is called absent or forbidden: all that any region has announced. A process
    /// that has just started asks them first, at most a second. An error while this region's log is fenced: its database may
    /// be a copy from the past, which has forgotten what it has shown, and with it how far that was.
    pub async fn needed_to_deny(&self) -> Result<Vector, Fenced> {
        self.shared.links.all_asked().await;
        match *self.shared.fence.borrow() {
            Fence::Open => Ok(self.tips()),
            Fence::Checking | Fence::Recovering | Fence::Closed(_) => Err(Fenced),
        }
    }

    /// The furthest position of each log that any region has announced, this one included. An announcement is kept while its region
    /// is away: it stays true.
    pub fn tips(&self) -> Vector {
        self.shared.known.tips()
    }

    /// Every region, this one included, by name.
    pub fn status(&self) -> Vec<RegionStatus> {
        let now = Instant::now();
        let status = |(region, public): (&Region, &Public)| {
            let heard = self.shared.known.of(region);
            let heard_ago = heard.as_ref().map(|heard| now.saturating_duration_since(heard.at));
            let told = heard.map(|heard| heard.told).unwrap_or_default();
            let here = region == self.shared.region();
            RegionStatus {
                region: region.clone(),
                public: public.clone(),
                here,
                reachable: here || heard_ago.is_some_and(|ago| ago <= HEARD_RECENTLY),
                heard_ago,
                fenced: told.fenced,
                generation: told.generation,
                held: told.vector(),
                behind: self.shared.known.lag(region, now),
            }
        };
        self.public.iter().map(status).collect()
    }

    /// Whether no region is known to be of an older generation than `generation`.
    pub fn all_read(&self, generation: u32) -> bool {
        let others = self.public.keys().filter(|region| *region != self.shared.region());
        let told = others.filter_map(|region| self.shared.known.of(region));
        told.map(|heard| heard.told.generation).all(|told| told >= generation)
    }

    /// Whether this region's log takes writes, and why not.
    pub fn fence(&self) -> watch::Receiver<Fence> {
        self.shared.fence.subscribe()
    }

    /// Asks for what is missing and fetches it now, because somebody waits for it.
    pub fn hurry(&self) {
        self.shared.hurry();
    }

    /// Waits until `applied` covers `vector`; otherwise answers what is missing after `within`. `applied` is the log's own
    /// ([`oplog::Replica::watch_applied`]) or that of something that follows it, as an index.
    pub async fn reach(
        &self,
        vector: &Vector,
        mut applied: watch::Receiver<Vector>,
        within: Duration,
    ) -> Result<(), Vector> {
        if applied.borrow_and_update().covers(vector) {
            return Ok(());
        }
        self.hurry();
        let reached = timeout(within, applied.wait_for(|applied| applied.covers(vector))).await;
        if matches!(reached, Ok(Ok(_))) {
            return Ok(());
        }
        drop(reached);
        Err(applied.borrow().missing(vector))
    }

    /// Where `origin`'s log ends, as its own region answers now. `None` if it cannot be asked, or does not know because its
    /// database may have lost the end. Bounded in time; however many ask, they share one question at a time.
    pub async fn ask_tip(&self, origin: &Origin) -> Option<u64> {
        let shared = &self.shared;
        if origin.service() != shared.own.service() {
            return None;
        }
        let told = if origin == &shared.own {
            shared.tell().await.ok()?
        } else {
            shared.links.answer(origin.region()).await?
        };
        if told.fenced {
            return None;
        }
        Some(told.held.get(origin).map_or(0, |tip| tip.position.seq))
    }
}
