//! Secrets of config stores.

use access::Caller;
use axum::{extract::State, http::StatusCode};
use gateway_model::{ConfigStoreSecret, Entity, Kind, Target};
use ids::ControlPlaneId;
use serde::{Deserialize, Serialize};
use serde_json::json;
use time::OffsetDateTime;
use utoipa::ToSchema;
use uuid::Uuid;
use web::{Api, Cursor, Cursored, Endpoint, Json, Path, Problem, Query, RawBody};

use super::{All, AtStore, Planes, READ, WRITE, left, makes};
use crate::{
    app::App,
    entities::{
        Entities,
        committer::Shown,
        http::EntityBody,
        plan::{Command, Selector},
        store::{self, Filter},
    },
    error::Answer,
};

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

/// The body for a secret.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it describes the body; the gateway model reads it")]
struct ConfigStoreSecretBody {
    /// What references name it by; may be left out where the path has it.
    key: Option<String>,
    /// The secret.
    value: String,
}

#[derive(Deserialize)]
struct AtSecret {
    control_plane_id: ControlPlaneId,
    config_store_id: Uuid,
    key: String,
}

/// Adds the endpoints of secrets.
pub(super) fn endpoints(api: Api<App>) -> Api<App> {
    const SECRETS: &str = "/v2/control-planes/{control_plane_id}/config-stores/{config_store_id}/secrets";
    const SECRET: &str =
        "/v2/control-planes/{control_plane_id}/config-stores/{config_store_id}/secrets/{key}";
    api.endpoint(
        Endpoint::get(SECRETS, "List the keys of the secrets of a config store")
            .query::<Cursor>()
            .answers::<Cursored<ConfigStoreKey>>(StatusCode::OK),
        list_secrets,
    )
    .endpoint(
        makes(Endpoint::post(SECRETS, "Put a secret into a config store"))
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
        makes(Endpoint::put(SECRET, "Create or replace a secret of a config store"))
            .body::<ConfigStoreSecretBody>()
            .answers::<ConfigStoreKey>(StatusCode::OK),
        put_secret,
    )
    .endpoint(Endpoint::delete(SECRET, "Delete a secret of a config store, if it is there"), delete_secret)
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
    RawBody(body): EntityBody,
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
    RawBody(body): EntityBody,
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
    /// The id of the secret that a path names, if it is there.
    async fn secret_id(&self, at: &AtSecret) -> Answer<Option<Uuid>> {
        // No secret can be called so, and no database holds it.
        if at.key.chars().any(char::is_control) {
            return Ok(None);
        }
        let key = ConfigStoreSecret::unique_key(&Target::Id(at.config_store_id), &at.key);
        Ok(store::holder(&self.db, at.control_plane_id, Kind::ConfigStoreSecret, &key).await?)
    }
}
