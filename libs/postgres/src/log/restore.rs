//! After the database's server was started anew: whether this origin is whole, and how it becomes so again.

use std::collections::BTreeMap;

use replication::{
    Applied, Intake, Offered, Operation, Position,
    recovery::{self, Cut},
};
use sqlx::PgConnection;

use super::{
    Log, OperationRow, ReceiveError,
    head::Head,
    rebuild::{epoch_at, take_out},
    receive::follow,
};
use crate::Error;

impl Log {
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
    /// `false` if there was nothing to decide: it is known to be whole.
    pub async fn accept(&self) -> Result<bool, Error> {
        let mut transaction = self.db.begin().await?;
        let mut head = Head::lock(&mut transaction).await?;
        if head.confirmed {
            return Ok(false);
        }
        self.raise_epoch(&mut transaction, &mut head, 0).await?;
        confirm(&mut *transaction).await?;
        let vector = head.store(&mut transaction).await?;
        transaction.commit().await?;
        self.has_applied(&vector);
        Ok(true)
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

async fn confirm(executor: impl sqlx::PgExecutor<'_>) -> Result<(), Error> {
    sqlx::query("UPDATE log_head SET confirmed_at = pg_postmaster_start_time()").execute(executor).await?;
    Ok(())
}
