//! What every write of the API does besides its work, in its own transaction, so that no handler can forget it: it claims its
//! idempotency key, writes its audit entry, and keeps its answer, sealed, for a request that comes again.
//!
//! A handler describes its write with a [`Mutation`]: who does what, under which key. Then it runs it in one of two ways:
//! [`Mutation::begin`] opens a transaction for rows of one region; [`Mutation::write_log`] has the log's committer run it, for
//! what is replicated. Dropped without an answer, it leaves nothing behind.

mod error;
pub mod idempotency;
mod logged;
mod regional;

use std::sync::Arc;

use access::{Authority, Caller, Decided, PrincipalKind, Requested};
pub use audit_log as audit;
use axum::{
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse as _, Response},
};
pub use error::Error;
pub use idempotency::{Key, Written};
use ids::{OrganizationId, PrincipalId, TokenId};
pub use logged::LoggedTx;
pub use regional::RegionalTx;
use sqlx::PgPool;

/// Who does a write, for the audit log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Actor {
    /// The person or system account whose token the request carries.
    pub principal: PrincipalId,
    /// The access token of the request, or the session that it is about; `None` where there is neither.
    pub session: Option<TokenId>,
}

/// A write, before it happens.
#[derive(Clone)]
pub struct Mutation {
    /// As in `team.create`, for the audit log.
    action: &'static str,
    organization: OrganizationId,
    /// `None` for the operator and for services.
    actor: Option<Actor>,
    /// Told where the write stands in the log.
    caller: Option<Caller>,
    author: oplog::Author,
    key: Option<Key>,
    /// What its audit entry is about, and how it ended.
    kind: (audit::EntryType, audit::Outcome),
    /// Of a request that has no caller.
    requested: Option<Arc<Requested>>,
}

/// What the audit entry of most writes is about.
const CHANGE: (audit::EntryType, audit::Outcome) = (audit::EntryType::Change, audit::Outcome::Allowed);

impl Mutation {
    /// The caller of a request does `action` in its organization, on the strength of the decisions that the request has asked
    /// for until now.
    pub fn by(caller: &Caller, action: &'static str) -> Self {
        let author = author(caller.principal(), &caller.authority());
        Self {
            action,
            organization: caller.organization(),
            actor: Some(Actor { principal: caller.principal(), session: Some(caller.session.id) }),
            caller: Some(caller.clone()),
            author,
            key: None,
            kind: CHANGE,
            requested: None,
        }
    }

    /// Another service does `action` for `actor`. `decided` is the decision that allows it.
    pub fn in_session(
        organization: OrganizationId,
        actor: Actor,
        decided: &Decided,
        action: &'static str,
    ) -> Self {
        let mut authority = vec![Authority::Principal(actor.principal)];
        authority.extend(actor.session.map(Authority::Session));
        authority.extend(&decided.authority);
        Self {
            action,
            organization,
            actor: Some(actor),
            caller: None,
            author: author(actor.principal, &authority),
            key: None,
            kind: CHANGE,
            requested: None,
        }
    }

    /// The platform operator, who is the caller of a request, does `action` in `organization`.
    pub fn by_platform_operator(caller: &Caller, organization: OrganizationId, action: &'static str) -> Self {
        Self { organization, ..Self::by(caller, action) }
    }

    /// The operator or a service does `action` in `organization`.
    pub fn by_operator(organization: OrganizationId, action: &'static str) -> Self {
        let author = oplog::Author::operator();
        Self {
            action,
            organization,
            actor: None,
            caller: None,
            author,
            key: None,
            kind: CHANGE,
            requested: None,
        }
    }

    /// The same write, as part of signing on or out: its audit entry is of that type, and says that it ended so.
    pub fn authenticates(self, outcome: audit::Outcome) -> Self {
        Self { kind: (audit::EntryType::Authentication, outcome), ..self }
    }

    /// The same write, which a person's request without a token has brought about. The person is the actor of its audit entry, with the
    /// session that it is about, if it is about one. The write itself rests on nothing of theirs.
    pub fn of_person(
        self,
        principal: PrincipalId,
        session: Option<TokenId>,
        requested: Arc<Requested>,
    ) -> Self {
        Self { actor: Some(Actor { principal, session }), requested: Some(requested), ..self }
    }

    /// The same write under the request's idempotency key, if it came with one.
    pub fn under(self, key: Option<Key>) -> Self {
        Self { key, ..self }
    }

    /// Opens a transaction for rows of this region, and claims the key.
    pub async fn begin(self, db: &PgPool) -> Result<RegionalTx, Error> {
        RegionalTx::begin(self, db).await
    }

    fn audit_entry(&self, target: &str) -> audit::Entry {
        let (kind, outcome) = self.kind;
        let entry = audit::Entry {
            kind,
            outcome,
            requested: self.requested.clone(),
            ..audit::Entry::change(self.organization, self.action, target)
        };
        if let Some(caller) = &self.caller {
            return entry.by((&caller.session).into(), caller.requested().clone());
        }
        let Some(Actor { principal, session }) = self.actor else { return entry };
        let actor_kind = self.requested.as_ref().map(|_| PrincipalKind::User);
        audit::Entry { actor: Some(principal), actor_kind, session, ..entry }
    }
}

fn json_response(status: StatusCode, body: String) -> Response {
    (status, [(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))], body).into_response()
}

fn author(principal: PrincipalId, authority: &[Authority]) -> oplog::Author {
    let authority = authority.iter().copied().map(Authority::uuid).collect();
    oplog::Author { principal: Some(principal), authority }
}
