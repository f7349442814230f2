//! `/v2/control-planes`, in the shape of Konnect's API.

use std::collections::BTreeMap;

use access::{Action, Caller, Resource};
use axum::{extract::State, http::StatusCode, response::Response};
use ids::ControlPlaneId;
use mutation::{Key, Mutation};
use proto::authz::v1::ForgetResourceRequest;
use serde::{Deserialize, Deserializer, Serialize};
use time::OffsetDateTime;
use utoipa::ToSchema;
use web::{Api, Endpoint, Json, NumberedPage, Path, Problem, ProblemType, Query, labels, text};

use super::{
    ControlPlane, ControlPlanes, Labels,
    filter::Filter,
    legacy,
    store::{self, Changes, NewControlPlane},
};
use crate::{app::App, error::Answer};

/// The only cluster type that is supported.
pub const CLUSTER_TYPE: &str = "CLUSTER_TYPE_CONTROL_PLANE";
/// How nodes authenticate, in Konnect's words; the first one unless somebody says otherwise.
const AUTH_TYPES: [&str; 2] = ["pki_client_certs", "pinned_client_certs"];

/// Example of a refusal.
const NAME_TAKEN: &str = "name: the organization has a control plane with this name in this region";

/// Adds the endpoints under `/v2/control-planes` that are about control planes themselves.
pub fn endpoints(api: Api<App>) -> Api<App> {
    const ALL: &str = "/v2/control-planes";
    const ONE: &str = "/v2/control-planes/{control_plane_id}";
    api.endpoint(
        Endpoint::get(ALL, "List the control planes that you may see")
            .query::<Filter>()
            .answers::<NumberedPage<ControlPlaneBody>>(StatusCode::OK),
        list,
    )
    .endpoint(
        Endpoint::post(ALL, "Create a control plane; you become its Admin")
            .refuses(ProblemType::Conflict, NAME_TAKEN)
            .body::<CreateControlPlane>()
            .answers::<ControlPlaneBody>(StatusCode::CREATED),
        create,
    )
    .endpoint(Endpoint::get(ONE, "One control plane").answers::<ControlPlaneBody>(StatusCode::OK), get)
    .endpoint(
        Endpoint::patch(ONE, "Change a control plane")
            .refuses(ProblemType::Conflict, NAME_TAKEN)
            .body::<UpdateControlPlane>()
            .answers::<ControlPlaneBody>(StatusCode::OK),
        update,
    )
    .endpoint(Endpoint::delete(ONE, "Delete a control plane, its configuration and its nodes"), delete)
    .endpoint(legacy::endpoint(), legacy::list)
}

/// A control plane, in Konnect's shape.
#[derive(Serialize, ToSchema)]
#[schema(as = ControlPlane)]
pub(super) struct ControlPlaneBody {
    id: ControlPlaneId,
    name: String,
    description: String,
    labels: Labels,
    config: Config,
    /// Version of the configuration: what nodes show once they have applied it.
    version: u64,
    #[serde(with = "time::serde::rfc3339")]
    created_at: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339")]
    updated_at: OffsetDateTime,
}

#[derive(Serialize, ToSchema)]
struct Config {
    /// Where nodes connect to.
    control_plane_endpoint: String,
    /// Where nodes report to: over the same stream.
    telemetry_endpoint: String,
    cluster_type: &'static str,
    /// As it was sent: both ways are open, enrolment and pinned certificates.
    auth_type: String,
    /// Always false: nodes are run by whoever enrols them.
    cloud_gateway: bool,
    /// Always empty: nodes connect without a proxy.
    proxy_urls: [ProxyUrl; 0],
}

/// A proxy between nodes and the control plane. None can be set.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ProxyUrl {
    host: String,
    port: u16,
    protocol: String,
}

impl ControlPlanes {
    pub(super) fn shown(&self, found: ControlPlane) -> ControlPlaneBody {
        let ControlPlane {
            id,
            incarnation: _,
            name,
            description,
            labels,
            auth_type,
            version,
            created_at,
            updated_at,
        } = found;
        let config = Config {
            control_plane_endpoint: self.sync_endpoint.as_ref().to_owned(),
            telemetry_endpoint: self.sync_endpoint.as_ref().to_owned(),
            cluster_type: CLUSTER_TYPE,
            auth_type,
            cloud_gateway: false,
            proxy_urls: [],
        };
        ControlPlaneBody { id, name, description, labels, config, version, created_at, updated_at }
    }
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct CreateControlPlane {
    /// Unique in the organization and region.
    name: String,
    #[serde(default)]
    description: Option<String>,
    /// Only `CLUSTER_TYPE_CONTROL_PLANE`.
    cluster_type: Option<String>,
    /// `pki_client_certs`, unless given, or `pinned_client_certs`. It is kept for those who compare it: nodes may enrol, and certificates may
    /// be pinned, in every control plane.
    auth_type: Option<String>,
    /// Only `false`.
    cloud_gateway: Option<bool>,
    /// Only an empty list.
    proxy_urls: Option<Vec<ProxyUrl>>,
    labels: Option<BTreeMap<String, Option<String>>>,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct UpdateControlPlane {
    /// Null keeps the name, which a control plane cannot be without.
    name: Option<String>,
    /// Null empties it.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<String>)]
    description: Option<Option<String>>,
    auth_type: Option<String>,
    /// Only an empty list.
    proxy_urls: Option<Vec<ProxyUrl>>,
    /// All labels from now on; null for none. A label whose value is null is left out.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<BTreeMap<String, Option<String>>>)]
    labels: Option<Option<BTreeMap<String, Option<String>>>>,
}

/// Tells a field that is null from one that is absent.
fn given<'de, D: Deserializer<'de>, T: Deserialize<'de>>(field: D) -> Result<Option<T>, D::Error> {
    T::deserialize(field).map(Some)
}

async fn list(
    State(planes): State<ControlPlanes>,
    caller: Caller,
    Query(filter): Query<Filter>,
) -> Answer<Json<NumberedPage<ControlPlaneBody>>> {
    let (found, total) = planes.visible(&caller, &filter).await?;
    let shown = found.into_iter().map(|one| planes.shown(one)).collect();
    Ok(Json(NumberedPage::new(shown, filter.page, total)))
}

async fn get(
    State(planes): State<ControlPlanes>,
    caller: Caller,
    Path(id): Path<ControlPlaneId>,
) -> Answer<Json<ControlPlaneBody>> {
    let found = planes.authorize(&caller, id, Action::CpRetrieve).await?;
    Ok(Json(planes.shown(found)))
}

/// The creator's assignment is made before the transaction commits. If the commit fails, the control plane does not exist, and
/// an assignment on it grants nothing.
async fn create(
    State(planes): State<ControlPlanes>,
    caller: Caller,
    key: Option<Key>,
    Json(body): Json<CreateControlPlane>,
) -> Answer<Response> {
    caller.may(Action::CpCreate, &Resource::ControlPlanes { region: planes.region.clone() }).await?;
    let name = text::name("name", &body.name)?;
    let description = text::description("description", &body.description.unwrap_or_default())?;
    if let Some(other) = body.cluster_type.as_deref()
        && other != CLUSTER_TYPE
    {
        let reason = format!("only `{CLUSTER_TYPE}` is supported");
        return Err(Problem::invalid_field("cluster_type", reason).into());
    }
    let auth_type = auth_type(body.auth_type.as_deref())?.unwrap_or(AUTH_TYPES[0]);
    if body.cloud_gateway == Some(true) {
        let reason = "only `false`: Landbridge runs no nodes; enrol your own";
        return Err(Problem::invalid_field("cloud_gateway", reason).into());
    }
    require_no_proxies(body.proxy_urls.as_deref())?;
    let labels = labels::check(body.labels.unwrap_or_default())?;

    let id = ControlPlaneId::generate();
    let new = NewControlPlane { id, name: &name, description: &description, labels: &labels, auth_type };
    let mut write = Mutation::by(&caller, "control-plane.create").under(key).begin(&planes.db).await?;
    let created = store::insert(write.connection(), caller.organization(), new).await?;
    caller.assign_creator(id, &planes.region).await?;
    Ok(write.answer(&id.to_string(), StatusCode::CREATED, &planes.shown(created)).await?)
}

async fn update(
    State(planes): State<ControlPlanes>,
    caller: Caller,
    Path(id): Path<ControlPlaneId>,
    Json(body): Json<UpdateControlPlane>,
) -> Answer<Json<ControlPlaneBody>> {
    planes.authorize(&caller, id, Action::CpUpdate).await?;
    let name = body.name.map(|name| text::name("name", &name)).transpose()?;
    let description = body.description.map(Option::unwrap_or_default);
    let description = description.map(|words| text::description("description", &words)).transpose()?;
    let auth_type = auth_type(body.auth_type.as_deref())?;
    require_no_proxies(body.proxy_urls.as_deref())?;
    let labels = body.labels.map(Option::unwrap_or_default).map(labels::check).transpose()?;

    let changes = Changes {
        name: name.as_deref(),
        description: description.as_deref(),
        labels: labels.as_ref(),
        auth_type,
    };
    let mut write = Mutation::by(&caller, "control-plane.update").begin(&planes.db).await?;
    let updated = store::update(write.connection(), caller.organization(), id, changes).await?;
    write.commit(&id.to_string()).await?;
    Ok(Json(planes.shown(updated)))
}

async fn delete(
    State(planes): State<ControlPlanes>,
    caller: Caller,
    Path(id): Path<ControlPlaneId>,
) -> Answer<StatusCode> {
    planes.authorize(&caller, id, Action::CpDelete).await?;
    let mut write = Mutation::by(&caller, "control-plane.delete").begin(&planes.db).await?;
    store::delete(write.connection(), id).await?;
    write.commit(&id.to_string()).await?;
    planes.feed.notice(id).await;
    // Assignments on a deleted control plane grant nothing. authz is told, so that it removes them.
    let forget = ForgetResourceRequest {
        organization_id: caller.organization().to_string(),
        control_plane_id: id.to_string(),
    };
    if let Err(status) = planes.authz.clone().forget_resource(forget).await {
        tracing::warn!(%status, control_plane = %id, "authz did not remove the assignments on a deleted control plane; they grant nothing");
    }
    Ok(StatusCode::NO_CONTENT)
}

/// The way for nodes to authenticate that a request names.
fn auth_type(named: Option<&str>) -> Result<Option<&'static str>, Problem> {
    let Some(named) = named else { return Ok(None) };
    match AUTH_TYPES.into_iter().find(|known| *known == named) {
        Some(known) => Ok(Some(known)),
        None => {
            let [enrolment, pinned] = AUTH_TYPES;
            Err(Problem::invalid_field(
                "auth_type",
                format!("only `{enrolment}` and `{pinned}` are supported"),
            ))
        }
    }
}

fn require_no_proxies(proxy_urls: Option<&[ProxyUrl]>) -> Result<(), Problem> {
    match proxy_urls {
        None | Some([]) => Ok(()),
        Some(_) => {
            let reason = "only an empty list: nodes connect to the control plane without a proxy";
            Err(Problem::invalid_field("proxy_urls", reason))
        }
    }
}
