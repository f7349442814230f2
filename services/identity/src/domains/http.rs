//! Domains over HTTP. All of it is served in the organization's home region.

use access::{Action, Caller, Resource};
use axum::{extract::State, http::StatusCode, response::Response};
use mutation::{Key, Mutation};
use serde::Deserialize;
use utoipa::ToSchema;
use web::{Api, Endpoint, Json, Listed, Paging, Path, ProblemType, Query};

use super::{Domain, DomainId, Error, PER_ORGANIZATION_MAX, parse_name, store};
use crate::{app::App, authentication_settings, error::Answer};

/// Examples of refusals.
const TAKEN: &str = "name: the organization has this domain already";
const TOO_MANY: &str = "an organization has at most 100 domains; delete some first";
const NOT_PROVEN: &str = "DNS has no TXT record `_landbridge.example.com` with the text of this domain; make it, wait until it is published, and try again";
/// Bytes of randomness of the text that DNS has to have.
const CHALLENGE_BYTES: usize = 20;

/// Adds the endpoints of domains.
pub fn endpoints(api: Api<App>) -> Api<App> {
    const ALL: &str = "/v3/domains";
    const ONE: &str = "/v3/domains/{domain_id}";
    api.endpoint(
        Endpoint::get(ALL, "List the e-mail domains that the organization claims")
            .query::<Paging>()
            .home()
            .answers::<Listed<Domain>>(StatusCode::OK),
        list,
    )
    .endpoint(
        Endpoint::post(
            ALL,
            "Claim an e-mail domain; the answer says which TXT record shows that it is yours",
        )
        .refuses(ProblemType::Conflict, TAKEN)
        .refuses(ProblemType::LimitReached, TOO_MANY)
        .home()
        .body::<CreateDomain>()
        .answers::<Domain>(StatusCode::CREATED),
        create,
    )
    .endpoint(Endpoint::get(ONE, "One domain").home().answers::<Domain>(StatusCode::OK), get)
    .endpoint(
        Endpoint::post(format!("{ONE}/verify"), "Look in DNS whether the domain is yours")
            .refuses(ProblemType::Conflict, NOT_PROVEN)
            .home()
            .answers::<Domain>(StatusCode::OK),
        verify,
    )
    .endpoint(Endpoint::delete(ONE, "Give a domain up; people with addresses in it stay").home(), delete)
}

/// The body of a request that claims a domain.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateDomain {
    /// As in `example.com`. Names with other letters are written in their ASCII form.
    name: String,
}

async fn list(
    State(app): State<App>,
    caller: Caller,
    Query(paging): Query<Paging>,
) -> Answer<Json<Listed<Domain>>> {
    caller.may(Action::IamReadUsers, &Resource::Iam).await?;
    let organization = caller.organization();
    let domains = store::list(&app.db, organization, &paging.span()?).await?;
    let total = paging.total(store::count(&app.db, organization)).await?;
    Ok(Json(paging.page(domains, total, |domain| domain.id)))
}

async fn get(State(app): State<App>, caller: Caller, Path(id): Path<DomainId>) -> Answer<Json<Domain>> {
    caller.may(Action::IamReadUsers, &Resource::Iam).await?;
    Ok(Json(store::find(&app.db, caller.organization(), id).await?.ok_or(Error::Absent)?))
}

async fn create(
    State(app): State<App>,
    caller: Caller,
    key: Option<Key>,
    Json(body): Json<CreateDomain>,
) -> Answer<Response> {
    caller.may(Action::IamManageUsers, &Resource::Iam).await?;
    let (organization, now) = (caller.organization(), app.clock.now());
    let challenge = hex::encode(app.random.bytes::<CHALLENGE_BYTES>());
    let domain = Domain::new(app.random.id(now), parse_name(&body.name)?, &challenge, now, None);
    let mut tx = Mutation::by(&caller, "domain.create").under(key).begin(&app.db).await?;
    authentication_settings::lock(tx.connection(), organization).await?;
    if store::count(tx.connection(), organization).await? >= PER_ORGANIZATION_MAX {
        return Err(Error::LimitReached.into());
    }
    store::insert(tx.connection(), organization, &domain, &challenge).await?;
    Ok(tx.answer(&domain.id.to_string(), StatusCode::CREATED, &domain).await?)
}

async fn verify(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<DomainId>,
    key: Option<Key>,
) -> Answer<Response> {
    caller.may(Action::IamManageUsers, &Resource::Iam).await?;
    let organization = caller.organization();
    let domain = store::find(&app.db, organization, id).await?.ok_or(Error::Absent)?;
    if !app.dns.says(&domain.record_name, &domain.record_value).await? {
        return Err(Error::NotProven(domain.record_name).into());
    }
    let mut tx = Mutation::by(&caller, "domain.verify").under(key).begin(&app.db).await?;
    let now = app.clock.now();
    let domain = store::verify(tx.connection(), organization, id, now).await?.ok_or(Error::Absent)?;
    Ok(tx.answer(&id.to_string(), StatusCode::OK, &domain).await?)
}

async fn delete(State(app): State<App>, caller: Caller, Path(id): Path<DomainId>) -> Answer<StatusCode> {
    caller.may(Action::IamManageUsers, &Resource::Iam).await?;
    let mut tx = Mutation::by(&caller, "domain.delete").begin(&app.db).await?;
    if !store::delete(tx.connection(), caller.organization(), id).await? {
        return Err(Error::Absent.into());
    }
    tx.commit(&id.to_string()).await?;
    Ok(StatusCode::NO_CONTENT)
}
