//! One generation: three tables that hold a configuration's entities, the index of their API keys, and the digest of each
//! bucket. All three change together, in the caller's transaction.

use gateway_model::{Entity, Kind};
use heed::{RoTxn, RwTxn};
use sync::{BUCKETS, Digest, EntityState, bucket, entity_digest};
use uuid::Uuid;

use super::{
    StoreError,
    layout::{Table, entities_key, entities_value, read_entities_key, read_entities_value},
};

const ENTITIES: &str = "entities";
const KEYS: &str = "keys";
const BUCKET_DIGESTS: &str = "buckets";

#[derive(Clone, Copy)]
pub(super) struct Generation {
    /// 0 or 1.
    pub number: u8,
    entities: Table,
    keys: Table,
    buckets: Table,
}

/// An entity in LMDB's memory, valid for as long as the transaction.
pub(super) struct StoredEntity<'t> {
    /// Version of the control plane at which the entity was last written.
    pub version: u64,
    /// JSON, as received.
    pub body: &'t [u8],
}

type BucketDigests = Box<[Digest; BUCKETS as usize]>;

impl Generation {
    /// The set of tables with this number, 0 or 1: entities, the index of keys, and the digests of buckets.
    pub fn new(number: u8, (entities, keys, buckets): (Table, Table, Table)) -> Generation {
        Generation { number, entities, keys, buckets }
    }

    /// The stored entity; `None` if there is none.
    pub fn get<'t>(
        &self,
        txn: &'t RoTxn<'_>,
        kind: &str,
        id: Uuid,
    ) -> Result<Option<StoredEntity<'t>>, StoreError> {
        let value = self.entities.get(txn, &entities_key(bucket(kind, id), kind, id))?;
        value.map(stored).transpose()
    }

    /// The credential with this key hash.
    pub fn owner(&self, txn: &RoTxn<'_>, key_hash: &[u8; 32]) -> Result<Option<Indexed>, StoreError> {
        let Some(value) = self.keys.get(txn, key_hash)? else { return Ok(None) };
        Indexed::read(value).map(Some).ok_or(StoreError::Damaged(KEYS))
    }

    /// Applies entities and tombstones. One that is older than what is stored of its entity is ignored.
    pub fn apply(&self, txn: &mut RwTxn<'_>, entities: &[EntityState]) -> Result<(), StoreError> {
        let mut digests = self.bucket_digests(txn)?;
        let mut changed = [false; BUCKETS as usize];
        for entity in entities {
            let number = entity.bucket();
            let key = entities_key(number, &entity.kind, entity.id);
            let before = self.entities.get(txn, &key)?.map(stored).transpose()?;
            if !entity.replaces(before.as_ref().map(|before| before.version)) {
                continue;
            }
            let digest = &mut digests[usize::from(number)];
            changed[usize::from(number)] = true;
            if let Some(StoredEntity { version, body }) = before {
                digest.sub(&entity_digest(&entity.kind, entity.id, version, body));
                if let Some((hash, _)) = key_of(&entity.kind, entity.id, body) {
                    self.unindex(txn, &hash, entity.id)?;
                }
            }
            match entity.digest() {
                None => {
                    self.entities.delete(txn, &key)?;
                }
                Some(added) => {
                    digest.add(&added);
                    self.entities.put(txn, &key, &entities_value(entity.version, &entity.body))?;
                    if let Some((hash, indexed)) = key_of(&entity.kind, entity.id, &entity.body) {
                        self.keys.put(txn, &hash, &indexed.to_bytes())?;
                    }
                }
            }
        }
        let changed = (0..=u8::MAX).zip(digests.iter()).zip(changed).filter(|(_, changed)| *changed);
        changed
            .map(|(bucket, _)| bucket)
            .try_for_each(|(number, digest)| self.put_digest(txn, number, digest))
    }

    /// Removes a key of `credential` from the index. A key that the same change gave to another credential stays.
    fn unindex(&self, txn: &mut RwTxn<'_>, hash: &[u8; 32], credential: Uuid) -> Result<(), StoreError> {
        if self.owner(txn, hash)?.is_some_and(|indexed| indexed.credential == credential) {
            self.keys.delete(txn, hash)?;
        }
        Ok(())
    }

    fn put_digest(&self, txn: &mut RwTxn<'_>, number: u8, digest: &Digest) -> Result<(), StoreError> {
        if digest.is_zero() {
            self.buckets.delete(txn, &[number])?;
        } else {
            self.buckets.put(txn, &[number], digest.as_bytes())?;
        }
        Ok(())
    }

    /// The digest of each bucket, as stored.
    pub fn bucket_digests(&self, txn: &RoTxn<'_>) -> Result<BucketDigests, StoreError> {
        let mut digests = Box::new([Digest::default(); BUCKETS as usize]);
        for entry in self.buckets.iter(txn)? {
            let (key, value) = entry?;
            let (&[number], Some(digest)) = (key, Digest::from_slice(value)) else {
                return Err(StoreError::Damaged(BUCKET_DIGESTS));
            };
            digests[usize::from(number)] = digest;
        }
        Ok(digests)
    }

    /// The digest of all entities, from the stored digests.
    pub fn digest(&self, txn: &RoTxn<'_>) -> Result<Digest, StoreError> {
        Ok(self.bucket_digests(txn)?.iter().collect())
    }

    /// The digest of each bucket, computed from the stored entities.
    pub fn recount(&self, txn: &RoTxn<'_>) -> Result<BucketDigests, StoreError> {
        let mut digests = Box::new([Digest::default(); BUCKETS as usize]);
        for entry in self.entities.iter(txn)? {
            let (key, value) = entry?;
            let (kind, id) = kind_and_id(key)?;
            let StoredEntity { version, body } = stored(value)?;
            digests[usize::from(bucket(kind, id))].add(&entity_digest(kind, id, version, body));
        }
        Ok(digests)
    }

    /// Stores the digest of each bucket.
    pub fn put_bucket_digests(&self, txn: &mut RwTxn<'_>, digests: &BucketDigests) -> Result<(), StoreError> {
        (0..=u8::MAX)
            .zip(digests.iter())
            .try_for_each(|(number, digest)| self.put_digest(txn, number, digest))
    }

    /// Builds the key index again from the stored credentials.
    pub fn reindex(&self, txn: &mut RwTxn<'_>) -> Result<(), StoreError> {
        let mut entries = Vec::new();
        for entry in self.entities.iter(txn)? {
            let (key, value) = entry?;
            let (kind, id) = kind_and_id(key)?;
            if let Some((hash, indexed)) = key_of(kind, id, stored(value)?.body) {
                entries.push((hash, indexed.to_bytes()));
            }
        }
        self.keys.clear(txn)?;
        entries.iter().try_for_each(|(hash, value)| Ok(self.keys.put(txn, hash, value)?))
    }

    /// The entities of one bucket.
    pub fn bucket_entities(&self, txn: &RoTxn<'_>, number: u8) -> Result<Vec<EntityState>, StoreError> {
        self.entities.prefix_iter(txn, &[number])?.map(|entry| entity(entry?)).collect()
    }

    /// Empties one bucket.
    pub fn clear_bucket(&self, txn: &mut RwTxn<'_>, number: u8) -> Result<(), StoreError> {
        let mut entities = self.bucket_entities(txn, number)?;
        for entity in &mut entities {
            entity.deleted = true;
            entity.body.clear();
        }
        self.apply(txn, &entities)
    }

    /// Empties all tables.
    pub fn clear(&self, txn: &mut RwTxn<'_>) -> Result<(), StoreError> {
        [self.entities, self.keys, self.buckets].iter().try_for_each(|table| Ok(table.clear(txn)?))
    }
}

fn stored(value: &[u8]) -> Result<StoredEntity<'_>, StoreError> {
    let (version, body) = read_entities_value(value).ok_or(StoreError::Damaged(ENTITIES))?;
    Ok(StoredEntity { version, body })
}

fn kind_and_id(key: &[u8]) -> Result<(&str, Uuid), StoreError> {
    read_entities_key(key).ok_or(StoreError::Damaged(ENTITIES))
}

fn entity((key, value): (&[u8], &[u8])) -> Result<EntityState, StoreError> {
    let (kind, id) = kind_and_id(key)?;
    let StoredEntity { version, body } = stored(value)?;
    Ok(EntityState {
        kind: kind.to_owned(),
        id,
        version,
        body: bytes::Bytes::copy_from_slice(body),
        deleted: false,
    })
}

/// What the index of API keys says of a credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Indexed {
    /// Id of the credential.
    pub credential: Uuid,
    /// Id of its consumer.
    pub consumer: Uuid,
    /// Unix seconds from which it counts no more.
    pub expires_at: Option<u64>,
}

impl Indexed {
    /// Two ids and, where there is one, the end.
    fn to_bytes(self) -> Vec<u8> {
        let mut bytes = [*self.credential.as_bytes(), *self.consumer.as_bytes()].concat();
        bytes.extend(self.expires_at.into_iter().flat_map(u64::to_be_bytes));
        bytes
    }

    fn read(bytes: &[u8]) -> Option<Indexed> {
        let (credential, rest) = bytes.split_first_chunk()?;
        let (consumer, rest) = rest.split_first_chunk()?;
        let expires_at = match rest {
            [] => None,
            end => Some(u64::from_be_bytes(end.try_into().ok()?)),
        };
        let (credential, consumer) = (Uuid::from_bytes(*credential), Uuid::from_bytes(*consumer));
        Some(Indexed { credential, consumer, expires_at })
    }
}

/// Key hash of a credential, and what is indexed under it. `None` for entities of other kinds. `None` also for a credential that
/// this build cannot read: nobody gets in with it.
fn key_of(kind: &str, id: Uuid, body: &[u8]) -> Option<([u8; 32], Indexed)> {
    if kind != Kind::KeyAuth.name() {
        return None;
    }
    let Entity::KeyAuth(credential) = Entity::from_wire(Kind::KeyAuth, body).ok()? else { return None };
    let indexed =
        Indexed { credential: id, consumer: credential.consumer.id()?, expires_at: credential.ttl.at };
    Some((credential.key_hash()?, indexed))
}
