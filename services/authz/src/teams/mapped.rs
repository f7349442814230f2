//! Memberships that people have by the groups of their identity provider. identity knows the groups, and says at each sign-on which teams
//! they mean. Which memberships came about so is noted beside the log, in the organization's home region: only these end again.
//!
//! Example: Ada is in the team Operators by hand, and in Readers by a group. She leaves the group. At her next sign-on she is no longer in
//! Readers, and still in Operators.

use std::collections::BTreeSet;

use ids::{OrganizationId, PrincipalId, TeamId, kinds};
use mutation::Mutation;
use postgres::SqlId;
use replication::Vector;
use sqlx::PgConnection;

use super::store;
use crate::{
    Answer,
    app::{App, Tx},
    operation::Operation,
};

impl App {
    /// Whether the organization has the team, as far as this region knows once it has applied what others have announced.
    pub async fn has_team(&self, organization: OrganizationId, team: TeamId) -> Answer<bool> {
        if store::find(&self.db, organization, team).await?.is_some() {
            return Ok(true);
        }
        self.decider.settle(&Vector::default()).await?;
        Ok(store::find(&self.db, organization, team).await?.is_some())
    }

    /// Makes the memberships that `principal` has by its groups equal to `teams`; answers the vector that includes them, once decisions
    /// see it. Teams that are gone are passed over. What is so already is not written.
    pub async fn map_teams(
        &self,
        organization: OrganizationId,
        principal: PrincipalId,
        teams: BTreeSet<TeamId>,
    ) -> Answer<Vector> {
        let mutation = Mutation::by_operator(organization, "team.map-members");
        self.write(mutation, move |tx| {
            Box::pin(async move {
                let before = mapped(tx.connection(), organization, principal).await?;
                let mut is_changed = false;
                for team in teams.iter().copied() {
                    is_changed |= enter(tx, team, principal, before.contains(&team)).await?;
                }
                for team in before.difference(&teams).copied() {
                    is_changed |= leave(tx, team, principal).await?;
                }
                if is_changed {
                    tx.audit(&principal.to_string()).await?;
                }
                Answer::Ok(())
            })
        })
        .await?;
        let written = self.log.replica().organization_vector(organization).await?;
        self.decider.index.wait_visible(&written).await;
        Ok(written)
    }
}

/// Makes `principal` a member by its groups. Whoever is a member by hand stays one by hand.
async fn enter(tx: &mut Tx<'_>, team: TeamId, principal: PrincipalId, is_mapped: bool) -> Answer<bool> {
    let organization = tx.organization();
    let is_member = store::is_member(tx.connection(), team, principal).await?;
    if is_member || store::find(tx.connection(), organization, team).await?.is_none() {
        return Ok(false);
    }
    tx.append(Operation::MemberAdded { team_id: team, principal_id: principal }).await?;
    if !is_mapped {
        sqlx::query(
            "INSERT INTO regional.mapped_membership (organization_id, principal_id, team_id) VALUES ($1, $2, $3)
             ON CONFLICT DO NOTHING",
        )
        .bind(SqlId(organization))
        .bind(SqlId(principal))
        .bind(SqlId(team))
        .execute(tx.connection())
        .await
        .map_err(postgres::Error::from)?;
    }
    Ok(true)
}

/// Ends a membership that came from groups. The last administrator stays: nobody could make another one.
async fn leave(tx: &mut Tx<'_>, team: TeamId, principal: PrincipalId) -> Answer<bool> {
    let organization = tx.organization();
    let is_member = store::is_member(tx.connection(), team, principal).await?;
    if is_member {
        let found = store::find(tx.connection(), organization, team).await?;
        let is_administrators = found.is_some_and(|team| team.system_team);
        if is_administrators && store::count_members(tx.connection(), team).await? <= 1 {
            tracing::warn!(%organization, "the last administrator has left the group that makes administrators, and stays one");
            return Ok(false);
        }
        tx.append(Operation::MemberRemoved { team_id: team, principal_id: principal }).await?;
    }
    forget(tx, team, principal).await?;
    Ok(is_member)
}

/// A membership ends: it no longer matters how it came about. Whoever adds it again does so by hand.
pub(super) async fn forget(tx: &mut Tx<'_>, team: TeamId, principal: PrincipalId) -> Answer<()> {
    let organization = tx.organization();
    sqlx::query(
        "DELETE FROM regional.mapped_membership WHERE organization_id = $1 AND principal_id = $2 AND team_id = $3",
    )
    .bind(SqlId(organization))
    .bind(SqlId(principal))
    .bind(SqlId(team))
    .execute(tx.connection())
    .await
    .map_err(postgres::Error::from)?;
    Ok(())
}

/// The teams that `principal` is in by its groups.
async fn mapped(
    connection: &mut PgConnection,
    organization: OrganizationId,
    principal: PrincipalId,
) -> Result<BTreeSet<TeamId>, postgres::Error> {
    let rows: Vec<(SqlId<kinds::Team>,)> = sqlx::query_as(
        "SELECT team_id FROM regional.mapped_membership WHERE organization_id = $1 AND principal_id = $2",
    )
    .bind(SqlId(organization))
    .bind(SqlId(principal))
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().map(|(id,)| id.into()).collect())
}
