//! How entities point at each other and what must be unique.
//!
//! The committer checks these under its lock, for all kinds alike; nothing else knows which kind refers to which.

use serde_json::{Value, json};
use uuid::Uuid;

use crate::Kind;

/// A value that at most one entity of its kind may have in a control plane.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct UniqueKey {
    /// The field, or `scope` for what a plugin applies to.
    pub field: &'static str,
    /// Never a secret: a credential's key appears as its hash.
    pub value: String,
}

impl UniqueKey {
    /// The key of an entity whose `field` is `value`: the same for each way to encode its letters.
    pub fn new(field: &'static str, value: &str) -> UniqueKey {
        UniqueKey { field, value: ids::name::comparable(value) }
    }
}

/// What deleting the target does to the entity that refers to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnDelete {
    /// The deletion is refused.
    Restrict,
    /// The referrer is deleted too.
    Cascade,
}

/// The entity that a reference points at.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Target {
    /// `{"id": "<uuid>"}`: the resolved form, the only one on the wire.
    Id(Uuid),
    /// `{"name": "<name>"}` (`username` for consumers), until the writer resolves it.
    Name(String),
}

impl Target {
    /// The id, once resolved.
    pub fn id(&self) -> Option<Uuid> {
        match self {
            Target::Id(id) => Some(*id),
            Target::Name(_) => None,
        }
    }

    /// The JSON form of a reference to an entity of `kind`.
    pub(crate) fn to_json(&self, kind: Kind) -> Value {
        match self {
            Target::Id(id) => json!({ "id": id.to_string() }),
            // Only kinds with a name are referred to by name.
            Target::Name(name) => json!({ kind.name_field().unwrap_or("name"): name }),
        }
    }

    /// For unique keys: the id, or the name while unresolved.
    pub(crate) fn to_key(target: Option<&Target>) -> String {
        match target {
            Some(Target::Id(id)) => id.to_string(),
            Some(Target::Name(name)) => format!("name={name}"),
            None => "-".to_owned(),
        }
    }
}

/// One reference of an entity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reference<'a> {
    /// The field that holds it.
    pub field: &'static str,
    /// The kind of the target.
    pub kind: Kind,
    /// Where it points.
    pub target: &'a Target,
    /// What happens to the referrer when the target goes.
    pub on_delete: OnDelete,
    /// Whether files have the name or id itself, in place of an object that holds it.
    pub is_bare: bool,
}

/// One reference of an entity, for the writer that resolves names to ids.
#[derive(Debug)]
pub struct ReferenceMut<'a> {
    /// The field that holds it.
    pub field: &'static str,
    /// The kind of the target.
    pub kind: Kind,
    /// Where it points.
    pub target: &'a mut Target,
}
