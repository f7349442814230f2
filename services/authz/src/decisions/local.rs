//! Decisions for this service's own endpoints: no call goes out.

use access::{Action, Decided, Decisions, Resource, Session, Unavailable, Verdict, Visible};
use futures::future::BoxFuture;
use ids::{ControlPlaneId, OrganizationId, PrincipalId, Region};
use replication::Vector;

use crate::app::{App, SERVICE};

/// Decisions on this replica's index.
pub struct LocalDecisions(pub App);

impl Decisions for LocalDecisions {
    fn check<'a>(
        &'a self,
        session: &'a Session,
        floor: &'a Vector,
        action: Action,
        resource: &'a Resource,
    ) -> BoxFuture<'a, Result<Decided, Unavailable>> {
        Box::pin(async move {
            let (decided, _) = self.0.decider.check(&session.into(), floor, action, resource).await?;
            Ok(decided)
        })
    }

    fn visible<'a>(
        &'a self,
        session: &'a Session,
        floor: &'a Vector,
        region: &'a Region,
    ) -> BoxFuture<'a, Result<(Verdict, Visible, Vector), Unavailable>> {
        Box::pin(async move {
            let (visible, seen) = self.0.decider.visible(&session.into(), floor, region).await?;
            let verdict = visible.verdict;
            Ok((verdict, Visible { all: visible.all, ids: visible.ids, recheck: visible.recheck }, seen))
        })
    }

    fn check_confer<'a>(
        &'a self,
        session: &'a Session,
        floor: &'a Vector,
        principal: PrincipalId,
    ) -> BoxFuture<'a, Result<Decided, Unavailable>> {
        Box::pin(async move { self.0.decider.check_confer(&session.into(), floor, principal).await })
    }

    fn assign_creator<'a>(
        &'a self,
        session: &'a Session,
        floor: &'a Vector,
        control_plane: ControlPlaneId,
        region: &'a Region,
    ) -> BoxFuture<'a, Result<Vector, Unavailable>> {
        Box::pin(async move {
            let assigned = self.0.assign_creator(&session.into(), floor, control_plane, region).await;
            assigned.map_err(|error| Unavailable::new(SERVICE, &error))
        })
    }

    fn reach<'a>(&'a self, vector: &'a Vector) -> BoxFuture<'a, Result<(), Unavailable>> {
        Box::pin(async move { self.0.decider.reach(vector).await.map(|_| ()) })
    }

    fn seen(&self, organization: OrganizationId) -> BoxFuture<'_, Result<Vector, Unavailable>> {
        Box::pin(async move {
            let seen = self.0.log.replica().organization_vector(organization).await;
            seen.map_err(|error| Unavailable::new(SERVICE, &error))
        })
    }
}
