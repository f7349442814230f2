//! Query parameters and names: what is not known is refused, and what is known works.

use axum::http::{Method, StatusCode};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::world::World;

const ALL: &str = "/v2/control-planes";

/// The names in a list.
fn shown<'a>(page: &'a Value, field: &str) -> Vec<&'a str> {
    let data = page["data"].as_array().expect("a list");
    data.iter().map(|one| one[field].as_str().expect("text")).collect()
}

fn encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

#[tokio::test]
async fn every_endpoint_refuses_what_it_does_not_know_and_takes_what_it_declares() {
    let world = World::new().await;
    let document = world.get("/openapi.json").await.expect(StatusCode::OK);
    let mut endpoints = 0;
    for (path, item) in document["paths"].as_object().expect("paths") {
        let id = Uuid::now_v7().to_string();
        let filled: Vec<&str> =
            path.split('/').map(|part| if part.starts_with('{') { id.as_str() } else { part }).collect();
        let filled = filled.join("/");
        for (method, operation) in item.as_object().expect("operations") {
            let method = Method::from_bytes(method.to_uppercase().as_bytes()).expect("a method");
            let ask = async |query: &str| {
                world.call(method.clone(), format!("{filled}?{query}")).json(&json!({})).send().await
            };
            let (problem, detail) = ask("no_such_parameter=1").await.problem(StatusCode::BAD_REQUEST);
            assert_eq!(problem, "invalid-parameter", "{method} {path}");
            assert!(
                detail.starts_with("no_such_parameter: no such query parameter; "),
                "{method} {path}: {detail}"
            );
            endpoints += 1;
            let parameters = operation["parameters"].as_array().cloned().unwrap_or_default();
            for parameter in parameters.iter().filter(|parameter| parameter["in"] == "query") {
                let name = parameter["name"].as_str().expect("a name");
                let example = match &parameter["example"] {
                    Value::String(text) => text.clone(),
                    other => other.to_string(),
                };
                let (name, example) = (encoded(name), encoded(&example));
                let answer = ask(&format!("{name}={example}")).await;
                let refused = answer.status == StatusCode::BAD_REQUEST
                    && answer.body["type"] == "urn:landbridge:problem:invalid-parameter";
                assert!(!refused, "{method} {path} {parameter}: {}", answer.body);
                let twice = ask(&format!("{name}={example}&{name}={example}")).await;
                assert!(twice.problem(StatusCode::BAD_REQUEST).1.ends_with("is given more than once"));
            }
        }
    }
    assert!(endpoints > 60, "only {endpoints} endpoints");
}

#[tokio::test]
async fn a_misspelt_dry_run_writes_nothing() {
    let world = World::new().await;
    let plane = world.plane("edge").await;
    world
        .post(format!("{plane}/core-entities/services"), &json!({"host": "a"}))
        .await
        .expect(StatusCode::CREATED);
    for query in [
        "dry-run=true",
        "dryRun=true",
        "dry_run%20=true",
        "dry_run=yes",
        "dry_run=1",
        "dry_run",
        "dry_run=true&dry_run=true",
    ] {
        let empty = world.call(Method::PUT, format!("{plane}/declarative?{query}"));
        let (_, detail) = empty
            .text("application/yaml", "_format_version: '3.0'")
            .send()
            .await
            .problem(StatusCode::BAD_REQUEST);
        assert!(detail.contains("dry_run"), "{query}: {detail}");
    }
    let left = world.get(format!("{plane}/core-entities/services")).await.expect(StatusCode::OK);
    assert_eq!(shown(&left, "host"), ["a"]);
}

#[tokio::test]
async fn control_planes_are_filtered_and_sorted_as_in_konnect() {
    let world = World::new().await;
    let mut ids = Vec::new();
    for name in ["orders", "payments", "pay"] {
        ids.push(world.plane(name).await.rsplit('/').next().expect("an id").to_owned());
    }
    let names = async |query: String| {
        let page = world.get(format!("{ALL}?{query}")).await.expect(StatusCode::OK);
        let total = page["meta"]["page"]["total"].as_u64().expect("a total");
        let names: Vec<String> = shown(&page, "name").into_iter().map(str::to_owned).collect();
        assert_eq!(total, names.len() as u64, "{query}");
        names
    };
    assert_eq!(names(format!("filter[id][eq]={}", ids[1])).await, ["payments"]);
    assert_eq!(names(format!("filter%5Bid%5D%5Beq%5D={}", Uuid::now_v7())).await, Vec::<String>::new());
    assert_eq!(names(format!("filter[id][oeq]={},{}", ids[0], ids[2])).await, ["orders", "pay"]);
    assert_eq!(names("filter[name][eq]=pay".to_owned()).await, ["pay"]);
    assert_eq!(names("filter[name]=".to_owned()).await, Vec::<String>::new());
    assert_eq!(names("filter[name][contains]=pay".to_owned()).await, ["payments", "pay"]);
    assert_eq!(names("filter[name][contains]=%25".to_owned()).await, Vec::<String>::new());
    assert_eq!(names("filter[name][neq]=pay&sort=name%20desc".to_owned()).await, ["payments", "orders"]);
    assert_eq!(names("sort=created_at%20desc".to_owned()).await, ["pay", "payments", "orders"]);
    assert_eq!(
        names("filter[cluster_type][eq]=CLUSTER_TYPE_SERVERLESS".to_owned()).await,
        Vec::<String>::new()
    );
    for (query, found) in [
        ("filter[cluster_type][neq]=CLUSTER_TYPE_CONTROL_PLANE", 0),
        ("filter[cluster_type][neq]=CLUSTER_TYPE_SERVERLESS", 3),
        ("filter[cluster_type][oeq]=CLUSTER_TYPE_SERVERLESS,CLUSTER_TYPE_CONTROL_PLANE", 3),
        ("filter[cluster_type][oeq]=CLUSTER_TYPE_SERVERLESS", 0),
        ("filter[cloud_gateway]=true", 0),
        ("filter[cloud_gateway]=false", 3),
    ] {
        assert_eq!(names(query.to_owned()).await.len(), found, "{query}");
    }
    for (id, labels) in [(&ids[0], json!({"env": "test", "team": "a"})), (&ids[1], json!({"env": "live"}))] {
        world.patch(format!("{ALL}/{id}"), &json!({"labels": labels})).await.expect(StatusCode::OK);
    }
    assert_eq!(names("labels=env:test".to_owned()).await, ["orders"]);
    assert_eq!(names("labels=env".to_owned()).await, ["orders", "payments"]);
    assert_eq!(names("labels=env,team:a".to_owned()).await, ["orders"]);
    assert_eq!(names("labels=team:%25".to_owned()).await, Vec::<String>::new());
    world.get(format!("{ALL}?labels=env:a,env:b")).await.problem(StatusCode::BAD_REQUEST);
    let second = world.get(format!("{ALL}?page=2&size=2")).await.expect(StatusCode::OK);
    assert_eq!((shown(&second, "name"), &second["meta"]["page"]["number"]), (vec!["pay"], &json!(2)));
    world.get(format!("{ALL}?page=2&page[number]=2")).await.problem(StatusCode::BAD_REQUEST);
    for wrong in [
        "filter[id][eq]=x",
        "filter[id][eq]=",
        "sort=rank",
        "filter[name]=a&filter[name][eq]=a",
        "page[number]=0",
        "filter[name][like]=a",
        "filter[description][eq]=a",
    ] {
        world.get(format!("{ALL}?{wrong}")).await.problem(StatusCode::BAD_REQUEST);
    }
}

#[tokio::test]
async fn entities_are_filtered_by_their_unique_fields() {
    let world = World::new().await;
    let plane = world.plane("edge").await;
    let consumers = format!("{plane}/core-entities/consumers");
    for n in 0..4 {
        let body = json!({"username": format!("user-{n}"), "custom_id": format!("c{n}")});
        world.post(&consumers, &body).await.expect(StatusCode::CREATED);
    }
    let names = async |query: &str| {
        let page = world.get(format!("{consumers}?{query}")).await.expect(StatusCode::OK);
        shown(&page, "username").into_iter().map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(names("custom_id=c2").await, ["user-2"]);
    assert_eq!(names("custom_id=c9").await, Vec::<String>::new());
    assert_eq!(names("filter[custom_id][eq]=c1").await, ["user-1"]);
    assert_eq!(names("filter[username][eq]=user-1&custom_id=c2").await, Vec::<String>::new());
    assert_eq!(names("filter[username][eq]=user-2&custom_id=c2").await, ["user-2"]);
    assert_eq!(names("filter[name][eq]=user-2").await, ["user-2"], "as Konnect calls it");
    assert_eq!(names("filter[name][contains]=er-2").await, ["user-2"]);
    assert_eq!(names("filter[username][contains]=er-&filter[custom_id][contains]=3").await, ["user-3"]);
    // The next page keeps the filter.
    let first =
        world.get(format!("{consumers}?size=3&filter[username][contains]=user")).await.expect(StatusCode::OK);
    let next = first["next"].as_str().expect("a next page");
    assert!(next.contains("contains"), "{next}");
    assert_eq!(shown(&world.get(next).await.expect(StatusCode::OK), "username"), ["user-3"]);
    for wrong in ["username=user-1", "filter[label][eq]=x", "custom_ids=c1", "Size=2", "page[size]=2"] {
        world.get(format!("{consumers}?{wrong}")).await.problem(StatusCode::BAD_REQUEST);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_no_url_can_carry_is_not_given() {
    let world = World::new().await;
    let plane = world.plane("edge").await;
    let at = |rest: &str| format!("{plane}/core-entities/{rest}");
    for name in ["", ".", "..", "%2e%2e", "..%2f", "a\nb", "a\u{200b}b", "a\u{202e}b", "\u{7f}"] {
        for (collection, field, more) in [
            ("services", "name", json!({"host": "a"})),
            ("routes", "name", json!({"paths": ["/a"]})),
            ("consumers", "username", json!({})),
            ("plugins", "instance_name", json!({"name": "key-auth"})),
        ] {
            let mut body = more;
            body[field] = json!(name);
            let (problem, detail) = world.post(at(collection), &body).await.problem(StatusCode::BAD_REQUEST);
            assert_eq!(problem, "invalid-body");
            assert!(detail.starts_with(field), "{body}: {detail}");
        }
        world.post(ALL, &json!({"name": name})).await.problem(StatusCode::BAD_REQUEST);
        let document = format!("_format_version: '3.0'\nconsumers: [{{username: {}}}]", json!(name));
        let apply =
            world.call(Method::PUT, format!("{plane}/declarative")).text("application/yaml", document);
        assert!(apply.send().await.status.is_client_error(), "{name:?}");
    }
    for name in ["a/../b", "a\\..\\b", "../x", "x%2f..%2fy", "/.."] {
        world.post(at("consumers"), &json!({"username": name})).await.problem(StatusCode::BAD_REQUEST);
    }
    for name in ["...", "a/b", "a b", "50%", "e\u{301}clair", "a;b", "☃"] {
        let made = world.post(at("consumers"), &json!({"username": name})).await.expect(StatusCode::CREATED);
        assert_eq!(made["username"], name, "shown as it was given");
        let one = at(&format!("consumers/{}", encoded(name)));
        assert_eq!(world.get(one).await.expect(StatusCode::OK)["id"], made["id"]);
    }
    // The same letters in another encoding are the same name.
    let taken = world.post(at("consumers"), &json!({"username": "\u{e9}clair"})).await;
    taken.problem(StatusCode::CONFLICT);
    let one = at(&format!("consumers/{}", encoded("\u{e9}clair")));
    world.get(&one).await.expect(StatusCode::OK);
    world.put(&one, &json!({"username": "\u{e9}clair", "tags": ["x"]})).await.expect(StatusCode::OK);
    world.post(ALL, &json!({"name": "caf\u{e9}"})).await.expect(StatusCode::CREATED);
    world.post(ALL, &json!({"name": "cafe\u{301}"})).await.problem(StatusCode::CONFLICT);
    let found =
        world.get(format!("{ALL}?filter[name][eq]={}", encoded("cafe\u{301}"))).await.expect(StatusCode::OK);
    assert_eq!(shown(&found, "name"), ["caf\u{e9}"]);
}

/// What was stored before names had this rule is shown, found by id and deleted. By name no URL can reach it.
#[tokio::test]
async fn an_existing_entity_with_such_a_name_is_reached_by_id() {
    let world = World::new().await;
    let plane = world.plane("edge").await;
    let consumers = format!("{plane}/core-entities/consumers");
    let made = world.post(&consumers, &json!({"username": "old"})).await.expect(StatusCode::CREATED);
    world.execute("UPDATE regional.entity SET body = replace(body, '\"old\"', '\"..\"')").await;
    world.execute("UPDATE regional.entity_key SET value = '..' WHERE value = 'old'").await;
    let id = made["id"].as_str().expect("an id");
    assert_eq!(world.get(format!("{consumers}/{id}")).await.expect(StatusCode::OK)["username"], "..");
    assert_eq!(shown(&world.get(&consumers).await.expect(StatusCode::OK), "username"), [".."]);
    let sibling = format!("{plane}/core-entities/plugins");
    let global = world.post(&sibling, &json!({"name": "key-auth"})).await.expect(StatusCode::CREATED);
    let global = global["id"].as_str().expect("an id");
    for dots in ["..", "%2e%2e", "%2E.", "%252e%252e", ".", "x%2f..", "x%5c..", "..%3b", "..;a=b"] {
        for rest in [format!("{dots}/plugins/{global}"), dots.to_owned()] {
            let answer = world.delete(format!("{consumers}/{rest}")).await;
            let (problem, detail) = answer.problem(StatusCode::BAD_REQUEST);
            assert!(problem == "invalid-parameter" && detail.starts_with("path: "), "{rest}: {detail}");
        }
    }
    world.get(format!("{sibling}/{global}")).await.expect(StatusCode::OK);
    world.delete(format!("{consumers}/{id}")).await.expect(StatusCode::NO_CONTENT);
}

#[tokio::test]
async fn plugins_are_filtered_by_the_name_that_they_share() {
    let world = World::new().await;
    let plugins = format!("{}/core-entities/plugins", world.plane("edge").await);
    for (name, tag) in [("key-auth", "a"), ("request-termination", "b")] {
        world.post(&plugins, &json!({"name": name, "tags": [tag]})).await.expect(StatusCode::CREATED);
    }
    for (query, found) in [
        ("filter[name][eq]=key-auth", vec!["key-auth"]),
        ("filter[name]=key-auth&size=1", vec!["key-auth"]),
        ("filter[name][contains]=termination", vec!["request-termination"]),
        ("filter[name][contains]=e&tags=b", vec!["request-termination"]),
        ("filter[name][eq]=key", vec![]),
        ("filter[name][contains]=%25", vec![]),
    ] {
        let page = world.get(format!("{plugins}?{query}")).await.expect(StatusCode::OK);
        assert_eq!(shown(&page, "name"), found, "{query}");
    }
}
