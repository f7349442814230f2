//! Entities of kinds that this gateway holds and does not serve yet. They are counted, so that the node can tell.

use std::collections::BTreeMap;

use gateway_model::Kind;
use imbl::{OrdMap, OrdSet};
use uuid::Uuid;

use super::Change;

/// What is held and not served. Persistent.
#[derive(Clone, Debug, Default)]
pub struct Unserved {
    by_kind: OrdMap<Kind, OrdSet<Uuid>>,
}

impl Unserved {
    /// Takes in an entity of a kind that is not served, or its deletion.
    pub fn note(&mut self, kind: Kind, change: &Change) {
        match &change.body {
            Some(_) => drop(self.by_kind.entry(kind).or_default().insert(change.id)),
            None => {
                if let Some(ids) = self.by_kind.get_mut(&kind) {
                    ids.remove(&change.id);
                    if ids.is_empty() {
                        self.by_kind.remove(&kind);
                    }
                }
            }
        }
    }

    /// How many there are of each kind, by its wire name.
    pub fn counts(&self) -> BTreeMap<&'static str, usize> {
        self.by_kind.iter().map(|(kind, ids)| (kind.name(), ids.len())).collect()
    }
}
