//! What tests make through the APIs: control planes with a configuration, system accounts with roles, organizations.

use std::time::{Duration, Instant};

use anyhow::Context;
use rcgen::{CertificateParams, KeyPair};
use reqwest::Method;
use serde_json::{Value, json};
use testbed::{Answer, Api, Gateway, Region, ServiceName, api::text, dataplane, region::Owner, wait};

use crate::harness::{SOON, unique};

/// The key of the consumer in [`PLAIN_FILE`].
pub const KEY: &str = "key-of-alice";

/// One open route, one that asks for a key, and one that the gateway answers itself. `UPSTREAM` stands for a URL.
pub const PLAIN_FILE: &str = r#"
_format_version: "3.0"
services:
  - name: echo
    url: UPSTREAM
    routes:
      - name: open
        paths: [/open]
      - name: keyed
        paths: [/keyed]
        plugins:
          - name: key-auth
      - name: closed
        paths: [/closed]
        plugins:
          - name: request-termination
            config: {status_code: 410}
consumers:
  - username: alice
    keyauth_credentials:
      - key: key-of-alice
"#;

/// [`PLAIN_FILE`] with the region's echo upstream.
pub fn plain_file(region: &Region) -> String {
    PLAIN_FILE.replace("UPSTREAM", &region.upstream().url())
}

/// A control plane, as the owner of the organization sees it.
#[derive(Clone, Debug)]
pub struct ControlPlane {
    pub id: String,
    pub api: Api,
}

impl ControlPlane {
    pub async fn create(region: &Region, name: &str) -> anyhow::Result<Self> {
        let api = region.api(ServiceName::Config);
        let id = dataplane::create_control_plane(&api, &unique(name)).await?;
        Ok(Self { id, api })
    }

    /// A path below the control plane, as in `nodes`.
    pub fn path(&self, rest: &str) -> String {
        format!("/v2/control-planes/{}/{rest}", self.id)
    }

    /// A path below its entities, as in `routes/home`.
    pub fn entity(&self, rest: &str) -> String {
        self.path(&format!("core-entities/{rest}"))
    }

    /// Applies a whole configuration; its version.
    pub async fn apply(&self, file: &str) -> anyhow::Result<u64> {
        let answer = self.api.put_yaml(&self.path("declarative"), file).await?.expect(200)?;
        answer["version"].as_u64().with_context(|| format!("no version in {answer}"))
    }

    pub async fn version(&self) -> anyhow::Result<u64> {
        let shown = self.api.get(&format!("/v2/control-planes/{}", self.id)).await?.expect(200)?;
        shown["version"].as_u64().with_context(|| format!("no version in {shown}"))
    }

    /// Everything that is configured, by collection, without times: to see that nothing changed.
    pub async fn contents(&self) -> anyhow::Result<Value> {
        let mut contents = json!({});
        for collection in ["services", "routes", "consumers", "plugins", "key-auths"] {
            let list = self.api.get(&self.entity(&format!("{collection}?size=1000"))).await?.expect(200)?;
            contents[collection] = list["data"].clone();
        }
        Ok(contents)
    }

    pub async fn nodes(&self) -> anyhow::Result<Vec<Value>> {
        let list = self.api.get(&self.path("nodes")).await?.expect(200)?;
        list["items"].as_array().cloned().with_context(|| format!("no items in {list}"))
    }

    /// Waits until the node list shows `node` as connected, at `version` or later, with the same content.
    pub async fn until_in_sync(&self, node: &str, version: u64) -> anyhow::Result<Value> {
        wait::until(&format!("node {node} is in sync at version {version}"), SOON, async || {
            let nodes = self.nodes().await.map_err(|error| format!("{error:#}"))?;
            let found = nodes.into_iter().find(|shown| shown["id"] == node);
            found.filter(|shown| is_in_sync(shown, version)).ok_or_else(|| "it is not".to_owned())
        })
        .await
    }
}

/// Whether a node of the list is connected and holds what the control plane has at `version` or later.
pub fn is_in_sync(node: &Value, version: u64) -> bool {
    node["state"] == "connected"
        && node["digest_matches"] == true
        && node["applied_version"].as_u64().is_some_and(|applied| applied >= version)
}

/// The id of a data plane's node.
pub async fn node_of(gateway: &Gateway) -> anyhow::Result<String> {
    Ok(text(&gateway.status().await?, "node")?.to_owned())
}

/// A control plane with [`PLAIN_FILE`], and a data plane that serves it.
pub async fn served(region: &Region, name: &str) -> anyhow::Result<(ControlPlane, Gateway)> {
    let control_plane = ControlPlane::create(region, name).await?;
    control_plane.apply(&plain_file(region)).await?;
    let gateway = Gateway::enrol(region, &control_plane.id, &unique(name)).await?;
    gateway.until_ready().await?;
    check_plain_file(&gateway).await?;
    Ok((control_plane, gateway))
}

/// A gateway's own certificate, and its key, in PEM.
pub fn own_certificate() -> anyhow::Result<(String, String)> {
    let key = KeyPair::generate()?;
    Ok((CertificateParams::default().self_signed(&key)?.pem(), key.serialize_pem()))
}

/// Whether the data plane serves [`PLAIN_FILE`].
pub async fn check_plain_file(gateway: &Gateway) -> anyhow::Result<()> {
    let cases = [
        ("/open", None, 200),
        ("/keyed", Some(KEY), 200),
        ("/keyed", None, 401),
        ("/keyed", Some("wrong"), 401),
    ];
    for (path, key, status) in cases.into_iter().chain([("/closed", None, 410), ("/elsewhere", None, 404)]) {
        let answer = gateway.get(path, key).await?;
        anyhow::ensure!(
            answer.status == status,
            "{path} with key {key:?}: expected {status}, got {} {}",
            answer.status,
            answer.text
        );
    }
    Ok(())
}

/// A system account with one token.
#[derive(Clone, Debug)]
pub struct Account {
    pub id: String,
    pub token_id: String,
    pub token: String,
}

impl Account {
    /// Made by the owner. Waits until authz knows it.
    pub async fn create(region: &Region, name: &str) -> anyhow::Result<Self> {
        let api = region.api(ServiceName::Identity);
        let created = api.post("/v3/system-accounts", &json!({ "name": unique(name) })).await?.expect(201)?;
        let id = text(&created, "id")?.to_owned();
        let path = format!("/v3/system-accounts/{id}/access-tokens");
        let token = api.post(&path, &json!({ "name": "first" })).await?.expect(201)?;
        let (token_id, token) = (text(&token, "id")?.to_owned(), text(&token, "token")?.to_owned());
        Ok(Self { id, token_id, token })
    }

    pub fn api(&self, region: &Region, service: ServiceName) -> Api {
        region.api(service).with_token(&self.token)
    }

    /// Assigned by the owner; the assignment's id.
    pub async fn assign(&self, region: &Region, role: &str, on: &str) -> anyhow::Result<String> {
        assign(&region.api(ServiceName::Authz), &format!("system-accounts/{}", self.id), role, on).await
    }

    pub async fn take_back(&self, region: &Region, assignment: &str) -> anyhow::Result<()> {
        let path = format!("/v3/system-accounts/{}/assigned-roles/{assignment}", self.id);
        region.api(ServiceName::Authz).delete(&path).await?.expect(204).map(drop)
    }
}

/// The body that assigns a role of `Control Planes` in the region `us`, on one of them or `*`.
pub fn role(name: &str, on: &str) -> Value {
    json!({ "role_name": name, "entity_id": on, "entity_type_name": "Control Planes", "entity_region": "us" })
}

/// Assigns a role to `holder`, as in `teams/<id>`; the assignment's id.
pub async fn assign(api: &Api, holder: &str, name: &str, on: &str) -> anyhow::Result<String> {
    let assigned = api.post(&format!("/v3/{holder}/assigned-roles"), &role(name, on)).await?.expect(201)?;
    Ok(text(&assigned, "id")?.to_owned())
}

/// A short-lived signed token, made from `token`.
pub async fn exchange(region: &Region, token: &str) -> anyhow::Result<String> {
    let api = region.api(ServiceName::Identity).with_token(token);
    let answer = api.post("/v1/token", &json!({})).await?.expect(200)?;
    Ok(text(&answer, "access_token")?.to_owned())
}

/// Another organization of the region, made by its command line, with its owner's token.
pub async fn other_organization(region: &Region) -> anyhow::Result<Owner> {
    let name = unique("other");
    let email = format!("owner@{name}.example");
    let bootstrap =
        ["bootstrap", "--organization", &name, "--owner-email", &email, "--home-region", "us", "--json"];
    let answer = region.infrastructure().service(ServiceName::Identity).command(&bootstrap).await?;
    let owner: Owner = serde_json::from_str(&answer).context("the answer of identity bootstrap")?;
    let authz = region.api(ServiceName::Authz).with_token(&owner.token);
    wait::until("authz knows the new organization", SOON, async || {
        let answer = authz.get("/v3/teams").await.map_err(|error| format!("{error:#}"))?;
        answer.expect(200).map(drop).map_err(|error| format!("{error:#}"))
    })
    .await?;
    Ok(owner)
}

/// A token of the platform operator, made by the region's command line.
pub async fn operator_token(region: &Region) -> anyhow::Result<String> {
    let name = unique("operator");
    let command = ["create-operator-token", "--name", &name, "--all-regions-upgraded", "--json"];
    let answer = region.infrastructure().service(ServiceName::Identity).command(&command).await?;
    let made: Value = serde_json::from_str(&answer).context("the answer of create-operator-token")?;
    Ok(text(&made, "token")?.to_owned())
}

/// Asks until the answer has this status, and returns the time since `started`.
pub async fn until_status(
    what: &str,
    status: u16,
    deadline: Duration,
    started: Instant,
    mut ask: impl AsyncFnMut() -> anyhow::Result<Answer>,
) -> anyhow::Result<Duration> {
    let left = deadline.saturating_sub(started.elapsed());
    wait::until(what, left, async || {
        let answer = ask().await.map_err(|error| format!("{error:#}"))?;
        if answer.status == status { Ok(()) } else { Err(format!("{} {}", answer.status, answer.text)) }
    })
    .await?;
    Ok(started.elapsed())
}

/// Sends a JSON text as it is, with the caller's token.
pub async fn send_text(
    api: &Api,
    method: Method,
    path: &str,
    body: impl Into<reqwest::Body>,
) -> anyhow::Result<Answer> {
    api.send(api.request(method, path).header("content-type", "application/json").body(body)).await
}
