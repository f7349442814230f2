//! Imports: writes of many entities at once, and how far each has come. A document that is applied is one, and writes that are made together
//! are.
//!
//! An import is one transaction: nobody sees what it writes before all of it is there. How far it has come is therefore told beside it, in
//! a row of its own, written when a phase begins and once a second. So every replica can tell, and a row that nobody writes any more is one
//! whose process has ended.
//!
//! An import goes on when its client goes away. The client may choose its id beforehand, and so find out what became of it.

pub mod http;
mod progress;
mod store;

use std::time::{Duration, Instant};

use ids::{ControlPlaneId, PrincipalId};
use serde::{Deserialize, Serialize};
use sqlx::PgPool;
use time::OffsetDateTime;
use tokio::{task::JoinHandle, time::MissedTickBehavior};
use tracing::Instrument as _;
use utoipa::ToSchema;
use uuid::Uuid;

pub use self::{
    progress::{Phase, Progress},
    store::forget_old,
};
use crate::rows::RowError;

/// Pause between two looks at how far an import has come.
const REPORT_INTERVAL: Duration = Duration::from_secs(1);
/// An import that was not heard of for this long is abandoned.
const SILENCE_MAX: Duration = Duration::from_secs(15);
/// Looks between two lines of the log.
const REPORTS_PER_LINE: u32 = 5;
/// Most imports of one control plane that are remembered once they have ended.
const KEPT_MAX: i64 = 100;
/// Bytes of a stored problem. A larger one, with many wrong fields, is cut to its first field.
const PROBLEM_BYTES_MAX: usize = 16 * 1024;

/// What an import came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// A document that was applied.
    Declarative,
    /// Writes that were made together.
    Batch,
}

impl Source {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Declarative => "declarative",
            Self::Batch => "batch",
        }
    }
}

/// What an import came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ImportResult {
    /// The version of the control plane afterwards. That of a dry run is the one that it was compared with.
    pub version: u64,
    /// Entities that were made.
    pub created: usize,
    /// Entities that were changed.
    pub updated: usize,
    /// Entities that were deleted.
    pub deleted: usize,
}

/// An import that a request asks for.
pub struct New<'a> {
    /// Where it goes.
    pub control_plane: ControlPlaneId,
    /// The id that the client chose, if it did.
    pub id: Option<Uuid>,
    /// What it comes from.
    pub source: Source,
    /// Whether it only tells what it would change.
    pub dry_run: bool,
    /// Who asks.
    pub begun_by: PrincipalId,
    /// What the request contains.
    pub content: &'a [u8],
}

/// An import, as it is remembered.
#[derive(Clone, Debug, PartialEq)]
pub struct Import {
    pub id: Uuid,
    pub source: Source,
    pub dry_run: bool,
    pub begun_by: PrincipalId,
    pub begun_at: OffsetDateTime,
    /// When it was last heard of.
    pub seen_at: OffsetDateTime,
    pub ended_at: Option<OffsetDateTime>,
    pub at: progress::At,
    pub result: Option<ImportResult>,
    /// As clients see it.
    pub problem: Option<serde_json::Value>,
}

/// Why an import does not begin.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The client's id is that of another import.
    #[error("import_id: an import of other content has this id; choose a new one for each import")]
    OtherContent,
    /// The same import runs.
    #[error("import_id: this import runs already; read …/imports/{0} to see how far it has come")]
    Runs(Uuid),
    #[error(transparent)]
    Rows(#[from] RowError),
}

/// What a request for an import leads to.
pub enum Begun {
    /// It runs from now on.
    Runs(Running),
    /// The same import was committed before, and came to this.
    Committed { id: Uuid, result: ImportResult },
}

/// How an import ends.
pub enum End {
    /// With this; a dry run wrote nothing.
    Done(ImportResult),
    /// With a problem, as clients see it. Nothing was written.
    Failed(serde_json::Value),
}

/// The imports of this region's control planes. Cheap to clone.
#[derive(Clone)]
pub struct Imports {
    db: PgPool,
}

/// Which attempt at an import a row tells of.
#[derive(Clone, Copy)]
struct Attempt {
    control_plane: ControlPlaneId,
    import: Uuid,
    run: Uuid,
}

/// An import that runs.
pub struct Running {
    db: PgPool,
    attempt: Attempt,
    source: Source,
    dry_run: bool,
    progress: Progress,
    started: Instant,
    reporter: JoinHandle<()>,
    _counted: Counted,
}

/// Counts an import among those that run, until it is dropped.
struct Counted;

impl Counted {
    fn new() -> Self {
        metrics::gauge!("landbridge_imports_running").increment(1.0);
        Self
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        metrics::gauge!("landbridge_imports_running").decrement(1.0);
    }
}

impl Imports {
    /// Imports in the service's database.
    pub fn new(db: PgPool) -> Self {
        Self { db }
    }

    /// Begins an import. The same content under the same id is the same import: if that was committed, nothing begins; after any other end
    /// it begins again.
    pub async fn begin(&self, new: New<'_>) -> Result<Begun, ImportError> {
        let id = new.id.unwrap_or_else(Uuid::now_v7);
        let attempt = Attempt { control_plane: new.control_plane, import: id, run: Uuid::now_v7() };
        if !store::begin(&self.db, attempt, &new, &fingerprint(&new)).await? {
            return self.begun_before(attempt, &new).await;
        }
        store::forget_most(&self.db, new.control_plane, KEPT_MAX).await?;
        let progress = Progress::new(id);
        let New { control_plane, source, dry_run, .. } = new;
        tracing::info!(%control_plane, import = %id, source = source.as_str(), dry_run, "an import begins");
        let reporter = report(self.db.clone(), attempt, progress.clone()).in_current_span();
        Ok(Begun::Runs(Running {
            db: self.db.clone(),
            attempt,
            source,
            dry_run,
            progress,
            started: Instant::now(),
            reporter: tokio::spawn(reporter),
            _counted: Counted::new(),
        }))
    }

    async fn begun_before(&self, attempt: Attempt, new: &New<'_>) -> Result<Begun, ImportError> {
        let same = store::same(&self.db, attempt, &fingerprint(new)).await?;
        match same {
            None => Err(ImportError::OtherContent),
            Some(Import { id, at, result: Some(result), .. }) if at.phase == Phase::Committed => {
                Ok(Begun::Committed { id, result })
            }
            Some(_) => Err(ImportError::Runs(attempt.import)),
        }
    }
}

/// What an import is recognised by.
fn fingerprint(new: &New<'_>) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new();
    hasher.update(new.source.as_str().as_bytes()).update(&[0, u8::from(new.dry_run)]).update(new.content);
    *hasher.finalize().as_bytes()
}

/// Writes how far an import has come, until nobody works on it any more.
async fn report(db: PgPool, attempt: Attempt, progress: Progress) {
    let mut seen = progress.watch();
    // From here on the import's own work alone keeps it open.
    drop(progress);
    let mut ticks = tokio::time::interval(REPORT_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut reports: u32 = 0;
    loop {
        tokio::select! {
            changed = seen.changed() => if changed.is_err() { return },
            _ = ticks.tick() => {
                reports += 1;
                if reports.is_multiple_of(REPORTS_PER_LINE) {
                    let progress::At { phase, done, total } = *seen.borrow();
                    let Attempt { control_plane, import, .. } = attempt;
                    tracing::info!(%control_plane, %import, phase = phase.as_str(), done, total, "an import runs");
                }
            }
        }
        let at = *seen.borrow_and_update();
        if let Err(error) = store::note(&db, attempt, at).await {
            tracing::warn!(%error, import = %attempt.import, "how far an import has come was not written; trying again");
        }
    }
}

impl Running {
    /// Where the work tells how far it has come.
    pub fn progress(&self) -> Progress {
        self.progress.clone()
    }

    /// Notes the end. Whoever asks afterwards, at whichever replica, learns of it.
    pub async fn end(self, end: End) {
        let Self { db, attempt, source, dry_run, progress, started, reporter, .. } = self;
        reporter.abort();
        // What it was about to write does not come after the end.
        let _ = reporter.await;
        let last = *progress.watch().borrow();
        let phase = match &end {
            End::Done(_) if dry_run => Phase::Planned,
            End::Done(_) => Phase::Committed,
            End::Failed(_) => Phase::Failed,
        };
        // Counts what the last phase did.
        progress.enter(phase, None);
        let (took, source) = (started.elapsed(), source.as_str());
        metrics::histogram!("landbridge_import_seconds", "source" => source, "end" => phase.as_str())
            .record(took);
        let (seconds, Attempt { control_plane, import, .. }) = (took.as_secs_f64(), attempt);
        match &end {
            End::Done(result) => {
                let ImportResult { version, created, updated, deleted } = *result;
                if !dry_run {
                    for (change, count) in [("create", created), ("update", updated), ("delete", deleted)] {
                        metrics::counter!("landbridge_import_changes_total", "change" => change)
                            .increment(count as u64);
                    }
                }
                tracing::info!(%control_plane, %import, source, dry_run, version, created, updated, deleted, seconds, "an import is done");
            }
            End::Failed(_) => {
                let stopped_in = last.phase.as_str();
                tracing::info!(%control_plane, %import, source, stopped_in, done = last.done, total = last.total, seconds, "an import failed");
            }
        }
        if let Err(error) = store::end(&db, attempt, progress::At { phase, ..last }, &end).await {
            tracing::warn!(%error, %import, "the end of an import was not written; it will be shown as abandoned");
        }
    }
}
