//! System accounts over HTTP. They are written in the organization's home region and read in every region.

use access::{Action, Caller, Resource};
use axum::{extract::State, http::StatusCode, response::Response};
use ids::SystemAccountId;
use mutation::{Key, Mutation};
use serde::Deserialize;
use utoipa::ToSchema;
use web::{
    Api, Endpoint, Given, Json, Listed, Paging, Parameter, Path, Problem, ProblemType, Query,
    QueryParameters, TextFilter, Values, text,
};

use super::{AccountFilter, Deleted, Error, NewAccount, SystemAccount, store};
use crate::{app::App, error::Answer, operation::ACCOUNTS_GENERATION, revocations::Ended};

/// Example of a refusal.
const NAME_TAKEN: &str = "name: the organization has a system account with this name";

/// Adds the endpoints of system accounts.
pub fn endpoints(api: Api<App>) -> Api<App> {
    const ALL: &str = "/v3/system-accounts";
    const ONE: &str = "/v3/system-accounts/{account_id}";
    api.endpoint(
        Endpoint::get(ALL, "List system accounts")
            .query::<(Paging, AccountFilter)>()
            .answers::<Listed<SystemAccount>>(StatusCode::OK),
        list,
    )
    .endpoint(
        Endpoint::post(ALL, "Create a system account")
            .refuses(ProblemType::Conflict, NAME_TAKEN)
            .home()
            .body::<CreateSystemAccount>()
            .answers::<SystemAccount>(StatusCode::CREATED),
        create,
    )
    .endpoint(Endpoint::get(ONE, "One system account").answers::<SystemAccount>(StatusCode::OK), get)
    .endpoint(
        Endpoint::patch(ONE, "Change a system account")
            .refuses(ProblemType::Conflict, NAME_TAKEN)
            .home()
            .body::<UpdateSystemAccount>()
            .answers::<SystemAccount>(StatusCode::OK),
        update,
    )
    .endpoint(Endpoint::delete(ONE, "Delete a system account and its tokens").home(), delete)
}

impl QueryParameters for AccountFilter {
    fn parameters() -> Vec<Parameter> {
        let mut parameters = TextFilter::parameters("name", "ci");
        parameters.extend(TextFilter::parameters("description", "Deploys"));
        let managed =
            "Only accounts that Konnect manages, of which there are none, or only those that it does not.";
        parameters.push(Parameter::new("filter[konnect_managed]", Values::Boolean, managed, "false"));
        parameters
    }

    fn read(given: &Given) -> Result<Self, Problem> {
        Ok(Self {
            name: TextFilter::read(given, "name")?,
            description: TextFilter::read(given, "description")?,
            none: given.is_true("filter[konnect_managed]"),
        })
    }
}

/// The body of a request that makes a system account.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateSystemAccount {
    /// Unique in the organization.
    name: String,
    description: Option<String>,
    /// Only `false` or `null`: nobody else manages accounts here.
    konnect_managed: Option<bool>,
}

/// The body of a request that changes a system account. What is left out stays as it is.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UpdateSystemAccount {
    name: Option<String>,
    description: Option<String>,
}

/// The account of the caller's organization; 404 only if it is certain that it is not on its way from another region.
pub async fn existing(app: &App, caller: &Caller, id: SystemAccountId) -> Answer<SystemAccount> {
    let organization = caller.organization();
    if let Some(account) = store::find(&app.db, organization, id).await? {
        return Ok(account);
    }
    app.settle().await?;
    Ok(store::find(&app.db, organization, id).await?.ok_or(Error::Absent)?)
}

async fn get(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<SystemAccountId>,
) -> Answer<Json<SystemAccount>> {
    caller.may(Action::IamReadSystemAccounts, &Resource::Iam).await?;
    existing(&app, &caller, id).await.map(Json)
}

async fn list(
    State(app): State<App>,
    caller: Caller,
    Query((paging, filter)): Query<(Paging, AccountFilter)>,
) -> Answer<Json<Listed<SystemAccount>>> {
    caller.may(Action::IamReadSystemAccounts, &Resource::Iam).await?;
    let organization = caller.organization();
    let accounts = store::list(&app.db, organization, &filter, &paging.span()?).await?;
    let total = paging.total(store::count(&app.db, organization, &filter)).await?;
    Ok(Json(paging.page(accounts, total, |account| account.id)))
}

async fn create(
    State(app): State<App>,
    caller: Caller,
    key: Option<Key>,
    Json(body): Json<CreateSystemAccount>,
) -> Answer<Response> {
    caller.may(Action::IamManageSystemAccounts, &Resource::Iam).await?;
    let name = text::name("name", &body.name)?;
    let description = text::description("description", &body.description.unwrap_or_default())?;
    if body.konnect_managed == Some(true) {
        let reason = "only `false`: the organization manages its accounts itself";
        return Err(Problem::invalid_field("konnect_managed", reason).into());
    }
    // A region of an earlier release would lose it.
    let konnect_managed = body.konnect_managed.filter(|_| app.replication.all_read(ACCOUNTS_GENERATION));
    let new = NewAccount { name, description, konnect_managed };
    let mutation = Mutation::by(&caller, "system-account.create").under(key.clone());
    let random = app.random.clone();
    let work = app.write(mutation, move |tx| {
        Box::pin(async move {
            let account = super::create(tx, key.as_ref(), &random, new).await?;
            let response = tx.answer(&account.id.to_string(), StatusCode::CREATED, &account).await?;
            Ok((response, tx.next_position().seq.saturating_sub(1)))
        })
    });
    let (response, seq) = work.await?;
    // So that a role can be assigned to it at once. Where authz is late, that assignment is answered 503 and tried again.
    let _ = app.outbox.wait_applied(&caller, seq).await;
    Ok(response)
}

async fn update(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<SystemAccountId>,
    Json(body): Json<UpdateSystemAccount>,
) -> Answer<Json<SystemAccount>> {
    caller.may(Action::IamManageSystemAccounts, &Resource::Iam).await?;
    let name = body.name.map(|name| text::name("name", &name)).transpose()?;
    let description = body.description.map(|words| text::description("description", &words)).transpose()?;
    let work = app.write(Mutation::by(&caller, "system-account.update"), move |tx| {
        Box::pin(async move {
            let account = super::update(tx, id, name, description).await?;
            tx.audit(&id.to_string()).await?;
            Ok(account)
        })
    });
    work.await.map(Json)
}

/// Deletes, and waits until authz refuses the account's sessions as well. A deletion that is repeated waits again.
async fn delete(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<SystemAccountId>,
) -> Answer<StatusCode> {
    caller.may(Action::IamManageSystemAccounts, &Resource::Iam).await?;
    let work = app.write(Mutation::by(&caller, "system-account.delete"), move |tx| {
        Box::pin(async move {
            let deleted = super::delete(tx, id).await?;
            if deleted == Deleted::Now {
                tx.audit(&id.to_string()).await?;
            }
            Ok(())
        })
    });
    work.await?;
    app.announcer.announce(Ended::Any).await;
    // The deletion is among what this region has written of the organization, whoever wrote it and when.
    let written = app.log.replica().organization_vector(caller.organization()).await?;
    let seq = written.get(app.log.origin()).map_or(0, |position| position.seq);
    app.outbox.wait_applied(&caller, seq).await.map_err(|_| Error::StillHonoured)?;
    Ok(StatusCode::NO_CONTENT)
}
