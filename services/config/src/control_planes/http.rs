//! `/v2/control-planes`, in the shape of Konnect's API.

use access::{Action, Caller, Resource};
use axum::{extract::State, http::StatusCode, response::Response};
use ids::ControlPlaneId;
use mutation::{Key, Mutation};
use proto::authz::v1::ForgetResourceRequest;
use serde::Deserialize;
use utoipa::ToSchema;
use web::{Answer, Api, Endpoint, Json, Numbered, NumberedPage, Path, Problem, ProblemType, Query, text};

use super::{AUTH_TYPE, CLUSTER_TYPE, ControlPlane, Labels, store};
use crate::App;

/// Most labels of a control plane.
const LABELS_MAX: usize = 50;
/// Longest key or value of a label, characters.
const LABEL_CHARS_MAX: usize = 63;

/// Example of a refusal.
const NAME_TAKEN: &str = "name: the organization has a control plane with this name in this region";

pub fn endpoints(api: Api<App>) -> Api<App> {
    const ALL: &str = "/v2/control-planes";
    const ONE: &str = "/v2/control-planes/{control_plane_id}";
    api.endpoint(
        Endpoint::get(ALL, "List the control planes that you may see")
            .answers::<NumberedPage<ControlPlane>>(StatusCode::OK),
        list,
    )
    .endpoint(
        Endpoint::post(ALL, "Create a control plane; you become its Admin")
            .refuses(ProblemType::Conflict, NAME_TAKEN)
            .body::<CreateControlPlane>()
            .answers::<ControlPlane>(StatusCode::CREATED),
        create,
    )
    .endpoint(Endpoint::get(ONE, "One control plane").answers::<ControlPlane>(StatusCode::OK), get)
    .endpoint(
        Endpoint::patch(ONE, "Change a control plane")
            .refuses(ProblemType::Conflict, NAME_TAKEN)
            .body::<UpdateControlPlane>()
            .answers::<ControlPlane>(StatusCode::OK),
        update,
    )
    .endpoint(Endpoint::delete(ONE, "Delete a control plane, its configuration and its nodes"), delete)
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
    /// Only `pki_client_certs`: nodes enrol and are given certificates.
    auth_type: Option<String>,
    #[serde(default)]
    labels: Option<Labels>,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct UpdateControlPlane {
    name: Option<String>,
    description: Option<String>,
    auth_type: Option<String>,
    labels: Option<Labels>,
}

#[derive(Deserialize)]
struct Filter {
    #[serde(rename = "filter[name][eq]")]
    name: Option<String>,
    #[serde(rename = "filter[name]")]
    name_short: Option<String>,
}

impl App {
    /// The caller's control plane, once it may do `action` there. Other organizations' are not found.
    pub async fn control_plane(
        &self,
        caller: &Caller,
        id: ControlPlaneId,
        action: Action,
    ) -> Answer<ControlPlane> {
        let found = store::find(&self.db, &self.public.sync_endpoint(), caller.organization(), id).await?;
        caller.may(action, &found.resource(&self.region)).await?;
        Ok(found)
    }
}

async fn list(
    State(app): State<App>,
    caller: Caller,
    Query(page): Query<Numbered>,
    Query(filter): Query<Filter>,
) -> Answer<Json<NumberedPage<ControlPlane>>> {
    let (size, number) = page.get()?;
    let visible = caller.visible_control_planes(&app.region).await?;
    let name = filter.name.or(filter.name_short).map(|name| text::name("filter[name]", &name)).transpose()?;
    let endpoint = app.public.sync_endpoint();
    let (rows, total) =
        store::list(&app.db, &endpoint, caller.organization(), &visible, name.as_deref(), (size, number))
            .await?;
    let mut shown = Vec::with_capacity(rows.len());
    for row in rows {
        if !visible.recheck || caller.allows(Action::CpList, &row.resource(&app.region)).await? {
            shown.push(row);
        }
    }
    Ok(Json(NumberedPage::new(shown, size, number, total)))
}

async fn get(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<ControlPlaneId>,
) -> Answer<Json<ControlPlane>> {
    app.control_plane(&caller, id, Action::CpRetrieve).await.map(Json)
}

/// The creator's assignment comes first, for an id chosen beforehand: if what follows fails, it grants nothing.
async fn create(
    State(app): State<App>,
    caller: Caller,
    key: Option<Key>,
    Json(body): Json<CreateControlPlane>,
) -> Answer<Response> {
    caller.may(Action::CpCreate, &Resource::ControlPlanes { region: app.region.clone() }).await?;
    let name = text::name("name", &body.name)?;
    let description = text::description("description", &body.description.unwrap_or_default())?;
    require_only("cluster_type", body.cluster_type.as_deref(), CLUSTER_TYPE)?;
    require_only("auth_type", body.auth_type.as_deref(), AUTH_TYPE)?;
    let labels = check_labels(body.labels.unwrap_or_default())?;

    let id = ControlPlaneId::generate();
    let mut write = Mutation::by(&caller, "control-plane.create").under(key).begin(&app.db).await?;
    let endpoint = app.public.sync_endpoint();
    let created =
        store::insert(write.connection(), &endpoint, caller.organization(), id, &name, &description, &labels)
            .await?;
    caller.assign_creator(id, &app.region).await?;
    Ok(write.answer(&id.to_string(), StatusCode::CREATED, &created).await?)
}

async fn update(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<ControlPlaneId>,
    Json(body): Json<UpdateControlPlane>,
) -> Answer<Json<ControlPlane>> {
    app.control_plane(&caller, id, Action::CpUpdate).await?;
    let name = body.name.map(|name| text::name("name", &name)).transpose()?;
    let description = body.description.map(|words| text::description("description", &words)).transpose()?;
    require_only("auth_type", body.auth_type.as_deref(), AUTH_TYPE)?;
    let labels = body.labels.map(check_labels).transpose()?;

    let mut write = Mutation::by(&caller, "control-plane.update").begin(&app.db).await?;
    let endpoint = app.public.sync_endpoint();
    let (name, description) = (name.as_deref(), description.as_deref());
    let updated =
        store::update(write.connection(), &endpoint, id, name, description, labels.as_ref()).await?;
    write.commit(&id.to_string()).await?;
    Ok(Json(updated))
}

async fn delete(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<ControlPlaneId>,
) -> Answer<StatusCode> {
    app.control_plane(&caller, id, Action::CpDelete).await?;
    let mut write = Mutation::by(&caller, "control-plane.delete").begin(&app.db).await?;
    if !store::delete(write.connection(), id).await? {
        return Err(Problem::not_found("control plane"));
    }
    write.commit(&id.to_string()).await?;
    app.feed.changed(id).await;
    // Assignments on what is gone grant nothing; authz is told so that they do not linger.
    let forget = ForgetResourceRequest {
        organization_id: caller.organization().to_string(),
        control_plane_id: id.to_string(),
    };
    if let Err(status) = app.authz.clone().forget_resource(forget).await {
        tracing::warn!(%status, control_plane = %id, "its assignments linger in authz; they grant nothing");
    }
    Ok(StatusCode::NO_CONTENT)
}

fn require_only(field: &str, given: Option<&str>, supported: &str) -> Answer<()> {
    match given {
        Some(other) if other != supported => {
            Err(Problem::invalid_field(field, format!("only `{supported}` is supported")))
        }
        _ => Ok(()),
    }
}

fn check_labels(labels: Labels) -> Answer<Labels> {
    if labels.len() > LABELS_MAX {
        return Err(Problem::invalid_field("labels", format!("at most {LABELS_MAX}")));
    }
    for (key, value) in &labels {
        let fits = |text: &str| {
            !text.is_empty() && text.chars().count() <= LABEL_CHARS_MAX && !text.chars().any(char::is_control)
        };
        if !fits(key) || !fits(value) {
            let reason = format!("keys and values have 1 to {LABEL_CHARS_MAX} characters");
            return Err(Problem::invalid_field(format!("labels.{key}"), reason));
        }
    }
    Ok(labels)
}
