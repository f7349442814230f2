//! The log of an origin, and those of the same service in other regions, in one database.
//!
//! Everything that changes replicated rows passes under the lock of `log_head`: own writes through the [`Committer`], other
//! regions' operations through [`Log::receive`]. Both run the service's [`Apply`] in the transaction that stores operation,
//! effects and cursor. So a log is dense, in commit order, and never says more or less than the rows do.
//!
//! Tables: `log_head` (one row), `log_origin` (how far each log is applied), `log_operation` (the operations, kept to serve
//! them to other regions), `log_applied` (what came of them, in local order), `log_organization`.

mod apply;
mod committer;
mod head;
mod lease;
mod rebuild;
mod receive;
mod restore;
mod turn;

use std::sync::Arc;

pub use apply::{Apply, ApplyError, Effects, RELOAD};
pub use committer::Committer;
use futures::future::BoxFuture;
pub use head::{Held, State};
use ids::{OrganizationId, PrincipalId, kinds};
pub use lease::Lease;
pub use receive::ReceiveError;
use replication::{Operation, Origin, Position, Vector};
use sqlx::{PgPool, types::Uuid};
use time::OffsetDateTime;
use tokio::sync::{mpsc, watch};
pub use turn::{Actor, Turn};
use web::{Answer, Problem};

use self::{
    committer::{Job, QUEUE_MAX},
    turn::Writer,
};
use crate::{Error, SqlId, idempotency::Idempotency};

/// The logs of one database. Cheap to clone.
#[derive(Clone)]
pub struct Log {
    db: PgPool,
    origin: Origin,
    apply: Arc<dyn Apply>,
    queue: mpsc::Sender<Job>,
    applied: watch::Sender<Vector>,
}

impl Log {
    /// The log that this process writes as `origin`, and the part that has to run.
    pub fn start(db: PgPool, origin: Origin, apply: Arc<dyn Apply>) -> (Self, Committer) {
        let (queue, jobs) = mpsc::channel(QUEUE_MAX);
        let (applied, _) = watch::channel(Vector::default());
        let log = Self { db, origin, apply, queue, applied };
        (log.clone(), Committer::new(log, jobs))
    }

    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    pub fn db(&self) -> &PgPool {
        &self.db
    }

    /// Whether the operation takes something away, and is applied on receipt.
    pub fn revokes(&self, operation: &Operation) -> bool {
        self.apply.revokes(operation)
    }

    /// Runs `work` in the next group commit. What it does in its [`Turn`] is kept if it succeeds. It may do SQL only: others
    /// wait for it. The answer to `by` then names where the write stands.
    pub async fn write<T: Send + 'static>(
        &self,
        by: Actor,
        action: &'static str,
        idempotency: Idempotency,
        work: impl for<'t> FnOnce(&'t mut Turn) -> BoxFuture<'t, Answer<T>> + Send + 'static,
    ) -> Answer<T> {
        let caller = by.caller().cloned();
        let (job, answer) = Job::new(Writer { actor: by, action, idempotency }, move |turn| {
            Box::pin(async move {
                let before = turn.next_position();
                let value = work(turn).await?;
                let next = turn.next_position();
                let last = Position { seq: next.seq.saturating_sub(1), ..next };
                Ok((value, (next > before).then_some(last)))
            })
        });
        self.queue.try_send(job).map_err(|_| Problem::unavailable("too many writes wait; try again"))?;
        let answer =
            answer.await.map_err(|_| Problem::unavailable("the service is stopping; try again"))??;
        let answer = answer.downcast::<(T, Option<Position>)>();
        let (value, written) = *answer.map_err(|_| Problem::internal("an answer of another type"))?;
        if let (Some(caller), Some(position)) = (caller, written) {
            caller.wrote(&Vector::from_iter([(self.origin.clone(), position)]));
        }
        Ok(value)
    }

    /// What this database has applied, as this process knows it: its own writes at once, other replicas' within a poll.
    pub fn applied(&self) -> watch::Receiver<Vector> {
        self.applied.subscribe()
    }

    /// Reads what has been applied. It is less than before when the database was restored from a copy.
    pub async fn refresh(&self) -> Result<Vector, Error> {
        let state = self.state().await?;
        Ok(state.held.into_iter().map(|held| (held.origin, held.position)).collect())
    }

    /// Reads how far each log is applied, and whether the own one is whole. [`Log::applied`] follows.
    pub async fn state(&self) -> Result<State, Error> {
        let state = head::state(&self.db).await?;
        let vector = state.held.iter().map(|held| (held.origin.clone(), held.position)).collect();
        self.applied.send_if_modified(|applied| {
            let news = *applied != vector;
            *applied = vector;
            news
        });
        Ok(state)
    }

    fn has_applied(&self, vector: &Vector) {
        self.applied.send_if_modified(|applied| {
            let news = !applied.covers(vector);
            applied.merge(vector);
            news
        });
    }

    /// How far each log is applied here.
    pub async fn held(&self) -> Result<Vec<Held>, Error> {
        head::held(&self.db).await
    }

    /// At most `limit` operations of `origin` after `after_seq`, in order.
    pub async fn operations(
        &self,
        origin: &Origin,
        after_seq: u64,
        limit: u32,
    ) -> Result<Vec<Operation>, Error> {
        let rows: Vec<OperationRow> = sqlx::query_as(
            "SELECT * FROM log_operation WHERE origin = $1 AND seq > $2 ORDER BY seq LIMIT $3",
        )
        .bind(origin.to_string())
        .bind(after_seq.cast_signed())
        .bind(i64::from(limit))
        .fetch_all(&self.db)
        .await?;
        rows.into_iter().map(Operation::try_from).collect()
    }

    /// The operation at `seq`, if it is held.
    pub async fn operation(&self, origin: &Origin, seq: u64) -> Result<Option<Operation>, Error> {
        let found = self.operations(origin, seq.saturating_sub(1), 1).await?;
        Ok(found.into_iter().find(|operation| operation.position.seq == seq))
    }

    /// The last operation of each origin that touched `organization`.
    pub async fn organization_vector(&self, organization: OrganizationId) -> Result<Vector, Error> {
        organization_vector(&self.db, organization).await
    }

    /// At most `limit` organizations after `after`, by id.
    pub async fn organizations(
        &self,
        after: Option<OrganizationId>,
        limit: u32,
    ) -> Result<Vec<OrganizationId>, Error> {
        let rows: Vec<(SqlId<kinds::Organization>,)> = sqlx::query_as(
            "SELECT DISTINCT organization_id FROM log_organization
             WHERE $1::uuid IS NULL OR organization_id > $1 ORDER BY organization_id LIMIT $2",
        )
        .bind(after.map(SqlId))
        .bind(i64::from(limit))
        .fetch_all(&self.db)
        .await?;
        Ok(rows.into_iter().map(|(id,)| id.into()).collect())
    }

    /// Digest of an organization's replicated rows, and the vector that it holds for.
    pub async fn digest(&self, organization: OrganizationId) -> Result<(Vector, [u8; 32]), Error> {
        let mut transaction = self.db.begin().await?;
        sqlx::query("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            .execute(&mut *transaction)
            .await?;
        let vector = organization_vector(&mut *transaction, organization).await?;
        let digest = self.apply.digest(&mut transaction, organization).await?;
        Ok((vector, digest))
    }
}

async fn organization_vector(
    executor: impl sqlx::PgExecutor<'_>,
    organization: OrganizationId,
) -> Result<Vector, Error> {
    let rows: Vec<(String, i64, i64)> =
        sqlx::query_as("SELECT origin, epoch, seq FROM log_organization WHERE organization_id = $1")
            .bind(SqlId(organization))
            .fetch_all(executor)
            .await?;
    let entry = |(origin, epoch, seq): (String, i64, i64)| Ok((parse(&origin)?, position(epoch, seq)));
    rows.into_iter().map(entry).collect()
}

#[derive(sqlx::FromRow)]
struct OperationRow {
    origin: String,
    seq: i64,
    epoch: i64,
    id: Uuid,
    organization_id: SqlId<kinds::Organization>,
    actor_id: Option<SqlId<kinds::Principal>>,
    authority: Vec<Uuid>,
    prev_hash: Vec<u8>,
    deps: String,
    kind: String,
    body: String,
    at: i64,
    traceparent: String,
}

impl TryFrom<OperationRow> for Operation {
    type Error = Error;

    fn try_from(row: OperationRow) -> Result<Self, Error> {
        let prev_hash = row.prev_hash.try_into();
        Ok(Self {
            id: row.id,
            origin: parse(&row.origin)?,
            position: position(row.epoch, row.seq),
            prev_hash: prev_hash.map_err(|_| sqlx::Error::Decode("log_operation.prev_hash".into()))?,
            deps: serde_json::from_str(&row.deps).map_err(|error| sqlx::Error::Decode(error.into()))?,
            organization: row.organization_id.into(),
            actor: row.actor_id.map(PrincipalId::from),
            authority: row.authority,
            kind: row.kind,
            body: row.body,
            at: row.at,
            traceparent: row.traceparent,
        })
    }
}

fn parse(origin: &str) -> Result<Origin, Error> {
    origin.parse().map_err(|error| Error::from(sqlx::Error::Decode(Box::new(error))))
}

/// A position as its columns hold it; they are never negative.
fn position(epoch: i64, seq: i64) -> Position {
    Position { epoch: u32::try_from(epoch).unwrap_or_default(), seq: seq.cast_unsigned() }
}

fn microseconds(at: OffsetDateTime) -> i64 {
    i64::try_from(at.unix_timestamp_nanos() / 1000).unwrap_or(i64::MAX)
}

/// The moment in an operation's `at`.
pub fn moment(at: i64) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp_nanos(i128::from(at) * 1000).unwrap_or(OffsetDateTime::UNIX_EPOCH)
}
