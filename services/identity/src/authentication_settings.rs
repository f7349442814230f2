//! How an organization's people may sign on: by password, by its identity providers, and whether groups there mean teams here. In Konnect's
//! shape. Written and read in the organization's home region.
//!
//! An organization cannot lock everybody out: passwords can be off only while somebody has signed on by an identity provider that is on. The
//! platform operator can give it another owner in any case, with a token that can change this.

use access::{Action, Caller, Resource};
use axum::{extract::State, http::StatusCode};
use ids::OrganizationId;
use mutation::Mutation;
use postgres::SqlId;
use serde::{Deserialize, Serialize};
use sqlx::{FromRow, PgConnection, PgExecutor};
use utoipa::ToSchema;
use web::{Api, Endpoint, FieldError, Json, ProblemType};

use crate::{app::App, error::Answer, identity_providers};

const PATH: &str = "/v3/authentication-settings";
/// Example of a refusal.
const LOCKS_OUT: &str =
    "nobody has signed on by an identity provider that is on; do that once before passwords are turned off";

/// Adds the endpoints.
pub fn endpoints(api: Api<App>) -> Api<App> {
    api.endpoint(
        Endpoint::get(PATH, "How the organization's people may sign on")
            .home()
            .answers::<AuthenticationSettings>(StatusCode::OK),
        get,
    )
    .endpoint(
        Endpoint::patch(PATH, "Change how the organization's people may sign on; sessions go on")
            .refuses(ProblemType::Conflict, LOCKS_OUT)
            .home()
            .body::<UpdateSettings>()
            .answers::<AuthenticationSettings>(StatusCode::OK),
        update,
    )
}

/// How an organization's people may sign on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema, FromRow)]
pub struct AuthenticationSettings {
    /// By password.
    pub basic_auth_enabled: bool,
    /// By OpenID Connect.
    pub oidc_auth_enabled: bool,
    /// By SAML: never.
    #[sqlx(default)]
    pub saml_auth_enabled: bool,
    /// Whether groups of identity providers mean teams here. While not, a sign-on ends the memberships that came from groups.
    pub idp_mapping_enabled: bool,
    /// Whether people are put into teams by hand: always.
    #[sqlx(default)]
    pub konnect_mapping_enabled: bool,
}

impl Default for AuthenticationSettings {
    fn default() -> Self {
        Self {
            basic_auth_enabled: true,
            oidc_auth_enabled: true,
            saml_auth_enabled: false,
            idp_mapping_enabled: false,
            konnect_mapping_enabled: true,
        }
    }
}

/// The body of a request that changes them. What is left out stays as it is.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UpdateSettings {
    /// Whether people may sign on by password.
    basic_auth_enabled: Option<bool>,
    /// Whether people may sign on by OpenID Connect.
    oidc_auth_enabled: Option<bool>,
    /// `false`: there is no sign-on by SAML.
    saml_auth_enabled: Option<bool>,
    /// Whether groups of identity providers mean teams.
    idp_mapping_enabled: Option<bool>,
    /// `true`: people can always be put into teams by hand.
    konnect_mapping_enabled: Option<bool>,
}

/// The organization would lock everybody out.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The database failed.
    #[error(transparent)]
    NotWritten(#[from] mutation::Error),
    /// Passwords are off, and no provider that is on has been used.
    #[error("{LOCKS_OUT}")]
    LocksOut,
}

impl From<postgres::Error> for Error {
    fn from(error: postgres::Error) -> Self {
        Self::NotWritten(error.into())
    }
}

/// The settings of the organization.
pub async fn find(
    executor: impl PgExecutor<'_>,
    organization: OrganizationId,
) -> Result<AuthenticationSettings, postgres::Error> {
    let found: Option<AuthenticationSettings> = sqlx::query_as(
        "SELECT basic_auth_enabled, oidc_auth_enabled, idp_mapping_enabled FROM resident.authentication_settings
         WHERE organization_id = $1",
    )
    .bind(SqlId(organization))
    .fetch_optional(executor)
    .await?;
    Ok(found
        .map(|found| AuthenticationSettings { konnect_mapping_enabled: true, ..found })
        .unwrap_or_default())
}

/// Keeps other writes about how people sign on away until the transaction ends: together, two could lock everybody out.
pub async fn lock(
    connection: &mut PgConnection,
    organization: OrganizationId,
) -> Result<(), postgres::Error> {
    let AuthenticationSettings { basic_auth_enabled, oidc_auth_enabled, idp_mapping_enabled, .. } =
        AuthenticationSettings::default();
    sqlx::query(
        "INSERT INTO resident.authentication_settings
             (organization_id, basic_auth_enabled, oidc_auth_enabled, idp_mapping_enabled)
         VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING",
    )
    .bind(SqlId(organization))
    .bind(basic_auth_enabled)
    .bind(oidc_auth_enabled)
    .bind(idp_mapping_enabled)
    .execute(&mut *connection)
    .await?;
    sqlx::query("SELECT FROM resident.authentication_settings WHERE organization_id = $1 FOR UPDATE")
        .bind(SqlId(organization))
        .execute(connection)
        .await?;
    Ok(())
}

/// Goes on only if somebody can sign on as things are in this transaction.
async fn has_a_way_in(
    connection: &mut PgConnection,
    organization: OrganizationId,
) -> Result<bool, postgres::Error> {
    let settings = find(&mut *connection, organization).await?;
    Ok(settings.basic_auth_enabled
        || (settings.oidc_auth_enabled
            && identity_providers::store::any_proven(connection, organization).await?))
}

/// The same, for a change of an identity provider.
pub async fn require_a_way_in(connection: &mut PgConnection, organization: OrganizationId) -> Answer<()> {
    match has_a_way_in(connection, organization).await? {
        true => Ok(()),
        false => Err(identity_providers::Error::LocksOut.into()),
    }
}

async fn get(State(app): State<App>, caller: Caller) -> Answer<Json<AuthenticationSettings>> {
    caller.may(Action::IamReadUsers, &Resource::Iam).await?;
    Ok(Json(find(&app.db, caller.organization()).await?))
}

fn fixed(field: &str, reason: &str) -> FieldError {
    FieldError { field: field.to_owned(), reason: reason.to_owned() }
}

async fn update(
    State(app): State<App>,
    caller: Caller,
    Json(body): Json<UpdateSettings>,
) -> Answer<Json<AuthenticationSettings>> {
    caller.may(Action::IamManageUsers, &Resource::Iam).await?;
    if body.saml_auth_enabled == Some(true) {
        return Err(fixed("saml_auth_enabled", "there is no sign-on by SAML; use OpenID Connect").into());
    }
    if body.konnect_mapping_enabled == Some(false) {
        let reason = "people can always be put into teams by hand; leave it true";
        return Err(fixed("konnect_mapping_enabled", reason).into());
    }
    let organization = caller.organization();
    let mut tx = Mutation::by(&caller, "authentication-settings.update").begin(&app.db).await?;
    lock(tx.connection(), organization).await?;
    let before = find(tx.connection(), organization).await?;
    let after = AuthenticationSettings {
        basic_auth_enabled: body.basic_auth_enabled.unwrap_or(before.basic_auth_enabled),
        oidc_auth_enabled: body.oidc_auth_enabled.unwrap_or(before.oidc_auth_enabled),
        idp_mapping_enabled: body.idp_mapping_enabled.unwrap_or(before.idp_mapping_enabled),
        ..before
    };
    sqlx::query(
        "UPDATE resident.authentication_settings
         SET basic_auth_enabled = $2, oidc_auth_enabled = $3, idp_mapping_enabled = $4 WHERE organization_id = $1",
    )
    .bind(SqlId(organization))
    .bind(after.basic_auth_enabled)
    .bind(after.oidc_auth_enabled)
    .bind(after.idp_mapping_enabled)
    .execute(tx.connection())
    .await
    .map_err(postgres::Error::from)?;
    if !has_a_way_in(tx.connection(), organization).await? {
        return Err(Error::LocksOut.into());
    }
    tx.commit(&organization.to_string()).await?;
    Ok(Json(after))
}
