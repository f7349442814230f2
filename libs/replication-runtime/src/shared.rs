//! What the parts of this crate share.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use clock::Clock;
use ids::Region;
use oplog::{Replica, State};
use proto::replication::v1::OrganizationDigest;
use random::Random;
use replication::{Applied, Origin};
use tokio::{
    sync::{Mutex, MutexGuard, Notify, mpsc, watch},
    time::Instant,
};

use crate::{
    fence::Fence,
    known::{Known, Told},
    links::Links,
    metrics,
    peers::Peers,
    trust::Trust,
};

/// How old a reading of this region's database may be for what is told every 250 ms anyway.
const READING_LASTS: Duration = Duration::from_millis(300);
/// Newest generation of entries that this release reads. It is raised with the first release that reads a new kind; the
/// kind is written once every region tells of that generation. Since 2, entries are signed (`trust`); since 3, identity reads access
/// tokens whose place is sealed, and names of personal tokens are in no row that is compared (`digests`). Since 4, authz reads teams that
/// have labels or no description, and identity reads that a token was renamed. Since 5, both read that an organization was deleted, and
/// identity reads limits of organizations and tokens of the platform operator.
pub const GENERATION: u32 = 5;
/// How long somebody's hurry lasts: what is missing in that time is fetched without waiting for the stream.
const HURRY_LASTS: Duration = Duration::from_secs(2);

/// Whose entries are applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Following {
    /// The other origins'.
    Others,
    /// This region's origin's as well: its database was restored, and takes back what other regions hold of it.
    All,
}

/// A slice of organizations with their digests, as it is told to every region once.
#[derive(Clone, Default)]
pub struct Slice {
    /// Counts the slices. A link sends each one once.
    pub round: u64,
    /// One per organization of the slice.
    pub digests: Vec<OrganizationDigest>,
}

/// The state behind one service's replication in one process. All parts hold it behind an `Arc`.
pub struct Shared {
    /// The logs in this service's database.
    pub log: Replica,
    /// The log that this region writes.
    pub own: Origin,
    /// The gRPC clients of the same service in other regions.
    pub peers: Peers,
    /// Which of what comes in is believed.
    pub trust: Arc<Trust>,
    /// What each region has announced.
    pub known: Known,
    /// The exchanges with other regions.
    pub links: Links,
    /// Whether this region's own log takes writes.
    pub fence: watch::Sender<Fence>,
    /// Which logs the inbox applies.
    pub following: watch::Sender<Following>,
    /// The digests that are announced next.
    pub slice: watch::Sender<Slice>,
    /// Digests of other regions, for this one to compare its own with. What finds no room is compared another time.
    pub to_compare: mpsc::Sender<Vec<OrganizationDigest>>,
    /// The time of day, for the age of entries.
    pub clock: Clock,
    /// For the jitter of pauses, and for names of consumers.
    pub random: Random,
    /// Whether all that was received is applied: only then do rows follow from the vector alone.
    pub settled: AtomicBool,
    /// What was last read of this region's database.
    reading: watch::Sender<Option<(Instant, Told)>>,
    /// Since when somebody waits for what is missing.
    hurried: watch::Sender<Option<Instant>>,
    /// Wakes the inbox when somebody waits for missing entries, or when the logs were changed without it.
    pub hurry: Notify,
    applying: Mutex<()>,
    /// What the inbox believes to be applied is no longer so.
    stale: AtomicBool,
}

impl Shared {
    /// Nothing was heard or read yet; only the logs of other regions are followed.
    pub fn new(
        log: Replica,
        peers: Peers,
        trust: Arc<Trust>,
        fence: Fence,
        to_compare: mpsc::Sender<Vec<OrganizationDigest>>,
        (clock, random): (Clock, Random),
    ) -> Self {
        Self {
            own: log.origin().clone(),
            links: Links::new(peers.regions().cloned()),
            known: Known::new(),
            following: watch::Sender::new(Following::Others),
            slice: watch::Sender::new(Slice::default()),
            settled: AtomicBool::new(false),
            reading: watch::Sender::new(None),
            hurried: watch::Sender::new(None),
            hurry: Notify::new(),
            applying: Mutex::new(()),
            stale: AtomicBool::new(false),
            log,
            peers,
            trust,
            fence: watch::Sender::new(fence),
            to_compare,
            clock,
            random,
        }
    }

    /// The region of this process.
    pub fn region(&self) -> &Region {
        self.own.region()
    }

    /// What this database holds of every log.
    pub async fn held(&self) -> Result<Applied, postgres::Error> {
        Ok(self.tell().await?.held)
    }

    /// Reads what this region announces of itself now; remembers it like what others announce.
    pub async fn tell(&self) -> Result<Told, postgres::Error> {
        let read_at = Instant::now();
        let State { tips, signatures, confirmed } = self.log.read_state().await?;
        let told =
            Told { held: tips, signatures, generation: GENERATION, fenced: !confirmed, ..Told::default() };
        self.known.heard(self.region(), told.clone(), Instant::now());
        self.show(told.fenced);
        self.reading.send_replace(Some((read_at, told.clone())));
        Ok(told)
    }

    /// What `region` announces, without what it does not prove. Remembers whether that region signs.
    pub async fn believe(&self, region: &Region, mut told: Told) -> Result<Told, postgres::Error> {
        if self.trust.is_new_signer(region, told.generation) {
            self.log.note_signing(region).await?;
        }
        self.trust.heard(region, told.generation);
        for (origin, tip) in std::mem::take(&mut told.held) {
            let signature = told.signatures.get(&origin);
            if self.known.has_tip(&origin, &tip) {
                // It was proven when it was told first, or is in this database.
                told.held.insert(origin, tip);
                continue;
            }
            match self.trust.believes(region, &origin, &tip, signature) {
                Err(reason) if !self.log.holds(&origin, &tip).await? => {
                    ::metrics::counter!(metrics::NOT_BELIEVED, "region" => region.to_string()).increment(1);
                    let seq = tip.position.seq;
                    tracing::debug!(%region, %origin, seq, %reason, "what that region tells of a log is not believed");
                    told.not_believed.insert(origin);
                }
                Ok(()) | Err(_) => drop(told.held.insert(origin, tip)),
            }
        }
        Ok(told)
    }

    /// Shows what was read of the fence. What is done about a fenced log, only the replica knows that holds the lease.
    fn show(&self, fenced: bool) {
        self.fence.send_if_modified(|now| {
            let shown = match (fenced, &*now) {
                (false, _) => Fence::Open,
                (true, Fence::Open) => Fence::Checking,
                (true, _) => return false,
            };
            std::mem::replace(now, shown.clone()) != shown
        });
    }

    /// What this region announced of itself a moment ago. The parts that look now and then share one reading.
    pub async fn told_lately(&self) -> Result<Told, postgres::Error> {
        let reading = self.reading.borrow().clone();
        match reading {
            Some((read_at, told)) if read_at.elapsed() < READING_LASTS => Ok(told),
            _ => self.tell().await,
        }
    }

    /// Notes that somebody waits for what is missing, and asks every region for it.
    pub fn hurry(&self) {
        self.hurried.send_replace(Some(Instant::now()));
        self.hurry.notify_one();
        self.links.ask_all();
    }

    /// Whether somebody began to wait for missing entries within the last two seconds before `now`.
    pub fn is_hurried(&self, now: Instant) -> bool {
        self.hurried.borrow().is_some_and(|since| now.saturating_duration_since(since) < HURRY_LASTS)
    }

    /// Waits until no batch is being applied, and keeps the next from beginning.
    pub async fn hold_applying(&self) -> MutexGuard<'_, ()> {
        self.applying.lock().await
    }

    /// The logs were changed past the inbox: it reads anew what is applied.
    pub fn mark_stale(&self) {
        self.stale.store(true, Ordering::Release);
        self.hurry.notify_one();
    }

    /// Whether [`Shared::mark_stale`] was called since the last call of this.
    pub fn take_stale(&self) -> bool {
        self.stale.swap(false, Ordering::AcqRel)
    }
}
