//! Config stores.

use access::Caller;
use axum::{extract::State, http::StatusCode};
use gateway_model::{Entity, Kind};
use ids::ControlPlaneId;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use utoipa::ToSchema;
use uuid::Uuid;
use web::{
    Api, Cursor, Cursored, Endpoint, Given, Json, Parameter, Path, Problem, ProblemType, Query,
    QueryParameters, RawBody, Values,
};

use super::{All, AtStore, Planes, READ, WRITE, left, makes};
use crate::{
    app::App,
    entities::{
        CommitError, Refusal,
        committer::Shown,
        http::{EntityBody, STILL_IN_USE},
        known::EntityId,
        plan::{Command, Selector},
        store::{self, Filter},
    },
    error::Answer,
};

/// A config store.
#[derive(Serialize, ToSchema)]
struct ConfigStore {
    /// A UUID.
    id: Uuid,
    /// Its name.
    name: Option<String>,
    /// When it was made, RFC 3339.
    #[serde(with = "time::serde::rfc3339")]
    created_at: OffsetDateTime,
    /// When it was last changed, RFC 3339.
    #[serde(with = "time::serde::rfc3339")]
    updated_at: OffsetDateTime,
}

/// The body for a config store.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it describes the body; the gateway model reads it")]
struct ConfigStoreBody {
    /// Its name, unique in the control plane.
    name: Option<String>,
}

/// Query of a deletion.
struct DeleteQuery {
    /// Delete the secrets too.
    force: bool,
}

impl QueryParameters for DeleteQuery {
    fn parameters() -> Vec<Parameter> {
        let meaning = "Delete the secrets of the store too; otherwise a store that has some is refused.";
        vec![Parameter::new("force", Values::Boolean, meaning, "true").default("false")]
    }

    fn read(given: &Given) -> Result<Self, Problem> {
        Ok(Self { force: given.is_true("force") })
    }
}

#[derive(Deserialize)]
struct AtStores {
    control_plane_id: ControlPlaneId,
}

/// Adds the endpoints of config stores.
pub(super) fn endpoints(api: Api<App>) -> Api<App> {
    const STORES: &str = "/v2/control-planes/{control_plane_id}/config-stores";
    const STORE: &str = "/v2/control-planes/{control_plane_id}/config-stores/{config_store_id}";
    api.endpoint(
        Endpoint::get(STORES, "List config stores")
            .query::<Cursor>()
            .answers::<Cursored<ConfigStore>>(StatusCode::OK),
        list_stores,
    )
    .endpoint(
        makes(Endpoint::post(STORES, "Create a config store"))
            .body::<ConfigStoreBody>()
            .answers::<ConfigStore>(StatusCode::CREATED),
        create_store,
    )
    .endpoint(Endpoint::get(STORE, "One config store").answers::<ConfigStore>(StatusCode::OK), get_store)
    .endpoint(
        makes(Endpoint::put(STORE, "Change a config store"))
            .body::<ConfigStoreBody>()
            .answers::<ConfigStore>(StatusCode::OK),
        put_store,
    )
    .endpoint(
        Endpoint::delete(STORE, "Delete a config store, if it is there")
            .query::<DeleteQuery>()
            .refuses(ProblemType::InUse, STILL_IN_USE),
        delete_store,
    )
}

impl From<Shown> for ConfigStore {
    fn from(shown: Shown) -> Self {
        let name = shown.entity.name().map(str::to_owned);
        Self { id: shown.id.id, name, created_at: shown.created_at, updated_at: shown.updated_at }
    }
}

async fn list_stores(
    State(planes): Planes,
    State(entities): All,
    caller: Caller,
    Path(at): Path<AtStores>,
    Query(cursor): Query<Cursor>,
) -> Answer<Json<Cursored<ConfigStore>>> {
    planes.authorize(&caller, at.control_plane_id, READ).await?;
    let shown = entities.page(at.control_plane_id, Kind::ConfigStore, Filter::default(), &cursor).await?;
    Ok(Json(cursor.page(shown.into_iter().map(ConfigStore::from).collect(), |store| store.id)))
}

async fn create_store(
    State(planes): Planes,
    State(entities): All,
    caller: Caller,
    Path(at): Path<AtStores>,
    RawBody(body): EntityBody,
) -> Answer<(StatusCode, Json<ConfigStore>)> {
    planes.authorize(&caller, at.control_plane_id, WRITE).await?;
    let entity = Entity::from_api(Kind::ConfigStore, &gateway_model::parse_body(&body)?)?;
    let command = Command::Create { id: Uuid::now_v7(), entity };
    Ok((StatusCode::CREATED, Json(left(entities.write(&caller, at.control_plane_id, command).await?)?)))
}

async fn get_store(
    State(planes): Planes,
    State(entities): All,
    caller: Caller,
    Path(at): Path<AtStore>,
) -> Answer<Json<ConfigStore>> {
    planes.authorize(&caller, at.control_plane_id, READ).await?;
    let row = entities.config_store(&at).await?;
    Ok(Json(row.shown(&entities.sealing(at.control_plane_id))?.into()))
}

async fn put_store(
    State(planes): Planes,
    State(entities): All,
    caller: Caller,
    Path(at): Path<AtStore>,
    RawBody(body): EntityBody,
) -> Answer<Json<ConfigStore>> {
    planes.authorize(&caller, at.control_plane_id, WRITE).await?;
    let entity = Entity::from_api(Kind::ConfigStore, &gateway_model::parse_body(&body)?)?;
    let id = at.config_store_id;
    let command = Command::Upsert { selector: Selector::Id(id), new_id: id, entity, if_match: None };
    Ok(Json(left(entities.write(&caller, at.control_plane_id, command).await?)?))
}

async fn delete_store(
    State(planes): Planes,
    State(entities): All,
    caller: Caller,
    Path(at): Path<AtStore>,
    Query(query): Query<DeleteQuery>,
) -> Answer<StatusCode> {
    planes.authorize(&caller, at.control_plane_id, WRITE).await?;
    if !query.force {
        let (id, kind) = (at.control_plane_id, Kind::ConfigStoreSecret);
        let filter = Filter { parent: Some(("config_store", at.config_store_id)), ..Filter::default() };
        let secrets = store::list(&entities.db, id, kind, &filter, None, 1).await?;
        if let Some(secret) = secrets.rows.first() {
            let by = EntityId { kind, id: secret.id };
            return Err(CommitError::from(Refusal::InUse { kind: Kind::ConfigStore, by }).into());
        }
    }
    let selector = Selector::Id(at.config_store_id);
    let command = Command::Delete { kind: Kind::ConfigStore, selector, if_match: None };
    entities.write(&caller, at.control_plane_id, command).await?;
    Ok(StatusCode::NO_CONTENT)
}
