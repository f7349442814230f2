//! The services that name certificates: they are compiled again when one of those comes, goes or changes.

use std::sync::Arc;

use gateway_model::{Service, Target};
use imbl::{HashMap, OrdSet};
use uuid::Uuid;

/// Services with the certificates that they name. Persistent.
#[derive(Clone, Default)]
pub struct Secured {
    services: HashMap<Uuid, Arc<Service>>,
    /// By certificate or authority.
    users: HashMap<Uuid, OrdSet<Uuid>>,
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
    }

    /// Keeps the service `id`, if it names a certificate.
    pub fn put(&mut self, id: Uuid, service: &Arc<Service>) {
        self.remove(id);
        for certificate in named(service) {
            self.users.entry(certificate).or_default().insert(id);
            self.services.insert(id, service.clone());
        }
    }

    /// The services that name the certificate or authority `id`.
    pub fn users(&self, id: Uuid) -> impl Iterator<Item = (Uuid, Arc<Service>)> {
        let users = self.users.get(&id).into_iter().flatten();
        users.filter_map(|id| Some((*id, self.services.get(id)?.clone())))
    }
}

fn named(service: &Service) -> impl Iterator<Item = Uuid> {
    service.client_certificate.iter().chain(&service.ca_certificates).filter_map(Target::id)
}
