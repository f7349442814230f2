//! Bodies, parameters and headers of requests to `/core-entities`.

use axum::http::{HeaderMap, header};
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use gateway_model::{Entity, Kind, UniqueKey};
use random::Random;
use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;
use web::{Problem, ProblemType};

use crate::error::Answer;

/// Items of a page if the request does not say, and the most that it may say.
const SIZE_DEFAULT: u32 = 100;
const SIZE_MAX: u32 = 1000;
/// Most tags that a list can be filtered by.
const TAGS_MAX: usize = 5;
/// Bytes of randomness in a secret that the API chooses, such as a credential's key.
const GENERATED_SECRET_BYTES: usize = 24;

/// Reads an entity's body. A parent in the path replaces what the body says of it. A name in the path may be left out of the
/// body; another name in the body is an error.
pub fn read(
    kind: Kind,
    body: &[u8],
    parent: Option<(&'static str, Uuid)>,
    name: Option<UniqueKey>,
    random: &Random,
) -> Answer<(Option<Uuid>, Entity)> {
    let mut value = gateway_model::parse_body(body)?;
    if let (Some((field, id)), Some(fields)) = (parent, value.as_object_mut()) {
        fields.insert(field.to_owned(), json!({ "id": id }));
    }
    if let (Some(key), Some(fields)) = (name, value.as_object_mut()) {
        let given = fields.entry(key.field).or_insert(Value::Null);
        if given.is_null() {
            *given = key.value.into();
        } else if *given != Value::String(key.value) {
            let reason = "must be the one in the path; put it under its id to rename it";
            return Err(Problem::invalid_field(key.field, reason).into());
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

/// `size`, `offset` and `tags` of a list.
#[derive(Deserialize)]
pub struct ListQuery {
    size: Option<String>,
    offset: Option<String>,
    tags: Option<String>,
}

/// Query of `PUT …/declarative`.
#[derive(Deserialize)]
pub struct ApplyQuery {
    /// Plan and tell the difference; write nothing.
    #[serde(default)]
    pub dry_run: bool,
}

impl ListQuery {
    /// Page size, the id after which the page starts, and tags.
    pub fn parse(&self) -> Result<(u32, Option<Uuid>, Vec<String>), Problem> {
        let size = match self.size.as_deref().map(str::parse::<u32>) {
            None => SIZE_DEFAULT,
            Some(Ok(size)) if (1..=SIZE_MAX).contains(&size) => size,
            Some(_) => {
                return Err(Problem::invalid_parameter("size", &format!("a number from 1 to {SIZE_MAX}")));
            }
        };
        let after = self.offset.as_deref().filter(|offset| !offset.is_empty()).map(|offset| {
            let bytes = BASE64_URL_SAFE_NO_PAD.decode(offset).ok()?;
            Uuid::from_slice(&bytes).ok()
        });
        let after = match after {
            None => None,
            Some(Some(id)) => Some(id),
            Some(None) => {
                return Err(Problem::invalid_parameter(
                    "offset",
                    "use `offset` of the previous answer, unchanged",
                ));
            }
        };
        let tags = self.tags.as_deref().unwrap_or_default();
        if tags.contains('/') || tags.chars().any(char::is_control) {
            return Err(Problem::invalid_parameter(
                "tags",
                "tags, separated by commas: entities with all of them are listed",
            ));
        }
        let tags: Vec<String> = tags.split(',').filter(|tag| !tag.is_empty()).map(str::to_owned).collect();
        if tags.len() > TAGS_MAX {
            return Err(Problem::invalid_parameter("tags", &format!("at most {TAGS_MAX}")));
        }
        Ok((size, after, tags))
    }
}
