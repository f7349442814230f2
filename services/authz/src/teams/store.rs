//! Rows of teams and memberships, read. They are written by `apply`.

use ids::{OrganizationId, PrincipalId, TeamId, kinds};
use postgres::{Error, SqlId};
use sqlx::{FromRow, PgExecutor, PgPool};
use time::OffsetDateTime;
use web::TextFilter;

use super::Team;
use crate::operation::Kind;

#[derive(FromRow)]
struct TeamRow {
    id: SqlId<kinds::Team>,
    name: String,
    description: String,
    predefined: bool,
    created_at: OffsetDateTime,
    updated_at: OffsetDateTime,
}

impl From<TeamRow> for Team {
    fn from(row: TeamRow) -> Self {
        Self {
            id: row.id.into(),
            name: row.name,
            description: row.description,
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

/// At most `limit` teams of the organization whose name fits, by id, after the id `after`.
pub(super) async fn list(
    db: &PgPool,
    organization: OrganizationId,
    name: &TextFilter,
    after: Option<TeamId>,
    limit: i64,
) -> Result<Vec<Team>, Error> {
    let rows: Vec<TeamRow> = sqlx::query_as(
        "SELECT * FROM replicated.team
         WHERE organization_id = $1 AND ($2::uuid IS NULL OR id > $2)
           AND ($4::text IS NULL OR name = $4) AND ($5::text IS NULL OR strpos(name, $5) > 0)
         ORDER BY id LIMIT $3",
    )
    .bind(SqlId(organization))
    .bind(after.map(SqlId))
    .bind(limit)
    .bind(&name.eq)
    .bind(&name.contains)
    .fetch_all(db)
    .await?;
    Ok(rows.into_iter().map(Team::from).collect())
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

/// At most `limit` members of one kind, by id, after the id `after`.
pub(super) async fn members(
    db: &PgPool,
    team: TeamId,
    kind: Kind,
    after: Option<PrincipalId>,
    limit: i64,
) -> Result<Vec<PrincipalId>, Error> {
    let rows: Vec<(SqlId<kinds::Principal>,)> = sqlx::query_as(
        "SELECT principal_id FROM replicated.membership JOIN replicated.principal ON principal.id = principal_id
         WHERE team_id = $1 AND kind = $2 AND ($3::uuid IS NULL OR principal_id > $3) ORDER BY principal_id LIMIT $4",
    )
    .bind(SqlId(team))
    .bind(kind.as_str())
    .bind(after.map(SqlId))
    .bind(limit)
    .fetch_all(db)
    .await?;
    Ok(rows.into_iter().map(|(id,)| id.into()).collect())
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
