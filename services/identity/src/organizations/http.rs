//! Organizations over HTTP, and the directory by which requests are forwarded to an organization's home region.

use access::{Action, Caller, Resource};
use axum::{extract::State, http::StatusCode};
use futures::future::BoxFuture;
use ids::{OrganizationId, Region, UserId};
use mutation::Mutation;
use serde::Deserialize;
use service::Homes;
use sqlx::PgPool;
use utoipa::ToSchema;
use web::{
    Api, Endpoint, FieldError, Given, Json, Parameter, Problem, ProblemType, Protection, Query,
    QueryParameters, text,
};

use super::{Error, Organization, change, store};
use crate::{
    app::App,
    error::Answer,
    operation::{OrganizationPut, OrganizationState},
    users,
};

const ME: &str = "/v3/organizations/me";
/// Example of a refusal.
const NAME_TAKEN: &str = "an organization with this name exists";
const NOT_OWNER: &str = "only the owner of the organization can do this";

/// Adds the endpoints of organizations.
pub fn endpoints(api: Api<App>) -> Api<App> {
    // decK asks at the earlier path.
    let api = [ME, "/v2/organizations/me"].into_iter().fold(api, |api, path| {
        let me = Endpoint::get(path, "The organization of the caller");
        api.endpoint(me.protection(Protection::Caller).answers::<Organization>(StatusCode::OK), self::me)
    });
    api.endpoint(
        Endpoint::patch(ME, "Rename the organization of the caller")
            .home()
            .refuses(ProblemType::Conflict, NAME_TAKEN)
            .body::<UpdateOrganization>()
            .answers::<Organization>(StatusCode::OK),
        update,
    )
    .endpoint(
        Endpoint::delete(
            ME,
            "Delete the organization with all that it has in every region; only its owner can",
        )
        .home()
        .query::<Confirmed>()
        .refuses(ProblemType::Forbidden, NOT_OWNER)
        .refuses(ProblemType::Conflict, "the organization is being deleted, which cannot be taken back")
        .answers::<Organization>(StatusCode::ACCEPTED),
        delete,
    )
    .endpoint(
        Endpoint::post(format!("{ME}/owner"), "Make another person the owner; only the owner can")
            .home()
            .refuses(ProblemType::Forbidden, NOT_OWNER)
            .refuses(ProblemType::Conflict, "the person with this id is deactivated; name another one")
            .body::<TransferOrganization>()
            .answers::<Organization>(StatusCode::OK),
        transfer,
    )
}

/// The body of a request that changes an organization. What is left out stays as it is.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UpdateOrganization {
    /// Unique in the home region.
    name: Option<String>,
}

/// The body of a request that hands an organization over.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TransferOrganization {
    /// A person of the organization.
    user_id: UserId,
}

/// That a deletion is meant.
pub struct Confirmed {
    name: Option<String>,
}

impl QueryParameters for Confirmed {
    fn parameters() -> Vec<Parameter> {
        let meaning =
            "The organization's name, which says that its deletion is meant. Without it nothing is deleted.";
        vec![Parameter::text("confirm", meaning, "Example Ltd")]
    }

    fn read(given: &Given) -> Result<Self, Problem> {
        Ok(Self { name: given.text("confirm").map(str::to_owned) })
    }
}

async fn me(State(app): State<App>, caller: Caller) -> Answer<Json<Organization>> {
    arrived(&app.db, caller.organization()).await.map(Json)
}

/// Changes the caller's organization, and waits until that is in force in this region.
async fn alter(
    app: &App,
    caller: &Caller,
    action: &'static str,
    alter: impl FnOnce(&mut OrganizationPut) + Send + 'static,
) -> Answer<Organization> {
    let region = app.region.clone();
    let work = app.write(Mutation::by(caller, action), move |tx| {
        Box::pin(async move {
            let changed = change(tx, &region, alter).await?;
            tx.audit(&changed.id.to_string()).await?;
            Ok(changed)
        })
    });
    let changed = work.await?;
    app.enforce(caller, changed.id).await?;
    Ok(changed)
}

async fn update(
    State(app): State<App>,
    caller: Caller,
    Json(body): Json<UpdateOrganization>,
) -> Answer<Json<Organization>> {
    caller.may(Action::OrgUpdate, &Resource::Iam).await?;
    let name = body.name.map(|name| text::name("name", &name)).transpose()?;
    let updated = alter(&app, &caller, "organization.update", move |put| {
        put.name = name.unwrap_or_else(|| put.name.clone());
    });
    updated.await.map(Json)
}

/// The caller's organization, if the caller owns it.
async fn owned(app: &App, caller: &Caller) -> Answer<Organization> {
    caller.may(Action::OrgUpdate, &Resource::Iam).await?;
    let organization = arrived(&app.db, caller.organization()).await?;
    match caller.is_user() && caller.principal() == organization.owner_id.cast() {
        true => Ok(organization),
        false => Err(Error::NotOwner.into()),
    }
}

/// The first of two steps: its data is deleted by [`super::purge`].
async fn delete(
    State(app): State<App>,
    caller: Caller,
    Query(confirmed): Query<Confirmed>,
) -> Answer<(StatusCode, Json<Organization>)> {
    let organization = owned(&app, &caller).await?;
    if confirmed.name.as_deref().map(|name| ids::name::comparable(name.trim())) != Some(organization.name) {
        let reason = "say the name of the organization: its deletion cannot be taken back";
        return Err(Problem::invalid_parameter("confirm", reason).into());
    }
    app.require_organizations_generation()?;
    let deleted = alter(&app, &caller, "organization.delete", |put| {
        put.state = OrganizationState::Suspended;
        put.deleting = true;
    });
    Ok((StatusCode::ACCEPTED, Json(deleted.await?)))
}

async fn transfer(
    State(app): State<App>,
    caller: Caller,
    Json(body): Json<TransferOrganization>,
) -> Answer<Json<Organization>> {
    owned(&app, &caller).await?;
    let person = users::store::find(&app.db, caller.organization(), body.user_id).await?;
    match person {
        Some(person) if person.active => {}
        Some(_) => return Err(users::Error::Inactive.into()),
        None => {
            let reason = "the organization has no such person".to_owned();
            return Err(FieldError { field: "user_id".to_owned(), reason }.into());
        }
    }
    app.require_organizations_generation()?;
    let transferred = alter(&app, &caller, "organization.transfer", move |put| {
        put.installs_owner = put.owner_id != body.user_id;
        put.owner_id = body.user_id;
    });
    transferred.await.map(Json)
}

/// The organization of somebody whose token was accepted. It exists; where it is not here yet, the answer is 503.
async fn arrived(db: &PgPool, id: OrganizationId) -> Answer<Organization> {
    Ok(store::find(db, id).await?.ok_or(Error::NotArrived)?)
}

/// Tells each organization's home region, from the replicated rows of this database.
pub struct Directory(pub PgPool);

impl Homes for Directory {
    fn home(&self, organization: OrganizationId) -> BoxFuture<'_, Result<Region, Problem>> {
        Box::pin(async move { Ok(arrived(&self.0, organization).await?.home_region) })
    }
}
