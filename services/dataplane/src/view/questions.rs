//! What requests and handshakes ask a view.

use std::{collections::BTreeSet, sync::Arc};

use bytes::Bytes;
use uuid::Uuid;

use super::{
    Blocked, Elsewhere, Found, Pair, Revision, Served, Upstream, View, balanced::Named,
    compiled::ServiceState, scope::Known,
};
use crate::{
    plugins::{Chain, Divert},
    router::{self, path::DotSegments, readings},
};

impl View {
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
}
