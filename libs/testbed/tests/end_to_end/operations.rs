//! Every endpoint of every service, read from the three OpenAPI documents, with a body that each would take: what lets
//! tests go through all of them, and fail for a new one that they do not know.

use std::collections::BTreeMap;

use anyhow::Context;
use gateway_model::{Entity, Kind};
use reqwest::Method;
use serde_json::{Value, json};
use testbed::{Answer, Api, Region, ServiceName, api::text};
use tokio::sync::OnceCell;

use crate::{
    fixtures::{ControlPlane, node_of, operator_token, own_certificate, role, served},
    harness::{shared, unique},
};

#[derive(Clone, Debug)]
pub struct Operation {
    pub service: ServiceName,
    pub method: Method,
    /// With parameters in braces.
    pub path: String,
    /// `public`, `caller`, `decision` or `operator`.
    pub protection: String,
    /// Whether the document says that it is served in the organization's home region, whoever asks.
    pub at_home: bool,
    /// Whether the document says that it takes a body.
    has_body: bool,
    /// Names and examples of its query parameters.
    query_parameters: Vec<(String, String)>,
}

/// What one organization has of everything that a path can name.
#[derive(Clone, Debug)]
pub struct Things {
    pub organization: String,
    pub control_plane: String,
    pub service: String,
    pub route: String,
    pub consumer: String,
    pub plugin: String,
    pub key: String,
    /// An entity of each collection, by its path below `core-entities` without ids: `services/routes`.
    entities: BTreeMap<String, String>,
    pub config_store: String,
    pub import: String,
    pub node: String,
    pub enrolment_token: String,
    pub pinned_certificate: String,
    pub user: String,
    pub user_token: String,
    pub invite: String,
    pub provider: String,
    pub mapping: String,
    pub domain: String,
    pub account: String,
    pub account_token: String,
    pub team: String,
    pub team_role: String,
    pub user_role: String,
    pub account_role: String,
    /// Of one of the writes that made these.
    pub consistency_token: String,
}

/// All operations of all services, in the order of the documents.
pub async fn all(region: &Region) -> anyhow::Result<Vec<Operation>> {
    let mut all = Vec::new();
    for service in ServiceName::ALL {
        let document = region.api(service).anonymous().get("/openapi.json").await?.expect(200)?;
        anyhow::ensure!(document["openapi"].as_str().is_some_and(|version| version.starts_with("3.1")));
        let paths = document["paths"].as_object().context("no paths")?;
        for (path, operations) in paths {
            for (method, operation) in operations.as_object().context("no operations")? {
                let Ok(method) = Method::from_bytes(method.to_uppercase().as_bytes()) else { continue };
                let is_method = ["GET", "POST", "PUT", "PATCH", "DELETE"].contains(&method.as_str());
                anyhow::ensure!(is_method, "{path} has the unexpected method {method}");
                let protection =
                    text(operation, "x-protection").with_context(|| format!("{method} {path}"))?;
                all.push(Operation {
                    service,
                    method,
                    path: path.clone(),
                    protection: protection.to_owned(),
                    at_home: operation["x-served-in"] == "home",
                    has_body: operation.get("requestBody").is_some(),
                    query_parameters: query_parameters(operation),
                });
            }
        }
    }
    Ok(all)
}

/// A token of the shared region's platform operator.
pub async fn operator() -> anyhow::Result<&'static str> {
    static TOKEN: OnceCell<String> = OnceCell::const_new();
    let made = TOKEN.get_or_try_init(async || operator_token(shared().await?).await).await?;
    Ok(made)
}

fn query_parameters(operation: &Value) -> Vec<(String, String)> {
    let all = operation["parameters"].as_array().into_iter().flatten();
    let shown = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    all.filter(|parameter| parameter["in"] == "query")
        .map(|parameter| (shown(&parameter["name"]), shown(&parameter["example"])))
        .collect()
}

impl Operation {
    /// Names and examples of its query parameters, as the document says.
    pub fn query_parameters(&self) -> &[(String, String)] {
        &self.query_parameters
    }

    /// The path with `text` for each parameter.
    pub fn fill_with(&self, text: &str) -> String {
        let parts = self.path.split('/').map(|part| if part.starts_with('{') { text } else { part });
        parts.collect::<Vec<_>>().join("/")
    }

    pub fn describe(&self) -> String {
        format!("{} {} {}", self.service, self.method, self.path)
    }

    pub fn takes_ids(&self) -> bool {
        self.path.contains('{')
    }

    pub fn has_body(&self) -> bool {
        self.has_body
    }

    /// A JSON body that it takes; `None` if it takes none or another kind.
    pub fn json_body(&self, things: &Things) -> anyhow::Result<Option<Value>> {
        Ok(match self.body(things)? {
            Some(Body::Json(body)) => Some(body),
            Some(Body::Yaml(_)) | None => None,
        })
    }

    /// The service's API as somebody who may call it: the platform operator, or the owner of the region's first organization.
    pub async fn api(&self, region: &Region) -> anyhow::Result<Api> {
        let api = region.api(self.service);
        match self.protection.as_str() {
            "operator" => Ok(api.with_token(operator().await?)),
            _ => Ok(api),
        }
    }

    /// Sends it with a body that it takes, and with these things in its path and body.
    pub async fn send(&self, api: &Api, things: &Things) -> anyhow::Result<Answer> {
        let request = api.request(self.method.clone(), &self.fill(things)?);
        let request = match self.body(things)? {
            Some(Body::Json(body)) => request.json(&body),
            Some(Body::Yaml(text)) => request.header("content-type", "application/yaml").body(text),
            None => request,
        };
        api.send(request).await
    }

    /// The path with the parameters filled in.
    pub fn fill(&self, things: &Things) -> anyhow::Result<String> {
        let mut filled: Vec<&str> = Vec::new();
        let mut collections: Vec<&str> = Vec::new();
        for part in self.path.split('/') {
            if part.starts_with('{') {
                filled.push(
                    things
                        .find(&collections)
                        .with_context(|| format!("fill {part} of {}", self.describe()))?,
                );
            } else {
                collections.push(part);
                filled.push(part);
            }
        }
        Ok(filled.join("/"))
    }

    /// The path with each of its parameters in turn replaced by each of `names`, and the others filled in.
    pub fn fill_hostile(&self, things: &Things, names: &[String]) -> anyhow::Result<Vec<String>> {
        let (template, filled): (Vec<&str>, String) = (self.path.split('/').collect(), self.fill(things)?);
        let filled: Vec<&str> = filled.split('/').collect();
        let places =
            template.iter().enumerate().filter(|(_, part)| part.starts_with('{')).map(|(place, _)| place);
        let with = |place: usize, name: &str| {
            let parts = filled.iter().enumerate().map(|(at, part)| if at == place { name } else { *part });
            parts.collect::<Vec<_>>().join("/")
        };
        Ok(places.flat_map(|place| names.iter().map(move |name| with(place, name))).collect())
    }

    /// A body that the operation takes: what is left out here fails every test that goes through all operations.
    fn body(&self, things: &Things) -> anyhow::Result<Option<Body>> {
        if !self.has_body {
            return Ok(None);
        }
        let last = self.path.rsplit('/').find(|part| !part.starts_with('{')).unwrap_or_default();
        let body = match (self.service, &self.method, last) {
            (ServiceName::Identity, &Method::PATCH, "users") => json!({ "full_name": unique("renamed") }),
            (ServiceName::Identity, _, "invites") => {
                json!({ "email": format!("{}@example.com", unique("made")) })
            }
            (ServiceName::Identity, _, "password") => {
                json!({ "old_password": "correct horse battery", "new_password": "correct horse battery" })
            }
            (ServiceName::Identity, _, "second-factor") => json!({ "password": "correct horse battery" }),
            (ServiceName::Identity, _, "confirm" | "remove") => json!({ "code": "123456" }),
            (ServiceName::Identity, _, "authenticate") => {
                json!({ "organization": "Nowhere", "email": "nobody@example.com", "password": "correct horse battery" })
            }
            (ServiceName::Identity, _, "refresh") => json!({ "refresh_token": "lbr_none" }),
            (ServiceName::Identity, _, "password-resets") => {
                json!({ "organization": "Nowhere", "email": "nobody@example.com" })
            }
            (ServiceName::Identity, _, "accept") => {
                json!({ "token": "lbi_none", "password": "correct horse battery" })
            }
            (ServiceName::Identity, &Method::PATCH, "access-tokens") => json!({ "name": unique("renamed") }),
            (ServiceName::Identity, &Method::PATCH, "me" | "organizations") => json!({}),
            (ServiceName::Identity, &Method::POST, "organizations") => {
                let name = unique("made");
                json!({ "name": name, "home_region": "us", "owner_email": format!("owner@{name}.example") })
            }
            (ServiceName::Identity, _, "owner") if self.path.contains("/operator/") => {
                json!({ "email": "next@example.com" })
            }
            (ServiceName::Identity, _, "owner") => json!({ "user_id": things.user }),
            (ServiceName::Identity, &Method::POST, "identity-providers") => json!({
                "type": "oidc", "login_path": unique("made"),
                "config": { "issuer_url": "https://id.example", "client_id": "us", "client_secret": "secret" }
            }),
            (ServiceName::Identity, &Method::PATCH, "identity-providers") => json!({
                "login_path": unique("renamed"), "config": { "client_id": "them" }
            }),
            (ServiceName::Identity, _, "team-group-mappings") => {
                json!({ "group": unique("made"), "team_id": things.team })
            }
            (ServiceName::Identity, _, "authentication-settings") => json!({ "oidc_auth_enabled": true }),
            (ServiceName::Identity, _, "domains") => json!({ "name": format!("{}.example", unique("made")) }),
            (ServiceName::Identity | ServiceName::Authz, &Method::PATCH, _) => {
                json!({ "description": "changed" })
            }
            (ServiceName::Identity, _, "system-accounts" | "access-tokens") => {
                json!({ "name": unique("made") })
            }
            (ServiceName::Identity, _, "rotate") => json!({}),
            (ServiceName::Authz, _, "teams") => json!({ "name": unique("made") }),
            (ServiceName::Authz, _, "users") => json!({ "id": things.user }),
            (ServiceName::Authz, _, "system-accounts") => json!({ "account_id": things.account }),
            (ServiceName::Authz, _, "assigned-roles") => role("Viewer", "*"),
            (ServiceName::Authz, _, "check") => json!({ "checks": [{ "action": "iam:ReadTeams" }] }),
            (ServiceName::Config, &Method::PATCH, "audit-log-webhook") => {
                json!({ "endpoint": "https://siem.example/landbridge" })
            }
            (ServiceName::Config, &Method::PATCH, "control-planes") => json!({ "description": "changed" }),
            (ServiceName::Config, &Method::PATCH, _) => json!({ "tags": ["changed"] }),
            (ServiceName::Config, _, "control-planes") => json!({ "name": unique("made") }),
            (ServiceName::Config, _, "enrolment-tokens") => json!({}),
            (ServiceName::Config, _, "dp-client-certificates") => json!({ "cert": own_certificate()?.0 }),
            (ServiceName::Config, _, "validate") if self.path.contains("/plugins/") => {
                json!({ "name": "key-auth" })
            }
            (ServiceName::Config, _, "validate") => json!({ "host": "made.example" }),
            (ServiceName::Config, _, "declarative") => {
                return Ok(Some(Body::Yaml("_format_version: \"3.0\"\n".to_owned())));
            }
            (ServiceName::Config, _, "batch") => {
                let nobody = "0192d3a4-5b6c-7d8e-9f00-112233445566";
                json!({ "operations": [{ "op": "delete", "kind": "service", "id": nobody }] })
            }
            (ServiceName::Config, _, "config-stores") => json!({ "name": unique("made") }),
            (ServiceName::Config, &Method::POST, "secrets") => {
                json!({ "key": unique("made"), "value": "secret" })
            }
            (ServiceName::Config, _, "secrets") => json!({ "value": "secret" }),
            (ServiceName::Config, _, _) if self.path.contains("/core-entities/") => self.entity(things)?,
            (ServiceName::Config, _, "enrol") => json!({ "token": "lbe_none" }),
            _ => anyhow::bail!("{} takes a body that the tests do not know: add it here", self.describe()),
        };
        Ok(Some(Body::Json(body)))
    }
}

impl Operation {
    /// The body for an entity of the collection that the path names.
    fn entity(&self, things: &Things) -> anyhow::Result<Value> {
        let below = below_core_entities(&self.path).context("not below core-entities")?;
        // The path says it.
        let mut above = None;
        let kind = match below.as_slice() {
            [collection] => Kind::from_collection(collection),
            [parent, segment] => {
                let children = Kind::from_collection(parent).map(Kind::children).unwrap_or_default();
                let child = children.iter().find(|child| child.segment == *segment);
                if let Some(joins) = child.and_then(|child| child.joins) {
                    return Ok(json!({ joins.body_field: things.entity(&[joins.kind.collection()])? }));
                }
                above = child.map(|child| child.parent_field);
                child.map(|child| child.kind)
            }
            _ => None,
        };
        match kind {
            Some(kind) => {
                let of_kind = |kind: Kind| things.entity(&[kind.collection()]).map(str::to_owned);
                let mut body = example(kind, &of_kind)?;
                if let (Some(above), Some(fields)) = (above, body.as_object_mut()) {
                    fields.remove(above);
                }
                Ok(body)
            }
            None => anyhow::bail!("{} takes a body that the tests do not know: add it here", self.describe()),
        }
    }
}

/// The names of the collections in a path below `core-entities`, without ids.
fn below_core_entities(path: &str) -> Option<Vec<&str>> {
    let (_, below) = path.split_once("/core-entities/")?;
    Some(below.split('/').filter(|part| !part.starts_with('{')).collect())
}

/// The example of a kind as nobody else has it, with references to what `of_kind` names.
fn example(kind: Kind, of_kind: &dyn Fn(Kind) -> anyhow::Result<String>) -> anyhow::Result<Value> {
    let mut body = kind.example();
    let entity = Entity::from_api(kind, &body)?;
    for reference in entity.references() {
        body[reference.field] = json!({ "id": of_kind(reference.kind)? });
    }
    for key in entity.unique_keys() {
        let distinct = |text: &str| match text.strip_prefix("*.") {
            Some(rest) => format!("*.{}-{rest}", unique("made")),
            None => format!("{}-{text}", unique("made")),
        };
        match body.get_mut(key.field) {
            Some(Value::String(text)) => *text = distinct(text),
            Some(Value::Array(texts)) => {
                for text in texts {
                    *text = distinct(text.as_str().unwrap_or_default()).into();
                }
            }
            _ => {}
        }
    }
    // The name of an access list is unique with its consumer, and that in a certificate with who has issued it.
    for field in ["group", "subject_name"] {
        if body[field].is_string() {
            body[field] = unique("made").into();
        }
    }
    // A JSON web key holds its id too.
    if let Some(jwk) = body["jwk"].as_str() {
        let mut jwk: Value = serde_json::from_str(jwk)?;
        jwk["kid"] = body["kid"].clone();
        body["jwk"] = jwk.to_string().into();
    }
    Ok(body)
}

enum Body {
    Json(Value),
    Yaml(String),
}

impl Things {
    /// The id that stands after these collections in a path.
    fn find(&self, collections: &[&str]) -> anyhow::Result<&str> {
        if let Some(at) = collections.iter().position(|part| *part == "core-entities")
            && let Ok(entity) = self.entity(collections.get(at + 1..).unwrap_or_default())
        {
            return Ok(entity);
        }
        let [.., outer, inner] = collections else { anyhow::bail!("no collection before it") };
        Ok(match (*outer, *inner) {
            (_, "control-planes") => &self.control_plane,
            (_, "organizations") => &self.organization,
            ("operator", "access-tokens") => &self.user_token,
            // Schemas and workspaces are found by name.
            ("schemas", "json") => "service",
            ("core-entities", "schemas") => "services",
            ("schemas", "plugins") => "key-auth",
            ("core-entities", "workspaces") => "default",
            (_, "config-stores") => &self.config_store,
            ("config-stores", "secrets") => "kept",
            (_, "imports") => &self.import,
            (_, "nodes") => &self.node,
            (_, "enrolment-tokens") => &self.enrolment_token,
            (_, "dp-client-certificates") => &self.pinned_certificate,
            // A token is no session: none of these tests ends one.
            ("users", "access-tokens" | "sessions") => &self.user_token,
            (_, "invites") => &self.invite,
            // Neither is a login path.
            (_, "authenticate") => &self.organization,
            (_, "identity-providers") => &self.provider,
            (_, "team-group-mappings") => &self.mapping,
            (_, "domains") => &self.domain,
            ("system-accounts", "access-tokens") => &self.account_token,
            ("teams", "assigned-roles") => &self.team_role,
            ("users", "assigned-roles") => &self.user_role,
            ("system-accounts", "assigned-roles") => &self.account_role,
            (_, "users") => &self.user,
            (_, "system-accounts") => &self.account,
            (_, "teams") => &self.team,
            (_, "consistency") => &self.consistency_token,
            _ => anyhow::bail!("the tests make no {inner} of {outer}: add them here"),
        })
    }

    /// The entity of the collection with this path below `core-entities`.
    fn entity(&self, path: &[&str]) -> anyhow::Result<&str> {
        let path = path.join("/");
        let found = self.entities.get(&path).map(String::as_str);
        found.with_context(|| format!("the tests make no entity of {path}: add it here"))
    }

    /// Those of the shared region's first organization. Tests may ask for them, and change none.
    pub async fn shared() -> anyhow::Result<&'static Self> {
        static SHARED: OnceCell<Things> = OnceCell::const_new();
        SHARED.get_or_try_init(async || Self::make(shared().await?).await).await
    }

    /// Makes one of everything in the region's first organization, with members and assignments.
    pub async fn make(region: &Region) -> anyhow::Result<Self> {
        let (identity, authz) = (region.api(ServiceName::Identity), region.api(ServiceName::Authz));
        let (control_plane, gateway) = served(region, "things").await?;
        let node = node_of(&gateway).await?;
        gateway.process().stop().await?;

        let user = region.owner().owner_id.clone();
        let user_token = make(&identity, "/v3/users/me/access-tokens", json!({ "name": "kept" })).await?;
        let address = json!({ "email": format!("{}@example.com", unique("things")) });
        let invite = make(&identity, "/v3/invites", address).await?;
        let account = make(&identity, "/v3/system-accounts", json!({ "name": unique("things") })).await?;
        let tokens = format!("/v3/system-accounts/{account}/access-tokens");
        let account_token = make(&identity, &tokens, json!({ "name": "kept" })).await?;
        let team = make(&authz, "/v3/teams", json!({ "name": unique("things") })).await?;
        authz.post(&format!("/v3/teams/{team}/users"), &json!({ "id": user })).await?.expect(201)?;
        let member = json!({ "account_id": account });
        let joined = authz.post(&format!("/v3/teams/{team}/system-accounts"), &member).await?;
        joined.expect(201)?;
        let consistency_token = joined.consistency().context("a write has a consistency token")?.to_owned();
        let login = json!({
            "type": "oidc", "login_path": unique("things"),
            "config": { "issuer_url": "https://id.example", "client_id": "us", "client_secret": "secret" }
        });
        let provider = make(&identity, "/v3/identity-providers", login).await?;
        let mappings = format!("/v3/identity-providers/{provider}/team-group-mappings");
        let mapping = make(&identity, &mappings, json!({ "group": "things", "team_id": team })).await?;
        let name = format!("{}.example", unique("things"));
        let domain = make(&identity, "/v3/domains", json!({ "name": name })).await?;
        let assign = async |holder: String| {
            let body = role("Viewer", &control_plane.id);
            make(&authz, &format!("/v3/{holder}/assigned-roles"), body).await
        };
        let team_role = assign(format!("teams/{team}")).await?;
        let user_role = assign(format!("users/{user}")).await?;
        let account_role = assign(format!("system-accounts/{account}")).await?;
        let token = make(&control_plane.api, &control_plane.path("enrolment-tokens"), json!({})).await?;
        let certificates = control_plane.path("dp-client-certificates");
        let certificate = json!({ "cert": own_certificate()?.0 });
        let pinned = control_plane.api.post(&certificates, &certificate).await?.expect(201)?;
        let entities = make_entities(&control_plane).await?;
        let stores = control_plane.path("config-stores");
        let config_store = make(&control_plane.api, &stores, json!({ "name": "things" })).await?;
        let secret = json!({ "key": "kept", "value": "secret" });
        control_plane.api.post(&format!("{stores}/{config_store}/secrets"), &secret).await?.expect(201)?;
        let document = control_plane.path("declarative?dry_run=true");
        let told =
            control_plane.api.put(&document, &json!({ "_format_version": "3.0" })).await?.expect(200)?;
        let entity = |path: &str| entities.get(path).cloned().with_context(|| format!("an entity of {path}"));
        Ok(Self {
            organization: region.owner().organization_id.clone(),
            service: entity("services")?,
            route: entity("routes")?,
            consumer: entity("consumers")?,
            plugin: entity("plugins")?,
            key: entity("key-auths")?,
            config_store,
            import: text(&told, "import_id")?.to_owned(),
            enrolment_token: token,
            pinned_certificate: text(&pinned["item"], "id")?.to_owned(),
            control_plane: control_plane.id,
            entities,
            node,
            user,
            user_token,
            invite,
            provider,
            mapping,
            domain,
            account,
            account_token,
            team,
            team_role,
            user_role,
            account_role,
            consistency_token,
        })
    }
}

/// One entity of each collection, by its path below `core-entities` without ids.
async fn make_entities(on: &ControlPlane) -> anyhow::Result<BTreeMap<String, String>> {
    let mut made: BTreeMap<String, String> = BTreeMap::new();
    for kind in Kind::ALL {
        let body = example(kind, &|kind| made.get(kind.collection()).cloned().context("made before"))?;
        let id = make(&on.api, &on.entity(kind.collection()), body).await?;
        made.insert(kind.collection().to_owned(), id);
    }
    for parent in Kind::ALL {
        for child in parent.children() {
            let path = format!("{}/{}", parent.collection(), child.segment);
            if let Some(joins) = child.joins {
                // Such a collection lists what its children join the parent with.
                made.insert(path, made.get(joins.kind.collection()).cloned().context("made before")?);
                continue;
            }
            let above = made.get(parent.collection()).context("made before")?;
            let mut body =
                example(child.kind, &|kind| made.get(kind.collection()).cloned().context("made before"))?;
            if child.kind == Kind::Plugin {
                // In no other scope than that of the path.
                body = json!({ "name": "request-termination", "config": { "status_code": 418 } });
            }
            if let Some(fields) = body.as_object_mut() {
                fields.remove(child.parent_field);
            }
            let nested = format!("{}/{above}/{}", parent.collection(), child.segment);
            let id = make(&on.api, &on.entity(&nested), body).await?;
            made.insert(path, id);
        }
    }
    Ok(made)
}

/// Makes something and returns its id.
async fn make(api: &Api, path: &str, body: Value) -> anyhow::Result<String> {
    let made = api.post(path, &body).await?.expect(201)?;
    Ok(text(&made, "id")?.to_owned())
}
