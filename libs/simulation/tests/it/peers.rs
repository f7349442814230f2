//! An identity and an authz in which one account may do everything: who may do what is proven elsewhere.

use access::{
    Action, Decided, Decisions, KeySet, OpaqueToken, PrincipalKind, Refusal, Resource, Session, Sessions,
    Unavailable, Vector, Verdict, Visible,
};
use futures::{FutureExt as _, future::BoxFuture};
use ids::{ControlPlaneId, OrganizationId, PrincipalId, Region, TokenId};

/// Whoever shows a token is this account.
pub struct Peers(Session);

impl Peers {
    pub fn new() -> Self {
        Self(Session {
            organization: OrganizationId::generate(),
            principal: PrincipalId::generate(),
            kind: PrincipalKind::SystemAccount,
            id: TokenId::generate(),
            issued_at: 0,
            expires_at: i64::MAX,
            ends_at: i64::MAX,
            vector: Vector::default(),
            limits: access::Limits::default(),
        })
    }
}

fn allowed() -> Decided {
    Decided { verdict: Verdict::Allow, authority: Vec::new(), seen: Vector::default() }
}

fn ready<'a, T: Send + 'a>(value: T) -> BoxFuture<'a, Result<T, Unavailable>> {
    async { Ok(value) }.boxed()
}

impl Sessions for Peers {
    fn resolve<'a>(
        &'a self,
        _token: &'a OpaqueToken,
    ) -> BoxFuture<'a, Result<Result<Session, Refusal>, Unavailable>> {
        ready(Ok(self.0.clone()))
    }

    fn signing_keys<'a>(&'a self, _wanted: &'a str) -> BoxFuture<'a, Result<KeySet, Unavailable>> {
        ready(KeySet::parse(r#"{"keys":[]}"#).expect("no keys"))
    }

    fn reach<'a>(&'a self, _vector: &'a Vector) -> BoxFuture<'a, Result<(), Unavailable>> {
        ready(())
    }
}

impl Decisions for Peers {
    fn check<'a>(
        &'a self,
        _session: &'a Session,
        _minimum: &'a Vector,
        _action: Action,
        _resource: &'a Resource,
    ) -> BoxFuture<'a, Result<Decided, Unavailable>> {
        ready(allowed())
    }

    fn visible<'a>(
        &'a self,
        _session: &'a Session,
        _minimum: &'a Vector,
        _region: &'a Region,
    ) -> BoxFuture<'a, Result<(Verdict, Visible, Vector), Unavailable>> {
        ready((Verdict::Allow, Visible { all: true, ..Visible::default() }, Vector::default()))
    }

    fn check_confer<'a>(
        &'a self,
        _session: &'a Session,
        _minimum: &'a Vector,
        _principal: PrincipalId,
    ) -> BoxFuture<'a, Result<Decided, Unavailable>> {
        ready(allowed())
    }

    fn assign_creator<'a>(
        &'a self,
        _session: &'a Session,
        _minimum: &'a Vector,
        _control_plane: ControlPlaneId,
        _region: &'a Region,
    ) -> BoxFuture<'a, Result<Vector, Unavailable>> {
        ready(Vector::default())
    }

    fn reach<'a>(&'a self, _vector: &'a Vector) -> BoxFuture<'a, Result<(), Unavailable>> {
        ready(())
    }
}
