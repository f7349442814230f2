//! Other regions' operations.

use replication::{Operation, Origin};
use sqlx::{PgConnection, Postgres, Transaction};

use super::{Apply, ApplyError, Log, OperationRow, head::Head};
use crate::Error;

#[derive(Debug, thiserror::Error)]
pub enum ReceiveError {
    #[error(transparent)]
    Database(#[from] Error),
    /// Stops the origin visibly; a newer release has to read it.
    #[error("operation {seq} of {origin}, of kind `{kind}`, cannot be read: {reason}")]
    Unreadable { origin: Origin, seq: u64, kind: String, reason: String },
    /// It does not follow what is held of its log: something is missing, or the log was forked.
    #[error("operation {seq} of {origin} does not follow {held}")]
    OutOfOrder { origin: Origin, seq: u64, held: u64 },
}

impl ReceiveError {
    pub(super) fn of(operation: &Operation, error: ApplyError) -> Self {
        match error {
            ApplyError::Database(error) => Self::Database(error),
            ApplyError::Unreadable(reason) => Self::Unreadable {
                origin: operation.origin.clone(),
                seq: operation.position.seq,
                kind: operation.kind.clone(),
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

impl Log {
    /// Applies operations whose turn it is, in order, in one transaction. Those that are held already are passed over.
    pub async fn receive(&self, operations: &[Operation]) -> Result<(), ReceiveError> {
        let mut transaction = self.db.begin().await?;
        let mut head = Head::lock(&mut transaction).await?;
        for operation in operations {
            if operation.position.seq > head.tip(&operation.origin).position.seq {
                follow(&mut transaction, &mut head, self.apply.as_ref(), operation).await?;
            } else if !is_held(&mut transaction, operation).await? {
                return Err(out_of_order(&head, operation));
            }
        }
        self.store(transaction, head).await
    }

    /// Applies a revocation before its turn: it denies on receipt. Its turn still comes.
    pub async fn receive_early(&self, operation: &Operation) -> Result<(), ReceiveError> {
        let mut transaction = self.db.begin().await?;
        let mut head = Head::lock(&mut transaction).await?;
        if operation.position > head.tip(&operation.origin).position {
            let denied = self.apply.deny(&mut transaction, operation).await;
            let effects = denied.map_err(|error| ReceiveError::of(operation, error))?;
            head.take_early(operation.clone(), effects);
            self.store(transaction, head).await?;
        }
        Ok(())
    }

    /// Writes what the head has taken, and commits.
    pub(super) async fn store(
        &self,
        mut transaction: Transaction<'static, Postgres>,
        head: Head,
    ) -> Result<(), ReceiveError> {
        let vector = head.store(&mut transaction).await?;
        transaction.commit().await.map_err(Error::from)?;
        self.has_applied(&vector);
        Ok(())
    }
}

/// Applies the next operation of its log.
pub(super) async fn follow(
    connection: &mut PgConnection,
    head: &mut Head,
    apply: &dyn Apply,
    operation: &Operation,
) -> Result<(), ReceiveError> {
    let tip = head.tip(&operation.origin);
    let is_next = operation.position.seq == tip.position.seq.saturating_add(1)
        && operation.position.epoch >= tip.position.epoch
        && operation.prev_hash == tip.hash
        && head.vector().covers(&operation.deps);
    if !is_next {
        return Err(out_of_order(head, operation));
    }
    let applied = apply.apply(connection, operation).await;
    let effects = applied.map_err(|error| ReceiveError::of(operation, error))?;
    head.take(operation.clone(), effects);
    Ok(())
}

fn out_of_order(head: &Head, operation: &Operation) -> ReceiveError {
    let held = head.tip(&operation.origin).position.seq;
    ReceiveError::OutOfOrder { origin: operation.origin.clone(), seq: operation.position.seq, held }
}

/// Whether this very operation is in the log.
async fn is_held(connection: &mut PgConnection, operation: &Operation) -> Result<bool, ReceiveError> {
    let row: Option<OperationRow> =
        sqlx::query_as("SELECT * FROM log_operation WHERE origin = $1 AND seq = $2")
            .bind(operation.origin.to_string())
            .bind(operation.position.seq.cast_signed())
            .fetch_optional(connection)
            .await?;
    let held = row.map(Operation::try_from).transpose()?;
    Ok(held.is_some_and(|held| held.hash() == operation.hash()))
}
