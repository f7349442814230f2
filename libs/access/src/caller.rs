//! The authenticated caller of a request, as its handler sees it.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use axum::{extract::FromRequestParts, http::request::Parts};
use ids::{ControlPlaneId, OrganizationId, PrincipalId, Region};
use policy::{Action, Resource, Verdict};
use web::{Answer, Problem};

use crate::{Decisions, PrincipalKind, Session};

/// Who calls, with the means to ask what it may do.
#[derive(Clone)]
pub struct Caller {
    pub session: Session,
    decisions: Arc<dyn Decisions>,
    /// Whether authz was asked during this request.
    decided: Arc<AtomicBool>,
}

/// Which control planes of a region a caller may list: all of them, or those named.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Visible {
    pub all: bool,
    pub ids: Vec<ControlPlaneId>,
    /// The filter may let too many through: each row of a page is to be asked about.
    pub recheck: bool,
}

impl Caller {
    pub(crate) fn new(session: Session, decisions: Arc<dyn Decisions>) -> Self {
        Self { session, decisions, decided: Arc::default() }
    }

    pub fn organization(&self) -> OrganizationId {
        self.session.organization
    }

    pub fn principal(&self) -> PrincipalId {
        self.session.principal
    }

    pub fn is_user(&self) -> bool {
        self.session.kind == PrincipalKind::User
    }

    pub(crate) fn was_decided(&self) -> bool {
        self.decided.load(Ordering::Acquire)
    }

    /// Goes on only if the caller may do `action` on `resource`: 403 if not, 401 if its session has ended, 503 if nobody
    /// can tell.
    pub async fn may(&self, action: Action, resource: &Resource) -> Answer<()> {
        if self.allows(action, resource).await? {
            Ok(())
        } else {
            Err(Problem::forbidden(format!("you may not do {} here", action.as_str())))
        }
    }

    /// Whether the caller may do `action` on `resource`.
    pub async fn allows(&self, action: Action, resource: &Resource) -> Answer<bool> {
        let verdict = self.decisions.check(&self.session, action, resource).await?;
        self.record(verdict)
    }

    /// Goes on only if the caller's session has not ended since its token was signed: asks for what every member may do.
    pub async fn require_session(&self) -> Answer<()> {
        self.allows(Action::OrgRead, &Resource::Iam).await?;
        Ok(())
    }

    /// Which control planes the caller may list in `region`.
    pub async fn visible_control_planes(&self, region: &Region) -> Answer<Visible> {
        let (verdict, visible) = self.decisions.visible(&self.session, region).await?;
        self.record(verdict)?;
        Ok(visible)
    }

    /// Goes on only if the caller holds all that `principal` holds: whoever makes credentials for it hands all of it over.
    pub async fn may_confer(&self, principal: PrincipalId) -> Answer<()> {
        let verdict = self.decisions.check_confer(&self.session, principal).await?;
        if self.record(verdict)? {
            Ok(())
        } else {
            Err(Problem::forbidden(
                "it holds roles that you do not; only somebody who holds them can do this",
            ))
        }
    }

    /// Makes the caller Admin of a control plane that it is about to create. Its right to create was decided before.
    pub async fn assign_creator(&self, control_plane: ControlPlaneId, region: &Region) -> Answer<()> {
        Ok(self.decisions.assign_creator(&self.session, control_plane, region).await?)
    }

    fn record(&self, verdict: Verdict) -> Answer<bool> {
        self.decided.store(true, Ordering::Release);
        match verdict {
            Verdict::Allow => Ok(true),
            Verdict::Deny => Ok(false),
            Verdict::Unauthenticated => Err(Problem::unauthenticated("the token's session has ended")),
        }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        // Absent only if an endpoint declared public asks for its caller.
        parts
            .extensions
            .get::<Self>()
            .cloned()
            .ok_or_else(|| Problem::internal("a public endpoint has no caller"))
    }
}
