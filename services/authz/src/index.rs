//! The index of this replica: loaded from the rows, then fed from the log, so that it is never ahead of what is
//! committed and never misses what another replica wrote.

use std::{sync::Arc, time::Duration};

use anyhow::Context as _;
use arc_swap::ArcSwap;
use ids::{OrganizationId, kinds};
use policy::{AssignedRole, Change, Index};
use postgres::{Error, SqlId};
use sqlx::{FromRow, PgConnection, PgPool};
use tokio::{
    sync::{Notify, watch},
    time::timeout,
};
use tokio_util::sync::CancellationToken;

use crate::operation::{Kind, Operation};

/// The log is looked at this often, and at once after a write here.
const POLL_INTERVAL: Duration = Duration::from_millis(250);
/// Operations read at once.
const BATCH_MAX: u32 = 1000;
/// How long a write waits until decisions here see it.
const VISIBLE_TIMEOUT: Duration = Duration::from_secs(2);

/// What decisions read. Cheap to clone.
#[derive(Clone)]
pub struct LiveIndex {
    current: Arc<ArcSwap<Index>>,
    wake: Arc<Notify>,
    applied: watch::Receiver<u64>,
}

/// The part that follows the log.
pub struct Follower {
    db: PgPool,
    current: Arc<ArcSwap<Index>>,
    wake: Arc<Notify>,
    applied: watch::Sender<u64>,
}

impl LiveIndex {
    /// The newest snapshot.
    pub fn load(&self) -> Arc<Index> {
        self.current.load_full()
    }

    /// Waits until the index is newer than `seen`; `false` if that takes too long.
    pub async fn newer_than(&self, seen: &Arc<Index>) -> bool {
        self.wake.notify_one();
        let mut applied = self.applied.clone();
        applied.mark_unchanged();
        let newer = async { while Arc::ptr_eq(&self.load(), seen) && applied.changed().await.is_ok() {} };
        timeout(VISIBLE_TIMEOUT, newer).await.is_ok()
    }

    /// Waits until decisions here see operation `seq`. A write that is not seen in time is seen soon after.
    pub async fn visible(&self, seq: u64) {
        self.wake.notify_one();
        let mut applied = self.applied.clone();
        if timeout(VISIBLE_TIMEOUT, applied.wait_for(|applied| *applied >= seq)).await.is_err() {
            tracing::warn!(seq, "the index is behind its log");
        }
    }
}

/// Loads the index as of the log's head.
pub async fn open(db: &PgPool) -> anyhow::Result<(LiveIndex, Follower)> {
    let mut transaction = db.begin().await.context("database")?;
    sqlx::query("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        .execute(&mut *transaction)
        .await?;
    let head = postgres::head(&mut *transaction).await?;
    let index = load(&mut transaction).await?;
    transaction.commit().await?;
    tracing::info!(head, "index loaded");

    let current = Arc::new(ArcSwap::from_pointee(index));
    let wake = Arc::new(Notify::new());
    let (sender, receiver) = watch::channel(head);
    let live = LiveIndex { current: current.clone(), wake: wake.clone(), applied: receiver };
    Ok((live, Follower { db: db.clone(), current, wake, applied: sender }))
}

impl Follower {
    /// Follows the log until the drain. Ends with an error at an operation that it cannot read: a decision made
    /// without it could be wrong, and the process with it.
    pub async fn run(self, drain: CancellationToken) -> anyhow::Result<()> {
        let mut ticks = tokio::time::interval(POLL_INTERVAL);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = ticks.tick() => {}
                () = self.wake.notified() => {}
                () = drain.cancelled() => return Ok(()),
            }
            while self.step().await? {}
        }
    }

    /// Applies the next operations; `true` if more may follow.
    async fn step(&self) -> anyhow::Result<bool> {
        let applied = *self.applied.borrow();
        let rows = match postgres::operations_after(&self.db, applied, BATCH_MAX).await {
            Ok(rows) => rows,
            Err(error) => {
                tracing::warn!(%error, "the log could not be read; deciding on what is known");
                return Ok(false);
            }
        };
        let Some(last) = rows.last().map(|row| row.seq.cast_unsigned()) else { return Ok(false) };
        let mut changes = Vec::with_capacity(rows.len());
        for row in &rows {
            changes.push((OrganizationId::from(row.organization_id), Operation::read(row)?.change(row.seq)?));
        }
        self.current.store(Arc::new(self.current.load().apply(changes)));
        self.applied.send_replace(last);
        Ok(rows.len() == BATCH_MAX as usize)
    }
}

#[derive(FromRow)]
struct PrincipalRow {
    organization_id: SqlId<kinds::Organization>,
    id: SqlId<kinds::Principal>,
    kind: String,
    active: bool,
    not_before: Option<i64>,
}

#[derive(FromRow)]
struct AssignmentRow {
    id: SqlId<kinds::Assignment>,
    organization_id: SqlId<kinds::Organization>,
    team_id: Option<SqlId<kinds::Team>>,
    principal_id: Option<SqlId<kinds::Principal>>,
    role_name: String,
    entity_type_name: String,
    entity_id: String,
    entity_region: String,
}

type Row<A, B> = (SqlId<kinds::Organization>, A, B);

/// Every row, as the operation that would have made it.
async fn load(connection: &mut PgConnection) -> anyhow::Result<Index> {
    let mut changes: Vec<(OrganizationId, Change)> = Vec::new();
    let mut push = |organization: SqlId<kinds::Organization>, operation: Operation| {
        operation.change(0).map(|change| changes.push((organization.into(), change)))
    };

    let organizations: Vec<(SqlId<kinds::Organization>, bool)> =
        fetch(connection, "SELECT id, status = 'suspended' FROM replicated.organization").await?;
    for (id, suspended) in organizations {
        push(id, Operation::OrganizationPut { suspended })?;
    }
    let principals: Vec<PrincipalRow> =
        fetch(connection, "SELECT organization_id, id, kind, active, not_before FROM replicated.principal")
            .await?;
    for row in principals {
        let kind = if row.kind == "user" { Kind::User } else { Kind::SystemAccount };
        let (id, active, not_before) = (row.id.into(), row.active, row.not_before);
        push(row.organization_id, Operation::PrincipalPut { id, kind, active, not_before })?;
    }
    let sessions: Vec<(SqlId<kinds::Organization>, SqlId<kinds::Token>)> =
        fetch(connection, "SELECT organization_id, id FROM replicated.revoked_session").await?;
    for (organization, id) in sessions {
        push(organization, Operation::SessionRevoked { id: id.into() })?;
    }
    let teams: Vec<Row<SqlId<kinds::Team>, bool>> =
        fetch(connection, "SELECT organization_id, id, predefined FROM replicated.team").await?;
    for (organization, id, predefined) in teams {
        push(organization, Operation::TeamPut { id: id.into(), predefined })?;
    }
    let members: Vec<Row<SqlId<kinds::Team>, SqlId<kinds::Principal>>> =
        fetch(connection, "SELECT organization_id, team_id, principal_id FROM replicated.membership").await?;
    for (organization, team_id, principal_id) in members {
        push(
            organization,
            Operation::MemberAdded { team_id: team_id.into(), principal_id: principal_id.into() },
        )?;
    }
    let assignments: Vec<AssignmentRow> = fetch(connection, "SELECT * FROM replicated.assignment").await?;
    for row in assignments {
        push(row.organization_id, row.operation())?;
    }
    Ok(Index::default().apply(changes))
}

async fn fetch<T>(connection: &mut PgConnection, statement: &'static str) -> Result<Vec<T>, Error>
where
    T: for<'r> FromRow<'r, sqlx::postgres::PgRow> + Send + Unpin,
{
    Ok(sqlx::query_as(statement).fetch_all(connection).await?)
}

impl AssignmentRow {
    fn operation(self) -> Operation {
        Operation::AssignmentPut {
            id: self.id.into(),
            team_id: self.team_id.map(Into::into),
            principal_id: self.principal_id.map(Into::into),
            role: AssignedRole {
                role_name: self.role_name,
                entity_id: self.entity_id,
                entity_type_name: self.entity_type_name,
                entity_region: self.entity_region,
            },
        }
    }
}
