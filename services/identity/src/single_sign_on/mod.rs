//! Sign-on by OpenID Connect: an identity provider of the organization says who somebody is (authorization code with PKCE).
//!
//! ```text
//! browser ─▶ GET /v3/authenticate/{organization}/{login_path} ─▶ provider ─▶ GET /v3/authenticate/callback ─▶ console
//!            `start`: cookie with the pending sign-on             logs in     `callback`: code → ID token → person → session
//! ```
//!
//! * Both are served in the organization's home region; any other region forwards them there. The pending sign-on ([`pending`]) is a sealed
//!   cookie: it comes back from the browser that began, for ten minutes, once.
//! * The provider's ID token counts only if it is signed by one of the provider's public keys, for this client, for this sign-on
//!   ([`id_token`]). The keys are fetched anew when a token names one that is not known ([`provider`]).
//! * Afterwards issuer and subject decide who it is ([`person`]). The first time, the e-mail address does, in a domain that the organization
//!   has verified.
//! * Groups are made teams ([`teams`]), then the session begins that a password begins too. A second factor is the provider's business: that of
//!   the person here is not asked for.
//!
//! Personal data stays at home. Nothing of what a provider says is logged, but errors of its own making.

mod callback;
mod exchange;
pub mod http;
mod id_token;
mod keys;
mod pending;
pub(crate) mod person;
mod provider;
mod start;
mod teams;

use std::{collections::BTreeMap, path::Path, sync::Arc};

use ids::Region;
use seal::{SealKey, Unsealable};
use web::Problem;

use self::provider::Providers;
use crate::identity_providers::{IdentityProvider, ProviderId};

/// Where providers send people back to, below a region's public address.
const CALLBACK: &str = "/v3/authenticate/callback";

/// What can go wrong with a sign-on by a provider. What it says is for the person who signs on.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The database failed, or the log did.
    #[error(transparent)]
    NotWritten(#[from] mutation::Error),
    /// There is no such provider, or it is off.
    #[error("nobody signs on here; check organization and login path, and whether single sign-on is on")]
    Absent,
    /// There is no page to go to afterwards.
    #[error("there is no console to sign on to; set console.origins in the settings of identity")]
    NoConsole,
    /// Nothing that was begun in this browser comes back.
    #[error("the sign-on is unknown, over, used, or was begun in another browser; begin again")]
    Unknown,
    /// The provider says so, in the words of OAuth 2.0.
    #[error("the identity provider has not signed you on: {0}; begin again")]
    Refused(String),
    /// What the provider says does not count.
    #[error(
        "what the identity provider says does not count: {0}; begin again, and tell an administrator if it stays so"
    )]
    Untrusted(&'static str),
    /// The provider does not answer as it should.
    #[error("the identity provider does not answer as it should; try again")]
    Away,
    /// Whoever it is may not sign on.
    #[error(transparent)]
    Person(#[from] person::Refused),
}

impl From<postgres::Error> for Error {
    fn from(error: postgres::Error) -> Self {
        Self::NotWritten(error.into())
    }
}

/// What sign-ons share in this process. Cheap to clone.
#[derive(Clone)]
pub struct SingleSignOn {
    providers: Arc<Providers>,
    publics: Arc<BTreeMap<Region, String>>,
}

impl SingleSignOn {
    /// `ca`: a PEM file with the CA that providers are verified by, instead of the public ones. `private`: whether they may have addresses
    /// that are not public. `publics`: where each region's APIs are. An error names the file.
    pub fn new(ca: Option<&Path>, private: bool, publics: BTreeMap<Region, String>) -> anyhow::Result<Self> {
        let client = egress::Client::new(ca, private)?;
        Ok(Self { providers: Arc::new(Providers::new(client)), publics: Arc::new(publics) })
    }

    /// What calls providers.
    pub fn client(&self) -> &egress::Client {
        self.providers.client()
    }

    /// A provider as the API shows it: with the places that it sends people back to.
    pub fn shown(&self, provider: IdentityProvider) -> IdentityProvider {
        let regions =
            self.publics.keys().filter_map(|region| Some((region.clone(), self.redirect_uri(region)?)));
        IdentityProvider { redirect_uris: regions.collect(), ..provider }
    }

    /// Where a provider sends people back to that have begun in `region`; `None` for a region that is not known.
    fn redirect_uri(&self, region: &Region) -> Option<String> {
        let public = self.publics.get(region)?;
        Some(format!("{}{CALLBACK}", public.trim_end_matches('/')))
    }

    /// Seals the client secret of a provider.
    pub fn seal_secret(&self, seal: &SealKey, id: ProviderId, secret: &str) -> Vec<u8> {
        seal.seal(&purpose(id), secret.as_bytes())
    }
}

/// The header that makes a browser forget a sign-on that has come back.
pub fn forget_pending() -> axum::http::HeaderValue {
    pending::forget()
}

fn purpose(id: ProviderId) -> Vec<u8> {
    format!("client secret of identity provider {id}").into_bytes()
}

fn open_secret(seal: &SealKey, id: ProviderId, sealed: &[u8]) -> Result<String, Unsealable> {
    String::from_utf8(seal.open(&purpose(id), sealed)?).map_err(|_| Unsealable)
}

/// How an error is told.
pub fn problem(error: Error) -> Problem {
    match error {
        Error::NotWritten(error) => error.into(),
        Error::Absent => Problem { detail: error.to_string(), ..Problem::not_found("sign-on") },
        Error::NoConsole => Problem::conflict(error.to_string()),
        Error::Unknown | Error::Refused(_) | Error::Untrusted(_) => {
            Problem::unauthenticated(error.to_string())
        }
        Error::Away => Problem::unavailable(error.to_string()),
        Error::Person(_) => Problem::forbidden(error.to_string()),
    }
}
