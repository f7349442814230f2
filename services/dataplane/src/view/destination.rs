//! Where a connection to an upstream leads, and how it is opened: what two requests must have in common to share one.

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    sync::Arc,
};

use http::uri::Authority;
use rustls_pki_types::ServerName;

/// A destination. Cheap to clone and, with a clone of itself, to compare.
#[derive(Clone, Debug)]
pub struct Destination(Arc<Parts>);

#[derive(Debug)]
struct Parts {
    /// Of the authority.
    hash: u64,
    authority: Authority,
    tls: Option<Secured>,
}

/// Where a destination is, however it is spoken to there. Cheap to hash.
#[derive(Clone, Debug)]
pub struct Address(Destination);

/// How TLS is spoken to an upstream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Secured {
    /// The name that is asked for, and that the certificate must have.
    pub name: ServerName<'static>,
    /// Whether the certificate is verified.
    pub verify: bool,
    /// Whether HTTP/2 is not offered, as for an upgrade.
    pub http1_only: bool,
}

impl Destination {
    /// Host and port at `authority`, by TLS or plain.
    pub fn new(authority: Authority, tls: Option<Secured>) -> Self {
        let mut hasher = DefaultHasher::new();
        authority.hash(&mut hasher);
        Self(Arc::new(Parts { hash: hasher.finish(), authority, tls }))
    }

    /// The same way of speaking to where `place` is, as `name` in TLS if one is given.
    pub fn at(&self, place: &Destination, name: Option<ServerName<'static>>) -> Self {
        let Some(tls) = &self.0.tls else { return place.clone() };
        let tls = Secured { name: name.unwrap_or_else(|| tls.name.clone()), ..*tls };
        let (hash, authority) = (place.0.hash, place.0.authority.clone());
        Self(Arc::new(Parts { hash, authority, tls: Some(tls) }))
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
            || one.hash == other.hash && is_same(&one.authority, &other.authority) && one.tls == other.tls
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
