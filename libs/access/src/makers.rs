//! A credential that somebody made in a session ends with that session.

use std::sync::Arc;

use axum::{extract::FromRequestParts, http::request::Parts};
use ids::ServiceName;
use policy::{Action, Resource, Verdict};
use replication::Vector;
use web::{Answer, Problem};

use crate::{Decided, Decisions, Session};

/// Knows whether the session in which a credential was made has ended. For handlers of endpoints that take one.
#[derive(Clone)]
pub struct Makers(Arc<dyn Decisions>);

impl Makers {
    pub(crate) fn new(decisions: Arc<dyn Decisions>) -> Self {
        Self(decisions)
    }

    /// Whether `session` lives at `now` (Unix seconds): its access token has neither expired nor been revoked, and its principal is
    /// active. 403 if its organization is suspended, 503 if nobody can tell.
    pub async fn lives(&self, session: &Session, now: i64) -> Answer<bool> {
        if session.ends_at <= now {
            return Ok(false);
        }
        // What every member may do: only the session decides.
        let seen = session.vector.of_service(ServiceName::Authz);
        let decided = self.0.check(session, &seen, Action::OrgRead, &Resource::Iam).await?;
        match decided.verdict {
            Verdict::Suspended => Err(Problem::organization_inactive()),
            Verdict::Unauthenticated => Ok(false),
            Verdict::Allow | Verdict::Deny => Ok(true),
        }
    }
}

impl Makers {
    /// Whether somebody may begin or go on with `session`, which has proved by other means who it is: its principal is active, and the
    /// session has not ended. `None` if not; decided on at least `minimum`. 403 if its organization is suspended, 503 if nobody can tell.
    pub async fn admits(&self, session: &Session, minimum: &Vector) -> Answer<Option<Decided>> {
        let decided = self.0.check(session, minimum, Action::OrgRead, &Resource::Iam).await?;
        match decided.verdict {
            Verdict::Suspended => Err(Problem::organization_inactive()),
            Verdict::Unauthenticated => Ok(None),
            Verdict::Allow | Verdict::Deny => Ok(Some(decided)),
        }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Makers {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        let makers = parts.extensions.get::<Self>().cloned();
        makers.ok_or_else(|| Problem::internal("an endpoint that takes no credential asks for its maker"))
    }
}
