//! System accounts over HTTP.

use crate::Answer;
use access::{Action, Caller, Resource};
use axum::{extract::State, http::StatusCode, response::Response};
use ids::SystemAccountId;
use mutation::{Key, Mutation};
use serde::Deserialize;
use sqlx::PgPool;
use utoipa::ToSchema;
use web::{Api, Cursor, Cursored, Endpoint, Json, Path, Problem, ProblemType, Query, text};

use super::SystemAccount;
use crate::{
    app::App,
    operation::{Operation, SystemAccountPut},
    revocations::{self, Ended},
    tokens,
};

/// Example of a refusal.
const NAME_TAKEN: &str = "name: the organization has a system account with this name";

pub fn endpoints(api: Api<App>) -> Api<App> {
    api.endpoint(
        Endpoint::get("/v3/system-accounts", "List system accounts")
            .answers::<Cursored<SystemAccount>>(StatusCode::OK),
        list,
    )
    .endpoint(
        Endpoint::post("/v3/system-accounts", "Create a system account")
            .refuses(ProblemType::Conflict, NAME_TAKEN)
            .home()
            .body::<CreateSystemAccount>()
            .answers::<SystemAccount>(StatusCode::CREATED),
        create,
    )
    .endpoint(
        Endpoint::get("/v3/system-accounts/{account_id}", "One system account")
            .answers::<SystemAccount>(StatusCode::OK),
        get,
    )
    .endpoint(
        Endpoint::patch("/v3/system-accounts/{account_id}", "Change a system account")
            .refuses(ProblemType::Conflict, NAME_TAKEN)
            .home()
            .body::<UpdateSystemAccount>()
            .answers::<SystemAccount>(StatusCode::OK),
        update,
    )
    .endpoint(
        Endpoint::delete("/v3/system-accounts/{account_id}", "Delete a system account and its tokens").home(),
        delete,
    )
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateSystemAccount {
    /// Unique in the organization.
    name: String,
    #[serde(default)]
    description: String,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UpdateSystemAccount {
    name: Option<String>,
    description: Option<String>,
}

impl App {
    /// 404 unless the account is the caller's organization's, and it is certain that it is not on its way.
    pub async fn account(&self, caller: &Caller, id: SystemAccountId) -> Answer<SystemAccount> {
        match super::find(&self.db, caller.organization(), id).await {
            Err(crate::Error::Refused(problem)) if problem.kind == ProblemType::NotFound => {
                self.settle().await?;
                super::find(&self.db, caller.organization(), id).await
            }
            found => found,
        }
    }
}

async fn get(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<SystemAccountId>,
) -> Answer<Json<SystemAccount>> {
    caller.may(Action::IamReadSystemAccounts, &Resource::Iam).await?;
    app.account(&caller, id).await.map(Json)
}

async fn list(
    State(db): State<PgPool>,
    caller: Caller,
    Query(cursor): Query<Cursor>,
) -> Answer<Json<Cursored<SystemAccount>>> {
    caller.may(Action::IamReadSystemAccounts, &Resource::Iam).await?;
    let limit = i64::from(cursor.size()?) + 1;
    let accounts = super::list(&db, caller.organization(), cursor.after()?, limit).await?;
    Ok(Json(cursor.page(accounts, |account| account.id)?))
}

async fn create(
    State(app): State<App>,
    caller: Caller,
    key: Option<Key>,
    Json(body): Json<CreateSystemAccount>,
) -> Answer<Response> {
    caller.may(Action::IamManageSystemAccounts, &Resource::Iam).await?;
    let name = text::name("name", &body.name)?;
    let description = text::description("description", &body.description)?;
    let mutation = Mutation::by(&caller, "system-account.create").under(key.clone());
    let work = app.write(mutation, move |tx| {
        Box::pin(async move {
            let account = super::create(tx, key.as_ref(), name, description).await?;
            let response = tx.answer(&account.id.to_string(), StatusCode::CREATED, &account).await?;
            Ok((response, tx.next_position().seq.saturating_sub(1)))
        })
    });
    let (response, seq) = work.await?;
    // So that a role can be assigned to it at once. Where authz is late, that is answered 503 and tried again.
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
    let organization = caller.organization();
    let work = app.write(Mutation::by(&caller, "system-account.update"), move |tx| {
        Box::pin(async move {
            let before = super::find(tx.connection(), organization, id).await?;
            let put = SystemAccountPut {
                id,
                name: name.unwrap_or(before.name),
                description: description.unwrap_or(before.description),
            };
            super::write(tx, put).await?;
            tx.audit(&id.to_string()).await?;
            super::find(tx.connection(), organization, id).await
        })
    });
    work.await.map(Json)
}

async fn delete(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<SystemAccountId>,
) -> Answer<StatusCode> {
    caller.may(Action::IamManageSystemAccounts, &Resource::Iam).await?;
    let organization = caller.organization();
    let work = app.write(Mutation::by(&caller, "system-account.delete"), move |tx| {
        Box::pin(async move {
            super::find(tx.connection(), organization, id).await?;
            tokens::revoke_all(tx, id.cast()).await?;
            tx.append(Operation::SystemAccountRemoved { id }).await?;
            let place = tx.append(Operation::PrincipalRemoved { id: id.cast() }).await?;
            tx.audit(&id.to_string()).await?;
            Ok(place.seq)
        })
    });
    let seq = work.await?;
    revocations::announce(&app.nats, &app.region, Ended::Any).await;
    if app.outbox.wait_applied(&caller, seq).await {
        Ok(StatusCode::NO_CONTENT)
    } else {
        Err(Problem::unavailable(
            "the account is deleted; sessions made from its tokens may last until authz can be reached; try again",
        )
        .into())
    }
}
