//! What is revoked and not yet deleted, in memory: read on every authenticated request.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
};

use uuid::Uuid;

/// Kinds by id. Small: an entry lives only until the ordinary delete arrives.
type KindsById = HashMap<Uuid, BTreeSet<String>>;

#[derive(Default)]
pub(super) struct Denied(RwLock<KindsById>);

impl Denied {
    pub fn contains(&self, kind: &str, id: Uuid) -> bool {
        self.read().get(&id).is_some_and(|kinds| kinds.contains(kind))
    }

    pub fn insert(&self, kind: &str, id: Uuid) {
        self.write().entry(id).or_default().insert(kind.to_owned());
    }

    pub fn remove_all<'a>(&self, names: impl IntoIterator<Item = (&'a str, Uuid)>) {
        if self.read().is_empty() {
            return;
        }
        let mut held = self.write();
        for (kind, id) in names {
            if let Some(kinds) = held.get_mut(&id) {
                kinds.remove(kind);
                if kinds.is_empty() {
                    held.remove(&id);
                }
            }
        }
    }

    pub fn clear(&self) {
        self.write().clear();
    }

    pub fn all(&self) -> Vec<(String, Uuid)> {
        self.read().iter().flat_map(|(id, kinds)| kinds.iter().map(|kind| (kind.clone(), *id))).collect()
    }

    // A panic while the lock is held leaves the map whole, so a poisoned lock is as good as any other.
    fn read(&self) -> RwLockReadGuard<'_, KindsById> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, KindsById> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }
}
