//! Somebody begins to sign on: the browser gets a cookie and goes to the provider.

use axum::{
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse as _, Response},
};
use ids::OrganizationId;
use tokio::time::timeout;
use url::Url;

use super::{
    Error,
    http::PROVIDER_WAIT,
    http::Start,
    pending::{Pending, parse_return_to},
};
use crate::{
    app::App,
    authentication_settings,
    error::{self, Answer},
    home::Arrived,
    identity_providers::{
        parse_login_path,
        store::{self, Stored},
    },
    organizations::{self, State},
};

pub(super) async fn start(
    app: &App,
    (organization, login_path): (&str, &str),
    query: &Start,
    arrived: &Arrived<()>,
) -> Answer<Response> {
    if !arrived.is_forwarded() && app.origins.first().is_none() {
        return Err(Error::NoConsole.into());
    }
    let return_to = query.return_to.as_deref().unwrap_or("/");
    let return_to = parse_return_to(return_to).ok_or_else(|| {
        web::Problem::invalid_parameter("return_to", "must be a path of the console, as in /teams")
    })?;
    let named = match organizations::named(app, organization).await {
        Ok(named) => named,
        Err(error::Error::Invalid(_)) => None,
        Err(error) => return Err(error),
    };
    let organization = named.ok_or(Error::Absent)?;
    let login_path = parse_login_path(login_path).map_err(|_| Error::Absent)?;
    if let Some(answer) = arrived.answered_at_home(organization.id).await? {
        return Ok(answer);
    }
    if organization.state != State::Active {
        return Err(Error::Absent.into());
    }
    let Stored { shown, .. } =
        store::by_login_path(&app.db, organization.id, &login_path).await?.ok_or(Error::Absent)?;
    if !shown.enabled || !is_on(app, organization.id).await? {
        return Err(Error::Absent.into());
    }
    let began_in = arrived.forwarded_by().unwrap_or(&app.region);
    let redirect_uri = app.single_sign_on.redirect_uri(began_in).ok_or(Error::NoConsole)?;
    let providers = &app.single_sign_on.providers;
    let known = timeout(PROVIDER_WAIT, providers.known(&shown.config.issuer_url)).await;
    let known = known.map_err(|_| Error::Away)??;
    providers.endpoint(&known.metadata.authorization_endpoint)?;
    let mut location = Url::parse(&known.metadata.authorization_endpoint).map_err(|_| Error::Away)?;
    let of = (organization.id, shown.id);
    let (pending, state) = Pending::begin(of, redirect_uri, return_to, app.clock.now(), &app.random);
    location
        .query_pairs_mut()
        .append_pair("response_type", "code")
        .append_pair("client_id", &shown.config.client_id)
        .append_pair("redirect_uri", &pending.redirect_uri)
        .append_pair("scope", &shown.config.scopes.join(" "))
        .append_pair("state", state.expose())
        .append_pair("nonce", &pending.nonce)
        .append_pair("code_challenge", &pending.challenge())
        .append_pair("code_challenge_method", "S256");
    let mut headers = HeaderMap::new();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::LOCATION, HeaderValue::try_from(location.as_str()).map_err(|_| Error::Away)?);
    // A cookie that is longer than a header may be would need an address of a console as long.
    headers.insert(header::SET_COOKIE, pending.cookie(&app.seal).ok_or(Error::Unknown)?);
    Ok((StatusCode::SEE_OTHER, headers).into_response())
}

/// Whether the organization's people may sign on by providers.
pub(super) async fn is_on(app: &App, organization: OrganizationId) -> Result<bool, postgres::Error> {
    Ok(authentication_settings::find(&app.db, organization).await?.oidc_auth_enabled)
}
