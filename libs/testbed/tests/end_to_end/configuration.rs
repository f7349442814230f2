//! Writes of configuration: whole documents, single entities, and many of both at the same time.

use std::collections::BTreeSet;

use reqwest::Method;
use serde_json::{Value, json};
use testbed::{Answer, Api, ServiceName, api::text};
use tokio::task::JoinSet;

use crate::{
    fixtures::{ControlPlane, plain_file},
    harness::{run, shared, unique},
};

const AT_ONCE: usize = 16;
/// Rounds of a race.
const ROUNDS: usize = 15;

fn counts(answer: &Value) -> [&Value; 3] {
    ["created", "updated", "deleted"].map(|count| &answer[count])
}

/// Sends `count` requests at once, and returns their answers.
async fn at_once(
    count: usize,
    request: impl Fn(usize) -> (Api, reqwest::RequestBuilder),
) -> anyhow::Result<Vec<Answer>> {
    let mut running = JoinSet::new();
    for number in 0..count {
        let (api, request) = request(number);
        running.spawn(async move { api.send(request).await });
    }
    running.join_all().await.into_iter().collect()
}

fn count_status(answers: &[Answer], status: u16) -> usize {
    answers.iter().filter(|answer| answer.status == status).count()
}

#[test]
fn a_document_applied_twice_changes_nothing_the_second_time() {
    run(async {
        let region = shared().await?;
        let on = ControlPlane::create(region, "twice").await?;
        let (path, file) = (on.path("declarative"), plain_file(region));
        let dry = on.api.put_yaml(&format!("{path}?dry_run=true"), &file).await?.expect(200)?;
        assert_eq!((&dry["version"], &dry["dry_run"]), (&json!(0), &json!(true)));
        assert_eq!((on.version().await?, counts(&dry)), (0, [&json!(8), &json!(0), &json!(0)]));

        let first = on.api.put_yaml(&path, &file).await?.expect(200)?;
        assert_eq!((counts(&first), &first["version"]), (counts(&dry), &json!(1)));
        let contents = on.contents().await?;
        let second = on.api.put_yaml(&path, &file).await?.expect(200)?;
        assert_eq!((counts(&second), &second["version"]), ([&json!(0); 3], &json!(1)));
        assert_eq!((on.version().await?, on.contents().await?), (1, contents.clone()));

        // As JSON it is the same document.
        let value =
            json!({ "_format_version": "3.0", "services": [{ "name": "other", "host": "other.example" }] });
        let other = on.api.put(&path, &value).await?.expect(200)?;
        assert_eq!(counts(&other), [&json!(1), &json!(0), &json!(8)]);
        let back = on.api.put_yaml(&path, &file).await?.expect(200)?;
        assert_eq!((counts(&back), &back["version"]), ([&json!(8), &json!(0), &json!(1)], &json!(3)));
        let ids = |contents: &Value| -> BTreeSet<String> {
            let collections = contents.as_object().into_iter().flat_map(|map| map.values());
            collections.filter_map(Value::as_array).flatten().map(|entity| entity["id"].to_string()).collect()
        };
        assert_eq!(ids(&on.contents().await?), ids(&contents), "the same ids as before");
        Ok(())
    });
}

#[test]
fn put_creates_and_replaces_by_name_and_by_id() {
    run(async {
        let on = ControlPlane::create(shared().await?, "upsert").await?;
        let by_name = on.entity("services/api");
        let made = on.api.put(&by_name, &json!({ "host": "one.example" })).await?.expect(200)?;
        let id = text(&made, "id")?;
        assert_eq!((&made["name"], &made["host"]), (&json!("api"), &json!("one.example")));
        let same = on.api.put(&by_name, &json!({ "host": "one.example" })).await?;
        assert_eq!((same.expect(200)?, on.version().await?), (made.clone(), 1));
        let replaced =
            on.api.put(&by_name, &json!({ "host": "two.example", "retries": 1 })).await?.expect(200)?;
        assert_eq!((text(&replaced, "id")?, &replaced["retries"]), (id, &json!(1)));
        let replaced = on.api.put(&by_name, &json!({ "host": "two.example" })).await?.expect(200)?;
        assert_eq!(replaced["retries"], 5, "what is not said is the default again");

        on.api.put(&by_name, &json!({ "name": "other", "host": "x.example" })).await?.expect_problem(400)?;
        let by_id = on.entity(&format!("services/{id}"));
        on.api.put(&by_id, &json!({ "name": "renamed", "host": "two.example" })).await?.expect(200)?;
        on.api.get(&by_name).await?.expect_problem(404)?;
        assert_eq!(text(&on.api.get(&on.entity("services/renamed")).await?.expect(200)?, "id")?, id);
        let new = uuid::Uuid::now_v7();
        let at_new = on.entity(&format!("services/{new}"));
        let made = on.api.put(&at_new, &json!({ "host": "new.example" })).await?.expect(200)?;
        assert_eq!(made["id"], new.to_string());
        on.api.put(&at_new, &json!({ "id": id, "host": "new.example" })).await?.expect_problem(400)?;
        on.api.delete(&at_new).await?.expect(204)?;
        on.api.delete(&at_new).await?.expect(204)?;
        on.api.get(&at_new).await?.expect_problem(404)?;
        Ok(())
    });
}

#[test]
fn of_creates_with_one_name_exactly_one_succeeds() {
    run(async {
        let region = shared().await?;
        let on = ControlPlane::create(region, "names").await?;
        let (identity, authz) = (region.api(ServiceName::Identity), region.api(ServiceName::Authz));
        on.api.put(&on.entity("consumers/bob"), &json!({})).await?.expect(200)?;
        let name = unique("contended");
        let cases = [
            (&on.api, on.entity("services"), json!({ "name": "same", "host": "same.example" })),
            (&on.api, on.entity("routes"), json!({ "name": "same", "paths": ["/same"] })),
            (&on.api, on.entity("consumers"), json!({ "username": "same" })),
            (&on.api, on.entity("consumers/bob/key-auth"), json!({ "key": "same-key" })),
            (&on.api, on.entity("plugins"), json!({ "name": "key-auth" })),
            (&on.api, "/v2/control-planes".to_owned(), json!({ "name": name })),
            (&authz, "/v3/teams".to_owned(), json!({ "name": name })),
            (&identity, "/v3/system-accounts".to_owned(), json!({ "name": name })),
        ];
        for (api, path, body) in &cases {
            let post = |_| ((*api).clone(), api.request(Method::POST, path).json(body));
            let answers = at_once(AT_ONCE, post).await?;
            assert_eq!(count_status(&answers, 201), 1, "{path}: {answers:?}");
            for answer in answers.iter().filter(|answer| answer.status != 201) {
                let problem = answer.expect_problem(409)?;
                assert_eq!(problem["type"], "urn:landbridge:problem:conflict", "{path}");
            }
        }
        Ok(())
    });
}

#[test]
fn of_writes_on_one_etag_exactly_one_succeeds() {
    run(async {
        let on = ControlPlane::create(shared().await?, "etag").await?;
        let path = on.entity("services/contended");
        let mut etag = on.api.put(&path, &json!({ "host": "h0.example" })).await?;
        for round in 1..=ROUNDS {
            let held = etag.header("etag").unwrap_or_default().to_owned();
            let answers = at_once(AT_ONCE, |number| {
                let body = json!({ "host": format!("h{round}-{number}.example") });
                (on.api.clone(), on.api.request(Method::PUT, &path).header("if-match", &held).json(&body))
            })
            .await?;
            assert_eq!(count_status(&answers, 200), 1, "round {round}: {answers:?}");
            assert_eq!(count_status(&answers, 412), AT_ONCE - 1);
            let won = answers.into_iter().find(|answer| answer.status == 200).expect("counted");
            let now = on.api.get(&path).await?;
            assert_eq!((now.expect(200)?, now.header("etag")), (won.json()?, won.header("etag")));
            etag = now;
        }
        let stale = on.api.request(Method::DELETE, &path).header("if-match", "\"1\"");
        on.api.send(stale).await?.expect_problem(412)?;
        let bad = on.api.request(Method::DELETE, &path).header("if-match", "soon");
        on.api.send(bad).await?.expect_problem(400)?;
        Ok(())
    });
}

#[test]
fn a_reference_never_dangles_whatever_is_deleted_meanwhile() {
    run(async {
        let on = ControlPlane::create(shared().await?, "dangling").await?;
        for round in 0..ROUNDS {
            let (service, consumer) = (format!("s{round}"), format!("c{round}"));
            on.api
                .put(&on.entity(&format!("services/{service}")), &json!({ "host": "s.example" }))
                .await?
                .expect(200)?;
            on.api.put(&on.entity(&format!("consumers/{consumer}")), &json!({})).await?.expect(200)?;
            let answers = at_once(AT_ONCE, |number| {
                let (method, path, body) = match number % 4 {
                    0 => (
                        Method::POST,
                        "routes".to_owned(),
                        json!({ "paths": ["/r"], "service": { "name": service } }),
                    ),
                    1 => (Method::POST, format!("consumers/{consumer}/key-auth"), json!({})),
                    2 => (Method::DELETE, format!("services/{service}"), json!({})),
                    _ => (Method::DELETE, format!("consumers/{consumer}"), json!({})),
                };
                (on.api.clone(), on.api.request(method, &on.entity(&path)).json(&body))
            })
            .await?;
            for answer in &answers {
                match answer.status {
                    201 => drop(text(&answer.json()?, "id")?),
                    204 => {}
                    // The target is gone, or still in use.
                    400 | 404 => drop(answer.expect_problem(answer.status)?),
                    _ => anyhow::bail!("round {round}: {answer:?}"),
                }
            }
            check_references(&on).await?;
        }
        Ok(())
    });
}

async fn check_references(on: &ControlPlane) -> anyhow::Result<()> {
    let contents = on.contents().await?;
    let entities = |collection: &str| contents[collection].as_array().cloned().unwrap_or_default();
    for (from, member, to) in [("routes", "service", "services"), ("key-auths", "consumer", "consumers")] {
        let targets: BTreeSet<String> = entities(to).iter().map(|target| target["id"].to_string()).collect();
        for entity in entities(from) {
            let target = entity[member]["id"].to_string();
            anyhow::ensure!(
                targets.contains(&target),
                "{from} {} refers to the missing {target}",
                entity["id"]
            );
        }
    }
    Ok(())
}

#[test]
fn pages_hold_each_entity_once_and_tags_select() {
    run(async {
        let on = ControlPlane::create(shared().await?, "pages").await?;
        for number in 0..23 {
            let tags = if number % 2 == 0 { json!(["even", "all"]) } else { json!(["all"]) };
            let body = json!({ "username": format!("u{number}"), "tags": tags });
            on.api.post(&on.entity("consumers"), &body).await?.expect(201)?;
        }
        for (tags, expected) in
            [("", 23), ("&tags=all", 23), ("&tags=even", 12), ("&tags=all,even", 12), ("&tags=odd", 0)]
        {
            let mut next = Some(on.entity(&format!("consumers?size=5{tags}")));
            let mut seen = BTreeSet::new();
            while let Some(path) = next {
                let page = on.api.get(&path).await?.expect(200)?;
                let data = page["data"].as_array().cloned().unwrap_or_default();
                assert!(data.len() <= 5);
                for entity in data {
                    assert!(seen.insert(entity["id"].to_string()), "{entity} comes twice with {tags:?}");
                }
                next = page["next"].as_str().map(str::to_owned);
            }
            assert_eq!(seen.len(), expected, "{tags:?}");
        }
        Ok(())
    });
}

#[test]
fn nobody_has_applied_a_version_that_does_not_exist() {
    run(async {
        let (on, gateway) = crate::fixtures::served(shared().await?, "future").await?;
        let version = on.version().await?;
        let asked = async |version: &str| {
            on.api.get(&on.path(&format!("propagation?version={version}"))).await?.expect(200)
        };
        let now =
            on.api.get(&on.path(&format!("propagation?version={version}&wait=10s"))).await?.expect(200)?;
        assert_eq!((&now["complete"], &now["applied"], &now["nodes"]), (&json!(true), &json!(1), &json!(1)));
        for future in [(version + 1).to_string(), i64::MAX.to_string()] {
            assert_eq!(asked(&future).await?["complete"], false, "{future}");
        }
        for beyond in [u64::MAX.to_string(), "9223372036854775808".to_owned()] {
            let answer = on.api.get(&on.path(&format!("propagation?version={beyond}"))).await?;
            let refused = answer.status == 400;
            assert!(refused || answer.json()?["complete"] == false, "{beyond}: {answer:?}");
        }
        gateway.process().stop().await?;
        Ok(())
    });
}
