//! What requests find consumers by: what their credentials show, consumers' names, and the groups that consumers are in.
//!
//! The index is derived from entities, in the transactions that change them. An entity that this build cannot read is in no index: nobody gets in
//! with such a credential. Only a group that cannot be read is noted, because nobody knows whom it keeps out ([`Groups::may_be_more`]).

use std::sync::LazyLock;

use blake3::hazmat::{ContextKey, HasherExt as _};
use gateway_model::{Acl, ConsumerGroupMember, Entity, Kind, Target, access_token_digest, key_hash};
use uuid::Uuid;

/// Context of the hashes by which names are looked up. Whoever changes it raises the index's rules.
const NAME_CONTEXT: &str = "landbridge dataplane v1 name of a credential or consumer";

/// What a credential or a consumer is looked up by. Of secrets it holds a hash only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Lookup([u8; 32]);

impl Lookup {
    /// The key-auth credential with this API key.
    pub fn key(key: &str) -> Self {
        Self(key_hash(key))
    }

    /// The access token of another issuer.
    pub fn access_token(token: &str) -> Self {
        Self(access_token_digest(token))
    }

    /// The basic-auth credential with this username.
    pub fn basic_auth(username: &str) -> Self {
        Self::named(Kind::BasicAuth, "username", username)
    }

    /// The hmac-auth credential with this username.
    pub fn hmac_auth(username: &str) -> Self {
        Self::named(Kind::HmacAuth, "username", username)
    }

    /// The jwt credential with this key.
    pub fn jwt(key: &str) -> Self {
        Self::named(Kind::Jwt, "key", key)
    }

    /// The mtls-auth credential with this name, for certificates that `issuer` has issued; `None`: for those of any.
    pub fn mtls_auth(subject_name: &str, issuer: Option<Uuid>) -> Self {
        match issuer {
            Some(issuer) => Self::named(Kind::MtlsAuth, "subject_name", &format!("{issuer} {subject_name}")),
            None => Self::named(Kind::MtlsAuth, "subject_name", &format!("- {subject_name}")),
        }
    }

    /// The consumer with this username.
    pub fn username(username: &str) -> Self {
        Self::named(Kind::Consumer, "username", username)
    }

    /// The consumer with this id in another system.
    pub fn custom_id(custom_id: &str) -> Self {
        Self::named(Kind::Consumer, "custom_id", custom_id)
    }

    fn named(kind: Kind, field: &str, name: &str) -> Self {
        /// What every hash begins with. (It costs as much as the rest.)
        static CONTEXT: LazyLock<ContextKey> =
            LazyLock::new(|| blake3::hazmat::hash_derive_key_context(NAME_CONTEXT));
        let mut hasher = blake3::Hasher::new_from_context_key(&CONTEXT);
        for part in [kind.name(), " ", field, " ", name] {
            hasher.update(part.as_bytes());
        }
        Self(*hasher.finalize().as_bytes())
    }

    /// The bytes that it is stored under.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

/// The groups of a consumer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Groups {
    /// Those that access lists know it by.
    pub acl: Vec<String>,
    /// The names of the consumer groups that it is a member of.
    pub consumer_groups: Vec<String>,
    /// A group of somebody cannot be read: it may be one of this consumer.
    pub may_be_more: bool,
}

/// What the index says of a credential or consumer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Indexed {
    /// Id of the credential; of a consumer, its own.
    pub id: Uuid,
    /// Id of the consumer.
    pub consumer: Uuid,
    /// Unix seconds from which the credential counts no more.
    pub expires_at: Option<u64>,
}

impl Indexed {
    /// Two ids and, where there is one, the end.
    pub fn to_bytes(self) -> Vec<u8> {
        let mut bytes = [*self.id.as_bytes(), *self.consumer.as_bytes()].concat();
        bytes.extend(self.expires_at.into_iter().flat_map(u64::to_be_bytes));
        bytes
    }

    pub fn read(bytes: &[u8]) -> Option<Indexed> {
        let (id, rest) = bytes.split_first_chunk()?;
        let (consumer, rest) = rest.split_first_chunk()?;
        let expires_at = match rest {
            [] => None,
            end => Some(u64::from_be_bytes(end.try_into().ok()?)),
        };
        let (id, consumer) = (Uuid::from_bytes(*id), Uuid::from_bytes(*consumer));
        Some(Indexed { id, consumer, expires_at })
    }
}

/// One entry of the index.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Entry {
    /// In `keys-<g>`: whom a lookup leads to.
    Owner(Lookup, Indexed),
    /// In `groups-<g>`: a group of a consumer, and the entity that says so.
    Group { consumer: Uuid, said_by: Uuid, group: Group },
}

/// A group of a consumer.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Group {
    /// One of access lists.
    Acl(String),
    /// A consumer group.
    Consumers(Uuid),
    /// It cannot be read. Noted for the nil consumer.
    Unreadable,
}

impl Group {
    /// A digit for the kind, and the name or id.
    pub fn to_bytes(&self) -> Vec<u8> {
        match self {
            Group::Acl(name) => [b"a", name.as_bytes()].concat(),
            Group::Consumers(id) => [b"c".as_slice(), id.as_bytes()].concat(),
            Group::Unreadable => b"u".to_vec(),
        }
    }

    pub fn read(bytes: &[u8]) -> Option<Group> {
        match bytes {
            [b'a', name @ ..] => Some(Group::Acl(std::str::from_utf8(name).ok()?.to_owned())),
            [b'c', id @ ..] => Some(Group::Consumers(Uuid::from_slice(id).ok()?)),
            [b'u'] => Some(Group::Unreadable),
            _ => None,
        }
    }
}

/// Key in `groups-<g>`.
pub(super) fn group_key(consumer: Uuid, said_by: Uuid) -> [u8; 32] {
    let mut key = [0; 32];
    key[..16].copy_from_slice(consumer.as_bytes());
    key[16..].copy_from_slice(said_by.as_bytes());
    key
}

/// The entity that says so, in a key of `groups-<g>`.
pub(super) fn said_by(key: &[u8]) -> Option<Uuid> {
    Uuid::from_slice(key.get(16..)?).ok()
}

/// What is indexed of an entity.
pub(super) fn entries(kind: &str, id: Uuid, body: &[u8]) -> Vec<Entry> {
    let Some(kind) = Kind::from_name(kind).filter(|kind| kind.identifies()) else { return Vec::new() };
    match (kind, Entity::from_wire(kind, body)) {
        (_, Ok(entity)) => of_entity(id, &entity).unwrap_or_default(),
        (Kind::Acl | Kind::ConsumerGroupMember, Err(_)) => {
            vec![Entry::Group { consumer: Uuid::nil(), said_by: id, group: Group::Unreadable }]
        }
        (_, Err(_)) => Vec::new(),
    }
}

fn of_entity(id: Uuid, entity: &Entity) -> Option<Vec<Entry>> {
    let owner = |lookup: Lookup, consumer: &Target, expires_at: Option<u64>| {
        Some(vec![Entry::Owner(lookup, Indexed { id, consumer: consumer.id()?, expires_at })])
    };
    match entity {
        Entity::Consumer(consumer) => {
            let indexed = Indexed { id, consumer: id, expires_at: None };
            let username = consumer.username.as_deref().map(Lookup::username);
            let custom_id = consumer.custom_id.as_deref().map(Lookup::custom_id);
            Some(username.into_iter().chain(custom_id).map(|lookup| Entry::Owner(lookup, indexed)).collect())
        }
        Entity::KeyAuth(held) => owner(Lookup(held.key_hash()?), &held.consumer, held.ttl.at),
        Entity::BasicAuth(held) => owner(Lookup::basic_auth(&held.username), &held.consumer, None),
        Entity::HmacAuth(held) => owner(Lookup::hmac_auth(&held.username), &held.consumer, None),
        Entity::Jwt(held) => owner(Lookup::jwt(held.key.plain()?), &held.consumer, None),
        Entity::MtlsAuth(held) => {
            let issuer = held.ca_certificate.as_ref().map(|issuer| issuer.id().ok_or(())).transpose().ok()?;
            owner(Lookup::mtls_auth(&held.subject_name, issuer), &held.consumer, None)
        }
        Entity::Oauth2Token(held) => owner(Lookup(held.digest()?), &held.consumer, held.expires_at),
        Entity::Acl(Acl { consumer, group, .. }) => {
            let group = Group::Acl(group.clone());
            Some(vec![Entry::Group { consumer: consumer.id()?, said_by: id, group }])
        }
        Entity::ConsumerGroupMember(ConsumerGroupMember { consumer, consumer_group, .. }) => {
            let group = Group::Consumers(consumer_group.id()?);
            Some(vec![Entry::Group { consumer: consumer.id()?, said_by: id, group }])
        }
        _ => None,
    }
}
