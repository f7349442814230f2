//! What is known of a control plane's configuration while writes are planned: rows as loaded, with the writes planned so
//! far on top. Pure: what is not known is asked for, never guessed.

use std::collections::{BTreeMap, HashMap};

use gateway_model::{Entity, Kind, OnDelete, Reference, UniqueKey};
use time::OffsetDateTime;
use uuid::Uuid;

/// An entity's name within its control plane.
pub type Name = (Kind, Uuid);
/// A unique key within a control plane.
pub type Key = (Kind, UniqueKey);

/// A live row.
#[derive(Clone, Debug, PartialEq)]
pub struct Stored {
    pub entity: Entity,
    /// The body as nodes hold it.
    pub wire: Vec<u8>,
    pub version: u64,
    pub created_at: OffsetDateTime,
}

/// An entity that refers to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Referrer {
    pub name: Name,
    pub on_delete: OnDelete,
}

/// Something that has to be read before planning can go on.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Want {
    Entity(Name),
    Key(Key),
    Referrers(Name),
    /// The whole configuration.
    Everything,
}

/// One row's way through a batch: what the database holds, and what it shall hold.
#[derive(Clone, Debug)]
pub struct Pending {
    pub before: Option<Stored>,
    pub after: Option<Entity>,
}

/// A planned write: `None` deletes.
pub type Write = (Name, Option<Entity>);

#[derive(Debug, Default)]
pub struct Known {
    rows: HashMap<Name, Option<Stored>>,
    keys: HashMap<Key, Option<Uuid>>,
    referrers: HashMap<Name, Vec<Referrer>>,
    everything: bool,
    pending: BTreeMap<Name, Pending>,
}

impl Known {
    /// The entity as it is now, planned writes included.
    pub fn entity(&self, name: Name) -> Result<Option<&Entity>, Want> {
        if let Some(pending) = self.pending.get(&name) {
            return Ok(pending.after.as_ref());
        }
        Ok(self.row(name)?.map(|stored| &stored.entity))
    }

    /// The row as the database holds it.
    pub fn row(&self, name: Name) -> Result<Option<&Stored>, Want> {
        match self.rows.get(&name) {
            Some(row) => Ok(row.as_ref()),
            None if self.everything => Ok(None),
            None => Err(Want::Entity(name)),
        }
    }

    /// Whether a write of this batch changes the entity.
    pub fn is_pending(&self, name: Name) -> bool {
        self.pending.contains_key(&name)
    }

    /// Who has a unique key.
    pub fn holder(&self, key: &Key) -> Result<Option<Uuid>, Want> {
        match self.keys.get(key) {
            Some(holder) => Ok(*holder),
            None if self.everything => Ok(None),
            None => Err(Want::Key(key.clone())),
        }
    }

    /// Who refers to an entity.
    pub fn referrers(&self, name: Name) -> Result<&[Referrer], Want> {
        match self.referrers.get(&name) {
            Some(referrers) => Ok(referrers),
            None if self.everything => Ok(&[]),
            None => Err(Want::Referrers(name)),
        }
    }

    /// Every live entity by name, once everything is known.
    pub fn all(&self) -> Result<BTreeMap<Name, &Entity>, Want> {
        if !self.everything {
            return Err(Want::Everything);
        }
        let stored = self.rows.iter().filter_map(|(name, row)| Some((*name, &row.as_ref()?.entity)));
        let mut all: BTreeMap<Name, &Entity> = stored.collect();
        for (name, pending) in &self.pending {
            match &pending.after {
                Some(entity) => all.insert(*name, entity),
                None => all.remove(name),
            };
        }
        Ok(all)
    }

    /// What the batch comes to, in order of kind and id.
    pub fn into_pending(self) -> BTreeMap<Name, Pending> {
        self.pending
    }

    /// Takes in a row that was read; `None`: there is none.
    pub fn learn_entity(&mut self, name: Name, row: Option<Stored>) {
        self.rows.entry(name).or_insert(row);
    }

    pub fn learn_key(&mut self, key: Key, holder: Option<Uuid>) {
        // The database does not know of planned writes: its holder may have let go of the key.
        let holds = |id: &Uuid| match self.pending.get(&(key.0, *id)) {
            Some(pending) => {
                pending.after.as_ref().is_some_and(|entity| entity.unique_keys().contains(&key.1))
            }
            None => true,
        };
        let holder = holder.filter(holds);
        self.keys.entry(key).or_insert(holder);
    }

    pub fn learn_referrers(&mut self, name: Name, mut referrers: Vec<Referrer>) {
        referrers.retain(|referrer| !self.pending.contains_key(&referrer.name));
        for (from, pending) in &self.pending {
            let references = pending.after.iter().flat_map(Entity::references);
            let to_name = references.filter(|reference| points_at(reference, name));
            referrers
                .extend(to_name.map(|reference| Referrer { name: *from, on_delete: reference.on_delete }));
        }
        self.referrers.entry(name).or_insert(referrers);
    }

    /// Takes in the whole configuration as stored; planned writes stay on top.
    pub fn learn_everything(&mut self, rows: Vec<(Name, Stored)>) {
        for (name, row) in rows {
            self.rows.insert(name, Some(row));
        }
        self.everything = true;
        self.keys.clear();
        self.referrers.clear();
        let all: Vec<(Name, Entity)> = match self.all() {
            Ok(all) => all.into_iter().map(|(name, entity)| (name, entity.clone())).collect(),
            Err(_) => Vec::new(),
        };
        for (name, entity) in &all {
            self.note_entity(*name, entity);
        }
    }

    /// Takes planned writes as done, for the plans that follow. Their rows must be known.
    pub fn absorb(&mut self, writes: Vec<Write>) {
        for (name, after) in writes {
            let before = self.entity(name).ok().flatten().cloned();
            if let Some(entity) = &before {
                self.forget_entity(name, entity);
            }
            if let Some(entity) = &after {
                self.note_entity(name, entity);
            }
            let stored = self.rows.get(&name).cloned().flatten();
            self.pending.entry(name).or_insert_with(|| Pending { before: stored, after: None }).after = after;
        }
    }

    fn forget_entity(&mut self, name: Name, entity: &Entity) {
        for key in entity.unique_keys() {
            let key = (name.0, key);
            if self.keys.get(&key) == Some(&Some(name.1)) {
                self.keys.insert(key, None);
            }
        }
        for reference in entity.references() {
            let target = reference.target.id().map(|id| (reference.kind, id));
            if let Some(known) = target.and_then(|target| self.referrers.get_mut(&target)) {
                known.retain(|referrer| referrer.name != name);
            }
        }
    }

    fn note_entity(&mut self, name: Name, entity: &Entity) {
        for key in entity.unique_keys() {
            self.keys.insert((name.0, key), Some(name.1));
        }
        for reference in entity.references() {
            let Some(id) = reference.target.id() else { continue };
            let referrer = Referrer { name, on_delete: reference.on_delete };
            match self.referrers.get_mut(&(reference.kind, id)) {
                Some(known) => known.push(referrer),
                None if self.everything => drop(self.referrers.insert((reference.kind, id), vec![referrer])),
                // Not asked for yet; [`Known::learn_referrers`] will add it.
                None => {}
            }
        }
    }
}

fn points_at(reference: &Reference<'_>, name: Name) -> bool {
    reference.kind == name.0 && reference.target.id() == Some(name.1)
}
