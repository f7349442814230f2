//! What decK reads before it writes: schemas with their defaults, validation without writing, the list of control planes.

use std::sync::PoisonError;

use access::{Action, Visible};
use axum::http::{Method, StatusCode};
use gateway_model::{Kind, Plugin};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{entities::Plane, world::World};

/// Fills in what decK fills in of a record: the default of each field that is not given, of a record those of its fields.
fn filled(record: &Value, given: &Value) -> Value {
    let fields = record["fields"].as_array().expect("fields");
    let named =
        fields.iter().map(|field| field.as_object().and_then(|all| all.iter().next()).expect("one name"));
    let value = |name: &str, field: &Value| {
        let set = given.get(name).filter(|set| !set.is_null());
        match set {
            None if field["type"] == "record" && field["required"] == true => filled(field, &json!({})),
            Some(set) if field["type"] == "record" => filled(field, set),
            Some(set) => set.clone(),
            None => field["default"].clone(),
        }
    };
    Value::Object(named.map(|(name, field)| (name.clone(), value(name, field))).collect())
}

/// decK looks for the settings of a vault below its name, and fails where the schema names none.
#[tokio::test]
async fn the_schema_of_vaults_says_which_settings_each_name_has() {
    let plane = Plane::new().await;
    let schema = plane.get("v1/schemas/json/vault").await.expect(StatusCode::OK);
    for (place, name) in ["env", "konnect"].into_iter().enumerate() {
        let choice = &schema["allOf"][place];
        assert_eq!(choice["if"]["properties"]["name"]["const"], name);
        let settings = &choice["then"]["properties"]["config"]["properties"][name];
        assert_eq!(settings, &schema["properties"]["config"]);
        assert!(settings["properties"]["prefix"].is_object(), "{settings}");
    }
    let service = plane.get("v1/schemas/json/service").await.expect(StatusCode::OK);
    assert_eq!(service.get("allOf"), None);
}

#[tokio::test]
async fn a_plugin_filled_up_by_its_schema_is_what_the_api_shows() {
    let plane = Plane::new().await;
    for name in Plugin::supported() {
        let schema = plane.get(&format!("schemas/plugins/{name}")).await.expect(StatusCode::OK);
        let field = |wanted: &str| {
            let all = schema["fields"].as_array().expect("fields");
            all.iter().find_map(|field| field.get(wanted)).expect("the field").clone()
        };
        let made = plane.post("plugins", json!({"name": name})).await;
        if made.status == StatusCode::BAD_REQUEST {
            // Some plugins cannot do without settings.
            continue;
        }
        let made = made.expect(StatusCode::CREATED);
        assert_eq!(filled(&field("config"), &json!({})), made["config"], "{name}");
        assert_eq!(field("protocols")["default"], made["protocols"], "{name}");
        assert_eq!(field("enabled")["default"], made["enabled"], "{name}");
    }
    let (problem, detail) = plane.get("schemas/plugins/nobody").await.problem(StatusCode::NOT_FOUND);
    assert!(problem == "not-found" && detail.contains("key-auth"), "{detail}");
}

#[tokio::test]
async fn the_defaults_of_a_kind_are_those_that_the_api_fills_in() {
    let plane = Plane::new().await;
    for kind in Kind::ALL {
        let schema = plane.get(&format!("v1/schemas/json/{}", kind.name())).await.expect(StatusCode::OK);
        assert!(schema["properties"].is_object(), "{kind:?}");
    }
    let schema = plane.get("v1/schemas/json/service").await.expect(StatusCode::OK);
    let made = plane.post("services", json!({"host": "h"})).await.expect(StatusCode::CREATED);
    for (field, property) in schema["properties"].as_object().expect("properties") {
        if let Some(default) = property.get("default") {
            assert_eq!(&made[field], default, "{field}");
        }
    }
    let route = plane.get("v1/schemas/json/route").await.expect(StatusCode::OK);
    let service = route["properties"]["service"].to_string();
    assert!(service.contains(r#""additionalProperties":false"#), "decK would fill it in: {service}");
    let (_, detail) = plane.get("v1/schemas/json/partial").await.problem(StatusCode::NOT_FOUND);
    assert!(detail.contains("this release has ca_certificate, certificate"), "{detail}");
}

#[tokio::test]
async fn an_entity_is_validated_without_its_parents_and_never_written() {
    let plane = Plane::new().await;
    let nobody = Uuid::now_v7();
    for (entity, body) in [
        ("services", json!({"host": "h", "id": nobody})),
        ("service", json!({"host": "h"})),
        ("routes", json!({"paths": ["/"], "service": {"id": nobody, "name": "there later"}})),
        ("consumers", json!({"username": "alice"})),
        ("plugins", json!({"name": "key-auth", "route": {"id": nobody}})),
        ("keyauth_credentials", json!({"key": "k", "consumer": {"id": nobody}})),
        ("key-auths", json!({"key": "k"})),
    ] {
        let answer = plane.post(&format!("schemas/{entity}/validate"), body).await.expect(StatusCode::OK);
        assert_eq!(answer["message"], "schema validation successful", "{entity}");
    }
    let wrong = plane.post("schemas/services/validate", json!({"port": 0, "colour": "red"})).await;
    let wrong = wrong.expect(StatusCode::BAD_REQUEST);
    let fields: Vec<&str> = wrong["invalid_parameters"]
        .as_array()
        .expect("fields")
        .iter()
        .filter_map(|error| error["field"].as_str())
        .collect();
    assert_eq!(fields, ["host", "port", "colour"]);
    plane.post("schemas/partials/validate", json!({})).await.problem(StatusCode::NOT_FOUND);
    let large = json!({"host": "h", "tags": ["x".repeat(web::BODY_BYTES_MAX)]});
    plane.post("schemas/services/validate", large).await.problem(StatusCode::PAYLOAD_TOO_LARGE);
    for kind in Kind::ALL {
        let listed = plane.get(kind.collection()).await.expect(StatusCode::OK);
        assert_eq!(listed["data"], json!([]), "{kind:?}");
    }
}

#[tokio::test]
async fn whoever_may_not_see_the_control_plane_reads_no_schema_there() {
    let plane = Plane::new().await;
    plane.world.peers.deny(Action::CpRetrieve);
    for path in ["v1/schemas/json/service", "schemas/plugins/key-auth", "workspaces/default"] {
        plane.get(path).await.problem(StatusCode::FORBIDDEN);
    }
    plane.post("schemas/services/validate", json!({"host": "h"})).await.problem(StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn a_workspace_is_refused_with_what_to_do_instead() {
    let plane = Plane::new().await;
    let refused = plane.get("workspaces/team-a").await.expect(StatusCode::BAD_REQUEST);
    let message = refused["message"].as_str().expect("a message");
    assert!(message.contains("use a control plane for each") && message.contains("--workspace"), "{message}");
    assert_eq!(plane.get("workspaces/default").await.expect(StatusCode::OK)["name"], "default");
    for all in ["workspaces", "workspaces/"] {
        let listed = plane.get(all).await.expect(StatusCode::OK);
        assert_eq!((&listed["data"][0]["name"], &listed["next"]), (&json!("default"), &Value::Null), "{all}");
    }
}

/// decK asks for what Konnect has and this release has not, for some of it once per service: that costs nobody anything.
#[tokio::test]
async fn an_unknown_collection_is_404_before_anything_is_asked() {
    let plane = Plane::new().await;
    plane.world.peers.end_session();
    for path in [
        "degraphql_routes?size=1000",
        "partials",
        "filter-chains?size=1000&tags=a",
        "custom-plugins",
        "services/0192d3a4-5b6c-7d8e-9f00-112233445566/graphql-rate-limiting-advanced/costs",
    ] {
        let refused = plane.get(path).await.expect(StatusCode::NOT_FOUND);
        assert_eq!(refused["message"], "no such endpoint", "{path}");
    }
}

#[tokio::test]
async fn deck_finds_every_control_plane_that_the_caller_may_see() {
    const LIST: &str = "/konnect-api/api/runtime_groups";
    let world = World::new().await;
    let page = |page: &Value| (page["page"].clone(), page["pageCount"].clone());
    let empty = world.get(LIST).await.expect(StatusCode::OK);
    assert_eq!((&empty["data"], page(&empty)), (&json!([]), (json!(1), json!(1))));

    let mut ids = Vec::new();
    for name in ["a", "b", "c"] {
        ids.push(world.plane(name).await.rsplit('/').next().expect("an id").to_owned());
    }
    let names = |page: &Value| -> Vec<String> {
        let data = page["data"].as_array().expect("a list").iter();
        data.map(|one| one["name"].as_str().expect("a name").to_owned()).collect()
    };
    let all = world.get(LIST).await.expect(StatusCode::OK);
    assert_eq!((names(&all), page(&all)), (vec!["a".into(), "b".into(), "c".into()], (json!(1), json!(1))));
    assert_eq!(all["data"][0]["id"], ids[0]);
    let last = world.get(format!("{LIST}?page=2&size=2")).await.expect(StatusCode::OK);
    assert_eq!((names(&last), page(&last)), (vec!["c".into()], (json!(2), json!(2))));
    let beyond = world.get(format!("{LIST}?page=9&size=100")).await.expect(StatusCode::OK);
    assert_eq!(beyond["data"], json!([]));
    world.get(format!("{LIST}?size=101")).await.problem(StatusCode::BAD_REQUEST);
    world.call(Method::POST, LIST).send().await.problem(StatusCode::METHOD_NOT_ALLOWED);

    let only = Visible { ids: vec![ids[1].parse().expect("an id")], ..Visible::default() };
    *world.peers.visible.lock().unwrap_or_else(PoisonError::into_inner) = only;
    let seen = world.get(LIST).await.expect(StatusCode::OK);
    assert_eq!((names(&seen), page(&seen)), (vec!["b".into()], (json!(1), json!(1))));
}
