//! What kinds and plugins look like, for clients that fill in defaults and check before they write. Paths and forms are those
//! that decK reads: a kind is JSON Schema ([`mod@json`]), a plugin is written as Kong describes its own ([`lua`]).
//!
//! A schema tells nothing about a control plane. Whoever may see the control plane may read it.

mod json;
mod lua;
mod validate;

use access::{Action, Caller};
use axum::{extract::State, http::StatusCode};
use gateway_model::{Kind, Plugin};
use ids::ControlPlaneId;
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::openapi::{ObjectBuilder, RefOr, Schema};
use web::{Api, BODY_BYTES_MAX, Endpoint, Json, Path, Problem, ProblemType, RawBody};

use super::{BASE, TOO_MANY_WAIT};
use crate::{app::App, control_planes::ControlPlanes, entities::Entities, error::Answer};

/// Where plugins are validated. A path of its own beside `schemas/{entity}/validate`: there, the path of a plugin called `validate` would
/// go before it.
const PLUGIN: &str = "plugins";

/// Why another workspace is refused.
const NO_WORKSPACES: &str = "there is only `default`: use a control plane for each of them, and leave out `--workspace` and `_workspace`";

/// Parameters of the path of a schema.
#[derive(Deserialize)]
struct OfEntity {
    control_plane_id: ControlPlaneId,
    /// A kind, by one of its names; `None` in a path that names it itself.
    entity: Option<String>,
}

/// Parameters of the path of a plugin's schema, or of a workspace.
#[derive(Deserialize)]
struct Named {
    control_plane_id: ControlPlaneId,
    name: String,
}

/// Adds the endpoints.
pub fn endpoints(api: Api<App>) -> Api<App> {
    let json_schema = Endpoint::get(
        format!("{BASE}/v1/schemas/json/{{entity}}"),
        "A kind of entity as JSON Schema, with its defaults",
    );
    let plugin = Endpoint::get(
        format!("{BASE}/schemas/plugins/{{name}}"),
        "A plugin and its settings with their defaults, as Kong's Admin API describes them",
    );
    let workspace = Endpoint::get(
        format!("{BASE}/workspaces/{{name}}"),
        "The workspace `default`, which is the control plane itself; any other is refused",
    );
    let api = api
        .endpoint(json_schema.answers::<Value>(StatusCode::OK), of_kind)
        .endpoint(plugin.answers::<Value>(StatusCode::OK), of_plugin)
        .endpoint(workspace.answers::<Value>(StatusCode::OK), workspace_named);
    // With the slash where a client leaves the name empty.
    let api = ["", "/"].into_iter().fold(api, |api, slash| {
        let path = format!("{BASE}/workspaces{slash}");
        let all = Endpoint::get(path, "The only workspace: `default`, which is the control plane itself");
        api.endpoint(all.answers::<Value>(StatusCode::OK), workspaces)
    });
    ["{entity}", PLUGIN].into_iter().fold(api, |api, entity| {
        let validate = Endpoint::post(
            format!("{BASE}/schemas/{entity}/validate"),
            "Check an entity without writing it. What it refers to need not exist",
        );
        let validate = validate
            .refuses(ProblemType::TooManyRequests, TOO_MANY_WAIT)
            .body_schema(any_entity(), "application/json")
            .answers::<Value>(StatusCode::OK);
        api.endpoint(validate, validate_entity)
    })
}

fn any_entity() -> RefOr<Schema> {
    ObjectBuilder::new().description(Some("An entity of the kind that the path names.")).into()
}

/// The kind that `name` means: its name, collection or section of a file, with `-` or `_`. Example: `key-auth`, `key_auths` and
/// `keyauth_credentials`.
fn kind_named(name: &str) -> Result<Kind, Problem> {
    let same = |own: &str| own.replace('-', "_") == name.replace('-', "_");
    let is_meant = |kind: &Kind| [kind.name(), kind.collection(), kind.section()].into_iter().any(same);
    Kind::ALL.into_iter().find(is_meant).ok_or_else(|| {
        let known: Vec<&str> = Kind::ALL.into_iter().map(Kind::name).collect();
        let detail = format!("no such kind of entity; this release has {}", known.join(", "));
        Problem::new(ProblemType::NotFound, detail)
    })
}

async fn of_kind(
    State(planes): State<ControlPlanes>,
    caller: Caller,
    Path(OfEntity { control_plane_id, entity }): Path<OfEntity>,
) -> Answer<Json<Value>> {
    planes.authorize(&caller, control_plane_id, Action::CpRetrieve).await?;
    Ok(Json(json::of_kind(kind_named(&entity.unwrap_or_default())?)))
}

async fn of_plugin(
    State(planes): State<ControlPlanes>,
    caller: Caller,
    Path(Named { control_plane_id, name }): Path<Named>,
) -> Answer<Json<Value>> {
    planes.authorize(&caller, control_plane_id, Action::CpRetrieve).await?;
    let schema = lua::of_plugin(&name).ok_or_else(|| {
        let supported: Vec<&str> = Plugin::supported().collect();
        let detail = format!("no such plugin; gateways of this release execute {}", supported.join(", "));
        Problem::new(ProblemType::NotFound, detail)
    })?;
    Ok(Json(schema))
}

/// decK asks for a workspace before it reads or writes anything in it. After a 404 it would make the workspace, or show a difference from
/// nothing.
async fn workspace_named(
    State(planes): State<ControlPlanes>,
    caller: Caller,
    Path(Named { control_plane_id, name }): Path<Named>,
) -> Answer<Json<Value>> {
    planes.authorize(&caller, control_plane_id, Action::CpRetrieve).await?;
    if name == "default" {
        return Ok(Json(json!({ "id": control_plane_id, "name": name })));
    }
    Err(Problem::invalid_parameter("workspace", NO_WORKSPACES).into())
}

async fn workspaces(
    State(planes): State<ControlPlanes>,
    caller: Caller,
    Path(id): Path<ControlPlaneId>,
) -> Answer<Json<Value>> {
    planes.authorize(&caller, id, Action::CpRetrieve).await?;
    Ok(Json(json!({ "data": [{ "id": id, "name": "default" }], "next": null })))
}

async fn validate_entity(
    State(planes): State<ControlPlanes>,
    State(entities): State<Entities>,
    caller: Caller,
    Path(OfEntity { control_plane_id, entity }): Path<OfEntity>,
    RawBody(body): RawBody<BODY_BYTES_MAX>,
) -> Answer<Json<Value>> {
    planes.authorize(&caller, control_plane_id, Action::CpRetrieve).await?;
    let kind = kind_named(entity.as_deref().unwrap_or(PLUGIN))?;
    let work = move || validate::validate(kind, &body);
    entities.validation.bodies.run(caller.organization(), work).await??;
    Ok(Json(json!({ "message": "schema validation successful" })))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The names under which decK asks for the schemas of kinds, and those under which it validates. A kind that is not in the table yet
    /// is not asked for.
    #[test]
    fn a_kind_is_found_by_every_name_that_deck_has_for_it() {
        for (own, asked) in [
            ("service", ["service", "services"]),
            ("route", ["route", "routes"]),
            ("upstream", ["upstream", "upstreams"]),
            ("target", ["target", "targets"]),
            ("consumer", ["consumer", "consumers"]),
            ("consumer_group", ["consumer_group", "consumer_groups"]),
            ("certificate", ["certificate", "certificates"]),
            ("ca_certificate", ["ca_certificate", "ca_certificates"]),
            ("sni", ["sni", "snis"]),
            ("vault", ["vault", "vaults"]),
            ("key", ["key", "keys"]),
            ("key_set", ["key-set", "key_sets"]),
            ("key_auth", ["key-auth", "keyauth_credentials"]),
            ("basic_auth", ["basic-auth", "basicauth_credentials"]),
            ("hmac_auth", ["hmac-auth", "hmacauth_credentials"]),
            ("jwt", ["jwt", "jwt_secrets"]),
            ("mtls_auth", ["mtls-auth", "mtls_auth_credentials"]),
            ("acl", ["acl", "acls"]),
            ("plugin", ["plugin", "plugins"]),
        ] {
            let Some(kind) = Kind::from_name(own) else { continue };
            for name in asked {
                assert_eq!(kind_named(name), Ok(kind), "{name}");
            }
        }
        for kind in Kind::ALL {
            assert_eq!(kind_named(kind.name()), Ok(kind));
        }
        assert!(kind_named("partial").is_err_and(|problem| problem.detail.contains("service, route")));
    }
}
