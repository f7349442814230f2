//! What is remembered of decisions counts under a lease only, and until something was told.

use std::time::Duration;

use ids::{OrganizationId, PrincipalId, TokenId};
use policy::{Action, Resource, Verdict};
use proto::authz::v1::LeaseResponse;
use replication::Vector;
use tokio::time::{Instant, advance};

use super::region::vector;
use crate::{
    Decided, PrincipalKind, Session,
    remembered::{MadeOn, Question, Remembered},
};

const LASTS_MS: u32 = 800;
const INSTANCE: u64 = 3;

fn question() -> (Question, OrganizationId) {
    let organization = OrganizationId::generate();
    let session = Session {
        organization,
        principal: PrincipalId::generate(),
        kind: PrincipalKind::User,
        id: TokenId::generate(),
        issued_at: 5,
        expires_at: 6,
        ends_at: 6,
        vector: Vector::default(),
        limits: crate::Limits::default(),
    };
    (Question::new(&session, Action::OrgRead, &Resource::Iam), organization)
}

fn decided(verdict: Verdict) -> Decided {
    Decided { verdict, authority: Vec::new(), seen: vector(&[("authz.us", 4)]) }
}

fn made_on(generation: u64) -> MadeOn {
    MadeOn { instance: INSTANCE, generation }
}

/// Tells `remembered`, in answer to a request that was sent now.
fn tell(remembered: &Remembered, generation: u64, changed: &[OrganizationId]) {
    let told = LeaseResponse {
        instance: INSTANCE,
        generation,
        changed: changed.iter().map(ToString::to_string).collect(),
        everything: false,
        lasts_ms: LASTS_MS,
    };
    remembered.hear(&told, Instant::now());
}

#[tokio::test(start_paused = true)]
async fn it_counts_under_a_lease_that_lasts() {
    let (remembered, (question, _), nothing) = (Remembered::new(), question(), Vector::default());
    let allowed = decided(Verdict::Allow);
    remembered.keep(question.clone(), &allowed, made_on(7));
    assert_eq!(remembered.find(&question, &nothing), None, "there is no lease");
    tell(&remembered, 7, &[]);
    assert_eq!(remembered.find(&question, &nothing), Some(allowed.clone()));
    assert_eq!(remembered.find(&question, &vector(&[("authz.us", 4)])), Some(allowed.clone()));
    assert_eq!(remembered.find(&question, &vector(&[("authz.us", 5)])), None, "it was made on less");
    assert_eq!(remembered.find(&question, &vector(&[("authz.eu", 1)])), None, "it was made on less");

    advance(Duration::from_millis(LASTS_MS.into())).await;
    assert_eq!(remembered.find(&question, &nothing), None, "the lease is over");
    tell(&remembered, 7, &[]);
    assert_eq!(remembered.find(&question, &nothing), Some(allowed));
    // Longer than any lease that is believed.
    let told = LeaseResponse { instance: INSTANCE, generation: 7, lasts_ms: u32::MAX, ..Default::default() };
    remembered.hear(&told, Instant::now());
    advance(Duration::from_secs(2)).await;
    assert_eq!(remembered.find(&question, &nothing), None);
}

#[tokio::test(start_paused = true)]
async fn what_changed_is_forgotten_in_whichever_order_it_comes() {
    let (remembered, nothing) = (Remembered::new(), Vector::default());
    let ((one, first), (two, _)) = (question(), question());
    let allowed = decided(Verdict::Allow);
    tell(&remembered, 7, &[]);
    for question in [&one, &two] {
        remembered.keep(question.clone(), &allowed, made_on(7));
    }
    tell(&remembered, 8, &[first]);
    assert_eq!(remembered.find(&one, &nothing), None);
    assert_eq!(remembered.find(&two, &nothing), Some(allowed.clone()), "another organization's");
    // An answer that was made before the change and comes after it.
    remembered.keep(one.clone(), &allowed, made_on(7));
    assert_eq!(remembered.find(&one, &nothing), None);
    remembered.keep(one.clone(), &allowed, made_on(8));
    assert_eq!(remembered.find(&one, &nothing), Some(allowed.clone()));

    let everything = LeaseResponse {
        instance: INSTANCE,
        generation: 9,
        everything: true,
        lasts_ms: LASTS_MS,
        ..Default::default()
    };
    remembered.hear(&everything, Instant::now());
    assert_eq!((remembered.find(&one, &nothing), remembered.find(&two, &nothing)), (None, None));
}

#[tokio::test(start_paused = true)]
async fn denials_and_answers_of_another_index_do_not_count() {
    let (remembered, (question, _), nothing) = (Remembered::new(), question(), Vector::default());
    tell(&remembered, 7, &[]);
    for verdict in [Verdict::Deny, Verdict::Unauthenticated] {
        remembered.keep(question.clone(), &decided(verdict), made_on(7));
        assert_eq!(remembered.find(&question, &nothing), None);
    }
    for instance in [0, INSTANCE + 1] {
        let made_on = MadeOn { instance, generation: 99 };
        remembered.keep(question.clone(), &decided(Verdict::Allow), made_on);
        assert_eq!(remembered.find(&question, &nothing), None, "instance {instance}");
    }
}
