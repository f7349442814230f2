//! What is known of a control plane's configuration while writes are planned: rows as loaded, with the writes planned so
//! far on top. Pure: what is not known is asked for, never guessed.

use std::collections::{BTreeMap, HashMap, btree_map::Entry};

use gateway_model::{Entity, Kind, OnDelete, Reference, UniqueKey};
use sync::Digest;
use time::OffsetDateTime;
use uuid::Uuid;

use super::secrets;

/// What an entity is called within its control plane. In order of kind, then id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EntityId {
    /// Comes first in the order.
    pub kind: Kind,
    /// Unique within its control plane and kind.
    pub id: Uuid,
}

/// A unique key within a control plane.
pub type Key = (Kind, UniqueKey);

/// A live row.
#[derive(Clone, Debug, PartialEq)]
pub struct Stored {
    /// The fields, with secrets in clear.
    pub entity: Entity,
    /// The version of the control plane at which the row was last written.
    pub version: u64,
    /// What the row adds to the digest of its control plane.
    pub digest: Digest,
    /// When the entity was created.
    pub created_at: OffsetDateTime,
}

/// An entity that refers to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Referrer {
    /// The entity whose field refers.
    pub id: EntityId,
    /// What happens to the referring entity when its target is deleted.
    pub on_delete: OnDelete,
}

/// Something that has to be read before planning can go on.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Want {
    /// The row of this entity.
    Entity(EntityId),
    /// Which entity has this unique key.
    Key(Key),
    /// Which entities refer to this one.
    Referrers(EntityId),
    /// How many live entities there are.
    Count,
    /// How much the regular expressions of all routes take to compile.
    PathCost,
}

/// One row that a batch changes.
#[derive(Clone, Debug)]
pub struct Pending {
    /// The row as the database holds it; `None` if it is not there.
    pub before: Option<Stored>,
    /// The entity after the batch; `None` if it will not be there.
    pub after: Option<Entity>,
}

impl Pending {
    /// The entity as the database holds it.
    pub fn before(&self) -> Option<&Entity> {
        self.before.as_ref().map(|stored| &stored.entity)
    }
}

/// A planned write.
#[derive(Clone, Debug, PartialEq)]
pub struct Write {
    /// The row to write.
    pub id: EntityId,
    /// The entity as it shall be; `None` deletes it.
    pub after: Option<Entity>,
}

/// What takes writes back that were taken as done.
#[derive(Debug, Default)]
pub struct Undo {
    /// What was there before each, in the order in which they were done.
    writes: Vec<Write>,
    /// Entities that no earlier write had changed.
    fresh: Vec<EntityId>,
}

/// What planning knows of the database, and of the writes that were planned before in the same batch. It grows with what
/// planning says is missing ([`Want`]).
#[derive(Debug)]
pub struct Known {
    /// When the writes happen.
    now: OffsetDateTime,
    /// Random, for the secrets that the writes leave open.
    seed: [u8; 32],
    rows: HashMap<EntityId, Option<Stored>>,
    index: Index,
    /// Live entities, planned writes included, once somebody asked.
    count: Option<usize>,
    /// What all regular expressions take to compile, planned writes included, once somebody asked.
    path_cost: Option<u64>,
    pending: BTreeMap<EntityId, Pending>,
}

impl Known {
    /// Nothing is known yet of the control plane whose writes happen at `now`. `seed` is random, and of this
    /// batch alone.
    pub fn new(now: OffsetDateTime, seed: [u8; 32]) -> Self {
        Self {
            now,
            seed,
            rows: HashMap::new(),
            index: Index::default(),
            count: None,
            path_cost: None,
            pending: BTreeMap::new(),
        }
    }

    /// Fills in what the body of an entity left open: from the entity as it is now, and with secrets that are drawn.
    pub fn complete(&self, id: EntityId, entity: &mut Entity) -> Result<(), Want> {
        let now = u64::try_from(self.now.unix_timestamp()).unwrap_or_default();
        entity.inherit(self.entity(id)?, now);
        secrets::draw(id, entity, &self.seed);
        Ok(())
    }

    /// The entity as it is now, planned writes included.
    pub fn entity(&self, id: EntityId) -> Result<Option<&Entity>, Want> {
        if let Some(pending) = self.pending.get(&id) {
            return Ok(pending.after.as_ref());
        }
        Ok(self.row(id)?.map(|stored| &stored.entity))
    }

    /// The row as the database holds it.
    pub fn row(&self, id: EntityId) -> Result<Option<&Stored>, Want> {
        if let Some(pending) = self.pending.get(&id) {
            return Ok(pending.before.as_ref());
        }
        match self.rows.get(&id) {
            Some(row) => Ok(row.as_ref()),
            None => Err(Want::Entity(id)),
        }
    }

    /// Whether a write of this batch changes the entity.
    pub fn is_pending(&self, id: EntityId) -> bool {
        self.pending.contains_key(&id)
    }

    /// The id of the entity that has a unique key; `None` inside if nobody has it.
    pub fn holder(&self, key: &Key) -> Result<Option<Uuid>, Want> {
        match self.index.keys.get(key) {
            Some(holder) => Ok(*holder),
            None => Err(Want::Key(key.clone())),
        }
    }

    /// Who refers to an entity.
    pub fn referrers(&self, id: EntityId) -> Result<&[Referrer], Want> {
        self.index.referrers.get(&id).map(Vec::as_slice).ok_or(Want::Referrers(id))
    }

    /// How many live entities there are now, planned writes included.
    pub fn count(&self) -> Result<usize, Want> {
        self.count.ok_or(Want::Count)
    }

    /// What the regular expressions of all routes take to compile, planned writes included.
    pub fn path_cost(&self) -> Result<u64, Want> {
        self.path_cost.ok_or(Want::PathCost)
    }

    /// What the batch comes to, in order of kind and id.
    pub fn into_pending(self) -> BTreeMap<EntityId, Pending> {
        self.pending
    }

    /// Takes in a row that was read; `None`: there is none.
    pub fn learn_entity(&mut self, id: EntityId, row: Option<Stored>) {
        self.rows.entry(id).or_insert(row);
    }

    /// Takes in how many live entities the database holds.
    pub fn learn_count(&mut self, stored: usize) {
        let changes = self.pending.values();
        self.count =
            Some(changes.fold(stored, |count, change| {
                recount(count, change.before.is_some(), change.after.is_some())
            }));
    }

    /// Takes in what the regular expressions take that the database holds.
    pub fn learn_path_cost(&mut self, stored: u64) {
        let cost = |entity: Option<&Entity>| entity.map_or(0, Entity::path_cost);
        let changes = self.pending.values();
        self.path_cost = Some(changes.fold(stored, |total, change| {
            let before = change.before.as_ref().map(|stored| &stored.entity);
            total.saturating_sub(cost(before)).saturating_add(cost(change.after.as_ref()))
        }));
    }

    /// Takes in who holds a unique key in the database; `None` if nobody does. Writes planned before count as done.
    pub fn learn_key(&mut self, key: Key, holder: Option<Uuid>) {
        // The database does not know of planned writes: its holder may have let go of the key.
        let holds = |id: &Uuid| match self.pending.get(&EntityId { kind: key.0, id: *id }) {
            Some(pending) => {
                pending.after.as_ref().is_some_and(|entity| entity.unique_keys().contains(&key.1))
            }
            None => true,
        };
        let holder = holder.filter(holds);
        self.index.keys.entry(key).or_insert(holder);
    }

    /// Takes in which entities refer to `id` in the database. Writes planned before count as done.
    pub fn learn_referrers(&mut self, id: EntityId, mut referrers: Vec<Referrer>) {
        referrers.retain(|referrer| !self.pending.contains_key(&referrer.id));
        for (from, pending) in &self.pending {
            let references = pending.after.iter().flat_map(Entity::references);
            let to_it = references.filter(|reference| target_of(reference) == Some(id));
            referrers.extend(to_it.map(|reference| Referrer { id: *from, on_delete: reference.on_delete }));
        }
        self.index.referrers.entry(id).or_insert(referrers);
    }

    /// Takes planned writes as done, for the plans that follow. Their rows must be known. Answers what undoes them.
    pub fn absorb(&mut self, writes: Vec<Write>) -> Undo {
        let mut undo = Undo::default();
        for Write { id, after } in writes {
            let before = self.entity(id).ok().flatten().cloned();
            if !self.pending.contains_key(&id) {
                undo.fresh.push(id);
            }
            undo.writes.push(Write { id, after: before.clone() });
            if let Some(entity) = &before {
                self.index.forget(id, entity);
            }
            if let Some(entity) = &after {
                self.index.note(id, entity);
            }
            self.count = self.count.map(|count| recount(count, before.is_some(), after.is_some()));
            self.path_cost = self.path_cost.map(|total| {
                let cost = |entity: &Option<Entity>| entity.as_ref().map_or(0, Entity::path_cost);
                total.saturating_sub(cost(&before)).saturating_add(cost(&after))
            });
            match self.pending.entry(id) {
                Entry::Occupied(mut pending) => pending.get_mut().after = after,
                Entry::Vacant(vacant) => {
                    let before = self.rows.remove(&id).flatten();
                    vacant.insert(Pending { before, after });
                }
            }
        }
        undo
    }

    /// Takes the newest writes back that were taken as done.
    pub fn undo(&mut self, undo: Undo) {
        let _ = self.absorb(undo.writes.into_iter().rev().collect());
        for id in undo.fresh {
            if let Some(pending) = self.pending.remove(&id) {
                self.rows.insert(id, pending.before);
            }
        }
    }
}

/// Who has which unique key, and who refers to whom, planned writes included.
#[derive(Debug, Default)]
struct Index {
    keys: HashMap<Key, Option<Uuid>>,
    referrers: HashMap<EntityId, Vec<Referrer>>,
}

impl Index {
    fn forget(&mut self, id: EntityId, entity: &Entity) {
        for key in entity.unique_keys() {
            let key = (id.kind, key);
            if self.keys.get(&key) == Some(&Some(id.id)) {
                self.keys.insert(key, None);
            }
        }
        for target in entity.references().iter().filter_map(target_of) {
            if let Some(known) = self.referrers.get_mut(&target) {
                known.retain(|referrer| referrer.id != id);
            }
        }
    }

    fn note(&mut self, id: EntityId, entity: &Entity) {
        for key in entity.unique_keys() {
            self.keys.insert((id.kind, key), Some(id.id));
        }
        for reference in entity.references() {
            let Some(target) = target_of(&reference) else { continue };
            let referrer = Referrer { id, on_delete: reference.on_delete };
            // Where they were not asked for yet, [`Known::learn_referrers`] will add it.
            if let Some(known) = self.referrers.get_mut(&target) {
                known.push(referrer);
            }
        }
    }
}

/// The count after one change. `before` and `after` say whether the entity existed before and after it.
fn recount(count: usize, before: bool, after: bool) -> usize {
    match (before, after) {
        (false, true) => count + 1,
        (true, false) => count.saturating_sub(1),
        (false, false) | (true, true) => count,
    }
}

/// The target of a reference, once resolved.
pub fn target_of(reference: &Reference<'_>) -> Option<EntityId> {
    Some(EntityId { kind: reference.kind, id: reference.target.id()? })
}
