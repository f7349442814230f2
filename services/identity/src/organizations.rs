//! Organizations: the replicated directory of who exists and where their home is.

use access::Caller;
use axum::{extract::State, http::StatusCode};
use ids::{OrganizationId, Region, UserId, kinds};
use postgres::{Error, SqlId, Write, on_constraint};
use serde::Serialize;
use serde_json::json;
use sqlx::{FromRow, PgPool};
use time::OffsetDateTime;
use utoipa::ToSchema;
use web::{Answer, Api, Endpoint, Json, Problem, Protection};

use crate::App;

pub fn endpoints(api: Api<App>) -> Api<App> {
    api.endpoint(
        Endpoint::get("/v3/organizations/me", "The organization of the caller")
            .protection(Protection::Caller)
            .answers::<Organization>(StatusCode::OK),
        me,
    )
}

#[derive(Debug, Serialize, ToSchema)]
pub struct Organization {
    pub id: OrganizationId,
    pub name: String,
    pub owner_id: UserId,
    pub home_region: String,
    /// `active` or `suspended`.
    pub state: String,
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339")]
    pub updated_at: OffsetDateTime,
}

#[derive(FromRow)]
struct Row {
    id: SqlId<kinds::Organization>,
    name: String,
    owner_id: SqlId<kinds::User>,
    home_region: String,
    state: String,
    created_at: OffsetDateTime,
    updated_at: OffsetDateTime,
}

impl From<Row> for Organization {
    fn from(row: Row) -> Self {
        Self {
            id: row.id.into(),
            name: row.name,
            owner_id: row.owner_id.into(),
            home_region: row.home_region,
            state: row.state,
            created_at: row.created_at,
            updated_at: row.updated_at,
        }
    }
}

pub struct NewOrganization {
    pub id: OrganizationId,
    pub name: String,
    pub owner: UserId,
}

pub async fn by_name(db: &PgPool, name: &str) -> Result<Option<Organization>, Error> {
    let row: Option<Row> = sqlx::query_as("SELECT * FROM replicated.organization WHERE name = $1")
        .bind(name)
        .fetch_optional(db)
        .await?;
    Ok(row.map(Organization::from))
}

/// Inserts the organization and tells authz of it, and of its owner as Organization Admin.
pub async fn insert(write: &mut Write, new: &NewOrganization, region: &Region) -> Answer<()> {
    let inserted = sqlx::query(
        "INSERT INTO replicated.organization (id, name, owner_id, home_region) VALUES ($1, $2, $3, $4)",
    )
    .bind(SqlId(new.id))
    .bind(&new.name)
    .bind(SqlId(new.owner))
    .bind(region.as_str())
    .execute(write.connection())
    .await;
    on_constraint(inserted, "organization_name", || {
        Problem::conflict("an organization with this name exists")
    })?;
    write.append("organization.created", &json!({"owner_id": new.owner})).await?;
    Ok(())
}

async fn me(State(db): State<PgPool>, caller: Caller) -> Answer<Json<Organization>> {
    let row: Option<Row> = sqlx::query_as("SELECT * FROM replicated.organization WHERE id = $1")
        .bind(SqlId(caller.organization()))
        .fetch_optional(&db)
        .await
        .map_err(Error::from)?;
    row.map(|row| Json(row.into())).ok_or_else(|| Problem::not_found("organization"))
}
