//! Organizations: the replicated directory of who exists and where their home is.

use crate::Answer;
use access::Caller;
use axum::{extract::State, http::StatusCode};
use futures::future::BoxFuture;
use ids::{OrganizationId, Region, UserId, kinds};
use postgres::{Error, SqlId};
use serde::Serialize;
use service::Homes;
use sqlx::{FromRow, PgConnection, PgExecutor, PgPool};
use time::OffsetDateTime;
use utoipa::ToSchema;
use web::{Api, Endpoint, Json, Problem, Protection};

use crate::{
    app::{App, Tx},
    operation::{Operation, OrganizationPut, OrganizationState},
};

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

pub async fn by_name(executor: impl PgExecutor<'_>, name: &str) -> Result<Option<Organization>, Error> {
    // Made in two regions that had not heard of each other, two may have one name: the older one has it.
    let row: Option<Row> = sqlx::query_as(
        "SELECT * FROM replicated.organization WHERE name = $1 ORDER BY created_at, id LIMIT 1",
    )
    .bind(name)
    .fetch_optional(executor)
    .await?;
    Ok(row.map(Organization::from))
}

/// Makes the organization, with its home in `region`. authz makes its owner Organization Admin.
pub async fn create(tx: &mut Tx<'_>, new: &NewOrganization, region: &Region) -> Answer<()> {
    if by_name(tx.connection(), &new.name).await?.is_some() {
        return Err(Problem::conflict("an organization with this name exists").into());
    }
    let put = Operation::OrganizationPut(OrganizationPut {
        name: new.name.clone(),
        owner_id: new.owner,
        home_region: region.clone(),
        state: OrganizationState::Active,
    });
    tx.append(put).await?;
    Ok(())
}

/// Applies an operation.
pub async fn put(
    connection: &mut PgConnection,
    id: OrganizationId,
    at: OffsetDateTime,
    put: &OrganizationPut,
) -> Result<(), Error> {
    sqlx::query(
        "INSERT INTO replicated.organization (id, name, owner_id, home_region, state, created_at, updated_at)
         VALUES ($1, $2, $3, $4, $5, $6, $6)
         ON CONFLICT (id) DO UPDATE SET name = excluded.name, owner_id = excluded.owner_id,
             home_region = excluded.home_region, state = excluded.state, updated_at = excluded.updated_at",
    )
    .bind(SqlId(id))
    .bind(&put.name)
    .bind(SqlId(put.owner_id))
    .bind(put.home_region.as_str())
    .bind(put.state.as_str())
    .bind(at)
    .execute(connection)
    .await?;
    Ok(())
}

/// The caller's organization. A caller vouches for its existence: what is not here yet is on its way.
async fn find(db: &PgPool, id: OrganizationId) -> Answer<Organization> {
    let row: Option<Row> = sqlx::query_as("SELECT * FROM replicated.organization WHERE id = $1")
        .bind(SqlId(id))
        .fetch_optional(db)
        .await
        .map_err(Error::from)?;
    let found = row.map(Organization::from).ok_or_else(|| {
        Problem::not_yet_replicated("the organization has not arrived in this region yet; try again")
    });
    Ok(found?)
}

async fn me(State(db): State<PgPool>, caller: Caller) -> Answer<Json<Organization>> {
    find(&db, caller.organization()).await.map(Json)
}

/// Where organizations are at home, from the directory.
pub struct Directory(pub PgPool);

impl Homes for Directory {
    fn home(&self, organization: OrganizationId) -> BoxFuture<'_, Result<Region, Problem>> {
        Box::pin(async move {
            let found = find(&self.0, organization).await?;
            found.home_region.parse().map_err(Problem::internal)
        })
    }
}
