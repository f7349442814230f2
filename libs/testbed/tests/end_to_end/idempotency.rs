//! `Idempotency-Key`: a POST sent twice has one effect and one answer, in every service.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use testbed::{Answer, Api, Region, ServiceName, api::text};
use tokio::task::JoinSet;

use crate::{
    fixtures::{Account, ControlPlane, role},
    harness::{run, shared, unique},
};

const DUPLICATES: usize = 8;

/// A POST that makes something. A GET of the same path lists it.
struct Case {
    api: Api,
    path: String,
    body: Value,
    other_body: Value,
}

/// One for each kind of thing that a POST makes.
async fn cases(region: &Region) -> anyhow::Result<Vec<Case>> {
    let (identity, authz, config) =
        (region.api(ServiceName::Identity), region.api(ServiceName::Authz), region.api(ServiceName::Config));
    let account = Account::create(region, "idempotent").await?;
    let control_plane = ControlPlane::create(region, "idempotent").await?;
    let team = authz.post("/v3/teams", &json!({ "name": unique("idempotent") })).await?.expect(201)?;
    let team = text(&team, "id")?;
    let consumers = control_plane.entity("consumers");
    config.post(&consumers, &json!({ "username": "carol" })).await?.expect(201)?;
    let case = |api: &Api, path: String, body: Value, other_body: Value| Case {
        api: api.clone(),
        path,
        body,
        other_body,
    };
    let with_name = |api: &Api, path: String| {
        case(api, path, json!({ "name": unique("once") }), json!({ "name": unique("other") }))
    };
    let tokens = format!("/v3/system-accounts/{}/access-tokens", account.id);
    let roles = format!("/v3/system-accounts/{}/assigned-roles", account.id);
    let (viewer, admin) = (role("Viewer", &control_plane.id), role("Admin", &control_plane.id));
    let member = json!({ "account_id": account.id });
    let nobody = json!({ "account_id": "00000000-0000-0000-0000-000000000000" });
    Ok(vec![
        with_name(&identity, "/v3/system-accounts".to_owned()),
        with_name(&identity, tokens),
        with_name(&authz, "/v3/teams".to_owned()),
        case(&authz, format!("/v3/teams/{team}/system-accounts"), member, nobody),
        case(&authz, roles, viewer, admin),
        with_name(&config, "/v2/control-planes".to_owned()),
        with_name(&config, control_plane.path("enrolment-tokens")),
        case(&config, control_plane.entity("services"), host("one"), host("two")),
        // The key is generated: the second answer must show the same one.
        case(
            &config,
            control_plane.entity("consumers/carol/key-auth"),
            json!({}),
            json!({ "key": "chosen" }),
        ),
    ])
}

fn host(name: &str) -> Value {
    json!({ "name": unique(name), "host": "once.example" })
}

impl Case {
    async fn post(&self, body: &Value, key: &str) -> anyhow::Result<Answer> {
        self.api.post_once(&self.path, body, key).await
    }

    /// The whole list, over all pages.
    async fn items(&self) -> anyhow::Result<Vec<Value>> {
        let mut all = Vec::new();
        let (mut after, mut number) = (String::new(), 1);
        loop {
            let paging = match self.path.as_str() {
                path if path.contains("core-entities") => "size=1000".to_owned(),
                "/v2/control-planes" => format!("page[size]=100&page[number]={number}"),
                _ => format!("page[size]=100{after}"),
            };
            let page = self.api.get(&format!("{}?{paging}", self.path)).await?.expect(200)?;
            all.extend(page["data"].as_array().cloned().unwrap_or_default());
            number += 1;
            let total = page["meta"]["page"]["total"].as_u64().unwrap_or_default();
            match page["meta"]["page"]["next"].as_str() {
                Some(next) => after = format!("&page[after]={next}"),
                None if total > (number - 1) * 100 => {}
                None => return Ok(all),
            }
        }
    }

    /// How many items are what the body says. Where items have no names, all of them are this test's.
    async fn count(&self) -> anyhow::Result<usize> {
        let name = self.body.get("name");
        Ok(self.items().await?.iter().filter(|item| name.is_none_or(|name| item["name"] == *name)).count())
    }
}

#[test]
fn a_repeated_post_is_answered_again_and_done_once() {
    run(async {
        for case in cases(shared().await?).await? {
            let key = unique("key");
            let first = case.post(&case.body, &key).await?;
            let made = first.expect(201)?;
            assert_eq!(first.header("idempotent-replayed"), None, "{}", case.path);
            for _ in 0..2 {
                let again = case.post(&case.body, &key).await?;
                assert_eq!(again.expect(201)?, made, "{}", case.path);
                assert_eq!(again.text, first.text, "{}: to the byte", case.path);
                assert_eq!(again.header("idempotent-replayed"), Some("true"), "{}", case.path);
                for header in ["etag", "content-type"] {
                    assert_eq!(again.header(header), first.header(header), "{}", case.path);
                }
            }
            let reused = case.post(&case.other_body, &key).await?.expect_problem(422)?;
            assert_eq!(reused["type"], "urn:landbridge:problem:idempotency-key-reused");
            assert_eq!(case.count().await?, 1, "{} with the body {}", case.path, case.body);
        }
        Ok(())
    });
}

#[test]
fn duplicates_at_the_same_time_have_one_effect() {
    run(async {
        for case in cases(shared().await?).await? {
            let key = unique("key");
            let mut posts = JoinSet::new();
            for _ in 0..DUPLICATES {
                let (api, path, body, key) =
                    (case.api.clone(), case.path.clone(), case.body.clone(), key.clone());
                posts.spawn(async move { api.post_once(&path, &body, &key).await });
            }
            let mut bodies = BTreeSet::new();
            for answer in posts.join_all().await {
                let answer = answer?;
                if answer.status == 201 {
                    bodies.insert(answer.text);
                } else {
                    let problem = answer.expect_problem(409)?;
                    assert_eq!(
                        problem["type"], "urn:landbridge:problem:idempotency-key-in-use",
                        "{}",
                        case.path
                    );
                    assert!(answer.header("retry-after").is_some(), "{}", case.path);
                }
            }
            assert_eq!(bodies.len(), 1, "{}: {bodies:?}", case.path);
            let replayed = case.post(&case.body, &key).await?;
            assert!(bodies.contains(&replayed.text), "{}: {}", case.path, replayed.text);
            assert_eq!(case.count().await?, 1, "{} with the body {}", case.path, case.body);
        }
        Ok(())
    });
}

#[test]
fn a_refused_request_leaves_its_key_free() {
    run(async {
        for case in cases(shared().await?).await? {
            let key = unique("key");
            let unknown = json!({ "no such field": true });
            case.post(&unknown, &key).await?.expect_problem(400)?;
            case.post(&case.body, &key).await?.expect(201)?;
        }
        Ok(())
    });
}

#[test]
fn keys_are_the_callers_own_and_have_bounds() {
    run(async {
        let region = shared().await?;
        let key = unique("key");
        let mut made = BTreeSet::new();
        for _ in 0..2 {
            let account = Account::create(region, "keys").await?;
            account.assign(region, "Creator", "*").await?;
            let api = account.api(region, ServiceName::Config);
            let body = json!({ "name": unique("keys") });
            let answer = api.post_once("/v2/control-planes", &body, &key).await?;
            made.insert(text(&answer.expect(201)?, "id")?.to_owned());
        }
        assert_eq!(made.len(), 2, "two callers with the same key");

        let authz = region.api(ServiceName::Authz);
        for (bad, ok) in [(String::new(), false), ("k".repeat(256), false), ("k".repeat(255), true)] {
            let answer = authz.post_once("/v3/teams", &json!({ "name": unique("bounds") }), &bad).await?;
            if ok {
                answer.expect(201)?;
            } else {
                answer.expect_problem(400)?;
            }
        }
        Ok(())
    });
}
