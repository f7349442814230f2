//! The entries of other regions.

use postgres::Error;
use replication::{Entry, Origin};
use sqlx::PgConnection;
use tracing::Instrument as _;

use crate::{ApplyError, Replica, apply::ErasedApply, columns, locked::LockedLog, stored::OperationRow};

/// Entries were not received.
#[derive(Debug, thiserror::Error)]
pub enum ReceiveError {
    #[error(transparent)]
    Database(#[from] Error),
    /// Stops the log visibly: a newer release has to read it.
    #[error("entry {seq} of {origin}, of kind `{kind}`, cannot be read: {reason}")]
    Unreadable { origin: Origin, seq: u64, kind: String, reason: String },
    /// It does not follow what is held of its log: something is missing, or the log was forked.
    #[error("entry {seq} of {origin} does not follow {held}")]
    OutOfOrder { origin: Origin, seq: u64, held: u64 },
}

impl ReceiveError {
    pub(crate) fn of(entry: &Entry, error: ApplyError) -> Self {
        match error {
            ApplyError::Database(error) => Self::Database(error),
            ApplyError::Unreadable(reason) => Self::Unreadable {
                origin: entry.origin.clone(),
                seq: entry.position.seq,
                kind: entry.kind.clone(),
                reason,
            },
        }
    }
}

impl From<sqlx::Error> for ReceiveError {
    fn from(error: sqlx::Error) -> Self {
        Self::Database(error.into())
    }
}

impl Replica {
    /// Applies entries whose turn it is, in order, in one transaction. Those that are held already are passed over.
    pub async fn receive(&self, entries: &[Entry]) -> Result<(), ReceiveError> {
        let mut transaction = self.db.begin().await?;
        let mut log = LockedLog::lock(&mut transaction).await?;
        for entry in entries {
            if entry.position.seq > log.tip(&entry.origin).position.seq {
                follow(&mut transaction, &mut log, self.apply.as_ref(), entry).await?;
            } else if !is_held(&mut transaction, entry).await? {
                return Err(out_of_order(&log, entry));
            }
        }
        Ok(self.store(transaction, log).await?)
    }

    /// Applies a revocation before its turn: it denies on receipt. Its turn still comes.
    pub async fn receive_early(&self, entry: &Entry) -> Result<(), ReceiveError> {
        let mut transaction = self.db.begin().await?;
        let mut log = LockedLog::lock(&mut transaction).await?;
        if entry.position > log.tip(&entry.origin).position {
            let denied = self.apply.deny(&mut transaction, entry).await;
            let effects = denied.map_err(|error| ReceiveError::of(entry, error))?;
            log.take_early(entry.clone(), effects);
            self.store(transaction, log).await?;
        }
        Ok(())
    }
}

/// Applies the next entry of its log.
pub(crate) async fn follow(
    connection: &mut PgConnection,
    log: &mut LockedLog,
    apply: &dyn ErasedApply,
    entry: &Entry,
) -> Result<(), ReceiveError> {
    let tip = log.tip(&entry.origin);
    let is_next = entry.position.seq == tip.position.seq.saturating_add(1)
        && entry.position.epoch >= tip.position.epoch
        && entry.prev_hash == tip.hash
        && log.vector().covers(&entry.deps);
    if !is_next {
        return Err(out_of_order(log, entry));
    }
    let Entry { origin, kind, .. } = entry;
    let span = tracing::info_span!("log.apply", %origin, seq = entry.position.seq, kind);
    telemetry::adopt(&span, &entry.traceparent);
    let applied = apply.apply(connection, entry).instrument(span).await;
    let effects = applied.map_err(|error| ReceiveError::of(entry, error))?;
    log.take(entry.clone(), effects);
    Ok(())
}

fn out_of_order(log: &LockedLog, entry: &Entry) -> ReceiveError {
    let held = log.tip(&entry.origin).position.seq;
    ReceiveError::OutOfOrder { origin: entry.origin.clone(), seq: entry.position.seq, held }
}

/// Whether this very entry is in the log.
async fn is_held(connection: &mut PgConnection, entry: &Entry) -> Result<bool, ReceiveError> {
    let row: Option<OperationRow> =
        sqlx::query_as("SELECT * FROM log_operation WHERE origin = $1 AND seq = $2")
            .bind(entry.origin.to_string())
            .bind(columns::seq(entry.position))
            .fetch_optional(connection)
            .await?;
    let held = row.map(Entry::try_from).transpose()?;
    Ok(held.is_some_and(|held| held.hash() == entry.hash()))
}
