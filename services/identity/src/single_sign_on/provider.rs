//! What this process knows of providers: their descriptions of themselves, and their keys.
//!
//! They are learned when they are needed first, and again when they are an hour old, or when a token names a key that is not known: the provider
//! has a new one. A provider is asked by one sign-on at a time, at most once a second; others wait for what that one learns. So no sign-on is
//! refused because a provider changes its keys, and nobody can make this region ask it all the time.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex as Lock, PoisonError},
    time::Duration,
};

use axum::http::{Request, StatusCode, header};
use bytes::Bytes;
use egress::Client;
use http_body_util::Full;
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;
use tokio::{
    sync::Mutex,
    time::{Instant, sleep_until},
};

use super::{Error, keys::Keys};

/// How old what is known of a provider may become.
const AGE_MAX: Duration = Duration::from_secs(3600);
/// Least time between two times that a provider is asked for its keys.
const PAUSE: Duration = Duration::from_secs(1);
/// Longest wait for one answer of a provider.
pub const CALL_WAIT: Duration = Duration::from_secs(4);
/// Largest answer of a provider, bytes.
pub const ANSWER_BYTES_MAX: usize = 512 * 1024;
/// Providers that a process remembers. When there are more, it begins anew.
const PROVIDERS_MAX: usize = 1000;
/// What is put behind an issuer (OpenID Connect Discovery 1.0, section 4).
const WELL_KNOWN: &str = "/.well-known/openid-configuration";

/// A provider's description of itself, as far as it is used.
#[derive(Clone, Debug, Deserialize)]
pub struct Metadata {
    /// What tokens name it by.
    pub issuer: String,
    /// Where people log in.
    pub authorization_endpoint: String,
    /// Where codes become tokens.
    pub token_endpoint: String,
    /// Where its keys are.
    pub jwks_uri: String,
    /// Where it says more about who somebody is.
    pub userinfo_endpoint: Option<String>,
    /// How it signs ID tokens.
    pub id_token_signing_alg_values_supported: Option<Vec<String>>,
    /// Whether it says who it is when it sends a browser back (RFC 9207).
    #[serde(default)]
    pub authorization_response_iss_parameter_supported: bool,
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

#[derive(Default)]
struct Provider {
    known: Option<Arc<Known>>,
    /// When it was asked last.
    asked: Option<Instant>,
    /// Whether it answered then.
    failed: bool,
}

/// The providers that were asked, by the URLs of their issuers.
pub struct Providers {
    client: Client,
    all: Lock<HashMap<String, Arc<Mutex<Provider>>>>,
}

impl Providers {
    pub fn new(client: Client) -> Self {
        Self { client, all: Lock::default() }
    }

    /// What calls providers.
    pub fn client(&self) -> &Client {
        &self.client
    }

    fn provider(&self, issuer: &str) -> Arc<Mutex<Provider>> {
        // A panic while the lock is held leaves the map in a valid state.
        let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= PROVIDERS_MAX && !all.contains_key(issuer) {
            all.clear();
        }
        all.entry(issuer.to_owned()).or_default().clone()
    }

    /// What is known of `issuer`; asks it, if that is nothing, or too old. What is old counts while the provider is away.
    pub async fn known(&self, issuer: &str) -> Result<Arc<Known>, Error> {
        let provider = self.provider(issuer);
        let mut provider = provider.lock().await;
        match provider.known.clone() {
            Some(known) if known.learned.elapsed() < AGE_MAX => Ok(known),
            Some(known) => Ok(self.ask(issuer, &mut provider).await.unwrap_or(known)),
            None => self.ask(issuer, &mut provider).await,
        }
    }

    /// What is known of `issuer` after `old`, which lacks a key. [`Error::Away`] if it does not answer now.
    pub async fn after(&self, issuer: &str, old: &Arc<Known>) -> Result<Arc<Known>, Error> {
        let provider = self.provider(issuer);
        let mut provider = provider.lock().await;
        match provider.known.clone() {
            // Another sign-on has asked meanwhile.
            Some(known) if !Arc::ptr_eq(&known, old) => Ok(known),
            _ => self.ask(issuer, &mut provider).await,
        }
    }

    async fn ask(&self, issuer: &str, provider: &mut Provider) -> Result<Arc<Known>, Error> {
        if let Some(next) = provider.asked.map(|asked| asked + PAUSE).filter(|next| *next > Instant::now()) {
            if provider.failed {
                return Err(Error::Away);
            }
            sleep_until(next).await;
        }
        let learned = self.learn(issuer).await;
        (provider.asked, provider.failed) = (Some(Instant::now()), learned.is_err());
        let learned = Arc::new(learned?);
        provider.known = Some(learned.clone());
        Ok(learned)
    }

    async fn learn(&self, issuer: &str) -> Result<Known, Error> {
        let base = issuer.trim_end_matches('/');
        let metadata: Metadata = self.get(&format!("{base}{WELL_KNOWN}"), None).await?;
        // Else a provider could speak for another one (OpenID Connect Discovery 1.0, section 4.3).
        if metadata.issuer.trim_end_matches('/') != base {
            tracing::warn!(issuer, "an identity provider calls itself by another name");
            return Err(Error::Untrusted("it calls itself by another name than config.issuer_url"));
        }
        let set: Value = self.get(&metadata.jwks_uri, None).await?;
        let keys = Keys::read(&set).ok_or_else(|| away(&metadata.jwks_uri, "it answers no key set"))?;
        Ok(Known { metadata, keys, learned: Instant::now() })
    }

    /// The JSON that is answered at `url`, to a bearer of `token`.
    pub async fn get<T: DeserializeOwned>(&self, url: &str, token: Option<&str>) -> Result<T, Error> {
        let mut request = Request::get(self.endpoint(url)?).header(header::ACCEPT, "application/json");
        if let Some(token) = token {
            request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        let request =
            request.body(Full::default()).map_err(|_| away(url, "it gave a token that cannot be sent"))?;
        let (status, body) = self.call(url, request).await?;
        if status != StatusCode::OK {
            return Err(away(url, &format!("it answers {status}")));
        }
        serde_json::from_slice(&body)
            .map_err(|error| away(url, &format!("its answer cannot be read: {error}")))
    }

    /// The place `url`, if it may be called.
    pub fn endpoint(&self, url: &str) -> Result<axum::http::Uri, Error> {
        self.client.endpoint(url).map_err(|reason| away(url, reason))
    }

    /// Sends a request to `url`; answers status and body.
    pub async fn call(&self, url: &str, request: Request<Full<Bytes>>) -> Result<(StatusCode, Bytes), Error> {
        let answer = self.client.exchange(request, CALL_WAIT, ANSWER_BYTES_MAX).await;
        let answer = answer.map_err(|unreachable| away(url, &unreachable.0))?;
        Ok((answer.status, answer.body))
    }
}

/// A provider does not answer as it should, which is told to whoever runs the region.
fn away(url: &str, reason: &str) -> Error {
    tracing::warn!(url, reason, "an identity provider does not answer as it should");
    Error::Away
}
