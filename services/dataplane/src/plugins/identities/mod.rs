//! Who sends a request, by the credential that it shows: read from the store, and remembered until it may be somebody else.
//!
//! Each thread remembers for itself. What it remembers is dropped with the next change of whatever identifies somebody.

mod identity;
mod secret;

use std::{
    cell::RefCell,
    collections::{HashMap, HashSet},
    fmt,
    hash::{BuildHasherDefault, Hasher},
    rc::Rc,
};

use entity_secrets::NodeKey;
use gateway_model::{Entity, Kind};
use uuid::Uuid;

pub use self::{
    identity::{Identity, MemberOf},
    secret::{HmacKey, Secret, unusable},
};
use crate::store::{Identified, Lookup, Store, StoreError};

/// Identities that a thread remembers at most, each a few hundred bytes. When there are more, it begins anew.
const REMEMBERED_MAX: usize = 16_384;
/// Passwords that a thread remembers to be right at most, 32 bytes each. When there are more, it begins anew.
const PASSWORDS_MAX: usize = 16_384;

/// Finds the key that opens the secrets of entities.
type Opening = dyn Fn() -> Option<NodeKey>;

/// What one thread knows of identities.
pub struct Identities {
    store: Store,
    opening: Box<Opening>,
    remembered: RefCell<Remembered>,
    passwords: RefCell<HashSet<[u8; 32], BuildHasherDefault<FirstBytes>>>,
    /// Drawn by each thread, so that nobody outside can tell what is remembered of a password.
    password_key: [u8; 32],
}

#[derive(Default)]
struct Remembered {
    /// The store's version of owners at which all of these were read.
    version: u64,
    by_lookup: HashMap<[u8; 32], Rc<Identity>, BuildHasherDefault<FirstBytes>>,
}

/// Takes the first bytes of a hash for the hash of that: they are as evenly spread, and only what exists is remembered.
#[derive(Default)]
struct FirstBytes(u64);

impl Hasher for FirstBytes {
    fn write(&mut self, bytes: &[u8]) {
        if let Some(first) = bytes.first_chunk() {
            self.0 = u64::from_le_bytes(*first);
        }
    }

    fn write_usize(&mut self, _length: usize) {}

    fn finish(&self) -> u64 {
        self.0
    }
}

/// A consumer that the settings of a plugin name: whom a request counts as that shows no credential, for example.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Named {
    /// The consumer with this id.
    Id(Uuid),
    /// The consumer with this username.
    Username(Box<str>),
}

impl Named {
    /// What the text, from a plugin's settings, names.
    pub fn new(text: &str) -> Self {
        Uuid::try_parse(text).map_or_else(|_| Self::Username(text.into()), Self::Id)
    }
}

impl fmt::Display for Named {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Id(id) => id.fmt(f),
            Self::Username(username) => f.write_str(username),
        }
    }
}

impl Identities {
    /// Nothing is known but what `store` says. Secrets are opened with what `opening` finds; what is remembered is hashed with `password_key`.
    pub fn new(
        store: Store,
        opening: impl Fn() -> Option<NodeKey> + 'static,
        password_key: [u8; 32],
    ) -> Self {
        let (remembered, passwords) = Default::default();
        Self { store, opening: Box::new(opening), remembered, passwords, password_key }
    }

    /// Whom a credential of `kind` identifies at `now`, in Unix seconds; `None` if there is none, or not any more.
    pub fn by_credential(
        &self,
        kind: Kind,
        lookup: &Lookup,
        now: u64,
    ) -> Result<Option<Rc<Identity>>, StoreError> {
        let found = self.remembered(*lookup.as_bytes(), || {
            let identified = self.store.identify(kind, lookup, now)?;
            Ok(identified.map(|identified| self.identity(identified)))
        })?;
        Ok(found.filter(|identity| !identity.has_ended(now)))
    }

    /// Whom the first of `lookups` that leads to somebody identifies at `now`, each by an entity of a kind. That is remembered under `key`, a
    /// hash that must stand for all of them.
    pub fn first(
        &self,
        key: [u8; 32],
        now: u64,
        lookups: impl FnOnce() -> Vec<(Kind, Lookup)>,
    ) -> Result<Option<Rc<Identity>>, StoreError> {
        self.remembered(key, || {
            for (kind, lookup) in lookups() {
                if let Some(identified) = self.store.identify(kind, &lookup, now)? {
                    return Ok(Some(self.identity(identified)));
                }
            }
            Ok(None)
        })
    }

    /// The consumer with this username or id in another system, identified by something else than a credential of the gateway.
    pub fn by_name(&self, lookup: &Lookup) -> Result<Option<Rc<Identity>>, StoreError> {
        self.by_credential(Kind::Consumer, lookup, 0)
    }

    /// The consumer with this id, identified by something else than a credential of the gateway.
    pub fn by_id(&self, consumer: Uuid) -> Result<Option<Rc<Identity>>, StoreError> {
        self.remembered(of_id(consumer, 0), || {
            Ok(self.store.consumer(consumer)?.map(|identified| self.identity(identified)))
        })
    }

    /// The consumer that settings name, identified by something else than a credential of the gateway.
    pub fn named(&self, named: &Named) -> Result<Option<Rc<Identity>>, StoreError> {
        match named {
            Named::Id(id) => self.by_id(*id),
            Named::Username(name) => self.by_name(&Lookup::username(name)),
        }
    }

    /// The consumer that a request without a credential counts as.
    pub fn anonymous(&self, named: &Named) -> Result<Option<Rc<Identity>>, StoreError> {
        let id = match named {
            Named::Id(id) => Some(*id),
            Named::Username(_) => self.named(named)?.map(|found| found.consumer),
        };
        let Some(id) = id else { return Ok(None) };
        self.remembered(of_id(id, 1), || {
            Ok(self.store.consumer(id)?.map(|identified| Identity::anonymous(&identified)))
        })
    }

    /// The groups of a consumer.
    pub fn groups<'i>(&self, identity: &'i Identity) -> Result<&'i MemberOf, StoreError> {
        if let Some(known) = identity.groups.get() {
            return Ok(known);
        }
        let read = MemberOf::new(self.store.groups(identity.consumer)?);
        Ok(identity.groups.get_or_init(|| read))
    }

    /// Whether `password` is known to be right for the credential whose stored hash is `hash`. Another password, another hash or another
    /// credential makes another entry, so nothing has to be dropped when a credential changes.
    pub fn knows_password(&self, credential: Uuid, hash: &str, password: &[u8]) -> bool {
        self.passwords.borrow().contains(&self.password_entry(credential, hash, password))
    }

    /// Remembers that it is right.
    pub fn remember_password(&self, credential: Uuid, hash: &str, password: &[u8]) {
        let mut passwords = self.passwords.borrow_mut();
        if passwords.len() >= PASSWORDS_MAX {
            passwords.clear();
        }
        passwords.insert(self.password_entry(credential, hash, password));
    }

    fn password_entry(&self, credential: Uuid, hash: &str, password: &[u8]) -> [u8; 32] {
        let mut hasher = blake3::Hasher::new_keyed(&self.password_key);
        // The id and the hash's length have a fixed size: no two triples are the same bytes.
        hasher.update(credential.as_bytes()).update(&(hash.len() as u64).to_le_bytes());
        *hasher.update(hash.as_bytes()).update(password).finalize().as_bytes()
    }

    fn identity(&self, identified: Identified) -> Identity {
        Identity::new(&identified, self.secret(&identified))
    }

    /// The credential's secret in the form in which requests are checked against it.
    fn secret(&self, identified: &Identified) -> Secret {
        let Some((id, credential)) = &identified.credential else { return Secret::None };
        if matches!(credential.kind(), Kind::HmacAuth | Kind::Jwt) {
            let mut credential: Entity = credential.clone();
            let opened = (self.opening)().is_some_and(|key| key.open(*id, &mut credential).is_ok());
            return if opened { Secret::new(&credential) } else { Secret::None };
        }
        Secret::new(credential)
    }

    fn remembered(
        &self,
        key: [u8; 32],
        read: impl FnOnce() -> Result<Option<Identity>, StoreError>,
    ) -> Result<Option<Rc<Identity>>, StoreError> {
        let version = self.store.owners_version();
        {
            let mut remembered = self.remembered.borrow_mut();
            if remembered.version != version || remembered.by_lookup.len() >= REMEMBERED_MAX {
                remembered.by_lookup.clear();
                remembered.version = version;
            }
            if let Some(identity) = remembered.by_lookup.get(&key) {
                return Ok(Some(identity.clone()));
            }
        }
        let Some(identity) = read()?.map(Rc::new) else { return Ok(None) };
        // A credential whose secret could not be opened is looked up again: the key for it may still come.
        if !identity.lacks_secret() {
            self.remembered.borrow_mut().by_lookup.insert(key, identity.clone());
        }
        Ok(Some(identity))
    }
}

impl fmt::Debug for Identities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identities").field("store", &self.store).finish_non_exhaustive()
    }
}

/// What a consumer is remembered by that was found by its id; `how` tells apart what is known of it.
fn of_id(consumer: Uuid, how: u8) -> [u8; 32] {
    let mut key = [how; 32];
    let (first, second) = consumer.as_u64_pair();
    // Ids made at about the same time begin alike; the hash of a key is its first bytes.
    key[..8].copy_from_slice(&(second ^ first.rotate_left(32) ^ u64::from(how)).to_le_bytes());
    key[8..24].copy_from_slice(consumer.as_bytes());
    key
}

#[cfg(test)]
mod tests;
