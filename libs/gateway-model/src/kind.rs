//! The table of kinds: names, URL segments, file sections and which kind nests in which.

use utoipa::PartialSchema;
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::Schema;

use crate::fields::Fields;
use crate::{Consumer, Entity, KeyAuth, Plugin, Route, Service};

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

/// What the table says about one kind.
struct Row {
    name: &'static str,
    collection: &'static str,
    section: &'static str,
    label: &'static str,
    children: &'static [Child],
    unsupported_children: &'static [&'static str],
    read: fn(&mut Fields<'_>) -> Entity,
    schema: fn() -> RefOr<Schema>,
}

/// A list inside an entity of a declarative file, such as the routes of a service.
pub(crate) struct Child {
    /// Key of the list.
    pub(crate) section: &'static str,
    pub(crate) kind: Kind,
    /// The child's field that refers to the enclosing entity.
    pub(crate) parent_field: &'static str,
}

const SERVICE: Row = Row {
    name: "service",
    collection: "services",
    section: "services",
    label: "service",
    children: &[
        Child { section: "routes", kind: Kind::Route, parent_field: "service" },
        Child { section: "plugins", kind: Kind::Plugin, parent_field: "service" },
    ],
    unsupported_children: &[],
    read: |fields| Entity::Service(Service::read(fields)),
    schema: Service::body_schema,
};

const ROUTE: Row = Row {
    name: "route",
    collection: "routes",
    section: "routes",
    label: "route",
    children: &[Child { section: "plugins", kind: Kind::Plugin, parent_field: "route" }],
    unsupported_children: &[],
    read: |fields| Entity::Route(Route::read(fields)),
    schema: Route::body_schema,
};

const CONSUMER: Row = Row {
    name: "consumer",
    collection: "consumers",
    section: "consumers",
    label: "consumer",
    children: &[
        Child { section: "keyauth_credentials", kind: Kind::KeyAuth, parent_field: "consumer" },
        Child { section: "plugins", kind: Kind::Plugin, parent_field: "consumer" },
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

const KEY_AUTH: Row = Row {
    name: "key_auth",
    collection: "key-auths",
    section: "keyauth_credentials",
    label: "key-auth credential",
    children: &[],
    unsupported_children: &[],
    read: |fields| Entity::KeyAuth(KeyAuth::read(fields)),
    schema: KeyAuth::body_schema,
};

const PLUGIN: Row = Row {
    name: "plugin",
    collection: "plugins",
    section: "plugins",
    label: "plugin",
    children: &[],
    unsupported_children: &[],
    read: |fields| Entity::Plugin(Plugin::read(fields)),
    schema: Plugin::body_schema,
};

impl Kind {
    /// Every kind, targets of references before those that refer to them.
    pub const ALL: [Kind; 5] = [Kind::Service, Kind::Route, Kind::Consumer, Kind::KeyAuth, Kind::Plugin];

    fn row(self) -> &'static Row {
        match self {
            Kind::Service => &SERVICE,
            Kind::Route => &ROUTE,
            Kind::Consumer => &CONSUMER,
            Kind::KeyAuth => &KEY_AUTH,
            Kind::Plugin => &PLUGIN,
        }
    }

    /// The name on the wire and in the database, for example `key_auth`.
    pub fn name(self) -> &'static str {
        self.row().name
    }

    /// The kind with this wire name.
    pub fn from_name(name: &str) -> Option<Kind> {
        Kind::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// The URL segment of the collection, for example `key-auths`.
    pub fn collection(self) -> &'static str {
        self.row().collection
    }

    /// The kind with this URL segment.
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

    /// The key of the list of this kind in a declarative file.
    pub(crate) fn section(self) -> &'static str {
        self.row().section
    }

    /// The lists that an entity of this kind may hold in a declarative file.
    pub(crate) fn children(self) -> &'static [Child] {
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
