//! Rows of teams and memberships.

use ids::{OrganizationId, PrincipalId, TeamId, kinds};
use postgres::{Error, SqlId, on_constraint};
use sqlx::{PgConnection, PgPool};
use web::{Answer, Problem};

use super::{Row, Team};
use crate::operation::Kind;

fn name_taken() -> Problem {
    Problem::conflict("name: the organization has a team with this name")
}

/// 404 unless the team is the organization's.
pub async fn find(db: &PgPool, organization: OrganizationId, id: TeamId) -> Answer<Team> {
    let row: Option<Row> =
        sqlx::query_as("SELECT * FROM replicated.team WHERE organization_id = $1 AND id = $2")
            .bind(SqlId(organization))
            .bind(SqlId(id))
            .fetch_optional(db)
            .await
            .map_err(Error::from)?;
    row.map(Team::from).ok_or_else(|| Problem::not_found("team"))
}

pub(super) async fn list(
    db: &PgPool,
    organization: OrganizationId,
    after: Option<TeamId>,
    limit: i64,
) -> Result<Vec<Team>, Error> {
    let rows: Vec<Row> = sqlx::query_as(
        "SELECT * FROM replicated.team
         WHERE organization_id = $1 AND ($2::uuid IS NULL OR id > $2) ORDER BY id LIMIT $3",
    )
    .bind(SqlId(organization))
    .bind(after.map(SqlId))
    .bind(limit)
    .fetch_all(db)
    .await?;
    Ok(rows.into_iter().map(Team::from).collect())
}

pub(super) async fn insert(
    connection: &mut PgConnection,
    organization: OrganizationId,
    id: TeamId,
    name: &str,
    description: &str,
) -> Answer<Team> {
    let inserted: Result<Row, _> = sqlx::query_as(
        "INSERT INTO replicated.team (id, organization_id, name, description) VALUES ($1, $2, $3, $4) RETURNING *",
    )
    .bind(SqlId(id))
    .bind(SqlId(organization))
    .bind(name)
    .bind(description)
    .fetch_one(connection)
    .await;
    on_constraint(inserted, "team_name", name_taken).map(Team::from)
}

pub(super) async fn update(
    connection: &mut PgConnection,
    id: TeamId,
    name: Option<&str>,
    description: Option<&str>,
) -> Answer<Team> {
    let updated: Result<Option<Row>, _> = sqlx::query_as(
        "UPDATE replicated.team
         SET name = coalesce($2, name), description = coalesce($3, description), updated_at = now()
         WHERE id = $1 AND NOT predefined RETURNING *",
    )
    .bind(SqlId(id))
    .bind(name)
    .bind(description)
    .fetch_optional(connection)
    .await;
    on_constraint(updated, "team_name", name_taken)?.map(Team::from).ok_or_else(|| Problem::not_found("team"))
}

/// Memberships and assignments go with the team.
pub(super) async fn delete(connection: &mut PgConnection, id: TeamId) -> Answer<()> {
    let deleted = sqlx::query("DELETE FROM replicated.team WHERE id = $1 AND NOT predefined")
        .bind(SqlId(id))
        .execute(connection)
        .await
        .map_err(Error::from)?;
    if deleted.rows_affected() == 0 { Err(Problem::not_found("team")) } else { Ok(()) }
}

/// The members of one kind, by id.
pub(super) async fn members(
    db: &PgPool,
    team: TeamId,
    kind: Kind,
    after: Option<PrincipalId>,
    limit: i64,
) -> Result<Vec<PrincipalId>, Error> {
    let rows: Vec<(SqlId<kinds::Principal>,)> = sqlx::query_as(
        "SELECT principal_id FROM replicated.membership JOIN replicated.principal ON id = principal_id
         WHERE team_id = $1 AND kind = $2 AND ($3::uuid IS NULL OR principal_id > $3) ORDER BY principal_id LIMIT $4",
    )
    .bind(SqlId(team))
    .bind(column(kind))
    .bind(after.map(SqlId))
    .bind(limit)
    .fetch_all(db)
    .await?;
    Ok(rows.into_iter().map(|(id,)| id.into()).collect())
}

/// 404 unless the organization has this principal of this kind.
pub async fn require_principal(
    connection: &mut PgConnection,
    organization: OrganizationId,
    id: PrincipalId,
    kind: Kind,
) -> Answer<()> {
    let found: Option<(bool,)> = sqlx::query_as(
        "SELECT active FROM replicated.principal WHERE organization_id = $1 AND id = $2 AND kind = $3",
    )
    .bind(SqlId(organization))
    .bind(SqlId(id))
    .bind(column(kind))
    .fetch_optional(connection)
    .await
    .map_err(Error::from)?;
    let what = match kind {
        Kind::User => "user",
        Kind::SystemAccount => "system account",
    };
    found.map(|_| ()).ok_or_else(|| Problem::not_found(what))
}

/// `false` if it was a member already.
pub(super) async fn add_member(
    connection: &mut PgConnection,
    organization: OrganizationId,
    team: TeamId,
    principal: PrincipalId,
) -> Result<bool, Error> {
    let inserted = sqlx::query(
        "INSERT INTO replicated.membership (team_id, principal_id, organization_id) VALUES ($1, $2, $3)
         ON CONFLICT DO NOTHING",
    )
    .bind(SqlId(team))
    .bind(SqlId(principal))
    .bind(SqlId(organization))
    .execute(connection)
    .await?;
    Ok(inserted.rows_affected() == 1)
}

pub(super) async fn remove_member(
    connection: &mut PgConnection,
    team: TeamId,
    principal: PrincipalId,
) -> Answer<()> {
    let deleted = sqlx::query("DELETE FROM replicated.membership WHERE team_id = $1 AND principal_id = $2")
        .bind(SqlId(team))
        .bind(SqlId(principal))
        .execute(connection)
        .await
        .map_err(Error::from)?;
    if deleted.rows_affected() == 0 { Err(Problem::not_found("member")) } else { Ok(()) }
}

/// Members of a team; locks its memberships until the transaction ends, so that two removals cannot empty it.
pub(super) async fn count_members_locked(
    connection: &mut PgConnection,
    team: TeamId,
) -> Result<usize, Error> {
    let rows: Vec<(SqlId<kinds::Principal>,)> =
        sqlx::query_as("SELECT principal_id FROM replicated.membership WHERE team_id = $1 FOR UPDATE")
            .bind(SqlId(team))
            .fetch_all(connection)
            .await?;
    Ok(rows.len())
}

const fn column(kind: Kind) -> &'static str {
    match kind {
        Kind::User => "user",
        Kind::SystemAccount => "system_account",
    }
}
