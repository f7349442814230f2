//! One attempt to get a certificate: account, order, challenges, key, certificate. It goes on with the order of an attempt before it where
//! there is one, so a process that ends in the middle costs no second order.

use std::time::Duration;

use gateway_model::{AcmeCertificate, AcmeIssued, AcmeKeyType, AcmeLeaf, AcmeState, Entity, Kind, Secret};
use instant_acme::{
    Account, AuthorizationStatus, ChallengeStatus, Identifier, NewOrder, Order, OrderStatus, RetryPolicy,
};
use rcgen::{
    CertificateParams, DistinguishedName, DnType, KeyPair, PKCS_RSA_SHA256, PublicKeyData as _, RsaKeySize,
};
use zeroize::Zeroizing;

use super::{
    Acme,
    accounts::Accounts,
    challenges::{Challenges, Proof},
    failure::{Failure, words},
    store::Claim,
};
use crate::entities::known::EntityId;

/// How an ACME server is asked how far it has come.
const POLLING: RetryPolicy = RetryPolicy::new()
    .initial_delay(Duration::from_millis(250))
    .backoff(1.5)
    .timeout(Duration::from_secs(120));

/// An attempt.
pub struct Attempt<'a> {
    pub acme: &'a Acme,
    pub claim: Claim,
    /// The entity as it was when the attempt began.
    pub certificate: &'a AcmeCertificate,
    /// What is asked for.
    pub request: [u8; 32],
    /// The order of an attempt before, and the sealed key that it is for.
    pub before: (Option<String>, Option<Vec<u8>>),
}

impl Attempt<'_> {
    /// Gets a certificate.
    pub async fn obtain(&self) -> Result<AcmeIssued, Failure> {
        let named = self.certificate.directory.as_deref();
        let directory = self.acme.options.directory(named);
        let directory =
            directory.ok_or_else(|| Failure::refused("the region has no such ACME server any more"))?;
        let accounts =
            Accounts { acme: self.acme, job: self.claim.job, certificate: self.certificate, directory };
        match self.obtain_with(&accounts).await {
            Err(Failure::NoAccount(message)) => {
                // The next attempt makes another one.
                accounts.forget().await?;
                Err(Failure::NoAccount(message))
            }
            done => done,
        }
    }

    async fn obtain_with(&self, accounts: &Accounts<'_>) -> Result<AcmeIssued, Failure> {
        let account = accounts.get().await?;
        let (mut order, key) = self.order(&account).await?;
        let mut challenges =
            Challenges::new(self.acme, self.claim.job, self.request, self.certificate.challenge);
        let proved = self.prove(&mut order, &mut challenges).await;
        challenges.take_down().await;
        proved?;
        let key = self.finalize(&mut order, key).await?;
        let cert = order.poll_certificate(&POLLING).await?;
        self.check(&cert, &key)?;
        let key = Secret::Plain(key.serialize_pem());
        Ok(AcmeIssued { cert, key, directory: accounts.directory.name.clone() })
    }

    /// The order to go on with, and the key that it is for, if that is known.
    async fn order(&self, account: &Account) -> Result<(Order, Option<KeyPair>), Failure> {
        if let (Some(url), sealed) = &self.before {
            let key = sealed.as_deref().and_then(|sealed| self.opened(sealed));
            match account.order(url.clone()).await {
                Ok(mut order) => match order.state().status {
                    OrderStatus::Pending | OrderStatus::Ready => return Ok((order, key)),
                    OrderStatus::Processing | OrderStatus::Valid if key.is_some() => return Ok((order, key)),
                    OrderStatus::Processing | OrderStatus::Valid | OrderStatus::Invalid => {}
                },
                // The server has forgotten it.
                Err(instant_acme::Error::Api(_)) => {}
                Err(error) => return Err(error.into()),
            }
        }
        let names: Vec<Identifier> = self.certificate.domains.iter().cloned().map(Identifier::Dns).collect();
        let order = account.new_order(&NewOrder::new(&names)).await?;
        if !self.claim.note_order(&self.acme.db, order.url()).await? {
            return Err(Failure::Lost);
        }
        Ok((order, None))
    }

    /// Proves all names that are not proved yet.
    async fn prove(&self, order: &mut Order, challenges: &mut Challenges<'_>) -> Result<(), Failure> {
        if order.state().status != OrderStatus::Pending {
            return Ok(());
        }
        let kind = challenges.kind();
        let mut proofs = Vec::new();
        let mut authorizations = order.authorizations();
        while let Some(authorization) = authorizations.next().await {
            let mut authorization = authorization?;
            if authorization.status == AuthorizationStatus::Valid {
                continue;
            }
            let domain = authorization.identifier().identifier.clone();
            let Identifier::Dns(domain) = domain else { continue };
            let challenge = authorization.challenge(kind.clone());
            let challenge = challenge.ok_or_else(|| {
                Failure::refused(format!("the ACME server offers no {kind:?} for {domain}"))
            })?;
            let authorization = challenge.key_authorization();
            let (answer, value) = (authorization.as_str().to_owned(), authorization.dns_value());
            proofs.push(Proof { domain, answer, value });
        }
        challenges.put_up(proofs).await?;
        let mut authorizations = order.authorizations();
        while let Some(authorization) = authorizations.next().await {
            let mut authorization = authorization?;
            let is_proved = authorization.status == AuthorizationStatus::Valid;
            if let Some(mut challenge) = authorization.challenge(kind.clone()).filter(|_| !is_proved)
                && challenge.status == ChallengeStatus::Pending
            {
                challenge.set_ready().await?;
            }
        }
        match order.poll_ready(&POLLING).await {
            Ok(OrderStatus::Ready) => Ok(()),
            Ok(_) => Err(why_invalid(order).await?),
            Err(_) if order.state().status == OrderStatus::Invalid => Err(why_invalid(order).await?),
            Err(error) => Err(error.into()),
        }
    }

    /// Asks for the certificate of a key, once.
    async fn finalize(&self, order: &mut Order, known: Option<KeyPair>) -> Result<KeyPair, Failure> {
        let key = match known {
            Some(key) => key,
            None => {
                let key = self.new_key().await?;
                let text = Zeroizing::new(key.serialize_pem());
                let sealed = self.acme.seal.seal(&self.purpose(), text.as_bytes());
                if !self.claim.note_key(&self.acme.db, &sealed).await? {
                    return Err(Failure::Lost);
                }
                key
            }
        };
        if matches!(order.state().status, OrderStatus::Pending | OrderStatus::Ready) {
            let unusable = |error: rcgen::Error| {
                Failure::refused(format!("no request can be made for these names: {error}"))
            };
            let mut params = CertificateParams::new(self.certificate.domains.clone()).map_err(unusable)?;
            params.distinguished_name = DistinguishedName::new();
            // A common name has 64 characters at most.
            if let Some(first) = self.certificate.domains.first().filter(|first| first.len() <= 64) {
                params.distinguished_name.push(DnType::CommonName, first.as_str());
            }
            let request = params.serialize_request(&key).map_err(unusable)?;
            order.finalize_csr(request.der()).await?;
        }
        Ok(key)
    }

    fn purpose(&self) -> Vec<u8> {
        format!("acme order {} {}", self.claim.job.control_plane, self.claim.job.id).into_bytes()
    }

    fn opened(&self, sealed: &[u8]) -> Option<KeyPair> {
        let text = Zeroizing::new(self.acme.seal.open(&self.purpose(), sealed).ok()?);
        KeyPair::from_pem(std::str::from_utf8(&text).ok()?).ok()
    }

    async fn new_key(&self) -> Result<KeyPair, Failure> {
        let (kind, size) = (self.certificate.cert_type, self.certificate.rsa_key_size);
        let made = tokio::task::spawn_blocking(move || match (kind, size) {
            (AcmeKeyType::Ecc, _) => KeyPair::generate(),
            (AcmeKeyType::Rsa, 2048) => KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048),
            (AcmeKeyType::Rsa, 3072) => KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_3072),
            (AcmeKeyType::Rsa, _) => KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_4096),
        });
        let made = made.await.map_err(|error| Failure::refused(error.to_string()))?;
        made.map_err(|error| Failure::refused(format!("no key can be made: {error}")))
    }

    /// Refuses what is not what was ordered: gateways could not use it.
    fn check(&self, cert: &str, key: &KeyPair) -> Result<(), Failure> {
        let refuse =
            |what: &str| Err(Failure::refused(format!("the ACME server has issued a certificate {what}")));
        let Some(leaf) = AcmeLeaf::of(cert) else { return refuse("that cannot be read") };
        if leaf.public_key != key.subject_public_key_info() {
            return refuse("for another key");
        }
        if let Some(missing) = self.certificate.domains.iter().find(|domain| !leaf.names.contains(domain)) {
            return refuse(&format!("that is not for {missing}"));
        }
        Ok(())
    }
}

/// Why an order came to nothing, by what its challenges say.
async fn why_invalid(order: &mut Order) -> Result<Failure, Failure> {
    let mut reasons = Vec::new();
    let mut authorizations = order.authorizations();
    while let Some(authorization) = authorizations.next().await {
        let mut authorization = authorization?;
        authorization.refresh().await?;
        let domain = authorization.identifier().to_string();
        let errors = authorization.challenges.iter().filter_map(|challenge| challenge.error.as_ref());
        reasons.extend(errors.map(|problem| format!("{domain}: {}", words(problem))));
    }
    let reasons = if reasons.is_empty() { "it says no reason".to_owned() } else { reasons.join("; ") };
    Ok(Failure::refused(format!("the ACME server does not believe that the names are yours: {reasons}")))
}

/// Where the entity of a job is.
pub fn entity_of(claim: &Claim) -> EntityId {
    EntityId { kind: Kind::AcmeCertificate, id: claim.job.id }
}

/// Makes what was issued the entity's certificate, if it still asks for it.
pub fn put_in_service(entity: &mut Entity, request: [u8; 32], issued: &AcmeIssued) -> bool {
    let Entity::AcmeCertificate(certificate) = entity else { return false };
    if super::due::request(certificate) != request {
        return false;
    }
    certificate.state = Some(AcmeState { issued: Some(issued.clone()), challenges: Vec::new() });
    true
}
