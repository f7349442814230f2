//! Rows made anew from the log, and a log that goes back to where another branch of it begins.

use std::collections::BTreeSet;

use ids::OrganizationId;
use replication::{Head as Tip, Operation, Origin, Position};
use sqlx::PgConnection;

use super::{ApplyError, Log, OperationRow, RELOAD, ReceiveError, head::Head};
use crate::{Error, SqlId};

impl Log {
    /// Makes an organization's rows anew from its operations.
    pub async fn rebuild(&self, organization: OrganizationId) -> Result<(), ReceiveError> {
        let mut transaction = self.db.begin().await?;
        let head = Head::lock(&mut transaction).await?;
        self.replay(&mut transaction, organization).await?;
        reload(&mut transaction, organization).await?;
        self.store(transaction, head).await
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
    pub(super) async fn make_anew(
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
}

/// Takes operations of `origin` after `last_seq` out of the log; answers the organizations that they touched.
pub(super) async fn take_out(
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

/// Epoch of the operation at `seq`; that of a log's start before the first.
pub(super) async fn epoch_at(connection: &mut PgConnection, origin: &Origin, seq: u64) -> Result<u32, Error> {
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
