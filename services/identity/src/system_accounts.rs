//! System accounts: principals that are programs. Replicated; made in the home region.

use access::{Action, Caller, Resource};
use axum::{extract::State, http::StatusCode, response::Response};
use ids::{OrganizationId, SystemAccountId, kinds};
use postgres::{Error, SqlId, Write, idempotency::Idempotency, on_constraint};
use serde::{Deserialize, Serialize};
use serde_json::json;
use sqlx::{FromRow, PgPool};
use time::OffsetDateTime;
use utoipa::ToSchema;
use web::{Answer, Api, Cursor, Cursored, Endpoint, Json, Path, Problem, Query, text};

use crate::{App, tokens};

pub fn endpoints(api: Api<App>) -> Api<App> {
    api.endpoint(
        Endpoint::get("/v3/system-accounts", "List system accounts")
            .answers::<Cursored<SystemAccount>>(StatusCode::OK),
        list,
    )
    .endpoint(
        Endpoint::post("/v3/system-accounts", "Create a system account")
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
            .body::<UpdateSystemAccount>()
            .answers::<SystemAccount>(StatusCode::OK),
        update,
    )
    .endpoint(
        Endpoint::delete("/v3/system-accounts/{account_id}", "Delete a system account and its tokens"),
        delete,
    )
}

#[derive(Debug, Serialize, ToSchema)]
pub struct SystemAccount {
    pub id: SystemAccountId,
    pub name: String,
    pub description: String,
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339")]
    pub updated_at: OffsetDateTime,
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

#[derive(FromRow)]
struct Row {
    id: SqlId<kinds::SystemAccount>,
    name: String,
    description: String,
    created_at: OffsetDateTime,
    updated_at: OffsetDateTime,
}

impl From<Row> for SystemAccount {
    fn from(row: Row) -> Self {
        Self {
            id: row.id.into(),
            name: row.name,
            description: row.description,
            created_at: row.created_at,
            updated_at: row.updated_at,
        }
    }
}

fn name_taken() -> Problem {
    Problem::conflict("name: the organization has a system account with this name")
}

/// 404 unless the account is the organization's.
pub async fn find(db: &PgPool, organization: OrganizationId, id: SystemAccountId) -> Answer<SystemAccount> {
    let row: Option<Row> =
        sqlx::query_as("SELECT * FROM replicated.system_account WHERE organization_id = $1 AND id = $2")
            .bind(SqlId(organization))
            .bind(SqlId(id))
            .fetch_optional(db)
            .await
            .map_err(Error::from)?;
    row.map(SystemAccount::from).ok_or_else(|| Problem::not_found("system account"))
}

async fn get(
    State(db): State<PgPool>,
    caller: Caller,
    Path(id): Path<SystemAccountId>,
) -> Answer<Json<SystemAccount>> {
    caller.may(Action::IamReadSystemAccounts, &Resource::Iam).await?;
    find(&db, caller.organization(), id).await.map(Json)
}

async fn list(
    State(db): State<PgPool>,
    caller: Caller,
    Query(cursor): Query<Cursor>,
) -> Answer<Json<Cursored<SystemAccount>>> {
    caller.may(Action::IamReadSystemAccounts, &Resource::Iam).await?;
    let after: Option<SystemAccountId> = cursor.after()?;
    let rows: Vec<Row> = sqlx::query_as(
        "SELECT * FROM replicated.system_account
         WHERE organization_id = $1 AND ($2::uuid IS NULL OR id > $2) ORDER BY id LIMIT $3",
    )
    .bind(SqlId(caller.organization()))
    .bind(after.map(SqlId))
    .bind(i64::from(cursor.size()?) + 1)
    .fetch_all(&db)
    .await
    .map_err(Error::from)?;
    cursor.page(rows.into_iter().map(SystemAccount::from).collect(), |account| account.id).map(Json)
}

async fn create(
    State(app): State<App>,
    caller: Caller,
    idempotency: Idempotency,
    Json(body): Json<CreateSystemAccount>,
) -> Answer<Response> {
    caller.may(Action::IamManageSystemAccounts, &Resource::Iam).await?;
    let name = text::name("name", &body.name)?;
    let description = text::description("description", &body.description)?;
    let id = SystemAccountId::generate();

    let mut write = Write::begin(&app.db, &caller.session, "system-account.create", idempotency).await?;
    let inserted: Result<Row, _> = sqlx::query_as(
        "INSERT INTO replicated.system_account (id, organization_id, name, description) VALUES ($1, $2, $3, $4) RETURNING *",
    )
    .bind(SqlId(id))
    .bind(SqlId(caller.organization()))
    .bind(name)
    .bind(description)
    .fetch_one(write.connection())
    .await;
    let account = SystemAccount::from(on_constraint(inserted, "system_account_name", name_taken)?);
    let seq =
        write.append("principal.put", &json!({"id": id, "kind": "system_account", "active": true})).await?;
    let response = write.answer(&id.to_string(), StatusCode::CREATED, &account).await?;
    // So that a role can be assigned to it at once.
    app.relay.applied(seq).await;
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

    let mut write =
        Write::begin(&app.db, &caller.session, "system-account.update", Idempotency::default()).await?;
    let updated: Result<Option<Row>, _> = sqlx::query_as(
        "UPDATE replicated.system_account
         SET name = coalesce($3, name), description = coalesce($4, description), updated_at = now()
         WHERE organization_id = $1 AND id = $2 RETURNING *",
    )
    .bind(SqlId(caller.organization()))
    .bind(SqlId(id))
    .bind(name)
    .bind(description)
    .fetch_optional(write.connection())
    .await;
    let row = on_constraint(updated, "system_account_name", name_taken)?;
    let account = row.map(SystemAccount::from).ok_or_else(|| Problem::not_found("system account"))?;
    write.commit(&id.to_string()).await?;
    Ok(Json(account))
}

async fn delete(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<SystemAccountId>,
) -> Answer<StatusCode> {
    caller.may(Action::IamManageSystemAccounts, &Resource::Iam).await?;
    let mut write =
        Write::begin(&app.db, &caller.session, "system-account.delete", Idempotency::default()).await?;
    let deleted = sqlx::query("DELETE FROM replicated.system_account WHERE organization_id = $1 AND id = $2")
        .bind(SqlId(caller.organization()))
        .bind(SqlId(id))
        .execute(write.connection())
        .await
        .map_err(Error::from)?;
    if deleted.rows_affected() == 0 {
        return Err(Problem::not_found("system account"));
    }
    tokens::revoke_all(&mut write, id.cast()).await?;
    let seq = write.append("principal.removed", &json!({"id": id})).await?;
    write.commit(&id.to_string()).await?;
    tokens::announce_revocation(&app, None).await;
    app.relay.applied(seq).await;
    Ok(StatusCode::NO_CONTENT)
}
