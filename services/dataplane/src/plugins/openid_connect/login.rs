//! The login of a browser: it is sent to the provider, and comes back with a code (OpenID Connect Core 1.0, section 3.1; PKCE, RFC 7636).
//!
//! What belongs to a login is in a sealed cookie until then, so that nobody can end a login that another browser has begun.

use std::sync::Arc;

use aws_lc_rs::digest;
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use gateway_model::plugin::openid_connect::Config;
use http::{HeaderValue, Method, Response, StatusCode, header};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use subtle::ConstantTimeEq as _;

use super::{Settings, session::Sessions, token};
use crate::plugins::{
    Answer, Exchange, Then, Verdict,
    authentication::unauthorized,
    oauth2_introspection::unavailable,
    providers::{Call, CallError, Known, Provider},
};

/// Seconds that somebody may take to log in.
const LOGIN_SECONDS: u32 = 600;
/// Ends the name of the cookie of a login.
const ENDING: &str = "_login";

/// How browsers log in and out.
#[derive(Debug)]
pub struct Login {
    client: String,
    authorization: Option<String>,
    scopes: String,
    redirect: Option<String>,
    sessions: Sessions,
    logout: Option<String>,
    after_logout: Option<String>,
}

/// A login that has begun.
#[derive(Serialize, Deserialize)]
struct Begun {
    state: String,
    nonce: String,
    verifier: String,
    /// Where the provider sends the browser.
    redirect: String,
    /// What was asked for.
    target: String,
    until: u64,
}

impl Login {
    pub fn new(config: &Config, client: String, authorization: Option<String>, sessions: Sessions) -> Self {
        Self {
            client,
            authorization,
            scopes: config.scopes.join(" "),
            redirect: config.redirect_uri.first().cloned(),
            sessions,
            logout: config.logout_uri_suffix.clone(),
            after_logout: config.logout_redirect_uri.first().cloned(),
        }
    }

    /// Whether the request can be one of a browser that shows a page.
    pub fn takes(&self, exchange: &Exchange<'_, '_>) -> bool {
        matches!(*exchange.method, Method::GET | Method::HEAD)
    }

    /// What a request is answered that ends a login or a session; `None` if it does neither.
    pub fn step(&self, settings: &Arc<Settings>, exchange: &Exchange<'_, '_>) -> Option<Verdict> {
        if self.logout.as_ref().is_some_and(|suffix| exchange.path.ends_with(suffix.as_str())) {
            return Some(self.log_out(settings, exchange));
        }
        let query = exchange.query.as_deref().unwrap_or_default();
        let argument = |wanted: &str| {
            url::form_urlencoded::parse(query.as_bytes())
                .find(|(name, _)| name == wanted)
                .map(|(_, value)| value.into_owned())
        };
        let state = argument("state").filter(|_| *exchange.method == Method::GET)?;
        let begun: Begun = self.sessions.open(exchange, ENDING)?;
        let is_own = bool::from(begun.state.as_bytes().ct_eq(state.as_bytes())) && begun.until > exchange.now;
        if !is_own {
            return None;
        }
        let Some(code) = argument("code") else {
            tracing::debug!(error = argument("error"), "the provider has refused a login");
            return argument("error").map(|_| self.failed(exchange));
        };
        let (settings, issuer) = (settings.clone(), argument("iss"));
        Some(Verdict::Wait(Box::pin(async move {
            let redeemed = redeem(&settings, &begun, &code, issuer.as_deref()).await;
            let then: Then = Box::new(move |exchange| {
                let Some(login) = &settings.login else { return Ok(Verdict::Pass) };
                Ok(match redeemed {
                    Ok((known, token)) => login.finish(&settings, exchange, &begun, &known, &token),
                    Err(CallError::Status(StatusCode::BAD_REQUEST | StatusCode::UNAUTHORIZED)) => {
                        login.failed(exchange)
                    }
                    Err(error) => unavailable(settings.provider.issuer(), &error),
                })
            });
            then
        })))
    }

    /// Sends the browser to the provider; `None` if the provider has no place for that.
    pub fn begin(&self, exchange: &Exchange<'_, '_>, known: &Known) -> Option<Verdict> {
        let [state, nonce, verifier] =
            [(); 3].map(|()| BASE64_URL_SAFE_NO_PAD.encode(exchange.random.bytes::<32>()));
        let scheme = if exchange.client.https { "https" } else { "http" };
        let own = || Some(format!("{scheme}://{}{}", exchange.authority.to_str().ok()?, exchange.uri.path()));
        let redirect = self.redirect.clone().or_else(own)?;
        let challenge = BASE64_URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, verifier.as_bytes()));
        let mut url = url::Url::parse(known.metadata.authorization_endpoint.as_deref()?).ok()?;
        url.query_pairs_mut()
            .append_pair("response_type", "code")
            .append_pair("client_id", &self.client)
            .append_pair("redirect_uri", &redirect)
            .append_pair("scope", &self.scopes)
            .append_pair("state", &state)
            .append_pair("nonce", &nonce)
            .append_pair("code_challenge", &challenge)
            .append_pair("code_challenge_method", "S256");
        let target = exchange.uri.path_and_query().map_or("/", |target| target.as_str()).to_owned();
        let until = exchange.now + u64::from(LOGIN_SECONDS);
        let begun = Begun { state, nonce, verifier, redirect, target, until };
        let cookie = self.sessions.cookie(exchange, ENDING, &begun, LOGIN_SECONDS)?;
        go(url.as_str(), [Some(cookie), None])
    }

    /// The browser goes where it wanted to, with a session.
    fn finish(
        &self,
        settings: &Settings,
        exchange: &Exchange<'_, '_>,
        begun: &Begun,
        known: &Known,
        token: &str,
    ) -> Verdict {
        let claims = match token::judge_login(token, known, &self.client, &begun.nonce, exchange.now) {
            Ok(claims) => claims,
            Err(reason) => {
                tracing::warn!(reason, "the token of a login is refused");
                return self.failed(exchange);
            }
        };
        let session = self.sessions.begin(exchange, &settings.demands.kept(&claims));
        let over = self.sessions.end(exchange, ENDING);
        // A target is a path: no other host can be named by it.
        let target = if begun.target.starts_with("//") { "/" } else { &begun.target };
        match session.and_then(|session| go(target, [Some(session), over])) {
            Some(verdict) => verdict,
            None => Verdict::Answer(Answer::message(
                StatusCode::INTERNAL_SERVER_ERROR,
                "The claims that are kept of a login are too large for a cookie",
            )),
        }
    }

    fn failed(&self, exchange: &Exchange<'_, '_>) -> Verdict {
        let mut answer = unauthorized("Unauthorized", &HeaderValue::from_static("Bearer"));
        if let (Answer::Message { headers, .. }, Some(over)) =
            (&mut answer, self.sessions.end(exchange, ENDING))
        {
            headers.push((header::SET_COOKIE, over));
        }
        Verdict::Answer(answer)
    }

    fn log_out(&self, settings: &Arc<Settings>, exchange: &Exchange<'_, '_>) -> Verdict {
        let over = self.sessions.end(exchange, "");
        if let Some(target) = &self.after_logout {
            return go(target, [over, None]).unwrap_or_else(|| self.failed(exchange));
        }
        settings.with_provider(|settings, exchange, known| {
            let over = settings.login.as_ref().and_then(|login| login.sessions.end(exchange, ""));
            let gone = known.metadata.end_session_endpoint.as_deref();
            let gone = gone.and_then(|target| go(target, [over.clone(), None]));
            Ok(gone.unwrap_or_else(|| {
                let mut answer = Answer::message(StatusCode::OK, "Logged out");
                if let (Answer::Message { headers, .. }, Some(over)) = (&mut answer, over) {
                    headers.push((header::SET_COOKIE, over));
                }
                Verdict::Answer(answer)
            }))
        })
    }
}

/// Makes a token of the code.
async fn redeem(
    settings: &Settings,
    begun: &Begun,
    code: &str,
    issuer: Option<&str>,
) -> Result<(Arc<Known>, String), CallError> {
    let mut known = settings.provider.learn(Provider::AGE_MAX).await?;
    // Says which provider the code is of (RFC 9207).
    if issuer.is_some_and(|issuer| issuer != known.metadata.issuer) {
        return Err(CallError::Status(StatusCode::BAD_REQUEST));
    }
    let Some(login) = &settings.login else { return Err(CallError::NoLogin) };
    let mut form = vec![
        ("grant_type", "authorization_code"),
        ("code", code),
        ("redirect_uri", &begun.redirect),
        ("code_verifier", &begun.verifier),
    ];
    if login.authorization.is_none() {
        form.push(("client_id", &login.client));
    }
    let url = known.metadata.token_endpoint.as_deref().ok_or(CallError::NoLogin)?;
    let call = Call::Form { url, form: &form, authorization: login.authorization.as_deref() };
    let answer = settings.provider.caller().call(call).await?;
    let token = answer.get("id_token").and_then(Value::as_str);
    let token = token.ok_or_else(|| CallError::Content("there is no `id_token`".to_owned()))?.to_owned();
    if !token::has_known_key(&token, &known) {
        known = settings.provider.learn(std::time::Duration::ZERO).await?;
    }
    Ok((known, token))
}

/// Sends the browser to `target`; nothing of it is kept.
fn go(target: &str, cookies: [Option<HeaderValue>; 2]) -> Option<Verdict> {
    let mut response = Response::new(bytes::Bytes::new());
    *response.status_mut() = StatusCode::FOUND;
    let headers = response.headers_mut();
    headers.insert(header::LOCATION, HeaderValue::from_str(target).ok()?);
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    for cookie in cookies.into_iter().flatten() {
        headers.append(header::SET_COOKIE, cookie);
    }
    Some(Verdict::Answer(Answer::Full(Box::new(response))))
}
