//! Every bound that a kind's schema names is kept: one more is refused, and the field is named.

use axum::http::StatusCode;
use serde_json::{Value, json};

use super::{subject::Subject, with_each_kind};

/// A value that breaks a bound, for the field at a path in the body.
struct Broken {
    path: Vec<String>,
    value: Value,
}

/// One broken value for each bound of the schema's fields, those of objects within included.
fn broken(schema: &Value, path: &[String], found: &mut Vec<Broken>) {
    for (name, field) in schema["properties"].as_object().into_iter().flatten() {
        // What is given there is not read.
        if field["readOnly"] == true {
            continue;
        }
        let path: Vec<String> = path.iter().cloned().chain([name.clone()]).collect();
        let mut values = Vec::new();
        let number = |key: &str| field[key].as_i64();
        values.extend(number("minimum").map(|min| json!(min - 1)));
        values.extend(number("maximum").map(|max| json!(max + 1)));
        values.extend(
            number("maxLength").map(|max| json!("x".repeat(usize::try_from(max + 1).expect("a length")))),
        );
        values.extend(number("maxItems").map(|max| (0..=max).map(|n| format!("x{n}")).collect()));
        values.extend(number("minItems").filter(|min| *min > 0).map(|_| json!([])));
        if field["enum"].is_array() {
            values.push(json!("no such word"));
        }
        // A value of another type.
        let is = |name: &str| {
            field["type"] == name || field["type"].as_array().is_some_and(|all| all.contains(&name.into()))
        };
        if ["string", "integer", "boolean", "array"].into_iter().any(is) {
            values.push(json!({"an": "object"}));
        }
        found.extend(values.into_iter().map(|value| Broken { path: path.clone(), value }));
        broken(field, &path, found);
    }
}

fn put(body: &mut Value, path: &[String], value: Value) {
    match path {
        [] => *body = value,
        [first, rest @ ..] => {
            if !body[first].is_object() && !rest.is_empty() {
                body[first] = json!({});
            }
            put(&mut body[first], rest, value);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_bound_of_a_schema_is_kept_and_the_field_is_named() {
    with_each_kind(async |subject: Subject<'_>| {
        let kind = subject.kind;
        let schema = serde_json::to_value(kind.schema()).expect("JSON");
        let body = subject.body().await;
        let version = subject.version().await;
        let mut all = Vec::new();
        broken(&schema, &[], &mut all);
        assert!(all.len() > 1, "{kind:?} has no bounds");
        for Broken { path, value } in all {
            let mut wrong = body.clone();
            put(&mut wrong, &path, value.clone());
            let refused = subject.post(&wrong).await;
            let shown = value.to_string();
            let told = format!("{kind:?} {}: {}", path.join("."), shown.get(..100).unwrap_or(&shown));
            assert_eq!(refused.status, StatusCode::BAD_REQUEST, "{told}: {}", refused.body);
            let fields = refused.body["invalid_parameters"].as_array().expect("fields").iter();
            // A reference is refused as a whole.
            let at = path.join(".");
            let mut names = fields.filter_map(|error| error["field"].as_str());
            let is_named =
                names.any(|name| name.starts_with(&at) || (!name.is_empty() && at.starts_with(name)));
            assert!(is_named, "{told}: {}", refused.body);
        }
        assert_eq!(subject.version().await, version, "{kind:?}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_in_a_schema_is_refused_by_name() {
    with_each_kind(async |subject: Subject<'_>| {
        let kind = subject.kind;
        for (field, value) in [("colour", json!("red")), ("Tags", json!(["a"])), ("name ", json!(1))] {
            let mut body = subject.body().await;
            body[field] = value;
            let refused = subject.post(&body).await.expect(StatusCode::BAD_REQUEST);
            let named = refused["invalid_parameters"][0]["field"].as_str().expect("a field");
            assert_eq!(named.trim(), field.trim(), "{kind:?}: {refused}");
        }
        let path = format!("{}?size=1001", subject.all());
        subject.get(&path).await.problem(StatusCode::BAD_REQUEST);
        let path = format!("{}?colour=red", subject.all());
        subject.get(&path).await.problem(StatusCode::BAD_REQUEST);
    })
    .await;
}
