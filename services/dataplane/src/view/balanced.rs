//! The upstreams that are held, with their targets. Persistent.

use std::{collections::BTreeSet, sync::Arc};

use gateway_model::{Entity, Kind};
use imbl::{OrdMap, OrdSet};
use uuid::Uuid;

use super::{Change, compiled::Profile, tls_profile::TlsWishes, unreadable};
use crate::balancing::{Balanced, Definition, Target, Upstreams};

/// All upstreams and targets.
#[derive(Clone, Debug, Default)]
pub struct Balancing {
    /// What could be read of each upstream.
    held: OrdMap<Uuid, Held>,
    /// By name in lower case. Two upstreams may have one name, between the changes of one delta.
    named: OrdMap<String, OrdSet<Uuid>>,
    /// The targets of each upstream, also of one that has not come yet.
    targets: OrdMap<Uuid, OrdMap<Uuid, Arc<Target>>>,
    /// The upstream of each target.
    upstream_of: OrdMap<Uuid, Uuid>,
    /// Those that are served.
    served: Upstreams,
}

#[derive(Clone, Debug)]
struct Held {
    /// In lower case; `None` if it cannot be read.
    name: Option<String>,
    /// `None`: it cannot be read otherwise.
    entity: Option<Arc<gateway_model::Upstream>>,
}

/// What became of an upstream.
#[derive(Clone, Copy, Debug)]
pub enum Derived {
    /// It is served.
    Served,
    /// It is not there, or cannot be read.
    NotHeld,
}

/// An upstream of a name.
#[derive(Clone, Copy, Debug)]
pub enum Named<'a> {
    /// It is served.
    Served(&'a Arc<Balanced>),
    /// It is quarantined.
    Quarantined,
}

impl Balancing {
    /// Takes in an upstream, or its deletion. Returns the names that it had and has, and why it cannot be read if so.
    pub fn apply_upstream(&mut self, change: &Change) -> (Vec<String>, Result<(), String>) {
        let mut concerned = Vec::from_iter(self.forget(change.id));
        let Some(body) = &change.body else { return (concerned, Ok(())) };
        let (held, read) = match Entity::from_wire(Kind::Upstream, body) {
            Ok(Entity::Upstream(upstream)) => {
                let name = Some(upstream.name.to_ascii_lowercase());
                (Held { name, entity: Some(Arc::new(upstream)) }, Ok(()))
            }
            other => (Held { name: name_of(body), entity: None }, Err(unreadable(other))),
        };
        if let Some(name) = &held.name {
            self.named.entry(name.clone()).or_default().insert(change.id);
            concerned.push(name.clone());
        }
        self.held.insert(change.id, held);
        (concerned, read)
    }

    /// Takes in a target, or its deletion. Returns the upstreams whose target it was and is, and why it cannot be read if so: then it gets
    /// no requests, and others get them.
    pub fn apply_target(&mut self, change: &Change) -> (Vec<Uuid>, Result<(), String>) {
        let mut concerned = Vec::new();
        if let Some(upstream) = self.upstream_of.remove(&change.id) {
            concerned.push(upstream);
            if let Some(targets) = self.targets.get_mut(&upstream) {
                targets.remove(&change.id);
                if targets.is_empty() {
                    self.targets.remove(&upstream);
                }
            }
        }
        let Some(body) = &change.body else { return (concerned, Ok(())) };
        let read = match Entity::from_wire(Kind::UpstreamTarget, body) {
            Ok(Entity::UpstreamTarget(target)) => {
                let read = target.upstream.id().zip(Target::new(change.id, &target));
                read.ok_or_else(|| "target: not a host and port".to_owned())
            }
            other => Err(unreadable(other)),
        };
        match read {
            Ok((upstream, target)) => {
                concerned.push(upstream);
                self.upstream_of.insert(change.id, upstream);
                self.targets.entry(upstream).or_default().insert(change.id, Arc::new(target));
                (concerned, Ok(()))
            }
            Err(reason) => (concerned, Err(reason)),
        }
    }

    /// Derives an upstream from what is held. `profile` finds how TLS is spoken. Returns the upstream's name, and what became of it; an error
    /// says why it is not served.
    pub fn derive(&mut self, id: Uuid, profile: Profile<'_>) -> (Option<String>, Result<Derived, String>) {
        self.served.remove(&id);
        let Some(Held { name, entity }) = self.held.get(&id) else { return (None, Ok(Derived::NotHeld)) };
        let Some(entity) = entity else { return (name.clone(), Ok(Derived::NotHeld)) };
        let targets = self.targets.get(&id).into_iter().flat_map(OrdMap::values).cloned().collect();
        let certificate = entity.client_certificate.as_ref().and_then(gateway_model::Target::id);
        let tls = |verify| profile(&TlsWishes { verify, certificate, ..TlsWishes::default() });
        let derived = Definition::new(id, entity, targets, &tls).map_err(|error| error.to_string());
        let derived = derived.map(|definition| {
            self.served.insert(id, Arc::new(Balanced::new(definition)));
            Derived::Served
        });
        (name.clone(), derived)
    }

    /// The upstream that is called `host`; `None`: it is no upstream's name.
    pub fn named(&self, host: &str) -> Option<Named<'_>> {
        if self.named.is_empty() {
            return None;
        }
        // Of two with one name, the one that came last counts: the other is about to go.
        let id = self.named.get(&host.to_ascii_lowercase())?.get_max()?;
        Some(self.served.get(id).map_or(Named::Quarantined, Named::Served))
    }

    /// The certificate that the upstream called `host` wants its targets to be shown.
    pub fn certificate_of(&self, host: &str) -> Option<Uuid> {
        let id = self.named.get(&host.to_ascii_lowercase())?.get_max()?;
        certificate(self.held.get(id)?)
    }

    /// The upstreams that want one of `certificates` to be shown.
    pub fn showing(&self, certificates: &BTreeSet<Uuid>) -> Vec<Uuid> {
        if certificates.is_empty() {
            return Vec::new();
        }
        let shows = |held: &Held| certificate(held).is_some_and(|id| certificates.contains(&id));
        self.held.iter().filter(|(_, held)| shows(held)).map(|(id, _)| *id).collect()
    }

    /// Those that are served, by id.
    pub fn served(&self) -> &Upstreams {
        &self.served
    }

    fn forget(&mut self, id: Uuid) -> Option<String> {
        self.served.remove(&id);
        let name = self.held.remove(&id)?.name?;
        if let Some(ids) = self.named.get_mut(&name) {
            ids.remove(&id);
            if ids.is_empty() {
                self.named.remove(&name);
            }
        }
        Some(name)
    }
}

fn certificate(held: &Held) -> Option<Uuid> {
    held.entity.as_ref()?.client_certificate.as_ref()?.id()
}

/// The name of an upstream that this build does not understand otherwise.
fn name_of(body: &[u8]) -> Option<String> {
    let body: serde_json::Value = serde_json::from_slice(body).ok()?;
    Some(body.get("name")?.as_str()?.to_ascii_lowercase())
}
