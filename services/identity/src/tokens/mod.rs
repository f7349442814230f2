//! Access tokens, personal and of system accounts. Only their SHA-256 is stored; it is the primary key.

pub mod http;

use access::{OpaqueToken, TokenKind};
use ids::{OrganizationId, PrincipalId, Region, TokenId, kinds};
use postgres::{Error, SqlId, Write};
use serde::Serialize;
use serde_json::json;
use sqlx::{FromRow, PgPool};
use time::OffsetDateTime;
use utoipa::ToSchema;

use crate::App;

/// Most tokens of one principal that are neither revoked nor expired.
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

pub struct NewToken {
    pub organization: OrganizationId,
    pub principal: PrincipalId,
    pub kind: TokenKind,
    pub name: String,
    pub expires_at: OffsetDateTime,
}

/// Makes a token. Its place in the log is part of its text, so the log entry comes first.
pub async fn mint(write: &mut Write, region: &Region, new: &NewToken) -> Result<(Token, OpaqueToken), Error> {
    let id = TokenId::generate();
    let seq = write.append("token.minted", &json!({"id": id, "principal_id": new.principal})).await?;
    let token = OpaqueToken::mint(new.kind, region, seq, rand::random());
    let row: Row = sqlx::query_as(
        "INSERT INTO replicated.token (sha256, id, organization_id, principal_id, principal_kind, name, expires_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7) RETURNING *",
    )
    .bind(&token.sha256()[..])
    .bind(SqlId(id))
    .bind(SqlId(new.organization))
    .bind(SqlId(new.principal))
    .bind(match new.kind {
        TokenKind::Personal => "user",
        TokenKind::System => "system_account",
    })
    .bind(&new.name)
    .bind(new.expires_at)
    .fetch_one(write.connection())
    .await?;
    let created_at = row.created_at;
    Ok((row.token(created_at), token))
}

/// How many tokens of `principal` can be used now.
pub async fn count_usable(write: &mut Write, principal: PrincipalId) -> Result<i64, Error> {
    let (count,) = sqlx::query_as(
        "SELECT count(*) FROM replicated.token WHERE principal_id = $1 AND revoked_at IS NULL AND expires_at > now()",
    )
    .bind(SqlId(principal))
    .fetch_one(write.connection())
    .await?;
    Ok(count)
}

/// Revokes one token; answers the place in the log that says so, or `None` if the principal has no such token.
/// A token that is revoked already is revoked again, so that a retry also waits for authz.
pub async fn revoke(write: &mut Write, principal: PrincipalId, id: TokenId) -> Result<Option<u64>, Error> {
    let revoked: Option<(OffsetDateTime,)> = sqlx::query_as(
        "UPDATE replicated.token SET revoked_at = coalesce(revoked_at, now())
         WHERE principal_id = $1 AND id = $2 RETURNING expires_at",
    )
    .bind(SqlId(principal))
    .bind(SqlId(id))
    .fetch_optional(write.connection())
    .await?;
    match revoked {
        Some((expires_at,)) => Ok(Some(tell_revoked(write, id, expires_at).await?)),
        None => Ok(None),
    }
}

/// Revokes every token of `principal`.
pub async fn revoke_all(write: &mut Write, principal: PrincipalId) -> Result<(), Error> {
    let revoked: Vec<(SqlId<kinds::Token>, OffsetDateTime)> = sqlx::query_as(
        "UPDATE replicated.token SET revoked_at = now() WHERE principal_id = $1 AND revoked_at IS NULL
         RETURNING id, expires_at",
    )
    .bind(SqlId(principal))
    .fetch_all(write.connection())
    .await?;
    for (id, expires_at) in revoked {
        tell_revoked(write, id.into(), expires_at).await?;
    }
    Ok(())
}

async fn tell_revoked(write: &mut Write, id: TokenId, expires_at: OffsetDateTime) -> Result<u64, Error> {
    write.append("session.revoked", &json!({"id": id, "expires_at": expires_at.unix_timestamp()})).await
}

/// Tells the region's services to forget tokens that they remember. A hint: they forget by themselves soon after.
pub async fn announce_revocation(app: &App, id: Option<TokenId>) {
    let payload = id.map(|id| id.to_string()).unwrap_or_default();
    let subject = access::revocation_subject(&app.region);
    let published = app.nats.publish_with_headers(subject, service::nats_headers(), payload.into()).await;
    if let Err(error) = published {
        tracing::warn!(%error, "a revocation was not announced; remembered tokens end within their time");
    }
}

/// At most `limit` tokens of `principal` after `after`, by id.
async fn list(
    db: &PgPool,
    principal: PrincipalId,
    after: Option<TokenId>,
    limit: i64,
    now: OffsetDateTime,
) -> Result<Vec<Token>, Error> {
    let rows: Vec<Row> = sqlx::query_as(
        "SELECT * FROM replicated.token
         WHERE principal_id = $1 AND ($2::uuid IS NULL OR id > $2) ORDER BY id LIMIT $3",
    )
    .bind(SqlId(principal))
    .bind(after.map(SqlId))
    .bind(limit)
    .fetch_all(db)
    .await?;
    Ok(rows.into_iter().map(|row| row.token(now)).collect())
}
