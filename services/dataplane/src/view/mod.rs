//! The configuration as requests see it: router, upstreams and plugin chains, derived from entities. Immutable.
//!
//! A [`View`] is made of persistent maps: B-trees, which give back what is taken from them. [`View::with`] derives the next one. Its cost follows the number of changes and, for
//! a plugin or service, the number of routes that it concerns. Requests go on with the view that they hold. What a view
//! answers depends on the set of entities alone, not on the order or grouping of the changes that led to it.
//!
//! An entity that cannot be used is quarantined, and what depends on it is not served. Example: a route whose service or
//! plugin is quarantined answers 503, and so do the requests that a quarantined route is for. Everything else is served.
//!
//! Consumers and credentials are not part of a view: requests look them up in the store. The view only checks that this build
//! can read them.
//!
//! The applier derives views; the proxy asks them. Pure: no I/O.

mod asking;
mod balanced;
mod budget;
mod captures;
mod certificates;
mod compiled;
mod derive;
mod destination;
mod groups;
mod ordered;
mod patterns;
mod placing;
mod questions;
mod salvage;
mod scope;
mod secured;
mod taking_in;
#[cfg(test)]
mod tests;
mod tls_profile;
mod unserved;

use std::{collections::BTreeMap, sync::Arc};

use arc_swap::ArcSwap;
use bytes::Bytes;
use entity_secrets::NodeKey;
use gateway_model::Kind;
use imbl::{OrdMap, OrdSet};
use serde::Serialize;
use uuid::Uuid;

use asking::Asking;
pub use asking::ISSUERS_BYTES_MAX;
use balanced::Balancing;
use budget::Budget;
pub use captures::Captures;
use certificates::Certificates;
pub use certificates::{Pair, Revision};
pub use compiled::{Labels, Outcome, RouteSettings, Served, Unusable, Upstream};
use compiled::{RouteState, ServiceState};
pub use destination::{Address, Destination, Secured, Versions};
use groups::Groups;
use patterns::Patterns;
use placing::Trusting;
pub use scope::Blocked;
use scope::{Scope, Scopes};
use taking_in::{Dirty, unreadable};
use tls_profile::TlsProfiles;
pub use tls_profile::{TlsConfigs, TlsProfile};
use unserved::Unserved;

use crate::{
    balancing::{Balanced, Upstreams},
    plugins::Tools,
    router::Router,
};

/// The kinds whose entities have an effect here. Those of other kinds are held, and what depends on them is not served.
pub const SERVED: [Kind; 19] = [
    Kind::Service,
    Kind::Route,
    Kind::Consumer,
    Kind::ConsumerGroup,
    Kind::ConsumerGroupMember,
    Kind::KeyAuth,
    Kind::BasicAuth,
    Kind::HmacAuth,
    Kind::Jwt,
    Kind::MtlsAuth,
    Kind::Oauth2Token,
    Kind::Acl,
    Kind::Plugin,
    Kind::Upstream,
    Kind::UpstreamTarget,
    Kind::Certificate,
    Kind::Sni,
    Kind::AcmeCertificate,
    Kind::CaCertificate,
];

/// The view that requests are served by, behind an atomic pointer.
pub type Live = Arc<ArcSwap<View>>;

/// An entity as it is from now on, or its deletion.
#[derive(Clone, Debug)]
pub struct Change {
    /// Wire name of the kind, possibly of one that this build does not know.
    pub kind: String,
    /// Id of the entity.
    pub id: Uuid,
    /// JSON in wire form; `None`: deleted.
    pub body: Option<Bytes>,
}

/// An entity that is held and not served.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Quarantined {
    /// Wire name of the kind.
    pub kind: String,
    /// Id of the entity.
    pub id: Uuid,
    /// Why it is not served.
    pub reason: String,
}

/// How much is served.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Services that are served.
    pub services: usize,
    /// Routes that are served.
    pub routes: usize,
    /// Plugins that run somewhere.
    pub plugins: usize,
    /// Entities of any kind that are held and not served.
    pub quarantined: usize,
}

/// The route of a request.
#[derive(Clone, Copy, Debug)]
pub struct Found<'v> {
    /// The route with all that a request to it needs.
    pub served: &'v Arc<Served>,
    /// How many bytes of the path the route's path matched.
    pub prefix_len: usize,
}

/// Where a request goes: the upstream, and its targets if it has some.
pub type Elsewhere = (Arc<Upstream>, Option<Arc<Balanced>>);

/// The configuration as requests see it. Cheap to clone.
#[derive(Clone, Default)]
pub struct View {
    router: Router,
    services: OrdMap<Uuid, ServiceState>,
    routes: OrdMap<Uuid, Arc<RouteState>>,
    /// The scope of each plugin.
    plugins: OrdMap<Uuid, Scope>,
    scopes: Scopes,
    trusting: Trusting,
    asking: Asking,
    groups: Groups,
    routes_of_service: OrdMap<Uuid, OrdSet<Uuid>>,
    /// By host in lower case.
    services_of_host: OrdMap<String, OrdSet<Uuid>>,
    balancing: Balancing,
    unserved: Unserved,
    certificates: Certificates,
    secured: secured::Secured,
    tls_profiles: TlsProfiles,
    /// Opens the secrets of entities.
    key: Option<NodeKey>,
    /// By route.
    served: OrdMap<Uuid, Arc<Served>>,
    quarantine: OrdMap<(Arc<str>, Uuid), Arc<str>>,
    budget: Budget,
    patterns: Patterns,
    /// What plugins are made with.
    tools: Tools,
}

/// A view in the making: changes are taken in, and everything that follows from them is derived once, at the end.
pub struct Deriving {
    next: View,
    dirty: Dirty,
}

impl Deriving {
    /// Takes in changes. Of several changes of one entity the last counts.
    pub fn apply(&mut self, changes: &[Change]) {
        for change in changes {
            self.next.apply(change, &mut self.dirty);
        }
    }

    /// The view after all changes.
    pub fn finish(mut self) -> View {
        self.next.derive(self.dirty);
        self.next
    }
}

impl View {
    /// A view of nothing. The regular expressions of the routes that come may take `path_regex_cost_max` steps to compile. Plugins are made
    /// with `tools`.
    pub fn new(path_regex_cost_max: u64, tools: Tools) -> View {
        View { budget: Budget::new(path_regex_cost_max), tools, ..View::default() }
    }

    /// A view of nothing, with this view's limit and its key. What this view has compiled is not compiled again.
    pub fn emptied(&self) -> View {
        View {
            budget: self.budget.emptied(),
            patterns: self.patterns.clone(),
            tls_profiles: self.tls_profiles.clone(),
            key: self.key.clone(),
            tools: self.tools.clone(),
            ..View::default()
        }
    }

    /// A view that opens the secrets of the entities that come with `key`. What this one holds stays as it is.
    #[must_use]
    pub fn opening_with(self, key: Option<NodeKey>) -> View {
        View { key, ..self }
    }

    /// Opens the secrets of entities; `None` where none was given yet.
    pub fn key(&self) -> Option<&NodeKey> {
        self.key.as_ref()
    }

    /// Whether secrets are opened with `key`.
    pub fn opens_with(&self, key: &NodeKey) -> bool {
        self.key.as_ref() == Some(key)
    }

    /// The view after `changes`. Of several changes of one entity the last counts.
    pub fn with(&self, changes: &[Change]) -> View {
        let mut deriving = self.deriving();
        deriving.apply(changes);
        deriving.finish()
    }

    /// Begins the view after changes that do not come all at once.
    pub fn deriving(&self) -> Deriving {
        Deriving { next: self.clone(), dirty: Dirty::default() }
    }

    /// Every entity that is held and not served.
    pub fn quarantined(&self) -> Vec<Quarantined> {
        let entries = self.quarantine.iter();
        entries
            .map(|((kind, id), reason)| Quarantined {
                kind: kind.to_string(),
                id: *id,
                reason: reason.to_string(),
            })
            .collect()
    }

    /// How many entities are held of each kind that this gateway does not serve, by the kind's wire name.
    pub fn unserved(&self) -> BTreeMap<&'static str, usize> {
        self.unserved.counts()
    }

    /// The upstreams that requests are spread by.
    pub fn upstreams(&self) -> &Upstreams {
        self.balancing.served()
    }

    /// How much is served and how much is not.
    pub fn counts(&self) -> Counts {
        // Quarantined entities that are in a map nevertheless: to answer 503, or to block a scope.
        let quarantined_in = |kind: Kind, stands: &dyn Fn(&Uuid) -> bool| {
            self.quarantine.keys().filter(|(name, id)| **name == *kind.name() && stands(id)).count()
        };
        Counts {
            services: self.services.len()
                - quarantined_in(Kind::Service, &|id| self.services.contains_key(id)),
            routes: self.routes.len() - quarantined_in(Kind::Route, &|id| self.routes.contains_key(id)),
            plugins: self.plugins.len() - quarantined_in(Kind::Plugin, &|id| self.plugins.contains_key(id)),
            quarantined: self.quarantine.len(),
        }
    }
}
