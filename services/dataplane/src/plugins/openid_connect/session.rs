//! What browsers keep for the gateway, in cookies that only it can read and make.

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use gateway_model::plugin::openid_connect::Config;
use http::{HeaderValue, header};
use seal::SealKey;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Map, Value};

use super::super::{Exchange, NotExecutable};

/// Bytes of a cookie that browsers keep (RFC 6265, section 6.1).
const COOKIE_MAX: usize = 4_000;

/// Seals and opens cookies. Cheap to clone.
#[derive(Clone)]
pub struct Sessions {
    key: SealKey,
    name: String,
    attributes: String,
    secure: Option<bool>,
    /// Seconds for which a login counts.
    lifetime: u32,
    /// Whose sessions they are: those of another provider do not open.
    of: String,
}

impl std::fmt::Debug for Sessions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sessions").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Sessions {
    pub fn new(config: &Config) -> Result<Self, NotExecutable> {
        let secret = config.session_secret.as_ref().and_then(|secret| secret.plain());
        let secret = secret.ok_or_else(|| NotExecutable("session_secret: cannot be opened".to_owned()))?;
        let key = blake3::derive_key("landbridge dataplane v1 openid-connect session", secret.as_bytes());
        Ok(Self {
            key: SealKey::new(&key),
            name: config.session_cookie_name.clone(),
            attributes: format!("Path=/; HttpOnly; SameSite={}", config.session_cookie_same_site.as_str()),
            secure: config.session_cookie_secure,
            lifetime: config.session_absolute_timeout,
            of: format!("{} {}", config.issuer, config.client_id.join(" ")),
        })
    }

    /// What the session of a request claims; `None` if it has none, or not any more.
    pub fn find(&self, exchange: &Exchange<'_, '_>) -> Option<Map<String, Value>> {
        let (until, claims): (u64, _) = self.open(exchange, "")?;
        (until > exchange.now).then_some(claims)
    }

    /// The cookie of a session with these claims; `None` if they are too many for one.
    pub fn begin(&self, exchange: &Exchange<'_, '_>, claims: &Map<String, Value>) -> Option<HeaderValue> {
        let until = exchange.now + u64::from(self.lifetime);
        self.cookie(exchange, "", &(until, claims), self.lifetime)
    }

    /// What the cookie with this ending of its name holds.
    pub fn open<T: DeserializeOwned>(&self, exchange: &Exchange<'_, '_>, ending: &str) -> Option<T> {
        let values =
            exchange.headers.get_all(header::COOKIE).into_iter().filter_map(|value| value.to_str().ok());
        let mut pairs =
            values.flat_map(|value| value.split(';')).filter_map(|pair| pair.trim().split_once('='));
        let of_name = |(name, _): &(&str, &str)| name.strip_prefix(self.name.as_str()) == Some(ending);
        let (_, value) = pairs.find(of_name)?;
        let sealed = BASE64_URL_SAFE_NO_PAD.decode(value).ok()?;
        let opened = self.key.open(&self.purpose(ending), &sealed).ok()?;
        serde_json::from_slice(&opened).ok()
    }

    /// A cookie that holds `value` for so many seconds; `None` if that is too large.
    pub fn cookie(
        &self,
        exchange: &Exchange<'_, '_>,
        ending: &str,
        value: &impl Serialize,
        seconds: u32,
    ) -> Option<HeaderValue> {
        let sealed = self.key.seal(&self.purpose(ending), &serde_json::to_vec(value).ok()?);
        let value = BASE64_URL_SAFE_NO_PAD.encode(sealed);
        (value.len() <= COOKIE_MAX).then(|| self.set(exchange, ending, &value, seconds)).flatten()
    }

    /// Removes the cookie from the browser.
    pub fn end(&self, exchange: &Exchange<'_, '_>, ending: &str) -> Option<HeaderValue> {
        self.set(exchange, ending, "", 0)
    }

    /// Upstreams are not shown the cookies.
    pub fn hide(&self, exchange: &mut Exchange<'_, '_>) {
        let is_own = |pair: &str| {
            pair.trim().split_once('=').is_some_and(|(name, _)| name.starts_with(self.name.as_str()))
        };
        let kept: Vec<String> = exchange
            .headers
            .get_all(header::COOKIE)
            .into_iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(';'))
            .filter(|pair| !is_own(pair))
            .map(|pair| pair.trim().to_owned())
            .collect();
        match HeaderValue::from_str(&kept.join("; ")) {
            Ok(cookies) if !cookies.is_empty() => drop(exchange.headers.insert(header::COOKIE, cookies)),
            _ => drop(exchange.headers.remove(header::COOKIE)),
        }
    }

    fn purpose(&self, ending: &str) -> Vec<u8> {
        format!("{} {ending}", self.of).into_bytes()
    }

    fn set(
        &self,
        exchange: &Exchange<'_, '_>,
        ending: &str,
        value: &str,
        seconds: u32,
    ) -> Option<HeaderValue> {
        let secure = if self.secure.unwrap_or(exchange.client.https) { "; Secure" } else { "" };
        let Self { name, attributes, .. } = self;
        HeaderValue::from_str(&format!("{name}{ending}={value}; {attributes}; Max-Age={seconds}{secure}"))
            .ok()
    }
}
