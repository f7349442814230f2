use axum::{
    body::Body,
    http::{Request, StatusCode},
};
use http_body_util::BodyExt as _;
use serde_json::Value;
use tower::ServiceExt as _;

use super::{Given, Parameter, Query, QueryParameters, Values};
use crate::{Api, Cursor, Endpoint, Problem};

struct Apply {
    dry_run: bool,
}

impl QueryParameters for Apply {
    fn parameters() -> Vec<Parameter> {
        vec![
            Parameter::new("dry_run", Values::Boolean, "Tell the difference only.", "true").default("false"),
            Parameter::text("tags", "Tags, with commas.", "a,b"),
        ]
    }

    fn read(given: &Given) -> Result<Self, Problem> {
        Ok(Self { dry_run: given.is_true("dry_run") })
    }
}

fn api() -> Api<()> {
    let apply = async |Query(Apply { dry_run }): Query<Apply>| axum::Json(dry_run);
    let list = async |Query(cursor): Query<Cursor>| axum::Json(cursor.size());
    let plain = async || axum::Json(true);
    Api::new("test", |_endpoint, route| route)
        .endpoint(Endpoint::put("/apply", "apply").query::<Apply>().answers::<bool>(StatusCode::OK), apply)
        .endpoint(Endpoint::get("/list", "list").query::<Cursor>().answers::<u32>(StatusCode::OK), list)
        .endpoint(Endpoint::get("/plain", "plain").answers::<bool>(StatusCode::OK), plain)
        .endpoint(Endpoint::post("/plain", "plain").answers::<bool>(StatusCode::OK), plain)
}

async fn ask(method: &str, uri: &str) -> (StatusCode, Value) {
    let request = Request::builder().method(method).uri(uri).body(Body::empty()).expect("a request");
    let response = api().router().oneshot(request).await.expect("an answer");
    let status = response.status();
    let body = response.into_body().collect().await.expect("a body").to_bytes();
    (status, serde_json::from_slice(&body).unwrap_or_default())
}

/// What is wrong with the query of `uri`: the parameter and the sentence.
async fn refused(method: &str, uri: &str) -> (String, String) {
    let (status, body) = ask(method, uri).await;
    assert_eq!(status, StatusCode::BAD_REQUEST, "{method} {uri}: {body}");
    assert_eq!(body["type"], "urn:landbridge:problem:invalid-parameter");
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    (text(&body["invalid_parameters"][0]["field"]), text(&body["detail"]))
}

#[tokio::test]
async fn a_misspelt_parameter_is_refused_with_what_was_meant() {
    for misspelt in
        ["dry-run", "dryRun", "dry_run%20", "dry%5Frun+", "DRY_RUN", "dryrun", "dry_rum", "%EF%BB%BFdry_run"]
    {
        let (_, detail) = refused("PUT", &format!("/apply?{misspelt}=true")).await;
        assert!(
            detail.contains("did you mean dry_run? this endpoint takes dry_run, tags"),
            "{misspelt}: {detail}"
        );
    }
    let (field, detail) = refused("PUT", "/apply?dry-run=true").await;
    assert_eq!(field, "dry-run");
    assert!(detail.starts_with("dry-run: no such query parameter; "), "{detail}");
    let (_, detail) = refused("GET", "/list?page%5Bnumber%5D=2").await;
    assert!(detail.ends_with("this endpoint takes page[size], page[after]"), "{detail}");
    let (_, detail) = refused("PUT", "/apply?whatever=1").await;
    assert!(!detail.contains("did you mean"), "{detail}");
}

#[tokio::test]
async fn an_endpoint_without_parameters_takes_none() {
    for query in ["x=1", "x", "=1", "filter[id][eq]=1", "%00=1", "\u{3f}"] {
        for method in ["GET", "HEAD", "POST"] {
            let uri = format!("/plain?{query}");
            let (status, body) = ask(method, &uri).await;
            assert_eq!(status, StatusCode::BAD_REQUEST, "{method} {uri}: {body}");
        }
    }
    let (_, detail) = refused("GET", "/plain?x=1").await;
    assert_eq!(detail, "x: no such query parameter; this endpoint takes none");
    refused("GET", "/openapi.json?x=1").await;
    for query in ["", "?", "?&", "?&&"] {
        assert_eq!(ask("GET", &format!("/plain{query}")).await.0, StatusCode::OK, "{query}");
    }
    assert_eq!(ask("PATCH", "/plain?x=1").await.0, StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(ask("GET", "/nowhere?x=1").await.0, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_value_is_one_that_the_parameter_takes_and_is_given_once() {
    for value in ["yes", "1", "True", "TRUE", "", "true ", "%00"] {
        let (field, detail) = refused("PUT", &format!("/apply?dry_run={value}").replace(' ', "%20")).await;
        assert_eq!(
            (field.as_str(), detail.as_str()),
            ("dry_run", "dry_run: must be `true` or `false`"),
            "{value}"
        );
    }
    refused("PUT", "/apply?dry_run").await;
    for twice in ["dry_run=true&dry_run=true", "dry_run=true&dry%5frun=false", "tags=a&tags=b"] {
        let (_, detail) = refused("PUT", &format!("/apply?{twice}")).await;
        assert!(detail.ends_with("is given more than once"), "{detail}");
    }
    refused("PUT", "/apply?tags=a%00b").await;
    for size in ["0", "101", "-1", "+1", "1e1", "", "x", "99999999999999999999"] {
        let (field, _) = refused("GET", &format!("/list?page[size]={size}").replace('+', "%2B")).await;
        assert_eq!(field, "page[size]", "{size}");
    }
}

#[tokio::test]
async fn a_path_with_a_dot_segment_names_nothing() {
    for path in [
        "/a/../plain",
        "/a/%2e%2e/plain",
        "/./plain",
        "/a%2f..%2fplain",
        "/a%5c..",
        "/%252e%252e",
        "/plain/..;x",
    ] {
        let (field, _) = refused("GET", path).await;
        assert_eq!(field, "path", "{path}");
    }
    assert_eq!(ask("GET", "/.../..a").await.0, StatusCode::NOT_FOUND);
}

#[test]
fn each_list_has_a_schema_of_its_own() {
    #[derive(serde::Serialize, utoipa::ToSchema)]
    struct Apple {
        red: bool,
    }
    #[derive(serde::Serialize, utoipa::ToSchema)]
    struct Pear {
        green: bool,
    }
    let (apples, pears) =
        (async || axum::Json(Apple { red: true }), async || axum::Json(Pear { green: true }));
    let api = Api::<()>::new("test", |_endpoint, route| route)
        .endpoint(Endpoint::get("/apples", "").answers::<crate::Cursored<Apple>>(StatusCode::OK), apples)
        .endpoint(Endpoint::get("/pears", "").answers::<crate::NumberedPage<Pear>>(StatusCode::OK), pears);
    let document = serde_json::to_value(api.openapi()).expect("JSON");
    for (path, item, list) in [("/apples", "Apple", "AppleList"), ("/pears", "Pear", "PearList")] {
        let shown =
            &document["paths"][path]["get"]["responses"]["200"]["content"]["application/json"]["schema"];
        assert_eq!(shown["$ref"], format!("#/components/schemas/{list}"));
        let schemas = &document["components"]["schemas"];
        assert_eq!(
            schemas[list]["properties"]["data"]["items"]["$ref"],
            format!("#/components/schemas/{item}")
        );
        let meta = schemas[list]["properties"]["meta"]["$ref"].as_str().expect("a reference");
        assert!(!schemas[meta.rsplit('/').next().expect("a name")].is_null(), "{meta}");
    }
}

#[tokio::test]
async fn what_is_declared_is_read() {
    assert_eq!(ask("PUT", "/apply?dry_run=true&tags=").await, (StatusCode::OK, true.into()));
    assert_eq!(ask("PUT", "/apply?dry_run=false").await, (StatusCode::OK, false.into()));
    assert_eq!(ask("PUT", "/apply").await, (StatusCode::OK, false.into()));
    assert_eq!(ask("GET", "/list?page%5Bsize%5D=7").await, (StatusCode::OK, 7.into()));
    assert_eq!(ask("GET", "/list").await, (StatusCode::OK, 20.into()));
}

#[test]
fn openapi_has_every_parameter() {
    let document = serde_json::to_value(api().openapi()).expect("JSON");
    let parameters = document["paths"]["/apply"]["put"]["parameters"].as_array().expect("parameters");
    let found = parameters.iter().find(|parameter| parameter["name"] == "dry_run").expect("dry_run");
    assert_eq!((&found["in"], &found["required"]), (&"query".into(), &false.into()));
    assert_eq!(found["schema"], serde_json::json!({"type": "boolean", "default": false}));
    assert_eq!(found["example"], true);
    assert_eq!(found["description"], "Tell the difference only.");
    for endpoint in api().endpoints() {
        for parameter in endpoint.parameters() {
            for value in parameter.default.into_iter().chain([parameter.example.as_ref()]) {
                assert_eq!(parameter.values.check(value), Ok(()), "{} {value}", parameter.name);
            }
        }
    }
}
