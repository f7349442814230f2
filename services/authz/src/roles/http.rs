//! `GET /v3/roles`.

use access::{Action, Caller, Resource};
use axum::http::StatusCode;
use serde_json::Value;
use web::{Api, Endpoint, Json};

use super::table;
use crate::{Answer, app::App};

/// Adds the endpoint.
pub fn endpoints(api: Api<App>) -> Api<App> {
    api.endpoint(
        Endpoint::get("/v3/roles", "The roles that can be assigned").answers::<Value>(StatusCode::OK),
        list,
    )
}

async fn list(caller: Caller) -> Answer<Json<Value>> {
    caller.may(Action::IamReadRoles, &Resource::Iam).await?;
    Ok(Json(table()))
}
