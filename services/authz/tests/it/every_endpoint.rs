//! What all endpoints have in common, for each that the OpenAPI document lists, over a real database and real decisions.

use axum::http::StatusCode;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{
    service::{Service, ada, administrators, bot, owner},
    support::acme,
};

/// What every member may see: which roles there are.
const OPEN_TO_MEMBERS: [&str; 1] = ["GET /v3/roles"];

/// An endpoint of the document.
struct Operation {
    method: String,
    path: String,
    protection: String,
    has_body: bool,
}

impl Operation {
    fn all() -> Vec<Self> {
        let document: Value = serde_json::from_str(&authz::openapi().expect("a document")).expect("JSON");
        let paths = document["paths"].as_object().expect("paths");
        let operations = paths.iter().flat_map(|(path, methods)| {
            methods.as_object().expect("methods").iter().map(move |(method, operation)| Self {
                method: method.to_uppercase(),
                path: path.clone(),
                protection: operation["x-protection"].as_str().expect("a protection").to_owned(),
                has_body: operation.get("requestBody").is_some(),
            })
        });
        operations.collect()
    }

    fn name(&self) -> String {
        format!("{} {}", self.method, self.path)
    }

    /// The path with things of the organization.
    fn filled(&self) -> String {
        let id = |name: &str| match name {
            "{team_id}" => administrators().to_string(),
            "{user_id}" => ada().to_string(),
            "{account_id}" | "{system_account_id}" => bot().to_string(),
            _ => Uuid::now_v7().to_string(),
        };
        let parts = self.path.split('/').map(|part| match part.starts_with('{') {
            true => id(part),
            false => part.to_owned(),
        });
        parts.collect::<Vec<_>>().join("/")
    }

    fn body(&self) -> Value {
        let last = self.path.rsplit('/').find(|part| !part.starts_with('{')).unwrap_or_default();
        match (self.has_body, last) {
            (false, _) => Value::Null,
            (_, "users") => json!({"id": ada()}),
            (_, "system-accounts") => json!({"account_id": bot()}),
            (_, "check") => json!({"checks": [{"action": "iam:ReadTeams"}]}),
            (_, "assigned-roles") => json!({
                "role_name": "Viewer", "entity_id": "*", "entity_type_name": "Control Planes", "entity_region": "us"
            }),
            _ => json!({"name": "made"}),
        }
    }

    async fn send(&self, service: &Service, token: &str) -> (u16, String) {
        let answer = service.call(&self.method, &self.filled(), token, self.body()).await;
        (answer.status.as_u16(), answer.problem().to_owned())
    }
}

/// Sends everything that is not public as whoever has `token`.
async fn check(service: &Service, token: &str, expected: impl Fn(&Operation, u16, &str) -> bool) {
    let all: Vec<_> = Operation::all().into_iter().filter(|one| one.protection != "public").collect();
    assert!(all.len() >= 20, "only {} endpoints", all.len());
    for operation in all {
        let (status, problem) = operation.send(service, token).await;
        assert!(expected(&operation, status, &problem), "{}: {status} {problem}", operation.name());
    }
}

#[tokio::test]
async fn nobody_passes_with_a_token_that_opens_nothing() {
    let (_database, service) = Service::start().await;
    for token in ["", "nonsense", "lbp_us_1_00_00"] {
        check(&service, token, |_, status, problem| (status, problem) == (401, "unauthenticated")).await;
    }
}

#[tokio::test]
async fn who_holds_no_role_is_let_in_nowhere() {
    let (_database, service) = Service::start().await;
    for nobody in [ada(), bot()] {
        check(&service, &service.token(nobody), |operation, status, _| {
            let is_open =
                operation.protection == "caller" || OPEN_TO_MEMBERS.contains(&operation.name().as_str());
            // Everybody may see the own roles.
            let is_own = operation.path.contains("/assigned-roles")
                && operation.method == "GET"
                && (status == 200 || status == 404);
            if is_open { status < 400 || status == 404 } else { status == 403 || status == 404 || is_own }
        })
        .await;
    }
}

#[tokio::test]
async fn nobody_of_a_suspended_organization_and_nobody_who_is_deactivated_is_let_in() {
    let (_database, service) = Service::start().await;
    let inactive = json!({"id": ada(), "kind": "user", "active": false, "not_before": null});
    service.feed(5, vec![(acme(), "principal.put", inactive)]).await;
    // Of these only identity knows: it resolves no token of theirs.
    let is_own = |operation: &Operation| operation.protection == "caller";
    check(&service, &service.token(ada()), |operation, status, problem| {
        (status, problem) == (401, "unauthenticated") || is_own(operation)
    })
    .await;

    let suspended = json!({"owner_id": owner().uuid(), "home_region": "us", "state": "suspended"});
    service.feed(6, vec![(acme(), "organization.put", suspended)]).await;
    check(&service, &service.token(owner()), |operation, status, problem| {
        is_own(operation)
            || (status, problem) == (403, "organization-inactive")
            || (status == StatusCode::NOT_FOUND.as_u16() && operation.path.contains('{'))
    })
    .await;
}
