//! Rows of sessions, at home.

use ids::{OrganizationId, TokenId, UserId, kinds};
use postgres::{Error, SqlId};
use serde::Serialize;
use sqlx::{FromRow, PgConnection, PgExecutor};
use time::OffsetDateTime;
use utoipa::ToSchema;
use web::Span;

use super::NewSession;
use crate::credential::Credential;

/// A session, as its person sees it.
#[derive(Debug, Serialize, ToSchema)]
pub struct ConsoleSession {
    /// Its id.
    pub id: TokenId,
    /// Where it was signed on from; may be empty.
    pub address: String,
    /// What it was signed on with, as that said itself; may be empty.
    pub user_agent: String,
    /// When it was signed on.
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
    /// When it last went on.
    #[serde(with = "time::serde::rfc3339")]
    pub last_used_at: OffsetDateTime,
    /// When it ends at the latest.
    #[serde(with = "time::serde::rfc3339")]
    pub ends_at: OffsetDateTime,
}

#[derive(FromRow)]
struct SessionRow {
    id: SqlId<kinds::Token>,
    address: String,
    user_agent: String,
    created_at: OffsetDateTime,
    last_used_at: OffsetDateTime,
    ends_at: OffsetDateTime,
}

/// A refresh token, with the session that it goes on with.
#[derive(Clone, Debug)]
pub struct Refresh {
    /// The session.
    pub session: TokenId,
    /// Of the session.
    pub organization: OrganizationId,
    /// Of the session.
    pub person: UserId,
    /// When the session ends at the latest.
    pub ends_at: OffsetDateTime,
    /// Whether session and person are there and have not been ended.
    pub lives: bool,
    /// How often the session went on.
    pub rotations: i32,
    /// When the refresh token ends.
    pub expires_at: OffsetDateTime,
    /// When it was used, if it was.
    pub used_at: Option<OffsetDateTime>,
    /// What replaced it, sealed.
    pub next: Option<Vec<u8>>,
}

#[derive(FromRow)]
struct RefreshRow {
    session_id: SqlId<kinds::Token>,
    organization_id: SqlId<kinds::Organization>,
    person_id: SqlId<kinds::User>,
    ends_at: OffsetDateTime,
    lives: bool,
    rotations: i32,
    expires_at: OffsetDateTime,
    used_at: Option<OffsetDateTime>,
    next: Option<Vec<u8>>,
}

pub(super) async fn insert(
    connection: &mut PgConnection,
    organization: OrganizationId,
    new: &NewSession,
    at: OffsetDateTime,
    ends_at: OffsetDateTime,
) -> Result<(), Error> {
    sqlx::query(
        "INSERT INTO resident.session
             (id, organization_id, person_id, address, user_agent, created_at, last_used_at, ends_at)
         VALUES ($1, $2, $3, $4, $5, $6, $6, $7)",
    )
    .bind(SqlId(new.id))
    .bind(SqlId(organization))
    .bind(SqlId(new.person))
    .bind(&new.address)
    .bind(&new.user_agent)
    .bind(at)
    .bind(ends_at)
    .execute(connection)
    .await?;
    Ok(())
}

pub(super) async fn insert_refresh(
    connection: &mut PgConnection,
    session: TokenId,
    credential: &Credential,
    expires_at: OffsetDateTime,
) -> Result<(), Error> {
    sqlx::query("INSERT INTO resident.refresh_token (sha256, session_id, expires_at) VALUES ($1, $2, $3)")
        .bind(&credential.sha256()[..])
        .bind(SqlId(session))
        .bind(expires_at)
        .execute(connection)
        .await?;
    Ok(())
}

/// The refresh token with this hash. Its session is locked until the transaction of `connection` ends: of two requests at once, one
/// finds what the other has done.
pub(super) async fn find(connection: &mut PgConnection, sha256: &[u8; 32]) -> Result<Option<Refresh>, Error> {
    let row: Option<RefreshRow> = sqlx::query_as(
        "SELECT r.session_id, s.organization_id, s.person_id, s.ends_at, s.rotations, r.expires_at, r.used_at, r.next,
             p.active AND EXISTS (SELECT FROM replicated.token AS t WHERE t.id = s.id AND t.revoked_at IS NULL) AS lives
         FROM resident.refresh_token AS r JOIN resident.session AS s ON s.id = r.session_id
         JOIN resident.person AS p ON p.id = s.person_id
         WHERE r.sha256 = $1 FOR UPDATE OF s, r",
    )
    .bind(&sha256[..])
    .fetch_optional(connection)
    .await?;
    Ok(row.map(|row| Refresh {
        session: row.session_id.into(),
        organization: row.organization_id.into(),
        person: row.person_id.into(),
        ends_at: row.ends_at,
        lives: row.lives,
        rotations: row.rotations,
        expires_at: row.expires_at,
        used_at: row.used_at,
        next: row.next,
    }))
}

/// The refresh token with the hash `sha256` is used at `at`, and replaced by what `next` seals.
pub(super) async fn replace(
    connection: &mut PgConnection,
    session: TokenId,
    sha256: &[u8; 32],
    next: &[u8],
    at: OffsetDateTime,
) -> Result<(), Error> {
    sqlx::query("UPDATE resident.refresh_token SET used_at = $2, next = $3 WHERE sha256 = $1")
        .bind(&sha256[..])
        .bind(at)
        .bind(next)
        .execute(&mut *connection)
        .await?;
    sqlx::query("UPDATE resident.session SET last_used_at = $2, rotations = rotations + 1 WHERE id = $1")
        .bind(SqlId(session))
        .bind(at)
        .execute(connection)
        .await?;
    Ok(())
}

/// The sessions of `person` that go on at `now` and that `span` says, by id.
pub async fn list(
    executor: impl PgExecutor<'_>,
    person: UserId,
    span: &Span<TokenId>,
    now: OffsetDateTime,
) -> Result<Vec<ConsoleSession>, Error> {
    let rows: Vec<SessionRow> = sqlx::query_as(
        "SELECT s.id, s.address, s.user_agent, s.created_at, s.last_used_at, s.ends_at FROM resident.session AS s
         WHERE s.person_id = $1 AND s.ends_at > $2 AND ($3::uuid IS NULL OR s.id > $3)
           AND EXISTS (SELECT FROM replicated.token AS t WHERE t.id = s.id AND t.revoked_at IS NULL)
         ORDER BY s.id OFFSET $4 LIMIT $5",
    )
    .bind(SqlId(person))
    .bind(now)
    .bind(span.after.map(SqlId))
    .bind(span.offset)
    .bind(span.limit)
    .fetch_all(executor)
    .await?;
    let shown = |row: SessionRow| ConsoleSession {
        id: row.id.into(),
        address: row.address,
        user_agent: row.user_agent,
        created_at: row.created_at,
        last_used_at: row.last_used_at,
        ends_at: row.ends_at,
    };
    Ok(rows.into_iter().map(shown).collect())
}

/// How many sessions of `person` go on at `now`.
pub async fn count(executor: impl PgExecutor<'_>, person: UserId, now: OffsetDateTime) -> Result<u64, Error> {
    let (count,): (i64,) = sqlx::query_as(
        "SELECT count(*) FROM resident.session AS s WHERE s.person_id = $1 AND s.ends_at > $2
           AND EXISTS (SELECT FROM replicated.token AS t WHERE t.id = s.id AND t.revoked_at IS NULL)",
    )
    .bind(SqlId(person))
    .bind(now)
    .fetch_one(executor)
    .await?;
    Ok(count.cast_unsigned())
}
