//! A sign-on that has begun and has not come back yet: a sealed cookie of the browser that began it. So nothing is kept for whoever begins and
//! does not come back, and nobody can make another one's browser sign on as somebody else (login CSRF, RFC 9700).
//!
//! The cookie is sent when the provider sends the browser back, which is a navigation from another site: `SameSite=Lax`.

use axum::http::{HeaderMap, HeaderValue, header};
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use ids::OrganizationId;
use random::Random;
use seal::SealKey;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use time::{Duration, OffsetDateTime};

use crate::{
    credential::{Credential, Kind},
    identity_providers::ProviderId,
};

/// How long a sign-on may take.
pub const LIFE: Duration = Duration::minutes(10);
/// The name of the cookie.
const NAME: &str = "__Host-landbridge-sign-on";
const ATTRIBUTES: &str = "Path=/; Secure; HttpOnly; SameSite=Lax";
/// What it is sealed for.
const PURPOSE: &[u8] = b"pending sign-on";
/// Longest value of the cookie that is opened, bytes.
const VALUE_BYTES_MAX: usize = 4096;

/// What has to be known when it comes back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pending {
    /// The organization.
    pub organization: OrganizationId,
    /// The provider that was asked.
    pub provider: ProviderId,
    /// The SHA-256 of the state.
    state: [u8; 32],
    /// What the ID token has to repeat.
    pub nonce: String,
    /// What shows that the code is for whoever began (RFC 7636).
    pub verifier: String,
    /// Where the provider was asked to send the browser back to.
    pub redirect_uri: String,
    /// The path of the console's page that comes afterwards.
    pub return_to: String,
    /// Unix seconds.
    pub expires_at: i64,
}

impl Pending {
    /// A new one, with the state that the provider has to repeat.
    pub fn begin(
        (organization, provider): (OrganizationId, ProviderId),
        redirect_uri: String,
        return_to: String,
        now: OffsetDateTime,
        random: &Random,
    ) -> (Self, Credential) {
        let state = Credential::make(Kind::SignOn, organization, random);
        let text = || BASE64_URL_SAFE_NO_PAD.encode(random.bytes::<32>());
        let pending = Self {
            organization,
            provider,
            state: state.sha256(),
            nonce: text(),
            verifier: text(),
            redirect_uri,
            return_to,
            expires_at: (now + LIFE).unix_timestamp(),
        };
        (pending, state)
    }

    /// The challenge to [`Self::verifier`], by the method `S256`.
    pub fn challenge(&self) -> String {
        BASE64_URL_SAFE_NO_PAD.encode(Sha256::digest(&self.verifier))
    }

    /// The header that keeps it.
    pub fn cookie(&self, seal: &SealKey) -> Option<HeaderValue> {
        let sealed = seal.seal(PURPOSE, &serde_json::to_vec(self).ok()?);
        let value = BASE64_URL_SAFE_NO_PAD.encode(sealed);
        let seconds = LIFE.whole_seconds();
        HeaderValue::try_from(format!("{NAME}={value}; {ATTRIBUTES}; Max-Age={seconds}")).ok()
    }

    /// The one in `value`, if it is the one of `state`, and not over at `now`.
    pub fn read(value: &str, seal: &SealKey, state: &Credential, now: OffsetDateTime) -> Option<Self> {
        let sealed = BASE64_URL_SAFE_NO_PAD.decode(value).ok()?;
        let pending: Self = serde_json::from_slice(&seal.open(PURPOSE, &sealed).ok()?).ok()?;
        let is_same =
            aws_lc_rs::constant_time::verify_slices_are_equal(&pending.state, &state.sha256()).is_ok();
        let lives = now.unix_timestamp() < pending.expires_at;
        (is_same && lives && pending.organization == state.organization).then_some(pending)
    }
}

/// What stands in the cookie of a request, if there is one.
pub fn kept(headers: &HeaderMap) -> Option<&str> {
    let cookies = headers.get_all(header::COOKIE).into_iter().filter_map(|value| value.to_str().ok());
    let mut pairs = cookies.flat_map(|text| text.split(';')).filter_map(|pair| pair.trim().split_once('='));
    let (_, value) = pairs.find(|(name, value)| *name == NAME && value.len() <= VALUE_BYTES_MAX)?;
    Some(value)
}

/// The header that makes a browser forget it.
pub fn forget() -> HeaderValue {
    const FORGET: &str = "__Host-landbridge-sign-on=; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=0";
    HeaderValue::from_static(FORGET)
}

/// A path of the console: one that cannot lead to another place.
pub fn parse_return_to(text: &str) -> Option<String> {
    let is_path = text.starts_with('/')
        // Browsers take both for the start of a host.
        && !text.starts_with("//")
        && !text.contains('\\')
        && text.bytes().all(|byte| byte.is_ascii_graphic());
    is_path.then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderMap, header};
    use ids::{Id, OrganizationId};
    use random::Random;
    use seal::SealKey;
    use time::{Duration, macros::datetime};

    use super::{LIFE, Pending, forget, kept, parse_return_to};
    use crate::credential::{Credential, Kind};

    #[test]
    fn comes_back_from_the_same_browser_in_time() {
        let (random, seal, now) =
            (Random::seeded(1), SealKey::new(&[1; 32]), datetime!(2100-01-01 00:00 UTC));
        let of = (OrganizationId::generate(), Id::generate());
        let (pending, state) = Pending::begin(of, "https://a/b".to_owned(), "/".to_owned(), now, &random);
        let cookie = pending.cookie(&seal).expect("a header");
        let text = cookie.to_str().expect("text");
        assert!(text.ends_with("; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=600"), "{text}");
        let pair = text.split(';').next().expect("a pair");
        let mut headers = HeaderMap::new();
        assert_eq!(kept(&headers), None, "another browser");
        headers.insert(header::COOKIE, format!("a=b; {pair}").parse().expect("a header"));
        let value = kept(&headers).expect("the cookie");
        assert_eq!(Pending::read(value, &seal, &state, now), Some(pending));
        let other = Credential::make(Kind::SignOn, of.0, &random);
        assert_eq!(Pending::read(value, &seal, &other, now), None, "another sign-on");
        assert_eq!(Pending::read(value, &seal, &state, now + LIFE), None, "too late");
        assert!(Pending::read(value, &seal, &state, now + LIFE - Duration::SECOND).is_some());
        assert_eq!(Pending::read(value, &SealKey::new(&[2; 32]), &state, now), None, "made up");
        assert!(forget().to_str().expect("text").starts_with("__Host-landbridge-sign-on=;"));
    }

    #[test]
    fn a_page_afterwards_is_one_of_the_console() {
        for right in ["/", "/teams?page=2#x"] {
            assert!(parse_return_to(right).is_some(), "{right}");
        }
        for wrong in [
            "",
            "//evil.example",
            "/\\evil.example",
            "https://evil.example",
            "a",
            "/a b",
            "/\r\nx",
            "/\u{e9}",
        ] {
            assert!(parse_return_to(wrong).is_none(), "{wrong}");
        }
    }
}
