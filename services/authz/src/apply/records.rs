//! Records: rows that one region writes, and sessions, which only end.

use clock::at_microseconds;
use ids::OrganizationId;
use postgres::{Error, SqlId};
use replication::Entry;
use sqlx::{
    PgConnection,
    types::{Json, Uuid},
};

use crate::operation::{Kind, Operation, Status, TeamPut};

/// Applies an operation about a record; answers its effects. One about an edge has none here.
pub async fn apply(
    connection: &mut PgConnection,
    entry: &Entry,
    what: &Operation,
) -> Result<Vec<Operation>, Error> {
    let organization = entry.organization;
    match what {
        Operation::OrganizationPut { suspended, home_region } => {
            put_organization(connection, organization, *suspended, home_region.as_str()).await?;
        }
        Operation::PrincipalPut { id, kind, active, not_before } => {
            if is_removed(connection, id.uuid()).await? {
                return Ok(Vec::new());
            }
            put_principal(connection, organization, id.uuid(), *kind, *active, *not_before).await?;
        }
        Operation::PrincipalRemoved { id } => {
            remove(connection, organization, id.uuid(), REMOVE_PRINCIPAL).await?;
        }
        Operation::SessionRevoked { id, expires_at } => {
            revoke_session(connection, entry, id.uuid(), *expires_at).await?;
        }
        Operation::SessionForgotten { id } => {
            sqlx::query("DELETE FROM replicated.revoked_session WHERE id = $1")
                .bind(id.uuid())
                .execute(connection)
                .await?;
        }
        Operation::TeamPut(team) => {
            if is_removed(connection, team.id.uuid()).await? {
                return Ok(Vec::new());
            }
            put_team(connection, entry, team).await?;
        }
        Operation::TeamRemoved { id } => {
            remove(connection, organization, id.uuid(), REMOVE_TEAM).await?;
        }
        Operation::OrganizationRemoved {}
        | Operation::MemberAdded { .. }
        | Operation::MemberRemoved { .. }
        | Operation::AssignmentPut { .. }
        | Operation::AssignmentRemoved { .. } => return Ok(Vec::new()),
    }
    Ok(vec![what.clone()])
}

async fn put_organization(
    connection: &mut PgConnection,
    organization: OrganizationId,
    suspended: bool,
    home_region: &str,
) -> Result<(), Error> {
    sqlx::query(
        "INSERT INTO replicated.organization (id, status, home_region) VALUES ($1, $2, $3)
         ON CONFLICT (id) DO UPDATE SET status = excluded.status, home_region = excluded.home_region",
    )
    .bind(SqlId(organization))
    .bind(Status::of(suspended).as_str())
    .bind(home_region)
    .execute(connection)
    .await?;
    Ok(())
}

/// Notes that the organization is gone: equal whether its own record came before or not.
pub async fn put_removed_organization(connection: &mut PgConnection, entry: &Entry) -> Result<(), Error> {
    sqlx::query("INSERT INTO replicated.organization (id, status, home_region) VALUES ($1, $2, $3)")
        .bind(SqlId(entry.organization))
        .bind(Status::Removed.as_str())
        .bind(entry.origin.region().as_str())
        .execute(connection)
        .await?;
    Ok(())
}

/// Whether the organization is gone for ever.
pub async fn is_organization_removed(
    connection: &mut PgConnection,
    organization: OrganizationId,
) -> Result<bool, Error> {
    let (removed,) = sqlx::query_as(
        "SELECT EXISTS (SELECT FROM replicated.organization WHERE id = $1 AND status = 'removed')",
    )
    .bind(SqlId(organization))
    .fetch_one(connection)
    .await?;
    Ok(removed)
}

async fn put_principal(
    connection: &mut PgConnection,
    organization: OrganizationId,
    id: Uuid,
    kind: Kind,
    active: bool,
    not_before: Option<i64>,
) -> Result<(), Error> {
    sqlx::query(
        "INSERT INTO replicated.principal (id, organization_id, kind, active, not_before) VALUES ($1, $2, $3, $4, $5)
         ON CONFLICT (id) DO UPDATE SET active = excluded.active,
             not_before = greatest(principal.not_before, excluded.not_before)",
    )
    .bind(id)
    .bind(SqlId(organization))
    .bind(kind.as_str())
    .bind(active)
    .bind(not_before)
    .execute(connection)
    .await?;
    Ok(())
}

async fn put_team(connection: &mut PgConnection, entry: &Entry, team: &TeamPut) -> Result<(), Error> {
    sqlx::query(
        "INSERT INTO replicated.team
             (id, organization_id, name, description, described, predefined, labels, created_at, updated_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $8)
         ON CONFLICT (id) DO UPDATE SET name = excluded.name, description = excluded.description,
             described = excluded.described, labels = excluded.labels, updated_at = excluded.updated_at",
    )
    .bind(SqlId(team.id))
    .bind(SqlId(entry.organization))
    .bind(&team.name)
    .bind(team.description.as_deref().unwrap_or_default())
    .bind(team.description.is_some())
    .bind(team.predefined)
    .bind(Json(&team.labels))
    .bind(at_microseconds(entry.at))
    .execute(connection)
    .await?;
    Ok(())
}

async fn revoke_session(
    connection: &mut PgConnection,
    entry: &Entry,
    id: Uuid,
    expires_at: i64,
) -> Result<(), Error> {
    sqlx::query(
        "INSERT INTO replicated.revoked_session (id, organization_id, expires_at, region) VALUES ($1, $2, $3, $4)
         ON CONFLICT DO NOTHING",
    )
    .bind(id)
    .bind(SqlId(entry.organization))
    .bind(expires_at)
    .bind(entry.origin.region().as_str())
    .execute(connection)
    .await?;
    Ok(())
}

/// Rows that go with a principal and with a team, itself included.
const REMOVE_PRINCIPAL: [&str; 3] = [
    "DELETE FROM replicated.principal WHERE id = $1",
    "DELETE FROM replicated.membership WHERE principal_id = $1",
    "DELETE FROM replicated.assignment WHERE principal_id = $1",
];
const REMOVE_TEAM: [&str; 3] = [
    "DELETE FROM replicated.team WHERE id = $1",
    "DELETE FROM replicated.membership WHERE team_id = $1",
    "DELETE FROM replicated.assignment WHERE team_id = $1",
];

async fn remove(
    connection: &mut PgConnection,
    organization: OrganizationId,
    id: Uuid,
    statements: [&'static str; 3],
) -> Result<(), Error> {
    sqlx::query(
        "INSERT INTO replicated.removed (id, organization_id) VALUES ($1, $2) ON CONFLICT DO NOTHING",
    )
    .bind(id)
    .bind(SqlId(organization))
    .execute(&mut *connection)
    .await?;
    for statement in statements {
        sqlx::query(statement).bind(id).execute(&mut *connection).await?;
    }
    Ok(())
}

async fn is_removed(connection: &mut PgConnection, id: Uuid) -> Result<bool, Error> {
    let (removed,) = sqlx::query_as("SELECT EXISTS (SELECT FROM replicated.removed WHERE id = $1)")
        .bind(id)
        .fetch_one(connection)
        .await?;
    Ok(removed)
}
