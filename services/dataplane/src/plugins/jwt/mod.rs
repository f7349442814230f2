//! jwt: a request with a JSON web token that a consumer has signed passes, as a request of that consumer.
//!
//! A claim of the token, `iss` by default, names the jwt credential. The credential says how tokens are signed: what the token itself says of that
//! must agree, and is never followed.

mod token;

use std::borrow::Cow;

use gateway_model::{Kind, plugin::jwt::Config};
use http::{HeaderName, HeaderValue, Method, header};
use serde_json::{Map, Value};

use self::token::Token;
use super::{
    Answer, Compiled, Exchange, Make, NotExecutable, Phases, Plugin, Verdict,
    authentication::{
        Fallback, Said, admit, behind_scheme, challenge, header_names, once, unauthorized, unauthorized_for,
    },
    identities::Secret,
};
use crate::store::{Lookup, StoreError};

/// The compiled plugin.
#[derive(Debug)]
pub struct Jwt {
    arguments: Vec<String>,
    cookies: Vec<String>,
    headers: Vec<HeaderName>,
    /// The claim that names the credential.
    key_claim: String,
    secret_is_base64: bool,
    checks_exp: bool,
    checks_nbf: bool,
    /// Seconds; 0: as many as the token says.
    expiration_max: u32,
    on_preflight: bool,
    fallback: Fallback,
    /// Where there is no token.
    challenge: HeaderValue,
    /// Where there is a wrong one.
    challenge_wrong: HeaderValue,
}

impl Compiled for Jwt {
    type Config = Config;
    const PRIORITY: u32 = 1450;
    const PHASES: Phases = Phases::REQUEST;

    fn new(config: &Config, _: &Make<'_>) -> Result<Self, NotExecutable> {
        let realm = config.realm.as_deref();
        let wrong = if realm.is_some() { ", error=\"invalid_token\"" } else { " error=\"invalid_token\"" };
        let base = challenge("Bearer", realm)?;
        let wrong = [base.as_bytes(), wrong.as_bytes()].concat();
        let checks = |claim: &str| config.claims_to_verify.iter().any(|checked| checked == claim);
        Ok(Self {
            arguments: config.uri_param_names.clone(),
            cookies: config.cookie_names.clone(),
            headers: header_names("header_names", &config.header_names)?,
            key_claim: config.key_claim_name.clone(),
            secret_is_base64: config.secret_is_base64,
            checks_exp: checks("exp"),
            checks_nbf: checks("nbf"),
            expiration_max: config.maximum_expiration,
            on_preflight: config.run_on_preflight,
            fallback: Fallback::new(config.anonymous.as_deref()),
            challenge_wrong: HeaderValue::from_bytes(&wrong)
                .map_err(|_| NotExecutable("realm: not a header value".to_owned()))?,
            challenge: base,
        })
    }
}

impl Plugin for Jwt {
    fn request(&self, exchange: &mut Exchange<'_, '_>) -> Result<Verdict, StoreError> {
        if (*exchange.method == Method::OPTIONS && !self.on_preflight) || self.fallback.is_done(exchange) {
            return Ok(Verdict::Pass);
        }
        match self.judge(exchange)? {
            Ok(identity) => {
                admit(exchange, identity);
                Ok(Verdict::Pass)
            }
            Err(answer) => self.fallback.refuse(exchange, answer, |_| {}),
        }
    }
}

/// Who has signed the token, or the refusal.
type Judged = Result<std::rc::Rc<super::Identity>, Answer>;

impl Jwt {
    fn judge(&self, exchange: &Exchange<'_, '_>) -> Result<Judged, StoreError> {
        let wrong = |message: &str| Ok(Err(unauthorized(message, &self.challenge_wrong)));
        let text = match self.presented(exchange) {
            Said::Once(text) => text,
            Said::Nothing => return Ok(Err(unauthorized("Unauthorized", &self.challenge))),
            Said::Several => return wrong("Multiple tokens provided"),
        };
        let token = match Token::read(&text, &self.key_claim) {
            Ok(token) => token,
            Err(reason) => return wrong(&format!("Bad token; {reason}")),
        };
        let claim = &self.key_claim;
        let key = match token.key() {
            Some("") => return wrong(&format!("Invalid '{claim}' in claims")),
            Some(key) => key,
            None => return wrong(&format!("No mandatory '{claim}' in claims")),
        };
        let found = exchange.identities.by_credential(Kind::Jwt, &Lookup::jwt(key), exchange.now)?;
        let Some(identity) = found else {
            return wrong(&format!("No credentials found for given '{claim}'"));
        };
        let Secret::Jwt(key) = &identity.secret else { return wrong("Invalid key/secret") };
        if token.algorithm != key.algorithm() {
            return wrong("Invalid algorithm");
        }
        let Some(verifier) = key.verifier(self.secret_is_base64) else { return wrong("Invalid key/secret") };
        if !verifier.verifies(token.signed, &token.signature) {
            return wrong("Invalid signature");
        }
        let errors = self.check_times(&token, exchange.now);
        if errors.is_empty() {
            return Ok(Ok(identity));
        }
        Ok(Err(unauthorized_for(&Value::Object(errors), &self.challenge_wrong)))
    }

    /// The token, wherever it stands. Of different ones nobody knows which the upstream would read.
    fn presented<'r>(&self, exchange: &'r Exchange<'_, '_>) -> Said<Cow<'r, str>> {
        let query = exchange.query.as_deref().filter(|_| !self.arguments.is_empty()).unwrap_or_default();
        let in_query = url::form_urlencoded::parse(query.as_bytes())
            .filter(|(name, _)| self.arguments.iter().any(|argument| argument == name))
            .map(|(_, value)| value);
        let cookies =
            exchange.headers.get_all(header::COOKIE).into_iter().filter(|_| !self.cookies.is_empty());
        let in_cookies = cookies
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(';'))
            .filter_map(|pair| pair.trim().split_once('='))
            .filter(|(name, _)| self.cookies.iter().any(|cookie| cookie == name))
            .map(|(_, value)| Cow::Borrowed(value));
        let values = self.headers.iter().flat_map(|name| exchange.headers.get_all(name));
        let in_headers =
            values.filter_map(|value| behind_scheme(value.to_str().ok()?, "Bearer")).map(Cow::Borrowed);
        once(in_query.chain(in_cookies).chain(in_headers).filter(|token| !token.is_empty()))
    }

    /// What is wrong with the claims about time.
    fn check_times(&self, token: &Token<'_>, now: u64) -> Map<String, Value> {
        // Unix seconds are far below 2^53.
        #[allow(clippy::cast_precision_loss)]
        let now = now as f64;
        let mut errors = Map::new();
        if self.checks_exp {
            match token.number("exp") {
                None => drop(errors.insert("exp".to_owned(), "must be a number".into())),
                Some(exp) if exp <= now => drop(errors.insert("exp".to_owned(), "token expired".into())),
                Some(_) => {}
            }
        }
        if self.checks_nbf {
            match token.number("nbf") {
                None => drop(errors.insert("nbf".to_owned(), "must be a number".into())),
                Some(nbf) if nbf > now => drop(errors.insert("nbf".to_owned(), "token not valid yet".into())),
                Some(_) => {}
            }
        }
        let ends_in_time = |exp: f64| exp - now <= f64::from(self.expiration_max);
        if errors.is_empty() && self.expiration_max > 0 && !token.number("exp").is_some_and(ends_in_time) {
            errors.insert("exp".to_owned(), "exceeds maximum allowed expiration".into());
        }
        errors
    }
}

#[cfg(test)]
mod tests;
