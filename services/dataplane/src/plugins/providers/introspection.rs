//! What a provider says of tokens (RFC 7662), remembered for a while.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use serde_json::{Map, Value};

use super::{Call, CallError, Caller};

/// Answers that are remembered of one provider. When there are more, those that are over go, and if that is too few, all.
const REMEMBERED_MAX: usize = 4_096;

/// Where and how a provider is asked.
#[derive(Debug)]
pub struct Introspection {
    pub caller: Caller,
    /// How the gateway shows who it is.
    pub authorization: Option<String>,
    /// What is said of the token beside it.
    pub hint: Option<String>,
    /// How long an answer counts; zero: it is asked each time.
    pub remembers: Duration,
    pub remembered: Introspections,
}

/// What a provider has said of tokens. Cheap to clone; clones share it.
#[derive(Clone, Debug, Default)]
pub struct Introspections(Arc<Mutex<HashMap<[u8; 32], Remembered>>>);

#[derive(Debug)]
struct Remembered {
    until: Instant,
    /// `None`: the token is worth nothing.
    claims: Option<Arc<Map<String, Value>>>,
}

impl Introspection {
    /// What is remembered of a token at `now`, in Unix seconds; `None`: the provider has to be asked.
    pub fn known(&self, token: &str, now: u64) -> Option<Option<Arc<Map<String, Value>>>> {
        if self.remembers.is_zero() {
            return None;
        }
        let remembered = self.remembered.0.lock().unwrap_or_else(PoisonError::into_inner);
        let found = remembered.get(&hash(token)).filter(|found| found.until > Instant::now())?;
        Some(found.claims.clone().filter(|claims| !has_ended(claims, now)))
    }

    /// Asks the provider at `url`. `None`: the token is worth nothing.
    pub async fn ask(&self, url: &str, token: &str) -> Result<Option<Arc<Map<String, Value>>>, CallError> {
        let mut form = vec![("token", token)];
        form.extend(self.hint.as_deref().map(|hint| ("token_type_hint", hint)));
        let authorization = self.authorization.as_deref();
        let answer = self.caller.call(Call::Form { url, form: &form, authorization }).await?;
        let Value::Object(claims) = answer else { return Err(CallError::Answer) };
        let is_active = match claims.get("active") {
            Some(Value::Bool(is_active)) => *is_active,
            _ => return Err(CallError::Content("there is no `active`".to_owned())),
        };
        let claims = is_active.then(|| Arc::new(claims));
        self.remember(token, claims.clone());
        Ok(claims)
    }

    fn remember(&self, token: &str, claims: Option<Arc<Map<String, Value>>>) {
        if self.remembers.is_zero() {
            return;
        }
        let now = Instant::now();
        let mut remembered = self.remembered.0.lock().unwrap_or_else(PoisonError::into_inner);
        if remembered.len() >= REMEMBERED_MAX {
            remembered.retain(|_, held| held.until > now);
            if remembered.len() >= REMEMBERED_MAX {
                remembered.clear();
            }
        }
        remembered.insert(hash(token), Remembered { until: now + self.remembers, claims });
    }
}

/// Tokens are not kept.
fn hash(token: &str) -> [u8; 32] {
    blake3::derive_key("landbridge dataplane v1 introspected token", token.as_bytes())
}

/// Whether the claims say an end that has come.
pub fn has_ended(claims: &Map<String, Value>, now: u64) -> bool {
    // Unix seconds are far below 2^53.
    #[allow(clippy::cast_precision_loss)]
    claims.get("exp").is_some_and(|exp| exp.as_f64().is_none_or(|exp| exp <= now as f64))
}
