//! What a control plane means to authz: its creator becomes Admin of it, and assignments on it go when it goes. The control
//! plane itself is config's.

use access::{Action, Resource, Verdict};
use ids::{ControlPlaneId, OrganizationId, Region, kinds};
use mutation::Mutation;
use policy::{AssignedRole, Role, Scope};
use postgres::SqlId;
use replication::Vector;
use sqlx::PgConnection;

use crate::{
    Answer,
    app::App,
    decisions::Asker,
    operation::{HolderId, Operation},
};

/// The creator of a control plane does not become its Admin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("only who may create control planes becomes Admin of a new one")]
    MayNotCreate,
}

impl App {
    /// Makes the caller Admin of the control plane `id`, which it is about to create. Asked twice, it has one effect. Answers the
    /// vector that includes the assignment.
    pub async fn assign_creator(
        &self,
        asker: &Asker,
        minimum: &Vector,
        id: ControlPlaneId,
        region: &Region,
    ) -> Answer<Vector> {
        let may_create = Resource::ControlPlanes { region: region.clone() };
        let (decided, _) = self.decider.check(asker, minimum, Action::CpCreate, &may_create).await?;
        match decided.verdict {
            Verdict::Allow => {}
            Verdict::Deny | Verdict::Suspended | Verdict::Unauthenticated => {
                return Err(Error::MayNotCreate.into());
            }
        }
        let scope = Scope::ControlPlane { region: region.clone(), id };
        let role = AssignedRole::new(Role::ControlPlaneAdmin, &scope);
        let put = Operation::AssignmentPut { holder: HolderId::Principal(asker.principal), role };
        let actor = mutation::Actor { principal: asker.principal, session: Some(asker.session) };
        let mutation = Mutation::in_session(asker.organization, actor, &decided, "role.assign-creator");
        let position = self
            .write(mutation, move |tx| {
                Box::pin(async move {
                    tx.audit(&id.to_string()).await?;
                    Ok(tx.append(put).await?)
                })
            })
            .await?;
        let mut seen = decided.seen;
        seen.advance(self.log.origin(), position);
        self.decider.index.wait_visible(&seen).await;
        Ok(seen)
    }

    /// Removes every assignment on the control plane `id`, which is gone.
    pub async fn forget_control_plane(&self, organization: OrganizationId, id: ControlPlaneId) -> Answer<()> {
        let mutation = Mutation::by_operator(organization, "role.forget-resource");
        self.write(mutation, move |tx| {
            Box::pin(async move {
                tx.audit(&id.to_string()).await?;
                for operation in removals(tx.connection(), organization, id).await? {
                    tx.append(operation).await?;
                }
                Ok(())
            })
        })
        .await
    }
}

/// The removal of every assignment on one control plane.
async fn removals(
    connection: &mut PgConnection,
    organization: OrganizationId,
    control_plane: ControlPlaneId,
) -> Result<Vec<Operation>, postgres::Error> {
    let rows: Vec<(SqlId<kinds::Assignment>,)> = sqlx::query_as(
        "SELECT id FROM replicated.assignment WHERE organization_id = $1 AND entity_id = $2 ORDER BY id",
    )
    .bind(SqlId(organization))
    .bind(control_plane.to_string())
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().map(|(id,)| Operation::AssignmentRemoved { id: id.into() }).collect())
}
