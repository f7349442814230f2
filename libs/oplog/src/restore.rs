//! After the database's server was started anew: whether this origin is whole, and how it becomes so again.

use std::collections::BTreeMap;

use postgres::Error;
use replication::{
    Applied, Entry, Intake, Offered, Position,
    recovery::{self, Cut},
};
use sqlx::PgConnection;

use crate::{
    ReceiveError, Replica,
    locked::LockedLog,
    rebuild::{epoch_at, take_out},
    receive::follow,
    stored::{self, OperationRow},
};

impl Replica {
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
        let mut log = LockedLog::lock(&mut transaction).await?;
        if log.confirmed {
            return Ok(false);
        }
        self.raise_epoch(&mut transaction, &mut log, 0).await?;
        confirm(&mut *transaction).await?;
        let vector = log.store(&mut transaction, &self.origin, &self.signer).await?;
        transaction.commit().await?;
        self.note_applied(&vector);
        Ok(true)
    }

    /// Brings this origin to what other regions hold of it, in one transaction: own entries after `common_seq` are set
    /// aside, `taken_back` follow in their place, the epoch is raised above `heard_epoch`, and what was set aside is
    /// appended anew. `taken_back` also has the other origins' entries that own ones depend on.
    pub async fn recover(
        &self,
        common_seq: u64,
        taken_back: &[Entry],
        heard_epoch: u32,
    ) -> Result<(), ReceiveError> {
        let mut transaction = self.db.begin().await?;
        let mut log = LockedLog::lock(&mut transaction).await?;
        let cut = self.cut(&mut transaction, &log, common_seq).await?;
        let mut touched = take_out(&mut transaction, &mut log, &self.origin, common_seq).await?;
        for again in &cut.again {
            let before = again.position.seq.saturating_sub(1);
            touched.extend(take_out(&mut transaction, &mut log, &again.origin, before).await?);
        }
        self.make_anew(&mut transaction, touched).await?;

        let again = taken_back.iter().chain(&cut.again).cloned().collect();
        for entry in in_order(log.applied(), again) {
            follow(&mut transaction, &mut log, self.apply.as_ref(), &entry).await?;
        }
        self.raise_epoch(&mut transaction, &mut log, heard_epoch).await?;
        let held = taken_back.iter().map(|entry| entry.id).collect();
        let end = log.tip(&self.origin);
        for entry in recovery::re_append(&cut.forked, &cut.base, &end, log.epoch, &held) {
            follow(&mut transaction, &mut log, self.apply.as_ref(), &entry).await?;
        }
        confirm(&mut *transaction).await?;
        self.store(transaction, log).await?;
        self.read_state().await?;
        Ok(())
    }

    /// What has to leave the log so that it ends at `common_seq` of this origin.
    async fn cut(
        &self,
        connection: &mut PgConnection,
        log: &LockedLog,
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
        let since = stored::entries(rows)?;
        let mut before = BTreeMap::new();
        for entry in since.iter().rev() {
            before.insert(entry.origin.clone(), entry.position.seq.saturating_sub(1));
        }
        let mut vector = log.vector();
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

    /// From here on, this origin writes in an epoch that it never wrote in. The log itself stays where it is.
    async fn raise_epoch(
        &self,
        connection: &mut PgConnection,
        log: &mut LockedLog,
        heard_epoch: u32,
    ) -> Result<(), Error> {
        let heard = [heard_epoch, log.tip(&self.origin).position.epoch];
        let heard = heard.map(|epoch| Position { epoch, seq: 0 });
        log.epoch = recovery::next_epoch(log.epoch, heard, self.clock.unix_seconds());
        sqlx::query("UPDATE log_head SET epoch = $1").bind(i64::from(log.epoch)).execute(connection).await?;
        Ok(())
    }
}

/// `entries` in an order in which each follows what it depends on. What cannot be put in order is left out: it is
/// received again.
fn in_order(applied: Applied, mut entries: Vec<Entry>) -> Vec<Entry> {
    let mut intake = Intake::new(None, applied);
    let mut ordered = Vec::with_capacity(entries.len());
    loop {
        entries.retain(|entry| matches!(intake.offer(entry.clone()), Offered::Full));
        let ready = intake.ready();
        if ready.is_empty() {
            return ordered;
        }
        for entry in &ready {
            intake.applied(entry);
        }
        ordered.extend(ready);
    }
}

async fn confirm(executor: impl sqlx::PgExecutor<'_>) -> Result<(), Error> {
    sqlx::query("UPDATE log_head SET confirmed_at = pg_postmaster_start_time()").execute(executor).await?;
    Ok(())
}
