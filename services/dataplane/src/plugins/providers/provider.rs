//! One identity provider: its description and its keys, as far as they are known, and how they are learned anew.
//!
//! They are learned with the first request that needs them, and again when they are old, or when a token names a key that is not known (the
//! provider has a new one). Meanwhile, and as long as the provider cannot be reached, the known ones count on.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use arc_swap::ArcSwapOption;
use serde::Deserialize;
use serde_json::Value;
use tokio::{runtime::Handle, sync::Mutex};

use super::{Call, CallError, Caller, Keys};

/// How long nobody asks again after an attempt: tokens with made-up keys come as often as anybody likes.
const PAUSE: Duration = Duration::from_secs(5);
/// What is put behind an issuer (OpenID Connect Discovery 1.0, section 4).
const WELL_KNOWN: &str = "/.well-known/openid-configuration";

/// One identity provider.
#[derive(Debug)]
pub struct Provider {
    issuer: String,
    caller: Caller,
    known: ArcSwapOption<Known>,
    /// The last attempt. Held while one is under way: others wait for what it learns.
    attempt: Mutex<Option<Instant>>,
}

/// What is known of a provider.
#[derive(Debug)]
pub struct Known {
    /// Its description.
    pub metadata: Metadata,
    /// Its keys.
    pub keys: Keys,
    learned: Instant,
}

/// A provider's description of itself, as far as it is used.
#[derive(Clone, Debug, Deserialize)]
pub struct Metadata {
    /// What tokens name it by.
    pub issuer: String,
    /// Where its keys are.
    pub jwks_uri: String,
    /// Where people log in.
    #[serde(default)]
    pub authorization_endpoint: Option<String>,
    /// Where codes become tokens.
    #[serde(default)]
    pub token_endpoint: Option<String>,
    /// Where it says what a token is worth.
    #[serde(default)]
    pub introspection_endpoint: Option<String>,
    /// Where people log out.
    #[serde(default)]
    pub end_session_endpoint: Option<String>,
}

impl Provider {
    /// How old what is known of a provider may become.
    pub const AGE_MAX: Duration = Duration::from_secs(3600);

    pub(super) fn new(issuer: &str, caller: Caller) -> Self {
        Self { issuer: issuer.to_owned(), caller, known: ArcSwapOption::empty(), attempt: Mutex::default() }
    }

    /// The URL that the settings name it by.
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// What calls it.
    pub fn caller(&self) -> &Caller {
        &self.caller
    }

    /// What is known; `None` before it was reached. What is old is learned anew on `runtime`, beside the request.
    pub fn known(self: &Arc<Self>, runtime: &Handle) -> Option<Arc<Known>> {
        let known = self.known.load_full()?;
        if known.learned.elapsed() > Self::AGE_MAX {
            let provider = self.clone();
            drop(runtime.spawn(async move { provider.learn(Self::AGE_MAX).await }));
        }
        Some(known)
    }

    /// Asks the provider, unless what is known is younger than `age`, or somebody has asked just now. What is known then.
    ///
    /// # Errors
    /// When nothing is known, and the provider does not answer as it should.
    pub async fn learn(&self, age: Duration) -> Result<Arc<Known>, CallError> {
        let mut attempt = self.attempt.lock().await;
        let known = self.known.load_full();
        let is_young = known.as_ref().is_some_and(|known| known.learned.elapsed() < age);
        let has_asked = attempt.is_some_and(|attempt| attempt.elapsed() < PAUSE);
        match known {
            Some(known) if is_young || has_asked => return Ok(known),
            None if has_asked => return Err(CallError::Unreachable("it could not just now".to_owned())),
            _ => {}
        }
        *attempt = Some(Instant::now());
        match self.ask().await {
            Ok(learned) => {
                let learned = Arc::new(learned);
                self.known.store(Some(learned.clone()));
                Ok(learned)
            }
            Err(error) => {
                tracing::warn!(issuer = self.issuer, %error, "an identity provider does not answer as it should");
                known.ok_or(error)
            }
        }
    }

    async fn ask(&self) -> Result<Known, CallError> {
        let base = self.issuer.trim_end_matches('/');
        let url = if base.ends_with(WELL_KNOWN) { base.to_owned() } else { format!("{base}{WELL_KNOWN}") };
        let described = self.caller.call(Call::Get(&url)).await?;
        let metadata =
            Metadata::deserialize(&described).map_err(|error| CallError::Content(error.to_string()))?;
        let expected = url.strip_suffix(WELL_KNOWN).unwrap_or_default();
        // Else a provider could speak for another one (OpenID Connect Discovery 1.0, section 4.3).
        if metadata.issuer.trim_end_matches('/') != expected {
            return Err(CallError::Content(format!("the issuer is {}, not {expected}", metadata.issuer)));
        }
        let set: Value = self.caller.call(Call::Get(&metadata.jwks_uri)).await?;
        let keys = Keys::read(&set).ok_or(CallError::Answer)?;
        Ok(Known { metadata, keys, learned: Instant::now() })
    }
}
