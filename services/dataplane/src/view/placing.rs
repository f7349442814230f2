//! Plugins, from what they say to where they run. One that names CA certificates is made when all changes are taken in, and again whenever one
//! of these comes, goes or changes.

use std::sync::Arc;

use gateway_model::{Entity, Kind, Plugin, Target};
use imbl::{OrdMap, OrdSet};
use uuid::Uuid;

use super::{
    Change, Dirty, View, salvage,
    scope::{Placed, Scope},
    unreadable,
};
use crate::plugins::{self, Authorities, Make};

/// The plugins that name CA certificates. Persistent.
#[derive(Clone, Default)]
pub struct Trusting {
    /// With their secrets open.
    plugins: OrdMap<Uuid, Arc<Trusts>>,
    /// By a certificate that they name.
    users: OrdMap<Uuid, OrdSet<Uuid>>,
}

struct Trusts {
    plugin: Plugin,
    certificates: Vec<Uuid>,
}

impl Trusting {
    fn remove(&mut self, id: Uuid) {
        let Some(before) = self.plugins.remove(&id) else { return };
        for certificate in &before.certificates {
            if let Some(users) = self.users.get_mut(certificate) {
                users.remove(&id);
                if users.is_empty() {
                    self.users.remove(certificate);
                }
            }
        }
    }

    fn put(&mut self, id: Uuid, trusts: Trusts) {
        for certificate in &trusts.certificates {
            self.users.entry(*certificate).or_default().insert(id);
        }
        self.plugins.insert(id, Arc::new(trusts));
    }
}

impl View {
    pub(super) fn apply_plugin(&mut self, change: &Change, dirty: &mut Dirty) {
        if let Some(scope) = self.plugins.remove(&change.id) {
            self.scopes.remove(scope, change.id);
            dirty.scope(scope);
        }
        self.trusting.remove(change.id);
        dirty.plugins.remove(&change.id);
        let Some(body) = &change.body else { return };
        let mut entity = match Entity::from_wire(Kind::Plugin, body) {
            // As if it were not there: a less specific instance applies.
            Ok(Entity::Plugin(plugin)) if !plugin.enabled => return,
            Ok(entity) => entity,
            Err(error) => {
                self.quarantine(change, &error.to_string());
                if let Some(scope) = salvage::plugin_scope(body) {
                    self.place(change.id, scope, Placed::Blocks, dirty);
                }
                return;
            }
        };
        let opened = self.key.as_ref().map_or(Ok(()), |key| key.open(change.id, &mut entity));
        let references = entity.references();
        let named = references.iter().filter(|reference| reference.kind == Kind::CaCertificate);
        let certificates: Vec<Uuid> = named.filter_map(|reference| reference.target.id()).collect();
        let Entity::Plugin(plugin) = entity else { return self.quarantine(change, &unreadable(Ok(entity))) };
        let scope = scope_of(&plugin);
        let placed = match opened {
            Err(error) => Err(error.to_string()),
            Ok(()) if certificates.is_empty() => self.made(change.id, &plugin),
            Ok(()) => {
                self.plugins.insert(change.id, scope);
                self.trusting.put(change.id, Trusts { plugin, certificates });
                dirty.plugins.insert(change.id);
                return;
            }
        };
        let placed = placed.unwrap_or_else(|reason| {
            self.quarantine(change, &reason);
            Placed::Blocks
        });
        self.place(change.id, scope, placed, dirty);
    }

    /// Makes the plugins that name CA certificates, where they or these have changed.
    pub(super) fn place_trusting(&mut self, dirty: &mut Dirty) {
        let mut plugins = std::mem::take(&mut dirty.plugins);
        for certificate in &dirty.certificates {
            plugins.extend(self.trusting.users.get(certificate).into_iter().flatten());
        }
        for id in plugins {
            let Some(trusts) = self.trusting.plugins.get(&id).cloned() else { continue };
            let key = (Arc::from(Kind::Plugin.name()), id);
            self.quarantine.remove(&key);
            let placed = self.made(id, &trusts.plugin).unwrap_or_else(|reason| {
                self.quarantine.insert(key, Arc::from(reason));
                Placed::Blocks
            });
            self.place(id, scope_of(&trusts.plugin), placed, dirty);
        }
    }

    fn place(&mut self, id: Uuid, scope: Scope, placed: Placed, dirty: &mut Dirty) {
        self.plugins.insert(id, scope);
        self.scopes.place(scope, id, placed);
        dirty.scope(scope);
    }

    /// The plugin, ready to run. The error says why it cannot.
    fn made(&self, id: Uuid, plugin: &Plugin) -> Result<Placed, String> {
        let find = |id: Uuid| self.certificates.authority(id).cloned();
        let make = Make { id, tools: &self.tools, authorities: Authorities(&find) };
        let compiled = plugins::compile(&plugin.config, &make).map_err(|error| error.to_string())?;
        Ok(Placed::Runs(Arc::new(compiled)))
    }
}

fn scope_of(plugin: &Plugin) -> Scope {
    let id = |target: &Option<Target>| target.as_ref().and_then(Target::id);
    Scope {
        service: id(&plugin.service),
        route: id(&plugin.route),
        consumer: id(&plugin.consumer),
        group: id(&plugin.consumer_group),
    }
}
