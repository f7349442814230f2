//! Users: people, resident in their organization's home region.

use crate::Answer;
use access::{Action, Caller, PrincipalKind, Resource};
use axum::{extract::State, http::StatusCode};
use ids::{OrganizationId, UserId, kinds};
use postgres::{Error, SqlId};
use serde::Serialize;
use sqlx::{FromRow, PgPool};
use time::OffsetDateTime;
use utoipa::ToSchema;
use web::{Api, Cursor, Cursored, Endpoint, Json, Path, Problem, ProblemType, Protection, Query};

use crate::{
    app::{App, Tx},
    operation::Operation,
};

/// Longest e-mail address, bytes (RFC 5321).
const EMAIL_BYTES_MAX: usize = 254;

pub fn endpoints(api: Api<App>) -> Api<App> {
    api.endpoint(
        Endpoint::get("/v3/users/me", "The person behind the token")
            .refuses(ProblemType::Forbidden, "this token is a system account's, not a person's")
            .refuses(ProblemType::NotFound, "no such user")
            .protection(Protection::Caller)
            .home()
            .answers::<User>(StatusCode::OK),
        me,
    )
    .endpoint(
        Endpoint::get("/v3/users", "List the organization's people")
            .home()
            .answers::<Cursored<User>>(StatusCode::OK),
        list,
    )
    .endpoint(Endpoint::get("/v3/users/{user_id}", "One person").home().answers::<User>(StatusCode::OK), get)
}

#[derive(Debug, Serialize, ToSchema)]
pub struct User {
    pub id: UserId,
    pub email: String,
    pub full_name: String,
    pub active: bool,
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339")]
    pub updated_at: OffsetDateTime,
}

#[derive(FromRow)]
struct Row {
    id: SqlId<kinds::User>,
    email: String,
    full_name: String,
    active: bool,
    created_at: OffsetDateTime,
    updated_at: OffsetDateTime,
}

impl From<Row> for User {
    fn from(row: Row) -> Self {
        Self {
            id: row.id.into(),
            email: row.email,
            full_name: row.full_name,
            active: row.active,
            created_at: row.created_at,
            updated_at: row.updated_at,
        }
    }
}

/// The address in lower case; `None` if it cannot be one.
pub fn parse_email(text: &str) -> Option<String> {
    let text = text.trim();
    let (local, domain) = text.rsplit_once('@')?;
    let plausible = !local.is_empty()
        && !domain.is_empty()
        && text.len() <= EMAIL_BYTES_MAX
        && !text.chars().any(|c| c.is_whitespace() || c.is_control());
    plausible.then(|| text.to_lowercase())
}

/// Makes a person, and the principal that other regions and authz know of.
pub async fn create(tx: &mut Tx<'_>, id: UserId, email: &str) -> Answer<()> {
    let organization = tx.organization();
    let inserted = sqlx::query(
        "INSERT INTO resident.person (id, organization_id, email, full_name) VALUES ($1, $2, $3, $4)",
    )
    .bind(SqlId(id))
    .bind(SqlId(organization))
    .bind(email)
    .bind("")
    .execute(tx.connection())
    .await;
    inserted.map_err(Error::from).map_err(|error| match error.violates("person_email") {
        true => Problem::conflict("the organization has a person with this address").into(),
        false => crate::Error::from(error),
    })?;
    let put =
        Operation::PrincipalPut { id: id.cast(), kind: PrincipalKind::User, active: true, not_before: None };
    tx.append(put).await?;
    Ok(())
}

async fn find(db: &PgPool, organization: OrganizationId, id: UserId) -> Answer<User> {
    let row: Option<Row> =
        sqlx::query_as("SELECT * FROM resident.person WHERE organization_id = $1 AND id = $2")
            .bind(SqlId(organization))
            .bind(SqlId(id))
            .fetch_optional(db)
            .await
            .map_err(Error::from)?;
    Ok(row.map(User::from).ok_or_else(|| Problem::not_found("user"))?)
}

async fn me(State(db): State<PgPool>, caller: Caller) -> Answer<Json<User>> {
    if !caller.is_user() {
        return Err(Problem::forbidden("this token is a system account's, not a person's").into());
    }
    find(&db, caller.organization(), caller.principal().cast()).await.map(Json)
}

async fn get(State(db): State<PgPool>, caller: Caller, Path(id): Path<UserId>) -> Answer<Json<User>> {
    caller.may(Action::IamReadUsers, &Resource::Iam).await?;
    find(&db, caller.organization(), id).await.map(Json)
}

async fn list(
    State(db): State<PgPool>,
    caller: Caller,
    Query(cursor): Query<Cursor>,
) -> Answer<Json<Cursored<User>>> {
    caller.may(Action::IamReadUsers, &Resource::Iam).await?;
    let after: Option<UserId> = cursor.after()?;
    let rows: Vec<Row> = sqlx::query_as(
        "SELECT * FROM resident.person
         WHERE organization_id = $1 AND ($2::uuid IS NULL OR id > $2) ORDER BY id LIMIT $3",
    )
    .bind(SqlId(caller.organization()))
    .bind(after.map(SqlId))
    .bind(i64::from(cursor.size()?) + 1)
    .fetch_all(&db)
    .await
    .map_err(Error::from)?;
    Ok(Json(cursor.page(rows.into_iter().map(User::from).collect(), |user| user.id)?))
}
