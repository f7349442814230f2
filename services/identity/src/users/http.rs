//! People over HTTP. All of it is served in the organization's home region.

use access::{Action, Caller, Resource};
use axum::{extract::State, http::StatusCode};
use ids::UserId;
use web::{
    Api, Endpoint, Given, Json, Listed, Paging, Parameter, Path, Problem, ProblemType, Protection, Query,
    QueryParameters, TextFilter, Values,
};

use super::{Error, PersonFilter, User, store};
use crate::{app::App, error::Answer};

/// To a caller that is no person.
const NOT_A_PERSON: &str = "this token is a system account's, not a person's";

/// Adds the endpoints of people.
pub fn endpoints(api: Api<App>) -> Api<App> {
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
    .endpoint(Endpoint::get("/v3/users/{user_id}", "One person").home().answers::<User>(StatusCode::OK), get)
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

async fn existing(app: &App, caller: &Caller, id: UserId) -> Answer<User> {
    Ok(store::find(&app.db, caller.organization(), id).await?.ok_or(Error::Absent)?)
}
