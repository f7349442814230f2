//! What is revoked is refused everywhere within a second of the answer, and stays refused.

use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::json;
use testbed::{Api, Gateway, Region, ServiceName, api::text};
use tokio::task::JoinSet;

use crate::{
    fixtures::{
        Account, ControlPlane, KEY, check_plain_file, exchange, node_of, plain_file, served, until_status,
    },
    harness::{SOON, run, shared, unique},
};

/// Longest time between the answer to a revocation and the first refusal, and from then on.
const EFFECT_MAX: Duration = Duration::from_secs(1);

/// Keys that are revoked while this many consumers are applied.
const KEYS_OVERTAKING: usize = 20;
const CONSUMERS_APPLIED: usize = 30_000;

/// A request to each service that any valid token of the organization opens.
const PROBES: [(ServiceName, Method, &str); 5] = [
    (ServiceName::Identity, Method::GET, "/v3/organizations/me"),
    (ServiceName::Identity, Method::POST, "/v1/token"),
    (ServiceName::Authz, Method::GET, "/v3/roles"),
    (ServiceName::Authz, Method::POST, "/v1/authz/check"),
    (ServiceName::Config, Method::GET, "/v2/control-planes"),
];

async fn probe(api: &Api, method: &Method, path: &str) -> anyhow::Result<testbed::Answer> {
    let request = api.request(method.clone(), path);
    api.send(if method == Method::POST { request.json(&json!({ "checks": [] })) } else { request }).await
}

/// Each probe with each token, but for the exchange of a signed token, which is not possible.
fn probes<'a>(region: &Region, opaque: &'a str, jwt: &'a str) -> Vec<(&'a str, Api, Method, &'static str)> {
    let with = |(name, token): (&'a str, &str)| -> Vec<_> {
        let apis = PROBES
            .into_iter()
            .map(|(service, method, path)| (name, region.api(service).with_token(token), method, path));
        apis.filter(|(name, _, _, path)| *name == "opaque" || *path != "/v1/token").collect()
    };
    [("opaque", opaque), ("signed", jwt)].into_iter().flat_map(with).collect()
}

/// Revokes with `revoke`, and checks that the token and the one made from it open everything before, and nothing after.
async fn check_revocation(
    region: &Region,
    token: &str,
    revoke: impl AsyncFnOnce() -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let jwt = exchange(region, token).await?;
    let probes = probes(region, token, &jwt);
    for (_, api, method, path) in &probes {
        probe(api, method, path).await?.expect(200)?;
    }
    revoke().await?;
    let revoked = Instant::now();
    for (name, api, method, path) in &probes {
        let what = format!("{method} {path} with the {name} token is 401");
        until_status(&what, 401, EFFECT_MAX, revoked, async || probe(api, method, path).await).await?;
    }
    for (_, api, method, path) in &probes {
        probe(api, method, path).await?.expect_problem(401)?;
    }
    Ok(())
}

#[test]
fn a_revoked_personal_token_is_refused_by_every_service() {
    run(async {
        let region = shared().await?;
        let identity = region.api(ServiceName::Identity);
        let body = json!({ "name": unique("revoked") });
        let made = identity.post("/v3/users/me/access-tokens", &body).await?.expect(201)?;
        let path = format!("/v3/users/me/access-tokens/{}", text(&made, "id")?);
        let token = text(&made, "token")?;
        check_revocation(region, token, async || identity.delete(&path).await?.expect(204).map(drop)).await?;
        // Again: the same answer.
        identity.delete(&path).await?.expect(204)?;
        Ok(())
    });
}

#[test]
fn a_revoked_system_token_is_refused_by_every_service() {
    run(async {
        let region = shared().await?;
        let identity = region.api(ServiceName::Identity);
        let account = Account::create(region, "revoked").await?;
        let tokens = format!("/v3/system-accounts/{}/access-tokens", account.id);
        let other = identity.post(&tokens, &json!({ "name": "other" })).await?.expect(201)?;
        let path = format!("{tokens}/{}", account.token_id);
        check_revocation(region, &account.token, async || {
            identity.delete(&path).await?.expect(204).map(drop)
        })
        .await?;
        // The account's other token is none of its business, until the account itself goes.
        let other = text(&other, "token")?;
        let one = format!("/v3/system-accounts/{}", account.id);
        check_revocation(region, other, async || identity.delete(&one).await?.expect(204).map(drop)).await
    });
}

#[test]
fn a_signed_token_makes_no_new_one_after_its_revocation() {
    run(async {
        let region = shared().await?;
        let identity = region.api(ServiceName::Identity);
        let path = "/v3/users/me/access-tokens";
        let made = identity.post(path, &json!({ "name": unique("stolen") })).await?.expect(201)?;
        let thief = identity.with_token(&exchange(region, text(&made, "token")?).await?);
        let (account, key) = (json!({ "name": unique("thief") }), unique("thief"));
        thief.post_once("/v3/system-accounts", &account, &key).await?.expect(201)?;
        identity.delete(&format!("{path}/{}", text(&made, "id")?)).await?.expect(204)?;
        thief.post(path, &json!({ "name": unique("kept") })).await?.expect_problem(401)?;
        // Nor is it told again what it was told before.
        thief.post_once("/v3/system-accounts", &account, &key).await?.expect_problem(401)?;
        Ok(())
    });
}

#[test]
fn a_revoked_key_is_refused_at_the_gateway_and_can_be_given_again() {
    run(async {
        let region = shared().await?;
        let (control_plane, gateway) = served(region, "key").await?;
        let keys = control_plane.entity("consumers/alice/key-auth");
        let revoke = async |path: String, key: String| -> anyhow::Result<()> {
            control_plane.api.delete(&path).await?.expect(204)?;
            let ask = async || gateway.get("/keyed", Some(&key)).await;
            let took = until_status("the key is refused", 401, EFFECT_MAX, Instant::now(), ask).await?;
            println!("{key} refused {took:?} after the answer");
            Ok(())
        };
        // Keys come, serve, go: each is refused at once, the others are not disturbed.
        for round in 0..10 {
            let key = format!("short-lived-{round}");
            let made = control_plane.api.post(&keys, &json!({ "key": key })).await?.expect(201)?;
            gateway.until_answers("/keyed", Some(&key), 200).await?;
            revoke(format!("{keys}/{}", text(&made, "id")?), key.clone()).await?;
            assert_eq!(gateway.get("/keyed", Some(KEY)).await?.status, 200);
        }
        // The consumer and all its keys.
        revoke(control_plane.entity("consumers/alice"), KEY.to_owned()).await?;
        until_restored(region, &control_plane, &gateway).await?;
        // Revoked, and again the same ids: a denial does not outlive what it was for, nor does a restart bring it back.
        gateway.process().kill().await?;
        gateway.start_again().await?;
        gateway.until_answers("/keyed", Some(KEY), 200).await?;
        // Nor does a data plane that was away meanwhile, or not there yet, hear of the denial only.
        gateway.process().kill().await?;
        control_plane.api.delete(&control_plane.entity("consumers/alice")).await?.expect(204)?;
        control_plane.apply(&plain_file(region)).await?;
        gateway.start_again().await?;
        control_plane.until_in_sync(&node_of(&gateway).await?, control_plane.version().await?).await?;
        check_plain_file(&gateway).await?;
        let newcomer = Gateway::enrol(region, &control_plane.id, &unique("newcomer")).await?;
        newcomer.until_ready().await?;
        control_plane.until_in_sync(&node_of(&newcomer).await?, control_plane.version().await?).await?;
        check_plain_file(&newcomer).await?;
        newcomer.process().stop().await?;
        overtakes_a_large_document(region, &control_plane, &gateway).await?;
        gateway.process().stop().await?;
        Ok(())
    });
}

/// Revokes keys while a large document is applied: they do not wait for it, neither at the control plane nor at the gateway.
async fn overtakes_a_large_document(
    region: &Region,
    control_plane: &ControlPlane,
    gateway: &Gateway,
) -> anyhow::Result<()> {
    let keys: Vec<String> = (0..KEYS_OVERTAKING).map(|number| format!("overtaking-{number}")).collect();
    let credentials: String = keys.iter().map(|key| format!("      - key: {key}\n")).collect();
    let file = plain_file(region) + &format!("  - username: bob\n    keyauth_credentials:\n{credentials}");
    control_plane.apply(&file).await?;
    let last = keys.last().map(String::as_str);
    gateway.until_answers("/keyed", last, 200).await?;
    let held = control_plane
        .api
        .get(&control_plane.entity("consumers/bob/key-auth?size=1000"))
        .await?
        .expect(200)?;

    let more: String =
        (0..CONSUMERS_APPLIED).map(|number| format!("  - username: user-{number}\n")).collect();
    let (api, path) = (control_plane.api.clone(), control_plane.path("declarative"));
    let mut applying = tokio::spawn(async move { api.put_yaml(&path, &(file + &more)).await });
    let mut revoking = JoinSet::new();
    let mut overtook = 0;
    for key in held["data"].as_array().into_iter().flatten() {
        let (api, path) =
            (control_plane.api.clone(), control_plane.entity(&format!("key-auths/{}", text(key, "id")?)));
        let (key, sent) = (text(key, "key")?, Instant::now());
        revoking.spawn(async move { api.delete(&path).await });
        let ask = async || gateway.get("/keyed", Some(key)).await;
        let took = until_status("the key is refused", 401, SOON, sent, ask).await?;
        let overtakes = !applying.is_finished();
        println!("{key} refused {took:?} after it was revoked, with the document on its way: {overtakes}");
        anyhow::ensure!(overtakes || took <= EFFECT_MAX, "{key} waited {took:?} for the document");
        overtook += usize::from(overtakes);
    }
    (&mut applying).await??.expect(200)?;
    for revoked in revoking.join_all().await {
        revoked?.expect(204)?;
    }
    anyhow::ensure!(
        overtook > 0,
        "the document was applied before the first key was revoked: make it larger"
    );
    Ok(())
}

/// Applies the file again, which gives the consumer and its key the ids that they had.
async fn until_restored(
    region: &Region,
    control_plane: &ControlPlane,
    gateway: &Gateway,
) -> anyhow::Result<()> {
    control_plane.apply(&plain_file(region)).await?;
    gateway.until_answers("/keyed", Some(KEY), 200).await.map(drop)
}
