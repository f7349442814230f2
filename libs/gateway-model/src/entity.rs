//! One gateway entity of any kind, and its API and wire forms.
//!
//! The config service and the data plane handle entities only through this type, so they need no code per kind.

use serde_json::{Map, Value};
use uuid::Uuid;

use crate::fields::{Fields, Source, read_id};
use crate::writer::Writer;
use crate::{
    Consumer, Invalid, KeyAuth, Kind, Plugin, Reference, ReferenceMut, Route, Service, UniqueKey, tree,
};

/// A gateway entity without its id, version and timestamps, which its holder keeps.
#[derive(Clone, Debug, PartialEq)]
pub enum Entity {
    /// See [`Service`].
    Service(Service),
    /// See [`Route`].
    Route(Route),
    /// See [`Consumer`].
    Consumer(Consumer),
    /// See [`KeyAuth`].
    KeyAuth(KeyAuth),
    /// See [`Plugin`].
    Plugin(Plugin),
}

/// Why an entity has no wire form yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotReady {
    /// A reference still holds a name; the writer resolves names first.
    #[error("the reference `{field}` is not resolved to an id")]
    Unresolved {
        /// The field of the reference.
        field: &'static str,
    },
    /// A key-auth credential without a key; the writer generates one first.
    #[error("the credential has no key")]
    NoKey,
}

/// What every kind says about its entities.
pub(crate) trait Model {
    /// Writes every field; the writer leaves out what its form does not show.
    fn write(&self, out: &mut Writer);
    fn unique_keys(&self) -> Vec<UniqueKey>;
    fn references(&self) -> Vec<Reference<'_>>;
    fn references_mut(&mut self) -> Vec<ReferenceMut<'_>>;
    fn name(&self) -> Option<&str>;

    /// The part that is sealed at rest, if the kind has one and it is known.
    fn secret(&self) -> Option<Vec<u8>> {
        None
    }

    /// Takes the unsealed secret in place of its hash; the error says why it does not belong to the entity.
    fn join_secret(&mut self, _secret: &[u8]) -> Result<(), Invalid> {
        Err(Invalid::one("", "has no secret"))
    }

    /// Whether the writer must choose a secret, see [`Model::set_secret`].
    fn lacks_secret(&self) -> bool {
        false
    }

    /// Sets a secret that the writer chose, under the same rules as in an API body.
    fn set_secret(&mut self, _secret: String) -> Result<(), Invalid> {
        Err(Invalid::one("", "has no secret"))
    }
}

impl Entity {
    /// The kind.
    pub fn kind(&self) -> Kind {
        match self {
            Entity::Service(_) => Kind::Service,
            Entity::Route(_) => Kind::Route,
            Entity::Consumer(_) => Kind::Consumer,
            Entity::KeyAuth(_) => Kind::KeyAuth,
            Entity::Plugin(_) => Kind::Plugin,
        }
    }

    fn model(&self) -> &dyn Model {
        match self {
            Entity::Service(service) => service,
            Entity::Route(route) => route,
            Entity::Consumer(consumer) => consumer,
            Entity::KeyAuth(credential) => credential,
            Entity::Plugin(plugin) => plugin,
        }
    }

    fn model_mut(&mut self) -> &mut dyn Model {
        match self {
            Entity::Service(service) => service,
            Entity::Route(route) => route,
            Entity::Consumer(consumer) => consumer,
            Entity::KeyAuth(credential) => credential,
            Entity::Plugin(plugin) => plugin,
        }
    }

    /// Reads an API body. Strict: unknown fields, wrong types and bad values are refused with the field's path and a
    /// remedy, all at once; defaults are filled in. `id`, `created_at` and `updated_at` are accepted and ignored.
    pub fn from_api(kind: Kind, body: &Value) -> Result<Entity, Invalid> {
        read(kind, body, Source::Api)
    }

    /// Reads an API body's bytes; the id is the body's, if it has one. Syntax errors, and names that occur twice in an
    /// object, carry line and column.
    pub fn from_api_bytes(kind: Kind, body: &[u8]) -> Result<(Option<Uuid>, Entity), Invalid> {
        let body = parse_body(body)?;
        Ok((body_id(&body)?, Entity::from_api(kind, &body)?))
    }

    /// As users see it: every field with its default, references as `{"id": …}`, secrets included; without id and
    /// timestamps, which the caller adds.
    pub fn to_api(&self) -> Map<String, Value> {
        let mut out = Writer::api();
        self.model().write(&mut out);
        out.into_map()
    }

    /// As the database and nodes hold it: compact JSON without secrets (a credential's `key` is replaced by `key_hash`) and
    /// without fields at their default. Equal entities have equal bytes.
    pub fn to_wire(&self) -> Result<Vec<u8>, NotReady> {
        let mut out = Writer::wire();
        self.model().write(&mut out);
        out.into_bytes()
    }

    /// Reads the wire form. As strict as the API: an entity that uses what this version does not know must not be served
    /// half understood. Only regular expressions of paths are not read: whoever compiles them does that.
    pub fn from_wire(kind: Kind, body: &[u8]) -> Result<Entity, Invalid> {
        read(kind, &tree::from_json(body)?, Source::Wire)
    }

    /// The part to be sealed at rest, for kinds that have one and if it is known.
    pub fn secret(&self) -> Option<Vec<u8>> {
        self.model().secret()
    }

    /// Whether the body left the choice of a secret to the writer, who must call [`Entity::set_secret`] before there is a
    /// wire form. Example: a key-auth credential without `key`.
    pub fn lacks_secret(&self) -> bool {
        self.model().lacks_secret()
    }

    /// Sets a secret that the writer chose, under the same rules as in an API body. Refused for kinds without secrets.
    pub fn set_secret(&mut self, secret: String) -> Result<(), Invalid> {
        self.model_mut().set_secret(secret)
    }

    /// Joins the wire form and the secret again. Without a secret it is [`Entity::from_wire`]; a secret that does not
    /// belong to the entity is refused.
    pub fn from_wire_with_secret(kind: Kind, wire: &[u8], secret: Option<&[u8]>) -> Result<Entity, Invalid> {
        let mut entity = Entity::from_wire(kind, wire)?;
        if let Some(secret) = secret {
            entity.model_mut().join_secret(secret)?;
        }
        Ok(entity)
    }

    /// What must be unique within (control plane, kind, field). Keys made of references are meaningful once those are
    /// resolved to ids.
    pub fn unique_keys(&self) -> Vec<UniqueKey> {
        self.model().unique_keys()
    }

    /// The references that are set.
    pub fn references(&self) -> Vec<Reference<'_>> {
        self.model().references()
    }

    /// The references that are set, to be resolved.
    pub fn references_mut(&mut self) -> Vec<ReferenceMut<'_>> {
        self.model_mut().references_mut()
    }

    /// How many steps the entity's regular expressions take to compile, as [`crate::path_regex`] counts them.
    pub fn path_cost(&self) -> u64 {
        match self {
            Entity::Route(route) => route.path_cost(),
            Entity::Service(_) | Entity::Consumer(_) | Entity::KeyAuth(_) | Entity::Plugin(_) => 0,
        }
    }

    /// What a URL may use in place of the id: the name of a service or route, the username of a consumer. Never of a
    /// UUID's form. `None` for kinds without names.
    pub fn name(&self) -> Option<&str> {
        self.model().name()
    }
}

/// Parses a JSON body, for handlers that complete it by what the URL says before [`Entity::from_api`]. Syntax errors, and
/// names that occur twice in an object, carry line and column.
pub fn parse_body(body: &[u8]) -> Result<Value, Invalid> {
    tree::from_json(body)
}

/// The `id` of an API body, if it has one.
pub fn body_id(body: &Value) -> Result<Option<Uuid>, Invalid> {
    read_id(body.get("id")).map_err(|message| Invalid::one("id", message))
}

/// Reads a whole body in one of the forms.
fn read(kind: Kind, body: &Value, source: Source) -> Result<Entity, Invalid> {
    let Value::Object(map) = body else {
        return Err(Invalid::one(
            "",
            format!("the body must be a JSON object that describes a {}", kind.label()),
        ));
    };
    let mut errors = Invalid::default();
    let mut fields = Fields::new(map, "", source, &mut errors);
    let entity = kind.read(&mut fields);
    fields.finish();
    errors.or(entity)
}

#[cfg(test)]
mod tests;
