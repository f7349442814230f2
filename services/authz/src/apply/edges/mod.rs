//! Memberships and assignments: their rows follow from their [`history`] by the merge rule.

mod history;

use std::collections::BTreeSet;

use ids::{AssignmentId, OrganizationId, PrincipalId, TeamId, kinds};
use oplog::ApplyError;
use policy::{AssignedRole, Holder};
use postgres::{Error, SqlId};
use replication::{
    Entry,
    merge::{self, Grant, Known, Revocation},
};
use sqlx::{PgConnection, types::Uuid};

use self::history::{
    dead_edges, grants_beside, grants_of, insert_grant, insert_revocation, revocations_of, update_standing,
};
use crate::operation::{HolderId, Operation, assignment_id, membership_id};

/// What a grant grants.
#[derive(Clone, Debug, PartialEq)]
pub enum Edge {
    Membership { team_id: TeamId, principal_id: PrincipalId },
    Assignment { holder: HolderId, role: AssignedRole },
}

impl Edge {
    fn id(&self, organization: OrganizationId) -> Uuid {
        match self {
            Self::Membership { team_id, principal_id } => {
                membership_id(organization, *team_id, *principal_id)
            }
            Self::Assignment { holder, role } => assignment_id(organization, (*holder).into(), role).uuid(),
        }
    }

    /// The effect of a grant that made the edge.
    fn made(self) -> Operation {
        match self {
            Self::Membership { team_id, principal_id } => Operation::MemberAdded { team_id, principal_id },
            Self::Assignment { holder, role } => Operation::AssignmentPut { holder, role },
        }
    }
}

/// Applies a grant: the edge's row is there if the grant lives and neither of the edge's ends is removed.
pub async fn grant(
    connection: &mut PgConnection,
    entry: &Entry,
    edge: Edge,
) -> Result<Vec<Operation>, ApplyError> {
    let new = grant_of(entry, edge.id(entry.organization));
    let subjects: Vec<Uuid> = new.authority.iter().copied().chain([new.edge]).collect();
    let known = Known {
        grants: grants_of(connection, &new.authority).await?,
        revocations: revocations_of(connection, &subjects).await?,
    };
    let standing = merge::grant(&new, &known);
    insert_grant(connection, entry, &new, standing).await?;
    if standing.lives() && insert(connection, entry.organization, new.edge, &edge).await? {
        return Ok(vec![edge.made()]);
    }
    Ok(Vec::new())
}

/// Notes that `subject` counts from this entry on. It is a principal that is active, and its history is kept like an edge's.
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

/// Applies the revocation of `subject` (an edge, a principal, a session or a team); answers the edges that end by it, as effects.
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
    for change in &changes {
        update_standing(connection, change).await?;
    }
    // A standing only ever gets worse: each of these edges has lost a grant.
    let touched: BTreeSet<Uuid> = changes.iter().map(|change| change.edge).collect();
    let dead = dead_edges(connection, &touched).await?;
    Ok(delete(connection, entry.organization, &dead).await?)
}

fn grant_of(entry: &Entry, edge: Uuid) -> Grant {
    Grant { edge, dot: entry.dot(), deps: entry.deps.clone(), authority: entry.authority.clone() }
}

/// Inserts the edge's row unless one of its ends is removed; `false` if the row was there already or is not there now.
async fn insert(
    connection: &mut PgConnection,
    organization: OrganizationId,
    id: Uuid,
    edge: &Edge,
) -> Result<bool, Error> {
    let inserted = match edge {
        Edge::Membership { team_id, principal_id } => {
            sqlx::query(
                "INSERT INTO replicated.membership (id, team_id, principal_id, organization_id)
                 SELECT $1, $2, $3, $4
                 WHERE NOT EXISTS (SELECT FROM replicated.removed WHERE id IN ($2, $3))
                 ON CONFLICT DO NOTHING",
            )
            .bind(id)
            .bind(SqlId(*team_id))
            .bind(SqlId(*principal_id))
            .bind(SqlId(organization))
            .execute(connection)
            .await?
        }
        Edge::Assignment { holder, role } => {
            let (team, principal) = holder_columns((*holder).into());
            sqlx::query(
                "INSERT INTO replicated.assignment
                 (id, organization_id, team_id, principal_id, role_name, entity_type_name, entity_id, entity_region)
                 SELECT $1, $2, $3, $4, $5, $6, $7, $8
                 WHERE NOT EXISTS (SELECT FROM replicated.removed WHERE id IN ($3, $4))
                 ON CONFLICT DO NOTHING",
            )
            .bind(id)
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
    };
    Ok(inserted.rows_affected() == 1)
}

/// The holder as its two columns, of which one is null.
pub fn holder_columns(holder: Holder) -> (Option<TeamId>, Option<PrincipalId>) {
    match holder {
        Holder::Team(team) => (Some(team), None),
        Holder::Principal(principal) => (None, Some(principal)),
    }
}

/// Deletes the rows of edges; answers the effects.
pub async fn delete(
    connection: &mut PgConnection,
    organization: OrganizationId,
    edges: &[Uuid],
) -> Result<Vec<Operation>, Error> {
    if edges.is_empty() {
        return Ok(Vec::new());
    }
    let members: Vec<(SqlId<kinds::Team>, SqlId<kinds::Principal>)> = sqlx::query_as(
        "DELETE FROM replicated.membership WHERE id = ANY($1) AND organization_id = $2
         RETURNING team_id, principal_id",
    )
    .bind(edges)
    .bind(SqlId(organization))
    .fetch_all(&mut *connection)
    .await?;
    let assignments: Vec<(Uuid,)> = sqlx::query_as(
        "DELETE FROM replicated.assignment WHERE id = ANY($1) AND organization_id = $2 RETURNING id",
    )
    .bind(edges)
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
