//! Entities of kinds that this gateway holds and does not serve yet. They are counted, so that the node can tell; and the services that
//! name an upstream are known, because they must not be served as if the upstream were a host.

use std::collections::BTreeMap;

use gateway_model::{Entity, Kind};
use imbl::{HashMap, OrdMap, OrdSet};
use uuid::Uuid;

use super::Change;

/// What is held and not served. Persistent.
#[derive(Clone, Debug, Default)]
pub struct Unserved {
    by_kind: OrdMap<Kind, OrdSet<Uuid>>,
    /// The name of each upstream in lower case; `None` if it cannot be read.
    names: HashMap<Uuid, Option<String>>,
    /// How many upstreams have each name: two may, between the changes of one delta.
    upstreams: HashMap<String, usize>,
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

    /// Takes in an upstream, or its deletion. Returns the names that it had and has.
    pub fn note_upstream(&mut self, change: &Change) -> Vec<String> {
        self.note(Kind::Upstream, change);
        let mut concerned = Vec::new();
        if let Some(Some(before)) = self.names.remove(&change.id) {
            if let Some(count) = self.upstreams.get_mut(&before) {
                *count -= 1;
                if *count == 0 {
                    self.upstreams.remove(&before);
                }
            }
            concerned.push(before);
        }
        if let Some(body) = &change.body {
            let name = match Entity::from_wire(Kind::Upstream, body) {
                Ok(Entity::Upstream(upstream)) => Some(upstream.name.to_ascii_lowercase()),
                _ => name_of(body),
            };
            if let Some(name) = &name {
                *self.upstreams.entry(name.clone()).or_default() += 1;
                concerned.push(name.clone());
            }
            self.names.insert(change.id, name);
        }
        concerned
    }

    /// Whether `host` is the name of an upstream.
    pub fn is_upstream(&self, host: &str) -> bool {
        !self.upstreams.is_empty() && self.upstreams.contains_key(&host.to_ascii_lowercase())
    }

    /// How many there are of each kind, by its wire name.
    pub fn counts(&self) -> BTreeMap<&'static str, usize> {
        self.by_kind.iter().map(|(kind, ids)| (kind.name(), ids.len())).collect()
    }
}

/// The name of an upstream that this build does not understand otherwise.
fn name_of(body: &[u8]) -> Option<String> {
    let body: serde_json::Value = serde_json::from_slice(body).ok()?;
    Some(body.get("name")?.as_str()?.to_ascii_lowercase())
}
