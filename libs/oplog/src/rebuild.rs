//! Rows made anew from the log, and a log that goes back to where another branch of it begins.

use std::collections::BTreeSet;

use ids::OrganizationId;
use postgres::{Error, SqlId};
use replication::{Entry, Origin, Position, Tip};
use sqlx::PgConnection;

use crate::{
    ReceiveError, Replica, columns,
    locked::LockedLog,
    stored::{self, OperationRow},
};

impl Replica {
    /// Makes an organization's rows anew from its entries.
    pub async fn rebuild(&self, organization: OrganizationId) -> Result<(), ReceiveError> {
        let mut transaction = self.db.begin().await?;
        let log = LockedLog::lock(&mut transaction).await?;
        self.replay(&mut transaction, organization).await?;
        mark_remade(&mut transaction, organization).await?;
        Ok(self.store(transaction, log).await?)
    }

    /// Takes out the entries of another origin after `common_seq`, and what they changed: that log went on along another branch
    /// after a restore.
    pub async fn cut_back(&self, origin: &Origin, common_seq: u64) -> Result<(), ReceiveError> {
        let mut transaction = self.db.begin().await?;
        let mut log = LockedLog::lock(&mut transaction).await?;
        let touched = take_out(&mut transaction, &mut log, origin, common_seq).await?;
        self.make_anew(&mut transaction, touched).await?;
        self.store(transaction, log).await?;
        self.read_state().await?;
        Ok(())
    }

    /// Makes the rows of organizations anew from what the log still holds.
    pub(crate) async fn make_anew(
        &self,
        connection: &mut PgConnection,
        organizations: BTreeSet<OrganizationId>,
    ) -> Result<(), ReceiveError> {
        for organization in organizations {
            self.replay(connection, organization).await?;
            mark_remade(connection, organization).await?;
        }
        Ok(())
    }

    /// Clears an organization's rows and applies its entries again, in the order in which they were applied here.
    async fn replay(
        &self,
        connection: &mut PgConnection,
        organization: OrganizationId,
    ) -> Result<(), ReceiveError> {
        self.apply.clear(connection, organization).await?;
        let rows: Vec<OperationRow> = sqlx::query_as(
            "SELECT log_operation.* FROM log_operation JOIN log_applied USING (origin, seq)
             WHERE log_operation.organization_id = $1 AND in_turn ORDER BY position",
        )
        .bind(SqlId(organization))
        .fetch_all(&mut *connection)
        .await?;
        for row in rows {
            let entry = Entry::try_from(row)?;
            let applied = self.apply.apply(connection, &entry).await;
            applied.map_err(|error| ReceiveError::of(&entry, error))?;
        }
        Ok(())
    }
}

/// Takes entries of `origin` after `last_seq` out of the log; answers the organizations that they touched.
pub(crate) async fn take_out(
    connection: &mut PgConnection,
    log: &mut LockedLog,
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
    let gone = stored::entries(rows)?;
    let Some(first) = gone.iter().min_by_key(|entry| entry.position.seq) else {
        return Ok(BTreeSet::new());
    };
    let epoch = epoch_at(connection, origin, last_seq).await?;
    let tip = Tip { position: Position { epoch, seq: last_seq }, hash: first.prev_hash };
    log.set_tip(origin, tip);
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
    Ok(gone.into_iter().map(|entry| entry.organization).collect())
}

/// Epoch of the entry at `seq`; that of a log's start before the first.
pub(crate) async fn epoch_at(connection: &mut PgConnection, origin: &Origin, seq: u64) -> Result<u32, Error> {
    let epoch: Option<(i64,)> =
        sqlx::query_as("SELECT epoch FROM log_operation WHERE origin = $1 AND seq = $2")
            .bind(origin.to_string())
            .bind(seq.cast_signed())
            .fetch_optional(connection)
            .await?;
    Ok(match epoch {
        Some((epoch,)) => columns::position(epoch, 0)?.epoch,
        None => 1,
    })
}

async fn store_tip(connection: &mut PgConnection, origin: &Origin, tip: Tip) -> Result<(), Error> {
    sqlx::query(
        "INSERT INTO log_origin (origin, epoch, seq, hash) VALUES ($1, $2, $3, $4)
         ON CONFLICT (origin) DO UPDATE SET epoch = excluded.epoch, seq = excluded.seq, hash = excluded.hash",
    )
    .bind(origin.to_string())
    .bind(columns::epoch(tip.position))
    .bind(columns::seq(tip.position))
    .bind(&tip.hash[..])
    .execute(connection)
    .await?;
    Ok(())
}

/// Tells the followers of `log_applied` to read the organization's rows anew.
async fn mark_remade(connection: &mut PgConnection, organization: OrganizationId) -> Result<(), Error> {
    sqlx::query(
        "WITH head AS (UPDATE log_head SET position = position + 1 RETURNING position)
         INSERT INTO log_applied (position, origin, seq, epoch, organization_id, in_turn, effects)
         SELECT position, '', 0, 0, $1, false, $2 FROM head",
    )
    .bind(SqlId(organization))
    .bind(stored::reload()?)
    .execute(connection)
    .await?;
    Ok(())
}
