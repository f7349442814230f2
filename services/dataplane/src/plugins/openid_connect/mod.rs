//! openid-connect: a request from somebody whom an OpenID provider knows passes.
//!
//! It shows a token that the provider has signed, a token that the provider is asked about, or the cookie of an earlier login; else a browser is
//! sent to the provider to log in. What the provider's tokens claim says who the consumer is, and in which groups.

mod claims;
mod login;
mod session;
mod token;

use std::{sync::Arc, time::Duration};

use gateway_model::plugin::openid_connect::{AuthMethod, Config};
use http::{HeaderValue, Method, header};
use serde_json::{Map, Value};

use self::{claims::Demands, login::Login, session::Sessions};
use super::{
    Compiled, Exchange, Make, NotExecutable, Phases, Plugin, Then, Verdict,
    authentication::{Fallback, Said, credentials, unauthorized},
    oauth2_introspection::unavailable,
    providers::{CallError, Caller, Introspection, Introspections, Known, Provider, client_authorization},
};
use crate::store::StoreError;

/// The compiled plugin.
#[derive(Debug)]
pub struct OpenidConnect(Arc<Settings>);

#[derive(Debug)]
struct Settings {
    provider: Arc<Provider>,
    runtime: Option<tokio::runtime::Handle>,
    demands: Demands,
    bearer: bool,
    /// Where the provider is asked about tokens, if not where its description says.
    introspection: Option<(Introspection, Option<String>)>,
    introspects_signed: bool,
    login: Option<Login>,
    sessions: Option<Sessions>,
    hide: bool,
    on_preflight: bool,
    fallback: Fallback,
    challenge: HeaderValue,
    challenge_wrong: HeaderValue,
}

/// What somebody has shown to be, or why that is worth nothing.
type Claims = Result<Arc<Map<String, Value>>, &'static str>;

impl Compiled for OpenidConnect {
    type Config = Config;
    const PRIORITY: u32 = 1050;
    const PHASES: Phases = Phases::REQUEST;

    fn new(config: &Config, make: &Make<'_>) -> Result<Self, NotExecutable> {
        let has = |method: AuthMethod| config.auth_methods.contains(&method);
        let caller = Caller::new(make.tools.calls().clone());
        let client = config.client_id.first().cloned();
        let secret = config.client_secret.as_ref().and_then(|secret| secret.plain());
        let authorization =
            client.as_deref().zip(secret).map(|(id, secret)| client_authorization(id, secret));
        let introspection = has(AuthMethod::Introspection).then(|| {
            let introspection = Introspection {
                caller: caller.clone(),
                authorization: authorization.clone(),
                hint: Some("access_token".to_owned()),
                remembers: Duration::from_secs(config.cache_ttl.into()),
                remembered: Introspections::default(),
            };
            (introspection, config.introspection_endpoint.clone())
        });
        let sessions = config.session_secret.as_ref().map(|_| Sessions::new(config)).transpose()?;
        let login = match (has(AuthMethod::AuthorizationCode), client, &sessions) {
            (true, Some(client), Some(sessions)) => {
                Some(Login::new(config, client, authorization, sessions.clone()))
            }
            _ => None,
        };
        Ok(Self(Arc::new(Settings {
            provider: make.tools.providers().of(&config.issuer, &caller),
            runtime: make.tools.runtime().cloned(),
            demands: Demands::new(config)?,
            bearer: has(AuthMethod::Bearer),
            introspection,
            introspects_signed: config.introspect_jwt_tokens,
            login,
            sessions: sessions.filter(|_| has(AuthMethod::Session)),
            hide: config.hide_credentials,
            on_preflight: config.run_on_preflight,
            fallback: Fallback::new(config.anonymous.as_deref()),
            challenge: HeaderValue::from_static("Bearer"),
            challenge_wrong: HeaderValue::from_static("Bearer error=\"invalid_token\""),
        })))
    }
}

impl Plugin for OpenidConnect {
    fn request(&self, exchange: &mut Exchange<'_, '_>) -> Result<Verdict, StoreError> {
        let settings = &self.0;
        let is_skipped = *exchange.method == Method::OPTIONS && !settings.on_preflight;
        if is_skipped || settings.fallback.is_done(exchange) {
            return Ok(Verdict::Pass);
        }
        if let Some(verdict) = settings.login.as_ref().and_then(|login| login.step(settings, exchange)) {
            return Ok(verdict);
        }
        match credentials(exchange.headers, &header::AUTHORIZATION, "Bearer") {
            Said::Once(token) if settings.bearer || settings.introspection.is_some() => {
                let token = token.to_owned();
                return settings.judge_token(exchange, token);
            }
            Said::Several => return settings.refuse(exchange, "Multiple tokens provided", true),
            Said::Once(_) | Said::Nothing => {}
        }
        if let Some(claims) = settings.sessions.as_ref().and_then(|sessions| sessions.find(exchange)) {
            return settings.conclude(exchange, Ok(Arc::new(claims)));
        }
        match &settings.login {
            Some(login) if login.takes(exchange) => {
                Ok(settings.with_provider(|settings, exchange, known| {
                    let login = settings.login.as_ref();
                    let begun = login.and_then(|login| login.begin(exchange, known));
                    Ok(begun.unwrap_or_else(|| unavailable(settings.provider.issuer(), &CallError::NoLogin)))
                }))
            }
            _ => settings.refuse(exchange, "Unauthorized", false),
        }
    }
}

impl Settings {
    fn judge_token(
        self: &Arc<Self>,
        exchange: &mut Exchange<'_, '_>,
        token: String,
    ) -> Result<Verdict, StoreError> {
        let is_signed = token::is_signed(&token);
        match &self.introspection {
            Some((introspection, _)) if !is_signed || self.introspects_signed || !self.bearer => {
                match introspection.known(&token, exchange.now) {
                    Some(claims) => self.conclude(exchange, self.of_introspection(claims)),
                    None => Ok(self.introspect(token)),
                }
            }
            _ if is_signed && self.bearer => self.judge_signed(exchange, token),
            _ => self.refuse(exchange, "Unauthorized", true),
        }
    }

    /// Judges a signed token by the keys that are known, and learns them anew if its key is not among them.
    fn judge_signed(
        self: &Arc<Self>,
        exchange: &mut Exchange<'_, '_>,
        token: String,
    ) -> Result<Verdict, StoreError> {
        let known = self.runtime.as_ref().and_then(|runtime| self.provider.known(runtime));
        if let Some(judged) = known.and_then(|known| token::judge(&token, &known, &self.demands)) {
            return self.conclude(exchange, judged);
        }
        let settings = self.clone();
        Ok(Verdict::Wait(Box::pin(async move {
            let learned = settings.provider.learn(Duration::ZERO).await;
            let then: Then = Box::new(move |exchange| match learned {
                Ok(known) => {
                    let judged = token::judge(&token, &known, &settings.demands);
                    settings.conclude(exchange, judged.unwrap_or(Err("signed with an unknown key")))
                }
                Err(error) => Ok(unavailable(settings.provider.issuer(), &error)),
            });
            then
        })))
    }

    fn introspect(self: &Arc<Self>, token: String) -> Verdict {
        let settings = self.clone();
        Verdict::Wait(Box::pin(async move {
            let said = settings.ask(&token).await;
            let then: Then = Box::new(move |exchange| match said {
                Ok(claims) => settings.conclude(exchange, settings.of_introspection(claims)),
                Err(error) => Ok(unavailable(settings.provider.issuer(), &error)),
            });
            then
        }))
    }

    /// What the provider says of a token, if that counts here.
    fn of_introspection(&self, said: Option<Arc<Map<String, Value>>>) -> Claims {
        let claims = said.ok_or("worth nothing, as the provider says")?;
        if self.demands.is_for_us(&claims) { Ok(claims) } else { Err("for somebody else") }
    }

    async fn ask(&self, token: &str) -> Result<Option<Arc<Map<String, Value>>>, CallError> {
        let Some((introspection, url)) = &self.introspection else { return Err(CallError::NoLogin) };
        if let Some(url) = url {
            return introspection.ask(url, token).await;
        }
        let known = self.provider.learn(Provider::AGE_MAX).await?;
        let url = known.metadata.introspection_endpoint.as_deref();
        introspection.ask(url.ok_or(CallError::NoIntrospection)?, token).await
    }

    /// Goes on when the provider is known.
    fn with_provider(
        self: &Arc<Self>,
        then: impl FnOnce(&Self, &mut Exchange<'_, '_>, &Known) -> Result<Verdict, StoreError> + 'static,
    ) -> Verdict {
        let settings = self.clone();
        Verdict::Wait(Box::pin(async move {
            let learned = settings.provider.learn(Provider::AGE_MAX).await;
            let then: Then = Box::new(move |exchange| match learned {
                Ok(known) => then(&settings, exchange, &known),
                Err(error) => Ok(unavailable(settings.provider.issuer(), &error)),
            });
            then
        }))
    }

    /// The request is one of who the claims are about.
    fn conclude(&self, exchange: &mut Exchange<'_, '_>, claims: Claims) -> Result<Verdict, StoreError> {
        let judged = match &claims {
            Ok(claims) => self.demands.judge(claims, exchange.now),
            Err(reason) => {
                tracing::debug!(reason, "a token is refused");
                return self.refuse(exchange, "Unauthorized", true);
            }
        };
        match (judged, claims) {
            (Ok(()), Ok(claims)) => match self.demands.admit(exchange, &claims)? {
                true => {
                    self.hide(exchange);
                    Ok(Verdict::Pass)
                }
                false => self.fallback.refuse(exchange, claims::forbidden(), |exchange| self.hide(exchange)),
            },
            (Err(claims::Fault::Scope), _) => {
                self.fallback.refuse(exchange, claims::forbidden(), |exchange| self.hide(exchange))
            }
            _ => self.refuse(exchange, "Unauthorized", true),
        }
    }

    fn refuse(
        &self,
        exchange: &mut Exchange<'_, '_>,
        message: &str,
        is_wrong: bool,
    ) -> Result<Verdict, StoreError> {
        let challenge = if is_wrong { &self.challenge_wrong } else { &self.challenge };
        self.fallback.refuse(exchange, unauthorized(message, challenge), |exchange| self.hide(exchange))
    }

    fn hide(&self, exchange: &mut Exchange<'_, '_>) {
        if self.hide {
            exchange.headers.remove(header::AUTHORIZATION);
        }
        if let Some(sessions) = &self.sessions {
            sessions.hide(exchange);
        }
    }
}

#[cfg(test)]
mod tests;
