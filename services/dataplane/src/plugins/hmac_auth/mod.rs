//! hmac-auth: a request that is signed with the key of a consumer passes, as a request of that consumer.
//!
//! The signature covers what the client lists, which must be at least what the settings ask for, and it ends with the clock skew. What a plugin
//! that runs earlier changes of the request is no longer what was signed.

mod signature;

use std::time::{Duration, SystemTime};

use aws_lc_rs::{constant_time::verify_slices_are_equal, digest};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use gateway_model::{Kind, plugin::hmac_auth::Config};
use http::{HeaderMap, HeaderName, HeaderValue, header};

use self::signature::{Signature, is_right};
use super::{
    Answer, Body, Compiled, Exchange, Make, NotExecutable, Phases, Plugin, Verdict,
    authentication::{Fallback, Said, admit, challenge, credentials, unauthorized},
    identities::Secret,
};
use crate::store::{Lookup, StoreError};

/// Where signatures may stand, in the order in which they are looked for.
const HEADERS: [HeaderName; 2] = [header::PROXY_AUTHORIZATION, header::AUTHORIZATION];
/// Where the time may stand beside `Date`, which browsers do not let scripts set.
const X_DATE: HeaderName = HeaderName::from_static("x-date");
const DIGEST: HeaderName = HeaderName::from_static("digest");

const NO_DATE: &str =
    "HMAC signature cannot be verified, a valid date or x-date header is required for HMAC Authentication";
const NOT_VALID: &str = "HMAC signature cannot be verified";
const NOT_SAME: &str = "HMAC signature does not match";

/// The compiled plugin.
#[derive(Debug)]
pub struct HmacAuth {
    skew: Duration,
    algorithms: Vec<&'static str>,
    enforced: Vec<String>,
    /// Bytes of a body whose digest is checked; `None`: no digest is.
    digests: Option<usize>,
    hide: bool,
    fallback: Fallback,
    challenge: HeaderValue,
}

impl Compiled for HmacAuth {
    type Config = Config;
    const PRIORITY: u32 = 1030;
    const PHASES: Phases = Phases::REQUEST;

    fn new(config: &Config, _: &Make<'_>) -> Result<Self, NotExecutable> {
        Ok(Self {
            skew: Duration::from_secs(config.clock_skew.into()),
            algorithms: config.algorithms.iter().map(|algorithm| algorithm.as_str()).collect(),
            enforced: config.enforce_headers.iter().map(|name| name.to_ascii_lowercase()).collect(),
            digests: config.validate_request_body.then_some(config.body_max_bytes as usize),
            hide: config.hide_credentials,
            fallback: Fallback::new(config.anonymous.as_deref()),
            challenge: challenge("hmac", config.realm.as_deref())?,
        })
    }
}

/// What is found out of a request.
enum Judged {
    /// It is signed by this consumer.
    Signed(std::rc::Rc<super::Identity>),
    Refused(&'static str),
    /// The body has to be read first, of at most so many bytes.
    NeedsBody(usize),
}

impl Plugin for HmacAuth {
    fn request(&self, exchange: &mut Exchange<'_, '_>) -> Result<Verdict, StoreError> {
        if self.fallback.is_done(exchange) {
            return Ok(Verdict::Pass);
        }
        match self.judge(exchange)? {
            Judged::Signed(identity) => {
                self.hide(exchange);
                admit(exchange, identity);
                Ok(Verdict::Pass)
            }
            Judged::Refused(message) => {
                let answer: Answer = unauthorized(message, &self.challenge);
                self.fallback.refuse(exchange, answer, |exchange| self.hide(exchange))
            }
            Judged::NeedsBody(max) => Ok(Verdict::NeedsBody { max }),
        }
    }
}

impl HmacAuth {
    fn judge(&self, exchange: &Exchange<'_, '_>) -> Result<Judged, StoreError> {
        let headers = &*exchange.headers;
        if !HEADERS.iter().any(|name| headers.contains_key(name)) {
            return Ok(Judged::Refused("Unauthorized"));
        }
        if !self.is_timely(headers, SystemTime::UNIX_EPOCH + Duration::from_secs(exchange.now)) {
            return Ok(Judged::Refused(NO_DATE));
        }
        let Some(signature) = presented(headers).filter(|signature| self.is_enough(signature)) else {
            return Ok(Judged::Refused(NOT_VALID));
        };
        let lookup = Lookup::hmac_auth(&signature.username);
        let found = exchange.identities.by_credential(Kind::HmacAuth, &lookup, exchange.now)?;
        let Some(identity) = found else { return Ok(Judged::Refused(NOT_VALID)) };
        let Secret::Hmac(key) = &identity.secret else { return Ok(Judged::Refused(NOT_VALID)) };
        if !is_right(&signature, key, exchange) {
            return Ok(Judged::Refused(NOT_SAME));
        }
        match (self.digests, &exchange.body) {
            (Some(max), Body::Unread { .. }) => Ok(Judged::NeedsBody(max)),
            (Some(_), body) if !has_digest(headers, body) => Ok(Judged::Refused(NOT_SAME)),
            _ => Ok(Judged::Signed(identity)),
        }
    }

    /// Whether the request was sent now, as far as it says.
    fn is_timely(&self, headers: &HeaderMap, now: SystemTime) -> bool {
        [X_DATE, header::DATE].iter().any(|name| {
            let sent = headers.get(name).and_then(|value| value.to_str().ok());
            let Some(sent) = sent.and_then(|text| httpdate::parse_http_date(text).ok()) else { return false };
            // The header has whole seconds.
            let apart = now.duration_since(sent).unwrap_or_else(|later| later.duration());
            apart.as_secs() <= self.skew.as_secs()
        })
    }

    /// Whether it is made as the settings ask for, and covers what they do.
    fn is_enough(&self, signature: &Signature<'_>) -> bool {
        let covers = |name: &String| signature.covered().any(|covered| covered.eq_ignore_ascii_case(name));
        self.algorithms.contains(&&*signature.algorithm) && self.enforced.iter().all(covers)
    }

    fn hide(&self, exchange: &mut Exchange<'_, '_>) {
        if self.hide {
            HEADERS.iter().for_each(|name| drop(exchange.headers.remove(name)));
        }
    }
}

/// The signature of the first header that has one. Two different ones are none.
fn presented(headers: &HeaderMap) -> Option<Signature<'_>> {
    HEADERS.iter().find_map(|name| match credentials(headers, name, "hmac") {
        Said::Once(text) => Signature::read(text),
        Said::Nothing | Said::Several => None,
    })
}

/// Whether the body is what `Digest` says. A request without either is as it should be.
fn has_digest(headers: &HeaderMap, body: &Body) -> bool {
    let body: &[u8] = match body {
        Body::Empty => &[],
        Body::Read(body) => body,
        Body::Unread { .. } | Body::TooLarge { .. } => return false,
    };
    let mut said = headers.get_all(DIGEST).into_iter();
    match (said.next(), said.next()) {
        (None, _) => body.is_empty(),
        (Some(said), None) => {
            let found = BASE64_STANDARD.encode(digest::digest(&digest::SHA256, body));
            let said = said.to_str().ok().and_then(|said| said.strip_prefix("SHA-256="));
            said.is_some_and(|said| verify_slices_are_equal(said.as_bytes(), found.as_bytes()).is_ok())
        }
        (Some(_), Some(_)) => false,
    }
}

#[cfg(test)]
mod tests;
