//! How a view takes in changes: each entity is read, and what follows from it is noted, to be derived at the end.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use gateway_model::{Entity, Kind, Service};
use uuid::Uuid;

use super::{Change, Upstream, View, budget::Draft, compiled::ServiceState, salvage, scope::Scope};
use crate::plugins;

impl View {
    pub(super) fn apply(&mut self, change: &Change, dirty: &mut Dirty) {
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
            Some(kind) if kind.identifies() => {
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

    pub(super) fn keeping_budget(&self, service: Uuid, upstream: Upstream) -> Upstream {
        match self.services.get(&service) {
            Some(ServiceState::Serving(before)) => Upstream { budget: before.budget.clone(), ..upstream },
            _ => upstream,
        }
    }

    pub(super) fn forget_host(&mut self, service: Uuid) {
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

    pub(super) fn quarantine(&mut self, change: &Change, reason: &str) {
        self.quarantine.insert((Arc::from(change.kind.as_str()), change.id), Arc::from(reason));
    }
}

pub(super) fn unreadable(read: Result<Entity, gateway_model::Invalid>) -> String {
    match read {
        Err(error) => error.to_string(),
        Ok(entity) => format!("read as a {}", entity.kind().label()),
    }
}

/// The routes that have to be derived again: by id, by service, or all.
#[derive(Debug, Default)]
pub(super) struct Dirty {
    /// Routes that have to be compiled.
    pub drafts: BTreeMap<Uuid, Arc<Draft>>,
    /// Services that have to be compiled.
    pub service_drafts: BTreeMap<Uuid, Arc<Service>>,
    /// Certificates and authorities that came, went or changed.
    pub certificates: BTreeSet<Uuid>,
    /// Plugins that have to be compiled.
    pub plugins: BTreeSet<Uuid>,
    pub routes: BTreeSet<Uuid>,
    pub services: BTreeSet<Uuid>,
    pub upstreams: BTreeSet<Uuid>,
    /// Hosts that became the names of upstreams, or are none any more.
    pub hosts: BTreeSet<String>,
    pub all: bool,
}

impl Dirty {
    /// A plugin of `scope` came, went or changed. The chains of a consumer are found per request and need no deriving.
    pub(super) fn scope(&mut self, scope: Scope) {
        match scope {
            Scope { consumer: Some(_), .. } | Scope { group: Some(_), .. } => {}
            Scope { route: Some(route), .. } => drop(self.routes.insert(route)),
            Scope { service: Some(service), .. } => drop(self.services.insert(service)),
            Scope { service: None, route: None, consumer: None, group: None } => self.all = true,
        }
    }
}
