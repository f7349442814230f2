//! The log of an origin: every replicated write appends its operations here, in its own transaction.
//!
//! Sequence numbers are dense and in commit order, because the head's row is locked until the transaction ends.
//! Tables: `log_head` (one row) and `log_operation`.

use ids::{OrganizationId, kinds};
use serde::Serialize;
use sqlx::{PgConnection, PgExecutor};

use crate::{Error, SqlId};

/// An entry of the log.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct Operation {
    pub seq: i64,
    pub organization_id: SqlId<kinds::Organization>,
    /// As in `session.revoked`.
    pub kind: String,
    /// JSON.
    pub body: String,
    /// W3C trace context of the write.
    pub traceparent: String,
}

/// Appends one operation; answers its sequence number. Locks the log until the transaction ends.
pub async fn append(
    connection: &mut PgConnection,
    organization: OrganizationId,
    kind: &str,
    body: &impl Serialize,
) -> Result<u64, Error> {
    let body = serde_json::to_string(body).map_err(|error| sqlx::Error::Encode(error.into()))?;
    let (seq,): (i64,) = sqlx::query_as(
        "WITH head AS (UPDATE log_head SET seq = seq + 1 RETURNING seq)
         INSERT INTO log_operation (seq, organization_id, kind, body, traceparent)
         SELECT head.seq, $1, $2, $3, $4 FROM head
         RETURNING seq",
    )
    .bind(SqlId(organization))
    .bind(kind)
    .bind(body)
    .bind(telemetry::traceparent())
    .fetch_one(connection)
    .await?;
    Ok(seq.cast_unsigned())
}

/// Sequence number of the last operation; 0 for none.
pub async fn head(executor: impl PgExecutor<'_>) -> Result<u64, Error> {
    let (seq,): (i64,) = sqlx::query_as("SELECT seq FROM log_head").fetch_one(executor).await?;
    Ok(seq.cast_unsigned())
}

/// At most `limit` operations after `seq`, in order.
pub async fn operations_after(
    executor: impl PgExecutor<'_>,
    seq: u64,
    limit: u32,
) -> Result<Vec<Operation>, Error> {
    let operations = sqlx::query_as(
        "SELECT seq, organization_id, kind, body, traceparent FROM log_operation WHERE seq > $1 ORDER BY seq LIMIT $2",
    )
    .bind(seq.cast_signed())
    .bind(i64::from(limit))
    .fetch_all(executor)
    .await?;
    Ok(operations)
}
