//! Certificates of the configuration: those that clients and upstreams are shown, the names that they are for, and the authorities that
//! upstreams and clients are verified by. They are opened and parsed when a view is derived, so that a handshake only looks one up.

use std::sync::Arc;

use bytes::Bytes;
use entity_secrets::NodeKey;
use gateway_model::{Certificate, Entity, HostName, HostPattern, Kind, Secret, Sni, Target};
use imbl::OrdMap;
use rustls::{SignatureAlgorithm, SignatureScheme, crypto::aws_lc_rs, sign::CertifiedKey};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _};
use uuid::Uuid;
use zeroize::Zeroizing;

use super::{Change, ordered::Ordered};
use crate::authority::Authority;

/// The name of an SNI whose certificate is shown where no other is for the client's name, or it names none.
const DEFAULT_NAME: &str = "*";

/// What a reference to a vault begins with, in the place of a certificate or a key.
const VAULT_REFERENCE: &str = "{vault://";

/// All of them. Persistent.
#[derive(Clone, Default)]
pub struct Certificates {
    /// Those that can be used.
    pairs: OrdMap<Uuid, Arc<Pair>>,
    authorities: OrdMap<Uuid, Arc<Authority>>,
    /// What each SNI says, to take it out again.
    snis: OrdMap<Uuid, (HostName, Uuid)>,
    exact: Names,
    /// By what follows `*.`.
    leading: Names,
    /// By what is before `.*`.
    trailing: Names,
    /// Those that the control plane orders.
    ordered: Ordered,
    revision: Revision,
}

/// The certificate that each SNI of a name is for. There may be several, between the changes of one delta; the oldest that can be used counts.
type Names = OrdMap<String, OrdMap<Uuid, Uuid>>;

/// Stands for the certificates and names that a view has: another one if any of them is another.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Revision(u128);

impl Revision {
    pub(super) fn add(&mut self, parts: &[impl AsRef<[u8]>]) {
        self.0 = self.0.wrapping_add(part(parts));
    }

    pub(super) fn remove(&mut self, parts: &[impl AsRef<[u8]>]) {
        self.0 = self.0.wrapping_sub(part(parts));
    }
}

fn part(parts: &[impl AsRef<[u8]>]) -> u128 {
    let mut hasher = blake3::Hasher::new();
    for part in parts.iter().map(AsRef::as_ref) {
        hasher.update(&(part.len() as u64).to_le_bytes()).update(part);
    }
    u128::from_le_bytes(*hasher.finalize().as_bytes().first_chunk().expect("a hash has 32 bytes"))
}

/// A certificate with its key, and, for the same names, one with a key of another kind.
#[derive(Debug)]
pub struct Pair {
    /// Of two, the one without RSA, which costs less to sign with.
    first: Arc<CertifiedKey>,
    other: Option<Arc<CertifiedKey>>,
    /// Of the certificates. Their keys belong to them.
    hash: blake3::Hash,
}

impl Pair {
    fn new(certificate: Certificate) -> Result<Self, String> {
        let Certificate { cert, key, cert_alt, key_alt, .. } = certificate;
        let main = certified(("cert", &cert), ("key", key))?;
        let other = match (cert_alt, key_alt) {
            (Some(cert), Some(key)) => Some(certified(("cert_alt", &cert), ("key_alt", key))?),
            _ => None,
        };
        Ok(Self::of(main, other))
    }

    /// A certificate, and another one for the same names.
    pub(super) fn of(main: CertifiedKey, other: Option<CertifiedKey>) -> Self {
        let mut hasher = blake3::Hasher::new();
        for certificate in main.cert.iter().chain(other.iter().flat_map(|other| &other.cert)) {
            hasher.update(&(certificate.len() as u64).to_le_bytes()).update(certificate);
        }
        let is_rsa = |key: &CertifiedKey| key.key.algorithm() == SignatureAlgorithm::RSA;
        let (first, other) = match other {
            Some(other) if is_rsa(&main) && !is_rsa(&other) => (other, Some(main)),
            other => (main, other),
        };
        Self { first: Arc::new(first), other: other.map(Arc::new), hash: hasher.finalize() }
    }

    /// The one that a peer can verify which knows `schemes`. If it can verify neither, either is shown, and the peer says so.
    pub fn fitting(&self, schemes: &[SignatureScheme]) -> &Arc<CertifiedKey> {
        let fits = |key: &CertifiedKey| key.key.choose_scheme(schemes).is_some();
        self.other.as_ref().filter(|other| !fits(&self.first) && fits(other)).unwrap_or(&self.first)
    }

    /// Stands for the certificates.
    pub fn hash(&self) -> &[u8; 32] {
        self.hash.as_bytes()
    }
}

/// A chain with its key, each with the name of its field. The key must be that of the first certificate.
pub(super) fn certified(
    (cert_field, cert): (&str, &str),
    (key_field, key): (&str, Secret),
) -> Result<CertifiedKey, String> {
    let Secret::Plain(key) = key else { return Err(format!("{key_field}: it is sealed")) };
    let key = Zeroizing::new(key);
    for (field, text) in [(cert_field, cert), (key_field, key.as_str())] {
        if text.starts_with(VAULT_REFERENCE) {
            return Err(format!("{field}: this gateway does not look into vaults; give the text itself"));
        }
    }
    let chain = CertificateDer::pem_slice_iter(cert.as_bytes()).collect::<Result<Vec<_>, _>>();
    let chain = chain.map_err(|error| format!("{cert_field}: {error}"))?;
    if chain.is_empty() {
        return Err(format!("{cert_field}: there is no certificate in it"));
    }
    let key =
        PrivateKeyDer::from_pem_slice(key.as_bytes()).map_err(|error| format!("{key_field}: {error}"))?;
    CertifiedKey::from_der(chain, key, &aws_lc_rs::default_provider())
        .map_err(|error| format!("{cert_field} and {key_field} cannot be used together: {error}"))
}

impl Certificates {
    /// Takes in a certificate, or its deletion. `key` opens its private key. An error says why it cannot be used.
    pub fn apply_certificate(&mut self, change: &Change, key: Option<&NodeKey>) -> Result<(), String> {
        if let Some(before) = self.pairs.remove(&change.id) {
            self.revision.remove(&[change.id.as_bytes().as_slice(), before.hash()]);
        }
        let Some(body) = &change.body else { return Ok(()) };
        let entity = Entity::from_wire(Kind::Certificate, body).map_err(|error| error.to_string())?;
        let pair = match opened(change.id, entity, key)? {
            Entity::Certificate(certificate) => Pair::new(certificate)?,
            other => return Err(super::unreadable(Ok(other))),
        };
        self.revision.add(&[change.id.as_bytes().as_slice(), pair.hash()]);
        self.pairs.insert(change.id, Arc::new(pair));
        Ok(())
    }

    /// Takes in an SNI, or its deletion. An error says why it cannot be read.
    pub fn apply_sni(&mut self, change: &Change) -> Result<(), String> {
        if let Some((name, certificate)) = self.snis.remove(&change.id) {
            let (names, text) = self.names(&name);
            if let Some(of_name) = names.get_mut(text) {
                of_name.remove(&change.id);
                if of_name.is_empty() {
                    names.remove(text);
                }
            }
            self.revision.remove(&revised(&name, &certificate));
        }
        let Some(body) = &change.body else { return Ok(()) };
        let (name, certificate) = match Entity::from_wire(Kind::Sni, body) {
            Ok(Entity::Sni(Sni { name, certificate, .. })) => {
                let certificate = Target::id(&certificate).ok_or("certificate: it names no id")?;
                (HostPattern::of(&name).name, certificate)
            }
            other => return Err(super::unreadable(other)),
        };
        let (names, text) = self.names(&name);
        names.entry(text.to_owned()).or_default().insert(change.id, certificate);
        self.revision.add(&revised(&name, &certificate));
        self.snis.insert(change.id, (name, certificate));
        Ok(())
    }

    /// Takes in what the control plane orders, or its deletion. An error says why it cannot be used.
    pub fn apply_ordered(&mut self, change: &Change, key: Option<&NodeKey>) -> Result<(), String> {
        self.ordered.apply(change, key, &mut self.revision)
    }

    /// What an ACME server is answered that asks for `path`; `None` if that is no challenge which is open.
    pub fn key_authorization(&self, path: &str) -> Option<&Bytes> {
        self.ordered.key_authorization(path)
    }

    /// Takes in the certificate of an authority, or its deletion. An error says why it cannot be used.
    pub fn apply_authority(&mut self, change: &Change) -> Result<(), String> {
        self.authorities.remove(&change.id);
        let Some(body) = &change.body else { return Ok(()) };
        let authority = match Entity::from_wire(Kind::CaCertificate, body) {
            Ok(Entity::CaCertificate(ca)) => Authority::new(&ca)?,
            other => return Err(super::unreadable(other)),
        };
        self.authorities.insert(change.id, Arc::new(authority));
        Ok(())
    }

    fn names<'n>(&mut self, name: &'n HostName) -> (&mut Names, &'n str) {
        match name {
            HostName::Exact(text) => (&mut self.exact, text),
            HostName::Leading(text) => (&mut self.leading, text),
            HostName::Trailing(text) => (&mut self.trailing, text),
        }
    }

    /// The certificate `id`; `None` if it is not there, or cannot be used.
    pub fn pair(&self, id: Uuid) -> Option<&Arc<Pair>> {
        self.pairs.get(&id)
    }

    /// The authority `id`; `None` if it is not there, or cannot be used.
    pub fn authority(&self, id: Uuid) -> Option<&Arc<Authority>> {
        self.authorities.get(&id)
    }

    /// Which certificates and names there are.
    pub fn revision(&self) -> Revision {
        self.revision
    }

    /// The certificate for a client that asks for `name`, in lower case. As in Kong: that of the name itself, else that of the name with a
    /// wildcard for its first label, else with one for its last label, else the default one. Of the same form, what an SNI says comes before what
    /// was ordered. A wildcard stands for one label: what is verified
    /// by its own rules is no certificate for `a.b.example.com` that has `*.example.com`.
    pub fn find(&self, name: Option<&str>) -> Option<&Arc<Pair>> {
        let named = name.and_then(|name| self.named(name.strip_suffix('.').unwrap_or(name)));
        named.or_else(|| self.usable(&self.exact, DEFAULT_NAME))
    }

    fn named(&self, name: &str) -> Option<&Arc<Pair>> {
        let leading = || {
            let (_, rest) = name.split_once('.')?;
            // `*.com` is for no name, as in Kong.
            if !rest.contains('.') {
                return None;
            }
            self.usable(&self.leading, rest).or_else(|| self.ordered.leading(rest))
        };
        let trailing = || self.usable(&self.trailing, name.rsplit_once('.')?.0);
        let exact = self.usable(&self.exact, name).or_else(|| self.ordered.exact(name));
        exact.or_else(leading).or_else(trailing)
    }

    fn usable(&self, names: &Names, text: &str) -> Option<&Arc<Pair>> {
        names.get(text)?.values().find_map(|certificate| self.pairs.get(certificate))
    }
}

fn revised<'a>(name: &'a HostName, certificate: &'a Uuid) -> [&'a [u8]; 3] {
    let (form, text): (&[u8], _) = match name {
        HostName::Exact(text) => (b"exact", text),
        HostName::Leading(text) => (b"leading", text),
        HostName::Trailing(text) => (b"trailing", text),
    };
    [form, text.as_bytes(), certificate.as_bytes()]
}

/// The entity with its private keys in clear.
pub(super) fn opened(id: Uuid, mut entity: Entity, key: Option<&NodeKey>) -> Result<Entity, String> {
    let key = key.ok_or(
        "key: it is sealed, and this gateway has no key to open it with; the control plane tells the key when the gateway is connected \
         to a release that can",
    )?;
    key.open(id, &mut entity).map_err(|error| {
        format!("key: {error}; the control plane tells the key when the gateway connects to it the next time")
    })?;
    Ok(entity)
}
