//! The guard whole, before a small API, in a region whose identity and authz are in memory.

mod fuzz;
mod rates;
mod region;
mod remembered;
mod remote;
mod signed;

use std::{sync::atomic::Ordering, time::Duration};

use axum::http::{Method, StatusCode};
use ids::OrganizationId;
use policy::Verdict;
use region::{Answer, KEY, Region, at, vector};
use replication::{Token, TokenKey, Vector};
use tokio::time::Instant;

use crate::{Authority, CONSISTENCY, WORKED_ON_MAX, consistency::PARKED_PER_ORGANIZATION_MAX};

/// More than any answer takes that waits for nothing.
const AT_ONCE: Duration = Duration::from_secs(1);

fn seal(organization: OrganizationId, vector: &Vector) -> String {
    let key = TokenKey::from_hex(KEY).expect("key");
    Token { organization, vector: vector.clone() }.seal(&key)
}

fn open(answer: &Answer) -> Token {
    let text = answer.header(CONSISTENCY.as_str()).expect("the answer carries a token");
    Token::open(&text, &TokenKey::from_hex(KEY).expect("key")).expect("the token is sealed with the key")
}

fn assert_not_yet(answer: &Answer) {
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE, "{}", answer.body);
    assert!(answer.body.contains("urn:landbridge:problem:not-yet-replicated"), "{}", answer.body);
    assert_eq!(answer.header("retry-after").as_deref(), Some("1"));
}

#[tokio::test]
async fn answers_to_writes_carry_what_the_request_saw_and_wrote() {
    let region = Region::new();
    region.sees(&vector(&[("authz.us", 7)]));
    let written = region.send(Method::POST, "/write", None).await;
    assert_eq!(written.status, StatusCode::OK, "{}", written.body);
    let token = open(&written);
    assert_eq!(token.organization, region.session.organization);
    assert_eq!(token.vector, vector(&[("authz.us", 8), ("identity.us", 3)]));

    let read = region.send(Method::GET, "/read", None).await;
    assert_eq!(read.header(CONSISTENCY.as_str()), None, "a read without a token is answered without one");

    // A read that sends one gets it back, merged with what its decision saw.
    region.applied(&vector(&[("authz.us", 20), ("authz.eu", 5)]));
    region.sees(&vector(&[("authz.us", 11)]));
    let sent = seal(region.session.organization, &vector(&[("authz.us", 8), ("authz.eu", 5)]));
    let read = region.send(Method::GET, "/read", Some(&sent)).await;
    assert_eq!(read.status, StatusCode::OK, "{}", read.body);
    assert_eq!(open(&read).vector, vector(&[("authz.us", 11), ("authz.eu", 5)]));
    assert_eq!(region.floor(), vector(&[("authz.us", 8), ("authz.eu", 5)]), "no decision on less");
}

#[tokio::test]
async fn a_refused_write_carries_a_token_too() {
    let region = Region::new();
    region.sees(&vector(&[("authz.us", 7)]));
    region.decides(Verdict::Deny);
    let refused = region.send(Method::POST, "/write", None).await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
    assert_eq!(open(&refused).vector, vector(&[("authz.us", 7)]), "what the denial was made on");
}

#[tokio::test]
async fn later_decisions_of_a_request_do_not_fall_behind_earlier_ones() {
    let region = Region::new();
    region.sees(&vector(&[("authz.eu", 4)]));
    assert_eq!(region.send(Method::GET, "/twice", None).await.status, StatusCode::OK);
    assert_eq!(region.floor(), vector(&[("authz.eu", 4)]));
}

#[tokio::test]
async fn waits_for_a_token_and_goes_on_when_it_arrives() {
    let region = Region::new();
    let ahead = vector(&[("identity.eu", 2), ("authz.eu", 9)]);
    let sent = seal(region.session.organization, &ahead);
    let waiting = tokio::spawn({
        let (region, sent) = (region.clone(), sent.clone());
        async move { region.send(Method::GET, "/read", Some(&sent)).await }
    });
    region.until_waiting(2).await;
    region.applied(&vector(&[("identity.eu", 2)]));
    assert_eq!(region.decisions.load(Ordering::Acquire), 0, "no decision before all of it is there");
    region.applied(&vector(&[("authz.eu", 9)]));
    let answer = waiting.await.expect("no panic");
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);

    let calls = region.waits.load(Ordering::Acquire);
    assert_eq!(region.send(Method::GET, "/read", Some(&sent)).await.status, StatusCode::OK);
    assert_eq!(region.waits.load(Ordering::Acquire), calls, "a place once seen reached costs no call");
}

#[tokio::test]
async fn what_does_not_arrive_is_503_whatever_the_caller_may_do() {
    let region = Region::new();
    region.decides(Verdict::Deny);
    region.forget_sessions();
    let sent = seal(region.session.organization, &vector(&[("authz.eu", 9)]));
    let begun = Instant::now();
    let answer = region.send(Method::GET, "/read", Some(&sent)).await;
    assert_not_yet(&answer);
    assert!(answer.body.contains("authz.eu"), "it names what is missing: {}", answer.body);
    let waited = begun.elapsed();
    assert!(waited >= Duration::from_secs(2) && waited < Duration::from_secs(4), "{waited:?}");
    assert_eq!(region.decisions.load(Ordering::Acquire), 0);
}

#[tokio::test]
async fn tokens_that_are_not_ours_are_400() {
    let region = Region::new();
    let organization = region.session.organization;
    let other_key = TokenKey::from_hex(&"cd".repeat(32)).expect("key");
    let forged = Token { organization, vector: vector(&[("authz.eu", u64::MAX)]) }.seal(&other_key);
    let foreign = seal(OrganizationId::generate(), &Vector::default());
    let good = seal(organization, &Vector::default());
    let cases = [
        ("malformed", "abc".to_owned()),
        ("empty", String::new()),
        ("forged", forged),
        ("truncated", good[..good.len() - 2].to_owned()),
        ("of another organization", foreign.clone()),
        ("of two organizations", format!("{good}, {foreign}")),
        ("too many", [good.as_str(); 9].join(",")),
    ];
    for (what, token) in cases {
        let answer = region.send(Method::GET, "/read", Some(&token)).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{what}: {}", answer.body);
        assert!(answer.body.contains("invalid-parameter"), "{what}: {}", answer.body);
        assert!(answer.body.contains("Landbridge-Consistency: "), "{what}: {}", answer.body);
    }
    assert_eq!(region.waits.load(Ordering::Acquire), 0, "nothing is waited for");
}

#[tokio::test]
async fn several_tokens_count_together() {
    let region = Region::new();
    region.applied(&vector(&[("authz.eu", 3), ("authz.us", 4)]));
    let one = seal(region.session.organization, &vector(&[("authz.eu", 3)]));
    let two = seal(region.session.organization, &vector(&[("authz.us", 4)]));
    let answer = region.send(Method::GET, "/read", Some(&format!("{one}, {two}"))).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
    assert_eq!(region.floor(), vector(&[("authz.eu", 3), ("authz.us", 4)]));
}

#[tokio::test]
async fn only_so_many_wait_at_once() {
    let region = Region::new();
    let sent = seal(region.session.organization, &vector(&[("authz.eu", 9)]));
    let waiting: Vec<_> = (0..PARKED_PER_ORGANIZATION_MAX)
        .map(|_| {
            let (region, sent) = (region.clone(), sent.clone());
            tokio::spawn(async move { region.send(Method::GET, "/read", Some(&sent)).await })
        })
        .collect();
    region.until_waiting(PARKED_PER_ORGANIZATION_MAX).await;
    let begun = Instant::now();
    assert_not_yet(&region.send(Method::GET, "/read", Some(&sent)).await);
    assert!(begun.elapsed() < AT_ONCE, "one too many is told so at once");
    region.applied(&vector(&[("authz.eu", 9)]));
    for waiting in waiting {
        assert_eq!(waiting.await.expect("no panic").status, StatusCode::OK);
    }
}

#[tokio::test]
async fn who_shows_no_token_is_not_waited_for() {
    let region = Region::new();
    let sent = seal(region.session.organization, &vector(&[("authz.eu", 9)]));
    for bearer in [None, Some("Basic abc"), Some("Bearer nonsense"), Some("Bearer lbs_us_1_00_00")] {
        let answer = region.send_as(bearer, Method::GET, "/read", Some(&sent)).await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{bearer:?}");
    }
    assert_eq!(region.waits.load(Ordering::Acquire), 0);
}

#[tokio::test]
async fn a_token_minted_ahead_is_not_yet_and_one_that_never_was_is_401() {
    let region = Region::new();
    let ahead = region.mint("eu", 5);
    let as_ahead = format!("Bearer {}", ahead.expose());
    assert_not_yet(&region.send_as(Some(&as_ahead), Method::GET, "/read", None).await);
    region.applied(&vector(&[("identity.eu", 5)]));
    let answer = region.send_as(Some(&as_ahead), Method::GET, "/read", None).await;
    assert_eq!(answer.status, StatusCode::OK, "what was not yet is not remembered: {}", answer.body);

    region.forget_sessions();
    let never = region.unknown("eu", 4);
    let as_never = format!("Bearer {}", never.expose());
    let answer = region.send_as(Some(&as_never), Method::GET, "/read", None).await;
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn a_denial_that_could_be_news_is_503_and_a_sure_one_403() {
    let region = Region::new();
    region.decides(Verdict::Deny);
    assert_eq!(region.send(Method::GET, "/read", None).await.status, StatusCode::FORBIDDEN);
    region.is_behind(&vector(&[("authz.eu", 9)]));
    assert_not_yet(&region.send(Method::GET, "/read", None).await);
}

/// 429, which clients take as a sign to slow down: decK gives up at 503.
fn assert_slow_down(answer: &Answer) {
    assert_eq!(answer.status, StatusCode::TOO_MANY_REQUESTS, "{}", answer.body);
    assert!(answer.body.contains("at a time"), "{}", answer.body);
    assert_eq!(answer.header("retry-after").as_deref(), Some("1"));
}

#[tokio::test]
async fn where_there_is_too_much_to_do_clients_are_told_to_slow_down() {
    let region = Region::new();
    region.is_busy();
    assert_slow_down(&region.send(Method::GET, "/read", None).await);
}

#[tokio::test(start_paused = true)]
async fn a_request_is_worked_on_when_it_is_its_turn() {
    let region = Region::new();
    let (own, other) = (region.session.organization, OrganizationId::generate());
    let mut held = Vec::new();
    for organization in [[own; WORKED_ON_MAX / 2], [other; WORKED_ON_MAX / 2]].concat() {
        held.push(region.turns.take(organization).await.expect("a turn"));
    }
    assert_slow_down(&region.send(Method::GET, "/read", None).await);
    assert_eq!(region.decisions.load(Ordering::Relaxed), 0, "nothing is asked before");
    assert_eq!(region.send(Method::GET, "/own", None).await.status, StatusCode::OK, "that one asks nothing");
    drop(held.swap_remove(0));
    for _ in 0..3 {
        // Each gives its turn back; a second decision needs no second one.
        assert_eq!(region.send(Method::GET, "/twice", None).await.status, StatusCode::OK);
    }
}

#[tokio::test]
async fn authority_is_what_the_allows_named() {
    let region = Region::new();
    let assignment = Authority::Assignment(ids::AssignmentId::generate());
    let membership = Authority::Membership(ids::MembershipId::generate());
    region.because(&[assignment, membership]);
    let answer = region.send(Method::GET, "/authority", None).await;
    let [principal, session] = Authority::of_session(&region.session);
    let expected = [principal, session, assignment, membership];
    assert_eq!(answer.body, expected.map(|named| named.to_string()).join(" "));
    region.decides(Verdict::Deny);
    let answer = region.send(Method::GET, "/authority", None).await;
    assert_eq!(answer.body, [principal, session].map(|named| named.to_string()).join(" "));
}

#[tokio::test]
async fn an_answer_without_a_decision_is_withheld() {
    let region = Region::new();
    let answer = region.send(Method::GET, "/forgetful", None).await;
    assert_eq!(answer.status, StatusCode::INTERNAL_SERVER_ERROR);
    assert!(!answer.body.contains("secret"));
}

#[tokio::test]
async fn an_answer_from_home_keeps_its_own_token() {
    let region = Region::new();
    let answer = region.send(Method::POST, "/at-home", None).await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(answer.header(CONSISTENCY.as_str()).as_deref(), Some("of-home"));
}

#[test]
fn positions_read_as_written() {
    assert_eq!(vector(&[("authz.us", 7)]).get(&"authz.us".parse().expect("origin")), Some(at(7)));
}

#[tokio::test]
async fn nobody_of_a_suspended_organization_is_let_in() {
    let region = Region::new();
    region.decides(Verdict::Suspended);
    for (method, path) in [(Method::GET, "/read"), (Method::POST, "/write"), (Method::GET, "/authority")] {
        let answer = region.send(method, path, None).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{path} {}", answer.body);
        assert!(answer.body.contains("urn:landbridge:problem:organization-inactive"), "{}", answer.body);
    }
}
