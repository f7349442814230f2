//! Access tokens, personal and of system accounts. Only their SHA-256 is stored; it is the primary key.
//!
//! Replicated; minted and revoked in any region. A token that was made again in another region by a retried request
//! has one id and several texts, each of them a row.

pub mod http;
mod mint;
pub mod rows;

use crate::Answer;
use ids::{PrincipalId, TokenId, kinds};
pub use mint::{NewToken, mint};
use postgres::{Error, SqlId};
use serde::Serialize;
use sqlx::{FromRow, PgConnection, PgExecutor};
use time::OffsetDateTime;
use utoipa::ToSchema;

use crate::{app::Tx, operation::Operation};

/// Most tokens of one principal that are neither revoked nor expired. Regions that mint at once may go beyond it.
pub const TOKENS_PER_PRINCIPAL_MAX: i64 = 10;

/// What is shown of a token: never its text.
#[derive(Debug, Serialize, ToSchema)]
pub struct Token {
    pub id: TokenId,
    pub name: String,
    /// `active`, `expired` or `revoked`.
    pub state: &'static str,
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339")]
    pub expires_at: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339::option")]
    pub revoked_at: Option<OffsetDateTime>,
}

#[derive(FromRow)]
struct Row {
    id: SqlId<kinds::Token>,
    name: String,
    created_at: OffsetDateTime,
    expires_at: OffsetDateTime,
    revoked_at: Option<OffsetDateTime>,
}

impl Row {
    fn token(self, now: OffsetDateTime) -> Token {
        let state = match self.revoked_at {
            Some(_) => "revoked",
            None if self.expires_at <= now => "expired",
            None => "active",
        };
        Token {
            id: self.id.into(),
            name: self.name,
            state,
            created_at: self.created_at,
            expires_at: self.expires_at,
            revoked_at: self.revoked_at,
        }
    }
}

/// At most `limit` tokens of `principal` after `after`, by id.
async fn list(
    executor: impl PgExecutor<'_>,
    principal: PrincipalId,
    after: Option<TokenId>,
    limit: i64,
    now: OffsetDateTime,
) -> Result<Vec<Token>, Error> {
    let rows: Vec<Row> = sqlx::query_as(
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

/// One token of `principal`.
async fn find(
    executor: impl PgExecutor<'_>,
    principal: PrincipalId,
    id: TokenId,
    now: OffsetDateTime,
) -> Result<Option<Token>, Error> {
    let row: Option<Row> = sqlx::query_as(
        "SELECT * FROM replicated.token WHERE principal_id = $1 AND id = $2 ORDER BY created_at, sha256 LIMIT 1",
    )
    .bind(SqlId(principal))
    .bind(SqlId(id))
    .fetch_optional(executor)
    .await?;
    Ok(row.map(|row| row.token(now)))
}

/// Tokens of `principal` that can be used at `now`, each with its expiry.
async fn usable(
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

/// Revokes one token; answers its place in the log, or `None` if the principal has no such token.
/// A token that is revoked already is revoked again, so that a retry also waits for authz.
async fn revoke(tx: &mut Tx<'_>, principal: PrincipalId, id: TokenId) -> Answer<Option<u64>> {
    // A token made twice has two expiries: the later one counts.
    let (expires_at,): (Option<OffsetDateTime>,) =
        sqlx::query_as("SELECT max(expires_at) FROM replicated.token WHERE principal_id = $1 AND id = $2")
            .bind(SqlId(principal))
            .bind(SqlId(id))
            .fetch_one(tx.connection())
            .await
            .map_err(Error::from)?;
    let Some(expires_at) = expires_at else { return Ok(None) };
    let revoked = Operation::TokenRevoked { id, expires_at: expires_at.unix_timestamp() };
    Ok(Some(tx.append(revoked).await?.seq))
}

/// Revokes every token of `principal` that can still be used.
pub async fn revoke_all(tx: &mut Tx<'_>, principal: PrincipalId) -> Answer<()> {
    let now = tx.at();
    for (id, expires_at) in usable(tx.connection(), principal, now).await? {
        let revoked = Operation::TokenRevoked { id, expires_at: expires_at.unix_timestamp() };
        tx.append(revoked).await?;
    }
    Ok(())
}
