//! What all endpoints have in common, for each that the OpenAPI document lists.

use std::time::Duration;

use axum::http::Method;
use serde_json::{Value, json};
use testbed::wait;
use tokio::time::timeout;
use tonic::Status;
use uuid::Uuid;

use crate::region::{Client, Region};

/// An endpoint of the document.
struct Operation {
    method: Method,
    path: String,
    protection: String,
    has_body: bool,
}

impl Operation {
    fn all() -> Vec<Self> {
        let document: Value = serde_json::from_str(&identity::openapi().expect("a document")).expect("JSON");
        let paths = document["paths"].as_object().expect("paths");
        let operations = paths.iter().flat_map(|(path, methods)| {
            methods.as_object().expect("methods").iter().map(move |(method, operation)| Self {
                method: method.to_uppercase().parse().expect("a method"),
                path: fill(path),
                protection: operation["x-protection"].as_str().expect("a protection").to_owned(),
                has_body: operation.get("requestBody").is_some(),
            })
        });
        operations.collect()
    }

    /// Sends a request that is right but for what the test is about.
    async fn send(&self, client: &Client<'_>) -> crate::region::Answer {
        let body = self.has_body.then(|| self.body());
        client.send(self.method.clone(), &self.path, body).await
    }

    /// Whether people begin there to sign on by an identity provider.
    fn is_beginning(&self) -> bool {
        self.method == Method::GET
            && self.path.starts_with("/v3/authenticate/")
            && self.path.split('/').count() == 5
    }

    fn body(&self) -> Value {
        const PASSWORD: &str = "correct horse battery";
        let credential = |prefix: &str| format!("{prefix}_{}_{}", "ab".repeat(16), "cd".repeat(24));
        match self.path.as_str() {
            "/v3/organizations/me/owner" => json!({"user_id": Uuid::now_v7()}),
            "/v3/authenticate" => {
                json!({"organization": "Nowhere", "email": "ada@example.com", "password": PASSWORD})
            }
            "/v3/authenticate/refresh" => json!({"refresh_token": credential("lbr")}),
            "/v3/identity-providers" => json!({
                "type": "oidc", "login_path": "made",
                "config": {"issuer_url": "https://id.example", "client_id": "us", "client_secret": "secret"}
            }),
            "/v3/authentication-settings" => json!({"oidc_auth_enabled": true}),
            "/v3/domains" => json!({"name": "example.com"}),
            "/v3/invites" => json!({"email": "grace@example.com"}),
            "/v3/invites/accept" => json!({"token": credential("lbi"), "password": PASSWORD}),
            "/v3/password-resets" => json!({"organization": "Nowhere", "email": "ada@example.com"}),
            "/v3/password-resets/accept" => json!({"token": credential("lbw"), "password": PASSWORD}),
            path if path.ends_with("/team-group-mappings") => {
                json!({"group": "made", "team_id": Uuid::now_v7()})
            }
            path if path.starts_with("/v3/identity-providers/") => json!({"enabled": false}),
            path if path.ends_with("/second-factor") => json!({"password": PASSWORD}),
            path if path.contains("/second-factor/") => json!({"code": "123456"}),
            path if path.ends_with("/password") => {
                json!({"old_password": PASSWORD, "new_password": PASSWORD})
            }
            path if self.method == Method::PATCH && path.starts_with("/v3/users/") => {
                json!({"full_name": "made"})
            }
            _ => json!({"name": "made"}),
        }
    }
}

/// The path with an id for each of its parameters.
fn fill(path: &str) -> String {
    let parts = path.split('/').map(|part| match part.starts_with('{') {
        true => Uuid::now_v7().to_string(),
        false => part.to_owned(),
    });
    let path = parts.collect::<Vec<_>>().join("/");
    match path.as_str() {
        // What comes back has to say which sign-on it is.
        "/v3/authenticate/callback" => format!("{path}?state=lbf_{}_{}", "ab".repeat(16), "cd".repeat(24)),
        _ => path,
    }
}

#[tokio::test]
async fn nobody_passes_without_a_token() {
    let region = Region::alone().await;
    for operation in Operation::all() {
        for client in [region.stranger(), region.client("nonsense"), region.client("lbp_us_1_00_00")] {
            let answer = operation.send(&client).await;
            match operation.protection.as_str() {
                "public" if operation.path == "/v1/jwks.json" => drop(answer.expect(200)),
                // It does not tell who is there.
                "public" if operation.path == "/v3/password-resets" => drop(answer.expect(204)),
                "public" if operation.is_beginning() => drop(answer.problem(404, "not-found")),
                _ => drop(answer.problem(401, "unauthenticated")),
            }
        }
    }
}

#[tokio::test]
async fn nobody_passes_without_a_decision() {
    let region = Region::alone().await;
    let (owner, _) = region.owner().await;
    let decided: Vec<_> =
        Operation::all().into_iter().filter(|operation| operation.protection == "decision").collect();
    assert!(decided.len() >= 9, "the document lists them");
    {
        let mut state = region.authz.state();
        for action in [
            "iam:ReadUsers",
            "iam:ManageUsers",
            "iam:ReadSystemAccounts",
            "iam:ManageSystemAccounts",
            "org:Update",
        ] {
            state.denied.insert(action.to_owned());
        }
    }
    for operation in &decided {
        operation.send(&owner).await.problem(403, "forbidden");
    }
    region.authz.state().suspended = true;
    for operation in &decided {
        operation.send(&owner).await.problem(403, "organization-inactive");
    }
    region.authz.state().session_ended = true;
    for operation in &decided {
        operation.send(&owner).await.problem(401, "unauthenticated");
    }
    for (refusal, problem) in
        [(Status::unavailable("away"), "unavailable"), (Status::out_of_range("late"), "not-yet-replicated")]
    {
        region.authz.state().refusal = Some(refusal);
        for operation in &decided {
            operation.send(&owner).await.problem(503, problem);
        }
    }
}

/// The platform operator can call what is the operator's, and nothing of any organization; nobody else can call that.
#[tokio::test]
async fn the_platform_operator_has_endpoints_of_its_own_and_no_others() {
    let region = Region::alone().await;
    let (owner, _) = region.owner().await;
    let platform = region.operator().await;
    let all = Operation::all();
    assert!(all.iter().filter(|operation| operation.protection == "operator").count() >= 9);
    for operation in &all {
        match operation.protection.as_str() {
            // Who asks makes no difference: what counts is in the body.
            "public" => {
                let status = operation.send(&platform).await.status.as_u16();
                assert!(status < 500 && status != 403, "{}: {status}", operation.path);
            }
            "operator" => {
                operation.send(&owner).await.problem(403, "forbidden");
                let answer = operation.send(&platform).await;
                let allowed = ![401, 403, 500, 503].contains(&answer.status.as_u16());
                assert!(allowed, "{} {}", operation.path, answer.body);
            }
            _ => drop(operation.send(&platform).await.problem(403, "forbidden")),
        }
    }
}

#[tokio::test]
async fn a_body_that_cannot_be_read_is_refused_in_one_way() {
    let region = Region::alone().await;
    let (owner, _) = region.owner().await;
    let platform = region.operator().await;
    for operation in Operation::all().into_iter().filter(|operation| operation.has_body) {
        let owner = if operation.protection == "operator" { &platform } else { &owner };
        let send = async |media_type: &str, body: String| {
            owner.send_text(operation.method.clone(), &operation.path, media_type, body).await
        };
        send("application/json", "{".to_owned()).await.problem(400, "malformed-body");
        send("application/json", r#"{"lost": 1}"#.to_owned()).await.problem(400, "invalid-body");
        send("text/plain", "{}".to_owned()).await.problem(415, "unsupported-media-type");
        send("application/json", " ".repeat(1024 * 1024 + 1)).await.problem(413, "body-too-large");
        if operation.method == Method::POST {
            let keyed = owner.keyed("once");
            let large = " ".repeat(1024 * 1024 + 1);
            let answer = keyed.send_text(Method::POST, &operation.path, "application/json", large).await;
            answer.problem(413, "body-too-large");
        }
    }
}

#[tokio::test]
async fn a_database_that_is_away_is_503() {
    let region = Region::alone().await;
    let (owner, _) = region.owner().await;
    // Its token is shown for the first time, so nobody remembers it.
    let platform = region.operator().await;
    let operations = Operation::all();
    owner.get("/v3/organizations/me").await.expect(200);
    // Nothing gets a connection from now on; those that are in use are waited for in vain.
    let _ = timeout(Duration::from_millis(50), region.app.db.close()).await;
    let forgotten = wait::until("the token is no longer remembered", Duration::from_secs(10), async || {
        let answer = owner.get(&fill("/v3/users/{user_id}/access-tokens")).await;
        if answer.status == 503 { Ok(()) } else { Err(answer.body.to_string()) }
    });
    forgotten.await.expect("forgotten");
    for operation in operations {
        let client = if operation.protection == "operator" { &platform } else { &owner };
        operation.send(client).await.problem(503, "unavailable");
    }
}
