//! The table of kinds: names, URL segments, file sections, unique fields, what nests below what, and what a deletion means.

use utoipa::PartialSchema;
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::Schema;

use crate::fields::Fields;
use crate::schema::allow_null_lists;
use crate::{Consumer, Entity, KeyAuth, Plugin, Route, Service, UniqueKey};

/// A kind of gateway entity. The order is that of dependency: a kind refers only to earlier ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// An upstream API.
    Service,
    /// Which requests reach which service.
    Route,
    /// Someone who calls the gateway.
    Consumer,
    /// A consumer's API key.
    KeyAuth,
    /// What the gateway does with matching requests.
    Plugin,
}

/// What the table says about one kind. Every fact about a kind that code for all kinds needs is a column here, so that
/// no such code matches on kinds.
struct KindRow {
    /// On the wire and in the database, for example `key_auth`. Stored: never changes.
    name: &'static str,
    /// URL segment of the collection, for example `key-auths`.
    collection: &'static str,
    /// Key of the list in a declarative file.
    section: &'static str,
    /// In messages, after "a" and without a capital letter.
    label: &'static str,
    /// The unique field whose value may stand for the id, in URLs and in references.
    name_field: Option<&'static str>,
    /// The fields, or groups of fields, that must be unique; all that [`Entity::unique_keys`] may answer.
    unique: &'static [UniqueField],
    /// Whether an entity of this kind lets somebody in, so that deleting it takes access away.
    grants_access: bool,
    /// What nests below an entity of this kind, in URLs and in declarative files.
    children: &'static [Child],
    /// Lists below an entity that other gateways' files may hold, and that are refused by name.
    unsupported_children: &'static [&'static str],
    read: fn(&mut Fields<'_>) -> Entity,
    schema: fn() -> RefOr<Schema>,
}

/// Entities that nest below one of another kind, such as the routes of a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Child {
    /// Last segment of the collection's URL, for example `routes` in `/services/{id}/routes`.
    pub segment: &'static str,
    /// Key of the list inside the parent, in a declarative file.
    pub section: &'static str,
    /// The kind of the children.
    pub kind: Kind,
    /// The child's field that refers to the parent.
    pub parent_field: &'static str,
}

/// A field, or a group of fields, whose value at most one entity of a kind has within a control plane.
struct UniqueField {
    /// As in [`UniqueKey::field`].
    field: &'static str,
    /// What a client is told when another entity has the value. `None`: kind, field and value are named.
    taken: Option<&'static str>,
    /// What the reader of a declarative file says of an entity that repeats the value, with `{}` for the earlier
    /// entity, about the entity as a whole. `None`: said about the field.
    repeated: Option<&'static str>,
}

impl UniqueField {
    /// A field of the API body, shown when it is taken.
    const fn shown(field: &'static str) -> UniqueField {
        UniqueField { field, taken: None, repeated: None }
    }
}

const SERVICE: KindRow = KindRow {
    name: "service",
    collection: "services",
    section: "services",
    label: "service",
    name_field: Some("name"),
    unique: &[UniqueField::shown("name")],
    grants_access: false,
    children: &[
        Child { segment: "routes", section: "routes", kind: Kind::Route, parent_field: "service" },
        Child { segment: "plugins", section: "plugins", kind: Kind::Plugin, parent_field: "service" },
    ],
    unsupported_children: &[],
    read: |fields| Entity::Service(Service::read(fields)),
    schema: Service::body_schema,
};

const ROUTE: KindRow = KindRow {
    name: "route",
    collection: "routes",
    section: "routes",
    label: "route",
    name_field: Some("name"),
    unique: &[UniqueField::shown("name")],
    grants_access: false,
    children: &[Child { segment: "plugins", section: "plugins", kind: Kind::Plugin, parent_field: "route" }],
    unsupported_children: &[],
    read: |fields| Entity::Route(Route::read(fields)),
    schema: Route::body_schema,
};

const CONSUMER: KindRow = KindRow {
    name: "consumer",
    collection: "consumers",
    section: "consumers",
    label: "consumer",
    name_field: Some("username"),
    unique: &[UniqueField::shown("username"), UniqueField::shown("custom_id")],
    grants_access: true,
    children: &[
        Child {
            segment: "key-auth",
            section: "keyauth_credentials",
            kind: Kind::KeyAuth,
            parent_field: "consumer",
        },
        Child { segment: "plugins", section: "plugins", kind: Kind::Plugin, parent_field: "consumer" },
    ],
    unsupported_children: &[
        "acls",
        "basicauth_credentials",
        "groups",
        "hmacauth_credentials",
        "jwt_secrets",
        "mtls_auth_credentials",
        "oauth2_credentials",
    ],
    read: |fields| Entity::Consumer(Consumer::read(fields)),
    schema: Consumer::schema,
};

const KEY_AUTH: KindRow = KindRow {
    name: "key_auth",
    collection: "key-auths",
    section: "keyauth_credentials",
    label: "key-auth credential",
    name_field: None,
    // The value is a hash of the key: nobody can read anything from it.
    unique: &[UniqueField { field: "key", taken: Some("another credential has this key"), repeated: None }],
    grants_access: true,
    children: &[],
    unsupported_children: &[],
    read: |fields| Entity::KeyAuth(KeyAuth::read(fields)),
    schema: KeyAuth::body_schema,
};

const PLUGIN: KindRow = KindRow {
    name: "plugin",
    collection: "plugins",
    section: "plugins",
    label: "plugin",
    name_field: None,
    unique: &[
        UniqueField {
            field: "scope",
            taken: Some("this plugin is configured there already; change that one"),
            repeated: Some("repeats the plugin of {} for the same scope"),
        },
        UniqueField::shown("instance_name"),
    ],
    grants_access: false,
    children: &[],
    unsupported_children: &[],
    read: |fields| Entity::Plugin(Plugin::read(fields)),
    schema: Plugin::body_schema,
};

impl Kind {
    /// Every kind, targets of references before those that refer to them.
    pub const ALL: [Kind; 5] = [Kind::Service, Kind::Route, Kind::Consumer, Kind::KeyAuth, Kind::Plugin];

    fn row(self) -> &'static KindRow {
        match self {
            Kind::Service => &SERVICE,
            Kind::Route => &ROUTE,
            Kind::Consumer => &CONSUMER,
            Kind::KeyAuth => &KEY_AUTH,
            Kind::Plugin => &PLUGIN,
        }
    }

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
        let mut schema = (self.row().schema)();
        allow_null_lists(&mut schema);
        schema
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

    /// Lists known from other gateways' files that are refused by name when they hold something.
    pub(crate) fn unsupported_children(self) -> &'static [&'static str] {
        self.row().unsupported_children
    }

    /// Reads an entity of this kind; what it cannot read is noted in `fields`.
    pub(crate) fn read(self, fields: &mut Fields<'_>) -> Entity {
        (self.row().read)(fields)
    }
}

#[cfg(test)]
mod tests;
