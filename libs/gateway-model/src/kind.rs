//! What code for all kinds asks of a kind: names, URL segments, file sections, unique fields, children, and what a deletion means.

use serde_json::Value;
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::Schema;

pub use crate::entity::Kind;
use crate::kinds::{Child, UniqueField};
use crate::record::Fields;
use crate::{Entity, UniqueKey};

impl Kind {
    /// The name on the wire and in the database, for example `key_auth`. Lower-case letters, digits and `_`.
    pub fn name(self) -> &'static str {
        self.row().name
    }

    /// The kind with this wire name; `None` for one that this release does not know.
    pub fn from_name(name: &str) -> Option<Kind> {
        Kind::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// The URL segment of the collection, for example `key-auths`.
    pub fn collection(self) -> &'static str {
        self.row().collection
    }

    /// The kind with this URL segment; `None` if there is none.
    pub fn from_collection(collection: &str) -> Option<Kind> {
        Kind::ALL.into_iter().find(|kind| kind.collection() == collection)
    }

    /// The name in messages, for example `key-auth credential`.
    pub fn label(self) -> &'static str {
        self.row().label
    }

    /// The OpenAPI schema of the API body, self-contained: no `$ref`. Field descriptions and defaults included.
    pub fn schema(self) -> RefOr<Schema> {
        (self.row().schema)()
    }

    /// The field of the API body whose value may stand for the id, in URLs and in references; `None` for kinds whose
    /// entities have an id only. For example `username` for consumers.
    pub fn name_field(self) -> Option<&'static str> {
        self.row().name_field
    }

    /// The unique key of the entity that is called `name`. `None` if entities of this kind have no names, or if no
    /// entity can have this one.
    pub fn name_key(self, name: &str) -> Option<UniqueKey> {
        let field = self.name_field()?;
        let possible = !name.chars().any(char::is_control);
        possible.then(|| UniqueKey::new(field, name))
    }

    /// Whether an entity of this kind lets somebody in: its deletion is a revocation, which nodes must hear of at once.
    /// Example: a key-auth credential, and the consumer whom it identifies.
    pub fn grants_access(self) -> bool {
        self.row().grants_access
    }

    /// Whether an entity of this kind says who a request is from, or which groups that one is in. Example: a consumer group, by whose name access
    /// lists may know its members.
    pub fn identifies(self) -> bool {
        self.grants_access() || self == Kind::ConsumerGroup
    }

    /// What a client is told when another entity of this kind has `key`: continues the field's name as a sentence does.
    pub fn taken(self, key: &UniqueKey) -> String {
        match self.unique_field(key).and_then(|unique| unique.taken) {
            Some(message) => message.to_owned(),
            None => format!("another {} has this {}: `{}`", self.label(), key.field, key.value),
        }
    }

    /// What is said of an entity at `path` of a file that has the key of the entity at `earlier`: field and message.
    pub(crate) fn repeated(self, key: &UniqueKey, path: &str, earlier: &str) -> (String, String) {
        match self.unique_field(key).and_then(|unique| unique.repeated) {
            Some(message) => (path.to_owned(), message.replace("{}", earlier)),
            None => (format!("{path}.{}", key.field), format!("is already that of {earlier}")),
        }
    }

    /// The fields of the API body whose values are unique and may be shown. For example `username` and `custom_id` of
    /// consumers. A list can be filtered by them.
    pub fn shown_unique_fields(self) -> impl Iterator<Item = &'static str> {
        // What has a message of its own is no single field, or secret.
        self.row().unique.iter().filter(|unique| unique.taken.is_none()).map(|unique| unique.field)
    }

    fn unique_field(self, key: &UniqueKey) -> Option<&'static UniqueField> {
        self.row().unique.iter().find(|unique| unique.field == key.field)
    }

    /// The key of the list of this kind in a declarative file.
    pub fn section(self) -> &'static str {
        self.row().section
    }

    /// What nests below an entity of this kind, in URLs and in declarative files.
    pub fn children(self) -> &'static [Child] {
        self.row().children
    }

    /// An API body with every field off its default, for documents and tests. References point at an id that nothing has.
    pub fn example(self) -> Value {
        (self.row().example)()
    }

    /// Reads an entity of this kind; what it cannot read is noted in `fields`.
    pub(crate) fn read(self, fields: &mut Fields<'_>) -> Entity {
        (self.row().read)(fields)
    }
}

#[cfg(test)]
mod tests;
