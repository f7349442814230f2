//! From a received change to traffic served by it: derive the view, commit, swap, report.
//!
//! Invariants:
//! * The view is derived before anything is durable, so a change that no view can be made of is never stored.
//! * A view is swapped in only after its commit, and every commit is followed by its swap: callers may stop waiting,
//!   the work goes on.
//! * One change at a time.
//!
//! Called by the sync client and by the declarative mode.

use std::{
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use ids::ControlPlaneId;
use sync::{Digest, Row};
use tokio::sync::{Mutex, watch};

use crate::{
    status::Status,
    store::{Commit, Position, Store, StoreError},
    view::{Change, Live, View},
};

const VERSION: &str = "landbridge_configuration_version";
const QUARANTINED: &str = "landbridge_quarantined_entities";
const MISMATCHES: &str = "landbridge_digest_mismatches_total";
const DERIVE_SECONDS: &str = "landbridge_apply_derive_seconds";
const COMMIT_SECONDS: &str = "landbridge_apply_commit_seconds";
const PROPAGATION_SECONDS: &str = "landbridge_propagation_seconds";

/// A received delta, checked for form.
#[derive(Debug)]
pub struct Delta {
    pub epoch: u64,
    pub base: u64,
    pub version: u64,
    pub digest: Digest,
    pub rows: Vec<Row>,
    /// When the newest change in it was committed; for the propagation metric.
    pub committed_at: Option<SystemTime>,
}

/// What became of a change.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ApplyReport {
    pub position: Position,
    /// Making the view.
    pub derive: Duration,
    /// Making it durable; zero when nothing had changed.
    pub commit: Duration,
}

#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    #[error("a delta of epoch {delta} cannot follow epoch {held}")]
    Incarnation { held: u64, delta: u64 },
    #[error("a delta from version {base} to {version} does not continue version {held}")]
    Gap { held: u64, base: u64, version: u64 },
    #[error("a row has version {row}, later than its delta's {version}")]
    RowVersion { row: u64, version: u64 },
    #[error("making the view failed; the configuration in service stays as it was")]
    Derive,
    #[error(transparent)]
    Store(#[from] StoreError),
}

#[derive(Clone)]
pub struct Applier {
    store: Store,
    live: Live,
    status: watch::Sender<Status>,
    exclusive: Arc<Mutex<()>>,
}

impl Applier {
    /// Puts what the store holds into service, whatever the control plane does meanwhile.
    pub async fn start(
        store: Store,
        live: Live,
        status: watch::Sender<Status>,
    ) -> Result<Applier, ApplyError> {
        describe_metrics();
        let applier = Applier { store, live, status, exclusive: Arc::default() };
        let view = applier.derive_all(false, Vec::new()).await?;
        applier.serve(view, applier.store.position());
        Ok(applier)
    }

    pub fn store(&self) -> &Store {
        &self.store
    }

    pub fn live(&self) -> &Live {
        &self.live
    }

    pub fn status(&self) -> &watch::Sender<Status> {
        &self.status
    }

    /// Ties the store to `control_plane`; another one's configuration goes out of service at once.
    pub async fn bind(&self, control_plane: ControlPlaneId) -> Result<(), ApplyError> {
        let _exclusive = self.exclusive.lock().await;
        if self.store.bind(control_plane).await? {
            tracing::warn!(%control_plane, "the store held another control plane's configuration; it is dropped");
            self.serve(View::default(), self.store.position());
        }
        Ok(())
    }

    /// Applies a delta that continues what is held.
    pub async fn delta(&self, delta: Delta) -> Result<ApplyReport, ApplyError> {
        let applier = self.clone();
        to_completion(async move {
            let _exclusive = applier.exclusive.lock().await;
            let rows = rows_to_apply(&applier.store.position(), &delta)?;
            applier.install(rows, Some(delta.digest), delta.epoch, delta.version, delta.committed_at).await
        })
        .await
    }

    /// Applies the last delta of a snapshot and puts the staged generation into service.
    pub async fn snapshot(&self, delta: Delta) -> Result<ApplyReport, ApplyError> {
        let applier = self.clone();
        to_completion(async move {
            let _exclusive = applier.exclusive.lock().await;
            applier.store.copy_unchanged(delta.epoch).await?;
            let started = Instant::now();
            let view = applier.derive_all(true, delta.rows.clone()).await?;
            let derive = started.elapsed();
            let Delta { epoch, version, digest, rows, committed_at, .. } = delta;
            let started = Instant::now();
            let commit = Commit { epoch, version, rows, expected: Some(digest) };
            let position = applier.note_outcome(applier.store.promote(commit).await)?;
            applier.serve(view, position);
            let applied = ApplyReport { position, derive, commit: started.elapsed() };
            record(&applied, committed_at);
            Ok(applied)
        })
        .await
    }

    /// Applies rows of which this node is the author, as the next version.
    pub async fn local(&self, epoch: u64, rows: Vec<Row>) -> Result<ApplyReport, ApplyError> {
        let applier = self.clone();
        to_completion(async move {
            let _exclusive = applier.exclusive.lock().await;
            let version = rows.iter().map(|row| row.version).max().unwrap_or(0);
            let version = version.max(applier.store.position().version);
            applier.install(rows, None, epoch, version, None).await
        })
        .await
    }

    async fn install(
        &self,
        rows: Vec<Row>,
        expected: Option<Digest>,
        epoch: u64,
        version: u64,
        committed_at: Option<SystemTime>,
    ) -> Result<ApplyReport, ApplyError> {
        let held = self.store.position();
        let unchanged = Position { epoch, version, digest: expected.unwrap_or(held.digest) };
        if rows.is_empty() && unchanged == held {
            self.note_comparison(true);
            return Ok(ApplyReport { position: held, ..ApplyReport::default() });
        }
        let started = Instant::now();
        let view = self.derive(rows.clone()).await?;
        let derive = started.elapsed();
        let started = Instant::now();
        let position =
            self.note_outcome(self.store.commit(Commit { epoch, version, rows, expected }).await)?;
        self.serve(view, position);
        let applied = ApplyReport { position, derive, commit: started.elapsed() };
        record(&applied, committed_at);
        Ok(applied)
    }

    /// The view in service, changed by `rows`.
    async fn derive(&self, rows: Vec<Row>) -> Result<View, ApplyError> {
        let live = Arc::clone(&self.live);
        let derive = move || live.load().with(&changes(rows));
        tokio::task::spawn_blocking(derive).await.map_err(|_| ApplyError::Derive)
    }

    /// The view of everything that is stored, or staged, changed by `rows`.
    async fn derive_all(&self, staged: bool, rows: Vec<Row>) -> Result<View, ApplyError> {
        let store = self.store.clone();
        let derive = move || {
            let mut view = View::default();
            store.scan(staged, |held| view = view.with(&changes(held)))?;
            Ok(view.with(&changes(rows)))
        };
        tokio::task::spawn_blocking(derive).await.map_err(|_| ApplyError::Derive)?
    }

    fn serve(&self, view: View, position: Position) {
        self.status.send_modify(|status| status.served(&position, &view));
        metrics::gauge!(VERSION).set(position.version as f64);
        metrics::gauge!(QUARANTINED).set(view.quarantined().len() as f64);
        self.live.store(Arc::new(view));
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
}

/// Runs `work` to its end, also when the caller stops waiting: no commit is left without its swap.
async fn to_completion(
    work: impl Future<Output = Result<ApplyReport, ApplyError>> + Send + 'static,
) -> Result<ApplyReport, ApplyError> {
    tokio::spawn(work).await.map_err(|_| ApplyError::Derive)?
}

/// The rows of `delta` that are news, if it continues what is held. One that begins earlier than necessary does too.
fn rows_to_apply(held: &Position, delta: &Delta) -> Result<Vec<Row>, ApplyError> {
    let &Delta { epoch, base, version, .. } = delta;
    // A node that holds nothing can begin any history at its beginning.
    let begins = base == 0 && held.version == 0 && held.digest.is_zero();
    if epoch != held.epoch && !begins {
        return Err(ApplyError::Incarnation { held: held.epoch, delta: epoch });
    }
    if base > held.version || version < held.version {
        return Err(ApplyError::Gap { held: held.version, base, version });
    }
    if let Some(row) = delta.rows.iter().find(|row| row.version > version) {
        return Err(ApplyError::RowVersion { row: row.version, version });
    }
    Ok(delta.rows.iter().filter(|row| row.version > held.version).cloned().collect())
}

fn changes(rows: Vec<Row>) -> Vec<Change> {
    let change = |row: Row| Change { kind: row.kind, id: row.id, body: (!row.deleted).then_some(row.body) };
    rows.into_iter().map(change).collect()
}

fn describe_metrics() {
    metrics::describe_gauge!(VERSION, "Version of the configuration in service.");
    metrics::describe_gauge!(QUARANTINED, "Entities held and not served.");
    metrics::describe_counter!(MISMATCHES, "Changes whose result differed from the control plane's.");
    metrics::describe_histogram!(DERIVE_SECONDS, "Making the view of a change.");
    metrics::describe_histogram!(COMMIT_SECONDS, "Making a change durable and putting it into service.");
    metrics::describe_histogram!(
        PROPAGATION_SECONDS,
        "From the commit at the control plane to service here."
    );
}

fn record(applied: &ApplyReport, committed_at: Option<SystemTime>) {
    metrics::histogram!(DERIVE_SECONDS).record(applied.derive);
    metrics::histogram!(COMMIT_SECONDS).record(applied.commit);
    // Two machines' clocks: what would be negative is left out.
    if let Some(lag) = committed_at.and_then(|at| at.elapsed().ok()) {
        metrics::histogram!(PROPAGATION_SECONDS).record(lag);
    }
}

#[cfg(test)]
mod tests;
