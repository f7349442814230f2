//! Rows of mail that waits.

use ids::{OrganizationId, kinds};
use postgres::{Error, SqlId};
use sqlx::{PgConnection, PgExecutor};
use time::OffsetDateTime;
use uuid::Uuid;

use super::{Kind, Letter};

/// A mail that this replica sends, until its claim is over.
pub(super) struct Claimed {
    pub id: Uuid,
    pub organization: OrganizationId,
    pub kind: Kind,
    pub to: String,
    /// What it says, sealed for its id.
    pub sealed: Vec<u8>,
    pub expires_at: OffsetDateTime,
    /// How often it was tried, this time included.
    pub attempts: i32,
}

/// How many mails of the organization wait.
pub async fn count(executor: impl PgExecutor<'_>, organization: OrganizationId) -> Result<i64, Error> {
    let (count,): (i64,) = sqlx::query_as("SELECT count(*) FROM resident.mail WHERE organization_id = $1")
        .bind(SqlId(organization))
        .fetch_one(executor)
        .await?;
    Ok(count)
}

pub(super) async fn insert(
    connection: &mut PgConnection,
    id: Uuid,
    letter: &Letter,
    sealed: &[u8],
    at: OffsetDateTime,
) -> Result<(), Error> {
    sqlx::query(
        "INSERT INTO resident.mail
             (id, organization_id, kind, recipient, sealed, created_at, expires_at, next_attempt_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $6)",
    )
    .bind(id)
    .bind(SqlId(letter.organization))
    .bind(letter.kind.as_str())
    .bind(&letter.to)
    .bind(sealed)
    .bind(at)
    .bind(letter.expires_at)
    .execute(connection)
    .await?;
    Ok(())
}

/// Claims at most `limit` mails whose time has come at `now`, until `until`.
pub(super) async fn claim(
    executor: impl PgExecutor<'_>,
    now: OffsetDateTime,
    until: OffsetDateTime,
    limit: i64,
) -> Result<Vec<Claimed>, Error> {
    type Row = (Uuid, SqlId<kinds::Organization>, String, String, Vec<u8>, OffsetDateTime, i32);
    let rows: Vec<Row> = sqlx::query_as(
        "UPDATE resident.mail SET claimed_until = $2, attempts = attempts + 1
         WHERE id IN (SELECT id FROM resident.mail
             WHERE next_attempt_at <= $1 AND (claimed_until IS NULL OR claimed_until <= $1)
             ORDER BY next_attempt_at, id LIMIT $3 FOR UPDATE SKIP LOCKED)
         RETURNING id, organization_id, kind, recipient, sealed, expires_at, attempts",
    )
    .bind(now)
    .bind(until)
    .bind(limit)
    .fetch_all(executor)
    .await?;
    let read = |(id, organization, kind, to, sealed, expires_at, attempts): Row| {
        let kind = Kind::from_column(&kind)?;
        Ok(Claimed { id, organization: organization.into(), kind, to, sealed, expires_at, attempts })
    };
    rows.into_iter().map(read).collect()
}

/// A mail was taken by the mail server, or is given up.
pub(super) async fn delete(executor: impl PgExecutor<'_>, id: Uuid) -> Result<(), Error> {
    sqlx::query("DELETE FROM resident.mail WHERE id = $1").bind(id).execute(executor).await?;
    Ok(())
}

/// A mail is to be tried again at `at`.
pub(super) async fn postpone(
    executor: impl PgExecutor<'_>,
    id: Uuid,
    at: OffsetDateTime,
) -> Result<(), Error> {
    sqlx::query("UPDATE resident.mail SET next_attempt_at = $2, claimed_until = NULL WHERE id = $1")
        .bind(id)
        .bind(at)
        .execute(executor)
        .await?;
    Ok(())
}
