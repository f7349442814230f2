//! `/v2/control-planes`: what each endpoint answers, its errors included.

use access::{Action, Visible};
use axum::http::{Method, StatusCode};
use ids::ControlPlaneId;
use serde_json::{Value, json};

use crate::world::World;

const ALL: &str = "/v2/control-planes";

fn names(page: &Value) -> Vec<&str> {
    let data = page["data"].as_array().expect("a list");
    data.iter().map(|one| one["name"].as_str().expect("a name")).collect()
}

#[tokio::test]
async fn a_control_plane_is_made_shown_changed_and_deleted() {
    let world = World::new().await;
    let body = json!({"name": "edge", "description": "at the edge", "labels": {"env": "test"}});
    let made = world.post(ALL, &body).await.expect(StatusCode::CREATED);
    assert_eq!(made["name"], "edge");
    let config = json!({
        "control_plane_endpoint": "sync.us.example:443", "telemetry_endpoint": "sync.us.example:443",
        "cluster_type": "CLUSTER_TYPE_CONTROL_PLANE", "auth_type": "pki_client_certs",
        "cloud_gateway": false, "proxy_urls": [],
    });
    assert_eq!(made["config"], config);
    assert_eq!((&made["version"], &made["labels"]["env"]), (&json!(0), &json!("test")));
    let id: ControlPlaneId = made["id"].as_str().expect("an id").parse().expect("an id");
    assert_eq!(*world.peers.creators.lock().expect("lock"), [id], "its maker is its Admin");

    let path = format!("{ALL}/{id}");
    assert_eq!(world.get(&path).await.expect(StatusCode::OK), made);
    let changed =
        world.patch(&path, &json!({"description": "new", "labels": {}})).await.expect(StatusCode::OK);
    assert_eq!((&changed["name"], &changed["description"]), (&json!("edge"), &json!("new")));
    assert_eq!(changed["labels"], json!({}));
    let again = json!({"name": null, "description": "new", "labels": {"gone": null}});
    let again = world.patch(&path, &again).await.expect(StatusCode::OK);
    assert_eq!(again, changed, "nothing changed, and not now");
    let reset =
        world.patch(&path, &json!({"description": null, "labels": null})).await.expect(StatusCode::OK);
    assert_eq!((&reset["name"], &reset["description"]), (&json!("edge"), &json!("")));
    assert_eq!(world.get(format!("{path}/expected-config-version")).await.body["expected_config_version"], 0);

    // As Kong's Terraform provider sends it.
    let body = json!({"name": "terraform", "cluster_type": "CLUSTER_TYPE_CONTROL_PLANE",
        "auth_type": "pki_client_certs", "cloud_gateway": false, "proxy_urls": []});
    let terraform = world.post(ALL, &body).await.expect(StatusCode::CREATED);
    let of_terraform = format!("{ALL}/{}", terraform["id"].as_str().expect("an id"));
    let patch = json!({"name": "terraform", "auth_type": "pinned_client_certs", "proxy_urls": []});
    world.patch(&of_terraform, &patch).await.expect(StatusCode::OK);

    world.delete(&path).await.expect(StatusCode::NO_CONTENT);
    for answer in [world.get(&path).await, world.delete(&path).await, world.patch(&path, &json!({})).await] {
        assert_eq!(answer.problem(StatusCode::NOT_FOUND).0, "not-found");
    }
    let actions = ["create", "update", "update", "update", "create", "update", "delete"];
    let audited = actions.map(|action| (format!("control-plane.{action}"), true));
    assert_eq!(world.audit().await, audited);
}

#[tokio::test]
async fn a_name_is_given_once_and_a_page_shows_what_the_caller_may_see() {
    let world = World::new().await;
    let mut paths = Vec::new();
    for name in ["a", "b", "c"] {
        paths.push(world.plane(name).await);
    }
    let taken = world.post(ALL, &json!({"name": "b"})).await.problem(StatusCode::CONFLICT);
    assert!(taken.1.contains("has a control plane with this name"), "{taken:?}");
    let taken = world.patch(&paths[0], &json!({"name": "b"})).await.problem(StatusCode::CONFLICT);
    assert_eq!(taken.0, "conflict");

    let first = world.get(format!("{ALL}?page[size]=2&page[number]=1")).await.expect(StatusCode::OK);
    assert_eq!((names(&first), &first["meta"]["page"]["total"]), (vec!["a", "b"], &json!(3)));
    let second = world.get(format!("{ALL}?page[size]=2&page[number]=2")).await.expect(StatusCode::OK);
    assert_eq!(names(&second), ["c"]);
    let named = world.get(format!("{ALL}?filter[name]=b")).await.expect(StatusCode::OK);
    assert_eq!(names(&named), ["b"]);

    let only: ControlPlaneId = paths[2].rsplit('/').next().expect("an id").parse().expect("an id");
    *world.peers.visible.lock().expect("lock") = Visible { all: false, ids: vec![only], recheck: true };
    assert_eq!(names(&world.get(ALL).await.expect(StatusCode::OK)), ["c"]);
    world.peers.deny(Action::CpList);
    assert_eq!(names(&world.get(ALL).await.expect(StatusCode::OK)), Vec::<&str>::new(), "asked again");
}

#[tokio::test]
async fn what_is_not_supported_or_not_allowed_is_refused() {
    let world = World::new().await;
    let path = world.plane("edge").await;
    for (body, field) in [
        (json!({"name": ""}), "name"),
        (json!({"name": "x", "cluster_type": "CLUSTER_TYPE_SERVERLESS"}), "cluster_type"),
        (json!({"name": "x", "auth_type": "none"}), "auth_type"),
        (json!({"name": "x", "cloud_gateway": true}), "cloud_gateway"),
        (json!({"name": "x", "proxy_urls": [{"host": "a", "port": 1, "protocol": "http"}]}), "proxy_urls"),
        (json!({"name": "x", "labels": {"": "v"}}), "labels"),
        (json!({"name": "x", "labels": {"k": "v".repeat(64)}}), "labels"),
    ] {
        let (name, detail) = world.post(ALL, &body).await.problem(StatusCode::BAD_REQUEST);
        assert_eq!(name, "invalid-body");
        assert!(detail.starts_with(field), "{body}: {detail}");
    }
    let labels: serde_json::Map<_, _> = (0..51).map(|n| (format!("k{n}"), json!("v"))).collect();
    world.patch(&path, &json!({"labels": labels})).await.problem(StatusCode::BAD_REQUEST);

    for (action, method, path) in [
        (Action::CpCreate, Method::POST, ALL.to_owned()),
        (Action::CpRetrieve, Method::GET, path.clone()),
        (Action::CpUpdate, Method::PATCH, path.clone()),
        (Action::CpDelete, Method::DELETE, path.clone()),
        (Action::NodeList, Method::GET, format!("{path}/nodes")),
        (Action::NodeList, Method::GET, format!("{path}/propagation")),
        (Action::NodeEnrol, Method::GET, format!("{path}/enrolment-tokens")),
        (Action::ConfigApply, Method::PUT, format!("{path}/declarative")),
        (Action::ServiceRead, Method::GET, format!("{path}/core-entities/services")),
        (Action::ServiceWrite, Method::POST, format!("{path}/core-entities/services")),
    ] {
        world.peers.deny(action);
        let answer = world.call(method, &path).json(&json!({"name": "x"})).send().await;
        assert_eq!(answer.problem(StatusCode::FORBIDDEN).0, "forbidden", "{path}");
    }
}

/// Another organization's control plane does not exist for the caller.
#[tokio::test]
async fn another_organizations_control_plane_is_not_found() {
    let world = World::new().await;
    let path = world.plane("edge").await;
    world.execute("UPDATE regional.control_plane SET organization_id = gen_random_uuid()").await;
    for below in ["", "/nodes", "/core-entities/services", "/enrolment-tokens", "/propagation"] {
        world.get(format!("{path}{below}")).await.problem(StatusCode::NOT_FOUND);
    }
}

/// The same key has the same answer, whatever became of the connection; another body under the key is refused.
#[tokio::test]
async fn a_request_that_comes_again_has_one_effect() {
    let world = World::new().await;
    let create = |name: &str| {
        world.call(Method::POST, ALL).header("idempotency-key", "k-1").json(&json!({ "name": name })).send()
    };
    let first = create("edge").await;
    let again = create("edge").await;
    assert_eq!(again.header("idempotent-replayed"), Some("true"));
    assert_eq!(first.expect(StatusCode::CREATED), again.expect(StatusCode::CREATED));
    assert_eq!(create("other").await.problem(StatusCode::UNPROCESSABLE_ENTITY).0, "idempotency-key-reused");
    assert_eq!(names(&world.get(ALL).await.body), ["edge"]);
}
