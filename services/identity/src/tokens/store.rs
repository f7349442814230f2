//! Rows of tokens: read, and written by operations. In whatever order concurrent operations arrive, and however often, the
//! rows end equal: a revocation leaves a tombstone, and the earliest one counts.

use access::Session;
use ids::{OrganizationId, PrincipalId, TokenId, kinds};
use postgres::{Error, SqlId};
use sqlx::{FromRow, PgConnection, PgExecutor};
use time::OffsetDateTime;

use super::{Token, TokenState};
use crate::{
    operation::{ReplacedText, TokenMinted},
    principal,
};

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
    replaced_at: Option<OffsetDateTime>,
    vector: String,
}

impl TokenRow {
    fn state(&self, now: OffsetDateTime) -> TokenState {
        match self.revoked_at {
            Some(_) => TokenState::Revoked,
            None if self.replaced_at.is_some_and(|at| at <= now) => TokenState::Revoked,
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
         WHERE principal_id = $1 AND ($2::uuid IS NULL OR id > $2)
         ORDER BY id, replaced_at DESC NULLS FIRST, created_at, sha256 LIMIT $3",
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
        "SELECT * FROM replicated.token WHERE principal_id = $1 AND id = $2
         ORDER BY replaced_at DESC NULLS FIRST, created_at, sha256 LIMIT 1",
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

/// When the token `id` of the organization expires, whoever uses it; `None` if it is not here. A text that was replaced does not
/// count.
pub async fn expiry_of(
    executor: impl PgExecutor<'_>,
    organization: OrganizationId,
    id: TokenId,
) -> Result<Option<OffsetDateTime>, Error> {
    let (expires_at,): (Option<OffsetDateTime>,) = sqlx::query_as(
        "SELECT max(expires_at) FROM replicated.token
         WHERE organization_id = $1 AND id = $2 AND replaced_at IS NULL",
    )
    .bind(SqlId(organization))
    .bind(SqlId(id))
    .fetch_one(executor)
    .await?;
    Ok(expires_at)
}

/// The text of the token `id` that its holder has shown, and the token that the token was made with.
pub struct Held {
    /// Of the text.
    pub sha256: [u8; 32],
    /// The token that it was made with.
    pub parent: Option<TokenId>,
}

/// The text with this hash of the token `id`, unless it was replaced.
pub async fn held(
    connection: &mut PgConnection,
    id: TokenId,
    sha256: [u8; 32],
) -> Result<Option<Held>, Error> {
    let row: Option<(Option<SqlId<kinds::Token>>,)> = sqlx::query_as(
        "SELECT parent_id FROM replicated.token
         WHERE id = $1 AND sha256 = $2 AND replaced_at IS NULL AND revoked_at IS NULL",
    )
    .bind(SqlId(id))
    .bind(&sha256[..])
    .fetch_optional(connection)
    .await?;
    Ok(row.map(|(parent,)| Held { sha256, parent: parent.map(Into::into) }))
}

/// What was made with one of the tokens `roots` and can still be used at `now`, however many tokens lie between, each with its
/// expiry. The roots are not among it.
pub async fn descendants(
    connection: &mut PgConnection,
    organization: OrganizationId,
    roots: &[TokenId],
    now: OffsetDateTime,
) -> Result<Vec<(TokenId, OffsetDateTime)>, Error> {
    let roots: Vec<_> = roots.iter().copied().map(SqlId).collect();
    let rows: Vec<(SqlId<kinds::Token>, OffsetDateTime)> = sqlx::query_as(
        "WITH RECURSIVE made (id) AS (
             SELECT id FROM replicated.token WHERE organization_id = $1 AND parent_id = ANY($2)
             UNION
             SELECT child.id FROM made JOIN replicated.token AS child
                 ON child.organization_id = $1 AND child.parent_id = made.id)
         SELECT id, max(expires_at) FROM replicated.token
         WHERE id IN (SELECT id FROM made) AND NOT id = ANY($2) AND revoked_at IS NULL AND expires_at > $3
         GROUP BY id ORDER BY id",
    )
    .bind(SqlId(organization))
    .bind(roots)
    .bind(now)
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().map(|(id, expires_at)| (id.into(), expires_at)).collect())
}

/// Those of `ids` that ended with another token and that no revocation names yet, each with its organization and expiry.
pub async fn ended_by_lineage(
    executor: impl PgExecutor<'_>,
    ids: &[TokenId],
) -> Result<Vec<(TokenId, OrganizationId, OffsetDateTime)>, Error> {
    let ids: Vec<_> = ids.iter().copied().map(SqlId).collect();
    let rows: Vec<(SqlId<kinds::Token>, SqlId<kinds::Organization>, OffsetDateTime)> = sqlx::query_as(
        "SELECT t.id, t.organization_id, max(t.expires_at) FROM replicated.token AS t
         WHERE t.id = ANY($1) AND t.parent_id IS NOT NULL AND t.revoked_at IS NOT NULL
           AND NOT EXISTS (SELECT FROM replicated.revoked_token AS r WHERE r.id = t.id)
           AND NOT EXISTS (SELECT FROM replicated.removed AS r WHERE r.id = t.principal_id)
         GROUP BY t.id, t.organization_id",
    )
    .bind(ids)
    .fetch_all(executor)
    .await?;
    Ok(rows.into_iter().map(|(id, organization, at)| (id.into(), organization.into(), at)).collect())
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

/// Applies `token.minted`, written at `at`; answers the tokens that end by it. A token is revoked from birth if it, its principal or
/// what it was made with has ended; so then is what was made with it and arrived before it.
pub async fn minted(
    connection: &mut PgConnection,
    organization: OrganizationId,
    at: OffsetDateTime,
    minted: &TokenMinted,
) -> Result<Vec<TokenId>, Error> {
    let vector = serde_json::to_string(&minted.vector).map_err(Error::unencodable)?;
    let inserted: Option<(Option<OffsetDateTime>,)> = sqlx::query_as(
        "INSERT INTO replicated.token
             (sha256, id, organization_id, principal_id, principal_kind, name, created_at, expires_at, vector, parent_id,
              replaced_at, revoked_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10,
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
    .fetch_optional(&mut *connection)
    .await?;
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
        "DELETE FROM replicated.revoked_token WHERE organization_id = $1",
        "DELETE FROM replicated.replaced_text WHERE organization_id = $1",
        "DELETE FROM replicated.removed WHERE organization_id = $1",
    ] {
        sqlx::query(statement).bind(SqlId(organization)).execute(&mut *connection).await?;
    }
    Ok(())
}
