//! Rows of teams and memberships, read. They are written by `apply`.

use ids::{OrganizationId, PrincipalId, TeamId, kinds};
use postgres::{Error, SqlId};
use sqlx::{FromRow, PgExecutor, PgPool, types::Json};
use time::OffsetDateTime;
use web::{Span, TextFilter, labels::Labels};

use super::Team;
use crate::operation::Kind;

#[derive(FromRow)]
struct TeamRow {
    id: SqlId<kinds::Team>,
    name: String,
    description: String,
    described: bool,
    predefined: bool,
    labels: Json<Labels>,
    created_at: OffsetDateTime,
    updated_at: OffsetDateTime,
}

impl From<TeamRow> for Team {
    fn from(row: TeamRow) -> Self {
        Self {
            id: row.id.into(),
            name: row.name,
            description: row.described.then_some(row.description),
            labels: row.labels.0,
            system_team: row.predefined,
            created_at: row.created_at,
            updated_at: row.updated_at,
        }
    }
}

/// The organization's team `id`.
pub async fn find(
    executor: impl PgExecutor<'_>,
    organization: OrganizationId,
    id: TeamId,
) -> Result<Option<Team>, Error> {
    let row: Option<TeamRow> =
        sqlx::query_as("SELECT * FROM replicated.team WHERE organization_id = $1 AND id = $2")
            .bind(SqlId(organization))
            .bind(SqlId(id))
            .fetch_optional(executor)
            .await?;
    Ok(row.map(Team::from))
}

/// The teams of the organization whose name fits that `span` says, by id.
pub(super) async fn list(
    db: &PgPool,
    organization: OrganizationId,
    name: &TextFilter,
    span: &Span<TeamId>,
) -> Result<Vec<Team>, Error> {
    let rows: Vec<TeamRow> = sqlx::query_as(
        "SELECT * FROM replicated.team
         WHERE organization_id = $1 AND ($2::text IS NULL OR name = $2) AND ($3::text IS NULL OR strpos(name, $3) > 0)
           AND ($4::uuid IS NULL OR id > $4)
         ORDER BY id OFFSET $5 LIMIT $6",
    )
    .bind(SqlId(organization))
    .bind(&name.eq)
    .bind(&name.contains)
    .bind(span.after.map(SqlId))
    .bind(span.offset)
    .bind(span.limit)
    .fetch_all(db)
    .await?;
    Ok(rows.into_iter().map(Team::from).collect())
}

/// How many teams of the organization have a name that fits.
pub(super) async fn count(
    db: &PgPool,
    organization: OrganizationId,
    name: &TextFilter,
) -> Result<u64, Error> {
    let (count,): (i64,) = sqlx::query_as(
        "SELECT count(*) FROM replicated.team
         WHERE organization_id = $1 AND ($2::text IS NULL OR name = $2) AND ($3::text IS NULL OR strpos(name, $3) > 0)",
    )
    .bind(SqlId(organization))
    .bind(&name.eq)
    .bind(&name.contains)
    .fetch_one(db)
    .await?;
    Ok(count.cast_unsigned())
}

/// Whether another team of the organization has the team's name. The answer is certain in a transaction of the log: no other writer
/// can add a team meanwhile.
pub(super) async fn shares_name(
    executor: impl PgExecutor<'_>,
    organization: OrganizationId,
    id: TeamId,
) -> Result<bool, Error> {
    let (shares,) = sqlx::query_as(
        "SELECT EXISTS (
             SELECT FROM replicated.team JOIN replicated.team AS other USING (organization_id)
             WHERE organization_id = $1 AND team.id = $2 AND other.id <> $2
               AND normalize(other.name, NFC) = normalize(team.name, NFC))",
    )
    .bind(SqlId(organization))
    .bind(SqlId(id))
    .fetch_one(executor)
    .await?;
    Ok(shares)
}

/// The members of one kind that `span` says, by id.
pub(super) async fn members(
    db: &PgPool,
    team: TeamId,
    kind: Kind,
    span: &Span<PrincipalId>,
) -> Result<Vec<PrincipalId>, Error> {
    let rows: Vec<(SqlId<kinds::Principal>,)> = sqlx::query_as(
        "SELECT principal_id FROM replicated.membership JOIN replicated.principal ON principal.id = principal_id
         WHERE team_id = $1 AND kind = $2 AND ($3::uuid IS NULL OR principal_id > $3)
         ORDER BY principal_id OFFSET $4 LIMIT $5",
    )
    .bind(SqlId(team))
    .bind(kind.as_str())
    .bind(span.after.map(SqlId))
    .bind(span.offset)
    .bind(span.limit)
    .fetch_all(db)
    .await?;
    Ok(rows.into_iter().map(|(id,)| id.into()).collect())
}

/// How many members of one kind the team has.
pub(super) async fn count_members_of(db: &PgPool, team: TeamId, kind: Kind) -> Result<u64, Error> {
    let (count,): (i64,) = sqlx::query_as(
        "SELECT count(*) FROM replicated.membership JOIN replicated.principal ON principal.id = principal_id
         WHERE team_id = $1 AND kind = $2",
    )
    .bind(SqlId(team))
    .bind(kind.as_str())
    .fetch_one(db)
    .await?;
    Ok(count.cast_unsigned())
}

/// Whether the organization has this principal of this kind.
pub async fn has_principal(
    executor: impl PgExecutor<'_>,
    organization: OrganizationId,
    id: PrincipalId,
    kind: Kind,
) -> Result<bool, Error> {
    let (exists,) = sqlx::query_as(
        "SELECT EXISTS (
             SELECT FROM replicated.principal WHERE organization_id = $1 AND id = $2 AND kind = $3)",
    )
    .bind(SqlId(organization))
    .bind(SqlId(id))
    .bind(kind.as_str())
    .fetch_one(executor)
    .await?;
    Ok(exists)
}

/// Whether the principal is a member of the team.
pub(super) async fn is_member(
    executor: impl PgExecutor<'_>,
    team: TeamId,
    principal: PrincipalId,
) -> Result<bool, Error> {
    let (exists,) = sqlx::query_as(
        "SELECT EXISTS (SELECT FROM replicated.membership WHERE team_id = $1 AND principal_id = $2)",
    )
    .bind(SqlId(team))
    .bind(SqlId(principal))
    .fetch_one(executor)
    .await?;
    Ok(exists)
}

/// How many members the team has: 0, 1, or 2 for two and more.
pub(super) async fn count_members(executor: impl PgExecutor<'_>, team: TeamId) -> Result<i64, Error> {
    let (count,) = sqlx::query_as(
        "SELECT count(*) FROM (SELECT FROM replicated.membership WHERE team_id = $1 LIMIT 2) AS member",
    )
    .bind(SqlId(team))
    .fetch_one(executor)
    .await?;
    Ok(count)
}
