//! `PATCH`: what is given replaces what is there, and null puts a field back to its default (JSON Merge Patch, RFC 7396, as in Kong's Admin
//! API). An object is merged field by field, but for a reference, which is one value.
//!
//! The entity is read, merged and validated like a body, and written only if it still has the version that was read. So a patch never undoes
//! what somebody else wrote meanwhile.

use access::Caller;
use axum::{
    body::Bytes,
    http::{HeaderMap, StatusCode},
    response::Response,
};
use gateway_model::{Entity, Invalid};
use serde_json::{Map, Value, json};
use utoipa::openapi::{RefOr, Schema};
use uuid::Uuid;
use web::Problem;

use super::{handlers::Place, input::if_match, output};
use crate::{
    control_planes::ControlPlanes,
    entities::{
        CommitError, Entities, Refusal,
        plan::{Command, Selector},
        secrets::hash_passwords,
    },
    error::{Answer, Error},
};

/// Times that an entity is read and merged anew because somebody else has written it. Each time, one of those who write it is done.
const TRIES_MAX: usize = 32;

/// Changes an entity that is there; 404 if it is not. With `If-Match`, only at that version.
pub async fn patch(
    planes: &ControlPlanes,
    entities: &Entities,
    caller: &Caller,
    (place, selector): (&Place, &Selector),
    headers: &HeaderMap,
    body: Bytes,
) -> Answer<Response> {
    planes.authorize(caller, place.control_plane, place.collection.write).await?;
    let expected = if_match(headers)?;
    for _ in 0..TRIES_MAX {
        let row = entities.row(place, selector).await?;
        let row = row.ok_or_else(|| Problem::not_found(place.kind().label()))?;
        let (id, version) = (row.id, row.version());
        if expected.is_some_and(|expected| expected != version) {
            return Err(CommitError::from(Refusal::OtherVersion).into());
        }
        let control_plane = place.control_plane;
        let (stored, body) = (row.entity(&entities.sealing(control_plane))?, body.clone());
        let parent = entities.parent(place).await?;
        let work = move || {
            let mut entity = merged(&stored, id, parent, &body)?;
            hash_passwords(control_plane, &mut entity).map_err(Problem::internal)?;
            Answer::Ok(entity)
        };
        let entity = entities.validation.bodies.run(caller.organization(), work).await??;
        let command =
            Command::Upsert { selector: Selector::Id(id), new_id: id, entity, if_match: Some(version) };
        match entities.write(caller, place.control_plane, command).await {
            Ok(outcome) => return Ok(output::outcome(StatusCode::OK, &outcome)),
            Err(Error::Commit(CommitError::Refused(Refusal::OtherVersion))) if expected.is_none() => {}
            Err(error) => return Err(error),
        }
    }
    Err(CommitError::Contended.into())
}

/// The entity `id` with the changes that a body asks for. `parent`: field and id of the entity that the path puts it below.
fn merged(
    stored: &Entity,
    id: Uuid,
    parent: Option<(&'static str, Uuid)>,
    body: &[u8],
) -> Result<Entity, Invalid> {
    let Value::Object(mut changes) = gateway_model::parse_body(body)? else {
        return Err(Invalid::one("", "the body must be a JSON object with the fields to change"));
    };
    if gateway_model::body_id(&json!({ "id": changes.remove("id") }))?.is_some_and(|given| given != id) {
        return Err(Invalid::one("id", "must be the id in the path"));
    }
    if let Some((field, id)) = parent {
        changes.insert(field.to_owned(), json!({ "id": id }));
    }
    let mut fields = stored.to_api();
    for reference in stored.references() {
        if changes.contains_key(reference.field) {
            fields.remove(reference.field);
        }
    }
    merge(&mut fields, changes);
    Entity::from_api(stored.kind(), &Value::Object(fields))
}

fn merge(into: &mut Map<String, Value>, changes: Map<String, Value>) {
    for (name, change) in changes {
        match (into.get_mut(&name), change) {
            (Some(Value::Object(fields)), Value::Object(changes)) => merge(fields, changes),
            (_, Value::Null) => drop(into.remove(&name)),
            // A field without a value in an object that was not there is left out too.
            (_, Value::Object(changes)) => {
                let mut fields = Map::new();
                merge(&mut fields, changes);
                into.insert(name, fields.into());
            }
            (_, change) => drop(into.insert(name, change)),
        }
    }
}

/// The schema of a body in which every field may be left out.
pub fn schema(body: RefOr<Schema>) -> RefOr<Schema> {
    match body {
        RefOr::T(Schema::Object(mut object)) => {
            object.required.clear();
            RefOr::T(Schema::Object(object))
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use gateway_model::Kind;

    use super::*;

    fn entity(kind: Kind, body: &Value) -> Entity {
        Entity::from_api(kind, body).expect("an entity")
    }

    #[test]
    fn what_is_given_replaces_and_null_resets() {
        let stored = entity(
            Kind::Plugin,
            &json!({"name": "key-auth", "tags": ["a"], "config": {"key_names": ["x", "y"], "hide_credentials": true}}),
        );
        let id = Uuid::now_v7();
        let after = |changes: Value| merged(&stored, id, None, changes.to_string().as_bytes());
        assert_eq!(after(json!({})), Ok(stored.clone()));
        assert_eq!(after(json!({"id": id, "created_at": 1})), Ok(stored.clone()));
        let changed =
            json!({"enabled": false, "tags": null, "config": {"key_names": ["z"], "hide_credentials": null}});
        assert_eq!(
            after(changed),
            Ok(entity(
                Kind::Plugin,
                &json!({"name": "key-auth", "enabled": false, "config": {"key_names": ["z"]}})
            ))
        );
        assert_eq!(
            after(json!({"config": null})),
            Ok(entity(Kind::Plugin, &json!({"name": "key-auth", "tags": ["a"]})))
        );
    }

    #[test]
    fn a_reference_is_one_value() {
        let (one, other) = (Uuid::now_v7(), Uuid::now_v7());
        let route = |service: Value| entity(Kind::Route, &json!({"paths": ["/"], "service": service}));
        let stored = route(json!({"id": one}));
        let after = |changes: Value, parent| merged(&stored, one, parent, changes.to_string().as_bytes());
        assert_eq!(after(json!({"service": {"name": "s"}}), None), Ok(route(json!({"name": "s"}))));
        assert_eq!(after(json!({"service": null}), None), Ok(route(Value::Null)));
        let nested = after(json!({"service": {"id": one}}), Some(("service", other)));
        assert_eq!(nested, Ok(route(json!({"id": other}))));
    }

    #[test]
    fn what_breaks_a_rule_is_refused() {
        let stored = entity(Kind::Service, &json!({"host": "h"}));
        for (changes, field) in [
            ("[]", ""),
            ("null", ""),
            ("{", ""),
            (r#"{"colour": "red"}"#, "colour"),
            (r#"{"host": null}"#, "host"),
            (r#"{"port": 0}"#, "port"),
            (r#"{"id": "x"}"#, "id"),
            (r#"{"id": "0192d3a4-5b6c-7d8e-9f00-112233445566"}"#, "id"),
        ] {
            let refused = merged(&stored, Uuid::now_v7(), None, changes.as_bytes()).expect_err(changes);
            assert_eq!(refused.fields[0].field, field, "{changes}");
        }
    }

    #[test]
    fn nulls_in_a_new_object_are_left_out() {
        let mut fields = Map::new();
        let Value::Object(changes) = json!({"a": {"b": null, "c": {"d": 1, "e": null}}}) else { return };
        merge(&mut fields, changes);
        assert_eq!(Value::Object(fields), json!({"a": {"c": {"d": 1}}}));
    }
}
