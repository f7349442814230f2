//! The denials, in memory: entities that are revoked, and whose deletes are not part of what is held. Read for every request that shows a key.
//!
//! What ends a denial is its revocation alone: it is settled once the delete that it announced is part of what is held. An entity that was
//! made again under its old id is accepted from then on, and one that was revoked once more is not. Example: a file deletes a consumer,
//! the next one makes it again, and a third one deletes it; a gateway that has heard of both revocations and holds the second file's
//! version denies it still.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
};

use uuid::Uuid;

use super::Incarnation;

/// Where a revocation stands among those of its control plane. Later ones are greater.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// In which it was made; 0 if a control plane of an earlier release has not told.
    pub incarnation: u64,
    /// Counts from 1.
    pub seq: u64,
}

/// The revocations whose deletes are part of a version. [`Default`] is none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settled {
    /// The last of them.
    pub seq: u64,
    /// Those up to `seq` whose deletes are not committed yet.
    pub undone: Vec<u64>,
}

impl Settled {
    fn covers(&self, (incarnation, place): (Incarnation, Place)) -> bool {
        let is_up_to_it = place.incarnation == incarnation.get() && place.seq <= self.seq;
        is_up_to_it && !self.undone.contains(&place.seq)
    }
}

/// Wire name of a kind, and an id.
pub(super) type Name = (String, Uuid);

#[derive(Default)]
pub(super) struct Denied(RwLock<State>);

#[derive(Default)]
struct State {
    /// By wire name of the kind. Small: a denial ends with the delta that carries its delete.
    by_id: HashMap<Uuid, BTreeMap<String, Place>>,
    /// What the newest commit of this process has settled. Such a revocation may arrive after its delete.
    settled: Option<(Incarnation, Settled)>,
}

impl Denied {
    /// Whether the entity is denied.
    pub fn contains(&self, kind: &str, id: Uuid) -> bool {
        self.place(kind, id).is_some()
    }

    /// The revocation for which the entity is denied, the newest one.
    pub fn place(&self, kind: &str, id: Uuid) -> Option<Place> {
        self.read().by_id.get(&id)?.get(kind).copied()
    }

    /// Denies the entity, unless that is settled.
    pub fn insert(&self, kind: &str, id: Uuid, place: Place) {
        let mut state = self.write();
        if state.settled.as_ref().is_some_and(|(incarnation, settled)| settled.covers((*incarnation, place)))
        {
            return;
        }
        let held = state.by_id.entry(id).or_default().entry(kind.to_owned()).or_insert(place);
        *held = place.max(*held);
    }

    /// What a version settles: denials of revocations that it covers, and of another incarnation those of what `is_gone`.
    pub fn settled_by<E>(
        &self,
        version: (Incarnation, &Settled),
        mut is_gone: impl FnMut(&str, Uuid) -> Result<bool, E>,
    ) -> Result<Vec<(Name, Place)>, E> {
        let (incarnation, settled) = version;
        let state = self.read();
        let mut found = Vec::new();
        for (id, kinds) in &state.by_id {
            for (kind, place) in kinds {
                let is_settled = match place.incarnation == incarnation.get() {
                    true => settled.covers((incarnation, *place)),
                    false => is_gone(kind, *id)?,
                };
                if is_settled {
                    found.push(((kind.clone(), *id), *place));
                }
            }
        }
        Ok(found)
    }

    /// A version is held. Ends the denials that [`Denied::settled_by`] has `found`, and others that the version settles and that have arrived
    /// since. An entity that was revoked once more since stays denied. Returns whether one of `found` has ended.
    pub fn settle(&self, version: (Incarnation, Settled), found: Vec<(Name, Place)>) -> bool {
        let mut state = self.write();
        let mut ended = false;
        for ((kind, id), place) in found {
            if let Some(kinds) = state.by_id.get_mut(&id) {
                let before = kinds.len();
                kinds.retain(|held, at| *held != kind || *at != place);
                ended |= kinds.len() < before;
            }
        }
        let (incarnation, settled) = &version;
        state.by_id.retain(|_, kinds| {
            kinds.retain(|_, place| !settled.covers((*incarnation, *place)));
            !kinds.is_empty()
        });
        state.settled = Some(version);
        ended
    }

    /// Denies nothing any more.
    pub fn clear(&self) {
        *self.write() = State::default();
    }

    /// Kind and id of everything that is denied, in no order.
    #[cfg(test)]
    pub fn all(&self) -> Vec<Name> {
        let state = self.read();
        state.by_id.iter().flat_map(|(id, kinds)| kinds.keys().map(|kind| (kind.clone(), *id))).collect()
    }

    // A panic while the lock is held leaves the map in a valid state, so a poisoned lock may be used.
    fn read(&self) -> RwLockReadGuard<'_, State> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, State> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }
}
