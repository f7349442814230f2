//! What the settings demand of claims, and what follows from claims.

use gateway_model::plugin::openid_connect::{Config, ConsumerBy};
use http::{HeaderName, StatusCode};
use serde_json::{Map, Value};
use uuid::Uuid;

use super::super::{
    Answer, Exchange, NotExecutable,
    authentication::{AuthenticatedGroups, admit, admit_nobody, header_names},
    oauth2_introspection::told,
};
use crate::store::{Lookup, StoreError};

/// Where a claim is: in an object within the claims, or at the top.
type Path = Vec<String>;

/// See the settings.
#[derive(Debug)]
pub struct Demands {
    issuers: Vec<String>,
    audience: (Path, Vec<String>),
    /// Of these lists one must be had whole.
    scopes: (Path, Vec<Vec<String>>),
    consumer: (Path, Vec<ConsumerBy>),
    consumer_optional: bool,
    groups: Path,
    told: Vec<(String, HeaderName)>,
    leeway: f64,
}

/// Why claims do not do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Their time has not come, or is over.
    Time,
    /// A scope is missing.
    Scope,
}

impl Demands {
    pub fn new(config: &Config) -> Result<Self, NotExecutable> {
        let names = header_names("upstream_headers_names", &config.upstream_headers_names)?;
        let scopes = config.scopes_required.iter();
        let scopes = scopes.map(|all| all.split_whitespace().map(str::to_owned).collect()).collect();
        Ok(Self {
            issuers: config.issuers_allowed.clone(),
            audience: (config.audience_claim.clone(), config.audience_required.clone()),
            scopes: (config.scopes_claim.clone(), scopes),
            consumer: (config.consumer_claim.clone(), config.consumer_by.clone()),
            consumer_optional: config.consumer_optional,
            groups: config.authenticated_groups_claim.clone(),
            told: config.upstream_headers_claims.iter().cloned().zip(names).collect(),
            leeway: f64::from(config.leeway),
        })
    }

    /// Whether tokens of `issuer` count, where `own` is the provider's name.
    pub fn trusts(&self, issuer: &str, own: &str) -> bool {
        issuer == own || self.issuers.iter().any(|allowed| allowed == issuer)
    }

    /// Whether a token with these claims is for one of those that are asked for.
    pub fn is_for_us(&self, claims: &Map<String, Value>) -> bool {
        let (path, required) = &self.audience;
        required.is_empty() || words(find(claims, path)).iter().any(|audience| required.contains(audience))
    }

    /// Whether the claims do at `now`, in Unix seconds.
    pub fn judge(&self, claims: &Map<String, Value>, now: u64) -> Result<(), Fault> {
        // Unix seconds are far below 2^53.
        #[allow(clippy::cast_precision_loss)]
        let now = now as f64;
        let at = |name: &str| claims.get(name).map(|value| value.as_f64().ok_or(Fault::Time)).transpose();
        if at("exp")?.is_some_and(|end| end + self.leeway <= now)
            || at("nbf")?.is_some_and(|begin| begin - self.leeway > now)
        {
            return Err(Fault::Time);
        }
        let (path, required) = &self.scopes;
        if required.is_empty() {
            return Ok(());
        }
        let had = words(find(claims, path));
        let has_all = |all: &Vec<String>| all.iter().all(|scope| had.contains(scope));
        if required.iter().any(has_all) { Ok(()) } else { Err(Fault::Scope) }
    }

    /// The claims that are needed after a login.
    pub fn kept(&self, claims: &Map<String, Value>) -> Map<String, Value> {
        let paths =
            [&self.scopes.0, &self.consumer.0, &self.groups].into_iter().filter_map(|path| path.first());
        let told = self.told.iter().map(|(claim, _)| claim);
        let fixed = ["iss", "sub"].map(str::to_owned);
        let names: Vec<&String> = fixed.iter().chain(paths).chain(told).collect();
        claims
            .iter()
            .filter(|(name, _)| names.contains(name))
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect()
    }

    /// The request is one of who the claims are about. `false`: that must be a consumer, and is none.
    pub fn admit(
        &self,
        exchange: &mut Exchange<'_, '_>,
        claims: &Map<String, Value>,
    ) -> Result<bool, StoreError> {
        let (path, by) = &self.consumer;
        let mut found = None;
        if let Some(name) = find(claims, path).filter(|_| !path.is_empty()).and_then(text) {
            for by in by {
                found = match by {
                    ConsumerBy::Username => exchange.identities.by_name(&Lookup::username(&name))?,
                    ConsumerBy::CustomId => exchange.identities.by_name(&Lookup::custom_id(&name))?,
                    ConsumerBy::Id => match Uuid::try_parse(&name) {
                        Ok(id) => exchange.identities.by_id(id)?,
                        Err(_) => None,
                    },
                };
                if found.is_some() {
                    break;
                }
            }
        }
        match found {
            Some(consumer) => admit(exchange, consumer),
            None if path.is_empty() || self.consumer_optional => admit_nobody(exchange),
            None => return Ok(false),
        }
        if !self.groups.is_empty() {
            exchange.effects.put(AuthenticatedGroups(words(find(claims, &self.groups))));
        }
        for (claim, name) in &self.told {
            match claims.get(claim).and_then(told) {
                Some(value) => drop(exchange.headers.insert(name.clone(), value)),
                None => drop(exchange.headers.remove(name)),
            }
        }
        Ok(true)
    }
}

/// The refusal of somebody who is known, and may not.
pub fn forbidden() -> Answer {
    Answer::message(StatusCode::FORBIDDEN, "Forbidden")
}

fn find<'c>(claims: &'c Map<String, Value>, path: &[String]) -> Option<&'c Value> {
    let (first, rest) = path.split_first()?;
    rest.iter().try_fold(claims.get(first)?, |value, name| value.get(name))
}

/// A name that a claim holds.
fn text(claim: &Value) -> Option<String> {
    match claim {
        Value::String(text) if !text.is_empty() => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// The texts of a claim: a list, or words with spaces between them.
fn words(claim: Option<&Value>) -> Vec<String> {
    match claim {
        Some(Value::Array(entries)) => entries.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        Some(Value::String(text)) => text.split_whitespace().map(str::to_owned).collect(),
        _ => Vec::new(),
    }
}
