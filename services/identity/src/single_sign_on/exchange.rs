//! The code becomes an ID token, and the ID token claims that count.

use std::sync::Arc;

use axum::http::{Request, StatusCode, header};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use jsonwebtoken::decode_header;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::{
    Error,
    id_token::{self, Claims, Expected},
    keys::Unsigned,
    pending::Pending,
    provider::{Known, Providers},
};
use crate::identity_providers::IdentityProvider;

/// Characters of an error of the provider that are told.
const ERROR_CHARS_MAX: usize = 64;

/// What the provider has said of somebody.
pub struct Said {
    /// The provider, as it names itself.
    pub issuer: String,
    /// What it calls whoever it is about.
    pub subject: String,
    /// All claims, those at its userinfo endpoint included.
    pub claims: Claims,
}

#[derive(Deserialize)]
struct Tokens {
    id_token: Option<String>,
    access_token: Option<String>,
}

#[derive(Default, Deserialize)]
struct Failure {
    #[serde(default)]
    error: String,
}

/// An error of a provider, as it may be shown: a word of OAuth 2.0, and nothing else.
pub fn shown(error: &str) -> String {
    let is_word = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    let word: String = error.chars().take(ERROR_CHARS_MAX).take_while(is_word).collect();
    if word.is_empty() { "no reason given".to_owned() } else { word }
}

impl Providers {
    /// What the provider says of whoever has `code`.
    pub async fn exchange(
        &self,
        provider: &IdentityProvider,
        secret: &str,
        known: Arc<Known>,
        pending: &Pending,
        code: &str,
        now: i64,
    ) -> Result<Said, Error> {
        let client = &provider.config.client_id;
        let tokens = self.tokens(&known, (client, secret), pending, code).await?;
        let id_token =
            tokens.id_token.ok_or(Error::Untrusted("it gives no ID token; its scopes need openid"))?;
        let (known, claims) = self.verified(&provider.config.issuer_url, known, &id_token).await?;
        let expected = Expected { issuer: &known.metadata.issuer, client, nonce: &pending.nonce, now };
        let subject = id_token::judge(&claims, &expected).map_err(Error::Untrusted)?.to_owned();
        if let Some(token) = &tokens.access_token {
            let algorithm =
                decode_header(&id_token).ok().and_then(|head| serde_json::to_value(head.alg).ok());
            let algorithm = algorithm.as_ref().and_then(Value::as_str).unwrap_or_default();
            id_token::judge_access_token(&claims, algorithm, token).map_err(Error::Untrusted)?;
        }
        let claims = self.completed(provider, &known, claims, tokens.access_token.as_deref()).await?;
        Ok(Said { issuer: known.metadata.issuer.clone(), subject, claims })
    }

    /// The tokens for a code (OpenID Connect Core 1.0, section 3.1.3). The client shows its secret by `client_secret_basic`.
    async fn tokens(
        &self,
        known: &Known,
        (client, secret): (&str, &str),
        pending: &Pending,
        code: &str,
    ) -> Result<Tokens, Error> {
        let url = &known.metadata.token_endpoint;
        let form = url::form_urlencoded::Serializer::new(String::new())
            .append_pair("grant_type", "authorization_code")
            .append_pair("code", code)
            .append_pair("redirect_uri", &pending.redirect_uri)
            .append_pair("code_verifier", &pending.verifier)
            .finish();
        // Both parts are form-encoded first (RFC 6749, section 2.3.1).
        let [id, secret] = [client, secret]
            .map(|text| url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>());
        let request = Request::post(self.endpoint(url)?)
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .header(header::ACCEPT, "application/json")
            .header(
                header::AUTHORIZATION,
                format!("Basic {}", BASE64_STANDARD.encode(format!("{id}:{secret}"))),
            )
            .body(form.into())
            .map_err(|_| Error::Away)?;
        let (status, body) = self.call(url, request).await?;
        if status == StatusCode::OK {
            let unreadable = |_| Error::Untrusted("its tokens cannot be read");
            return serde_json::from_slice(&body).map_err(unreadable);
        }
        tracing::warn!(url, %status, "an identity provider gives no tokens for a code");
        if status.is_server_error() {
            return Err(Error::Away);
        }
        let failure: Failure = serde_json::from_slice(&body).unwrap_or_default();
        Err(Error::Refused(shown(&failure.error)))
    }

    /// The claims of an ID token whose signature is right. Asks for the provider's keys once, if it is signed with one that is not known.
    async fn verified(
        &self,
        issuer: &str,
        known: Arc<Known>,
        token: &str,
    ) -> Result<(Arc<Known>, Claims), Error> {
        let claims = |known: &Known| {
            known.keys.claims(token, known.metadata.id_token_signing_alg_values_supported.as_deref())
        };
        let known = match claims(&known) {
            Ok(claims) => return Ok((known, claims)),
            Err(Unsigned::Never(reason)) => return Err(Error::Untrusted(reason)),
            Err(Unsigned::UnknownKey) => self.after(issuer, &known).await?,
        };
        match claims(&known) {
            Ok(claims) => Ok((known, claims)),
            Err(Unsigned::Never(reason)) => Err(Error::Untrusted(reason)),
            Err(Unsigned::UnknownKey) => {
                Err(Error::Untrusted("its token is signed with a key that it does not publish"))
            }
        }
    }

    /// The claims of the ID token, and those of the userinfo endpoint where the ID token lacks one that is looked for.
    async fn completed(
        &self,
        provider: &IdentityProvider,
        known: &Known,
        claims: Claims,
        token: Option<&str>,
    ) -> Result<Claims, Error> {
        let names = &provider.config.claim_mappings;
        let is_whole =
            [&names.name, &names.email, &names.groups].iter().all(|name| claims.contains_key(*name));
        let (Some(url), Some(token), false) = (&known.metadata.userinfo_endpoint, token, is_whole) else {
            return Ok(claims);
        };
        let more: Map<String, Value> = self.get(url, Some(token)).await?;
        // Else it may be about somebody else (section 5.3.2).
        if more.get("sub") != claims.get("sub") {
            return Err(Error::Untrusted("it says two things about who you are"));
        }
        // What is signed counts first.
        Ok(more.into_iter().chain(claims).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::shown;

    #[test]
    fn only_a_word_of_an_error_is_shown() {
        assert_eq!(shown("access_denied"), "access_denied");
        assert_eq!(shown("access_denied<script>"), "access_denied");
        assert_eq!(shown(""), "no reason given");
        assert_eq!(shown(&"a".repeat(100)).len(), 64);
    }
}
