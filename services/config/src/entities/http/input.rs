//! Bodies and headers of requests to `/core-entities`. Their queries are in [`super::query`].

use axum::{
    body::Bytes,
    http::{HeaderMap, header},
};
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use gateway_model::{Entity, Kind, UniqueKey};
use random::Random;
use serde_json::{Value, json};
use uuid::Uuid;
use web::{Problem, ProblemType};

use crate::error::Answer;

/// Bytes of randomness in a secret that the API chooses, such as a credential's key.
const GENERATED_SECRET_BYTES: usize = 24;

/// An entity's body, and what its path says of it.
pub struct Input {
    /// From the path.
    pub kind: Kind,
    /// JSON.
    pub body: Bytes,
    /// The entity that the path puts it below: field and id. It replaces what the body says.
    pub parent: Option<(&'static str, Uuid)>,
    /// The name in the path. It may be left out of the body; another name in the body is an error.
    pub name: Option<String>,
}

/// Reads an entity's body: its id, if it gives one, and the entity.
pub fn read(input: Input, random: &Random) -> Answer<(Option<Uuid>, Entity)> {
    let Input { kind, body, parent, name } = input;
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
    let mut entity = Entity::from_api(kind, &value)?;
    if entity.lacks_secret() {
        let secret = BASE64_URL_SAFE_NO_PAD.encode(random.bytes::<GENERATED_SECRET_BYTES>());
        entity.set_secret(secret).map_err(Problem::internal)?;
    }
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
