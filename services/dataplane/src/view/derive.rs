//! Derives the router's rules and the served routes from what is held, for the routes that changes concern.

use std::{collections::BTreeSet, sync::Arc};

use uuid::Uuid;

use super::{
    Dirty, View,
    compiled::{Outcome, RouteState, Served, ServiceState},
};

impl View {
    pub(super) fn derive(&mut self, dirty: Dirty) {
        let mut routes = dirty.routes;
        for service in &dirty.services {
            routes.extend(self.routes_of_service.get(service).into_iter().flatten());
        }
        if dirty.all {
            routes.extend(self.routes.keys());
        }
        self.derive_routes(&routes);
    }

    fn derive_routes(&mut self, routes: &BTreeSet<Uuid>) {
        for &id in routes {
            match self.routes.get(&id).cloned().filter(|route| !self.is_disabled(route)) {
                None => {
                    self.router.remove(id);
                    self.served.remove(&id);
                }
                Some(route) => {
                    if !self.router.holds(&route.rule) {
                        self.router.insert(route.rule.clone());
                    }
                    let outcome = self.outcome(id, &route);
                    let served =
                        Served { route: id, service: route.service, settings: route.settings, outcome };
                    self.served.insert(id, Arc::new(served));
                }
            }
        }
    }

    fn is_disabled(&self, route: &RouteState) -> bool {
        let service = route.service.and_then(|service| self.services.get(&service));
        matches!(service, Some(ServiceState::Disabled))
    }

    fn outcome(&self, id: Uuid, route: &RouteState) -> Outcome {
        if route.is_quarantined {
            return Outcome::Quarantined;
        }
        let upstream = match route.service.map(|service| self.services.get(&service)) {
            None => None,
            Some(Some(ServiceState::Serving(upstream))) => Some(upstream.clone()),
            // The service is quarantined, or does not exist.
            Some(_) => return Outcome::Quarantined,
        };
        match self.scopes.chain(id, route.service, None) {
            Ok(chain) => Outcome::Serve { chain, upstream },
            Err(blocked) => blocked.into(),
        }
    }
}
