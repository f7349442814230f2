//! Identity providers: what the plugins know of them that check tokens of others, and how they are called.
//!
//! What is known of a provider belongs to the process and outlives every configuration: requests are judged by it without waiting. Calls are
//! bounded in time and size, go only where upstreams may be, and follow no redirects.

mod call;
mod introspection;
mod keys;
mod provider;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError, Weak},
};

pub use self::{
    call::{Call, CallError, Caller, client_authorization},
    introspection::{Introspection, Introspections},
    keys::Keys,
    provider::{Known, Provider},
};

/// The providers of a process, by the URL of their issuers. Those that no plugin names any more are forgotten. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Providers(Arc<Mutex<HashMap<String, Weak<Provider>>>>);

impl Providers {
    /// The provider `issuer`, which is called with `caller`.
    pub fn of(&self, issuer: &str, caller: &Caller) -> Arc<Provider> {
        // A panic while the lock is held leaves the map in a valid state.
        let mut providers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        providers.retain(|_, provider| provider.strong_count() > 0);
        if let Some(known) = providers.get(issuer).and_then(Weak::upgrade) {
            return known;
        }
        let provider = Arc::new(Provider::new(issuer, caller.clone()));
        providers.insert(issuer.to_owned(), Arc::downgrade(&provider));
        provider
    }
}
