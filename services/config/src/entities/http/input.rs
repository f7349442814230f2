//! Bodies and headers of requests to `/core-entities`. Their queries are in [`super::query`].

use axum::{
    body::Bytes,
    http::{HeaderMap, header},
};
use gateway_model::{Entity, Kind, UniqueKey};
use ids::ControlPlaneId;
use serde_json::{Value, json};
use uuid::Uuid;
use web::{Problem, ProblemType};

use crate::{entities::secrets::hash_passwords, error::Answer};

/// An entity's body, and what its path says of it.
pub struct Input {
    /// From the path.
    pub control_plane: ControlPlaneId,
    /// From the path.
    pub kind: Kind,
    /// JSON.
    pub body: Bytes,
    /// The entity that the path puts it below: field and id. It replaces what the body says.
    pub parent: Option<(&'static str, Uuid)>,
    /// Whether a password in the body is a hash already.
    pub skip_hash: bool,
    /// The name in the path. It may be left out of the body; another name in the body is an error.
    pub name: Option<String>,
}

/// Reads an entity's body: its id, if it gives one, and the entity, with its passwords hashed.
pub fn read(input: Input) -> Answer<(Option<Uuid>, Entity)> {
    let Input { control_plane, kind, body, parent, skip_hash, name } = input;
    let mut value = gateway_model::parse_body(&body)?;
    if let (Some((field, id)), Some(fields)) = (parent, value.as_object_mut()) {
        fields.insert(field.to_owned(), json!({ "id": id }));
    }
    if let (Some(name), Some(field), Some(fields)) = (name, kind.name_field(), value.as_object_mut()) {
        let given = fields.entry(field).or_insert(Value::Null);
        let is_same = |given: &str| UniqueKey::new(field, given) == UniqueKey::new(field, &name);
        if given.is_null() {
            *given = name.into();
        } else if !given.as_str().is_some_and(is_same) {
            let reason = "must be the one in the path; put it under its id to rename it";
            return Err(Problem::invalid_field(field, reason).into());
        }
    }
    let id = gateway_model::body_id(&value)?;
    let read = if skip_hash { Entity::from_api_hashed } else { Entity::from_api };
    let mut entity = read(kind, &value)?;
    hash_passwords(control_plane, &mut entity).map_err(Problem::internal)?;
    Ok((id, entity))
}

/// The version that the client expects the entity to have; `None` where it expects none.
pub fn if_match(headers: &HeaderMap) -> Result<Option<u64>, Problem> {
    let Some(value) = headers.get(header::IF_MATCH) else { return Ok(None) };
    let tag =
        value.to_str().ok().and_then(|text| text.trim().strip_prefix('"')?.strip_suffix('"')?.parse().ok());
    tag.map(Some).ok_or_else(|| {
        Problem::new(
            ProblemType::InvalidParameter,
            "If-Match: send the ETag of an earlier answer, quotes included",
        )
    })
}
