//! One generation: the tables that hold a configuration's entities, what requests find consumers by, and the digest of each bucket. They
//! change together, in the caller's transaction.

use std::collections::BTreeMap;

use heed::{RoTxn, RwTxn};
use sync::{BUCKETS, Digest, EntityState, bucket, entity_digest};
use uuid::Uuid;

use super::{
    StoreError,
    index::{Entry, Group, Indexed, Lookup, entries, group_key, said_by},
    layout::{Table, entities_key, entities_value, read_entities_key, read_entities_value},
};

const ENTITIES: &str = "entities";
const KEYS: &str = "keys";
const GROUPS: &str = "groups";
const BUCKET_DIGESTS: &str = "buckets";

#[derive(Clone, Copy)]
pub(super) struct Generation {
    /// 0 or 1.
    pub number: u8,
    tables: Tables,
}

/// The tables of a generation.
#[derive(Clone, Copy)]
struct Tables {
    entities: Table,
    keys: Table,
    groups: Table,
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
    /// The set of tables with this number, 0 or 1.
    pub fn new(number: u8, (entities, keys, groups, buckets): (Table, Table, Table, Table)) -> Generation {
        Generation { number, tables: Tables { entities, keys, groups, buckets } }
    }

    /// The stored entity; `None` if there is none.
    pub fn get<'t>(
        &self,
        txn: &'t RoTxn<'_>,
        kind: &str,
        id: Uuid,
    ) -> Result<Option<StoredEntity<'t>>, StoreError> {
        let value = self.tables.entities.get(txn, &entities_key(bucket(kind, id), kind, id))?;
        value.map(stored).transpose()
    }

    /// Whom `lookup` leads to.
    pub fn owner(&self, txn: &RoTxn<'_>, lookup: &Lookup) -> Result<Option<Indexed>, StoreError> {
        let Some(value) = self.tables.keys.get(txn, lookup.as_bytes())? else { return Ok(None) };
        Indexed::read(value).map(Some).ok_or(StoreError::Damaged(KEYS))
    }

    /// The groups of a consumer, each with the entity that says so.
    pub fn groups(&self, txn: &RoTxn<'_>, consumer: Uuid) -> Result<Vec<(Uuid, Group)>, StoreError> {
        let read = |(key, value): (&[u8], &[u8])| Some((said_by(key)?, Group::read(value)?));
        let entries = self.tables.groups.prefix_iter(txn, consumer.as_bytes())?;
        entries.map(|entry| read(entry?).ok_or(StoreError::Damaged(GROUPS))).collect()
    }

    /// Applies entities and tombstones. One that is older than what is stored of its entity is ignored. Answers what that adds to the digest
    /// of all entities.
    pub fn apply(&self, txn: &mut RwTxn<'_>, entities: &[EntityState]) -> Result<Digest, StoreError> {
        // By bucket. Few buckets change with most commits, so only those are read and written.
        let mut differences = BTreeMap::<u8, Digest>::new();
        for entity in entities {
            let number = entity.bucket();
            let key = entities_key(number, &entity.kind, entity.id);
            let before = self.tables.entities.get(txn, &key)?.map(stored).transpose()?;
            if !entity.replaces(before.as_ref().map(|before| before.version)) {
                continue;
            }
            let difference = differences.entry(number).or_default();
            if let Some(StoredEntity { version, body }) = before {
                difference.sub(&entity_digest(&entity.kind, entity.id, version, body));
                for entry in entries(&entity.kind, entity.id, body) {
                    self.unindex(txn, &entry)?;
                }
            }
            match entity.digest() {
                None => {
                    self.tables.entities.delete(txn, &key)?;
                }
                Some(added) => {
                    difference.add(&added);
                    self.tables.entities.put(txn, &key, &entities_value(entity.version, &entity.body))?;
                    for entry in entries(&entity.kind, entity.id, &entity.body) {
                        self.index(txn, &entry)?;
                    }
                }
            }
        }
        for (number, difference) in &differences {
            let mut digest = self.bucket_digest(txn, *number)?;
            digest.add(difference);
            self.put_digest(txn, *number, &digest)?;
        }
        Ok(differences.values().collect())
    }

    fn index(&self, txn: &mut RwTxn<'_>, entry: &Entry) -> Result<(), StoreError> {
        match entry {
            Entry::Owner(lookup, indexed) => {
                self.tables.keys.put(txn, lookup.as_bytes(), &indexed.to_bytes())?
            }
            Entry::Group { consumer, said_by, group } => {
                self.tables.groups.put(txn, &group_key(*consumer, *said_by), &group.to_bytes())?;
            }
        }
        Ok(())
    }

    /// Removes an entry from the index. A key or name that the same change gave to another entity stays.
    fn unindex(&self, txn: &mut RwTxn<'_>, entry: &Entry) -> Result<(), StoreError> {
        match entry {
            Entry::Owner(lookup, before) => {
                if self.owner(txn, lookup)?.is_some_and(|indexed| indexed.id == before.id) {
                    self.tables.keys.delete(txn, lookup.as_bytes())?;
                }
            }
            Entry::Group { consumer, said_by, .. } => {
                self.tables.groups.delete(txn, &group_key(*consumer, *said_by))?;
            }
        }
        Ok(())
    }

    fn put_digest(&self, txn: &mut RwTxn<'_>, number: u8, digest: &Digest) -> Result<(), StoreError> {
        if digest.is_zero() {
            self.tables.buckets.delete(txn, &[number])?;
        } else {
            self.tables.buckets.put(txn, &[number], digest.as_bytes())?;
        }
        Ok(())
    }

    fn bucket_digest(&self, txn: &RoTxn<'_>, number: u8) -> Result<Digest, StoreError> {
        let Some(value) = self.tables.buckets.get(txn, &[number])? else { return Ok(Digest::default()) };
        Digest::from_slice(value).ok_or(StoreError::Damaged(BUCKET_DIGESTS))
    }

    /// The digest of each bucket, as stored.
    pub fn bucket_digests(&self, txn: &RoTxn<'_>) -> Result<BucketDigests, StoreError> {
        let mut digests = Box::new([Digest::default(); BUCKETS as usize]);
        for entry in self.tables.buckets.iter(txn)? {
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
        for entry in self.tables.entities.iter(txn)? {
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

    /// Builds the index again from the stored entities.
    pub fn reindex(&self, txn: &mut RwTxn<'_>) -> Result<(), StoreError> {
        let mut all = Vec::new();
        for entry in self.tables.entities.iter(txn)? {
            let (key, value) = entry?;
            let (kind, id) = kind_and_id(key)?;
            all.extend(entries(kind, id, stored(value)?.body));
        }
        self.tables.keys.clear(txn)?;
        self.tables.groups.clear(txn)?;
        all.iter().try_for_each(|entry| self.index(txn, entry))
    }

    /// The entities of one bucket.
    pub fn bucket_entities(&self, txn: &RoTxn<'_>, number: u8) -> Result<Vec<EntityState>, StoreError> {
        self.tables.entities.prefix_iter(txn, &[number])?.map(|entry| entity(entry?)).collect()
    }

    /// Empties one bucket.
    pub fn clear_bucket(&self, txn: &mut RwTxn<'_>, number: u8) -> Result<(), StoreError> {
        let mut entities = self.bucket_entities(txn, number)?;
        for entity in &mut entities {
            entity.deleted = true;
            entity.body.clear();
        }
        self.apply(txn, &entities).map(drop)
    }

    /// Empties all tables.
    pub fn clear(&self, txn: &mut RwTxn<'_>) -> Result<(), StoreError> {
        let Tables { entities, keys, groups, buckets } = self.tables;
        [entities, keys, groups, buckets].iter().try_for_each(|table| Ok(table.clear(txn)?))
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
