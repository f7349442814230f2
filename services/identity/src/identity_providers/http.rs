//! Identity providers over HTTP, in Konnect's shape. All of it is served in the organization's home region.

use access::{Action, Caller, Resource};
use axum::{extract::State, http::StatusCode, response::Response};
use mutation::{Key, Mutation};
use serde::Deserialize;
use utoipa::ToSchema;
use web::{Api, Endpoint, Json, Listed, Paging, Path, Problem, ProblemType, Query};

use super::{
    ClaimMappings, Config, Error, IdentityProvider, PER_ORGANIZATION_MAX, ProviderId, ProviderType, mappings,
    parse_issuer, parse_login_path, parse_scopes, parse_text,
    store::{self, Stored},
};
use crate::{app::App, authentication_settings, error::Answer, organizations};

/// Examples of refusals.
const PATH_TAKEN: &str = "login_path: the organization has an identity provider with this login path";
const TOO_MANY: &str = "an organization has at most 10 identity providers; delete one first";
const LOCKS_OUT: &str = "passwords are off, and nobody could sign on without this identity provider; set basic_auth_enabled of /v3/authentication-settings first";
const HOLDS_LESS: &str = "an identity provider decides who anybody is; only somebody who holds all that the owner holds can set it up";

/// Adds the endpoints of identity providers.
pub fn endpoints(api: Api<App>) -> Api<App> {
    const ALL: &str = "/v3/identity-providers";
    const ONE: &str = "/v3/identity-providers/{identity_provider_id}";
    let api = api
        .endpoint(
            Endpoint::get(ALL, "List the identity providers that sign the organization's people on")
                .query::<Paging>()
                .home()
                .answers::<Listed<IdentityProvider>>(StatusCode::OK),
            list,
        )
        .endpoint(
            Endpoint::post(ALL, "Let an OpenID provider sign the organization's people on")
                .refuses(ProblemType::Forbidden, HOLDS_LESS)
                .refuses(ProblemType::Conflict, PATH_TAKEN)
                .refuses(ProblemType::LimitReached, TOO_MANY)
                .home()
                .body::<CreateProvider>()
                .answers::<IdentityProvider>(StatusCode::CREATED),
            create,
        )
        .endpoint(
            Endpoint::get(ONE, "One identity provider").home().answers::<IdentityProvider>(StatusCode::OK),
            get,
        )
        .endpoint(
            Endpoint::patch(ONE, "Change an identity provider, or turn it on or off")
                .refuses(ProblemType::Forbidden, HOLDS_LESS)
                .refuses(ProblemType::Conflict, LOCKS_OUT)
                .home()
                .body::<UpdateProvider>()
                .answers::<IdentityProvider>(StatusCode::OK),
            update,
        )
        .endpoint(
            Endpoint::delete(ONE, "Delete an identity provider with its mappings; sessions go on")
                .refuses(ProblemType::Conflict, LOCKS_OUT)
                .home(),
            delete,
        );
    mappings::endpoints(api, ONE)
}

/// The body of a request that makes a provider.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateProvider {
    /// `oidc`.
    r#type: ProviderType,
    /// Whether people may sign on by it.
    #[serde(default)]
    enabled: bool,
    /// Letters, digits, `-` and `_`, at most 64. Unique in the organization.
    login_path: String,
    /// How it is reached and read.
    config: CreateConfig,
}

/// How a new provider is reached and read.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateConfig {
    /// `https://…`, as the provider spells it in its tokens.
    issuer_url: String,
    /// What the provider knows this organization by.
    client_id: String,
    /// What the organization proves that with. Kept sealed, and never shown.
    client_secret: String,
    /// What people are asked to let the organization know; `openid`, `profile` and `email` unless given.
    scopes: Option<Vec<String>>,
    /// In which claims the provider says what.
    #[serde(default)]
    claim_mappings: ClaimMappings,
    /// Whether addresses count that the provider does not call verified.
    #[serde(default)]
    accept_unverified_emails: bool,
}

/// The body of a request that changes a provider. What is left out stays as it is.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UpdateProvider {
    /// Whether people may sign on by it.
    enabled: Option<bool>,
    /// Letters, digits, `-` and `_`, at most 64. Unique in the organization.
    login_path: Option<String>,
    /// How it is reached and read.
    config: Option<UpdateConfig>,
}

/// What is to be changed about how a provider is reached and read. What is left out stays as it is.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UpdateConfig {
    /// Another issuer, or another client, has to show again that people can sign on.
    issuer_url: Option<String>,
    /// What the provider knows this organization by.
    client_id: Option<String>,
    /// What the organization proves that with.
    client_secret: Option<String>,
    /// What people are asked to let the organization know.
    scopes: Option<Vec<String>>,
    /// In which claims the provider says what; all three, those left out get their defaults.
    claim_mappings: Option<ClaimMappings>,
    /// Whether addresses count that the provider does not call verified.
    accept_unverified_emails: Option<bool>,
}

/// Goes on only if the caller manages users and holds all that the owner holds.
pub(super) async fn may_set_up(app: &App, caller: &Caller) -> Answer<()> {
    caller.may(Action::IamManageUsers, &Resource::Iam).await?;
    let organization = organizations::known(app, caller.organization()).await?;
    let owner = organization.ok_or(organizations::Error::NotArrived)?.owner_id;
    let confers = caller.may_confer(owner.cast()).await;
    confers.map_err(|problem| match problem.kind {
        ProblemType::Forbidden => Problem::forbidden(HOLDS_LESS).into(),
        _ => problem.into(),
    })
}

fn parse_claims(claims: ClaimMappings) -> Answer<ClaimMappings> {
    Ok(ClaimMappings {
        name: parse_text("config.claim_mappings.name", &claims.name)?,
        email: parse_text("config.claim_mappings.email", &claims.email)?,
        groups: parse_text("config.claim_mappings.groups", &claims.groups)?,
    })
}

fn parse_config(app: &App, given: CreateConfig) -> Answer<Config> {
    let scopes = given.scopes.unwrap_or_else(|| ["openid", "profile", "email"].map(str::to_owned).into());
    Ok(Config {
        issuer_url: parse_issuer(app.single_sign_on.client(), &given.issuer_url)?,
        client_id: parse_text("config.client_id", &given.client_id)?,
        scopes: parse_scopes(scopes)?,
        claim_mappings: parse_claims(given.claim_mappings)?,
        accept_unverified_emails: given.accept_unverified_emails,
    })
}

async fn list(
    State(app): State<App>,
    caller: Caller,
    Query(paging): Query<Paging>,
) -> Answer<Json<Listed<IdentityProvider>>> {
    caller.may(Action::IamReadUsers, &Resource::Iam).await?;
    let organization = caller.organization();
    let providers = store::list(&app.db, organization, &paging.span()?).await?;
    let total = paging.total(store::count(&app.db, organization)).await?;
    let providers = providers.into_iter().map(|provider| app.single_sign_on.shown(provider)).collect();
    Ok(Json(paging.page(providers, total, |provider: &IdentityProvider| provider.id)))
}

async fn get(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<ProviderId>,
) -> Answer<Json<IdentityProvider>> {
    caller.may(Action::IamReadUsers, &Resource::Iam).await?;
    let found = store::find(&app.db, caller.organization(), id).await?.ok_or(Error::Absent)?;
    Ok(Json(app.single_sign_on.shown(found.shown)))
}

async fn create(
    State(app): State<App>,
    caller: Caller,
    key: Option<Key>,
    Json(body): Json<CreateProvider>,
) -> Answer<Response> {
    may_set_up(&app, &caller).await?;
    let ProviderType::Oidc = body.r#type;
    let now = app.clock.now();
    let login_path = parse_login_path(&body.login_path)?;
    let secret = parse_text("config.client_secret", &body.config.client_secret)?;
    let shown = IdentityProvider {
        id: app.random.id(now),
        r#type: body.r#type,
        enabled: body.enabled,
        login_path,
        config: parse_config(&app, body.config)?,
        redirect_uris: Default::default(),
        last_used_at: None,
        created_at: now,
        updated_at: now,
    };
    let stored = Stored { secret: app.single_sign_on.seal_secret(&app.seal, shown.id, &secret), shown };
    let organization = caller.organization();
    let mut tx = Mutation::by(&caller, "identity-provider.create").under(key).begin(&app.db).await?;
    authentication_settings::lock(tx.connection(), organization).await?;
    if store::count(tx.connection(), organization).await? >= PER_ORGANIZATION_MAX {
        return Err(Error::LimitReached.into());
    }
    store::put(tx.connection(), organization, &stored).await?;
    let shown = app.single_sign_on.shown(stored.shown);
    Ok(tx.answer(&shown.id.to_string(), StatusCode::CREATED, &shown).await?)
}

async fn update(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<ProviderId>,
    Json(body): Json<UpdateProvider>,
) -> Answer<Json<IdentityProvider>> {
    may_set_up(&app, &caller).await?;
    let organization = caller.organization();
    let config = body.config.unwrap_or_default();
    let mut tx = Mutation::by(&caller, "identity-provider.update").begin(&app.db).await?;
    authentication_settings::lock(tx.connection(), organization).await?;
    let mut stored = store::lock(tx.connection(), organization, id).await?.ok_or(Error::Absent)?;
    let before = stored.shown.config.clone();
    let shown = &mut stored.shown;
    shown.enabled = body.enabled.unwrap_or(shown.enabled);
    if let Some(path) = body.login_path {
        shown.login_path = parse_login_path(&path)?;
    }
    if let Some(issuer) = config.issuer_url {
        shown.config.issuer_url = parse_issuer(app.single_sign_on.client(), &issuer)?;
    }
    if let Some(client) = config.client_id {
        shown.config.client_id = parse_text("config.client_id", &client)?;
    }
    if let Some(scopes) = config.scopes {
        shown.config.scopes = parse_scopes(scopes)?;
    }
    if let Some(claims) = config.claim_mappings {
        shown.config.claim_mappings = parse_claims(claims)?;
    }
    shown.config.accept_unverified_emails =
        config.accept_unverified_emails.unwrap_or(shown.config.accept_unverified_emails);
    if shown.config.issuer_url != before.issuer_url || shown.config.client_id != before.client_id {
        shown.last_used_at = None;
    }
    shown.updated_at = app.clock.now();
    if let Some(secret) = config.client_secret {
        let secret = parse_text("config.client_secret", &secret)?;
        stored.secret = app.single_sign_on.seal_secret(&app.seal, id, &secret);
    }
    store::put(tx.connection(), organization, &stored).await?;
    authentication_settings::require_a_way_in(tx.connection(), organization).await?;
    tx.commit(&id.to_string()).await?;
    Ok(Json(app.single_sign_on.shown(stored.shown)))
}

/// Takes away only, so it does not need what the owner holds.
async fn delete(State(app): State<App>, caller: Caller, Path(id): Path<ProviderId>) -> Answer<StatusCode> {
    caller.may(Action::IamManageUsers, &Resource::Iam).await?;
    let organization = caller.organization();
    let mut tx = Mutation::by(&caller, "identity-provider.delete").begin(&app.db).await?;
    authentication_settings::lock(tx.connection(), organization).await?;
    if !store::delete(tx.connection(), organization, id).await? {
        return Err(Error::Absent.into());
    }
    authentication_settings::require_a_way_in(tx.connection(), organization).await?;
    tx.commit(&id.to_string()).await?;
    Ok(StatusCode::NO_CONTENT)
}
