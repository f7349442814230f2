//! oauth2-introspection: a request with a token that a provider says is worth something passes (RFC 7662).

use std::{sync::Arc, time::Duration};

use gateway_model::plugin::oauth2_introspection::{Config, TokenConsumerBy};
use http::{HeaderName, HeaderValue, Method, StatusCode, header};
use serde_json::{Map, Value};

use super::{
    Answer, Compiled, Exchange, Make, NotExecutable, Phases, Plugin, Then, Verdict,
    authentication::{Fallback, Said, admit, admit_nobody, credentials, unauthorized},
    providers::{CallError, Caller, Introspection, Introspections},
};
use crate::store::{Lookup, StoreError};

/// The headers that tell the upstream what the provider says.
const TOLD: [(&str, HeaderName); 8] = [
    ("scope", HeaderName::from_static("x-credential-scope")),
    ("client_id", HeaderName::from_static("x-credential-client-id")),
    ("username", HeaderName::from_static("x-credential-identifier")),
    ("token_type", HeaderName::from_static("x-credential-token-type")),
    ("exp", HeaderName::from_static("x-credential-exp")),
    ("sub", HeaderName::from_static("x-credential-sub")),
    ("iss", HeaderName::from_static("x-credential-iss")),
    ("jti", HeaderName::from_static("x-credential-jti")),
];

/// The compiled plugin.
#[derive(Debug)]
pub struct Oauth2Introspection(Arc<Settings>);

#[derive(Debug)]
struct Settings {
    url: String,
    introspection: Introspection,
    by: TokenConsumerBy,
    hide: bool,
    on_preflight: bool,
    fallback: Fallback,
    challenge: HeaderValue,
    challenge_wrong: HeaderValue,
}

impl Compiled for Oauth2Introspection {
    type Config = Config;
    const PRIORITY: u32 = 1700;
    const PHASES: Phases = Phases::REQUEST;

    fn new(config: &Config, make: &Make<'_>) -> Result<Self, NotExecutable> {
        let authorization = config.authorization_value.plain();
        let authorization =
            authorization.ok_or_else(|| NotExecutable("authorization_value: cannot be opened".to_owned()))?;
        Ok(Self(Arc::new(Settings {
            url: config.introspection_url.clone(),
            introspection: Introspection {
                caller: Caller::new(make.tools.calls().clone()),
                authorization: Some(authorization.to_owned()),
                hint: config.token_type_hint.clone(),
                remembers: Duration::from_secs(config.ttl.into()),
                remembered: Introspections::default(),
            },
            by: config.consumer_by,
            hide: config.hide_credentials,
            on_preflight: config.run_on_preflight,
            fallback: Fallback::new(config.anonymous.as_deref()),
            challenge: HeaderValue::from_static("Bearer"),
            challenge_wrong: HeaderValue::from_static("Bearer error=\"invalid_token\""),
        })))
    }
}

impl Plugin for Oauth2Introspection {
    fn request(&self, exchange: &mut Exchange<'_, '_>) -> Result<Verdict, StoreError> {
        let settings = &self.0;
        let is_skipped = *exchange.method == Method::OPTIONS && !settings.on_preflight;
        if is_skipped || settings.fallback.is_done(exchange) {
            return Ok(Verdict::Pass);
        }
        let token = match credentials(exchange.headers, &header::AUTHORIZATION, "Bearer") {
            Said::Once(token) => token.to_owned(),
            Said::Nothing => {
                return settings.refuse(exchange, "The access token is missing", &settings.challenge);
            }
            Said::Several => {
                let message = "The request shows several access tokens";
                return settings.refuse(exchange, message, &settings.challenge_wrong);
            }
        };
        if let Some(claims) = settings.introspection.known(&token, exchange.now) {
            return settings.conclude(exchange, Ok(claims));
        }
        let settings = settings.clone();
        Ok(Verdict::Wait(Box::pin(async move {
            let said = settings.introspection.ask(&settings.url, &token).await;
            let then: Then = Box::new(move |exchange| settings.conclude(exchange, said));
            then
        })))
    }
}

impl Settings {
    fn conclude(
        &self,
        exchange: &mut Exchange<'_, '_>,
        said: Result<Option<Arc<Map<String, Value>>>, CallError>,
    ) -> Result<Verdict, StoreError> {
        let claims = match said {
            Ok(Some(claims)) => claims,
            Ok(None) => {
                let message = "The access token is invalid or has expired";
                return self.refuse(exchange, message, &self.challenge_wrong);
            }
            Err(error) => return Ok(unavailable(&self.url, &error)),
        };
        let text = |claim: &str| claims.get(claim).and_then(Value::as_str);
        let lookup = match self.by {
            TokenConsumerBy::Username => text("username").map(Lookup::username),
            TokenConsumerBy::ClientId => text("client_id").map(Lookup::custom_id),
        };
        let consumer = lookup.map(|lookup| exchange.identities.by_name(&lookup)).transpose()?.flatten();
        self.hide(exchange);
        match consumer {
            Some(consumer) => admit(exchange, consumer),
            None => admit_nobody(exchange),
        }
        for (claim, name) in TOLD {
            if let Some(value) = claims.get(claim).and_then(told) {
                exchange.headers.insert(name, value);
            }
        }
        Ok(Verdict::Pass)
    }

    fn refuse(
        &self,
        exchange: &mut Exchange<'_, '_>,
        message: &str,
        challenge: &HeaderValue,
    ) -> Result<Verdict, StoreError> {
        self.fallback.refuse(exchange, unauthorized(message, challenge), |exchange| self.hide(exchange))
    }

    fn hide(&self, exchange: &mut Exchange<'_, '_>) {
        if self.hide {
            exchange.headers.remove(header::AUTHORIZATION);
        }
    }
}

/// The answer where a provider does not say what a token is worth. Nobody passes then, not even as the anonymous consumer.
pub fn unavailable(provider: &str, error: &CallError) -> Verdict {
    tracing::warn!(provider, %error, "an identity provider does not answer as it should");
    Verdict::Answer(Answer::Message {
        status: StatusCode::SERVICE_UNAVAILABLE,
        message: "The identity provider cannot be reached".to_owned(),
        headers: vec![(header::RETRY_AFTER, HeaderValue::from_static("5"))],
    })
}

/// A claim as a header's value: texts as they are, everything else as JSON.
pub fn told(claim: &Value) -> Option<HeaderValue> {
    let text = claim.as_str().map_or_else(|| claim.to_string(), str::to_owned);
    HeaderValue::from_bytes(text.as_bytes()).ok()
}
