//! Rows of tokens, as they are read. [`super::apply`] writes them.

use std::collections::HashMap;

use access::{Limits, Session};
use ids::{OrganizationId, PrincipalId, TokenId, kinds};
use postgres::{Error, Row, SqlId};
use sqlx::{FromRow, PgConnection, PgExecutor, types::Json};
use time::OffsetDateTime;
use web::Span;

use super::{Token, TokenState};
use crate::{operation::OrganizationState, principal};

/// Most tokens that are named in one transaction.
pub const UNNAMED_MAX: i64 = 1000;

/// A token, as one of its rows says.
#[derive(Clone, FromRow)]
pub struct TokenRow {
    sha256: Vec<u8>,
    id: SqlId<kinds::Token>,
    organization_id: SqlId<kinds::Organization>,
    principal_id: SqlId<kinds::Principal>,
    principal_kind: String,
    name: String,
    name_print: Option<Vec<u8>>,
    created_at: OffsetDateTime,
    expires_at: OffsetDateTime,
    revoked_at: Option<OffsetDateTime>,
    replaced_at: Option<OffsetDateTime>,
    vector: String,
    /// Of the organization: read only to resolve a token.
    #[sqlx(default)]
    state: Option<String>,
    #[sqlx(default)]
    limits: Option<Json<Limits>>,
    #[sqlx(default)]
    renamed: Option<String>,
    #[sqlx(default)]
    renamed_at: Option<OffsetDateTime>,
    #[sqlx(default)]
    used_at: Option<OffsetDateTime>,
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
            first_name: self.renamed.is_some().then(|| self.name.clone()),
            name: self.renamed.or(Some(self.name)).filter(|name| !name.is_empty()),
            print: self.name_print.and_then(|print| print.try_into().ok()),
            created_at: self.created_at,
            updated_at: self.renamed_at.unwrap_or(self.created_at),
            expires_at: self.expires_at,
            revoked_at: self.revoked_at,
            last_used_at: self.used_at,
        }
    }
}

/// The session that a token opens, and whether it still does.
pub struct Resolved {
    /// Whether the token can be used.
    pub state: TokenState,
    /// Whether its organization is suspended or being deleted.
    pub suspended: bool,
    /// Who calls with it.
    pub session: Session,
}

/// A row is a text: found by its SHA-256.
impl Row for TokenRow {
    type Key = [u8; 32];
    type Error = Error;

    async fn read(
        connection: &mut PgConnection,
        keys: Vec<Self::Key>,
    ) -> Result<HashMap<Self::Key, Self>, Error> {
        let hashes: Vec<&[u8]> = keys.iter().map(|key| &key[..]).collect();
        let rows: Vec<Self> = sqlx::query_as(
            "SELECT t.*, o.state, o.limits FROM replicated.token AS t
             LEFT JOIN replicated.organization AS o ON o.id = t.organization_id
             WHERE t.sha256 = ANY($1)",
        )
        .bind(hashes)
        .fetch_all(connection)
        .await?;
        let found = rows.into_iter().map(|row| {
            let sha256 = row.sha256.as_slice().try_into().map_err(Error::undecodable)?;
            Ok((sha256, row))
        });
        found.collect()
    }
}

impl TokenRow {
    /// Whose token it is, as it is at `now`.
    pub fn resolved(self, now: OffsetDateTime) -> Result<Resolved, Error> {
        // One whose row has not arrived is told so by whatever needs it.
        let organization = self.state.as_deref().map(OrganizationState::read).transpose()?;
        Ok(Resolved {
            state: self.state(now),
            suspended: organization.is_some_and(|state| state != OrganizationState::Active),
            session: Session {
                organization: self.organization_id.into(),
                principal: self.principal_id.into(),
                kind: principal::from_column(&self.principal_kind)?,
                id: self.id.into(),
                issued_at: self.created_at.unix_timestamp(),
                expires_at: self.expires_at.unix_timestamp(),
                ends_at: self.expires_at.unix_timestamp(),
                vector: serde_json::from_str(&self.vector).map_err(Error::undecodable)?,
                limits: self.limits.map(|Json(limits)| limits).unwrap_or_default(),
            },
        })
    }
}

/// The tokens of `principal` that `span` says, by id, as they are at `now`.
pub async fn list(
    executor: impl PgExecutor<'_>,
    principal: PrincipalId,
    span: &Span<TokenId>,
    now: OffsetDateTime,
) -> Result<Vec<Token>, Error> {
    let rows: Vec<TokenRow> = sqlx::query_as(
        "SELECT DISTINCT ON (t.id) t.*, coalesce(n.name, t.name) AS name, r.name AS renamed, r.renamed_at, u.used_at
         FROM replicated.token AS t
         LEFT JOIN resident.token_name AS n ON n.token_id = t.id AND n.print = t.name_print
         LEFT JOIN replicated.token_rename AS r ON r.token_id = t.id
         LEFT JOIN regional.token_use AS u ON u.token_id = t.id
         WHERE t.principal_id = $1 AND NOT t.is_session AND ($2::uuid IS NULL OR t.id > $2)
         ORDER BY t.id, t.replaced_at DESC NULLS FIRST, t.created_at, t.sha256 OFFSET $3 LIMIT $4",
    )
    .bind(SqlId(principal))
    .bind(span.after.map(SqlId))
    .bind(span.offset)
    .bind(span.limit)
    .fetch_all(executor)
    .await?;
    Ok(rows.into_iter().map(|row| row.token(now)).collect())
}

/// How many tokens `principal` has or had.
pub async fn count(executor: impl PgExecutor<'_>, principal: PrincipalId) -> Result<u64, Error> {
    let (count,): (i64,) = sqlx::query_as(
        "SELECT count(DISTINCT id) FROM replicated.token WHERE principal_id = $1 AND NOT is_session",
    )
    .bind(SqlId(principal))
    .fetch_one(executor)
    .await?;
    Ok(count.cast_unsigned())
}

/// One token of `principal` that was not revoked, as it is at `now`.
pub async fn find_live(
    executor: impl PgExecutor<'_>,
    principal: PrincipalId,
    id: TokenId,
    now: OffsetDateTime,
) -> Result<Option<Token>, Error> {
    let found = find(executor, principal, id, now).await?;
    Ok(found.filter(|token| token.state != TokenState::Revoked))
}

/// One token of `principal`, as it is at `now`.
pub async fn find(
    executor: impl PgExecutor<'_>,
    principal: PrincipalId,
    id: TokenId,
    now: OffsetDateTime,
) -> Result<Option<Token>, Error> {
    let row: Option<TokenRow> = sqlx::query_as(
        "SELECT t.*, coalesce(n.name, t.name) AS name, r.name AS renamed, r.renamed_at, u.used_at
         FROM replicated.token AS t
         LEFT JOIN resident.token_name AS n ON n.token_id = t.id AND n.print = t.name_print
         LEFT JOIN replicated.token_rename AS r ON r.token_id = t.id
         LEFT JOIN regional.token_use AS u ON u.token_id = t.id
         WHERE t.principal_id = $1 AND t.id = $2
         ORDER BY t.replaced_at DESC NULLS FIRST, t.created_at, t.sha256 LIMIT 1",
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

/// What a request was sent with, or what the signed token of a request was made from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Root {
    /// When it expires.
    pub expires_at: OffsetDateTime,
    /// Whether it is a session of the console, not a token.
    pub is_session: bool,
}

/// The token or session `id` of the organization, whoever uses it; `None` if it is not here. A text that was replaced does not count.
pub async fn root(
    executor: impl PgExecutor<'_>,
    organization: OrganizationId,
    id: TokenId,
) -> Result<Option<Root>, Error> {
    let row: (Option<OffsetDateTime>, Option<bool>) = sqlx::query_as(
        "SELECT max(expires_at), bool_or(is_session) FROM replicated.token
         WHERE organization_id = $1 AND id = $2 AND replaced_at IS NULL",
    )
    .bind(SqlId(organization))
    .bind(SqlId(id))
    .fetch_one(executor)
    .await?;
    let (expires_at, is_session) = row;
    Ok(expires_at.map(|expires_at| Root { expires_at, is_session: is_session.unwrap_or_default() }))
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

/// At most [`UNNAMED_MAX`] tokens that ended with another one and that no revocation names yet, each with its organization and expiry:
/// of `ids`, or of all.
pub async fn ended_by_lineage(
    executor: impl PgExecutor<'_>,
    ids: Option<&[TokenId]>,
) -> Result<Vec<(TokenId, OrganizationId, OffsetDateTime)>, Error> {
    let rows: Vec<(SqlId<kinds::Token>, SqlId<kinds::Organization>, OffsetDateTime)> = sqlx::query_as(
        "SELECT t.id, t.organization_id, max(t.expires_at) FROM replicated.token AS t
         WHERE ($2::uuid[] IS NULL OR t.id = ANY($2)) AND t.parent_id IS NOT NULL AND t.revoked_at IS NOT NULL
           AND NOT EXISTS (SELECT FROM replicated.revoked_token AS r WHERE r.id = t.id)
           AND NOT EXISTS (SELECT FROM replicated.removed AS r WHERE r.id = t.principal_id)
         GROUP BY t.id, t.organization_id LIMIT $1",
    )
    .bind(UNNAMED_MAX)
    .bind(ids.map(|ids| ids.iter().copied().map(SqlId).collect::<Vec<_>>()))
    .fetch_all(executor)
    .await?;
    Ok(rows.into_iter().map(|(id, organization, at)| (id.into(), organization.into(), at)).collect())
}

/// How many tokens of the organization can be used at `now`, without the token `except`.
pub async fn count_usable(
    connection: &mut PgConnection,
    organization: OrganizationId,
    except: TokenId,
    now: OffsetDateTime,
) -> Result<u64, Error> {
    let (count,): (i64,) = sqlx::query_as(
        "SELECT count(DISTINCT id) FROM replicated.token
         WHERE organization_id = $1 AND id <> $2 AND NOT is_session AND revoked_at IS NULL AND expires_at > $3",
    )
    .bind(SqlId(organization))
    .bind(SqlId(except))
    .bind(now)
    .fetch_one(connection)
    .await?;
    Ok(count.cast_unsigned())
}

/// How many tokens of `principal` other than `id` can be used at `now`. Sessions do not count.
pub async fn count_others(
    connection: &mut PgConnection,
    principal: PrincipalId,
    id: TokenId,
    now: OffsetDateTime,
) -> Result<usize, Error> {
    let (count,): (i64,) = sqlx::query_as(
        "SELECT count(DISTINCT id) FROM replicated.token
         WHERE principal_id = $1 AND id <> $2 AND NOT is_session AND revoked_at IS NULL AND expires_at > $3",
    )
    .bind(SqlId(principal))
    .bind(SqlId(id))
    .bind(now)
    .fetch_one(connection)
    .await?;
    Ok(usize::try_from(count).unwrap_or(usize::MAX))
}

/// The sessions of `principal` that can be used at `now`, the oldest first, each with its end.
pub async fn usable_sessions(
    connection: &mut PgConnection,
    principal: PrincipalId,
    now: OffsetDateTime,
) -> Result<Vec<(TokenId, OffsetDateTime)>, Error> {
    let rows: Vec<(SqlId<kinds::Token>, OffsetDateTime)> = sqlx::query_as(
        "SELECT id, expires_at FROM replicated.token
         WHERE principal_id = $1 AND is_session AND revoked_at IS NULL AND expires_at > $2 ORDER BY created_at, id",
    )
    .bind(SqlId(principal))
    .bind(now)
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().map(|(id, ends_at)| (id.into(), ends_at)).collect())
}

/// The tokens and sessions of `principal` that can be used at `now`, each with its expiry.
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
