//! Rows of tokens, as operations write them. In whatever order concurrent operations arrive, and however often, the rows end
//! equal: a revocation leaves a tombstone, and the earliest one counts.

use access::PrincipalKind;
use ids::{OrganizationId, PrincipalId, TokenId, kinds};
use postgres::{Error, SqlId};
use sqlx::PgConnection;
use time::OffsetDateTime;

use super::names;
use crate::{
    apply::Rows,
    operation::{ReplacedText, TokenMinted},
    principal,
};

/// Applies `token.minted`, written at `at`; answers the tokens that end by it. A token is revoked from birth if it, its principal or
/// what it was made with has ended; so then is what was made with it and arrived before it.
pub async fn minted(
    connection: &mut PgConnection,
    organization: OrganizationId,
    at: OffsetDateTime,
    minted: &TokenMinted,
    rows: &Rows,
) -> Result<Vec<TokenId>, Error> {
    let vector = serde_json::to_string(&minted.vector).map_err(Error::unencodable)?;
    let inserted: Option<(Option<OffsetDateTime>,)> = sqlx::query_as(
        "INSERT INTO replicated.token
             (sha256, id, organization_id, principal_id, principal_kind, name, created_at, expires_at, vector, parent_id,
              name_print, is_session, replaced_at, revoked_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12,
             (SELECT replaced_at FROM replicated.replaced_text WHERE organization_id = $3 AND sha256 = $1),
             least(
                 (SELECT min(revoked_at) FROM replicated.revoked_token WHERE organization_id = $3 AND id IN ($2, $10)),
                 (SELECT min(revoked_at) FROM replicated.token WHERE organization_id = $3 AND id IN ($2, $10)),
                 (SELECT removed_at FROM replicated.removed WHERE organization_id = $3 AND id = $4)))
         ON CONFLICT (sha256) DO NOTHING RETURNING revoked_at",
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
    .bind(minted.parent.map(SqlId))
    .bind(minted.name_print.as_ref().map(|print| &print[..]))
    .bind(minted.session)
    .fetch_optional(&mut *connection)
    .await?;
    // As an earlier release wrote it.
    if minted.principal_kind == PrincipalKind::User && !minted.name.is_empty() {
        let token = (organization, minted.id);
        names::hide(connection, token, &minted.sha256, &minted.name, &rows.region, &rows.prints).await?;
    }
    let mut ended = Vec::new();
    if let Some((Some(revoked_at),)) = inserted {
        ended = end_with(connection, organization, &[(minted.id, revoked_at)]).await?;
    }
    if let Some(old) = &minted.replaces {
        replaced(connection, organization, old).await?;
        // Its old text may be remembered somewhere.
        ended.push(minted.id);
    }
    Ok(ended)
}

/// Ends a text, also if it arrives later.
async fn replaced(
    connection: &mut PgConnection,
    organization: OrganizationId,
    old: &ReplacedText,
) -> Result<(), Error> {
    sqlx::query(
        "WITH tombstone AS (
             INSERT INTO replicated.replaced_text (sha256, organization_id, replaced_at) VALUES ($1, $2, $3)
             ON CONFLICT (sha256) DO UPDATE SET replaced_at = least(replaced_text.replaced_at, excluded.replaced_at))
         UPDATE replicated.token SET replaced_at = least(replaced_at, $3) WHERE organization_id = $2 AND sha256 = $1",
    )
    .bind(&old.sha256[..])
    .bind(SqlId(organization))
    .bind(old.ends_at)
    .execute(connection)
    .await?;
    Ok(())
}

/// Applies `token.renamed`, written at `at`. What a token is called stands beside its texts, so that a text which another region makes
/// meanwhile changes nothing.
pub async fn renamed(
    connection: &mut PgConnection,
    organization: OrganizationId,
    at: OffsetDateTime,
    id: TokenId,
    name: &str,
) -> Result<(), Error> {
    sqlx::query(
        "INSERT INTO replicated.token_rename (token_id, organization_id, name, renamed_at) VALUES ($1, $2, $3, $4)
         ON CONFLICT (token_id) DO UPDATE SET name = excluded.name, renamed_at = excluded.renamed_at",
    )
    .bind(SqlId(id))
    .bind(SqlId(organization))
    .bind(name)
    .bind(at)
    .execute(connection)
    .await?;
    Ok(())
}

/// Applies `token.revoked`, written at `at`: the token ends, also if it arrives later, and what was made with it. Answers what ended.
pub async fn revoked(
    connection: &mut PgConnection,
    organization: OrganizationId,
    at: OffsetDateTime,
    id: TokenId,
) -> Result<Vec<TokenId>, Error> {
    sqlx::query(
        "INSERT INTO replicated.revoked_token (id, organization_id, revoked_at) VALUES ($1, $2, $3)
         ON CONFLICT (id) DO UPDATE SET revoked_at = least(revoked_token.revoked_at, excluded.revoked_at)",
    )
    .bind(SqlId(id))
    .bind(SqlId(organization))
    .bind(at)
    .execute(&mut *connection)
    .await?;
    let mut ended = end_with(connection, organization, &[(id, at)]).await?;
    if !ended.contains(&id) {
        ended.push(id);
    }
    Ok(ended)
}

/// Applies the removal of a principal, written at `at`: it is gone for ever, and its tokens end, also those that arrive later, with
/// what was made with them. Answers those that are here.
pub async fn principal_removed(
    connection: &mut PgConnection,
    organization: OrganizationId,
    at: OffsetDateTime,
    id: PrincipalId,
) -> Result<Vec<TokenId>, Error> {
    let own: Vec<(SqlId<kinds::Token>,)> = sqlx::query_as(
        "WITH tombstone AS (
             INSERT INTO replicated.removed (id, organization_id, removed_at) VALUES ($1, $2, $3)
             ON CONFLICT (id) DO UPDATE SET removed_at = least(removed.removed_at, excluded.removed_at))
         SELECT DISTINCT id FROM replicated.token WHERE organization_id = $2 AND principal_id = $1",
    )
    .bind(SqlId(id))
    .bind(SqlId(organization))
    .bind(at)
    .fetch_all(&mut *connection)
    .await?;
    names::store::forget(connection, id).await?;
    let own: Vec<TokenId> = own.into_iter().map(|(id,)| id.into()).collect();
    let roots: Vec<_> = own.iter().map(|id| (*id, at)).collect();
    let mut ended = end_with(connection, organization, &roots).await?;
    ended.extend(own);
    ended.sort_unstable();
    ended.dedup();
    Ok(ended)
}

/// Ends the tokens `roots`, each at its time, and everything that was made with them, however many tokens lie between. What ended
/// earlier keeps its time. The result does not depend on the order in which tokens and ends arrive: each token has the earliest end
/// of its own and of those above it. Answers what ended, or ended earlier than was known.
async fn end_with(
    connection: &mut PgConnection,
    organization: OrganizationId,
    roots: &[(TokenId, OffsetDateTime)],
) -> Result<Vec<TokenId>, Error> {
    let (ids, times): (Vec<_>, Vec<_>) = roots.iter().map(|(id, at)| (SqlId(*id), *at)).unzip();
    let ended: Vec<(SqlId<kinds::Token>,)> = sqlx::query_as(
        "WITH RECURSIVE ends (id, at) AS (
             SELECT * FROM unnest($2::uuid[], $3::timestamptz[])
             UNION
             SELECT child.id, ends.at FROM ends JOIN replicated.token AS child
                 ON child.organization_id = $1 AND child.parent_id = ends.id
             WHERE child.revoked_at IS NULL OR child.revoked_at > ends.at)
         UPDATE replicated.token AS t SET revoked_at = e.at
         FROM (SELECT id, min(at) AS at FROM ends GROUP BY id) AS e
         WHERE t.organization_id = $1 AND t.id = e.id AND (t.revoked_at IS NULL OR t.revoked_at > e.at)
         RETURNING t.id",
    )
    .bind(SqlId(organization))
    .bind(ids)
    .bind(times)
    .fetch_all(connection)
    .await?;
    let mut ended: Vec<TokenId> = ended.into_iter().map(|(id,)| id.into()).collect();
    ended.sort_unstable();
    ended.dedup();
    Ok(ended)
}

/// Deletes all rows of the organization's tokens, and their tombstones.
pub async fn clear(connection: &mut PgConnection, organization: OrganizationId) -> Result<(), Error> {
    for statement in [
        "DELETE FROM replicated.token WHERE organization_id = $1",
        "DELETE FROM replicated.token_rename WHERE organization_id = $1",
        "DELETE FROM replicated.revoked_token WHERE organization_id = $1",
        "DELETE FROM replicated.replaced_text WHERE organization_id = $1",
        "DELETE FROM replicated.removed WHERE organization_id = $1",
    ] {
        sqlx::query(statement).bind(SqlId(organization)).execute(&mut *connection).await?;
    }
    Ok(())
}
