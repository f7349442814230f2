//! The kinds of gateway entity: a file each, with its fields, rules, unique keys, references, what nests below it, whether its deletion
//! takes access away, and an example. The table below is the only list of them.

mod acme_certificate;
mod certificate;
mod consumer;
mod consumer_group;
mod credentials;
mod expiry;
mod healthchecks;
mod key;
mod key_auth;
mod pem;
pub mod plugin;
mod route;
mod service;
mod target;
mod upstream;
mod vault;

use serde_json::Value;
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::Schema;

pub(crate) use acme_certificate::ROW as ACME_CERTIFICATE;
pub(crate) use certificate::{CA_ROW as CA_CERTIFICATE, ROW as CERTIFICATE, SNI_ROW as SNI};
pub(crate) use consumer::ROW as CONSUMER;
pub(crate) use consumer_group::{MEMBER_ROW as CONSUMER_GROUP_MEMBER, ROW as CONSUMER_GROUP};
pub(crate) use credentials::{
    ACL_ROW as ACL, BASIC_AUTH_ROW as BASIC_AUTH, HMAC_AUTH_ROW as HMAC_AUTH, JWT_ROW as JWT,
    MTLS_AUTH_ROW as MTLS_AUTH, OAUTH2_TOKEN_ROW as OAUTH2_TOKEN,
};
pub(crate) use key::{ROW as KEY, SET_ROW as KEY_SET};
pub(crate) use key_auth::ROW as KEY_AUTH;
pub(crate) use plugin::ROW as PLUGIN;
pub(crate) use route::ROW as ROUTE;
pub(crate) use service::ROW as SERVICE;
pub(crate) use target::ROW as TARGET;
pub(crate) use upstream::ROW as UPSTREAM;
pub(crate) use vault::{ROW as VAULT, SECRET_ROW as CONFIG_STORE_SECRET, STORE_ROW as CONFIG_STORE};

pub use acme_certificate::{
    AcmeCertificate, AcmeChallenge, AcmeIssued, AcmeKey, AcmeKeyType, AcmeLeaf, AcmeState,
    DOMAINS_MAX as ACME_DOMAINS_MAX,
};
pub use certificate::{CaCertificate, Certificate, Sni};
pub use consumer::Consumer;
pub use consumer_group::{ConsumerGroup, ConsumerGroupMember};
pub use credentials::{
    Acl, BasicAuth, HmacAuth, Jwt, JwtAlgorithm, MtlsAuth, Oauth2Token, access_token_digest,
    access_token_hash,
};
pub use expiry::Expiry;
pub(crate) use expiry::ttl;
pub use healthchecks::{
    Active, ActiveHealthy, ActiveUnhealthy, Healthchecks, Passive, PassiveHealthy, PassiveUnhealthy, Probe,
};
pub use key::{CryptographicKey, KeyPair, KeySet};
pub use key_auth::{KeyAuth, key_hash, key_hash_hex};
pub use plugin::{Plugin, PluginConfig, PluginProtocol};
pub use route::{HostName, HostPattern, PathPattern, Route};
pub use service::{Application, Protocol, Service};
pub use target::{ByHand, UpstreamTarget};
pub use upstream::{Algorithm, HashOn, Upstream};
pub use vault::{Backend, ConfigStore, ConfigStoreSecret, Vault, VaultConfig};

use crate::record::{Fields, Record};
use crate::{Kind, UniqueKey};

/// What every kind says about its entities, beside the table of their fields.
pub(crate) trait Model {
    fn unique_keys(&self) -> Vec<UniqueKey>;

    /// What a URL may use in place of the id.
    fn name(&self) -> Option<&str> {
        None
    }

    /// The time to live that the user gave, for the writer to settle.
    fn expiry_mut(&mut self) -> Option<&mut Expiry> {
        None
    }

    /// Takes over from the entity as it is stored what is no part of bodies, unless this one tells it.
    fn take_over(&mut self, _stored: &crate::Entity) {}

    /// Unix seconds from which the entity counts no more.
    fn expires_at(&self) -> Option<u64> {
        None
    }

    /// How many steps the entity's regular expressions take to compile.
    fn path_cost(&self) -> u64 {
        0
    }
}

/// What the table says about one kind. Every fact about a kind that code for all kinds needs is a column here, so that
/// no such code matches on kinds.
pub(crate) struct KindRow {
    /// On the wire and in the database, for example `key_auth`. Stored: never changes.
    pub name: &'static str,
    /// URL segment of the collection, for example `key-auths`.
    pub collection: &'static str,
    /// Key of the list in a declarative file.
    pub section: &'static str,
    /// In messages, after "a" and without a capital letter.
    pub label: &'static str,
    /// The unique field whose value may stand for the id, in URLs and in references.
    pub name_field: Option<&'static str>,
    /// The fields, or groups of fields, that must be unique; all that [`Model::unique_keys`] may answer.
    pub unique: &'static [UniqueField],
    /// Whether an entity of this kind lets somebody in, so that deleting it takes access away.
    pub grants_access: bool,
    /// What nests below an entity of this kind, in URLs and in declarative files.
    pub children: &'static [Child],
    pub read: fn(&mut Fields<'_>) -> crate::Entity,
    pub schema: fn() -> RefOr<Schema>,
    /// An API body with every field off its default. References point at [`EXAMPLE_ID`].
    pub example: fn() -> Value,
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
    /// `None`: the collection and the list hold the children themselves.
    pub joins: Option<Joins>,
    /// Whether children are written below their parent. They are always read there.
    pub is_written: bool,
}

impl Child {
    /// Children that their collection and their list hold themselves.
    const fn new(
        segment: &'static str,
        section: &'static str,
        kind: Kind,
        parent_field: &'static str,
    ) -> Child {
        Child { segment, section, kind, parent_field, joins: None, is_written: true }
    }

    /// Written in the section of their own kind, since decK does not read them below their parent, or not all of their fields.
    const fn written_apart(self) -> Child {
        Child { is_written: false, ..self }
    }
}

/// What a child joins its parent with, where the collection and the list below the parent hold that instead of the child. Example: a
/// consumer has a list of its groups, each of which stands for a membership.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Joins {
    /// The kind of what is listed.
    pub kind: Kind,
    /// The child's field that refers to it.
    pub field: &'static str,
    /// The field by which the body of a `POST` to the collection names it.
    pub body_field: &'static str,
    /// Whether one parent is answered with all that it is joined with.
    pub shown_with_parent: bool,
}

/// A field, or a group of fields, whose value at most one entity of a kind has within a control plane.
pub(crate) struct UniqueField {
    /// As in [`UniqueKey::field`].
    pub field: &'static str,
    /// What a client is told when another entity has the value. `None`: kind, field and value are named.
    pub taken: Option<&'static str>,
    /// What the reader of a declarative file says of an entity that repeats the value, with `{}` for the earlier
    /// entity, about the entity as a whole. `None`: said about the field.
    pub repeated: Option<&'static str>,
}

impl UniqueField {
    /// A field of the API body, shown when it is taken.
    pub const fn shown(field: &'static str) -> UniqueField {
        UniqueField { field, taken: None, repeated: None }
    }
}

/// What the references of examples point at.
pub(crate) const EXAMPLE_ID: &str = "0192d3a4-5b6c-7d8e-9f00-112233445566";

/// Ends the message "is required: …" about a credential's consumer.
pub(crate) const CONSUMER_REMEDY: &str = "name the consumer that it stands for";

/// Reads a record of whatever type the caller needs.
fn read<R: Record>(fields: &mut Fields<'_>) -> R {
    R::read(fields)
}

/// Makes the list of kinds: the enums [`Kind`] and [`Entity`](crate::Entity), and what leads from one to the other.
macro_rules! kinds {
    ($( $(#[doc = $doc:literal])* $Kind:ident($Record:ident) = $row:path; )*) => {
        /// A kind of gateway entity. The order is that of dependency: a kind refers only to earlier ones.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Kind {
            $( $(#[doc = $doc])* $Kind, )*
        }

        impl Kind {
            /// Every kind, targets of references before those that refer to them.
            pub const ALL: [Kind; [$(stringify!($Kind)),*].len()] = [$(Kind::$Kind),*];

            pub(crate) fn row(self) -> &'static $crate::kinds::KindRow {
                match self {
                    $( Kind::$Kind => { const ROW: $crate::kinds::KindRow = $row; &ROW } )*
                }
            }
        }

        /// A gateway entity without its id, version and timestamps, which its holder keeps.
        #[derive(Clone, Debug, PartialEq)]
        #[allow(clippy::large_enum_variant)]
        pub enum Entity {
            $( $(#[doc = $doc])* $Kind($crate::kinds::$Record), )*
        }

        impl Entity {
            /// The kind.
            pub fn kind(&self) -> Kind {
                match self {
                    $( Entity::$Kind(_) => Kind::$Kind, )*
                }
            }

            pub(crate) fn model(&self) -> &dyn $crate::kinds::Model {
                match self {
                    $( Entity::$Kind(record) => record, )*
                }
            }

            pub(crate) fn model_mut(&mut self) -> &mut dyn $crate::kinds::Model {
                match self {
                    $( Entity::$Kind(record) => record, )*
                }
            }

            fn write(&self, out: &mut $crate::record::Writer) {
                match self {
                    $( Entity::$Kind(record) => $crate::record::Record::write(record, out), )*
                }
            }

            /// The references that are set.
            pub fn references(&self) -> Vec<$crate::Reference<'_>> {
                let mut found = Vec::new();
                match self {
                    $( Entity::$Kind(record) => $crate::record::Record::references(record, &mut found), )*
                }
                found
            }

            /// The references that are set, to be resolved.
            pub fn references_mut(&mut self) -> Vec<$crate::ReferenceMut<'_>> {
                let mut found = Vec::new();
                match self {
                    $( Entity::$Kind(record) => $crate::record::Record::references_mut(record, &mut found), )*
                }
                found
            }

            /// The tags.
            pub fn tags(&self) -> &[String] {
                match self {
                    $( Entity::$Kind(record) => $crate::record::Record::tags(record), )*
                }
            }

            /// The secrets that are set or to be drawn.
            pub fn secrets_mut(&mut self) -> Vec<$crate::SecretMut<'_>> {
                let mut found = Vec::new();
                match self {
                    $( Entity::$Kind(record) => $crate::record::Record::secrets_mut(record, &mut found), )*
                }
                found
            }
        }
    };
}
pub(crate) use kinds;
