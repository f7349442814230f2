//! Identity providers, their mappings, domains, and how an organization's people may sign on.

use axum::http::Method;
use pebble::{Options, Pebble};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{
    people::{PASSWORD, Person},
    region::{Region, Site, text},
};

pub const PROVIDERS: &str = "/v3/identity-providers";
pub const SETTINGS: &str = "/v3/authentication-settings";
pub const DOMAINS: &str = "/v3/domains";

fn acme() -> Value {
    json!({
        "type": "oidc", "enabled": true, "login_path": "acme",
        "config": {"issuer_url": "https://id.example", "client_id": "us", "client_secret": "very secret"},
    })
}

#[tokio::test]
async fn a_provider_is_set_up_changed_and_deleted_and_its_secret_is_never_shown() {
    let region = Region::alone().await;
    let (owner, _) = region.owner().await;
    let made = owner.keyed("once").post(PROVIDERS, acme()).await.expect(201);
    assert_eq!(owner.keyed("once").post(PROVIDERS, acme()).await.expect(201), made, "once");
    let path = format!("{PROVIDERS}/{}", text(&made, "id"));
    assert_eq!(made["config"]["scopes"], json!(["openid", "profile", "email"]));
    assert_eq!(
        made["config"]["claim_mappings"],
        json!({"name": "name", "email": "email", "groups": "groups"})
    );
    assert_eq!(made["redirect_uris"], json!({"us": "https://api.us.example/v3/authenticate/callback"}));
    assert_eq!(made["last_used_at"], Value::Null);
    assert_eq!(owner.get(&path).await.expect(200), made);
    assert_eq!(owner.get(PROVIDERS).await.expect(200)["data"], json!([made]));
    owner.post(PROVIDERS, acme()).await.problem(409, "conflict");

    let body = json!({"enabled": false, "config": {"client_secret": "other secret", "scopes": ["groups"]}});
    let changed = owner.patch(&path, body).await.expect(200);
    assert_eq!((&changed["enabled"], &changed["login_path"]), (&json!(false), &json!("acme")));
    assert_eq!(changed["config"]["scopes"], json!(["openid", "groups"]));
    assert_eq!(changed["config"]["client_id"], "us");
    let shown = [&made, &changed].map(Value::to_string).concat();
    assert!(!shown.contains("secret"), "{shown}");
    let sealed = "SELECT count(*) FROM resident.identity_provider WHERE encode(client_secret, 'escape') LIKE '%secret%'";
    assert_eq!(region.count(sealed).await, 0);
    let actions = "SELECT count(*) FROM audit WHERE action LIKE 'identity-provider.%'";
    assert_eq!(region.count(actions).await, 2);
    owner.delete(&path).await.expect(204);
    owner.delete(&path).await.problem(404, "not-found");
    owner.get(&path).await.problem(404, "not-found");
}

#[tokio::test]
async fn what_is_wrong_about_a_provider_is_named() {
    let region = Region::alone().await;
    let (owner, _) = region.owner().await;
    for (pointer, wrong, field) in [
        ("/login_path", json!("a/b"), "login_path"),
        ("/config/issuer_url", json!("http://id.example"), "config.issuer_url"),
        ("/config/issuer_url", json!("https://id.example?x"), "config.issuer_url"),
        ("/config/client_id", json!(""), "config.client_id"),
        ("/config/client_secret", json!("a\nb"), "config.client_secret"),
    ] {
        let mut body = acme();
        *body.pointer_mut(pointer).expect("a member") = wrong;
        let detail = owner.post(PROVIDERS, body).await.problem(400, "invalid-body");
        assert!(detail.contains(field), "{detail}");
    }
    let mut body = acme();
    body["config"]["scopes"] = json!(["two words"]);
    let detail = owner.post(PROVIDERS, body).await.problem(400, "invalid-body");
    assert!(detail.contains("config.scopes"), "{detail}");
    for number in 0..10 {
        let mut body = acme();
        body["login_path"] = json!(format!("path-{number}"));
        owner.post(PROVIDERS, body).await.expect(201);
    }
    owner.post(PROVIDERS, acme()).await.problem(403, "limit-reached");
}

#[tokio::test]
async fn only_who_holds_all_that_the_owner_holds_sets_up_a_provider() {
    let region = Region::alone().await;
    let (owner, _) = region.owner().await;
    let made = owner.post(PROVIDERS, acme()).await.expect(201);
    let path = format!("{PROVIDERS}/{}", text(&made, "id"));
    let team = Uuid::now_v7().to_string();
    region.authz.state().teams.insert(team.clone());
    region.authz.state().may_confer = false;
    let mut other = acme();
    other["login_path"] = json!("other");
    let mapping = json!({"group": "ops", "team_id": team});
    for answer in [
        owner.post(PROVIDERS, other).await,
        owner.patch(&path, json!({"config": {"issuer_url": "https://mine.example"}})).await,
        owner.post(&format!("{path}/team-group-mappings"), mapping).await,
    ] {
        let detail = answer.problem(403, "forbidden");
        assert!(detail.contains("owner"), "{detail}");
    }
    assert_eq!(owner.get(&path).await.expect(200), made);
    // To take it away takes no more than to manage people.
    owner.delete(&path).await.expect(204);
}

#[tokio::test]
async fn groups_are_mapped_to_teams_that_there_are() {
    let region = Region::alone().await;
    let (owner, _) = region.owner().await;
    let made = owner.post(PROVIDERS, acme()).await.expect(201);
    let all = format!("{PROVIDERS}/{}/team-group-mappings", text(&made, "id"));
    let team = Uuid::now_v7().to_string();
    let body = json!({"group": "Tech Leads", "team_id": team});
    let detail = owner.post(&all, body.clone()).await.problem(400, "invalid-body");
    assert!(detail.contains("team_id"), "{detail}");
    region.authz.state().teams.insert(team.clone());
    let mapping = owner.post(&all, body.clone()).await.expect(201);
    assert_eq!((&mapping["group"], &mapping["team_id"]), (&json!("Tech Leads"), &json!(team)));
    owner.post(&all, body).await.problem(409, "conflict");
    assert_eq!(owner.get(&all).await.expect(200)["data"], json!([mapping]));
    let one = format!("{all}/{}", text(&mapping, "id"));
    assert_eq!(owner.get(&one).await.expect(200), mapping);
    let long = json!({"group": "a".repeat(257), "team_id": team});
    owner.post(&all, long).await.problem(400, "invalid-body");
    let nowhere = format!("{PROVIDERS}/{}/team-group-mappings", Uuid::now_v7());
    owner.post(&nowhere, json!({"group": "a", "team_id": team})).await.problem(404, "not-found");
    owner.delete(&one).await.expect(204);
    owner.delete(&one).await.problem(404, "not-found");
    owner.get(&one).await.problem(404, "not-found");
}

#[tokio::test]
async fn an_organization_cannot_lock_everybody_out() {
    let region = Region::alone().await;
    let (owner, made) = region.owner().await;
    let grace = Person::invited(&region, &owner, made.organization_id, "grace@example.com").await;
    let before = json!({
        "basic_auth_enabled": true, "oidc_auth_enabled": true, "saml_auth_enabled": false,
        "idp_mapping_enabled": false, "konnect_mapping_enabled": true,
    });
    assert_eq!(owner.get(SETTINGS).await.expect(200), before);
    owner.patch(SETTINGS, json!({"saml_auth_enabled": true})).await.problem(400, "invalid-body");
    owner.patch(SETTINGS, json!({"konnect_mapping_enabled": false})).await.problem(400, "invalid-body");
    let off = json!({"basic_auth_enabled": false});
    owner.patch(SETTINGS, off.clone()).await.problem(409, "conflict");
    let provider = owner.post(PROVIDERS, acme()).await.expect(201);
    let detail = owner.patch(SETTINGS, off.clone()).await.problem(409, "conflict");
    assert!(detail.contains("signed on"), "{detail}");
    assert_eq!(owner.get(SETTINGS).await.expect(200), before);

    region.sql("UPDATE resident.identity_provider SET last_used_at = now()").await;
    assert_eq!(owner.patch(SETTINGS, off).await.expect(200)["basic_auth_enabled"], false);
    let path = format!("{PROVIDERS}/{}", text(&provider, "id"));
    for body in [json!({"enabled": false}), json!({"config": {"client_id": "another"}})] {
        owner.patch(&path, body).await.problem(409, "conflict");
    }
    owner.delete(&path).await.problem(409, "conflict");
    owner.patch(SETTINGS, json!({"oidc_auth_enabled": false})).await.problem(409, "conflict");
    let stranger = region.stranger();
    let detail = stranger.post("/v3/authenticate", grace.sign_on(PASSWORD)).await.problem(403, "forbidden");
    assert!(detail.contains("identity provider"), "{detail}");

    // Whoever has lost the way in gets a token of the platform operator's making.
    let operator = region.operator().await;
    let path = format!("/v1/operator/organizations/{}/owner", made.organization_id);
    let recovered = operator.post(&path, json!({"email": "new@example.com"})).await.expect(201);
    let owner = region.client(text(&recovered, "owner_token"));
    owner.patch(SETTINGS, json!({"basic_auth_enabled": true})).await.expect(200);
    stranger.post("/v3/authenticate", grace.sign_on(PASSWORD)).await.expect(200);
}

#[tokio::test]
async fn a_domain_is_verified_by_what_dns_says() {
    let options =
        Options { http_port: 1, validity: std::time::Duration::from_secs(60), external_account: None };
    let dns = Pebble::start(&options).await.expect("a DNS server");
    let mut site = Site::new("us");
    site.name_servers.push(dns.dns());
    let region = Region::start(&site, &[]).await;
    let (owner, _) = region.owner().await;
    for wrong in ["com", "a b.com", "https://example.com", ""] {
        owner.post(DOMAINS, json!({"name": wrong})).await.problem(400, "invalid-body");
    }
    let made = owner.post(DOMAINS, json!({"name": "Example.com"})).await.expect(201);
    assert_eq!((&made["name"], &made["verified"]), (&json!("example.com"), &json!(false)));
    owner.post(DOMAINS, json!({"name": "example.com"})).await.problem(409, "conflict");
    let path = format!("{DOMAINS}/{}", text(&made, "id"));
    let verify = format!("{path}/verify");
    let detail = owner.send(Method::POST, &verify, None).await.problem(409, "conflict");
    assert!(detail.contains("_landbridge.example.com"), "{detail}");
    let record = text(&made, "record_name");
    dns.set_txt(record, "landbridge-domain-verification=another").await.expect("set");
    owner.send(Method::POST, &verify, None).await.problem(409, "conflict");
    dns.set_txt(record, text(&made, "record_value")).await.expect("set");
    let verified = owner.send(Method::POST, &verify, None).await.expect(200);
    assert_eq!(verified["verified"], true);
    assert_eq!(owner.get(&path).await.expect(200), verified);
    assert_eq!(owner.get(DOMAINS).await.expect(200)["data"], json!([verified]));
    drop(dns);
    let again = owner.send(Method::POST, &verify, None).await;
    assert!(again.headers.contains_key("retry-after"), "{again:?}");
    again.problem(503, "unavailable");
    owner.delete(&path).await.expect(204);
    owner.get(&path).await.problem(404, "not-found");
}
