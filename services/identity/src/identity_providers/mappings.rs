//! Which teams a group of an identity provider means. At each sign-on the person's memberships are made so: see
//! `crate::single_sign_on::teams`.

use access::{Action, Caller, Resource};
use axum::{extract::State, http::StatusCode, response::Response};
use ids::{Id, OrganizationId, TeamId, kinds};
use mutation::{Key, Mutation};
use postgres::SqlId;
use serde::{Deserialize, Serialize};
use sqlx::{FromRow, PgExecutor};
use time::OffsetDateTime;
use utoipa::ToSchema;
use web::{Api, Endpoint, FieldError, Json, Listed, Paging, Path, ProblemType, Query, Span};

use super::{Error, ProviderId, http::may_set_up, parse_text, store};
use crate::{app::App, authentication_settings, error::Answer};

/// Most mappings of a provider.
pub const PER_PROVIDER_MAX: u64 = 1000;
/// Longest name of a group, characters.
pub const GROUP_CHARS_MAX: usize = 256;
/// Examples of refusals.
const MAPPED: &str = "the group is mapped to this team already";
const TOO_MANY: &str = "an identity provider has at most 1000 mappings; delete some first";
const HOLDS_LESS: &str = "an identity provider decides who anybody is; only somebody who holds all that the owner holds can set it up";

/// Names a kind of id. Never constructed.
pub enum MappingKind {}

/// The id of a mapping.
pub type MappingId = Id<MappingKind>;

/// A group that means a team, in Konnect's shape.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct TeamGroupMapping {
    /// Its id.
    pub id: MappingId,
    /// The group's name, as the provider spells it.
    pub group: String,
    /// The team that its members are in.
    pub team_id: TeamId,
    /// When it was made.
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
    /// The same: a mapping is never changed.
    #[serde(with = "time::serde::rfc3339")]
    pub updated_at: OffsetDateTime,
}

/// The body of a request that maps a group to a team.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateMapping {
    /// The group's name, at most 256 characters. Upper and lower case differ.
    group: String,
    /// A team of the organization.
    team_id: TeamId,
}

/// Adds the endpoints below those of one provider.
pub(super) fn endpoints(api: Api<App>, provider: &str) -> Api<App> {
    let all = format!("{provider}/team-group-mappings");
    let one = format!("{all}/{{mapping_id}}");
    api.endpoint(
        Endpoint::get(&all, "List which teams the groups of an identity provider mean")
            .query::<Paging>()
            .home()
            .answers::<Listed<TeamGroupMapping>>(StatusCode::OK),
        list,
    )
    .endpoint(
        Endpoint::post(&all, "Put the members of a group into a team, each at the next sign-on")
            .refuses(ProblemType::Forbidden, HOLDS_LESS)
            .refuses(ProblemType::Conflict, MAPPED)
            .refuses(ProblemType::LimitReached, TOO_MANY)
            .home()
            .body::<CreateMapping>()
            .answers::<TeamGroupMapping>(StatusCode::CREATED),
        create,
    )
    .endpoint(Endpoint::get(&one, "One mapping").home().answers::<TeamGroupMapping>(StatusCode::OK), get)
    .endpoint(
        Endpoint::delete(&one, "Delete a mapping; who is in the team by it leaves at the next sign-on")
            .home(),
        delete,
    )
}

async fn list(
    State(app): State<App>,
    caller: Caller,
    Path(provider): Path<ProviderId>,
    Query(paging): Query<Paging>,
) -> Answer<Json<Listed<TeamGroupMapping>>> {
    caller.may(Action::IamReadUsers, &Resource::Iam).await?;
    store::find(&app.db, caller.organization(), provider).await?.ok_or(Error::Absent)?;
    let mappings = page(&app.db, provider, &paging.span()?).await?;
    let total = paging.total(count(&app.db, provider)).await?;
    Ok(Json(paging.page(mappings, total, |mapping| mapping.id)))
}

async fn get(
    State(app): State<App>,
    caller: Caller,
    Path((provider, id)): Path<(ProviderId, MappingId)>,
) -> Answer<Json<TeamGroupMapping>> {
    caller.may(Action::IamReadUsers, &Resource::Iam).await?;
    let row: Option<MappingRow> = sqlx::query_as(
        "SELECT id, group_name, team_id, created_at, updated_at FROM resident.team_group_mapping
         WHERE organization_id = $1 AND provider_id = $2 AND id = $3",
    )
    .bind(SqlId(caller.organization()))
    .bind(SqlId(provider))
    .bind(SqlId(id))
    .fetch_optional(&app.db)
    .await
    .map_err(postgres::Error::from)?;
    Ok(Json(row.map(TeamGroupMapping::from).ok_or(Error::MappingAbsent)?))
}

async fn create(
    State(app): State<App>,
    caller: Caller,
    Path(provider): Path<ProviderId>,
    key: Option<Key>,
    Json(body): Json<CreateMapping>,
) -> Answer<Response> {
    may_set_up(&app, &caller).await?;
    let group = parse_text("group", &body.group)?;
    if group.chars().count() > GROUP_CHARS_MAX {
        let reason = format!("may have at most {GROUP_CHARS_MAX} characters");
        return Err(FieldError { field: "group".to_owned(), reason }.into());
    }
    let organization = caller.organization();
    store::find(&app.db, organization, provider).await?.ok_or(Error::Absent)?;
    if !app.has_team(organization, body.team_id).await? {
        let reason = "the organization has no such team".to_owned();
        return Err(FieldError { field: "team_id".to_owned(), reason }.into());
    }
    let now = app.clock.now();
    let mapping = TeamGroupMapping {
        id: app.random.id(now),
        group,
        team_id: body.team_id,
        created_at: now,
        updated_at: now,
    };
    let mut tx = Mutation::by(&caller, "team-group-mapping.create").under(key).begin(&app.db).await?;
    authentication_settings::lock(tx.connection(), organization).await?;
    store::lock(tx.connection(), organization, provider).await?.ok_or(Error::Absent)?;
    if count(tx.connection(), provider).await? >= PER_PROVIDER_MAX {
        return Err(Error::MappingsReached.into());
    }
    let inserted = sqlx::query(
        "INSERT INTO resident.team_group_mapping
             (id, organization_id, provider_id, group_name, team_id, created_at, updated_at)
         VALUES ($1, $2, $3, $4, $5, $6, $6) ON CONFLICT ON CONSTRAINT team_group_mapping_once DO NOTHING",
    )
    .bind(SqlId(mapping.id))
    .bind(SqlId(organization))
    .bind(SqlId(provider))
    .bind(&mapping.group)
    .bind(SqlId(mapping.team_id))
    .bind(now)
    .execute(tx.connection())
    .await
    .map_err(postgres::Error::from)?;
    if inserted.rows_affected() == 0 {
        return Err(Error::Mapped.into());
    }
    Ok(tx.answer(&mapping.id.to_string(), StatusCode::CREATED, &mapping).await?)
}

async fn delete(
    State(app): State<App>,
    caller: Caller,
    Path((provider, id)): Path<(ProviderId, MappingId)>,
) -> Answer<StatusCode> {
    caller.may(Action::IamManageUsers, &Resource::Iam).await?;
    let mut tx = Mutation::by(&caller, "team-group-mapping.delete").begin(&app.db).await?;
    let deleted = sqlx::query(
        "DELETE FROM resident.team_group_mapping WHERE organization_id = $1 AND provider_id = $2 AND id = $3",
    )
    .bind(SqlId(caller.organization()))
    .bind(SqlId(provider))
    .bind(SqlId(id))
    .execute(tx.connection())
    .await
    .map_err(postgres::Error::from)?;
    if deleted.rows_affected() == 0 {
        return Err(Error::MappingAbsent.into());
    }
    tx.commit(&id.to_string()).await?;
    Ok(StatusCode::NO_CONTENT)
}

#[derive(FromRow)]
struct MappingRow {
    id: SqlId<MappingKind>,
    group_name: String,
    team_id: SqlId<kinds::Team>,
    created_at: OffsetDateTime,
    updated_at: OffsetDateTime,
}

impl From<MappingRow> for TeamGroupMapping {
    fn from(row: MappingRow) -> Self {
        Self {
            id: row.id.into(),
            group: row.group_name,
            team_id: row.team_id.into(),
            created_at: row.created_at,
            updated_at: row.updated_at,
        }
    }
}

async fn page(
    executor: impl PgExecutor<'_>,
    provider: ProviderId,
    span: &Span<MappingId>,
) -> Result<Vec<TeamGroupMapping>, postgres::Error> {
    let rows: Vec<MappingRow> = sqlx::query_as(
        "SELECT id, group_name, team_id, created_at, updated_at FROM resident.team_group_mapping
         WHERE provider_id = $1 AND ($2::uuid IS NULL OR id > $2) ORDER BY id OFFSET $3 LIMIT $4",
    )
    .bind(SqlId(provider))
    .bind(span.after.map(SqlId))
    .bind(span.offset)
    .bind(span.limit)
    .fetch_all(executor)
    .await?;
    Ok(rows.into_iter().map(TeamGroupMapping::from).collect())
}

async fn count(executor: impl PgExecutor<'_>, provider: ProviderId) -> Result<u64, postgres::Error> {
    let (count,): (i64,) =
        sqlx::query_as("SELECT count(*) FROM resident.team_group_mapping WHERE provider_id = $1")
            .bind(SqlId(provider))
            .fetch_one(executor)
            .await?;
    Ok(count.cast_unsigned())
}

/// The teams that `groups` of a provider mean.
pub async fn teams_of(
    executor: impl PgExecutor<'_>,
    organization: OrganizationId,
    provider: ProviderId,
    groups: &[String],
) -> Result<Vec<TeamId>, postgres::Error> {
    let rows: Vec<(SqlId<kinds::Team>,)> = sqlx::query_as(
        "SELECT DISTINCT team_id FROM resident.team_group_mapping
         WHERE organization_id = $1 AND provider_id = $2 AND group_name = ANY($3)",
    )
    .bind(SqlId(organization))
    .bind(SqlId(provider))
    .bind(groups)
    .fetch_all(executor)
    .await?;
    Ok(rows.into_iter().map(|(id,)| id.into()).collect())
}
