//! mtls-auth: a request over a connection whose client has a certificate of certain authorities passes, as a request of the consumer that the
//! certificate names.
//!
//! The handshake has proved that the client holds the key; here the chain is verified, once for a connection and set of authorities. A consumer
//! is found as in Kong: by an mtls-auth credential with a name of the certificate and an authority that the chain leads through, by one with
//! the name alone, by the consumer's own fields.

mod trust;

use std::{collections::BTreeSet, sync::Arc};

use gateway_model::{
    Kind, Target,
    plugin::mtls_auth::{Config, GroupBy},
};
use http::{HeaderValue, StatusCode, Version, header};
use uuid::Uuid;

use self::trust::Trust;
use super::{
    Answer, CLIENT_CERT_DN, CLIENT_CERT_SAN, ClientCertificate, Compiled, Exchange, Make, NotExecutable,
    Phases, Plugin, Verdict, Wish,
    authentication::{AuthenticatedGroups, Fallback, admit, admit_nobody},
    certificate::Verified,
    identities::Named,
    subject::Subject,
};
use crate::store::{Lookup, StoreError};

/// What a client is told whose certificate counts for nothing here. Why is told by the log alone, as in Kong.
const FAILED: &str = "TLS certificate failed verification";

/// The compiled plugin.
#[derive(Debug)]
pub struct MtlsAuth {
    trust: Trust,
    wish: Arc<Wish>,
    find: Find,
    fallback: Fallback,
}

/// Whom a certificate stands for.
#[derive(Debug)]
enum Find {
    /// No consumer. What of the subject counts as a group.
    Nobody(Option<GroupBy>),
    /// A consumer.
    Consumer {
        /// Whether its username, and its id in another system, may be a name of the certificate.
        ways: [bool; 2],
        /// The one that is meant by a certificate which names none.
        default: Option<Named>,
    },
}

impl Compiled for MtlsAuth {
    type Config = Config;
    const PRIORITY: u32 = 1600;
    const PHASES: Phases = Phases::REQUEST;

    /// An error if an authority is not there.
    fn new(config: &Config, make: &Make<'_>) -> Result<Self, NotExecutable> {
        let ids = config.ca_certificates.iter().filter_map(Target::id);
        let authorities = ids.map(|id| match make.authorities.find(id) {
            Some(authority) => Ok((id, authority)),
            None => Err(NotExecutable(format!(
                "ca_certificates: {id} is not there, or this gateway cannot use it"
            ))),
        });
        let authorities = authorities.collect::<Result<Vec<_>, _>>()?;
        let issuers = config.send_ca_dn.then(|| {
            let subjects = authorities.iter().map(|(_, authority)| authority.anchor.subject.to_vec());
            subjects.collect::<BTreeSet<_>>()
        });
        let ways = ["username", "custom_id"].map(|field| config.consumer_by.iter().any(|by| by == field));
        Ok(Self {
            trust: Trust::new(authorities, config.allow_partial_chain, ways),
            wish: Arc::new(Wish { issuers }),
            find: match config.skip_consumer_lookup {
                true => Find::Nobody(config.authenticated_group_by),
                false => Find::Consumer { ways, default: config.default_consumer.as_deref().map(Named::new) },
            },
            fallback: Fallback::new(config.anonymous.as_deref()),
        })
    }
}

impl Plugin for MtlsAuth {
    fn request(&self, exchange: &mut Exchange<'_, '_>) -> Result<Verdict, StoreError> {
        if self.fallback.is_done(exchange) {
            return Ok(Verdict::Pass);
        }
        let certificate = exchange.client.certificate;
        let shown = match certificate {
            ClientCertificate::Shown(shown) => shown,
            ClientCertificate::NotAsked => {
                return self.fallback.refuse(exchange, misdirected(exchange.version), |_| ());
            }
            ClientCertificate::Plain | ClientCertificate::None => {
                return self.refuse(exchange, "No required TLS certificate was sent");
            }
        };
        let verdict =
            shown.verdict(self.trust.hash(), exchange.now, || self.trust.judge(shown, exchange.now));
        match (verdict.verified, shown.subject()) {
            (Some(verified), Some(subject)) => self.admit(exchange, &verified, subject),
            _ => self.refuse(exchange, FAILED),
        }
    }

    fn wish(&self) -> Option<&Arc<Wish>> {
        Some(&self.wish)
    }
}

impl MtlsAuth {
    /// The request is one of whom the certificate stands for.
    fn admit(
        &self,
        exchange: &mut Exchange<'_, '_>,
        verified: &Verified,
        subject: &Subject,
    ) -> Result<Verdict, StoreError> {
        let (ways, default) = match &self.find {
            Find::Nobody(group_by) => {
                tell(exchange, subject);
                let group = match group_by {
                    Some(GroupBy::Cn) => subject.common_name.clone(),
                    Some(GroupBy::Dn) => Some(subject.distinguished_name.clone()),
                    None => None,
                };
                admit_nobody(exchange);
                if group_by.is_some() {
                    exchange.effects.put(AuthenticatedGroups(group.into_iter().collect()));
                }
                return Ok(Verdict::Pass);
            }
            Find::Consumer { ways, default } => (ways, default),
        };
        let lookups = || lookups(subject, &self.authorities(verified), *ways);
        if let Some(identity) = exchange.identities.first(verified.key, exchange.now, lookups)? {
            admit(exchange, identity);
            return Ok(Verdict::Pass);
        }
        let Some(named) = default else { return self.refuse(exchange, FAILED) };
        match exchange.identities.named(named)? {
            Some(identity) => {
                admit(exchange, identity);
                Ok(Verdict::Pass)
            }
            None => {
                let message = format!("default consumer {named} is configured but doesn't exist");
                Ok(Verdict::Answer(Answer::message(StatusCode::INTERNAL_SERVER_ERROR, message)))
            }
        }
    }

    /// The authorities that a chain leads through, the nearest to the client first.
    fn authorities(&self, verified: &Verified) -> Vec<Uuid> {
        verified.through.iter().filter_map(|place| self.trust.id(*place)).collect()
    }

    fn refuse(&self, exchange: &mut Exchange<'_, '_>, message: &str) -> Result<Verdict, StoreError> {
        // There is no scheme of HTTP for it, and so no challenge.
        self.fallback.refuse(exchange, Answer::message(StatusCode::UNAUTHORIZED, message), |_| ())
    }
}

/// What may lead to the consumer of a certificate, in the order in which it counts.
fn lookups(
    subject: &Subject,
    authorities: &[Uuid],
    [by_username, by_custom_id]: [bool; 2],
) -> Vec<(Kind, Lookup)> {
    let issuers = authorities.iter().copied().map(Some).chain([None]);
    let credentials = issuers.flat_map(|issuer| {
        subject.names.iter().map(move |name| (Kind::MtlsAuth, Lookup::mtls_auth(name, issuer)))
    });
    let consumers = subject.names.iter().flat_map(|name| {
        let username = by_username.then(|| Lookup::username(name));
        let custom_id = by_custom_id.then(|| Lookup::custom_id(name));
        username.into_iter().chain(custom_id).map(|lookup| (Kind::Consumer, lookup))
    });
    credentials.chain(consumers).collect()
}

/// Tells the upstream what the certificate says.
fn tell(exchange: &mut Exchange<'_, '_>, subject: &Subject) {
    let told = [(CLIENT_CERT_DN, &subject.distinguished_name), (CLIENT_CERT_SAN, &subject.alternative_names)];
    for (name, text) in told.into_iter().filter(|(_, text)| !text.is_empty()) {
        if let Ok(value) = HeaderValue::from_str(text) {
            exchange.headers.insert(name, value);
        }
    }
}

/// The answer over a connection whose client was not asked: it may ask again over another one (RFC 9110, section 15.5.20).
fn misdirected(version: Version) -> Answer {
    // A client of HTTP/1.1 opens another one when this one ends; HTTP/2 has no such header.
    let closes =
        (version <= Version::HTTP_11).then(|| (header::CONNECTION, HeaderValue::from_static("close")));
    Answer::Message {
        status: StatusCode::MISDIRECTED_REQUEST,
        message: "No TLS certificate was asked for on this connection; open another one".to_owned(),
        headers: closes.into_iter().collect(),
    }
}

#[cfg(test)]
mod tests;
