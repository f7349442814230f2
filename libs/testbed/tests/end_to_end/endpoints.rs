//! Every endpoint of every service goes through access: none answers without a token, with a false one, or to somebody
//! who holds no role.

use serde_json::json;
use testbed::{ServiceName, wait};

use crate::{
    fixtures::{Account, exchange},
    harness::{SOON, run, shared},
    operations::{self, Operation, Things},
};

/// Endpoints that anybody may call. Whoever adds one adds it here, with the reason.
const PUBLIC: [&str; 9] = [
    // Public keys.
    "identity GET /v1/jwks.json",
    // A password, a refresh token, or the credential in the link of a mail is the proof.
    "identity POST /v3/authenticate",
    // Who comes from an identity provider proves it by what that says, and by the cookie of the browser that began.
    "identity GET /v3/authenticate/callback",
    "identity POST /v3/authenticate/refresh",
    // It sends a browser to an identity provider, and tells nothing else.
    "identity GET /v3/authenticate/{organization}/{login_path}",
    "identity POST /v3/invites/accept",
    // Anybody may have forgotten a password; only who reads the person's mail gets further.
    "identity POST /v3/password-resets",
    "identity POST /v3/password-resets/accept",
    // The enrolment token in the body is the proof.
    "config POST /v1/nodes/enrol",
];

/// Endpoints that show a caller without roles something of its own, or nothing.
const OPEN_TO_MEMBERS: [&str; 3] = [
    // The lists of what one may see: empty.
    "config GET /v2/control-planes",
    "config GET /konnect-api/api/runtime_groups",
    // What roles there are, for every member of an organization.
    "authz GET /v3/roles",
];

/// Sends each operation with `token`, and collects the answers that are not as `expected` says.
async fn check_all(
    token: Option<&str>,
    things: &Things,
    expected: impl Fn(&Operation, u16) -> bool,
) -> anyhow::Result<()> {
    let region = shared().await?;
    let mut wrong = Vec::new();
    for operation in operations::all(region).await? {
        let api = region.api(operation.service);
        let api = token.map_or_else(|| api.anonymous(), |token| api.with_token(token));
        // So many made-up tokens may come from one address in a second; the other tests show some too.
        let answer = wait::until(&operation.describe(), SOON, async || {
            let answer = operation.send(&api, things).await.map_err(|error| format!("{error:#}"))?;
            if answer.status == 429 { Err(answer.text) } else { Ok(answer) }
        })
        .await?;
        if !expected(&operation, answer.status) {
            wrong.push(format!("{}: {} {}", operation.describe(), answer.status, answer.text));
        }
    }
    anyhow::ensure!(wrong.is_empty(), "{} endpoints answered otherwise:\n{}", wrong.len(), wrong.join("\n"));
    Ok(())
}

#[test]
fn the_public_endpoints_are_the_known_ones() {
    run(async {
        let all = operations::all(shared().await?).await?;
        let public: Vec<String> = all
            .iter()
            .filter(|operation| operation.protection == "public")
            .map(Operation::describe)
            .collect();
        assert_eq!(public, PUBLIC);
        assert!(all.iter().all(|operation| {
            ["public", "caller", "decision", "operator"].contains(&operation.protection.as_str())
        }));
        assert!(all.len() >= 90, "only {} operations: are the documents whole?", all.len());
        Ok(())
    });
}

/// What is not known is refused, by every endpoint of every service, and what is declared is taken. Nothing is written meanwhile: the
/// names in the paths are made up.
#[test]
fn every_endpoint_takes_the_query_parameters_that_it_declares_and_no_others() {
    run(async {
        let region = shared().await?;
        let mut wrong = Vec::new();
        for operation in operations::all(region).await? {
            let api = region.api(operation.service);
            let path = operation.fill_with("01900000-0000-7000-8000-000000000000");
            let ask = async |query: &str| {
                let request = api.request(operation.method.clone(), &format!("{path}?{query}"));
                api.send(if operation.has_body() { request.json(&json!([])) } else { request }).await
            };
            let answer = ask("no_such_parameter=1").await?;
            let names_it = answer.text.contains("no_such_parameter: no such query parameter");
            // Identity providers send people there, with parameters of their own.
            let ignores_others = operation.path == "/v3/authenticate/callback";
            if (answer.status != 400 || !names_it) && !ignores_others {
                wrong.push(format!("{}: {} {}", operation.describe(), answer.status, answer.text));
            }
            for (name, example) in operation.query_parameters() {
                let answer = ask(&format!("{name}={example}")).await?;
                // The name of another organization confirms no deletion.
                let confirms = name == "confirm";
                if answer.status >= 500 || (answer.text.contains("invalid-parameter") && !confirms) {
                    wrong.push(format!(
                        "{} {name}={example}: {} {}",
                        operation.describe(),
                        answer.status,
                        answer.text
                    ));
                }
            }
        }
        anyhow::ensure!(wrong.is_empty(), "{} answers are otherwise:\n{}", wrong.len(), wrong.join("\n"));
        Ok(())
    });
}

#[test]
fn without_a_valid_token_every_endpoint_is_401() {
    run(async {
        let region = shared().await?;
        let things = Things::shared().await?;
        let account = Account::create(region, "forged").await?;
        let jwt = exchange(region, &account.token).await?;
        let forged_signature = format!("{}AAAA", jwt.get(..jwt.len() - 4).unwrap_or_default());
        let (header, _) = jwt.split_once('.').unwrap_or_default();
        let unsigned = format!("{header}.e30.");
        let last = account.token.chars().last().unwrap_or_default();
        let other_last = if last == '0' { '1' } else { '0' };
        let altered =
            format!("{}{other_last}", account.token.get(..account.token.len() - 1).unwrap_or_default());
        let never_minted = never_minted();
        let tokens = [
            None,
            Some("garbage"),
            Some(&never_minted),
            Some(&altered),
            Some(&forged_signature),
            Some(&unsigned),
        ];
        for token in tokens {
            let is_refused =
                |operation: &Operation, status| operation.protection == "public" || status == 401;
            check_all(token.map(|token| token as &str), things, is_refused).await?;
        }
        for scheme in ["Basic", "Token"] {
            for service in ServiceName::ALL {
                let api = region.api(service).anonymous();
                let path = if service == ServiceName::Config { "/v2/control-planes" } else { "/v3/roles" };
                let path = if service == ServiceName::Identity { "/v3/users/me" } else { path };
                let header = format!("{scheme} {}", account.token);
                let request = api.request(reqwest::Method::GET, path).header("authorization", header);
                let answer = api.send(request).await?;
                answer.expect_problem(401)?;
                assert_eq!(answer.header("www-authenticate"), Some("Bearer"));
            }
        }
        Ok(())
    });
}

/// A token with the form and check of a real one, that nobody has minted.
fn never_minted() -> String {
    use sha2::Digest as _;
    let body = format!("lbs_us_1_{}", "0".repeat(48));
    let check: String = hex::encode(&sha2::Sha256::digest(&body)[..4]);
    format!("{body}_{check}")
}

#[test]
fn a_system_account_without_roles_is_let_in_nowhere() {
    run(async {
        let region = shared().await?;
        let things = Things::shared().await?;
        let account = Account::create(region, "nobody").await?;
        for token in [account.token.clone(), exchange(region, &account.token).await?] {
            check_all(Some(&token), things, |operation, status| {
                if operation.protection == "operator" {
                    return status == 403;
                }
                if operation.protection != "decision" {
                    // Its own things, or nothing: never a fault.
                    return status < 500;
                }
                if OPEN_TO_MEMBERS.contains(&operation.describe().as_str()) {
                    return status == 200;
                }
                status == 403 || status == 404
            })
            .await?;
            let config = region.api(ServiceName::Config).with_token(&token);
            let listed = config.get("/v2/control-planes").await?.expect(200)?;
            assert_eq!((&listed["data"], &listed["meta"]["page"]["total"]), (&json!([]), &json!(0)));
        }
        Ok(())
    });
}

#[test]
fn unknown_paths_and_methods_are_problems() {
    run(async {
        let region = shared().await?;
        for service in ServiceName::ALL {
            let api = region.api(service);
            for path in ["/", "/v3", "/v2/control-planes/", "/v9/teams", "/v3/teams/x/y/z", "/%00", "/%ff"] {
                api.get(path).await?.expect_problem(404)?;
            }
            api.post("/openapi.json", &json!({})).await?.expect_problem(405)?;
        }
        for (service, path) in [
            (ServiceName::Config, "/v2/control-planes/not-an-id"),
            (ServiceName::Config, "/v2/control-planes/not-an-id/core-entities/services"),
            (ServiceName::Authz, "/v3/teams/not-an-id"),
            (ServiceName::Identity, "/v3/system-accounts/not-an-id"),
        ] {
            region.api(service).get(path).await?.expect_problem(404)?;
        }
        Ok(())
    });
}
