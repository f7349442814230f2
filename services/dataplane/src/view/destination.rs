//! Where a connection to an upstream leads, and how it is opened: what two requests must have in common to share one.

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    sync::Arc,
};

use http::uri::Authority;
use rustls_pki_types::ServerName;

use super::TlsProfile;

/// A destination. Cheap to clone and, with a clone of itself, to compare.
#[derive(Clone, Debug)]
pub struct Destination(Arc<Parts>);

#[derive(Debug)]
struct Parts {
    /// Of the authority.
    hash: u64,
    authority: Authority,
    tls: Option<Secured>,
    versions: Versions,
}

/// Where a destination is, however it is spoken to there. Cheap to hash.
#[derive(Clone, Debug)]
pub struct Address(Destination);

/// How TLS is spoken to an upstream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Secured {
    /// The name that is asked for, and that the certificate must have.
    pub name: ServerName<'static>,
    /// Who verifies it, and what it is shown.
    pub profile: Arc<TlsProfile>,
}

/// Which versions of HTTP are spoken to an upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Versions {
    /// HTTP/1.1.
    Http1,
    /// HTTP/2: without TLS by prior knowledge (RFC 9113, section 3.3).
    Http2,
    /// The one that TLS agrees on.
    Negotiated,
}

impl Destination {
    /// Host and port at `authority`, by TLS or plain.
    pub fn new(authority: Authority, tls: Option<Secured>, versions: Versions) -> Self {
        let mut hasher = DefaultHasher::new();
        authority.hash(&mut hasher);
        Self(Arc::new(Parts { hash: hasher.finish(), authority, tls, versions }))
    }

    /// Which versions of HTTP are spoken there.
    pub fn versions(&self) -> Versions {
        self.0.versions
    }

    /// The same way of speaking to where `place` is, as `name` in TLS if one is given.
    pub fn at(&self, place: &Destination, name: Option<ServerName<'static>>) -> Self {
        let versions = self.0.versions;
        if self.0.tls.is_none() && place.0.versions == versions {
            return place.clone();
        }
        let tls = self.0.tls.as_ref().map(|tls| Secured {
            name: name.unwrap_or_else(|| tls.name.clone()),
            profile: tls.profile.clone(),
        });
        let (hash, authority) = (place.0.hash, place.0.authority.clone());
        Self(Arc::new(Parts { hash, authority, tls, versions }))
    }

    /// Host and port.
    pub fn authority(&self) -> &Authority {
        &self.0.authority
    }

    /// How TLS is spoken; `None`: not at all.
    pub fn tls(&self) -> Option<&Secured> {
        self.0.tls.as_ref()
    }
}

/// Most are written alike. Otherwise their case does not matter.
fn is_same(one: &Authority, other: &Authority) -> bool {
    one.as_str() == other.as_str() || one == other
}

impl PartialEq for Destination {
    fn eq(&self, other: &Self) -> bool {
        let (one, other) = (&*self.0, &*other.0);
        std::ptr::eq(one, other)
            || one.hash == other.hash
                && one.versions == other.versions
                && is_same(&one.authority, &other.authority)
                && one.tls == other.tls
    }
}

impl Eq for Destination {}

impl From<&Destination> for Address {
    fn from(destination: &Destination) -> Self {
        Self(destination.clone())
    }
}

impl PartialEq for Address {
    fn eq(&self, other: &Self) -> bool {
        let (one, other) = (&*self.0.0, &*other.0.0);
        std::ptr::eq(one, other) || one.hash == other.hash && is_same(&one.authority, &other.authority)
    }
}

impl Eq for Address {}

impl Hash for Address {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.0.0.hash);
    }
}
