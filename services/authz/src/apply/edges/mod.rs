//! Memberships and assignments: their rows follow from their [`history`] by the merge rule.

mod history;

use ids::{AssignmentId, OrganizationId, PrincipalId, TeamId, kinds};
use oplog::ApplyError;
use policy::Holder;
use postgres::{Error, SqlId};
use replication::{
    Entry,
    merge::{self, Grant, Known, Revocation},
};
use sqlx::{PgConnection, types::Uuid};

use self::history::{
    dead_edges, grants_beside, grants_of, insert_grant, insert_revocation, revocations_of, update_standing,
};
use crate::operation::{Operation, assignment_id, membership_id};

/// An edge, by its id and by what it joins, as far as that is known.
#[derive(Clone, Copy, Debug)]
pub struct Edge {
    pub id: Uuid,
}

impl Edge {
    /// The edge that an operation grants.
    pub fn granted_by(organization: OrganizationId, what: &Operation) -> Option<Self> {
        match what {
            Operation::MemberAdded { team_id, principal_id } => {
                Some(Self { id: membership_id(organization, *team_id, *principal_id) })
            }
            Operation::AssignmentPut { holder, role } => {
                Some(Self { id: assignment_id(organization, (*holder).into(), role).uuid() })
            }
            _ => None,
        }
    }

    /// The edge that an operation takes back.
    pub fn ended_by(organization: OrganizationId, what: &Operation) -> Option<Self> {
        match what {
            Operation::MemberRemoved { team_id, principal_id } => {
                Some(Self { id: membership_id(organization, *team_id, *principal_id) })
            }
            Operation::AssignmentRemoved { id } => Some(Self { id: id.uuid() }),
            _ => None,
        }
    }
}

/// Applies a grant: its row is there if it lives and neither end is gone for ever.
pub async fn grant(
    connection: &mut PgConnection,
    entry: &Entry,
    edge: Edge,
    what: Operation,
) -> Result<Vec<Operation>, ApplyError> {
    let new = grant_of(entry, edge.id);
    let subjects: Vec<Uuid> = new.authority.iter().copied().chain([new.edge]).collect();
    let known = Known {
        grants: grants_of(connection, &new.authority).await?,
        revocations: revocations_of(connection, &subjects).await?,
    };
    let standing = merge::grant(&new, &known);
    insert_grant(connection, entry, &new, standing).await?;
    if !standing.lives() || !insert(connection, entry.organization, edge, &what).await? {
        return Ok(Vec::new());
    }
    Ok(vec![what])
}

/// Notes that `subject`, which is no edge, holds from here on: a principal that is active.
pub async fn note_grant(
    connection: &mut PgConnection,
    entry: &Entry,
    subject: Uuid,
) -> Result<(), ApplyError> {
    let new = Grant { authority: Vec::new(), ..grant_of(entry, subject) };
    let known = Known { grants: Vec::new(), revocations: revocations_of(connection, &[subject]).await? };
    let standing = merge::grant(&new, &known);
    insert_grant(connection, entry, &new, standing).await
}

/// Applies the revocation of `subject` (an edge, a principal or a session); answers what ends by it.
pub async fn revoke(
    connection: &mut PgConnection,
    entry: &Entry,
    subject: Uuid,
) -> Result<Vec<Operation>, ApplyError> {
    let new = Revocation { subject, dot: entry.dot(), deps: entry.deps.clone() };
    let mut known =
        Known { grants: grants_beside(connection, entry.organization, &new).await?, revocations: Vec::new() };
    if known.grants.iter().any(|(grant, _)| grant.authority.contains(&subject)) {
        let authorities: Vec<Uuid> =
            known.grants.iter().flat_map(|(grant, _)| grant.authority.iter().copied()).collect();
        known.grants.extend(grants_of(connection, &authorities).await?);
        known.revocations = revocations_of(connection, &authorities).await?;
    }
    insert_revocation(connection, entry, &new).await?;

    let changes = merge::revoke(&new, &known);
    let mut ended = Vec::new();
    for change in &changes {
        update_standing(connection, change).await?;
        if !change.standing.lives() && !ended.contains(&change.edge) {
            ended.push(change.edge);
        }
    }
    let dead = dead_edges(connection, &ended).await?;
    Ok(delete(connection, entry.organization, &dead).await?)
}

fn grant_of(entry: &Entry, edge: Uuid) -> Grant {
    Grant { edge, dot: entry.dot(), deps: entry.deps.clone(), authority: entry.authority.clone() }
}

/// Inserts the edge's row unless one of its ends is gone; `false` if there is nothing new.
async fn insert(
    connection: &mut PgConnection,
    organization: OrganizationId,
    edge: Edge,
    what: &Operation,
) -> Result<bool, Error> {
    let inserted = match what {
        Operation::MemberAdded { team_id, principal_id } => {
            sqlx::query(
                "INSERT INTO replicated.membership (id, team_id, principal_id, organization_id)
                 SELECT $1, $2, $3, $4
                 WHERE NOT EXISTS (SELECT FROM replicated.removed WHERE id IN ($2, $3))
                 ON CONFLICT DO NOTHING",
            )
            .bind(edge.id)
            .bind(SqlId(*team_id))
            .bind(SqlId(*principal_id))
            .bind(SqlId(organization))
            .execute(connection)
            .await?
        }
        Operation::AssignmentPut { holder, role } => {
            let (team, principal) = columns((*holder).into());
            sqlx::query(
                "INSERT INTO replicated.assignment
                 (id, organization_id, team_id, principal_id, role_name, entity_type_name, entity_id, entity_region)
                 SELECT $1, $2, $3, $4, $5, $6, $7, $8
                 WHERE NOT EXISTS (SELECT FROM replicated.removed WHERE id IN ($3, $4))
                 ON CONFLICT DO NOTHING",
            )
            .bind(edge.id)
            .bind(SqlId(organization))
            .bind(team.map(SqlId))
            .bind(principal.map(SqlId))
            .bind(&role.role_name)
            .bind(&role.entity_type_name)
            .bind(&role.entity_id)
            .bind(&role.entity_region)
            .execute(connection)
            .await?
        }
        _ => return Ok(false),
    };
    Ok(inserted.rows_affected() == 1)
}

/// The holder as its two columns, of which one is null.
pub fn columns(holder: Holder) -> (Option<TeamId>, Option<PrincipalId>) {
    match holder {
        Holder::Team(team) => (Some(team), None),
        Holder::Principal(principal) => (None, Some(principal)),
    }
}

/// Deletes the rows of edges; answers what that is for the index.
pub async fn delete(
    connection: &mut PgConnection,
    organization: OrganizationId,
    edges: &[Edge],
) -> Result<Vec<Operation>, Error> {
    if edges.is_empty() {
        return Ok(Vec::new());
    }
    let ids: Vec<Uuid> = edges.iter().map(|edge| edge.id).collect();
    let members: Vec<(SqlId<kinds::Team>, SqlId<kinds::Principal>)> = sqlx::query_as(
        "DELETE FROM replicated.membership WHERE id = ANY($1) AND organization_id = $2
         RETURNING team_id, principal_id",
    )
    .bind(&ids)
    .bind(SqlId(organization))
    .fetch_all(&mut *connection)
    .await?;
    let assignments: Vec<(Uuid,)> = sqlx::query_as(
        "DELETE FROM replicated.assignment WHERE id = ANY($1) AND organization_id = $2 RETURNING id",
    )
    .bind(&ids)
    .bind(SqlId(organization))
    .fetch_all(connection)
    .await?;
    let members = members.into_iter().map(|(team, principal)| Operation::MemberRemoved {
        team_id: team.into(),
        principal_id: principal.into(),
    });
    let assignments =
        assignments.into_iter().map(|(id,)| Operation::AssignmentRemoved { id: AssignmentId::from_uuid(id) });
    Ok(members.chain(assignments).collect())
}
