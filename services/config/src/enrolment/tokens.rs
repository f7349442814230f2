//! Rows of enrolment tokens. Only the hash of a token's secret is stored.

use ids::{ControlPlaneId, EnrolmentTokenId, kinds};
use postgres::SqlId;
use serde::Serialize;
use sqlx::{FromRow, PgConnection, PgPool};
use time::OffsetDateTime;
use utoipa::ToSchema;

use crate::rows::RowError;

/// A token as the API shows it, without its secret.
#[derive(Debug, Serialize, ToSchema)]
pub struct EnrolmentTokenInfo {
    /// A UUID; names the token when it is deleted.
    pub id: EnrolmentTokenId,
    /// Given by its maker, for people.
    pub name: String,
    /// How many nodes may enrol with it.
    pub uses_max: u32,
    /// How many nodes have enrolled with it.
    pub uses: u32,
    /// When the token was created, RFC 3339.
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
    /// From when on it enrols nobody, RFC 3339.
    #[serde(with = "time::serde::rfc3339")]
    pub expires_at: OffsetDateTime,
}

#[derive(FromRow)]
struct EnrolmentTokenRow {
    id: SqlId<kinds::EnrolmentToken>,
    name: String,
    uses_max: i32,
    uses: i32,
    created_at: OffsetDateTime,
    expires_at: OffsetDateTime,
}

impl From<EnrolmentTokenRow> for EnrolmentTokenInfo {
    fn from(row: EnrolmentTokenRow) -> Self {
        Self {
            id: row.id.into(),
            name: row.name,
            uses_max: row.uses_max.cast_unsigned(),
            uses: row.uses.cast_unsigned(),
            created_at: row.created_at,
            expires_at: row.expires_at,
        }
    }
}

/// A token whose secret was presented, locked until the transaction ends.
#[derive(FromRow)]
pub struct Presented {
    /// The control plane that the new node will belong to.
    pub control_plane_id: SqlId<kinds::ControlPlane>,
    /// How many more nodes may enrol with it.
    pub uses_left: i32,
    /// From when on it enrols nobody.
    pub expires_at: OffsetDateTime,
}

/// What a new token is made of.
pub struct NewToken<'a> {
    /// Part of the token's text: the row is found by it.
    pub id: EnrolmentTokenId,
    /// Given by its maker, for people.
    pub name: &'a str,
    /// SHA-256 of the secret.
    pub secret_hash: [u8; 32],
    /// How many nodes may enrol with it.
    pub uses_max: u32,
    /// From when on it enrols nobody.
    pub expires_at: OffsetDateTime,
    /// In which it is made, as JSON.
    pub session: &'a str,
}

/// Makes a token.
pub async fn insert(
    connection: &mut PgConnection,
    control_plane: ControlPlaneId,
    new: NewToken<'_>,
) -> Result<EnrolmentTokenInfo, RowError> {
    let row: EnrolmentTokenRow = sqlx::query_as(
        "INSERT INTO regional.enrolment_token (id, control_plane_id, name, secret_hash, uses_max, expires_at, session)
         VALUES ($1, $2, $3, $4, $5, $6, $7) RETURNING *",
    )
    .bind(SqlId(new.id))
    .bind(SqlId(control_plane))
    .bind(new.name)
    .bind(&new.secret_hash[..])
    .bind(new.uses_max.cast_signed())
    .bind(new.expires_at)
    .bind(new.session)
    .fetch_one(connection)
    .await?;
    Ok(row.into())
}

/// At most `limit` tokens of a control plane after the id `after`, by id; expired ones too.
pub async fn list(
    db: &PgPool,
    control_plane: ControlPlaneId,
    after: Option<EnrolmentTokenId>,
    limit: i64,
) -> Result<Vec<EnrolmentTokenInfo>, RowError> {
    let rows: Vec<EnrolmentTokenRow> = sqlx::query_as(
        "SELECT * FROM regional.enrolment_token
         WHERE control_plane_id = $1 AND ($2::uuid IS NULL OR id > $2) ORDER BY id LIMIT $3",
    )
    .bind(SqlId(control_plane))
    .bind(after.map(SqlId))
    .bind(limit)
    .fetch_all(db)
    .await?;
    Ok(rows.into_iter().map(EnrolmentTokenInfo::from).collect())
}

/// Deletes a token; `false` if there is none.
#[must_use = "`false`: there is no such token"]
pub async fn delete(
    connection: &mut PgConnection,
    control_plane: ControlPlaneId,
    id: EnrolmentTokenId,
) -> Result<bool, RowError> {
    let deleted = sqlx::query("DELETE FROM regional.enrolment_token WHERE control_plane_id = $1 AND id = $2")
        .bind(SqlId(control_plane))
        .bind(SqlId(id))
        .execute(connection)
        .await?;
    Ok(deleted.rows_affected() == 1)
}

/// Reads a token that a node presents, and locks it until the transaction ends.
pub async fn present(
    connection: &mut PgConnection,
    id: EnrolmentTokenId,
) -> Result<Option<Presented>, RowError> {
    let presented = sqlx::query_as(
        "SELECT control_plane_id, uses_max - uses AS uses_left, expires_at
         FROM regional.enrolment_token WHERE id = $1 FOR UPDATE",
    )
    .bind(SqlId(id))
    .fetch_optional(connection)
    .await?;
    Ok(presented)
}

/// Counts one use.
pub async fn use_up(connection: &mut PgConnection, id: EnrolmentTokenId) -> Result<(), RowError> {
    sqlx::query("UPDATE regional.enrolment_token SET uses = uses + 1 WHERE id = $1")
        .bind(SqlId(id))
        .execute(connection)
        .await?;
    Ok(())
}

/// What is known of a token before it is presented: nothing is locked.
#[derive(FromRow)]
pub struct Known {
    /// For the audit log.
    pub organization_id: SqlId<kinds::Organization>,
    /// SHA-256 of the secret that must be presented, 32 bytes.
    pub secret_hash: Vec<u8>,
    /// In which it was made, as JSON; `None` for one that an earlier release made.
    pub session: Option<String>,
}

/// The token with this id.
pub async fn find(db: &PgPool, id: EnrolmentTokenId) -> Result<Option<Known>, RowError> {
    let known = sqlx::query_as(
        "SELECT organization_id, secret_hash, session FROM regional.enrolment_token AS t
         JOIN regional.control_plane AS c ON c.id = t.control_plane_id WHERE t.id = $1",
    )
    .bind(SqlId(id))
    .fetch_optional(db)
    .await?;
    Ok(known)
}
