//! People over HTTP. All of it is served in the organization's home region.

use access::{Action, Caller, Resource};
use axum::{extract::State, http::StatusCode};
use ids::UserId;
use mutation::Mutation;
use serde::Deserialize;
use utoipa::ToSchema;
use web::{
    Api, Endpoint, Given, Json, Listed, Paging, Parameter, Path, Problem, ProblemType, Protection, Query,
    QueryParameters, TextFilter, Values,
};

use super::{Changes, Error, PersonFilter, Removed, User, parse_full_name, store};
use crate::{app::App, error::Answer, revocations::Ended};

/// To a caller that is no person.
const NOT_A_PERSON: &str = "this token is a system account's, not a person's";
/// Example of a refusal.
const OWNER: &str = "the organization's owner can be neither deactivated nor removed";

/// Adds the endpoints of people.
pub fn endpoints(api: Api<App>) -> Api<App> {
    const ONE: &str = "/v3/users/{user_id}";
    api.endpoint(
        Endpoint::get("/v3/users/me", "The person behind the token")
            .refuses(ProblemType::Forbidden, NOT_A_PERSON)
            .refuses(ProblemType::NotFound, "no such user")
            .protection(Protection::Caller)
            .home()
            .answers::<User>(StatusCode::OK),
        me,
    )
    .endpoint(
        Endpoint::get("/v3/users", "List the organization's people")
            .query::<(Paging, PersonFilter)>()
            .home()
            .answers::<Listed<User>>(StatusCode::OK),
        list,
    )
    .endpoint(Endpoint::get(ONE, "One person").home().answers::<User>(StatusCode::OK), get)
    .endpoint(
        Endpoint::patch(ONE, "Change a person, deactivate it or make it active again")
            .refuses(ProblemType::Conflict, OWNER)
            .home()
            .body::<UpdateUser>()
            .answers::<User>(StatusCode::OK),
        update,
    )
    .endpoint(
        Endpoint::delete(ONE, "Remove a person for ever, with its tokens and sessions")
            .refuses(ProblemType::Conflict, OWNER)
            .home(),
        delete,
    )
}

/// The body of a request that changes a person. What is left out stays as it is.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UpdateUser {
    /// At most 128 characters; may be empty.
    full_name: Option<String>,
    /// `false` ends the person's tokens and sessions at once, for ever, in every region. A person that is active again gets new ones.
    active: Option<bool>,
}

impl QueryParameters for PersonFilter {
    fn parameters() -> Vec<Parameter> {
        let mut parameters = TextFilter::parameters("email", "ada@example.com");
        parameters.extend(TextFilter::parameters("full_name", "Ada Lovelace"));
        let active = "Only people who may use the organization, or only those who may not.";
        parameters.push(Parameter::new("filter[active]", Values::Boolean, active, "true"));
        parameters
    }

    fn read(given: &Given) -> Result<Self, Problem> {
        Ok(Self {
            email: TextFilter::read(given, "email")?,
            full_name: TextFilter::read(given, "full_name")?,
            active: given.text("filter[active]").map(|value| value == "true"),
        })
    }
}

async fn me(State(app): State<App>, caller: Caller) -> Answer<Json<User>> {
    if !caller.is_user() {
        return Err(Problem::forbidden(NOT_A_PERSON).into());
    }
    existing(&app, &caller, caller.principal().cast()).await.map(Json)
}

async fn get(State(app): State<App>, caller: Caller, Path(id): Path<UserId>) -> Answer<Json<User>> {
    caller.may(Action::IamReadUsers, &Resource::Iam).await?;
    existing(&app, &caller, id).await.map(Json)
}

async fn list(
    State(app): State<App>,
    caller: Caller,
    Query((paging, filter)): Query<(Paging, PersonFilter)>,
) -> Answer<Json<Listed<User>>> {
    caller.may(Action::IamReadUsers, &Resource::Iam).await?;
    let organization = caller.organization();
    let users = store::list(&app.db, organization, &filter, &paging.span()?).await?;
    let total = paging.total(store::count(&app.db, organization, &filter)).await?;
    Ok(Json(paging.page(users, total, |user| user.id)))
}

async fn update(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<UserId>,
    Json(body): Json<UpdateUser>,
) -> Answer<Json<User>> {
    caller.may(Action::IamManageUsers, &Resource::Iam).await?;
    let full_name = body.full_name.map(|name| parse_full_name("full_name", &name)).transpose()?;
    let changes = Changes { full_name, active: body.active };
    let by = caller.principal();
    let work = app.write(Mutation::by(&caller, "user.update"), move |tx| {
        Box::pin(async move {
            let person = super::update(tx, by, id, changes).await?;
            tx.audit(&id.to_string()).await?;
            Ok(person)
        })
    });
    let person = work.await?;
    if body.active.is_some() {
        until_heard(&app, &caller).await?;
    }
    Ok(Json(person))
}

/// Removes, and waits until authz refuses the person's sessions as well. A removal that is repeated waits again.
async fn delete(State(app): State<App>, caller: Caller, Path(id): Path<UserId>) -> Answer<StatusCode> {
    caller.may(Action::IamManageUsers, &Resource::Iam).await?;
    let by = caller.principal();
    let work = app.write(Mutation::by(&caller, "user.delete"), move |tx| {
        Box::pin(async move {
            if super::remove(tx, by, id).await? == Removed::Now {
                tx.audit(&id.to_string()).await?;
            }
            Ok(())
        })
    });
    work.await?;
    until_heard(&app, &caller).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Waits until everybody in this region knows which of the organization's sessions have ended, whoever ended them and when.
async fn until_heard(app: &App, caller: &Caller) -> Answer<()> {
    app.announcer.announce(Ended::Any).await;
    let written = app.log.replica().organization_vector(caller.organization()).await?;
    let seq = written.get(app.log.origin()).map_or(0, |position| position.seq);
    app.outbox.wait_applied(caller, seq).await.map_err(|_| Error::StillHonoured)?;
    Ok(())
}

async fn existing(app: &App, caller: &Caller, id: UserId) -> Answer<User> {
    Ok(store::find(&app.db, caller.organization(), id).await?.ok_or(Error::Absent)?)
}
