//! `/config-stores`: config stores and their secrets in the paths and forms of Konnect's API. They are entities like every other; only their
//! values are never shown here, and a secret is found by its key.

use access::{Action, Caller};
use axum::{extract::State, http::StatusCode};
use gateway_model::{ConfigStoreSecret, Entity, Kind, Target};
use ids::ControlPlaneId;
use serde::{Deserialize, Serialize};
use serde_json::json;
use time::OffsetDateTime;
use utoipa::ToSchema;
use uuid::Uuid;
use web::{
    Api, Cursor, Cursored, Endpoint, Given, Json, Parameter, Path, Problem, ProblemType, Query,
    QueryParameters, Values,
};

use super::{EntityBody, KEY_TAKEN};
use crate::{
    app::App,
    control_planes::ControlPlanes,
    entities::{
        CommitError, Entities, Refusal,
        committer::{Outcome, Shown},
        known::EntityId,
        plan::{Command, Selector},
        store::{self, EntityRow, Filter},
    },
    error::Answer,
};

const READ: Action = Action::ConfigStoreRead;
const WRITE: Action = Action::ConfigStoreWrite;

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

/// A secret of a config store, without its value.
#[derive(Serialize, ToSchema)]
struct ConfigStoreKey {
    /// What references name it by.
    key: String,
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

/// The body for a secret.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it describes the body; the gateway model reads it")]
struct ConfigStoreSecretBody {
    /// What references name it by; may be left out where the path has it.
    key: Option<String>,
    /// The secret.
    value: String,
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

#[derive(Deserialize)]
struct AtStore {
    control_plane_id: ControlPlaneId,
    config_store_id: Uuid,
}

#[derive(Deserialize)]
struct AtSecret {
    control_plane_id: ControlPlaneId,
    config_store_id: Uuid,
    key: String,
}

type Planes = State<ControlPlanes>;
type All = State<Entities>;

/// Adds the endpoints of config stores and of their secrets.
pub fn endpoints(api: Api<App>) -> Api<App> {
    const STORES: &str = "/v2/control-planes/{control_plane_id}/config-stores";
    const STORE: &str = "/v2/control-planes/{control_plane_id}/config-stores/{config_store_id}";
    const SECRETS: &str = "/v2/control-planes/{control_plane_id}/config-stores/{config_store_id}/secrets";
    const SECRET: &str =
        "/v2/control-planes/{control_plane_id}/config-stores/{config_store_id}/secrets/{key}";
    let taken = |endpoint: Endpoint| {
        endpoint
            .refuses(ProblemType::Conflict, KEY_TAKEN)
            .refuses(ProblemType::LimitReached, super::TOO_MANY)
            .refuses(ProblemType::TooManyRequests, super::TOO_MANY_WAIT)
    };
    api.endpoint(
        Endpoint::get(STORES, "List config stores")
            .query::<Cursor>()
            .answers::<Cursored<ConfigStore>>(StatusCode::OK),
        list_stores,
    )
    .endpoint(
        taken(Endpoint::post(STORES, "Create a config store"))
            .body::<ConfigStoreBody>()
            .answers::<ConfigStore>(StatusCode::CREATED),
        create_store,
    )
    .endpoint(Endpoint::get(STORE, "One config store").answers::<ConfigStore>(StatusCode::OK), get_store)
    .endpoint(
        taken(Endpoint::put(STORE, "Change a config store"))
            .body::<ConfigStoreBody>()
            .answers::<ConfigStore>(StatusCode::OK),
        put_store,
    )
    .endpoint(
        Endpoint::delete(STORE, "Delete a config store, if it is there")
            .query::<DeleteQuery>()
            .refuses(ProblemType::InUse, super::STILL_IN_USE),
        delete_store,
    )
    .endpoint(
        Endpoint::get(SECRETS, "List the keys of the secrets of a config store")
            .query::<Cursor>()
            .answers::<Cursored<ConfigStoreKey>>(StatusCode::OK),
        list_secrets,
    )
    .endpoint(
        taken(Endpoint::post(SECRETS, "Put a secret into a config store"))
            .body::<ConfigStoreSecretBody>()
            .answers::<ConfigStoreKey>(StatusCode::CREATED),
        create_secret,
    )
    .endpoint(
        Endpoint::get(SECRET, "One secret of a config store, without its value")
            .answers::<ConfigStoreKey>(StatusCode::OK),
        get_secret,
    )
    .endpoint(
        taken(Endpoint::put(SECRET, "Create or replace a secret of a config store"))
            .body::<ConfigStoreSecretBody>()
            .answers::<ConfigStoreKey>(StatusCode::OK),
        put_secret,
    )
    .endpoint(Endpoint::delete(SECRET, "Delete a secret of a config store, if it is there"), delete_secret)
}

impl From<Shown> for ConfigStore {
    fn from(shown: Shown) -> Self {
        let name = shown.entity.name().map(str::to_owned);
        Self { id: shown.id.id, name, created_at: shown.created_at, updated_at: shown.updated_at }
    }
}

impl From<Shown> for ConfigStoreKey {
    fn from(shown: Shown) -> Self {
        let key = match shown.entity {
            Entity::ConfigStoreSecret(secret) => secret.key,
            _ => String::new(),
        };
        Self { key, created_at: shown.created_at, updated_at: shown.updated_at }
    }
}

/// What a write left, which is there.
fn left<T: From<Shown>>(outcome: Outcome) -> Answer<T> {
    match outcome {
        Outcome::Stands(shown) => Ok((*shown).into()),
        _ => Err(Problem::internal("a write that makes an entity left none").into()),
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
    web::RawBody(body): EntityBody,
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
    web::RawBody(body): EntityBody,
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

async fn list_secrets(
    State(planes): Planes,
    State(entities): All,
    caller: Caller,
    Path(at): Path<AtStore>,
    Query(cursor): Query<Cursor>,
) -> Answer<Json<Cursored<ConfigStoreKey>>> {
    planes.authorize(&caller, at.control_plane_id, READ).await?;
    let store = entities.config_store(&at).await?;
    let filter = Filter { parent: Some(("config_store", store.id)), ..Filter::default() };
    let shown = entities.page(at.control_plane_id, Kind::ConfigStoreSecret, filter, &cursor).await?;
    // The cursor is an id, which what is shown of a secret does not have.
    let page = cursor.page(shown, |secret| secret.id.id);
    let data = page.data.into_iter().map(ConfigStoreKey::from).collect();
    Ok(Json(Cursored { data, meta: page.meta }))
}

async fn create_secret(
    State(planes): Planes,
    State(entities): All,
    caller: Caller,
    Path(at): Path<AtStore>,
    web::RawBody(body): EntityBody,
) -> Answer<(StatusCode, Json<ConfigStoreKey>)> {
    planes.authorize(&caller, at.control_plane_id, WRITE).await?;
    let store = entities.config_store(&at).await?;
    let entity = secret(&body, store.id, None)?;
    let command = Command::Create { id: Uuid::now_v7(), entity };
    Ok((StatusCode::CREATED, Json(left(entities.write(&caller, at.control_plane_id, command).await?)?)))
}

async fn get_secret(
    State(planes): Planes,
    State(entities): All,
    caller: Caller,
    Path(at): Path<AtSecret>,
) -> Answer<Json<ConfigStoreKey>> {
    planes.authorize(&caller, at.control_plane_id, READ).await?;
    let id =
        entities.secret_id(&at).await?.ok_or_else(|| Problem::not_found(Kind::ConfigStoreSecret.label()))?;
    let row = entities.find(at.control_plane_id, Kind::ConfigStoreSecret, &Selector::Id(id)).await?;
    let row = row.ok_or_else(|| Problem::not_found(Kind::ConfigStoreSecret.label()))?;
    Ok(Json(row.shown(&entities.sealing(at.control_plane_id))?.into()))
}

async fn put_secret(
    State(planes): Planes,
    State(entities): All,
    caller: Caller,
    Path(at): Path<AtSecret>,
    web::RawBody(body): EntityBody,
) -> Answer<Json<ConfigStoreKey>> {
    planes.authorize(&caller, at.control_plane_id, WRITE).await?;
    let store = AtStore { control_plane_id: at.control_plane_id, config_store_id: at.config_store_id };
    let store = entities.config_store(&store).await?;
    let entity = secret(&body, store.id, Some(&at.key))?;
    let id = entities.secret_id(&at).await?.unwrap_or_else(Uuid::now_v7);
    let command = Command::Upsert { selector: Selector::Id(id), new_id: id, entity, if_match: None };
    Ok(Json(left(entities.write(&caller, at.control_plane_id, command).await?)?))
}

async fn delete_secret(
    State(planes): Planes,
    State(entities): All,
    caller: Caller,
    Path(at): Path<AtSecret>,
) -> Answer<StatusCode> {
    planes.authorize(&caller, at.control_plane_id, WRITE).await?;
    if let Some(id) = entities.secret_id(&at).await? {
        let kind = Kind::ConfigStoreSecret;
        let command = Command::Delete { kind, selector: Selector::Id(id), if_match: None };
        entities.write(&caller, at.control_plane_id, command).await?;
    }
    Ok(StatusCode::NO_CONTENT)
}

/// A secret of `store` from a body; `key` is that of the path.
fn secret(body: &[u8], store: Uuid, key: Option<&str>) -> Answer<Entity> {
    let mut value = gateway_model::parse_body(body)?;
    if let Some(fields) = value.as_object_mut() {
        fields.insert("config_store".to_owned(), json!({ "id": store }));
        if let Some(key) = key {
            let given = fields.entry("key").or_insert_with(|| key.into());
            if given.is_null() {
                *given = key.into();
            } else if given.as_str() != Some(key) {
                return Err(Problem::invalid_field("key", "must be the one in the path").into());
            }
        }
    }
    Ok(Entity::from_api(Kind::ConfigStoreSecret, &value)?)
}

impl Entities {
    /// The config store that a path names; 404 if it is not there.
    async fn config_store(&self, at: &AtStore) -> Answer<EntityRow> {
        let selector = Selector::Id(at.config_store_id);
        let row = self.find(at.control_plane_id, Kind::ConfigStore, &selector).await?;
        Ok(row.ok_or_else(|| Problem::not_found(Kind::ConfigStore.label()))?)
    }

    /// The id of the secret that a path names, if it is there.
    async fn secret_id(&self, at: &AtSecret) -> Answer<Option<Uuid>> {
        // No secret can be called so, and no database holds it.
        if at.key.chars().any(char::is_control) {
            return Ok(None);
        }
        let key = ConfigStoreSecret::unique_key(&Target::Id(at.config_store_id), &at.key);
        Ok(store::holder(&self.db, at.control_plane_id, Kind::ConfigStoreSecret, &key).await?)
    }

    /// One more entity than a page has, as they are shown.
    async fn page(
        &self,
        id: ControlPlaneId,
        kind: Kind,
        filter: Filter,
        cursor: &Cursor,
    ) -> Answer<Vec<Shown>> {
        let listed = store::list(&self.db, id, kind, &filter, cursor.after()?, cursor.limit()).await?;
        let sealing = self.sealing(id);
        let shown = listed.rows.iter().map(|row| row.shown(&sealing));
        Ok(shown.collect::<Result<Vec<_>, _>>()?)
    }
}
