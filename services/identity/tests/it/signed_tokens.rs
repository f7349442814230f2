//! `POST /v1/token`, `GET /v1/jwks.json`, and the keys behind them.

use identity::signing_keys::Opening;
use seal::SealKey;
use serde_json::{Value, json};
use time::Duration;
use tokio_util::sync::CancellationToken;
use tonic::Status;

use crate::region::{Region, SEAL_KEY, text};

#[tokio::test]
async fn an_access_token_is_exchanged_for_a_signed_one_which_is_not_exchanged_again() {
    let region = Region::alone().await;
    let (owner, made) = region.owner().await;
    let answer = owner.post("/v1/token", json!({})).await.expect(200);
    assert_eq!((text(&answer, "token_type"), &answer["expires_in"]), ("Bearer", &json!(300)));
    let signed = region.client(text(&answer, "access_token"));
    assert_eq!(signed.get("/v3/organizations/me").await.expect(200)["id"], json!(made.organization_id));
    let detail = signed.post("/v1/token", json!({})).await.problem(403, "forbidden");
    assert!(detail.contains("access token"), "{detail}");

    let keys = region.stranger().get("/v1/jwks.json").await.expect(200);
    let [key] = keys["keys"].as_array().expect("keys").as_slice() else { panic!("{keys}") };
    assert!(text(key, "kid").starts_with("us."), "{key}");
    assert!(key.get("d").is_none(), "the private half is nowhere to be seen");

    // No longer than the token that it is made from.
    region.clock.advance(Duration::days(365) - Duration::seconds(60));
    assert_eq!(owner.post("/v1/token", json!({})).await.expect(200)["expires_in"], 60);
}

#[tokio::test]
async fn nothing_is_signed_for_a_session_that_authz_does_not_vouch_for() {
    let region = Region::alone().await;
    let (owner, _) = region.owner().await;
    region.authz.state().session_ended = true;
    owner.post("/v1/token", json!({})).await.problem(401, "unauthenticated");
    region.authz.state().refusal = Some(Status::unavailable("away"));
    owner.post("/v1/token", json!({})).await.problem(503, "unavailable");
    region.authz.state().refusal = Some(Status::out_of_range("late"));
    owner.post("/v1/token", json!({})).await.problem(503, "not-yet-replicated");
}

#[tokio::test]
async fn a_key_that_cannot_be_read_is_not_left_out_in_silence() {
    let region = Region::alone().await;
    let (owner, _) = region.owner().await;
    owner.post("/v1/token", json!({})).await.expect(200);
    region.sql("UPDATE replicated.signing_key SET jwk = 'x'").await;
    region.stranger().get("/v1/jwks.json").await.problem(500, "internal");
}

#[tokio::test]
async fn two_replicas_have_one_key_which_outlives_them() {
    let region = Region::alone().await;
    let made = region.bootstrap("Acme").await;
    let token = region.app.tokens.read(made.token.as_deref().expect("a token")).expect("its form");
    let session = region.sessions.by_hash(token.sha256(), &token.region, token.position).await;
    let session = session.expect("known").expect("active");
    let key_of = |signed: String| {
        let header = jsonwebtoken::decode_header(&signed).expect("a header");
        header.kid.expect("a key id")
    };
    let mut ids = vec![key_of(region.app.keys.sign(&session, 0).await.expect("signed"))];
    for _ in 0..2 {
        let (keys, opening) = Opening::new(
            region.log.clone(),
            region.app.replication.clone(),
            [].into(),
            SealKey::new(&SEAL_KEY),
        );
        let stop = CancellationToken::new();
        let running = tokio::spawn(opening.run(stop.clone()));
        ids.push(key_of(keys.sign(&session, 0).await.expect("signed")));
        stop.cancel();
        running.await.expect("no panic").expect("ended");
    }
    ids.dedup();
    assert_eq!(ids.len(), 1, "{ids:?}");
    assert_eq!(region.count("SELECT count(*) FROM regional.signing_secret WHERE signs").await, 1);
    assert_eq!(region.kinds().await.iter().filter(|kind| *kind == "signing_key.put").count(), 1);
}

#[tokio::test]
async fn a_private_half_opens_with_the_key_of_its_database_only() {
    let region = Region::alone().await;
    let (owner, _) = region.owner().await;
    owner.post("/v1/token", json!({})).await.expect(200);
    let made = region.bootstrap("Acme").await;
    assert!(made.token.is_none(), "it is there already");
    let (keys, opening) =
        Opening::new(region.log.clone(), region.app.replication.clone(), [].into(), SealKey::new(&[8; 32]));
    let stop = CancellationToken::new();
    let running = tokio::spawn(opening.run(stop.clone()));
    let session = access::Session {
        organization: made.organization_id,
        principal: made.owner_id.cast(),
        kind: access::PrincipalKind::User,
        id: ids::TokenId::generate(),
        issued_at: 0,
        expires_at: i64::MAX,
        ends_at: i64::MAX,
        vector: access::Vector::default(),
        limits: access::Limits::default(),
    };
    let refused = keys.sign(&session, 0).await.expect_err("it cannot be opened");
    assert!(matches!(refused, identity::signing_keys::Error::NotSigningYet), "{refused:?}");
    stop.cancel();
    running.await.expect("no panic").expect("ended");
    assert!(
        matches!(keys.jwks().await.expect("public halves")["keys"], Value::Array(ref keys) if keys.len() == 1)
    );
}
