//! The configuration as requests see it: router, upstreams and plugin chains, derived from entities. Immutable.
//!
//! A [`View`] is made of persistent maps. [`View::with`] derives the next one. Its cost follows the number of changes and, for
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
mod salvage;
mod scope;
mod secured;
#[cfg(test)]
mod tests;
mod tls_profile;
mod unserved;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use arc_swap::ArcSwap;
use bytes::Bytes;
use entity_secrets::NodeKey;
use gateway_model::{Entity, Kind, Service};
use imbl::{HashMap, OrdMap, OrdSet};
use serde::Serialize;
use uuid::Uuid;

use asking::Asking;
pub use asking::ISSUERS_BYTES_MAX;
use balanced::{Balancing, Named};
use budget::{Budget, Draft};
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
use scope::{Known, Scope, Scopes};
use tls_profile::TlsProfiles;
pub use tls_profile::{TlsConfigs, TlsProfile};
use unserved::Unserved;

use crate::{
    balancing::{Balanced, Upstreams},
    plugins::{self, Chain, Divert, Tools},
    router::{self, Router, path::DotSegments, readings},
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
    services: HashMap<Uuid, ServiceState>,
    routes: HashMap<Uuid, Arc<RouteState>>,
    /// The scope of each plugin.
    plugins: HashMap<Uuid, Scope>,
    scopes: Scopes,
    trusting: Trusting,
    asking: Asking,
    groups: Groups,
    routes_of_service: HashMap<Uuid, OrdSet<Uuid>>,
    /// By host in lower case.
    services_of_host: HashMap<String, OrdSet<Uuid>>,
    balancing: Balancing,
    unserved: Unserved,
    certificates: Certificates,
    secured: secured::Secured,
    tls_profiles: TlsProfiles,
    /// Opens the secrets of entities.
    key: Option<NodeKey>,
    /// By route.
    served: HashMap<Uuid, Arc<Served>>,
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

    /// The route that `request` is for; `None` if there is none.
    pub fn find(&self, request: &router::Lookup<'_>) -> Option<Found<'_>> {
        let found = self.router.find(request)?;
        Some(Found { served: self.served.get(&found.route)?, prefix_len: found.prefix_len })
    }

    /// The certificate for a client that asks in TLS for `name`, in lower case; `None` if there is none, not even one for all names.
    pub fn certificate(&self, name: Option<&str>) -> Option<&Arc<Pair>> {
        self.certificates.find(name)
    }

    /// Whether a client that asks in TLS for `name`, in lower case and without a dot at its end, is asked for a certificate, and the subjects of the
    /// authorities that it is told, which may be none; `None`: it is not asked.
    pub fn asks(&self, name: Option<&str>) -> Option<BTreeSet<&[u8]>> {
        self.asking.asks(name)
    }

    /// What an ACME server is answered that asks for `path`; `None` if that is no challenge which is open.
    pub fn key_authorization(&self, path: &str) -> Option<&Bytes> {
        self.certificates.key_authorization(path)
    }

    /// Which certificates are shown for which names.
    pub fn certificates_revision(&self) -> Revision {
        self.certificates.revision()
    }

    /// Whether some upstreams would read the path of `request`, which is for `found`, as one of another route.
    pub fn is_ambiguous(&self, request: &router::Lookup<'_>, found: &Found<'_>, dots: DotSegments) -> bool {
        let Ok(readings) = readings::of(request.path, dots) else { return true };
        readings.iter().any(|path| {
            let other = self.router.find(&router::Lookup { path, ..*request });
            other.is_some_and(|other| other.route != found.served.route)
        })
    }

    /// The plugins to go on with once the consumer is known; `None` if no plugin is for this consumer or a group of it. [`Blocked`] if one
    /// of them is quarantined, or nobody knows which groups there are.
    pub fn chain_for(&self, served: &Served, consumer: Uuid) -> Result<Option<Chain>, Blocked> {
        let groups = if self.scopes.names_groups() { self.groups.of(consumer)? } else { Vec::new() };
        let known = Known { consumer, groups: &groups };
        if !self.scopes.names(known) {
            return Ok(None);
        }
        self.scopes.chain(served.route, served.service, Some(known)).map(Some)
    }

    /// Where a request to `usual` goes that is diverted; `None`: there is no such place, or it is not served.
    pub fn diverted(&self, usual: Option<&Arc<Upstream>>, divert: &Divert) -> Option<Elsewhere> {
        let base = match divert.service {
            Some(service) => match self.services.get(&service)? {
                ServiceState::Serving(upstream) => upstream,
                ServiceState::Disabled | ServiceState::Quarantined => return None,
            },
            None => usual?,
        };
        let upstream = match divert {
            Divert { host: None, port: None, path: None, .. } => base.clone(),
            _ => Arc::new(base.elsewhere(divert)?),
        };
        match self.balancing.named(upstream.destination.authority().host()) {
            None => Some((upstream, None)),
            Some(Named::Served(balanced)) => Some((upstream, Some(balanced.clone()))),
            Some(Named::Quarantined) => None,
        }
    }

    fn apply(&mut self, change: &Change, dirty: &mut Dirty) {
        if !self.quarantine.is_empty() {
            self.quarantine.remove(&(Arc::from(change.kind.as_str()), change.id));
        }
        match Kind::from_name(&change.kind) {
            Some(Kind::Service) => self.apply_service(change, dirty),
            Some(Kind::Route) => self.apply_route(change, dirty),
            Some(Kind::Plugin) => self.apply_plugin(change, dirty),
            Some(Kind::Upstream) => self.apply_upstream(change, dirty),
            Some(Kind::UpstreamTarget) => {
                let (concerned, read) = self.balancing.apply_target(change);
                dirty.upstreams.extend(concerned);
                if let Err(reason) = read {
                    self.quarantine(change, &reason);
                }
            }
            Some(kind @ (Kind::Certificate | Kind::Sni | Kind::AcmeCertificate | Kind::CaCertificate)) => {
                let certificates = &mut self.certificates;
                let taken_in = match kind {
                    Kind::Certificate => certificates.apply_certificate(change, self.key.as_ref()),
                    Kind::Sni => certificates.apply_sni(change),
                    Kind::AcmeCertificate => certificates.apply_ordered(change, self.key.as_ref()),
                    _ => certificates.apply_authority(change),
                };
                dirty.certificates.insert(change.id);
                if let Err(reason) = taken_in {
                    self.quarantine(change, &reason);
                }
            }
            Some(Kind::ConsumerGroupMember) => {
                if let Err(reason) = self.groups.apply(change) {
                    self.quarantine(change, &reason);
                }
            }
            Some(
                kind @ (Kind::Consumer
                | Kind::ConsumerGroup
                | Kind::KeyAuth
                | Kind::BasicAuth
                | Kind::HmacAuth
                | Kind::Jwt
                | Kind::MtlsAuth
                | Kind::Oauth2Token
                | Kind::Acl),
            ) => {
                let read = change.body.as_ref().map(|body| Entity::from_wire(kind, body));
                let fault = match read {
                    Some(Err(error)) => Some(error.to_string()),
                    Some(Ok(entity)) => plugins::unusable(&entity),
                    None => None,
                };
                if let Some(fault) = fault {
                    self.quarantine(change, &fault);
                }
            }
            Some(kind) => self.unserved.note(kind, change),
            None if change.body.is_some() => {
                self.quarantine(change, "this gateway does not know entities of this kind")
            }
            None => {}
        }
    }

    fn apply_upstream(&mut self, change: &Change, dirty: &mut Dirty) {
        let (names, read) = self.balancing.apply_upstream(change);
        dirty.upstreams.insert(change.id);
        // A name that is none any more is a host again.
        dirty.hosts.extend(names);
        if let Err(reason) = read {
            self.quarantine(change, &reason);
        }
    }

    fn apply_service(&mut self, change: &Change, dirty: &mut Dirty) {
        dirty.services.insert(change.id);
        dirty.service_drafts.remove(&change.id);
        self.secured.remove(change.id);
        self.forget_host(change.id);
        let Some(body) = &change.body else {
            self.services.remove(&change.id);
            return;
        };
        let state = match Entity::from_wire(Kind::Service, body) {
            Ok(Entity::Service(service)) if !service.enabled => ServiceState::Disabled,
            Ok(Entity::Service(service)) => {
                let service = Arc::new(service);
                self.secured.put(change.id, &service);
                dirty.service_drafts.insert(change.id, service);
                return;
            }
            other => {
                self.quarantine(change, &unreadable(other));
                ServiceState::Quarantined
            }
        };
        self.services.insert(change.id, state);
    }

    fn keeping_budget(&self, service: Uuid, upstream: Upstream) -> Upstream {
        match self.services.get(&service) {
            Some(ServiceState::Serving(before)) => Upstream { budget: before.budget.clone(), ..upstream },
            _ => upstream,
        }
    }

    fn forget_host(&mut self, service: Uuid) {
        let Some(ServiceState::Serving(upstream)) = self.services.get(&service) else { return };
        let host = upstream.destination.authority().host().to_ascii_lowercase();
        if let Some(services) = self.services_of_host.get_mut(&host) {
            services.remove(&service);
            if services.is_empty() {
                self.services_of_host.remove(&host);
            }
        }
    }

    fn apply_route(&mut self, change: &Change, dirty: &mut Dirty) {
        dirty.routes.insert(change.id);
        if let Some(old) = self.routes.remove(&change.id)
            && let Some(service) = old.service
            && let Some(routes) = self.routes_of_service.get_mut(&service)
        {
            routes.remove(&change.id);
            if routes.is_empty() {
                self.routes_of_service.remove(&service);
            }
        }
        self.budget.remove(change.id);
        dirty.drafts.remove(&change.id);
        let Some(body) = &change.body else { return };
        let draft = match Entity::from_wire(Kind::Route, body) {
            Ok(Entity::Route(route)) => Draft { route, fault: None },
            other => {
                let fault = unreadable(other);
                match salvage::route(body) {
                    Some(route) => Draft { route, fault: Some(fault) },
                    None => return self.quarantine(change, &fault),
                }
            }
        };
        dirty.drafts.insert(change.id, Arc::new(draft));
    }

    fn quarantine(&mut self, change: &Change, reason: &str) {
        self.quarantine.insert((Arc::from(change.kind.as_str()), change.id), Arc::from(reason));
    }
}

fn unreadable(read: Result<Entity, gateway_model::Invalid>) -> String {
    match read {
        Err(error) => error.to_string(),
        Ok(entity) => format!("read as a {}", entity.kind().label()),
    }
}

/// The routes that have to be derived again: by id, by service, or all.
#[derive(Debug, Default)]
struct Dirty {
    /// Routes that have to be compiled.
    drafts: BTreeMap<Uuid, Arc<Draft>>,
    /// Services that have to be compiled.
    service_drafts: BTreeMap<Uuid, Arc<Service>>,
    /// Certificates and authorities that came, went or changed.
    certificates: BTreeSet<Uuid>,
    /// Plugins that have to be compiled.
    plugins: BTreeSet<Uuid>,
    routes: BTreeSet<Uuid>,
    services: BTreeSet<Uuid>,
    upstreams: BTreeSet<Uuid>,
    /// Hosts that became the names of upstreams, or are none any more.
    hosts: BTreeSet<String>,
    all: bool,
}

impl Dirty {
    /// A plugin of `scope` came, went or changed. The chains of a consumer are found per request and need no deriving.
    fn scope(&mut self, scope: Scope) {
        match scope {
            Scope { consumer: Some(_), .. } | Scope { group: Some(_), .. } => {}
            Scope { route: Some(route), .. } => drop(self.routes.insert(route)),
            Scope { service: Some(service), .. } => drop(self.services.insert(service)),
            Scope { service: None, route: None, consumer: None, group: None } => self.all = true,
        }
    }
}
