//! How TLS is spoken to a service's upstream, apart from the name: by whom it is verified, and what it is shown. Services that want the same
//! share one profile, and with it the sessions that are resumed. What is changed makes another profile, so no connection that was opened
//! before is used for it.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, OnceLock, PoisonError, Weak},
};

use rustls::ClientConfig;
use rustls_pki_types::TrustAnchor;
use uuid::Uuid;

use super::{
    Unusable,
    certificates::{Certificates, Pair},
};

/// What a service asks of TLS.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsWishes {
    /// Whether the upstream is verified.
    pub verify: bool,
    /// Most certificates between the upstream's own and a trusted one; `None`: as many as TLS allows.
    pub depth: Option<u8>,
    /// The authorities that the upstream is verified by; none: those of the gateway.
    pub authorities: Vec<Uuid>,
    /// The certificate that the upstream is shown; `None`: that of the gateway.
    pub certificate: Option<Uuid>,
}

/// A profile. Two are equal if they ask for the same.
pub struct TlsProfile {
    /// Whether the upstream is verified.
    pub verify: bool,
    /// Most certificates between the upstream's own and a trusted one.
    pub depth: Option<u8>,
    /// Who is trusted; `None`: those whom the gateway trusts.
    pub roots: Option<Vec<TrustAnchor<'static>>>,
    /// What is shown; `None`: what the gateway shows.
    pub certificate: Option<Arc<Pair>>,
    hash: blake3::Hash,
    /// Made by whoever dials first.
    configs: OnceLock<TlsConfigs>,
}

/// A profile's configurations of TLS. They share the sessions that are resumed.
pub struct TlsConfigs {
    /// Offers HTTP/2 and HTTP/1.1.
    pub any: Arc<ClientConfig>,
    /// Offers HTTP/1.1 alone.
    pub http1: Arc<ClientConfig>,
    /// Offers HTTP/2 alone.
    pub http2: Arc<ClientConfig>,
}

impl TlsProfile {
    /// Of a service that says nothing of TLS but whether it is verified.
    pub fn usual(verify: bool) -> Arc<Self> {
        let wishes = TlsWishes { verify, ..TlsWishes::default() };
        TlsProfiles::default().get(&wishes, &Certificates::default()).expect("needs no certificate")
    }

    /// The configurations, once somebody has made them.
    pub fn configs(&self) -> Option<&TlsConfigs> {
        self.configs.get()
    }

    /// Keeps the configurations, unless somebody was faster. Returns those that are kept.
    pub fn keep(&self, configs: TlsConfigs) -> &TlsConfigs {
        self.configs.get_or_init(|| configs)
    }
}

impl PartialEq for TlsProfile {
    fn eq(&self, other: &Self) -> bool {
        self.hash == other.hash
    }
}

impl Eq for TlsProfile {}

impl fmt::Debug for TlsProfile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let roots = self.roots.as_ref().map(Vec::len);
        f.debug_struct("TlsProfile")
            .field("verify", &self.verify)
            .field("depth", &self.depth)
            .field("roots", &roots)
            .field("certificate", &self.certificate.is_some())
            .finish_non_exhaustive()
    }
}

/// The profiles of a view, which it has in common with the views before it. Clones share one table. Only deriving a view looks into it.
#[derive(Clone, Default)]
pub struct TlsProfiles(Arc<Mutex<HashMap<blake3::Hash, Weak<TlsProfile>>>>);

impl TlsProfiles {
    /// The profile for `wishes`. Fails if it needs a certificate that is not there or cannot be used.
    pub fn get(&self, wishes: &TlsWishes, certificates: &Certificates) -> Result<Arc<TlsProfile>, Unusable> {
        let mut hasher = blake3::Hasher::new();
        let flags = [wishes.verify, wishes.depth.is_some(), wishes.certificate.is_some()].map(u8::from);
        hasher.update(&flags).update(&[wishes.depth.unwrap_or(0)]);
        let mut own = None;
        if let Some(id) = wishes.certificate {
            let pair =
                certificates.pair(id).ok_or(Unusable::Certificate { field: "client_certificate", id })?;
            hasher.update(pair.hash());
            own = Some(pair.clone());
        }
        let mut roots = Vec::new();
        for id in &wishes.authorities {
            let field = "ca_certificates";
            let authority = certificates.authority(*id).ok_or(Unusable::Certificate { field, id: *id })?;
            hasher.update(authority.hash());
            roots.push(authority.anchor.clone());
        }
        let hash = hasher.finalize();
        let mut table = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(profile) = table.get(&hash).and_then(Weak::upgrade) {
            return Ok(profile);
        }
        let profile = Arc::new(TlsProfile {
            verify: wishes.verify,
            depth: wishes.depth,
            roots: (!roots.is_empty()).then_some(roots),
            certificate: own,
            hash,
            configs: OnceLock::new(),
        });
        table.retain(|_, profile| profile.strong_count() > 0);
        table.insert(hash, Arc::downgrade(&profile));
        Ok(profile)
    }
}
