//! The denials, in memory: entities that are revoked and not yet deleted. Read for every request that shows a key.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
};

use uuid::Uuid;

/// Wire names of kinds, by id. Small: a denial is dropped when the delta that deletes its entity arrives.
type KindsById = HashMap<Uuid, BTreeSet<String>>;

#[derive(Default)]
pub(super) struct Denied(RwLock<KindsById>);

impl Denied {
    /// Whether the entity is denied.
    pub fn contains(&self, kind: &str, id: Uuid) -> bool {
        self.read().get(&id).is_some_and(|kinds| kinds.contains(kind))
    }

    /// Denies the entity.
    pub fn insert(&self, kind: &str, id: Uuid) {
        self.write().entry(id).or_default().insert(kind.to_owned());
    }

    /// Denies these entities no longer.
    pub fn remove_all<'a>(&self, entities: impl IntoIterator<Item = (&'a str, Uuid)>) {
        if self.read().is_empty() {
            return;
        }
        let mut held = self.write();
        for (kind, id) in entities {
            if let Some(kinds) = held.get_mut(&id) {
                kinds.remove(kind);
                if kinds.is_empty() {
                    held.remove(&id);
                }
            }
        }
    }

    /// Denies nothing any more.
    pub fn clear(&self) {
        self.write().clear();
    }

    /// Kind and id of everything that is denied, in no order.
    pub fn all(&self) -> Vec<(String, Uuid)> {
        self.read().iter().flat_map(|(id, kinds)| kinds.iter().map(|kind| (kind.clone(), *id))).collect()
    }

    // A panic while the lock is held leaves the map in a valid state, so a poisoned lock may be used.
    fn read(&self) -> RwLockReadGuard<'_, KindsById> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, KindsById> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }
}
