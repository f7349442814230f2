//! Rows of tokens: read, and written by operations. In whatever order concurrent operations arrive, and however often, the
//! rows end equal: a revocation leaves a tombstone, and the earliest one counts.

use access::Session;
use ids::{OrganizationId, PrincipalId, TokenId, kinds};
use postgres::{Error, SqlId};
use sqlx::{FromRow, PgConnection, PgExecutor};
use time::OffsetDateTime;

use super::{Token, TokenState};
use crate::{operation::TokenMinted, principal};

#[derive(FromRow)]
struct TokenRow {
    id: SqlId<kinds::Token>,
    organization_id: SqlId<kinds::Organization>,
    principal_id: SqlId<kinds::Principal>,
    principal_kind: String,
    name: String,
    created_at: OffsetDateTime,
    expires_at: OffsetDateTime,
    revoked_at: Option<OffsetDateTime>,
    vector: String,
}

impl TokenRow {
    fn state(&self, now: OffsetDateTime) -> TokenState {
        match self.revoked_at {
            Some(_) => TokenState::Revoked,
            None if self.expires_at <= now => TokenState::Expired,
            None => TokenState::Active,
        }
    }

    fn token(self, now: OffsetDateTime) -> Token {
        Token {
            id: self.id.into(),
            state: self.state(now),
            name: self.name,
            created_at: self.created_at,
            expires_at: self.expires_at,
            revoked_at: self.revoked_at,
        }
    }
}

/// The session that a token opens, and whether it still does.
pub struct Resolved {
    /// Whether the token can be used.
    pub state: TokenState,
    /// Who calls with it.
    pub session: Session,
}

/// The token whose text has this SHA-256, as it is at `now`.
pub async fn by_hash(
    executor: impl PgExecutor<'_>,
    sha256: &[u8],
    now: OffsetDateTime,
) -> Result<Option<Resolved>, Error> {
    let row: Option<TokenRow> = sqlx::query_as("SELECT * FROM replicated.token WHERE sha256 = $1")
        .bind(sha256)
        .fetch_optional(executor)
        .await?;
    let resolved = |row: TokenRow| {
        Ok(Resolved {
            state: row.state(now),
            session: Session {
                organization: row.organization_id.into(),
                principal: row.principal_id.into(),
                kind: principal::from_column(&row.principal_kind)?,
                id: row.id.into(),
                issued_at: row.created_at.unix_timestamp(),
                expires_at: row.expires_at.unix_timestamp(),
                vector: serde_json::from_str(&row.vector).map_err(Error::undecodable)?,
            },
        })
    };
    row.map(resolved).transpose()
}

/// At most `limit` tokens of `principal` after the id `after`, by id, as they are at `now`.
pub async fn list(
    executor: impl PgExecutor<'_>,
    principal: PrincipalId,
    after: Option<TokenId>,
    limit: i64,
    now: OffsetDateTime,
) -> Result<Vec<Token>, Error> {
    let rows: Vec<TokenRow> = sqlx::query_as(
        "SELECT DISTINCT ON (id) * FROM replicated.token
         WHERE principal_id = $1 AND ($2::uuid IS NULL OR id > $2) ORDER BY id, created_at, sha256 LIMIT $3",
    )
    .bind(SqlId(principal))
    .bind(after.map(SqlId))
    .bind(limit)
    .fetch_all(executor)
    .await?;
    Ok(rows.into_iter().map(|row| row.token(now)).collect())
}

/// One token of `principal`, as it is at `now`.
pub async fn find(
    executor: impl PgExecutor<'_>,
    principal: PrincipalId,
    id: TokenId,
    now: OffsetDateTime,
) -> Result<Option<Token>, Error> {
    let row: Option<TokenRow> = sqlx::query_as(
        "SELECT * FROM replicated.token WHERE principal_id = $1 AND id = $2 ORDER BY created_at, sha256 LIMIT 1",
    )
    .bind(SqlId(principal))
    .bind(SqlId(id))
    .fetch_optional(executor)
    .await?;
    Ok(row.map(|row| row.token(now)))
}

/// When a token of `principal` expires. One with two texts expires twice: the later time counts.
pub async fn expiry(
    connection: &mut PgConnection,
    principal: PrincipalId,
    id: TokenId,
) -> Result<Option<OffsetDateTime>, Error> {
    let (expires_at,): (Option<OffsetDateTime>,) =
        sqlx::query_as("SELECT max(expires_at) FROM replicated.token WHERE principal_id = $1 AND id = $2")
            .bind(SqlId(principal))
            .bind(SqlId(id))
            .fetch_one(connection)
            .await?;
    Ok(expires_at)
}

/// The tokens of `principal` that can be used at `now`, each with its expiry.
pub async fn usable(
    connection: &mut PgConnection,
    principal: PrincipalId,
    now: OffsetDateTime,
) -> Result<Vec<(TokenId, OffsetDateTime)>, Error> {
    let rows: Vec<(SqlId<kinds::Token>, OffsetDateTime)> = sqlx::query_as(
        "SELECT id, max(expires_at) FROM replicated.token
         WHERE principal_id = $1 AND revoked_at IS NULL AND expires_at > $2 GROUP BY id ORDER BY id",
    )
    .bind(SqlId(principal))
    .bind(now)
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().map(|(id, expires_at)| (id.into(), expires_at)).collect())
}

/// Applies `token.minted`, written at `at`: a token that is revoked from birth if it or its principal has a tombstone.
pub async fn minted(
    connection: &mut PgConnection,
    organization: OrganizationId,
    at: OffsetDateTime,
    minted: &TokenMinted,
) -> Result<(), Error> {
    let vector = serde_json::to_string(&minted.vector).map_err(Error::unencodable)?;
    sqlx::query(
        "INSERT INTO replicated.token
             (sha256, id, organization_id, principal_id, principal_kind, name, created_at, expires_at, vector, revoked_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, least(
             (SELECT revoked_at FROM replicated.revoked_token WHERE organization_id = $3 AND id = $2),
             (SELECT removed_at FROM replicated.removed WHERE organization_id = $3 AND id = $4)))
         ON CONFLICT (sha256) DO NOTHING",
    )
    .bind(&minted.sha256[..])
    .bind(SqlId(minted.id))
    .bind(SqlId(organization))
    .bind(SqlId(minted.principal_id))
    .bind(principal::to_column(minted.principal_kind))
    .bind(&minted.name)
    .bind(at)
    .bind(minted.expires_at)
    .bind(vector)
    .execute(connection)
    .await?;
    Ok(())
}

/// Applies `token.revoked`, written at `at`: the token ends, also if it arrives later.
pub async fn revoked(
    connection: &mut PgConnection,
    organization: OrganizationId,
    at: OffsetDateTime,
    id: TokenId,
) -> Result<(), Error> {
    sqlx::query(
        "WITH tombstone AS (
             INSERT INTO replicated.revoked_token (id, organization_id, revoked_at) VALUES ($1, $2, $3)
             ON CONFLICT (id) DO UPDATE SET revoked_at = least(revoked_token.revoked_at, excluded.revoked_at))
         UPDATE replicated.token SET revoked_at = least(revoked_at, $3) WHERE organization_id = $2 AND id = $1",
    )
    .bind(SqlId(id))
    .bind(SqlId(organization))
    .bind(at)
    .execute(connection)
    .await?;
    Ok(())
}

/// Applies the removal of a principal, written at `at`: it is gone for ever, and its tokens end, also those that arrive later.
/// Answers those that are here.
pub async fn principal_removed(
    connection: &mut PgConnection,
    organization: OrganizationId,
    at: OffsetDateTime,
    id: PrincipalId,
) -> Result<Vec<TokenId>, Error> {
    let ended: Vec<(SqlId<kinds::Token>,)> = sqlx::query_as(
        "WITH tombstone AS (
             INSERT INTO replicated.removed (id, organization_id, removed_at) VALUES ($1, $2, $3)
             ON CONFLICT (id) DO UPDATE SET removed_at = least(removed.removed_at, excluded.removed_at))
         UPDATE replicated.token SET revoked_at = least(revoked_at, $3)
         WHERE organization_id = $2 AND principal_id = $1 RETURNING id",
    )
    .bind(SqlId(id))
    .bind(SqlId(organization))
    .bind(at)
    .fetch_all(connection)
    .await?;
    Ok(ended.into_iter().map(|(id,)| id.into()).collect())
}

/// Deletes all rows of the organization's tokens, and their tombstones.
pub async fn clear(connection: &mut PgConnection, organization: OrganizationId) -> Result<(), Error> {
    for statement in [
        "DELETE FROM replicated.token WHERE organization_id = $1",
        "DELETE FROM replicated.revoked_token WHERE organization_id = $1",
        "DELETE FROM replicated.removed WHERE organization_id = $1",
    ] {
        sqlx::query(statement).bind(SqlId(organization)).execute(&mut *connection).await?;
    }
    Ok(())
}
