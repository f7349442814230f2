//! What writes change, for people who look before they write: which entities, and which of their fields. Values are left out, since
//! some are secrets. Pure.

use gateway_model::Entity;
use serde_json::{Map, Value};

use super::known::{EntityId, Pending};

/// Changes that are described. Of the rest only the number is told.
pub const CHANGES_MAX: usize = 1000;
/// Fields of one entity that are named.
const FIELDS_MAX: usize = 32;

/// What happens to an entity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    Create,
    Update,
    Delete,
}

impl Action {
    /// The word of the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Update => "update",
            Self::Delete => "delete",
        }
    }
}

/// What a write changes.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// Which entity.
    pub id: EntityId,
    /// What people call it, if it has a name.
    pub name: Option<String>,
    /// What happens to it.
    pub action: Action,
    /// The fields that an update changes, such as `config.message`: at most 32.
    pub fields: Vec<String>,
}

/// What a change of the entity `id` is.
pub fn of(id: EntityId, change: &Pending) -> Change {
    let before = change.before.as_ref().map(|before| before.entity.to_api());
    let after = change.after.as_ref().map(Entity::to_api);
    let name = after.as_ref().or(before.as_ref()).and_then(|fields| name(id, fields));
    let mut fields = Vec::new();
    let action = match (before, after) {
        (Some(before), Some(after)) => {
            differing("", &before, &after, &mut fields);
            fields.truncate(FIELDS_MAX);
            Action::Update
        }
        (None, _) => Action::Create,
        (Some(_), None) => Action::Delete,
    };
    Change { id, name, action, fields }
}

/// Plugins have no names of their own: they are called by what they do.
fn name(id: EntityId, fields: &Map<String, Value>) -> Option<String> {
    let field = id.kind.name_field().unwrap_or("name");
    fields.get(field).and_then(Value::as_str).map(str::to_owned)
}

fn differing(prefix: &str, before: &Map<String, Value>, after: &Map<String, Value>, found: &mut Vec<String>) {
    let added = after.keys().filter(|name| !before.contains_key(*name));
    for name in before.keys().chain(added) {
        let path = format!("{prefix}{name}");
        match (before.get(name), after.get(name)) {
            (before, after) if before == after => {}
            (Some(Value::Object(before)), Some(Value::Object(after))) => {
                differing(&format!("{path}."), before, after, found);
            }
            _ => found.push(path),
        }
    }
}
