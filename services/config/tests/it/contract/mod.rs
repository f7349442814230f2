//! What the API promises of entities, kind by kind: every kind in the table keeps the same contract.

mod bounds;
mod subject;

use axum::http::{Method, StatusCode};
use gateway_model::{Child, Kind, OnDelete};
use serde_json::{Value, json};
use uuid::Uuid;

use self::subject::{Subject, distinct_fields, id, references};
use crate::world::World;

/// Does `check` with each kind, in a control plane of its own.
async fn with_each_kind(check: impl AsyncFn(Subject<'_>)) {
    let world = World::new().await;
    for kind in Kind::ALL {
        check(Subject::new(&world, kind).await).await;
    }
}

/// Whether another entity can have other values: what is unique is in its fields or in what it refers to.
fn can_be_repeated(kind: Kind) -> bool {
    let fields = distinct_fields(kind);
    let example = kind.example();
    let varies = |field: &str| example[field].is_string() || example[field].is_array();
    !references(kind).is_empty() || fields.is_empty() || fields.into_iter().any(varies)
}

/// Whether `shown` has all that was sent, lists in the order that they were sent in.
#[track_caller]
fn assert_holds(kind: Kind, shown: &Value, sent: &Value) {
    let Some(fields) = sent.as_object() else {
        assert_eq!(shown, sent, "{kind:?}");
        return;
    };
    for (name, value) in fields {
        assert_holds(kind, &shown[name], value);
    }
}

/// The ids of all pages, which are of this size.
async fn ids_of(subject: &Subject<'_>, path: &str, size: usize) -> Vec<String> {
    let separator = if path.contains('?') { '&' } else { '?' };
    let (mut next, mut all) = (format!("{path}{separator}size={size}"), Vec::new());
    loop {
        let page = subject.get(&next).await.expect(StatusCode::OK);
        let data = page["data"].as_array().expect("a list");
        assert!(data.len() <= size);
        all.extend(data.iter().map(|one| id(one).to_owned()));
        match (page["next"].as_str(), page["offset"].as_str()) {
            (Some(path), Some(_)) => path.clone_into(&mut next),
            (None, None) => return all,
            other => panic!("next and offset come together: {other:?}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_entity_is_shown_as_it_was_sent_with_stable_defaults() {
    with_each_kind(async |subject| {
        let kind = subject.kind;
        let body = subject.body().await;
        let created = subject.post(&body).await;
        assert!(created.header("etag").is_some(), "{kind:?}");
        let created = created.expect(StatusCode::CREATED);
        if !hides_secrets(kind) {
            assert_holds(kind, &created, &body);
        }
        assert!(created["created_at"].is_i64() && created["updated_at"].is_i64(), "{kind:?}");
        assert_eq!(subject.get(&subject.one(&created)).await.expect(StatusCode::OK), created, "{kind:?}");
        let listed = subject.get(&subject.all()).await.expect(StatusCode::OK);
        assert_eq!(listed["data"], json!([created]), "{kind:?}");
    })
    .await;
}

/// Whether what is shown of a secret is not what was sent: a password is shown as its hash.
fn hides_secrets(kind: Kind) -> bool {
    kind.name() == "basic_auth"
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_put_makes_and_replaces_and_the_same_again_writes_nothing() {
    with_each_kind(async |subject| {
        let kind = subject.kind;
        let body = subject.body().await;
        let path = format!("{}/{}", subject.all(), Uuid::now_v7());
        let made = subject.send(Method::PUT, &path, &body).await.expect(StatusCode::OK);
        assert!(path.ends_with(id(&made)), "{kind:?}");
        let version = subject.version().await;
        let again = subject.send(Method::PUT, &path, &body).await.expect(StatusCode::OK);
        assert_eq!((&again, subject.version().await), (&made, version.clone()), "{kind:?}: sent again");
        // What is shown can be sent back, as whoever edits it does.
        let shown = subject.send(Method::PUT, &path, &made).await.expect(StatusCode::OK);
        assert_eq!((&shown, subject.version().await), (&made, version), "{kind:?}: sent back");

        let mut other = body.clone();
        other["tags"] = json!(["other"]);
        let replaced = subject.send(Method::PUT, &path, &other).await.expect(StatusCode::OK);
        assert_eq!(replaced["tags"], json!(["other"]), "{kind:?}");
        assert_eq!(
            (&replaced["id"], &replaced["created_at"]),
            (&made["id"], &made["created_at"]),
            "{kind:?}"
        );
        if let Some(name) = kind.name_field().and_then(|field| body[field].as_str()) {
            let by_name = format!("{}/{name}", subject.all());
            assert_eq!(subject.get(&by_name).await.expect(StatusCode::OK), replaced, "{kind:?}");
            let put = subject.send(Method::PUT, &by_name, &body).await.expect(StatusCode::OK);
            assert_eq!(put["id"], made["id"], "{kind:?}");
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_patch_changes_one_field_and_keeps_the_others() {
    with_each_kind(async |subject| {
        let kind = subject.kind;
        let made = subject.make().await;
        let path = subject.one(&made);
        let version = subject.version().await;
        for nothing in [json!({}), json!({"tags": made["tags"]})] {
            let same = subject.send(Method::PATCH, &path, &nothing).await.expect(StatusCode::OK);
            assert_eq!((&same, subject.version().await), (&made, version.clone()), "{kind:?}: {nothing}");
        }
        let changed = subject.send(Method::PATCH, &path, &json!({"tags": ["changed"]})).await;
        let changed = changed.expect(StatusCode::OK);
        let mut expected = made.clone();
        expected["tags"] = json!(["changed"]);
        expected["updated_at"] = changed["updated_at"].clone();
        assert_eq!(changed, expected, "{kind:?}");
        let reset = subject.send(Method::PATCH, &path, &json!({"tags": null})).await.expect(StatusCode::OK);
        assert_eq!(reset["tags"], Value::Null, "{kind:?}");
        let nobody = format!("{}/{}", subject.all(), Uuid::now_v7());
        subject.send(Method::PATCH, &nobody, &json!({})).await.problem(StatusCode::NOT_FOUND);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_unique_is_taken_once() {
    with_each_kind(async |subject| {
        let kind = subject.kind;
        let mut body = subject.body().await;
        let made = subject.post(&body).await.expect(StatusCode::CREATED);
        let version = subject.version().await;
        if !distinct_fields(kind).is_empty() {
            let taken = subject.post(&body).await.expect(StatusCode::CONFLICT);
            let field = taken["invalid_parameters"][0]["field"].as_str().expect("a field");
            assert!(distinct_fields(kind).contains(&field), "{kind:?}: {taken}");
        }
        body["id"] = made["id"].clone();
        subject.post(&body).await.expect(StatusCode::CONFLICT);
        assert_eq!(subject.version().await, version, "{kind:?}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reference_leads_to_something_that_is_there() {
    with_each_kind(async |subject| {
        let kind = subject.kind;
        for reference in references(kind) {
            let mut body = subject.body().await;
            let there = body[reference.field].clone();
            body[reference.field] = json!({ "id": Uuid::now_v7() });
            let refused = subject.post(&body).await.expect(StatusCode::BAD_REQUEST);
            assert_eq!(refused["invalid_parameters"][0]["field"], reference.field, "{kind:?}: {refused}");

            let target = format!("{}/{}", subject.collection(reference.kind), id(&there));
            let found = subject.get(&target).await.expect(StatusCode::OK);
            if let Some((field, name)) =
                reference.kind.name_field().and_then(|field| Some((field, found[field].as_str()?)))
            {
                body[reference.field] = json!({ field: name });
                let made = subject.post(&body).await.expect(StatusCode::CREATED);
                assert_eq!(made[reference.field], there, "{kind:?}");
            }
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_referred_to_goes_with_its_referrers_or_not_at_all() {
    with_each_kind(async |subject| {
        let kind = subject.kind;
        for reference in references(kind) {
            let made = subject.make().await;
            let target = format!("{}/{}", subject.collection(reference.kind), id(&made[reference.field]));
            let deleted = subject.send(Method::DELETE, &target, &Value::Null).await;
            let left = subject.get(&subject.one(&made)).await.status;
            match reference.on_delete {
                OnDelete::Cascade => {
                    deleted.expect(StatusCode::NO_CONTENT);
                    assert_eq!(left, StatusCode::NOT_FOUND, "{kind:?} {}", reference.field);
                }
                OnDelete::Restrict => {
                    let (problem, detail) = deleted.problem(StatusCode::BAD_REQUEST);
                    assert!(problem == "in-use" && detail.contains(id(&made)), "{kind:?}: {detail}");
                    assert_eq!(left, StatusCode::OK, "{kind:?} {}", reference.field);
                }
            }
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_delete_can_be_repeated() {
    with_each_kind(async |subject| {
        let path = subject.one(&subject.make().await);
        for _ in 0..2 {
            subject.send(Method::DELETE, &path, &Value::Null).await.expect(StatusCode::NO_CONTENT);
            subject.get(&path).await.problem(StatusCode::NOT_FOUND);
        }
        let nobody = format!("{}/{}", subject.all(), Uuid::now_v7());
        subject.send(Method::DELETE, &nobody, &Value::Null).await.expect(StatusCode::NO_CONTENT);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_list_has_each_entity_once_and_is_narrowed() {
    with_each_kind(async |subject| {
        let kind = subject.kind;
        let mut made = Vec::new();
        for number in 0..if can_be_repeated(kind) { 5 } else { 1 } {
            let mut body = subject.body().await;
            body["tags"] = json!(["all", format!("n{number}"), if number % 2 == 0 { "even" } else { "odd" }]);
            made.push(subject.post(&body).await.expect(StatusCode::CREATED));
        }
        let ids: Vec<&str> = made.iter().map(id).collect();
        let own = |listed: Vec<String>| -> Vec<String> {
            // Entities of the same kind that others refer to are there too.
            listed.into_iter().filter(|one| ids.contains(&one.as_str())).collect()
        };
        for size in [1, 2, 1000] {
            assert_eq!(own(ids_of(&subject, &subject.all(), size).await), ids, "{kind:?} by {size}");
        }
        let tagged = async |tags: &str| ids_of(&subject, &format!("{}?tags={tags}", subject.all()), 2).await;
        let even: Vec<&str> = ids.iter().copied().step_by(2).collect();
        assert_eq!(tagged("all,even").await, even, "{kind:?}");
        assert_eq!(tagged("odd/even").await, ids, "{kind:?}");
        assert_eq!(tagged("n0/none").await, ids[..1], "{kind:?}");
        assert_eq!(tagged("none").await, Vec::<String>::new(), "{kind:?}");

        let last = made.last().expect("one");
        for field in kind.shown_unique_fields() {
            let Some(value) = last[field].as_str() else { continue };
            for filter in ["eq", "contains"] {
                let path = format!("{}?filter[{field}][{filter}]={}", subject.all(), encoded(value));
                assert_eq!(ids_of(&subject, &path, 2).await, [id(last)], "{kind:?} {field} {filter}");
            }
        }
    })
    .await;
}

fn encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn entities_are_made_found_and_deleted_below_their_parents() {
    with_each_kind(async |subject| {
        let kind = subject.kind;
        for parent in Kind::ALL {
            let own = |child: &&Child| child.kind == kind && child.joins.is_none();
            for child in parent.children().iter().filter(own) {
                let mut body = subject.body().await;
                let Some(above) = body[child.parent_field]["id"].as_str().map(str::to_owned) else {
                    continue;
                };
                body.as_object_mut().expect("an object").remove(child.parent_field);
                let below = format!("{}/{above}/{}", subject.collection(parent), child.segment);
                let made = subject.send(Method::POST, &below, &body).await.expect(StatusCode::CREATED);
                assert_eq!(made[child.parent_field]["id"], above, "{kind:?}");
                assert_eq!(ids_of(&subject, &below, 2).await, [id(&made)], "{kind:?}");
                let one = format!("{below}/{}", id(&made));
                assert_eq!(subject.get(&one).await.expect(StatusCode::OK), made, "{kind:?}");
                let patched = subject.send(Method::PATCH, &one, &json!({"tags": ["x"]})).await;
                assert_eq!(patched.expect(StatusCode::OK)["tags"], json!(["x"]), "{kind:?}");
                subject.send(Method::PUT, &one, &body).await.expect(StatusCode::OK);
                let elsewhere =
                    subject.body().await[child.parent_field]["id"].as_str().expect("an id").to_owned();
                let elsewhere =
                    format!("{}/{elsewhere}/{}/{}", subject.collection(parent), child.segment, id(&made));
                subject.get(&elsewhere).await.problem(StatusCode::NOT_FOUND);
                subject.send(Method::DELETE, &elsewhere, &Value::Null).await.expect(StatusCode::NO_CONTENT);
                subject.get(&one).await.expect(StatusCode::OK);
                subject.send(Method::DELETE, &one, &Value::Null).await.expect(StatusCode::NO_CONTENT);
                subject.get(&one).await.problem(StatusCode::NOT_FOUND);
            }
        }
    })
    .await;
}
