//! What entries changed in this database, for those who keep something derived from its rows: authz's index, identity's
//! announcements. One way to follow for all of them.
//!
//! A follower reads `log_applied` from its [`Cursor`] on. It sees what any replica committed, within a poll interval or at once
//! after a commit of its own process, in the local order and without gaps. Where that order does not lead to today's rows,
//! because rows were made anew or the database is another one now (a copy from the past), it says so: [`Batch::ReadAnew`].

use std::{marker::PhantomData, time::Duration};

use ids::{OrganizationId, kinds};
use postgres::{Error, SqlId};
use replication::{Dot, Vector};
use sqlx::{PgConnection, PgPool};
use tokio::{sync::watch, time::Interval};

use crate::{Apply, Replica, columns, stored::Effects};

/// The log is looked at this often, and at once after a commit of this process.
const POLL_INTERVAL: Duration = Duration::from_millis(250);
/// Rows of `log_applied` in one batch.
const BATCH_MAX: i64 = 1000;

/// A place in the local order of one life of a database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cursor {
    /// In `log_applied`.
    local_seq: i64,
    /// When the database's server was started: after another start it may be a copy from the past.
    server_start: String,
}

impl Cursor {
    /// The newest place. Read in the transaction that reads the rows, it is the place that the rows belong to.
    pub async fn read(connection: &mut PgConnection) -> Result<Self, Error> {
        let (local_seq, server_start) =
            sqlx::query_as("SELECT position, pg_postmaster_start_time()::text FROM log_head")
                .fetch_one(connection)
                .await?;
        Ok(Self { local_seq, server_start })
    }
}

/// What follows a cursor.
#[derive(Debug)]
pub enum Batch<E> {
    /// What entries changed, in the local order.
    Applied(Vec<Applied<E>>),
    /// Something that no effects tell: all rows have to be read anew.
    ReadAnew,
}

/// What one entry changed.
#[derive(Debug)]
pub struct Applied<E> {
    /// The entry.
    pub dot: Dot,
    /// The organization of the entry.
    pub organization: OrganizationId,
    /// `false` for a revocation that was applied before its turn: the entry itself is still to come.
    pub in_turn: bool,
    /// What applying it changed in the rows of this database, as the service's [`crate::Apply`] told it.
    pub effects: E,
    /// W3C trace context of the write; empty where there is none.
    pub traceparent: String,
}

/// A log could not be followed.
#[derive(Debug, thiserror::Error)]
pub enum FollowError {
    /// The database cannot be asked now. The follower goes on when asked again.
    #[error(transparent)]
    Database(#[from] Error),
    /// Effects that this release cannot read: what is derived from the rows would be wrong without them.
    #[error("the effects at {local_seq} cannot be read: {reason}")]
    Unreadable { local_seq: i64, reason: String },
}

/// Follows the logs of one database.
pub struct Follower<A: Apply> {
    db: PgPool,
    /// Changes after each commit of this process.
    committed: watch::Receiver<Vector>,
    ticks: Interval,
    cursor: Cursor,
    /// The last batch was full: more may follow at once.
    has_more: bool,
    service: PhantomData<fn() -> A>,
}

#[derive(sqlx::FromRow)]
struct AppliedRow {
    position: i64,
    origin: String,
    seq: i64,
    epoch: i64,
    organization_id: SqlId<kinds::Organization>,
    in_turn: bool,
    effects: String,
    traceparent: Option<String>,
}

impl<A: Apply> Follower<A> {
    /// Follows what comes after `cursor`.
    pub fn new(replica: &Replica, cursor: Cursor) -> Self {
        Self {
            db: replica.db().clone(),
            committed: replica.watch_applied(),
            ticks: pace::ticks(POLL_INTERVAL),
            cursor,
            has_more: false,
            service: PhantomData,
        }
    }

    /// Goes on after `cursor`, to which all rows have been read anew.
    pub fn go_on_from(&mut self, cursor: Cursor) {
        self.cursor = cursor;
        self.has_more = true;
    }

    /// Waits for the next batch. It is asked again after [`Batch::ReadAnew`] until [`Follower::go_on_from`] is called. May be
    /// dropped while it waits: nothing is lost.
    pub async fn next(&mut self) -> Result<Batch<A::Effects>, FollowError> {
        loop {
            if !self.has_more {
                tokio::select! {
                    _ = self.ticks.tick() => {}
                    Ok(()) = self.committed.changed() => {}
                }
            }
            self.has_more = false;
            match self.read().await? {
                Batch::Applied(applied) if applied.is_empty() => {}
                batch => return Ok(batch),
            }
        }
    }

    async fn read(&mut self) -> Result<Batch<A::Effects>, FollowError> {
        let newest = Cursor::read(&mut *self.db.acquire().await.map_err(Error::from)?).await?;
        if newest.server_start != self.cursor.server_start || newest.local_seq < self.cursor.local_seq {
            return Ok(Batch::ReadAnew);
        }
        if newest.local_seq == self.cursor.local_seq {
            return Ok(Batch::Applied(Vec::new()));
        }
        let rows: Vec<AppliedRow> = sqlx::query_as(
            "SELECT log_applied.*, traceparent FROM log_applied LEFT JOIN log_operation USING (origin, seq)
             WHERE position > $1 ORDER BY position LIMIT $2",
        )
        .bind(self.cursor.local_seq)
        .bind(BATCH_MAX)
        .fetch_all(&self.db)
        .await
        .map_err(Error::from)?;
        let mut applied = Vec::with_capacity(rows.len());
        let last = rows.last().map(|row| row.position);
        for row in rows {
            match row.read()? {
                Some(entry) => applied.push(entry),
                None => return Ok(Batch::ReadAnew),
            }
        }
        self.has_more = i64::try_from(applied.len()).is_ok_and(|count| count == BATCH_MAX);
        self.cursor.local_seq = last.unwrap_or(self.cursor.local_seq);
        Ok(Batch::Applied(applied))
    }
}

impl AppliedRow {
    /// `None` where rows were made anew.
    fn read<E: serde::de::DeserializeOwned>(self) -> Result<Option<Applied<E>>, FollowError> {
        let effects = serde_json::from_str(&self.effects).map_err(|error| FollowError::Unreadable {
            local_seq: self.position,
            reason: error.to_string(),
        })?;
        Ok(match effects {
            Effects::Marker(_) => None,
            Effects::Changed(effects) => Some(Applied {
                dot: columns::dot(&self.origin, self.epoch, self.seq)?,
                organization: self.organization_id.into(),
                in_turn: self.in_turn,
                effects,
                traceparent: self.traceparent.unwrap_or_default(),
            }),
        })
    }
}
