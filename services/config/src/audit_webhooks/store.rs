//! The table `regional.audit_webhook`.

use ids::{OrganizationId, kinds};
use postgres::{Error, PgPool, SqlId};
use sqlx::PgConnection;
use time::OffsetDateTime;

use crate::audit_logs::Cursor;

/// A webhook.
#[derive(Clone, sqlx::FromRow)]
pub struct WebhookRow {
    pub organization_id: SqlId<kinds::Organization>,
    pub endpoint: String,
    /// Sealed.
    pub secret: Vec<u8>,
    pub enabled: bool,
    /// How far it has been delivered to, as JSON.
    pub cursor: String,
    pub created_at: OffsetDateTime,
    pub updated_at: OffsetDateTime,
    pub next_attempt_at: OffsetDateTime,
    /// Since when every attempt has failed.
    pub failing_since: Option<OffsetDateTime>,
    /// How many attempts have failed since.
    pub failures: i32,
    pub last_success_at: Option<OffsetDateTime>,
    pub last_error: Option<String>,
    pub last_error_at: Option<OffsetDateTime>,
    /// Entries that it has taken.
    pub delivered: i64,
    /// Why deliveries were given up; `None` unless they were.
    pub given_up: Option<String>,
}

impl WebhookRow {
    /// How far it has been delivered to.
    pub fn cursor(&self) -> Result<Cursor, Error> {
        serde_json::from_str(&self.cursor).map_err(Error::undecodable)
    }
}

const COLUMNS: &str =
    "organization_id, endpoint, secret, enabled, cursor, created_at, updated_at, next_attempt_at,
    failing_since, failures, last_success_at, last_error, last_error_at, delivered, given_up";

fn cursor_text(cursor: &Cursor) -> Result<String, Error> {
    serde_json::to_string(cursor).map_err(Error::unencodable)
}

/// The webhook of `organization`.
pub async fn find(db: &PgPool, organization: OrganizationId) -> Result<Option<WebhookRow>, Error> {
    let statement = format!("SELECT {COLUMNS} FROM regional.audit_webhook WHERE organization_id = $1");
    Ok(sqlx::query_as(sqlx::AssertSqlSafe(statement)).bind(SqlId(organization)).fetch_optional(db).await?)
}

/// Writes the webhook of `organization`; `cursor` counts only if it is new. Deliveries begin at once, and what had failed is forgotten.
pub async fn put(
    connection: &mut PgConnection,
    organization: OrganizationId,
    (endpoint, enabled): (&str, bool),
    secret: &[u8],
    cursor: &Cursor,
) -> Result<WebhookRow, Error> {
    let statement = format!(
        "INSERT INTO regional.audit_webhook (organization_id, endpoint, enabled, secret, cursor)
         VALUES ($1, $2, $3, $4, $5)
         ON CONFLICT (organization_id) DO UPDATE
         SET endpoint = excluded.endpoint, enabled = excluded.enabled, secret = excluded.secret, updated_at = now(),
             next_attempt_at = now(), failing_since = NULL, failures = 0, given_up = NULL
         RETURNING {COLUMNS}"
    );
    let row = sqlx::query_as(sqlx::AssertSqlSafe(statement))
        .bind(SqlId(organization))
        .bind(endpoint)
        .bind(enabled)
        .bind(secret)
        .bind(cursor_text(cursor)?)
        .fetch_one(connection)
        .await?;
    Ok(row)
}

/// Deletes it; whether it was there.
pub async fn delete(connection: &mut PgConnection, organization: OrganizationId) -> Result<bool, Error> {
    let deleted = sqlx::query("DELETE FROM regional.audit_webhook WHERE organization_id = $1")
        .bind(SqlId(organization))
        .execute(connection)
        .await?;
    Ok(deleted.rows_affected() > 0)
}

/// Takes at most `limit` webhooks whose next attempt is due, for `seconds`: nobody else takes them meanwhile.
pub async fn claim(db: &PgPool, limit: i64, seconds: f64) -> Result<Vec<WebhookRow>, Error> {
    let statement = format!(
        "UPDATE regional.audit_webhook SET claimed_until = now() + make_interval(secs => $2)
         WHERE organization_id IN (
             SELECT organization_id FROM regional.audit_webhook
             WHERE enabled AND next_attempt_at <= now() AND (claimed_until IS NULL OR claimed_until < now())
             ORDER BY next_attempt_at LIMIT $1 FOR UPDATE SKIP LOCKED)
         RETURNING {COLUMNS}"
    );
    Ok(sqlx::query_as(sqlx::AssertSqlSafe(statement)).bind(limit).bind(seconds).fetch_all(db).await?)
}

/// It has taken `count` entries up to `cursor`, or there were none; the next attempt is in `seconds`.
pub async fn succeeded(
    db: &PgPool,
    organization: OrganizationId,
    (cursor, count): (&Cursor, i64),
    seconds: f64,
) -> Result<(), Error> {
    sqlx::query(
        "UPDATE regional.audit_webhook
         SET cursor = $2, delivered = delivered + $3, claimed_until = NULL,
             next_attempt_at = now() + make_interval(secs => $4), failing_since = NULL, failures = 0,
             last_success_at = CASE WHEN $3 > 0 THEN now() ELSE last_success_at END
         WHERE organization_id = $1",
    )
    .bind(SqlId(organization))
    .bind(cursor_text(cursor)?)
    .bind(count)
    .bind(seconds)
    .execute(db)
    .await?;
    Ok(())
}

/// An attempt has failed; the next one is in `seconds`. With `given_up` there is none until somebody changes the webhook.
pub async fn failed(
    db: &PgPool,
    organization: OrganizationId,
    (reason, given_up): (&str, Option<&str>),
    seconds: f64,
) -> Result<(), Error> {
    sqlx::query(
        "UPDATE regional.audit_webhook
         SET claimed_until = NULL, next_attempt_at = now() + make_interval(secs => $3), failures = failures + 1,
             failing_since = coalesce(failing_since, now()), last_error = $2, last_error_at = now(),
             given_up = $4, enabled = enabled AND $4::text IS NULL
         WHERE organization_id = $1",
    )
    .bind(SqlId(organization))
    .bind(reason)
    .bind(seconds)
    .bind(given_up)
    .execute(db)
    .await?;
    Ok(())
}

/// Nothing was tried; the next attempt is in `seconds`.
pub async fn postponed(db: &PgPool, organization: OrganizationId, seconds: f64) -> Result<(), Error> {
    sqlx::query(
        "UPDATE regional.audit_webhook SET claimed_until = NULL, next_attempt_at = now() + make_interval(secs => $2)
         WHERE organization_id = $1",
    )
    .bind(SqlId(organization))
    .bind(seconds)
    .execute(db)
    .await?;
    Ok(())
}
