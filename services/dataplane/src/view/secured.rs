//! The services that speak TLS to their upstreams: they are compiled again when a certificate that they use comes, goes or changes, and
//! when the upstream entity that their host names does.

use std::sync::Arc;

use gateway_model::{Service, Target};
use imbl::{OrdMap, OrdSet};
use uuid::Uuid;

/// The services, by what they use. Persistent.
#[derive(Clone, Default)]
pub struct Secured {
    services: OrdMap<Uuid, Arc<Service>>,
    /// By a certificate or authority that they name.
    users: OrdMap<Uuid, OrdSet<Uuid>>,
    /// By host in lower case.
    of_host: OrdMap<String, OrdSet<Uuid>>,
}

impl Secured {
    /// Forgets the service `id`.
    pub fn remove(&mut self, id: Uuid) {
        let Some(service) = self.services.remove(&id) else { return };
        for certificate in named(&service) {
            if let Some(users) = self.users.get_mut(&certificate) {
                users.remove(&id);
                if users.is_empty() {
                    self.users.remove(&certificate);
                }
            }
        }
        let host = service.host.to_ascii_lowercase();
        if let Some(services) = self.of_host.get_mut(&host) {
            services.remove(&id);
            if services.is_empty() {
                self.of_host.remove(&host);
            }
        }
    }

    /// Keeps the service `id`, if it speaks TLS.
    pub fn put(&mut self, id: Uuid, service: &Arc<Service>) {
        self.remove(id);
        if !service.protocol.is_tls() {
            return;
        }
        for certificate in named(service) {
            self.users.entry(certificate).or_default().insert(id);
        }
        self.of_host.entry(service.host.to_ascii_lowercase()).or_default().insert(id);
        self.services.insert(id, service.clone());
    }

    /// The services that name the certificate or authority `id`.
    pub fn users(&self, id: Uuid) -> impl Iterator<Item = (Uuid, Arc<Service>)> {
        self.held(self.users.get(&id))
    }

    /// The services at `host`, in lower case.
    pub fn at(&self, host: &str) -> impl Iterator<Item = (Uuid, Arc<Service>)> {
        self.held(self.of_host.get(host))
    }

    fn held(&self, ids: Option<&OrdSet<Uuid>>) -> impl Iterator<Item = (Uuid, Arc<Service>)> {
        let ids: Vec<Uuid> = ids.into_iter().flatten().copied().collect();
        ids.into_iter().filter_map(|id| Some((id, self.services.get(&id)?.clone())))
    }
}

fn named(service: &Service) -> impl Iterator<Item = Uuid> {
    service.client_certificate.iter().chain(&service.ca_certificates).filter_map(Target::id)
}
