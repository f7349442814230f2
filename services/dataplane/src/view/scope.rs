//! Where plugins apply, and which of them run for a request.
//!
//! Of several plugins with one name the one with the most specific scope runs. The order is Kong's:
//! consumer + route + service, consumer + route, consumer + service, route + service, consumer, route, service, global.
//!
//! A quarantined plugin blocks its scope: nobody knows what it would have done there, so no request passes.

use std::sync::Arc;

use imbl::{HashMap, OrdMap};
use uuid::Uuid;

use crate::plugins::{Chain, Plugin};

/// What a plugin is for. A plugin that names nothing is global.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Scope {
    /// Only requests to this service.
    pub service: Option<Uuid>,
    /// Only requests that match this route.
    pub route: Option<Uuid>,
    /// Only requests of this consumer.
    pub consumer: Option<Uuid>,
}

/// What a plugin does at its scope.
#[derive(Clone, Debug)]
pub enum Placed {
    Runs(Arc<Plugin>),
    Blocks,
}

/// A plugin that should run cannot be run, so the request must not pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Blocked;

/// All plugins, by scope. Persistent.
#[derive(Clone, Debug, Default)]
pub struct Scopes {
    by_scope: HashMap<Scope, OrdMap<Uuid, Placed>>,
    /// How many plugins name each consumer. Most consumers are named by none, and need no chain of their own.
    of_consumer: HashMap<Uuid, usize>,
}

impl Scopes {
    /// Puts the plugin `id` at `scope`, in place of what was there under this id.
    pub fn place(&mut self, scope: Scope, id: Uuid, placed: Placed) {
        let before = self.by_scope.entry(scope).or_default().insert(id, placed);
        if let (None, Some(consumer)) = (before, scope.consumer) {
            *self.of_consumer.entry(consumer).or_default() += 1;
        }
    }

    /// Removes the plugin `id` from `scope`.
    pub fn remove(&mut self, scope: Scope, id: Uuid) {
        let Some(held) = self.by_scope.get_mut(&scope) else { return };
        if held.remove(&id).is_none() {
            return;
        }
        if held.is_empty() {
            self.by_scope.remove(&scope);
        }
        if let Some(consumer) = scope.consumer
            && let Some(count) = self.of_consumer.get_mut(&consumer)
        {
            *count -= 1;
            if *count == 0 {
                self.of_consumer.remove(&consumer);
            }
        }
    }

    /// Whether any plugin is for this consumer.
    pub fn names_consumer(&self, consumer: Uuid) -> bool {
        self.of_consumer.contains_key(&consumer)
    }

    /// The plugins that run for a request of `consumer` to `route`, which belongs to `service`.
    pub fn chain(
        &self,
        route: Uuid,
        service: Option<Uuid>,
        consumer: Option<Uuid>,
    ) -> Result<Chain, Blocked> {
        let mut chosen: Vec<Arc<Plugin>> = Vec::new();
        for scope in by_precedence(route, service, consumer) {
            for placed in self.by_scope.get(&scope).into_iter().flat_map(OrdMap::values) {
                match placed {
                    Placed::Blocks => return Err(Blocked),
                    Placed::Runs(plugin) if chosen.iter().all(|held| held.name() != plugin.name()) => {
                        chosen.push(plugin.clone());
                    }
                    Placed::Runs(_) => {}
                }
            }
        }
        Ok(Chain::new(chosen))
    }
}

/// The scopes that cover a request, the most specific first.
fn by_precedence(route: Uuid, service: Option<Uuid>, consumer: Option<Uuid>) -> impl Iterator<Item = Scope> {
    let route = Some(route);
    // (consumer, route, service): whether the scope names it.
    const ORDER: [(bool, bool, bool); 8] = [
        (true, true, true),
        (true, true, false),
        (true, false, true),
        (false, true, true),
        (true, false, false),
        (false, true, false),
        (false, false, true),
        (false, false, false),
    ];
    ORDER
        .into_iter()
        .filter(move |(names_consumer, _, names_service)| {
            (!names_consumer || consumer.is_some()) && (!names_service || service.is_some())
        })
        .map(move |(names_consumer, names_route, names_service)| Scope {
            service: service.filter(|_| names_service),
            route: route.filter(|_| names_route),
            consumer: consumer.filter(|_| names_consumer),
        })
}
