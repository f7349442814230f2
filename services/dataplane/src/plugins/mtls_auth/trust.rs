//! Verifies the chain that a client shows by the authorities of a plugin.

use std::{ops::RangeInclusive, rc::Rc, sync::Arc, time::Duration};

use rustls::crypto::aws_lc_rs;
use rustls_pki_types::{CertificateDer, TrustAnchor, UnixTime};
use uuid::Uuid;
use webpki::{EndEntityCert, KeyUsage, VerifiedPath};
use x509_parser::prelude::{FromDer as _, X509Certificate};

use crate::{
    authority::{Authority, validity},
    plugins::certificate::{Shown, Verdict, Verified},
};

/// Seconds for which a chain that leads nowhere is not looked at again on its connection. It may begin to count.
const REFUSED_SECONDS: u64 = 10;

/// The authorities of a plugin.
#[derive(Debug)]
pub struct Trust {
    /// With their ids.
    authorities: Vec<(Uuid, Arc<Authority>)>,
    /// Where a chain may end.
    anchors: Vec<TrustAnchor<'static>>,
    /// For each anchor, its place among the authorities.
    ends: Vec<usize>,
    hash: blake3::Hash,
}

impl Trust {
    /// A chain may end at each of `authorities` if `partial`, else at those that have issued themselves; the others may stand in it. `ways` are
    /// the ways in which consumers are found, which [`Trust::hash`] stands for too.
    pub fn new(authorities: Vec<(Uuid, Arc<Authority>)>, partial: bool, ways: [bool; 2]) -> Self {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&[partial, ways[0], ways[1]].map(u8::from));
        for (id, authority) in &authorities {
            hasher.update(id.as_bytes()).update(authority.hash());
        }
        let may_end = |(_, (_, authority)): &(usize, &(Uuid, Arc<Authority>))| partial || authority.is_root;
        let (ends, anchors) = authorities
            .iter()
            .enumerate()
            .filter(may_end)
            .map(|(place, (_, authority))| (place, authority.anchor.clone()))
            .unzip();
        Self { anchors, ends, hash: hasher.finalize(), authorities }
    }

    /// The id of the authority at a place.
    pub fn id(&self, place: usize) -> Option<Uuid> {
        self.authorities.get(place).map(|(id, _)| *id)
    }

    /// Stands for all that it depends on what a chain is worth, and whom it leads to, but for the chain and the time.
    pub fn hash(&self) -> &[u8; 32] {
        self.hash.as_bytes()
    }

    /// What the chain is worth at `now`, in Unix seconds.
    pub fn judge(&self, shown: &Shown, now: u64) -> Verdict {
        match self.verify(shown, now) {
            Ok((verified, until)) => Verdict { until, verified: Some(Rc::new(verified)) },
            Err(reason) => {
                tracing::debug!(reason, "the certificate of a client is refused");
                Verdict { until: now + REFUSED_SECONDS, verified: None }
            }
        }
    }

    /// What is known of a chain that leads to an authority, and when the first certificate on the way ends.
    fn verify(&self, shown: &Shown, now: u64) -> Result<(Verified, u64), String> {
        let text = |error: webpki::Error| error.to_string();
        let (own, more) = shown.chain().split_first().ok_or("there is none")?;
        let subject = shown.subject().ok_or("it cannot be read")?;
        let certificate = EndEntityCert::try_from(own).map_err(text)?;
        let known = self.authorities.iter().filter(|(_, authority)| !authority.is_root);
        let between: Vec<CertificateDer<'_>> =
            more.iter().chain(known.map(|(_, authority)| &authority.certificate)).cloned().collect();
        // The library does not look at the times of what is trusted.
        let counts = |path: &VerifiedPath<'_>| match self.end(path) {
            Some((_, authority)) if authority.valid.contains(&now) => Ok(()),
            _ => Err(webpki::Error::UnknownIssuer),
        };
        let algorithms = aws_lc_rs::default_provider().signature_verification_algorithms;
        let path = certificate
            .verify_for_usage(
                algorithms.all,
                &self.anchors,
                &between,
                UnixTime::since_unix_epoch(Duration::from_secs(now)),
                KeyUsage::client_auth(),
                None,
                Some(&counts),
            )
            .map_err(text)?;
        let (end, authority) = self.end(&path).ok_or("it leads nowhere")?;
        let mut until = *subject.valid.end().min(authority.valid.end());
        let mut through = Vec::new();
        for certificate in path.intermediate_certificates() {
            let der = certificate.der();
            until = until.min(*valid(&der)?.end());
            through.extend(self.authorities.iter().position(|(_, authority)| authority.certificate == der));
        }
        through.push(end);
        let key = *blake3::Hasher::new().update(self.hash()).update(own).finalize().as_bytes();
        Ok((Verified { through, key }, until))
    }

    /// The authority that a path ends at, with its place.
    fn end(&self, path: &VerifiedPath<'_>) -> Option<(usize, &Authority)> {
        // The anchor is one of the slice that was given.
        let at = self.anchors.iter().position(|anchor| std::ptr::eq(anchor, path.anchor()))?;
        let place = *self.ends.get(at)?;
        self.authorities.get(place).map(|(_, authority)| (place, &**authority))
    }
}

fn valid(der: &CertificateDer<'_>) -> Result<RangeInclusive<u64>, String> {
    let (_, certificate) = X509Certificate::from_der(der).map_err(|error| error.to_string())?;
    Ok(validity(&certificate))
}
