//! oauth2: a request with an access token that another issuer has given to a consumer passes, as a request of that consumer.
//!
//! Only the token's hash is compared with what the store holds. This gateway issues no tokens: they were taken over, and end when their issuer has
//! said.

use std::borrow::Cow;

use gateway_model::{Kind, plugin::oauth2::Config};
use http::{HeaderName, HeaderValue, Response, StatusCode, header};
use serde_json::json;

use super::{
    Answer, Compiled, Exchange, Make, NotExecutable, Phases, Plugin, Verdict,
    authentication::{Fallback, Said, admit, behind_scheme, challenge, once},
    identities::Secret,
    key_auth::without_arguments,
};
use crate::store::{Lookup, StoreError};

/// The scopes of the token.
const SCOPE: HeaderName = HeaderName::from_static("x-authenticated-scope");
/// The person who agreed to it.
const USERID: HeaderName = HeaderName::from_static("x-authenticated-userid");
/// The query argument that may hold the token (RFC 6750, section 2.3).
const ARGUMENT: &str = "access_token";

/// The compiled plugin.
#[derive(Debug)]
pub struct Oauth2 {
    header: HeaderName,
    /// Of which a token must have one; empty: it need have none.
    scopes: Vec<Box<str>>,
    hide: bool,
    fallback: Fallback,
    /// What every challenge begins with.
    challenge: HeaderValue,
}

/// Why a request is refused (RFC 6750, section 3.1).
#[derive(Clone, Copy)]
enum Fault {
    Missing,
    Several,
    Invalid,
    Scope,
}

impl Compiled for Oauth2 {
    type Config = Config;
    const PRIORITY: u32 = 1400;
    const PHASES: Phases = Phases::REQUEST;

    fn new(config: &Config, _: &Make<'_>) -> Result<Self, NotExecutable> {
        let scopes =
            config.scopes.iter().filter(|_| config.mandatory_scope).map(|scope| scope.as_str().into());
        Ok(Self {
            header: HeaderName::from_bytes(config.auth_header_name.as_bytes())
                .map_err(|_| NotExecutable("auth_header_name: not a header name".to_owned()))?,
            scopes: scopes.collect(),
            hide: config.hide_credentials,
            fallback: Fallback::new(config.anonymous.as_deref()),
            challenge: challenge("Bearer", Some(config.realm.as_deref().unwrap_or("service")))?,
        })
    }
}

impl Plugin for Oauth2 {
    fn request(&self, exchange: &mut Exchange<'_, '_>) -> Result<Verdict, StoreError> {
        if self.fallback.is_done(exchange) {
            return Ok(Verdict::Pass);
        }
        let token = match self.shown(exchange) {
            Said::Once(token) => token,
            Said::Nothing => return self.refuse(exchange, Fault::Missing),
            Said::Several => return self.refuse(exchange, Fault::Several),
        };
        let lookup = Lookup::access_token(&token);
        let found = exchange.identities.by_credential(Kind::Oauth2Token, &lookup, exchange.now)?;
        let Some(identity) = found else { return self.refuse(exchange, Fault::Invalid) };
        let Secret::Token(token) = &identity.secret else { return self.refuse(exchange, Fault::Invalid) };
        if !self.scopes.is_empty() && !token.scopes.iter().any(|scope| self.scopes.contains(scope)) {
            return self.refuse(exchange, Fault::Scope);
        }
        self.hide(exchange);
        for (name, value) in [(SCOPE, &token.scope), (USERID, &token.userid)] {
            if let Some(value) =
                value.as_deref().and_then(|value| HeaderValue::from_bytes(value.as_bytes()).ok())
            {
                exchange.headers.insert(name, value);
            }
        }
        admit(exchange, identity);
        Ok(Verdict::Pass)
    }
}

impl Oauth2 {
    fn shown<'r>(&self, exchange: &'r Exchange<'_, '_>) -> Said<Cow<'r, str>> {
        let values =
            exchange.headers.get_all(&self.header).into_iter().filter_map(|value| value.to_str().ok());
        let schemes =
            |value: &'r str| behind_scheme(value, "Bearer").or_else(|| behind_scheme(value, "token"));
        let in_headers = values.filter_map(schemes).map(Cow::Borrowed);
        let query = exchange.query.as_deref().unwrap_or_default();
        let in_query = url::form_urlencoded::parse(query.as_bytes())
            .filter(|(name, value)| name == ARGUMENT && !value.is_empty())
            .map(|(_, value)| value);
        once(in_headers.chain(in_query))
    }

    fn refuse(&self, exchange: &mut Exchange<'_, '_>, fault: Fault) -> Result<Verdict, StoreError> {
        let answer = self.answer(fault);
        self.fallback.refuse(exchange, answer, |exchange| self.hide(exchange))
    }

    fn answer(&self, fault: Fault) -> Answer {
        let (status, error, description) = match fault {
            Fault::Missing => (StatusCode::UNAUTHORIZED, "invalid_request", "The access token is missing"),
            Fault::Several => {
                (StatusCode::BAD_REQUEST, "invalid_request", "The request shows several access tokens")
            }
            Fault::Invalid => {
                (StatusCode::UNAUTHORIZED, "invalid_token", "The access token is invalid or has expired")
            }
            Fault::Scope => (
                StatusCode::FORBIDDEN,
                "insufficient_scope",
                "The access token has none of the scopes that are needed",
            ),
        };
        let body = json!({ "error": error, "error_description": description });
        let mut response = Response::new(body.to_string().into());
        *response.status_mut() = status;
        let json = HeaderValue::from_static("application/json; charset=utf-8");
        response.headers_mut().insert(header::CONTENT_TYPE, json);
        // A request that shows nothing is told nothing more than how to show something.
        let detail = match fault {
            Fault::Missing => String::new(),
            _ => format!(", error=\"{error}\", error_description=\"{description}\""),
        };
        if let Ok(challenge) =
            HeaderValue::from_bytes(&[self.challenge.as_bytes(), detail.as_bytes()].concat())
        {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
        }
        Answer::Full(Box::new(response))
    }

    fn hide(&self, exchange: &mut Exchange<'_, '_>) {
        if !self.hide {
            return;
        }
        exchange.headers.remove(&self.header);
        if let Some(query) = exchange.query.as_deref()
            && let Cow::Owned(without) = without_arguments(query, &[ARGUMENT.to_owned()])
        {
            *exchange.query = Some(without).filter(|without| !without.is_empty()).map(Cow::Owned);
        }
    }
}

#[cfg(test)]
mod tests {
    use gateway_model::PluginConfig;
    use serde_json::Value;
    use uuid::Uuid;

    use super::{
        super::testing::{self, Known, NOW, Outcome, get, settings},
        *,
    };

    fn plugin(config: Value) -> Oauth2 {
        match settings("oauth2", config) {
            PluginConfig::Oauth2(config) => testing::compile(&config).unwrap(),
            other => panic!("{other:?}"),
        }
    }

    fn known() -> Known {
        let token = |id: u128, token: &str, scope: &str, expires_at: u64| {
            let consumer = json!({ "id": Uuid::from_u128(1) });
            let body = json!({ "consumer": consumer, "access_token": token, "scope": scope,
                               "authenticated_userid": "bob", "expires_at": expires_at });
            (Kind::Oauth2Token, id, body)
        };
        Known::new(&[
            (Kind::Consumer, 1, json!({ "username": "app" })),
            (Kind::Consumer, 9, json!({ "username": "nobody" })),
            token(2, "good", "read write", NOW + 1),
            token(3, "over", "read", NOW),
        ])
    }

    fn bearer(known: &Known, plugin: &Oauth2, token: &str) -> Outcome {
        get("/").header("authorization", &format!("Bearer {token}")).show_by(&known.identities, plugin)
    }

    #[test]
    fn a_token_that_was_taken_over_passes_from_header_or_query() {
        let (known, hiding) = (known(), plugin(json!({ "hide_credentials": true })));
        for request in [
            get("/").header("authorization", "Bearer good"),
            get("/").header("authorization", "token good"),
            get("/?a=b&access_token=good"),
        ] {
            let outcome = request.show_by(&known.identities, &hiding);
            assert!(outcome.passed());
            assert_eq!(outcome.headers["x-consumer-username"], "app");
            assert_eq!(outcome.headers["x-authenticated-scope"], "read write");
            assert_eq!(outcome.headers["x-authenticated-userid"], "bob");
            assert!(!outcome.headers.contains_key("authorization"));
            assert!(outcome.query.is_none_or(|query| query == "a=b"));
        }
    }

    #[test]
    fn anything_else_is_refused_as_bearer_tokens_are() {
        let (known, plain) = (known(), plugin(json!({ "realm": "shop" })));
        for token in ["over", "wrong", "Good", "good good", &"x".repeat(50_000)] {
            let outcome = bearer(&known, &plain, token);
            let (status, body) = outcome.refused();
            let body: Value = body.parse().unwrap();
            assert_eq!((status, &body["error"]), (StatusCode::UNAUTHORIZED, &json!("invalid_token")));
            let challenge = "Bearer realm=\"shop\", error=\"invalid_token\", error_description=\"The access token is invalid or has expired\"";
            assert_eq!(outcome.answer_header("www-authenticate"), Some(challenge));
        }
        let nothing = get("/").header("authorization", "Basic good").show_by(&known.identities, &plain);
        assert_eq!(nothing.refused().0, StatusCode::UNAUTHORIZED);
        assert_eq!(nothing.answer_header("www-authenticate"), Some("Bearer realm=\"shop\""));
        let two = get("/?access_token=other").header("authorization", "Bearer good");
        assert_eq!(two.show_by(&known.identities, &plain).refused().0, StatusCode::BAD_REQUEST);
    }

    #[test]
    fn a_scope_may_be_needed_and_who_has_no_token_may_count_as_somebody() {
        let known = known();
        let needs = |scope: &str| plugin(json!({ "scopes": ["x", scope], "mandatory_scope": true }));
        assert!(bearer(&known, &needs("write"), "good").passed());
        let outcome = bearer(&known, &needs("admin"), "good");
        assert_eq!(outcome.refused().0, StatusCode::FORBIDDEN);
        assert!(outcome.answer_header("www-authenticate").unwrap().contains("insufficient_scope"));
        // Not mandatory.
        assert!(bearer(&known, &plugin(json!({ "scopes": ["admin"] })), "good").passed());
        let optional = plugin(json!({ "anonymous": "nobody" }));
        let outcome = bearer(&known, &optional, "over");
        assert!(outcome.passed() && outcome.consumer.unwrap().is_anonymous);
        assert!(!outcome.headers.contains_key("x-authenticated-scope"));
    }
}
