//! Where plugins apply, and which of them run for a request.
//!
//! Of several plugins with one name the one with the most specific scope runs. The order is Kong's ([`ORDER`]). Of a consumer's groups the
//! oldest counts first.
//!
//! A quarantined plugin blocks its scope: nobody knows what it would have done there, so no request passes.

use std::sync::Arc;

use imbl::OrdMap;
use uuid::Uuid;

use crate::plugins::{Chain, Instance};

/// What a plugin is for. A plugin that names nothing is global.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Scope {
    /// Only requests to this service.
    pub service: Option<Uuid>,
    /// Only requests that match this route.
    pub route: Option<Uuid>,
    /// Only requests of this consumer.
    pub consumer: Option<Uuid>,
    /// Only requests of the consumers in this group.
    pub group: Option<Uuid>,
}

/// Whose requests a scope is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Whose {
    /// One consumer's.
    Consumer,
    /// Those of a group.
    Group,
    /// Everybody's.
    All,
}

/// What a scope names, the most specific first: whose requests it is for, and whether it names a route and a service.
const ORDER: [(Whose, bool, bool); 12] = [
    (Whose::Consumer, true, true),
    (Whose::Group, true, true),
    (Whose::Consumer, true, false),
    (Whose::Consumer, false, true),
    (Whose::Group, true, false),
    (Whose::Group, false, true),
    (Whose::All, true, true),
    (Whose::Consumer, false, false),
    (Whose::Group, false, false),
    (Whose::All, true, false),
    (Whose::All, false, true),
    (Whose::All, false, false),
];

/// A consumer with its groups.
#[derive(Clone, Copy, Debug)]
pub struct Known<'a> {
    /// Id of the consumer.
    pub consumer: Uuid,
    /// The groups that it is in, the oldest first.
    pub groups: &'a [Uuid],
}

/// What a plugin does at its scope.
#[derive(Clone, Debug)]
pub enum Placed {
    Runs(Arc<Instance>),
    Blocks,
}

/// A plugin that should run cannot be run, so the request must not pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Blocked;

/// All plugins, by scope. Persistent.
#[derive(Clone, Debug, Default)]
pub struct Scopes {
    by_scope: OrdMap<Scope, OrdMap<Uuid, Placed>>,
    /// How many plugins name each consumer. Most consumers are named by none, and need no chain of their own.
    of_consumer: OrdMap<Uuid, usize>,
    /// How many plugins name each group.
    of_group: OrdMap<Uuid, usize>,
}

impl Scopes {
    /// Puts the plugin `id` at `scope`, in place of what was there under this id.
    pub fn place(&mut self, scope: Scope, id: Uuid, placed: Placed) {
        let before = self.by_scope.entry(scope).or_default().insert(id, placed);
        if before.is_none() {
            self.count(scope, 1);
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
        self.count(scope, -1);
    }

    fn count(&mut self, scope: Scope, more: isize) {
        let named = [(&mut self.of_consumer, scope.consumer), (&mut self.of_group, scope.group)];
        for (counts, id) in named.into_iter().filter_map(|(counts, id)| Some((counts, id?))) {
            let count = counts.get(&id).copied().unwrap_or_default().saturating_add_signed(more);
            match count {
                0 => drop(counts.remove(&id)),
                count => drop(counts.insert(id, count)),
            }
        }
    }

    /// Whether any plugin is for some group.
    pub fn names_groups(&self) -> bool {
        !self.of_group.is_empty()
    }

    /// Whether any plugin is for this consumer or one of its groups.
    pub fn names(&self, known: Known<'_>) -> bool {
        self.of_consumer.contains_key(&known.consumer)
            || known.groups.iter().any(|group| self.of_group.contains_key(group))
    }

    /// The plugins that run for a request to `route`, which belongs to `service`, of a consumer if that is known.
    pub fn chain(
        &self,
        route: Uuid,
        service: Option<Uuid>,
        known: Option<Known<'_>>,
    ) -> Result<Chain, Blocked> {
        let mut chosen: Vec<Arc<Instance>> = Vec::new();
        for scope in by_precedence(route, service, known) {
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
fn by_precedence(
    route: Uuid,
    service: Option<Uuid>,
    known: Option<Known<'_>>,
) -> impl Iterator<Item = Scope> {
    let groups = known.map_or(&[][..], |known| known.groups);
    let of_service = move |(.., names_service): &(Whose, bool, bool)| !names_service || service.is_some();
    ORDER.into_iter().filter(of_service).flat_map(move |(whose, names_route, names_service)| {
        let scope = Scope {
            service: service.filter(|_| names_service),
            route: names_route.then_some(route),
            ..Scope::default()
        };
        let consumer = known.filter(|_| whose == Whose::Consumer).map(|known| known.consumer);
        let groups = if whose == Whose::Group { groups } else { &[] };
        let all = (whose == Whose::All).then_some(scope);
        let own = consumer.map(|consumer| Scope { consumer: Some(consumer), ..scope });
        let theirs = groups.iter().map(move |group| Scope { group: Some(*group), ..scope });
        own.into_iter().chain(theirs).chain(all)
    })
}
