//! Other regions' operations, and what is left to do after a restore.

use std::collections::{BTreeMap, BTreeSet};

use ids::OrganizationId;
use replication::{
    Applied, Head as Tip, Intake, Offered, Operation, Origin, Position,
    recovery::{self, Cut},
};
use sqlx::{PgConnection, Postgres, Transaction};

use super::{Apply, ApplyError, Log, OperationRow, RELOAD, head::Head};
use crate::{Error, SqlId};

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
    fn of(operation: &Operation, error: ApplyError) -> Self {
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

    /// Makes an organization's rows anew from its operations.
    pub async fn rebuild(&self, organization: OrganizationId) -> Result<(), ReceiveError> {
        let mut transaction = self.db.begin().await?;
        let head = Head::lock(&mut transaction).await?;
        self.replay(&mut transaction, organization).await?;
        reload(&mut transaction, organization).await?;
        self.store(transaction, head).await
    }

    /// Whether this origin is known to be whole under the database server that runs now. Until it is, writes are answered 503.
    pub async fn is_confirmed(&self) -> Result<bool, Error> {
        let (confirmed,) = sqlx::query_as(
            "SELECT confirmed_at IS NOT DISTINCT FROM pg_postmaster_start_time() FROM log_head",
        )
        .fetch_one(&self.db)
        .await?;
        Ok(confirmed)
    }

    /// This origin is whole: writes may go on, in every replica.
    pub async fn confirm(&self) -> Result<(), Error> {
        confirm(&self.db).await
    }

    /// This origin may lack a part: writes stop, in every replica.
    pub async fn suspect(&self) -> Result<(), Error> {
        sqlx::query("UPDATE log_head SET confirmed_at = NULL").execute(&self.db).await?;
        Ok(())
    }

    /// The operator's decision to go on from what is here. A new epoch keeps positions of before apart from new ones.
    pub async fn accept(&self) -> Result<(), Error> {
        let mut transaction = self.db.begin().await?;
        let mut head = Head::lock(&mut transaction).await?;
        self.raise_epoch(&mut transaction, &mut head, 0).await?;
        confirm(&mut *transaction).await?;
        let vector = head.store(&mut transaction).await?;
        transaction.commit().await?;
        self.has_applied(&vector);
        Ok(())
    }

    /// Brings this origin to what other regions hold of it, in one transaction: own operations after `common_seq` are set
    /// aside, `taken_back` follow in their place, the epoch is raised above `heard_epoch`, and what was set aside is
    /// appended anew. `taken_back` also has the other origins' operations that own ones depend on.
    pub async fn recover(
        &self,
        common_seq: u64,
        taken_back: &[Operation],
        heard_epoch: u32,
    ) -> Result<(), ReceiveError> {
        let mut transaction = self.db.begin().await?;
        let mut head = Head::lock(&mut transaction).await?;
        let cut = self.cut(&mut transaction, &head, common_seq).await?;
        let mut touched = take_out(&mut transaction, &mut head, &self.origin, common_seq).await?;
        for again in &cut.again {
            let before = again.position.seq.saturating_sub(1);
            touched.extend(take_out(&mut transaction, &mut head, &again.origin, before).await?);
        }
        self.make_anew(&mut transaction, touched).await?;

        let again = taken_back.iter().chain(&cut.again).cloned().collect();
        for operation in in_order(head.applied(), again) {
            follow(&mut transaction, &mut head, self.apply.as_ref(), &operation).await?;
        }
        self.raise_epoch(&mut transaction, &mut head, heard_epoch).await?;
        let held = taken_back.iter().map(|operation| operation.id).collect();
        let end = head.tip(&self.origin);
        for operation in recovery::re_append(&cut.forked, &cut.base, &end, head.epoch, &held) {
            follow(&mut transaction, &mut head, self.apply.as_ref(), &operation).await?;
        }
        confirm(&mut *transaction).await?;
        self.store(transaction, head).await?;
        self.refresh().await?;
        Ok(())
    }

    /// What has to leave the log so that it ends at `common_seq` of this origin.
    async fn cut(
        &self,
        connection: &mut PgConnection,
        head: &Head,
        common_seq: u64,
    ) -> Result<Cut, ReceiveError> {
        let rows: Vec<OperationRow> = sqlx::query_as(
            "SELECT log_operation.* FROM log_operation JOIN log_applied USING (origin, seq)
             WHERE in_turn AND position >= (
                 SELECT min(position) FROM log_applied WHERE origin = $1 AND seq > $2 AND in_turn)
             ORDER BY position",
        )
        .bind(self.origin.to_string())
        .bind(common_seq.cast_signed())
        .fetch_all(&mut *connection)
        .await?;
        let since = rows.into_iter().map(Operation::try_from).collect::<Result<Vec<_>, _>>()?;
        let mut before = BTreeMap::new();
        for operation in since.iter().rev() {
            before.insert(operation.origin.clone(), operation.position.seq.saturating_sub(1));
        }
        let mut vector = head.vector();
        let mut common =
            Position { epoch: vector.get(&self.origin).unwrap_or_default().epoch, seq: common_seq };
        let mut entries: BTreeMap<_, _> = vector.iter().map(|(origin, at)| (origin.clone(), *at)).collect();
        for (origin, seq) in before {
            let epoch = epoch_at(connection, &origin, seq).await?;
            entries.insert(origin, Position { epoch, seq });
        }
        if !since.is_empty() {
            common.epoch = epoch_at(connection, &self.origin, common_seq).await?;
        }
        vector = entries.into_iter().collect();
        Ok(recovery::cut(&vector, &since, &self.origin, common))
    }

    /// Takes back what came of another origin after `common_seq`: it went on along another branch after a restore.
    pub async fn cut_back(&self, origin: &Origin, common_seq: u64) -> Result<(), ReceiveError> {
        let mut transaction = self.db.begin().await?;
        let mut head = Head::lock(&mut transaction).await?;
        let touched = take_out(&mut transaction, &mut head, origin, common_seq).await?;
        self.make_anew(&mut transaction, touched).await?;
        self.store(transaction, head).await?;
        self.refresh().await?;
        Ok(())
    }

    /// Makes the rows of organizations anew from what the log still holds.
    async fn make_anew(
        &self,
        connection: &mut PgConnection,
        organizations: BTreeSet<OrganizationId>,
    ) -> Result<(), ReceiveError> {
        for organization in organizations {
            self.replay(connection, organization).await?;
            reload(connection, organization).await?;
        }
        Ok(())
    }

    /// From here on, this origin writes in an epoch above all that were heard of. The log itself stays where it is.
    async fn raise_epoch(
        &self,
        connection: &mut PgConnection,
        head: &mut Head,
        heard_epoch: u32,
    ) -> Result<(), Error> {
        let heard = [heard_epoch, head.tip(&self.origin).position.epoch];
        let heard = heard.map(|epoch| Position { epoch, seq: 0 });
        head.epoch = recovery::next_epoch(head.epoch, heard);
        sqlx::query("UPDATE log_head SET epoch = $1").bind(i64::from(head.epoch)).execute(connection).await?;
        Ok(())
    }

    /// Clears an organization's rows and applies its operations again, in the order in which they were applied here.
    async fn replay(
        &self,
        connection: &mut PgConnection,
        organization: OrganizationId,
    ) -> Result<(), ReceiveError> {
        let cleared = self.apply.clear(connection, organization).await;
        cleared.map_err(|error| match error {
            ApplyError::Database(error) => ReceiveError::Database(error),
            ApplyError::Unreadable(reason) => Error::from(sqlx::Error::Protocol(reason)).into(),
        })?;
        let rows: Vec<OperationRow> = sqlx::query_as(
            "SELECT log_operation.* FROM log_operation JOIN log_applied USING (origin, seq)
             WHERE log_operation.organization_id = $1 AND in_turn ORDER BY position",
        )
        .bind(SqlId(organization))
        .fetch_all(&mut *connection)
        .await?;
        for row in rows {
            let operation = Operation::try_from(row)?;
            let applied = self.apply.apply(connection, &operation).await;
            applied.map_err(|error| ReceiveError::of(&operation, error))?;
        }
        Ok(())
    }

    async fn store(
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

/// `operations` in an order in which each follows what it depends on. What cannot be put in order is left out: it is
/// received again.
fn in_order(applied: Applied, mut operations: Vec<Operation>) -> Vec<Operation> {
    let mut intake = Intake::new(None, applied);
    let mut ordered = Vec::with_capacity(operations.len());
    loop {
        operations.retain(|operation| matches!(intake.offer(operation.clone()), Offered::Full));
        let ready = intake.ready();
        if ready.is_empty() {
            return ordered;
        }
        for operation in &ready {
            intake.applied(operation);
        }
        ordered.extend(ready);
    }
}

fn out_of_order(head: &Head, operation: &Operation) -> ReceiveError {
    let held = head.tip(&operation.origin).position.seq;
    ReceiveError::OutOfOrder { origin: operation.origin.clone(), seq: operation.position.seq, held }
}

/// Takes operations of `origin` after `last_seq` out of the log; answers the organizations that they touched.
async fn take_out(
    connection: &mut PgConnection,
    head: &mut Head,
    origin: &Origin,
    last_seq: u64,
) -> Result<BTreeSet<OrganizationId>, ReceiveError> {
    let (name, last) = (origin.to_string(), last_seq.cast_signed());
    let rows: Vec<OperationRow> =
        sqlx::query_as("DELETE FROM log_operation WHERE origin = $1 AND seq > $2 RETURNING *")
            .bind(&name)
            .bind(last)
            .fetch_all(&mut *connection)
            .await?;
    let gone = rows.into_iter().map(Operation::try_from).collect::<Result<Vec<_>, _>>()?;
    let Some(first) = gone.iter().min_by_key(|operation| operation.position.seq) else {
        return Ok(BTreeSet::new());
    };
    let epoch = epoch_at(connection, origin, last_seq).await?;
    let tip = Tip { position: Position { epoch, seq: last_seq }, hash: first.prev_hash };
    head.set_tip(origin, tip);
    store_tip(connection, origin, tip).await?;
    sqlx::query(
        "WITH gone AS (DELETE FROM log_applied WHERE origin = $1 AND seq > $2)
         UPDATE log_organization SET (epoch, seq) = (
             SELECT coalesce(max(epoch), 0), coalesce(max(seq), 0) FROM log_operation
             WHERE origin = $1 AND organization_id = log_organization.organization_id)
         WHERE origin = $1 AND seq > $2",
    )
    .bind(&name)
    .bind(last)
    .execute(connection)
    .await?;
    Ok(gone.into_iter().map(|operation| operation.organization).collect())
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

/// Epoch of the operation at `seq`; that of a log's start before the first.
async fn epoch_at(connection: &mut PgConnection, origin: &Origin, seq: u64) -> Result<u32, Error> {
    let epoch: Option<(i64,)> =
        sqlx::query_as("SELECT epoch FROM log_operation WHERE origin = $1 AND seq = $2")
            .bind(origin.to_string())
            .bind(seq.cast_signed())
            .fetch_optional(connection)
            .await?;
    Ok(epoch.map_or(1, |(epoch,)| super::position(epoch, 0).epoch))
}

async fn store_tip(connection: &mut PgConnection, origin: &Origin, tip: Tip) -> Result<(), Error> {
    sqlx::query(
        "INSERT INTO log_origin (origin, epoch, seq, hash) VALUES ($1, $2, $3, $4)
         ON CONFLICT (origin) DO UPDATE SET epoch = excluded.epoch, seq = excluded.seq, hash = excluded.hash",
    )
    .bind(origin.to_string())
    .bind(i64::from(tip.position.epoch))
    .bind(tip.position.seq.cast_signed())
    .bind(&tip.hash[..])
    .execute(connection)
    .await?;
    Ok(())
}

/// Applies the next operation of its log.
async fn follow(
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

/// Tells the followers of `log_applied` to read the organization's rows anew.
async fn reload(connection: &mut PgConnection, organization: OrganizationId) -> Result<(), Error> {
    sqlx::query(
        "WITH head AS (UPDATE log_head SET position = position + 1 RETURNING position)
         INSERT INTO log_applied (position, origin, seq, epoch, organization_id, in_turn, effects)
         SELECT position, '', 0, 0, $1, false, $2 FROM head",
    )
    .bind(SqlId(organization))
    .bind(RELOAD)
    .execute(connection)
    .await?;
    Ok(())
}

async fn confirm(executor: impl sqlx::PgExecutor<'_>) -> Result<(), Error> {
    sqlx::query("UPDATE log_head SET confirmed_at = pg_postmaster_start_time()").execute(executor).await?;
    Ok(())
}
