//! Derives the router's rules and the served routes from what is held, for the routes that changes concern.

use std::{collections::BTreeSet, sync::Arc};

use uuid::Uuid;

use gateway_model::{Kind, Service};

use super::{
    Dirty, View,
    balanced::{Derived, Named},
    budget::Draft,
    captures::Captures,
    compiled::{Labels, Outcome, RouteState, Served, ServiceState, Upstream},
};

impl View {
    pub(super) fn derive(&mut self, mut dirty: Dirty) {
        self.compile(&mut dirty);
        self.derive_upstreams(&mut dirty);
        self.compile_services(&mut dirty);
        self.place_trusting(&mut dirty);
        for host in std::mem::take(&mut dirty.hosts) {
            dirty.services.extend(self.services_of_host.get(&host).into_iter().flatten());
        }
        let mut routes = dirty.routes;
        for service in &dirty.services {
            routes.extend(self.routes_of_service.get(service).into_iter().flatten());
        }
        if dirty.all {
            routes.extend(self.routes.keys());
        }
        self.derive_routes(&routes);
    }

    /// Derives the upstreams that changed, or whose targets or certificates did. The services that name them follow.
    fn derive_upstreams(&mut self, dirty: &mut Dirty) {
        let mut upstreams = std::mem::take(&mut dirty.upstreams);
        upstreams.extend(self.balancing.showing(&dirty.certificates));
        let profile = |wishes: &_| self.tls_profiles.get(wishes, &self.certificates);
        for id in upstreams {
            let (name, derived) = self.balancing.derive(id, &profile);
            dirty.hosts.extend(name);
            let key = (Arc::from(Kind::Upstream.name()), id);
            match derived {
                Ok(Derived::Served) => drop(self.quarantine.remove(&key)),
                Ok(Derived::NotHeld) => {}
                Err(reason) => drop(self.quarantine.insert(key, Arc::from(reason))),
            }
        }
    }

    /// Compiles the services that changed, and those that use certificates which did.
    fn compile_services(&mut self, dirty: &mut Dirty) {
        let mut drafts = std::mem::take(&mut dirty.service_drafts);
        for id in &dirty.certificates {
            drafts.extend(self.secured.users(*id));
        }
        for host in &dirty.hosts {
            drafts.extend(self.secured.at(host));
        }
        for (id, service) in drafts {
            dirty.services.insert(id);
            self.compile_service(id, &service);
        }
    }

    fn compile_service(&mut self, id: Uuid, service: &Service) {
        let key = (Arc::from(Kind::Service.name()), id);
        self.quarantine.remove(&key);
        self.forget_host(id);
        let profile = |wishes: &_| self.tls_profiles.get(wishes, &self.certificates);
        let state = match Upstream::new(service, self.balancing.certificate_of(&service.host), &profile) {
            Ok(upstream) => {
                let host = upstream.destination.authority().host().to_ascii_lowercase();
                self.services_of_host.entry(host).or_default().insert(id);
                ServiceState::Serving(Arc::new(self.keeping_budget(id, upstream)))
            }
            Err(error) => {
                self.quarantine.insert(key, Arc::from(error.to_string()));
                ServiceState::Quarantined
            }
        };
        self.services.insert(id, state);
    }

    /// Compiles the routes that changed, and those for which it was decided anew whether they are compiled.
    fn compile(&mut self, dirty: &mut Dirty) {
        let mut drafts = std::mem::take(&mut dirty.drafts);
        for (id, draft) in &drafts {
            self.budget.put(*id, draft);
        }
        drafts.extend(self.budget.settle());
        for (id, draft) in drafts {
            dirty.routes.insert(id);
            self.compile_route(id, &draft);
        }
    }

    fn compile_route(&mut self, id: Uuid, draft: &Draft) {
        let key = (Arc::from(Kind::Route.name()), id);
        self.quarantine.remove(&key);
        self.routes.remove(&id);
        let patterns = self.patterns.clone();
        let too_much = self.budget.refuses(id);
        let compile = |pattern: &str| match &too_much {
            None => patterns.exact(pattern),
            Some(_) => patterns.wider(pattern),
        };
        let compiled = RouteState::new(id, &draft.route, &compile);
        let fault =
            draft.fault.clone().or_else(|| compiled.as_ref().err().map(ToString::to_string)).or(too_much);
        if let Some(fault) = &fault {
            self.quarantine.insert(key, Arc::from(fault.as_str()));
        }
        let Ok(state) = compiled else { return };
        if let Some(service) = state.service {
            self.routes_of_service.entry(service).or_default().insert(id);
        }
        self.routes.insert(id, Arc::new(RouteState { is_quarantined: fault.is_some(), ..state }));
    }

    fn derive_routes(&mut self, routes: &BTreeSet<Uuid>) {
        for &id in routes {
            match self.routes.get(&id).cloned().filter(|route| !self.is_disabled(route)) {
                None => {
                    self.router.remove(id);
                    self.served.remove(&id);
                    self.asking.remove(id);
                }
                Some(route) => {
                    if !self.router.holds(&route.rule) {
                        self.router.insert(route.rule.clone());
                    }
                    let outcome = self.outcome(id, &route);
                    match &outcome {
                        Outcome::Serve { chain, .. } => self.asking.put(id, &route.rule, chain),
                        Outcome::Quarantined => self.asking.remove(id),
                    }
                    let (labels, settings) = (self.labels(id, &route), route.settings);
                    let served = Served { route: id, service: route.service, labels, settings, outcome };
                    self.served.insert(id, Arc::new(served));
                }
            }
        }
    }

    fn is_disabled(&self, route: &RouteState) -> bool {
        let service = route.service.and_then(|service| self.services.get(&service));
        matches!(service, Some(ServiceState::Disabled))
    }

    /// What the route `id` and its service are called.
    fn labels(&self, id: Uuid, route: &RouteState) -> Arc<Labels> {
        let service = match route.service.and_then(|service| self.services.get(&service)) {
            Some(ServiceState::Serving(upstream)) => upstream.name.clone(),
            _ => None,
        };
        let or_id = |name: Option<Box<str>>, id: Uuid| name.unwrap_or_else(|| id.to_string().into());
        Arc::new(Labels {
            route: or_id(route.name.clone(), id),
            service: route.service.map_or_else(Box::default, |id| or_id(service, id)),
        })
    }

    fn outcome(&self, id: Uuid, route: &RouteState) -> Outcome {
        if route.is_quarantined {
            return Outcome::Quarantined;
        }
        let (upstream, balanced) = match route.service.map(|service| self.services.get(&service)) {
            None => (None, None),
            Some(Some(ServiceState::Serving(upstream))) => {
                let balanced = match self.balancing.named(upstream.destination.authority().host()) {
                    None => None,
                    Some(Named::Served(balanced)) => Some(balanced.clone()),
                    Some(Named::Quarantined) => return Outcome::Quarantined,
                };
                (Some(upstream.clone()), balanced)
            }
            // The service is quarantined, or does not exist.
            Some(_) => return Outcome::Quarantined,
        };
        match self.scopes.chain(id, route.service, None) {
            Ok(chain) => {
                let hashed = balanced.iter().flat_map(|balanced| balanced.definition.captures());
                let names = hashed.chain(chain.captures());
                let captures = Captures::new(&route.rule, names, &self.patterns);
                Outcome::Serve { chain, upstream, balanced, captures }
            }
            Err(blocked) => blocked.into(),
        }
    }
}
