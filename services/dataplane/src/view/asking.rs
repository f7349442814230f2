//! Which clients are asked in TLS for a certificate.
//!
//! When TLS begins, a client has said nothing but a server name. So it is asked if a route with that name among its `snis` has a plugin that wants
//! certificates, or if any route without `snis` has one. As in Kong, a route's hosts do not matter here: clients may ask for other ones over a
//! connection than for its server name.

use std::{collections::BTreeSet, sync::Arc};

use gateway_model::HostName;
use imbl::OrdMap;
use uuid::Uuid;

use crate::{
    plugins::{Chain, Wish},
    router::Rule,
};

/// Bytes of the names of authorities that a client is told at most. If there are more, it is told none, and chooses by itself.
pub const ISSUERS_BYTES_MAX: usize = 16 * 1024;

/// What the plugins of routes want of clients. Persistent.
#[derive(Clone, Default)]
pub struct Asking {
    /// What each route wants, to take it out again.
    routes: OrdMap<Uuid, Arc<OfRoute>>,
    /// By a server name of the routes.
    named: OrdMap<HostName, Wishes>,
    /// Of routes without server names.
    anyone: Wishes,
}

struct OfRoute {
    rule: Arc<Rule>,
    wishes: Vec<Arc<Wish>>,
}

/// How many routes have each wish. Those of one plugin have the same.
type Wishes = OrdMap<Arc<Wish>, usize>;

impl Asking {
    /// The route `id` with `rule` has the plugins of `chain`.
    pub fn put(&mut self, id: Uuid, rule: &Arc<Rule>, chain: &Chain) {
        self.remove(id);
        let wishes: Vec<_> = chain.wishes().cloned().collect();
        if wishes.is_empty() {
            return;
        }
        let route = OfRoute { rule: rule.clone(), wishes };
        for wish in &route.wishes {
            for name in &route.rule.snis {
                *self.named.entry(name.clone()).or_default().entry(wish.clone()).or_default() += 1;
            }
            if route.rule.snis.is_empty() {
                *self.anyone.entry(wish.clone()).or_default() += 1;
            }
        }
        self.routes.insert(id, Arc::new(route));
    }

    /// There is no such route.
    pub fn remove(&mut self, id: Uuid) {
        let Some(route) = self.routes.remove(&id) else { return };
        for wish in &route.wishes {
            for name in &route.rule.snis {
                if let Some(wishes) = self.named.get_mut(name) {
                    less(wishes, wish);
                    if wishes.is_empty() {
                        self.named.remove(name);
                    }
                }
            }
            if route.rule.snis.is_empty() {
                less(&mut self.anyone, wish);
            }
        }
    }

    /// Whether a client that asks for `name` is asked for a certificate, and the subjects of the authorities that it is told: those of all
    /// plugins that it may meet, or none if one of them tells none, whose certificates it might not choose otherwise.
    pub fn asks(&self, name: Option<&str>) -> Option<BTreeSet<&[u8]>> {
        let named = name.into_iter().flat_map(|name| self.of_name(name));
        let mut wishes = self.anyone.keys().chain(named).peekable();
        wishes.peek()?;
        let mut told = BTreeSet::new();
        for wish in wishes {
            let Some(issuers) = &wish.issuers else { return Some(BTreeSet::new()) };
            told.extend(issuers.iter().map(Vec::as_slice));
        }
        let bytes: usize = told.iter().map(|issuer| issuer.len()).sum();
        Some(if bytes > ISSUERS_BYTES_MAX { BTreeSet::new() } else { told })
    }

    /// The wishes of routes with a server name that `name` is one of.
    fn of_name(&self, name: &str) -> impl Iterator<Item = &Arc<Wish>> {
        let dots = || name.match_indices('.').map(|(at, _)| at);
        let exact = [HostName::Exact(name.to_owned())];
        let leading = dots().filter(|at| *at > 0).map(|at| HostName::Leading(name[at + 1..].to_owned()));
        let trailing =
            dots().filter(|at| at + 1 < name.len()).map(|at| HostName::Trailing(name[..at].to_owned()));
        let names: Vec<HostName> = match self.named.is_empty() {
            true => Vec::new(),
            false => exact.into_iter().chain(leading).chain(trailing).collect(),
        };
        names.into_iter().filter_map(|name| self.named.get(&name)).flat_map(OrdMap::keys)
    }
}

/// One route less has the wish.
fn less(wishes: &mut Wishes, wish: &Arc<Wish>) {
    match wishes.get(wish) {
        Some(count) if *count > 1 => drop(wishes.insert(wish.clone(), count - 1)),
        _ => drop(wishes.remove(wish)),
    }
}
