//! Rows of signing keys: the public halves of all regions, and the sealed private halves of this one.

use oplog::columns;
use postgres::Error;
use replication::Position;
use serde_json::Value;
use sqlx::{FromRow, PgConnection, PgExecutor};
use time::OffsetDateTime;

#[derive(FromRow)]
struct SigningSecretRow {
    id: String,
    sealed: Vec<u8>,
    epoch: i64,
    seq: i64,
    signs: bool,
}

/// A private half of this region.
pub struct Secret {
    /// The key's id, `<region>.<id>`.
    pub key_id: String,
    /// The private half, sealed under the key's id.
    pub sealed: Vec<u8>,
    /// Where the public half stands in this region's log.
    pub position: Position,
    /// Whether it may sign.
    pub signs: bool,
}

/// The newest private half of this region whose public half is in the log.
pub async fn newest(executor: impl PgExecutor<'_>) -> Result<Option<Secret>, Error> {
    let row: Option<SigningSecretRow> = sqlx::query_as(
        "SELECT id, sealed, epoch, seq, signs FROM regional.signing_secret JOIN replicated.signing_key USING (id)
         ORDER BY signing_secret.created_at DESC LIMIT 1",
    )
    .fetch_optional(executor)
    .await?;
    let secret = |row: SigningSecretRow| {
        let position = columns::position(row.epoch, row.seq)?;
        Ok(Secret { key_id: row.id, sealed: row.sealed, position, signs: row.signs })
    };
    row.map(secret).transpose()
}

/// Stores a private half that does not sign yet.
pub async fn insert_secret(
    connection: &mut PgConnection,
    secret: &Secret,
    at: OffsetDateTime,
) -> Result<(), Error> {
    sqlx::query(
        "INSERT INTO regional.signing_secret (id, sealed, created_at, epoch, seq, signs) VALUES ($1, $2, $3, $4, $5, $6)",
    )
    .bind(&secret.key_id)
    .bind(&secret.sealed)
    .bind(at)
    .bind(columns::epoch(secret.position))
    .bind(columns::seq(secret.position))
    .bind(secret.signs)
    .execute(connection)
    .await?;
    Ok(())
}

/// From now on the key signs, in every replica and after every restart.
pub async fn let_sign(executor: impl PgExecutor<'_>, key_id: &str) -> Result<(), Error> {
    sqlx::query("UPDATE regional.signing_secret SET signs = true WHERE id = $1")
        .bind(key_id)
        .execute(executor)
        .await?;
    Ok(())
}

/// The public halves of all regions as JSON Web Keys, in the order in which they were made. One that cannot be read is an
/// error: without it, good tokens would be refused.
pub async fn public_halves(executor: impl PgExecutor<'_>) -> Result<Vec<Value>, Error> {
    let rows: Vec<(String,)> =
        sqlx::query_as("SELECT jwk FROM replicated.signing_key ORDER BY created_at, id")
            .fetch_all(executor)
            .await?;
    rows.iter().map(|(jwk,)| serde_json::from_str(jwk).map_err(Error::undecodable)).collect()
}

/// Whether there is a public half with this id.
pub async fn exists(executor: impl PgExecutor<'_>, key_id: &str) -> Result<bool, Error> {
    let (exists,) = sqlx::query_as("SELECT EXISTS (SELECT FROM replicated.signing_key WHERE id = $1)")
        .bind(key_id)
        .fetch_one(executor)
        .await?;
    Ok(exists)
}

/// Applies `signing_key.put`, written at `at`.
pub async fn put(
    connection: &mut PgConnection,
    at: OffsetDateTime,
    id: &str,
    jwk: &Value,
) -> Result<(), Error> {
    sqlx::query(
        "INSERT INTO replicated.signing_key (id, jwk, created_at) VALUES ($1, $2, $3) ON CONFLICT (id) DO NOTHING",
    )
    .bind(id)
    .bind(jwk.to_string())
    .bind(at)
    .execute(connection)
    .await?;
    Ok(())
}

/// Deletes the public halves of all regions.
pub async fn clear(connection: &mut PgConnection) -> Result<(), Error> {
    sqlx::query("DELETE FROM replicated.signing_key").execute(connection).await?;
    Ok(())
}
