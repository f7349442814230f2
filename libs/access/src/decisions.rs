//! Who decides: authz's own index, or a client of authz.

use std::{collections::BTreeMap, convert::Infallible, sync::Arc};

use futures::future::BoxFuture;
use ids::{ControlPlaneId, OrganizationId, PrincipalId, Region, ServiceName};
use policy::{Action, Resource, Verdict};
use proto::{
    authz::v1::{
        AssignCreatorRequest, Caller as ProtoCaller, CheckConferRequest, CheckRequest, CheckResponse,
        ReachRequest, Resource as ProtoResource, Verdict as ProtoVerdict, VisibleRequest,
        authz_client::AuthzClient, resource,
    },
    replication::v1::Position as ProtoPosition,
};
use replication::Vector;
use telemetry::TracedChannel;
use tonic::Status;

use crate::{
    Authority, Session, Unavailable, UnknownAuthority, Visible, question,
    remembered::{MadeOn, Question, Remembered},
};

/// A decision, what it rests on, and what it was made on.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub struct Decided {
    /// Whether the caller may.
    pub verdict: Verdict,
    /// What allows it and can be revoked. Empty unless the verdict is to allow, and where a rule of the product or a custom
    /// policy allows.
    pub authority: Vec<Authority>,
    /// The last entry of each of authz's logs that touched the organization, as the decision was made.
    pub seen: Vector,
}

/// Something that decides. It waits until this region has applied at least `minimum`, a vector of authz's logs, before it
/// decides. Before it denies, it also waits for the session's own [`vector`](Session::vector). Example: a token that was
/// made in eu, after a grant in eu, is not refused in us because us has not heard of the grant. What does not arrive in
/// time is [`Unavailable::NotYet`].
pub trait Decisions: Send + Sync + 'static {
    /// Whether the caller may do `action` on `resource`.
    fn check<'a>(
        &'a self,
        session: &'a Session,
        minimum: &'a Vector,
        action: Action,
        resource: &'a Resource,
    ) -> BoxFuture<'a, Result<Decided, Unavailable>>;

    /// Which control planes of `region` the caller may list, and the vector of what the answer was made on.
    fn visible<'a>(
        &'a self,
        session: &'a Session,
        minimum: &'a Vector,
        region: &'a Region,
    ) -> BoxFuture<'a, Result<(Verdict, Visible, Vector), Unavailable>>;

    /// Whether the caller holds every role that `principal` holds. Asked before the caller gets credentials of `principal`.
    fn check_confer<'a>(
        &'a self,
        session: &'a Session,
        minimum: &'a Vector,
        principal: PrincipalId,
    ) -> BoxFuture<'a, Result<Decided, Unavailable>>;

    /// Makes the caller Admin of a control plane that it is about to create. Answers the position of that in authz's logs.
    fn assign_creator<'a>(
        &'a self,
        session: &'a Session,
        minimum: &'a Vector,
        control_plane: ControlPlaneId,
        region: &'a Region,
    ) -> BoxFuture<'a, Result<Vector, Unavailable>>;

    /// The last entry of each of authz's logs that touched the organization and that this service's own database has
    /// applied. Empty in a service that keeps none of authz's rows.
    fn seen(&self, _organization: OrganizationId) -> BoxFuture<'_, Result<Vector, Unavailable>> {
        Box::pin(async { Ok(Vector::default()) })
    }

    /// Returns once decisions here are made on at least `vector`, of which only the part about authz's logs counts.
    /// [`Unavailable::NotYet`] if that takes too long.
    fn reach<'a>(&'a self, vector: &'a Vector) -> BoxFuture<'a, Result<(), Unavailable>>;
}

/// A client of the region's authz.
pub struct RemoteDecisions {
    authz: AuthzClient<TracedChannel>,
    remembered: Remembered,
}

impl RemoteDecisions {
    /// Asks the authz at the other end of `channel`.
    pub fn new(channel: TracedChannel) -> Self {
        Self { authz: AuthzClient::new(channel), remembered: Remembered::new() }
    }

    /// Lets what was allowed be remembered while authz grants that; it runs for ever. Without it every decision is asked for.
    pub async fn remember(self: Arc<Self>) -> Result<(), Infallible> {
        self.remembered.follow(self.authz.clone()).await;
        Ok(())
    }

    async fn ask(
        &self,
        session: &Session,
        minimum: &Vector,
        action: Action,
        resource: &Resource,
    ) -> Result<(Decided, MadeOn), Unavailable> {
        let request = CheckRequest {
            caller: Some(caller(session, minimum)),
            action: action.as_str().to_owned(),
            resource: Some(resource_to_proto(resource)),
        };
        let response = question::ask(|| {
            let (mut client, request) = (self.authz.clone(), request.clone());
            async move { client.check(request).await }
        })
        .await
        .map_err(|status| refused(&status, session, minimum))?;
        let made_on = MadeOn { instance: response.instance, generation: response.generation };
        Ok((decided(response)?, made_on))
    }
}

impl Decisions for RemoteDecisions {
    fn check<'a>(
        &'a self,
        session: &'a Session,
        minimum: &'a Vector,
        action: Action,
        resource: &'a Resource,
    ) -> BoxFuture<'a, Result<Decided, Unavailable>> {
        Box::pin(async move {
            let question = Question::new(session, action, resource);
            if let Some(decided) = self.remembered.find(&question, minimum) {
                return Ok(decided);
            }
            let (decided, made_on) = self.ask(session, minimum, action, resource).await?;
            self.remembered.keep(question, &decided, made_on);
            Ok(decided)
        })
    }

    fn visible<'a>(
        &'a self,
        session: &'a Session,
        minimum: &'a Vector,
        region: &'a Region,
    ) -> BoxFuture<'a, Result<(Verdict, Visible, Vector), Unavailable>> {
        Box::pin(async move {
            let request =
                VisibleRequest { caller: Some(caller(session, minimum)), region: region.to_string() };
            let response = question::ask(|| {
                let (mut client, request) = (self.authz.clone(), request.clone());
                async move { client.visible(request).await }
            })
            .await
            .map_err(|status| refused(&status, session, minimum))?;
            let ids = response.ids.iter().map(|id| id.parse()).collect::<Result<_, _>>();
            let ids = ids.map_err(|error| Unavailable::new(ServiceName::Authz, &error))?;
            let visible = Visible { all: response.all, ids, recheck: response.recheck };
            Ok((verdict(response.verdict())?, visible, vector(&response.seen)?))
        })
    }

    fn check_confer<'a>(
        &'a self,
        session: &'a Session,
        minimum: &'a Vector,
        principal: PrincipalId,
    ) -> BoxFuture<'a, Result<Decided, Unavailable>> {
        Box::pin(async move {
            let request = CheckConferRequest {
                caller: Some(caller(session, minimum)),
                principal_id: principal.to_string(),
            };
            let response = question::ask(|| {
                let (mut client, request) = (self.authz.clone(), request.clone());
                async move { client.check_confer(request).await }
            })
            .await
            .map_err(|status| refused(&status, session, minimum))?;
            decided(response)
        })
    }

    fn assign_creator<'a>(
        &'a self,
        session: &'a Session,
        minimum: &'a Vector,
        control_plane: ControlPlaneId,
        region: &'a Region,
    ) -> BoxFuture<'a, Result<Vector, Unavailable>> {
        let mut client = self.authz.clone();
        Box::pin(async move {
            let request = AssignCreatorRequest {
                caller: Some(caller(session, minimum)),
                control_plane_id: control_plane.to_string(),
                region: region.to_string(),
            };
            let response =
                client.assign_creator(request).await.map_err(|status| refused(&status, session, minimum))?;
            vector(&response.into_inner().seen)
        })
    }

    fn reach<'a>(&'a self, vector: &'a Vector) -> BoxFuture<'a, Result<(), Unavailable>> {
        let mut client = self.authz.clone();
        Box::pin(async move {
            let reached = client.reach(ReachRequest { vector: vector.to_wire() }).await;
            reached.map_err(|status| Unavailable::of_status(ServiceName::Authz, &status, vector)).map(drop)
        })
    }
}

fn caller(session: &Session, minimum: &Vector) -> ProtoCaller {
    ProtoCaller {
        organization_id: session.organization.to_string(),
        principal_id: session.principal.to_string(),
        session_id: session.id.to_string(),
        issued_at: session.issued_at,
        floor: minimum.to_wire(),
        vector: session.vector.to_wire(),
    }
}

/// Why authz gave no answer. It does not say what it misses; it can be no more than was asked for.
fn refused(status: &Status, session: &Session, minimum: &Vector) -> Unavailable {
    let mut wanted = minimum.clone();
    wanted.merge(&session.vector);
    Unavailable::of_status(ServiceName::Authz, status, &wanted)
}

fn decided(response: CheckResponse) -> Result<Decided, Unavailable> {
    let authority = response.reasons.iter().map(|reason| reason.parse()).collect::<Result<_, _>>();
    Ok(Decided {
        verdict: verdict(response.verdict())?,
        authority: authority
            .map_err(|error: UnknownAuthority| Unavailable::new(ServiceName::Authz, &error))?,
        seen: vector(&response.seen)?,
    })
}

fn vector(positions: &[ProtoPosition]) -> Result<Vector, Unavailable> {
    Vector::from_wire(positions).map_err(|error| Unavailable::new(ServiceName::Authz, &error))
}

fn verdict(verdict: ProtoVerdict) -> Result<Verdict, Unavailable> {
    match verdict {
        ProtoVerdict::Allow => Ok(Verdict::Allow),
        ProtoVerdict::Deny => Ok(Verdict::Deny),
        ProtoVerdict::Unauthenticated => Ok(Verdict::Unauthenticated),
        ProtoVerdict::Suspended => Ok(Verdict::Suspended),
        ProtoVerdict::Unspecified => Err(Unavailable::new(ServiceName::Authz, &"no verdict")),
    }
}

/// The resource as a message.
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
