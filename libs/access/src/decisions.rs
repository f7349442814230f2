//! Who decides: authz's own index, or a client of authz.

use std::{collections::BTreeMap, fmt};

use futures::future::BoxFuture;
use ids::{ControlPlaneId, PrincipalId, Region};
use policy::{Action, Resource, Verdict};
use proto::authz::v1::{
    AssignCreatorRequest, Caller as ProtoCaller, CheckConferRequest, CheckRequest, Resource as ProtoResource,
    Verdict as ProtoVerdict, VisibleRequest, authz_client::AuthzClient, resource,
};
use telemetry::TracedChannel;
use web::Problem;

use crate::{Session, Visible};

/// The part of the region that could not be asked.
#[derive(Clone, Debug)]
pub struct Unavailable(&'static str);

impl Unavailable {
    pub fn new(service: &'static str, cause: &dyn fmt::Display) -> Self {
        tracing::warn!(service, %cause, "could not be asked");
        Self(service)
    }
}

impl From<Unavailable> for Problem {
    fn from(unavailable: Unavailable) -> Self {
        Problem::unavailable(format!("{} cannot be asked now; try again", unavailable.0))
    }
}

pub trait Decisions: Send + Sync + 'static {
    fn check<'a>(
        &'a self,
        session: &'a Session,
        action: Action,
        resource: &'a Resource,
    ) -> BoxFuture<'a, Result<Verdict, Unavailable>>;

    fn visible<'a>(
        &'a self,
        session: &'a Session,
        region: &'a Region,
    ) -> BoxFuture<'a, Result<(Verdict, Visible), Unavailable>>;

    /// Whether the caller holds all that `principal` holds.
    fn check_confer<'a>(
        &'a self,
        session: &'a Session,
        principal: PrincipalId,
    ) -> BoxFuture<'a, Result<Verdict, Unavailable>>;

    fn assign_creator<'a>(
        &'a self,
        session: &'a Session,
        control_plane: ControlPlaneId,
        region: &'a Region,
    ) -> BoxFuture<'a, Result<(), Unavailable>>;
}

/// A client of the region's authz.
pub struct RemoteDecisions(AuthzClient<TracedChannel>);

impl RemoteDecisions {
    pub fn new(channel: TracedChannel) -> Self {
        Self(AuthzClient::new(channel))
    }
}

impl Decisions for RemoteDecisions {
    fn check<'a>(
        &'a self,
        session: &'a Session,
        action: Action,
        resource: &'a Resource,
    ) -> BoxFuture<'a, Result<Verdict, Unavailable>> {
        let mut client = self.0.clone();
        Box::pin(async move {
            let request = CheckRequest {
                caller: Some(caller(session)),
                action: action.as_str().to_owned(),
                resource: Some(resource_to_proto(resource)),
            };
            let response =
                client.check(request).await.map_err(|status| Unavailable::new("authz", &status))?;
            verdict(response.into_inner().verdict())
        })
    }

    fn visible<'a>(
        &'a self,
        session: &'a Session,
        region: &'a Region,
    ) -> BoxFuture<'a, Result<(Verdict, Visible), Unavailable>> {
        let mut client = self.0.clone();
        Box::pin(async move {
            let request = VisibleRequest { caller: Some(caller(session)), region: region.to_string() };
            let response =
                client.visible(request).await.map_err(|status| Unavailable::new("authz", &status))?;
            let response = response.into_inner();
            let ids = response.ids.iter().map(|id| id.parse()).collect::<Result<_, _>>();
            let ids = ids.map_err(|error| Unavailable::new("authz", &error))?;
            Ok((verdict(response.verdict())?, Visible { all: response.all, ids, recheck: response.recheck }))
        })
    }

    fn check_confer<'a>(
        &'a self,
        session: &'a Session,
        principal: PrincipalId,
    ) -> BoxFuture<'a, Result<Verdict, Unavailable>> {
        let mut client = self.0.clone();
        Box::pin(async move {
            let request =
                CheckConferRequest { caller: Some(caller(session)), principal_id: principal.to_string() };
            let response =
                client.check_confer(request).await.map_err(|status| Unavailable::new("authz", &status))?;
            verdict(response.into_inner().verdict())
        })
    }

    fn assign_creator<'a>(
        &'a self,
        session: &'a Session,
        control_plane: ControlPlaneId,
        region: &'a Region,
    ) -> BoxFuture<'a, Result<(), Unavailable>> {
        let mut client = self.0.clone();
        Box::pin(async move {
            let request = AssignCreatorRequest {
                caller: Some(caller(session)),
                control_plane_id: control_plane.to_string(),
                region: region.to_string(),
            };
            client.assign_creator(request).await.map_err(|status| Unavailable::new("authz", &status))?;
            Ok(())
        })
    }
}

fn caller(session: &Session) -> ProtoCaller {
    ProtoCaller {
        organization_id: session.organization.to_string(),
        principal_id: session.principal.to_string(),
        session_id: session.id.to_string(),
        issued_at: session.issued_at,
    }
}

fn verdict(verdict: ProtoVerdict) -> Result<Verdict, Unavailable> {
    match verdict {
        ProtoVerdict::Allow => Ok(Verdict::Allow),
        ProtoVerdict::Deny => Ok(Verdict::Deny),
        ProtoVerdict::Unauthenticated => Ok(Verdict::Unauthenticated),
        ProtoVerdict::Unspecified => Err(Unavailable::new("authz", &"no verdict")),
    }
}

pub fn resource_to_proto(from: &Resource) -> ProtoResource {
    let inner = match from {
        Resource::ControlPlane { id, region, labels } => {
            resource::Resource::ControlPlane(resource::ControlPlane {
                id: id.to_string(),
                region: region.to_string(),
                labels: labels.clone().into_iter().collect(),
            })
        }
        Resource::ControlPlanes { region } => {
            resource::Resource::ControlPlanes(resource::ControlPlanes { region: region.to_string() })
        }
        Resource::Iam => resource::Resource::Iam(resource::Iam {}),
    };
    ProtoResource { resource: Some(inner) }
}

/// The resource in a message; `None` if it names none.
pub fn resource_from_proto(from: Option<ProtoResource>) -> Option<Resource> {
    Some(match from?.resource? {
        resource::Resource::ControlPlane(control_plane) => Resource::ControlPlane {
            id: control_plane.id.parse().ok()?,
            region: control_plane.region.parse().ok()?,
            labels: control_plane.labels.into_iter().collect::<BTreeMap<_, _>>(),
        },
        resource::Resource::ControlPlanes(all) => {
            Resource::ControlPlanes { region: all.region.parse().ok()? }
        }
        resource::Resource::Iam(_) => Resource::Iam,
    })
}
