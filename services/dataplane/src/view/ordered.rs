//! What the control plane orders from ACME servers: certificates by the names that they are for, and what this gateway answers an ACME server
//! that wants to know whether those names lead here.

use std::sync::Arc;

use bytes::Bytes;
use entity_secrets::NodeKey;
use gateway_model::{AcmeCertificate, AcmeIssued, Entity, Kind};
use imbl::OrdMap;
use uuid::Uuid;

use super::{
    Change,
    certificates::{Pair, Revision, certified, opened},
};

/// Where an ACME server asks for a key authorization: the token follows (RFC 8555, section 8.3).
const CHALLENGES: &str = "/.well-known/acme-challenge/";

/// All of it. Persistent.
#[derive(Clone, Default)]
pub struct Ordered {
    /// What each entity brought, to take it out again.
    held: OrdMap<Uuid, Held>,
    exact: By<Arc<Pair>>,
    /// By what follows `*.`.
    leading: By<Arc<Pair>>,
    /// Key authorizations by their tokens.
    challenges: By<Bytes>,
}

/// What several entities may say of a text, between the changes of one delta; the oldest counts.
type By<T> = OrdMap<String, OrdMap<Uuid, T>>;

/// What an entity brought.
#[derive(Clone, Default)]
struct Held {
    pair: Option<Arc<Pair>>,
    /// Those of its domains that the certificate is for.
    names: Vec<String>,
    tokens: Vec<String>,
}

impl Ordered {
    /// Takes in an entity, or its deletion. `key` opens its private key. An error says why its certificate cannot be used; its challenges
    /// are answered nevertheless.
    pub fn apply(
        &mut self,
        change: &Change,
        key: Option<&NodeKey>,
        revision: &mut Revision,
    ) -> Result<(), String> {
        if let Some(before) = self.held.remove(&change.id) {
            self.take_out(change.id, &before, revision);
        }
        let Some(body) = &change.body else { return Ok(()) };
        let certificate = match Entity::from_wire(Kind::AcmeCertificate, body) {
            Ok(Entity::AcmeCertificate(certificate)) => certificate,
            other => return Err(super::unreadable(other)),
        };
        let mut held = Held::default();
        for challenge in certificate.state.iter().flat_map(|state| &state.challenges) {
            let token = challenge.split('.').next().unwrap_or_default();
            let answers = self.challenges.entry(token.to_owned()).or_default();
            answers.insert(change.id, Bytes::from(challenge.clone()));
            held.tokens.push(token.to_owned());
        }
        let issued = self.take_in(change.id, certificate, key, &mut held, revision);
        self.held.insert(change.id, held);
        issued
    }

    fn take_in(
        &mut self,
        id: Uuid,
        certificate: AcmeCertificate,
        key: Option<&NodeKey>,
        held: &mut Held,
        revision: &mut Revision,
    ) -> Result<(), String> {
        let domains = certificate.domains.clone();
        let Some(issued) = issued(id, certificate, key)? else { return Ok(()) };
        let leaf = issued.leaf().ok_or("cert: it has no names")?;
        let pair = Arc::new(Pair::of(certified(("cert", &issued.cert), ("key", issued.key))?, None));
        for name in domains.into_iter().filter(|domain| leaf.names.contains(domain)) {
            let (by, text) = self.by(&name);
            by.entry(text.to_owned()).or_default().insert(id, pair.clone());
            held.names.push(name);
        }
        revision.add(&revised(id, &pair, &held.names));
        held.pair = Some(pair);
        Ok(())
    }

    fn take_out(&mut self, id: Uuid, held: &Held, revision: &mut Revision) {
        for name in &held.names {
            let (by, text) = self.by(name);
            forget(by, text, id);
        }
        for token in &held.tokens {
            forget(&mut self.challenges, token, id);
        }
        if let Some(pair) = &held.pair {
            revision.remove(&revised(id, pair, &held.names));
        }
    }

    fn by<'n>(&mut self, name: &'n str) -> (&mut By<Arc<Pair>>, &'n str) {
        match name.strip_prefix("*.") {
            Some(rest) => (&mut self.leading, rest),
            None => (&mut self.exact, name),
        }
    }

    /// The certificate for just this name.
    pub fn exact(&self, name: &str) -> Option<&Arc<Pair>> {
        self.exact.get(name)?.values().next()
    }

    /// The certificate for all names of one label before `rest`.
    pub fn leading(&self, rest: &str) -> Option<&Arc<Pair>> {
        self.leading.get(rest)?.values().next()
    }

    /// What an ACME server is answered that asks for `path`; `None` if that is no challenge which is open.
    pub fn key_authorization(&self, path: &str) -> Option<&Bytes> {
        // Nearly always.
        if self.challenges.is_empty() {
            return None;
        }
        self.challenges.get(path.strip_prefix(CHALLENGES)?)?.values().next()
    }
}

fn forget<T: Clone>(by: &mut By<T>, text: &str, id: Uuid) {
    if let Some(of_text) = by.get_mut(text) {
        of_text.remove(&id);
        if of_text.is_empty() {
            by.remove(text);
        }
    }
}

/// What stands for the certificate of an entity, and the names that it is shown for.
fn revised<'a>(id: Uuid, pair: &'a Pair, names: &'a [String]) -> Vec<Vec<u8>> {
    let names = names.iter().map(|name| name.as_bytes().to_vec());
    [b"ordered".to_vec(), id.as_bytes().to_vec(), pair.hash().to_vec()].into_iter().chain(names).collect()
}

/// What was issued, with its key in clear.
fn issued(
    id: Uuid,
    certificate: AcmeCertificate,
    key: Option<&NodeKey>,
) -> Result<Option<AcmeIssued>, String> {
    if certificate.state.as_ref().is_none_or(|state| state.issued.is_none()) {
        return Ok(None);
    }
    match opened(id, Entity::AcmeCertificate(certificate), key)? {
        Entity::AcmeCertificate(AcmeCertificate { state, .. }) => Ok(state.and_then(|state| state.issued)),
        other => Err(super::unreadable(Ok(other))),
    }
}

#[cfg(test)]
mod tests {
    use gateway_model::{AcmeState, Secret};
    use rcgen::{CertificateParams, KeyPair};
    use serde_json::json;

    use super::*;
    use crate::view::{View, tests::key};

    const ID: Uuid = Uuid::from_u128(1);

    /// An entity with these domains, with a certificate for `names` if there are any, and an open challenge.
    fn entity(id: Uuid, domains: &[&str], names: &[&str], challenges: &[&str]) -> Change {
        let body = json!({"domains": domains, "account_email": "a@b.example", "tos_accepted": true, "challenge": "dns-01"});
        let Ok(Entity::AcmeCertificate(mut certificate)) = Entity::from_api(Kind::AcmeCertificate, &body)
        else {
            panic!("not valid: {body}")
        };
        let issued = (!names.is_empty()).then(|| {
            let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
            let pair = KeyPair::generate().expect("a key");
            let cert =
                CertificateParams::new(names).expect("names").self_signed(&pair).expect("a certificate");
            let key = Secret::Plain(pair.serialize_pem());
            AcmeIssued { cert: cert.pem(), key, directory: "test".to_owned() }
        });
        let challenges = challenges.iter().map(|challenge| (*challenge).to_owned()).collect();
        certificate.state = Some(AcmeState { issued, challenges });
        let mut entity = Entity::AcmeCertificate(certificate);
        key().seal(id, &mut entity, None);
        Change {
            kind: "acme_certificate".to_owned(),
            id,
            body: Some(entity.to_wire().expect("sealed").into()),
        }
    }

    fn empty() -> View {
        View::default().opening_with(Some(key()))
    }

    #[test]
    fn a_certificate_is_shown_for_those_domains_that_it_is_for() {
        let view = empty().with(&[entity(
            ID,
            &["a.example", "*.b.example", "c.example"],
            &["a.example", "*.b.example"],
            &[],
        )]);
        assert_eq!(view.quarantined(), []);
        for (name, is_shown) in [
            ("a.example", true),
            ("x.b.example", true),
            ("b.example", false),
            ("y.x.b.example", false),
            ("c.example", false),
        ] {
            assert_eq!(view.certificate(Some(name)).is_some(), is_shown, "{name}");
        }
        assert_ne!(view.certificates_revision(), empty().certificates_revision());
        let gone = view.with(&[Change { kind: "acme_certificate".to_owned(), id: ID, body: None }]);
        assert!(gone.certificate(Some("a.example")).is_none());
        assert_eq!(gone.certificates_revision(), empty().certificates_revision());
    }

    #[test]
    fn a_name_that_somebody_wrote_by_hand_comes_first_and_its_wildcards_later() {
        let ordered = entity(ID, &["a.example"], &["a.example"], &[]);
        let view = empty().with(std::slice::from_ref(&ordered));
        let issued = *view.certificate(Some("a.example")).expect("shown").hash();
        let by_hand = |name: &str| {
            let sni = json!({"name": name, "certificate": {"id": Uuid::from_u128(2)}}).to_string();
            let sni = Change { kind: "sni".to_owned(), id: ID, body: Some(sni.into()) };
            let view = empty().with(&[ordered.clone(), crate::view::tests::certificate(2, false), sni]);
            *view.certificate(Some("a.example")).expect("shown").hash()
        };
        assert_ne!(by_hand("a.example"), issued);
        for name in ["a.*", "*"] {
            assert_eq!(by_hand(name), issued, "{name}");
        }
    }

    #[test]
    fn challenges_are_answered_while_they_are_open_whatever_became_of_the_certificate() {
        let view = empty().with(&[entity(ID, &["a.example"], &[], &["token-1.thumb", "token-2.thumb"])]);
        let answer = |view: &View, path: &str| view.key_authorization(path).cloned();
        assert_eq!(answer(&view, "/.well-known/acme-challenge/token-1"), Some("token-1.thumb".into()));
        for path in [
            "/.well-known/acme-challenge/",
            "/.well-known/acme-challenge/token-3",
            "/token-1",
            "/x/.well-known/acme-challenge/token-1",
        ] {
            assert_eq!(answer(&view, path), None, "{path}");
        }
        let sealed_elsewhere = entity(ID, &["a.example"], &["a.example"], &["token-3.thumb"]);
        let other_key = View::default().opening_with(Some(NodeKey::new(&[8; 32]))).with(&[sealed_elsewhere]);
        assert_eq!(answer(&other_key, "/.well-known/acme-challenge/token-3"), Some("token-3.thumb".into()));
        assert_eq!(other_key.quarantined().len(), 1);
        assert_eq!(
            answer(
                &view.with(&[entity(ID, &["a.example"], &[], &[])]),
                "/.well-known/acme-challenge/token-1"
            ),
            None
        );
    }
}
