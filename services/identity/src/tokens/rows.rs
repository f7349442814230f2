//! What operations make of tokens. In whatever order concurrent ones arrive, and however often, the rows end equal:
//! a revocation leaves a tombstone, and the earliest one counts.

use ids::{OrganizationId, PrincipalId, TokenId, kinds};
use postgres::{Error, SqlId};
use sqlx::PgConnection;
use time::OffsetDateTime;

use crate::operation::TokenMinted;
use access::PrincipalKind;

/// Applies an operation: a token, revoked from birth if it or its principal has a tombstone.
pub async fn minted(
    connection: &mut PgConnection,
    organization: OrganizationId,
    at: OffsetDateTime,
    minted: &TokenMinted,
) -> Result<(), Error> {
    let vector = serde_json::to_string(&minted.vector).map_err(|error| sqlx::Error::Encode(error.into()))?;
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
    .bind(match minted.principal_kind {
        PrincipalKind::User => "user",
        PrincipalKind::SystemAccount => "system_account",
    })
    .bind(&minted.name)
    .bind(at)
    .bind(minted.expires_at)
    .bind(vector)
    .execute(connection)
    .await?;
    Ok(())
}

/// Applies an operation: the token ends, also if it arrives later.
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

/// Applies an operation: the principal is gone for ever, and its tokens end, also those that arrive later. Answers those
/// that are here.
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
