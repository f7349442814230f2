//! Checks an entity that is not written.

use gateway_model::{Entity, Invalid, Kind};
use serde_json::Value;

/// Goes on only with a body that could be written, once what it refers to is there. A reference to the entity that it belongs to may be
/// missing: whoever writes it names that in the path.
pub fn validate(kind: Kind, body: &[u8]) -> Result<(), Invalid> {
    let body = gateway_model::parse_body(body)?;
    gateway_model::body_id(&body)?;
    let Err(mut invalid) = Entity::from_api(kind, &body).map(drop) else { return Ok(()) };
    invalid.fields.retain(|error| !is_parent(kind, &error.field) || !is_unset(&body, &error.field));
    if invalid.is_empty() { Ok(()) } else { Err(invalid) }
}

/// Whether `field` refers to an entity that those of `kind` nest below.
fn is_parent(kind: Kind, field: &str) -> bool {
    let children = Kind::ALL.into_iter().flat_map(Kind::children);
    children.filter(|child| child.kind == kind).any(|child| child.parent_field == field)
}

fn is_unset(body: &Value, field: &str) -> bool {
    body.get(field).is_none_or(Value::is_null)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_be_written_is_valid_whether_or_not_its_parents_exist() {
        let valid = |kind, body: &str| validate(kind, body.as_bytes());
        let somewhere = "0192d3a4-5b6c-7d8e-9f00-112233445566";
        assert_eq!(valid(Kind::KeyAuth, r#"{"key": "k"}"#), Ok(()));
        assert_eq!(valid(Kind::KeyAuth, r#"{"key": "k", "consumer": null}"#), Ok(()));
        let route = format!(r#"{{"paths": ["/"], "service": {{"id": "{somewhere}", "name": "s"}}}}"#);
        assert_eq!(valid(Kind::Route, &route), Ok(()));
        assert_eq!(valid(Kind::Plugin, r#"{"name": "key-auth"}"#), Ok(()));
    }

    #[test]
    fn every_other_fault_is_told() {
        let faults = |kind, body: &str| {
            let invalid = validate(kind, body.as_bytes()).expect_err(body);
            invalid.fields.into_iter().map(|error| error.field).collect::<Vec<_>>()
        };
        assert_eq!(faults(Kind::KeyAuth, r#"{"key": "", "consumer": {"id": "x"}}"#), ["consumer", "key"]);
        assert_eq!(faults(Kind::KeyAuth, r#"{"kex": "k"}"#), ["kex"]);
        assert_eq!(faults(Kind::Service, r#"{"id": "x", "host": "h"}"#), ["id"]);
        assert_eq!(faults(Kind::Service, r#"[]"#), [""]);
        assert_eq!(faults(Kind::Plugin, r#"{"name": "nobody"}"#), ["name"]);
    }
}
