//! Who sends a request, by the credential that it shows: read from the store, and remembered until it may be somebody else.

use std::{
    cell::RefCell,
    collections::HashMap,
    hash::{BuildHasherDefault, Hasher},
    rc::Rc,
};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use uuid::Uuid;

use super::{CONSUMER_CUSTOM_ID, CONSUMER_ID, CONSUMER_USERNAME, CREDENTIAL_IDENTIFIER};
use crate::store::{KeyOwner, Store, StoreError};

/// Identities that a thread remembers at most, each a few hundred bytes. When there are more, it begins anew.
const REMEMBERED_MAX: usize = 16_384;

/// A consumer who was identified.
#[derive(Debug)]
pub struct Identity {
    /// Id of the consumer.
    pub consumer: Uuid,
    /// Unix seconds from which the credential counts no more.
    expires_at: Option<u64>,
    /// What upstreams are told. A header without a value is removed.
    told: [(HeaderName, Option<HeaderValue>); 4],
}

impl Identity {
    /// The identity of a key's owner. UTF-8 is told as it is. A value that no header can hold is left out: the consumer's id, which always
    /// fits, still tells who it is.
    pub fn of_key(owner: &KeyOwner) -> Self {
        let KeyOwner { credential_id, consumer_id, consumer, expires_at } = owner;
        let ids = [consumer_id.to_string(), credential_id.to_string()];
        let names = [consumer.username.as_deref(), consumer.custom_id.as_deref()];
        // All in one piece of memory, which a request then touches once.
        let texts = [Some(ids[0].as_str()), Some(ids[1].as_str()), names[0], names[1]];
        let all = Bytes::from(texts.iter().flatten().copied().collect::<String>());
        let mut start = 0;
        let values = texts.map(|text| {
            let end = start + text?.len();
            let value = HeaderValue::from_maybe_shared(all.slice(start..end));
            start = end;
            value.ok()
        });
        let headers = [CONSUMER_ID, CREDENTIAL_IDENTIFIER, CONSUMER_USERNAME, CONSUMER_CUSTOM_ID];
        let mut values = values.into_iter();
        let told = headers.map(|header| (header, values.next().flatten()));
        Self { consumer: *consumer_id, expires_at: *expires_at, told }
    }

    /// A consumer of whom nothing but its id is known.
    #[cfg(test)]
    pub fn of_consumer(consumer: Uuid) -> Self {
        Self {
            consumer,
            expires_at: None,
            told: [CONSUMER_ID, CREDENTIAL_IDENTIFIER, CONSUMER_USERNAME, CONSUMER_CUSTOM_ID]
                .map(|name| (name, None)),
        }
    }

    /// Tells the upstream who sends the request.
    pub fn tell(&self, headers: &mut HeaderMap) {
        for (name, value) in &self.told {
            match value {
                Some(value) => drop(headers.insert(name, value.clone())),
                None => drop(headers.remove(name)),
            }
        }
    }
}

/// What one thread knows of identities.
#[derive(Debug)]
pub struct Identities {
    store: Store,
    remembered: RefCell<Remembered>,
}

#[derive(Debug, Default)]
struct Remembered {
    /// The store's version of owners at which all of these were read.
    version: u64,
    by_key: HashMap<[u8; 32], Rc<Identity>, BuildHasherDefault<FirstBytes>>,
}

/// Takes the first bytes of a key's hash for the hash of that: they are as evenly spread, and only keys that exist are remembered.
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

impl Identities {
    /// Nothing is known but what `store` says.
    pub fn new(store: Store) -> Self {
        Self { store, remembered: RefCell::default() }
    }

    /// The owner at `now`, in Unix seconds, of the API key with this hash; `None` if nobody is, or not any more.
    pub fn by_key(&self, hash: &[u8; 32], now: u64) -> Result<Option<Rc<Identity>>, StoreError> {
        let version = self.store.owners_version();
        let mut remembered = self.remembered.borrow_mut();
        if remembered.version != version || remembered.by_key.len() >= REMEMBERED_MAX {
            remembered.by_key.clear();
            remembered.version = version;
        }
        if let Some(identity) = remembered.by_key.get(hash) {
            let has_ended = identity.expires_at.is_some_and(|end| end <= now);
            return Ok((!has_ended).then(|| identity.clone()));
        }
        let Some(owner) = self.store.consumer_by_key(hash, now)? else { return Ok(None) };
        let identity = Rc::new(Identity::of_key(&owner));
        remembered.by_key.insert(*hash, identity.clone());
        Ok(Some(identity))
    }
}
