//! Every endpoint of every service, read from the three OpenAPI documents, with a body that each would take: what lets
//! tests go through all of them, and fail for a new one that they do not know.

use anyhow::Context;
use reqwest::Method;
use serde_json::{Value, json};
use testbed::{Answer, Api, Region, ServiceName, api::text};
use tokio::sync::OnceCell;

use crate::{
    fixtures::{ControlPlane, node_of, role, served},
    harness::{shared, unique},
};

#[derive(Clone, Debug)]
pub struct Operation {
    pub service: ServiceName,
    pub method: Method,
    /// With parameters in braces.
    pub path: String,
    /// `public`, `caller` or `decision`.
    pub protection: String,
    /// Whether the document says that it takes a body.
    has_body: bool,
    /// Names and examples of its query parameters.
    query_parameters: Vec<(String, String)>,
}

/// What one organization has of everything that a path can name.
#[derive(Clone, Debug)]
pub struct Things {
    pub control_plane: String,
    pub service: String,
    pub route: String,
    pub consumer: String,
    pub plugin: String,
    pub service_plugin: String,
    pub route_plugin: String,
    pub consumer_plugin: String,
    pub key: String,
    pub node: String,
    pub enrolment_token: String,
    pub user: String,
    pub user_token: String,
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
                    has_body: operation.get("requestBody").is_some(),
                    query_parameters: query_parameters(operation),
                });
            }
        }
    }
    Ok(all)
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
            (ServiceName::Config, &Method::PATCH, "control-planes") => json!({ "description": "changed" }),
            (ServiceName::Config, &Method::PATCH, _) => json!({ "tags": ["changed"] }),
            (ServiceName::Config, _, "control-planes") => json!({ "name": unique("made") }),
            (ServiceName::Config, _, "enrolment-tokens") => json!({}),
            (ServiceName::Config, _, "validate") if self.path.contains("/plugins/") => {
                json!({ "name": "key-auth" })
            }
            (ServiceName::Config, _, "validate") => json!({ "host": "made.example" }),
            (ServiceName::Config, _, "declarative") => {
                return Ok(Some(Body::Yaml("_format_version: \"3.0\"\n".to_owned())));
            }
            (ServiceName::Config, _, "services") => json!({ "host": "made.example" }),
            (ServiceName::Config, _, "routes") => json!({ "paths": ["/made"] }),
            (ServiceName::Config, _, "consumers") => json!({ "username": unique("made") }),
            (ServiceName::Config, _, "plugins") => json!({ "name": "key-auth" }),
            (ServiceName::Config, _, "key-auth") => json!({ "key": unique("made-key") }),
            (ServiceName::Config, _, "key-auths") => {
                json!({ "key": unique("made-key"), "consumer": { "id": things.consumer } })
            }
            (ServiceName::Config, _, "enrol") => json!({ "token": "lbe_none" }),
            _ => anyhow::bail!("{} takes a body that the tests do not know: add it here", self.describe()),
        };
        Ok(Some(Body::Json(body)))
    }
}

enum Body {
    Json(Value),
    Yaml(String),
}

impl Things {
    /// The id that stands after these collections in a path.
    fn find(&self, collections: &[&str]) -> anyhow::Result<&str> {
        let [.., outer, inner] = collections else { anyhow::bail!("no collection before it") };
        Ok(match (*outer, *inner) {
            (_, "control-planes") => &self.control_plane,
            // Schemas and workspaces are found by name.
            ("schemas", "json") => "service",
            ("core-entities", "schemas") => "services",
            ("schemas", "plugins") => "key-auth",
            ("core-entities", "workspaces") => "default",
            ("services", "plugins") => &self.service_plugin,
            ("routes", "plugins") => &self.route_plugin,
            ("consumers", "plugins") => &self.consumer_plugin,
            (_, "plugins") => &self.plugin,
            (_, "services") => &self.service,
            (_, "routes") => &self.route,
            (_, "consumers") => &self.consumer,
            (_, "key-auth" | "key-auths") => &self.key,
            (_, "nodes") => &self.node,
            (_, "enrolment-tokens") => &self.enrolment_token,
            ("users", "access-tokens") => &self.user_token,
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

    /// Those of the shared region's first organization. Tests may ask for them, and change none.
    pub async fn shared() -> anyhow::Result<&'static Self> {
        static SHARED: OnceCell<Things> = OnceCell::const_new();
        SHARED.get_or_try_init(async || Self::make(shared().await?).await).await
    }

    /// Makes one of everything in the region's first organization, with members and assignments.
    async fn make(region: &Region) -> anyhow::Result<Self> {
        let (identity, authz) = (region.api(ServiceName::Identity), region.api(ServiceName::Authz));
        let (control_plane, gateway) = served(region, "things").await?;
        let node = node_of(&gateway).await?;
        gateway.process().stop().await?;

        let user = region.owner().owner_id.clone();
        let user_token = make(&identity, "/v3/users/me/access-tokens", json!({ "name": "kept" })).await?;
        let account = make(&identity, "/v3/system-accounts", json!({ "name": unique("things") })).await?;
        let tokens = format!("/v3/system-accounts/{account}/access-tokens");
        let account_token = make(&identity, &tokens, json!({ "name": "kept" })).await?;
        let team = make(&authz, "/v3/teams", json!({ "name": unique("things") })).await?;
        authz.post(&format!("/v3/teams/{team}/users"), &json!({ "id": user })).await?.expect(201)?;
        let member = json!({ "account_id": account });
        let joined = authz.post(&format!("/v3/teams/{team}/system-accounts"), &member).await?;
        joined.expect(201)?;
        let consistency_token = joined.consistency().context("a write has a consistency token")?.to_owned();
        let assign = async |holder: String| {
            let body = role("Viewer", &control_plane.id);
            make(&authz, &format!("/v3/{holder}/assigned-roles"), body).await
        };
        let team_role = assign(format!("teams/{team}")).await?;
        let user_role = assign(format!("users/{user}")).await?;
        let account_role = assign(format!("system-accounts/{account}")).await?;
        let token = make(&control_plane.api, &control_plane.path("enrolment-tokens"), json!({})).await?;
        let entities = Entities::make(&control_plane).await?;
        Ok(Self {
            service: entities.service,
            route: entities.route,
            consumer: entities.consumer,
            plugin: entities.plugin,
            service_plugin: entities.service_plugin,
            route_plugin: entities.route_plugin,
            consumer_plugin: entities.consumer_plugin,
            key: entities.key,
            enrolment_token: token,
            control_plane: control_plane.id,
            node,
            user,
            user_token,
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

struct Entities {
    service: String,
    route: String,
    consumer: String,
    plugin: String,
    service_plugin: String,
    route_plugin: String,
    consumer_plugin: String,
    key: String,
}

impl Entities {
    /// One of each kind and of each place where a plugin can be.
    async fn make(on: &ControlPlane) -> anyhow::Result<Self> {
        let service = make(&on.api, &on.entity("services"), json!({ "host": "things.example" })).await?;
        let routes = on.entity(&format!("services/{service}/routes"));
        let route = make(&on.api, &routes, json!({ "paths": ["/things"] })).await?;
        let consumer = make(&on.api, &on.entity("consumers"), json!({ "username": "things" })).await?;
        let keys = on.entity(&format!("consumers/{consumer}/key-auth"));
        let key = make(&on.api, &keys, json!({ "key": "key-of-things" })).await?;
        let plugin = async |parent: String| {
            let body = json!({ "name": "request-termination", "config": { "status_code": 418 } });
            make(&on.api, &on.entity(&format!("{parent}plugins")), body).await
        };
        Ok(Self {
            plugin: plugin(String::new()).await?,
            service_plugin: plugin(format!("services/{service}/")).await?,
            route_plugin: plugin(format!("routes/{route}/")).await?,
            consumer_plugin: plugin(format!("consumers/{consumer}/")).await?,
            service,
            route,
            consumer,
            key,
        })
    }
}

/// Makes something and returns its id.
async fn make(api: &Api, path: &str, body: Value) -> anyhow::Result<String> {
    let made = api.post(path, &body).await?.expect(201)?;
    Ok(text(&made, "id")?.to_owned())
}
