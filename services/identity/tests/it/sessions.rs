//! Tokens resolved from the database, and what other services ask over gRPC.

use access::{OpaqueToken, PrincipalKind, Refusal, Session, TokenKind, Unavailable};
use identity::{bootstrap::Outcome, grpc::Internal};
use ids::ServiceName;
use proto::identity::v1::{
    PrincipalKind as ProtoKind, ReachRequest, RegionsRequest, ResolveTokenRequest, SigningKeysRequest,
    identity_server::Identity as _,
};
use replication::{Position, Vector};
use time::Duration;
use tonic::{Code, Request};

use crate::region::{self, Region, START};

type Resolution = Result<Result<Session, Refusal>, Unavailable>;

async fn resolve(region: &Region, token: &OpaqueToken) -> Resolution {
    region.sessions.by_hash(token.sha256(), &token.region, token.position).await
}

fn opaque(outcome: &Outcome) -> OpaqueToken {
    region::format().read(outcome.token.as_deref().expect("a token")).expect("its form")
}

/// A token that nobody made, at a place of a region's log.
fn unknown(region: &str, seq: u64) -> OpaqueToken {
    OpaqueToken::plain(TokenKind::Personal, &region.parse().expect("region"), seq, [9; 24])
}

#[tokio::test]
async fn an_active_token_opens_its_session_until_it_expires() {
    let region = Region::alone().await;
    let made = region.bootstrap("Acme").await;
    let token = opaque(&made);
    let session = resolve(&region, &token).await.expect("known").expect("active");
    assert_eq!((session.organization, session.principal), (made.organization_id, made.owner_id.cast()));
    assert_eq!((session.kind, session.issued_at), (PrincipalKind::User, START.unix_timestamp()));
    assert_eq!(session.expires_at, (START + Duration::days(365)).unix_timestamp());

    region.clock.advance(Duration::days(365) - Duration::MICROSECOND);
    assert_eq!(resolve(&region, &token).await, Ok(Ok(session)));
    region.clock.advance(Duration::MICROSECOND);
    assert!(matches!(resolve(&region, &token).await, Ok(Err(Refusal::Ended(Some(_))))));
    // A clock that is put back: what has expired by another region's clock may be valid by this one's.
    region.clock.advance(Duration::seconds(-5));
    assert!(resolve(&region, &token).await.expect("known").is_ok());
}

#[tokio::test]
async fn what_this_region_never_wrote_is_unknown_unless_its_database_may_be_a_copy() {
    let region = Region::alone().await;
    region.bootstrap("Acme").await;
    for seq in [0, 1, 1000] {
        assert_eq!(resolve(&region, &unknown("us", seq)).await, Ok(Err(Refusal::Unknown)));
        assert_eq!(resolve(&region, &unknown("ap", seq)).await, Ok(Err(Refusal::Unknown)), "no such region");
    }
    region.database.restart().await;
    let answer = resolve(&region, &unknown("us", 1000)).await;
    assert!(matches!(answer, Err(Unavailable::NotYet { .. })), "{answer:?}");
}

#[tokio::test]
async fn a_row_that_cannot_be_read_opens_nothing() {
    let region = Region::alone().await;
    let token = opaque(&region.bootstrap("Acme").await);
    region.sql("ALTER TABLE replicated.token DROP CONSTRAINT token_principal_kind_check").await;
    for broken in [
        "UPDATE replicated.token SET principal_kind = 'robot'",
        "UPDATE replicated.token SET principal_kind = 'user', vector = 'x'",
    ] {
        region.sql(broken).await;
        let answer = resolve(&region, &token).await;
        let is_not_asked =
            matches!(answer, Err(Unavailable::NotAsked { service: ServiceName::Identity, .. }));
        assert!(is_not_asked, "{broken}: {answer:?}");
    }
}

fn request(token: &OpaqueToken) -> Request<ResolveTokenRequest> {
    Request::new(ResolveTokenRequest {
        sha256: token.sha256().to_vec().into(),
        minted_region: token.region.to_string(),
        minted_seq: token.position.seq,
        minted_epoch: token.position.epoch,
    })
}

#[tokio::test]
async fn other_services_are_told_the_same_over_grpc() {
    let region = Region::alone().await;
    let made = region.bootstrap("Acme").await;
    let (token, internal) = (opaque(&made), Internal(region.sessions.clone()));
    let answer = internal.resolve_token(request(&token)).await.expect("active").into_inner();
    assert_eq!(answer.principal_kind(), ProtoKind::User);
    assert_eq!(answer.organization_id, made.organization_id.to_string());
    assert_eq!(answer.principal_id, made.owner_id.to_string());

    let code =
        async |token: &OpaqueToken| internal.resolve_token(request(token)).await.expect_err("refused").code();
    assert_eq!(code(&unknown("us", 1)).await, Code::NotFound);
    let malformed = ResolveTokenRequest { minted_region: "No Region".to_owned(), ..Default::default() };
    let refused = internal.resolve_token(Request::new(malformed)).await.expect_err("refused");
    assert_eq!(refused.code(), Code::InvalidArgument);
    region.clock.advance(Duration::days(365));
    assert_eq!(code(&token).await, Code::Unauthenticated);

    let regions = internal.regions(Request::new(RegionsRequest {})).await.expect("regions").into_inner();
    assert_eq!(regions.regions.len(), 1);
    assert!(regions.regions[0].reachable && regions.regions[0].name == "us");
    region.database.restart().await;
    assert_eq!(code(&unknown("us", 1000)).await, Code::OutOfRange);
}

#[tokio::test]
async fn a_place_is_reached_or_it_is_said_that_it_is_not() {
    let region = Region::alone().await;
    region.bootstrap("Acme").await;
    let internal = Internal(region.sessions.clone());
    let reach = async |entries: &[(&str, u64)]| {
        let vector: Vector = entries
            .iter()
            .map(|(origin, seq)| (origin.parse().expect("origin"), Position { epoch: 1, seq: *seq }))
            .collect();
        internal.reach(Request::new(ReachRequest { vector: vector.to_wire() })).await.map(drop)
    };
    reach(&[("identity.us", 1), ("authz.eu", 99)]).await.expect("only identity's logs are waited for");
    let refused = reach(&[("identity.us", 1000)]).await.expect_err("nobody writes it");
    assert_eq!(refused.code(), Code::OutOfRange);
}

#[tokio::test]
async fn keys_are_told_with_the_certainty_that_there_is_no_other() {
    let region = Region::alone().await;
    let internal = Internal(region.sessions.clone());
    region.app.keys.sign(&session_of(&region).await, 0).await.expect("the key signs");
    for wanted in ["", "us.unknown", "ap.unknown", "nonsense"] {
        let wanted = SigningKeysRequest { wanted: wanted.to_owned() };
        let answer = internal.signing_keys(Request::new(wanted)).await.expect("keys").into_inner();
        let keys: serde_json::Value = serde_json::from_str(&answer.jwks_json).expect("JSON");
        assert_eq!(keys["keys"].as_array().expect("keys").len(), 1);
    }
    region.sql("UPDATE replicated.signing_key SET jwk = 'x'").await;
    let wanted = SigningKeysRequest { wanted: String::new() };
    let refused = internal.signing_keys(Request::new(wanted)).await.expect_err("unreadable");
    assert_eq!(refused.code(), Code::Unavailable);
}

async fn session_of(region: &Region) -> Session {
    resolve(region, &opaque(&region.bootstrap("Acme").await)).await.expect("known").expect("active")
}
