//! The provider sends a browser back: what it says is judged, and a session begins.

use access::Makers;
use axum::{
    http::{HeaderValue, header},
    response::Response,
};
use service::PENDING_SIGN_ON;
use tokio::time::timeout;

use super::{
    Error, exchange,
    http::Callback,
    http::PROVIDER_WAIT,
    open_secret,
    pending::{self, Pending},
    person,
    start::is_on,
    teams,
};
use crate::{
    app::App,
    authentication_settings,
    console::sign_on::{Opening, Proof, applied, open},
    credential::{Credential, Kind},
    error::Answer,
    home::Arrived,
    identity_providers::store::{self, Stored},
    organizations::{self, State},
};

pub(super) async fn come_back(
    app: &App,
    makers: &Makers,
    query: &Callback,
    mut arrived: Arrived<()>,
) -> Answer<Response> {
    let state = query.state.as_deref().unwrap_or_default();
    let state = Credential::read(Kind::SignOn, state).ok_or(Error::Unknown)?;
    let organization = organizations::known(app, state.organization).await?.ok_or(Error::Unknown)?;
    // Cookies do not leave the region, but for this one.
    let kept = match arrived.is_forwarded() {
        true => arrived.headers().get(PENDING_SIGN_ON).cloned(),
        false => pending::kept(arrived.headers()).and_then(|value| HeaderValue::try_from(value).ok()),
    };
    arrived.send_along(PENDING_SIGN_ON, kept.clone());
    if let Some(answer) = arrived.answered_at_home(organization.id).await? {
        return Ok(at_console(app, answer));
    }
    let now = app.clock.now();
    let kept = kept.as_ref().and_then(|value| value.to_str().ok()).unwrap_or_default();
    let pending = Pending::read(kept, &app.seal, &state, now).ok_or(Error::Unknown)?;
    use_once(app, &state, &pending).await?;
    if let Some(error) = &query.error {
        return Err(Error::Refused(exchange::shown(error)).into());
    }
    let code = query.code.as_deref().ok_or(Error::Untrusted("it sends no code"))?;
    let found = store::find(&app.db, organization.id, pending.provider).await?;
    let Stored { shown, secret } = found.ok_or(Error::Absent)?;
    if !shown.enabled || !is_on(app, organization.id).await? || organization.state != State::Active {
        return Err(Error::Absent.into());
    }
    let secret = open_secret(&app.seal, shown.id, &secret)
        .map_err(|_| crate::identity_providers::Error::Unreadable)?;
    let providers = &app.single_sign_on.providers;
    let asked = async {
        let known = providers.known(&shown.config.issuer_url).await?;
        let metadata = &known.metadata;
        let is_it = query.iss.as_ref().map(|issuer| *issuer == metadata.issuer);
        if !is_it.unwrap_or(!metadata.authorization_response_iss_parameter_supported) {
            return Err(Error::Untrusted("another one has sent you back"));
        }
        providers.exchange(&shown, &secret, known, &pending, code, now.unix_timestamp()).await
    };
    let said = timeout(PROVIDER_WAIT, asked).await.map_err(|_| Error::Away)??;
    let person = person::find_or_make(app, organization.id, &shown.config, &said, &arrived.requested).await?;
    let mut seen = applied(app, organization.id).await?;
    let is_mapped = authentication_settings::find(&app.db, organization.id).await?.idp_mapping_enabled;
    let groups = match is_mapped {
        true => Some(teams::groups(&said.claims, &shown.config.claim_mappings.groups).map_err(Error::from)?),
        false => None,
    };
    seen.merge(&app.map_teams(organization.id, shown.id, person, groups.as_deref()).await?);
    let opening = Opening {
        organization,
        person,
        address: arrived.address().map(|address| address.to_string()).unwrap_or_default(),
        user_agent: arrived.user_agent(),
        requested: arrived.requested.clone(),
        proof: Proof::Identity { provider: shown.id, issuer: said.issuer, subject: said.subject },
        seen,
    };
    let signed_on = open(app, makers, opening).await?;
    let answer = signed_on.landing(&pending.return_to, app.clock.now());
    Ok(if arrived.is_forwarded() { answer } else { at_console(app, answer) })
}

/// Sends the browser to the console of this region, with the path that the home region has answered.
fn at_console(app: &App, mut answer: Response) -> Response {
    let path = answer.headers().get(header::LOCATION).and_then(|path| path.to_str().ok());
    let at_console = path.filter(|path| path.starts_with('/')).and_then(|path| {
        let origin = app.origins.first()?;
        HeaderValue::try_from(format!("{origin}{path}")).ok()
    });
    if let Some(location) = at_console {
        answer.headers_mut().insert(header::LOCATION, location);
    }
    answer
}

/// Goes on only the first time that the sign-on comes back.
async fn use_once(app: &App, state: &Credential, pending: &Pending) -> Answer<()> {
    let used = sqlx::query(
        "INSERT INTO resident.used_sign_on (sha256, expires_at) VALUES ($1, to_timestamp($2)) ON CONFLICT DO NOTHING",
    )
    .bind(&state.sha256()[..])
    .bind(pending.expires_at as f64)
    .execute(&app.db)
    .await
    .map_err(postgres::Error::from)?;
    if used.rows_affected() == 0 {
        return Err(Error::Unknown.into());
    }
    Ok(())
}
