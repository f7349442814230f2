//! From a received change to requests served by it: derive the view, commit to the store, swap the view, report.
//!
//! Invariants:
//! * The view is derived before anything is written to disk. A change for which no view can be made is never stored.
//! * The groups of upstreams follow a view before requests see it.
//! * A view is swapped in only after its commit, and every commit is followed by its swap. A caller may stop waiting: the
//!   work goes on.
//! * One change at a time, and none while another process may take over.
//!
//! Called by the stream and by the declarative mode.

mod delta;

use std::{
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use entity_secrets::NodeKey;
use sync::EntityState;
use tokio::sync::{Mutex, MutexGuard, OwnedMutexGuard, watch};
use tracing::Instrument as _;

pub use self::delta::{ApplyError, Delta};
use crate::{
    balancing::Groups,
    seams::Seams,
    status::Status,
    store::{Bound, Commit, Incarnation, Owner, Position, Scan, Settled, Store, StoreError},
    view::{Change, Live, View},
};

const VERSION: &str = "landbridge_configuration_version";
const QUARANTINED: &str = "landbridge_quarantined_entities";
const MISMATCHES: &str = "landbridge_digest_mismatches_total";
const DERIVE_SECONDS: &str = "landbridge_apply_derive_seconds";
const COMMIT_SECONDS: &str = "landbridge_apply_commit_seconds";
const PROPAGATION_SECONDS: &str = "landbridge_propagation_seconds";

/// What applying a change came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ApplyReport {
    /// What is held and served now.
    pub position: Position,
    /// How long deriving the view took.
    pub derive: Duration,
    /// How long the commit to disk took; zero when nothing had changed.
    pub commit: Duration,
}

/// Applies changes; clones share one gateway.
#[derive(Clone)]
pub struct Applier {
    store: Store,
    live: Live,
    status: watch::Sender<Status>,
    groups: Groups,
    seams: Seams,
    /// Held while a change is applied.
    turn: Arc<Mutex<Turn>>,
}

/// Whose turn it is to apply changes.
#[derive(Debug, Default, PartialEq, Eq)]
enum Turn {
    /// This process's.
    #[default]
    Own,
    /// Another process's, for good.
    Other,
}

/// No change is applied while this is held: those that come wait.
pub struct Paused(OwnedMutexGuard<Turn>);

impl Paused {
    /// No change is ever applied again. Those that wait, and those that come, are [`ApplyError::TakenOver`].
    pub fn for_good(mut self) {
        *self.0 = Turn::Other;
    }
}

impl Applier {
    /// Derives the view of what the store holds, as `live` reads it, and puts it into service.
    pub async fn start(
        store: Store,
        live: Live,
        status: watch::Sender<Status>,
        groups: Groups,
        seams: Seams,
    ) -> Result<Applier, ApplyError> {
        describe_metrics();
        let applier = Applier { store, live, status, groups, seams, turn: Arc::default() };
        let nothing = applier.live.load().emptied();
        let view = applier.derive_all(nothing, Scan::Serving, Vec::new()).await?;
        applier.serve(view, applier.store.position()).await;
        Ok(applier)
    }

    /// The store that changes are committed to.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// The view that requests are served by.
    pub fn live(&self) -> &Live {
        &self.live
    }

    /// The upstreams with targets.
    pub fn groups(&self) -> &Groups {
        &self.groups
    }

    /// What the gateway says about itself.
    pub fn status(&self) -> &watch::Sender<Status> {
        &self.status
    }

    /// Clock and randomness.
    pub fn seams(&self) -> &Seams {
        &self.seams
    }

    /// Waits until the change that is being applied is in service, and lets no other begin.
    pub async fn pause(&self) -> Paused {
        Paused(self.turn.clone().lock_owned().await)
    }

    async fn turn(&self) -> Result<MutexGuard<'_, Turn>, ApplyError> {
        let turn = self.turn.lock().await;
        if *turn == Turn::Other { Err(ApplyError::TakenOver) } else { Ok(turn) }
    }

    /// Ties the store to `owner`, whose secrets `key` opens. The configuration of another owner goes out of service at once.
    pub async fn bind(&self, owner: Owner, key: Option<NodeKey>) -> Result<(), ApplyError> {
        let _turn = self.turn().await?;
        match self.store.bind(owner).await? {
            Bound::Kept => {}
            Bound::Dropped => {
                tracing::warn!(?owner, "the store held another owner's configuration; it was removed");
                self.serve(self.live.load().emptied().opening_with(key), None).await;
            }
        }
        Ok(())
    }

    /// Opens secrets with `key` from now on, and puts into service what can be read with it.
    pub async fn open_with(&self, key: NodeKey) -> Result<(), ApplyError> {
        let applier = self.clone();
        to_completion(async move {
            let _turn = applier.turn().await?;
            let view = applier.live.load_full();
            if !view.opens_with(&key) {
                let nothing = view.emptied().opening_with(Some(key));
                let view = applier.derive_all(nothing, Scan::Serving, Vec::new()).await?;
                applier.serve(view, applier.store.position()).await;
            }
            Ok(())
        })
        .await
    }

    /// Applies a delta that continues what is held.
    pub async fn delta(&self, delta: Delta) -> Result<ApplyReport, ApplyError> {
        let applier = self.clone();
        to_completion(async move {
            let _turn = applier.turn().await?;
            let entities = delta.entities_after(applier.store.position().as_ref())?;
            let Delta { incarnation, version, digest, settled, committed_at, .. } = delta;
            let commit = Commit { incarnation, version, entities, expected: Some(digest), settled };
            applier.install(commit, committed_at).await
        })
        .await
    }

    /// Applies the last delta of a snapshot and puts the staged generation into service.
    pub async fn snapshot(&self, delta: Delta) -> Result<ApplyReport, ApplyError> {
        let applier = self.clone();
        to_completion(async move {
            let _turn = applier.turn().await?;
            let Delta { incarnation, version, digest, entities, settled, committed_at, .. } = delta;
            applier.store.copy_unchanged(incarnation).await?;
            let started = Instant::now();
            let nothing = applier.live.load().emptied();
            let view = applier.derive_all(nothing, Scan::Staged, entities.clone()).await?;
            let derive = started.elapsed();
            let started = Instant::now();
            let commit = Commit { incarnation, version, entities, expected: Some(digest), settled };
            let position = applier.note_outcome(applier.store.promote(commit).await)?;
            applier.serve(view, Some(position)).await;
            let report = ApplyReport { position, derive, commit: started.elapsed() };
            applier.record(&report, committed_at);
            tracing::info!(
                version = position.version,
                "a whole configuration was received, and is in service"
            );
            Ok(report)
        })
        .await
    }

    /// Applies entities of which this gateway is the author, as the next version. For the declarative mode.
    pub async fn local(&self, entities: Vec<EntityState>) -> Result<ApplyReport, ApplyError> {
        let applier = self.clone();
        to_completion(async move {
            let _turn = applier.turn().await?;
            let held = applier.store.position().map_or(0, |position| position.version);
            let version = entities.iter().map(|entity| entity.version).max().unwrap_or(0).max(held);
            let (incarnation, settled) = (Incarnation::LOCAL, Settled::default());
            let commit = Commit { incarnation, version, entities, expected: None, settled };
            applier.install(commit, None).await
        })
        .await
    }

    async fn install(
        &self,
        commit: Commit,
        committed_at: Option<SystemTime>,
    ) -> Result<ApplyReport, ApplyError> {
        if let Some(held) = self.store.position()
            && commit.entities.is_empty()
            && (held.incarnation, held.version) == (commit.incarnation, commit.version)
            && commit.expected.is_none_or(|expected| expected == held.digest)
        {
            self.note_comparison(true);
            return Ok(ApplyReport { position: held, derive: Duration::ZERO, commit: Duration::ZERO });
        }
        let started = Instant::now();
        let view = self.derive(commit.entities.clone()).await?;
        let derive = started.elapsed();
        let started = Instant::now();
        let position = self.note_outcome(self.store.commit(commit).await)?;
        self.serve(view, Some(position)).await;
        let report = ApplyReport { position, derive, commit: started.elapsed() };
        self.record(&report, committed_at);
        Ok(report)
    }

    /// The view in service, changed by `entities`.
    async fn derive(&self, entities: Vec<EntityState>) -> Result<View, ApplyError> {
        let live = Arc::clone(&self.live);
        let span = tracing::info_span!("derive view", entities = entities.len());
        let derive = move || span.in_scope(|| live.load().with(&changes(entities)));
        tokio::task::spawn_blocking(derive).await.map_err(|_| ApplyError::Derive)
    }

    /// The view of a whole generation of the store, changed by `entities`; `nothing` is what it begins with.
    async fn derive_all(
        &self,
        nothing: View,
        which: Scan,
        entities: Vec<EntityState>,
    ) -> Result<View, ApplyError> {
        let store = self.store.clone();
        let span = tracing::info_span!("derive view", entities = entities.len());
        let derive = move || {
            let _span = span.entered();
            let mut deriving = nothing.deriving();
            store.scan(which, |held| deriving.apply(&changes(held)))?;
            deriving.apply(&changes(entities));
            Ok(deriving.finish())
        };
        tokio::task::spawn_blocking(derive).await.map_err(|_| ApplyError::Derive)?
    }

    /// Swaps the view. Requests that are under way finish with the view that they began with.
    async fn serve(&self, view: View, position: Option<Position>) {
        self.groups.follow(view.upstreams()).await;
        let _span = tracing::info_span!("swap view").entered();
        metrics::gauge!(VERSION).set(position.map_or(0, |position| position.version) as f64);
        metrics::gauge!(QUARANTINED).set(view.counts().quarantined as f64);
        let view = Arc::new(view);
        self.live.store(Arc::clone(&view));
        self.groups.retire(view.upstreams());
        // After the swap: whoever sees the new version in the status gets answers of that version.
        self.status.send_modify(|status| status.served(position, &view));
    }

    fn note_outcome(&self, outcome: Result<Position, StoreError>) -> Result<Position, ApplyError> {
        match &outcome {
            Ok(_) => self.note_comparison(true),
            Err(StoreError::DigestDiffers { .. }) => self.note_comparison(false),
            Err(_) => {}
        }
        Ok(outcome?)
    }

    fn note_comparison(&self, matches: bool) {
        self.status
            .send_if_modified(|status| status.configuration.digest_matches.replace(matches) != Some(matches));
        if !matches {
            metrics::counter!(MISMATCHES).increment(1);
        }
    }

    fn record(&self, report: &ApplyReport, committed_at: Option<SystemTime>) {
        let ApplyReport { position, derive, commit } = report;
        tracing::debug!(
            version = position.version,
            ?derive,
            ?commit,
            "a version of the configuration is in service"
        );
        metrics::histogram!(DERIVE_SECONDS).record(*derive);
        metrics::histogram!(COMMIT_SECONDS).record(*commit);
        if let Some(time) = self.propagation(committed_at) {
            metrics::histogram!(PROPAGATION_SECONDS).record(time);
        }
    }

    /// The time since the control plane's commit. `None` if it would be negative, because the two clocks differ.
    fn propagation(&self, committed_at: Option<SystemTime>) -> Option<Duration> {
        SystemTime::from(self.seams.clock.now()).duration_since(committed_at?).ok()
    }
}

/// Runs `work` to its end, also when the caller stops waiting: no commit is left without its swap.
async fn to_completion<T: Send + 'static>(
    work: impl Future<Output = Result<T, ApplyError>> + Send + 'static,
) -> Result<T, ApplyError> {
    tokio::spawn(work.in_current_span()).await.map_err(|_| ApplyError::Derive)?
}

fn changes(entities: Vec<EntityState>) -> Vec<Change> {
    let change = |entity: EntityState| Change {
        kind: entity.kind,
        id: entity.id,
        body: (!entity.deleted).then_some(entity.body),
    };
    entities.into_iter().map(change).collect()
}

fn describe_metrics() {
    metrics::describe_gauge!(VERSION, "Version of the configuration in service.");
    metrics::describe_gauge!(QUARANTINED, "Entities that are held and not served.");
    metrics::describe_counter!(MISMATCHES, "Changes whose result differed from the control plane's.");
    metrics::describe_histogram!(DERIVE_SECONDS, "Time to derive the view of a change.");
    metrics::describe_histogram!(COMMIT_SECONDS, "Time to commit a change to disk and put it into service.");
    metrics::describe_histogram!(
        PROPAGATION_SECONDS,
        "Time from the commit at the control plane to service at this gateway."
    );
}

#[cfg(test)]
mod tests;
