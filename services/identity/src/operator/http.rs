//! What the platform operator does over HTTP. Organizations are read in every region and written in their home region, to which any other
//! region forwards the request.

use access::Caller;
use axum::{extract::State, http::StatusCode, response::Response};
use ids::{OrganizationId, TokenId};
use mutation::{Key, Mutation};
use web::{Api, Endpoint, FieldError, Json, Listed, NameFilter, Paging, Path, ProblemType, Query, text};

use super::{
    OPERATOR,
    bodies::{
        CreateOrganization, LimitsBody, ManageOrganization, ManagedOrganization, NewOwner, OwnedOrganization,
    },
};
use crate::{
    app::App,
    bootstrap::first_token,
    error::Answer,
    operation::{OrganizationPut, OrganizationState},
    organizations::{self, Error, NewOrganization, Organization, State as OrganizationIs, store},
    tokens::{self, Token},
    users,
};

/// Examples of refusals.
const NAME_TAKEN: &str = "an organization with this name exists";
const DELETING: &str = "the organization is being deleted, which cannot be taken back";
const TOO_MANY: &str = "at most 10 tokens can be active; revoke one first";

/// Adds the endpoints of the platform operator.
pub fn endpoints(api: Api<App>) -> Api<App> {
    const ALL: &str = "/v1/operator/organizations";
    const ONE: &str = "/v1/operator/organizations/{organization_id}";
    let api = api
        .endpoint(
            Endpoint::post(
                ALL,
                "Create an organization in its home region, with an owner and the owner's first token",
            )
            .operator()
            .at_named_home()
            .refuses(ProblemType::Conflict, NAME_TAKEN)
            .body::<CreateOrganization>()
            .answers::<OwnedOrganization>(StatusCode::CREATED),
            create,
        )
        .endpoint(
            Endpoint::get(ALL, "List the organizations of all regions")
                .operator()
                .query::<(Paging, NameFilter)>()
                .answers::<Listed<ManagedOrganization>>(StatusCode::OK),
            list,
        )
        .endpoint(
            Endpoint::get(ONE, "One organization").operator().answers::<ManagedOrganization>(StatusCode::OK),
            get,
        )
        .endpoint(
            Endpoint::patch(ONE, "Change an organization's name or limits")
                .operator()
                .at_named_home()
                .refuses(ProblemType::Conflict, NAME_TAKEN)
                .body::<ManageOrganization>()
                .answers::<ManagedOrganization>(StatusCode::OK),
            update,
        )
        .endpoint(
            Endpoint::delete(
                ONE,
                "Delete an organization with all that it has in every region; it cannot be taken back",
            )
            .operator()
            .at_named_home()
            .answers::<ManagedOrganization>(StatusCode::ACCEPTED),
            delete,
        );
    states(api, ONE)
}

/// Endpoints that change who may use an organization, and those of the operator's own tokens.
fn states(api: Api<App>, one: &str) -> Api<App> {
    const TOKENS: &str = "/v1/operator/access-tokens";
    api.endpoint(
        Endpoint::post(
            format!("{one}/suspend"),
            "Refuse all requests of an organization's people and programs",
        )
        .operator()
        .at_named_home()
        .refuses(ProblemType::Conflict, DELETING)
        .answers::<ManagedOrganization>(StatusCode::OK),
        suspend,
    )
    .endpoint(
        Endpoint::post(format!("{one}/resume"), "Take back that an organization is suspended")
            .operator()
            .at_named_home()
            .refuses(ProblemType::Conflict, DELETING)
            .answers::<ManagedOrganization>(StatusCode::OK),
        resume,
    )
    .endpoint(
        Endpoint::post(
            format!("{one}/owner"),
            "Give an organization another owner, and make a token for that person",
        )
        .operator()
        .at_named_home()
        .refuses(ProblemType::Conflict, DELETING)
        .refuses(ProblemType::LimitReached, TOO_MANY)
        .body::<NewOwner>()
        .answers::<OwnedOrganization>(StatusCode::CREATED),
        recover,
    )
    .endpoint(
        Endpoint::get(TOKENS, "List the platform operator's access tokens")
            .operator()
            .query::<Paging>()
            .answers::<Listed<Token>>(StatusCode::OK),
        list_tokens,
    )
    .endpoint(
        Endpoint::delete(format!("{TOKENS}/{{token_id}}"), "Revoke an access token of the platform operator")
            .operator(),
        revoke_token,
    )
}

fn parse_email(field: &str, text: &str) -> Result<String, FieldError> {
    users::parse_email(text)
        .ok_or_else(|| FieldError { field: field.to_owned(), reason: "is not an e-mail address".to_owned() })
}

/// The organization; 404 only if it is certain that it is not on its way from another region.
async fn existing(app: &App, id: OrganizationId) -> Answer<Organization> {
    if let Some(found) = store::find(&app.db, id).await? {
        return Ok(found);
    }
    app.settle().await?;
    Ok(store::find(&app.db, id).await?.ok_or(Error::Absent)?)
}

async fn list(
    State(app): State<App>,
    Query((paging, NameFilter(filter))): Query<(Paging, NameFilter)>,
) -> Answer<Json<Listed<ManagedOrganization>>> {
    let found = store::list(&app.db, &filter, &paging.span()?).await?;
    let total = paging.total(store::count(&app.db, &filter)).await?;
    let shown = found.into_iter().map(ManagedOrganization::from).collect();
    Ok(Json(paging.page(shown, total, |shown: &ManagedOrganization| shown.organization.id)))
}

async fn get(State(app): State<App>, Path(id): Path<OrganizationId>) -> Answer<Json<ManagedOrganization>> {
    Ok(Json(existing(&app, id).await?.into()))
}

async fn create(
    State(app): State<App>,
    caller: Caller,
    key: Option<Key>,
    Json(body): Json<CreateOrganization>,
) -> Answer<Response> {
    let name = text::name("name", &body.name)?;
    let email = parse_email("owner_email", &body.owner_email)?;
    let limits = body.limits.read()?;
    if body.home_region != app.region {
        return Err(Error::NotHome.into());
    }
    app.require_organizations_generation()?;
    let now = app.clock.now();
    let derived = key.as_ref().map(|key| OrganizationId::from_uuid(key.derived_id("organization")));
    let id = match derived {
        // Else the key was used a day or longer ago, for something else.
        Some(id) if store::find(&app.db, id).await?.is_none() => id,
        _ => app.random.id(now),
    };
    let new = NewOrganization { id, name, owner: app.random.id(now), limits };
    let (token, maker) = (app.random.id(now), app.maker());
    let mutation = Mutation::by_platform_operator(&caller, id, "organization.create").under(key);
    let work = app.write(mutation, move |tx| {
        Box::pin(async move {
            organizations::create(tx, &new, &maker.region).await?;
            users::create(tx, new.owner, &email).await?;
            let (_, token) = first_token(tx, &maker, new.owner, token, "first").await?;
            let made = store::find(tx.connection(), new.id).await?.ok_or(Error::Absent)?;
            let owned =
                OwnedOrganization { organization: made.into(), owner_token: token.expose().to_owned() };
            let response = tx.answer(&new.id.to_string(), StatusCode::CREATED, &owned).await?;
            Ok((response, tx.next_position().seq.saturating_sub(1)))
        })
    });
    let (response, seq) = work.await?;
    // So that the owner can act at once. Where authz is late, the owner is told 503 and tries again.
    let _ = app.outbox.wait_applied(&caller, seq).await;
    Ok(response)
}

/// Changes an organization, and waits until that is in force in this region.
async fn change(
    app: &App,
    caller: &Caller,
    id: OrganizationId,
    action: &'static str,
    alter: impl FnOnce(&mut OrganizationPut) + Send + 'static,
) -> Answer<ManagedOrganization> {
    existing(app, id).await?;
    app.require_organizations_generation()?;
    let region = app.region.clone();
    let mutation = Mutation::by_platform_operator(caller, id, action);
    let work = app.write(mutation, move |tx| {
        Box::pin(async move {
            let changed = organizations::change(tx, &region, alter).await?;
            tx.audit(&id.to_string()).await?;
            Ok(changed)
        })
    });
    let changed = work.await?;
    app.enforce(caller, id).await?;
    Ok(changed.into())
}

async fn update(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<OrganizationId>,
    Json(body): Json<ManageOrganization>,
) -> Answer<Json<ManagedOrganization>> {
    let name = body.name.map(|name| text::name("name", &name)).transpose()?;
    let limits = body.limits.map(LimitsBody::read).transpose()?;
    let changed = change(&app, &caller, id, "organization.update", move |put| {
        put.name = name.unwrap_or_else(|| put.name.clone());
        put.limits = limits.unwrap_or(put.limits);
    });
    changed.await.map(Json)
}

async fn suspend(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<OrganizationId>,
) -> Answer<Json<ManagedOrganization>> {
    not_ending(&app, id).await?;
    let suspended = change(&app, &caller, id, "organization.suspend", |put| {
        put.state = OrganizationState::Suspended;
    });
    suspended.await.map(Json)
}

async fn resume(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<OrganizationId>,
) -> Answer<Json<ManagedOrganization>> {
    not_ending(&app, id).await?;
    let resumed = change(&app, &caller, id, "organization.resume", |put| {
        // It may be deleted since the look.
        if !put.deleting {
            put.state = OrganizationState::Active;
        }
    });
    resumed.await.map(Json)
}

/// An error if the organization is being deleted.
async fn not_ending(app: &App, id: OrganizationId) -> Answer<()> {
    match existing(app, id).await?.state {
        OrganizationIs::Active | OrganizationIs::Inactive => Ok(()),
        OrganizationIs::Deleting | OrganizationIs::Deleted => Err(Error::Deleting.into()),
    }
}

/// The first of two steps: its data is deleted by `organizations::purge`. A deletion that is repeated changes nothing.
async fn delete(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<OrganizationId>,
) -> Answer<(StatusCode, Json<ManagedOrganization>)> {
    let deleted = change(&app, &caller, id, "organization.delete", |put| {
        put.state = OrganizationState::Suspended;
        put.deleting = true;
    });
    Ok((StatusCode::ACCEPTED, Json(deleted.await?)))
}

async fn recover(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<OrganizationId>,
    key: Option<Key>,
    Json(body): Json<NewOwner>,
) -> Answer<Response> {
    let email = parse_email("email", &body.email)?;
    not_ending(&app, id).await?;
    app.require_organizations_generation()?;
    let now = app.clock.now();
    let (person, token, maker) = (app.random.id(now), app.random.id(now), app.maker());
    let mutation = Mutation::by_platform_operator(&caller, id, "organization.recover-owner").under(key);
    let work = app.write(mutation, move |tx| {
        Box::pin(async move {
            let owner = match users::store::by_email(tx.connection(), id, &email).await? {
                Some(known) if known.active => known.id,
                Some(_) => return Err(users::Error::Inactive.into()),
                None => {
                    users::create(tx, person, &email).await?;
                    person
                }
            };
            let installed = organizations::change(tx, &maker.region, |put| {
                put.owner_id = owner;
                put.installs_owner = true;
            });
            let changed = installed.await?;
            let (_, token) = first_token(tx, &maker, owner, token, "recovery").await?;
            let owned =
                OwnedOrganization { organization: changed.into(), owner_token: token.expose().to_owned() };
            Ok(tx.answer(&owner.to_string(), StatusCode::CREATED, &owned).await?)
        })
    });
    let response = work.await?;
    app.enforce(&caller, id).await?;
    Ok(response)
}

async fn list_tokens(State(app): State<App>, Query(paging): Query<Paging>) -> Answer<Json<Listed<Token>>> {
    tokens::http::page(&app, OPERATOR, &paging).await
}

async fn revoke_token(
    State(app): State<App>,
    caller: Caller,
    Path(token): Path<TokenId>,
) -> Answer<StatusCode> {
    tokens::http::end(&app, &caller, Mutation::by(&caller, "token.revoke"), OPERATOR, token).await
}
