//! `GET /konnect-api/api/runtime_groups`: the list in which decK looks for a control plane by its name. It has the form that Konnect's list
//! had when control planes were called runtime groups.

use access::Caller;
use axum::{extract::State, http::StatusCode};
use serde::Serialize;
use utoipa::ToSchema;
use web::{Endpoint, Given, Json, Numbered, Parameter, Problem, Query, QueryParameters, Values};

use super::{ControlPlanes, filter::Filter, http::ControlPlaneBody};
use crate::error::Answer;

/// Items of a page unless the request says otherwise, and the most that it may ask for: decK's first request does not say.
const SIZE_MAX: u32 = 100;

/// The endpoint's line.
pub fn endpoint() -> Endpoint {
    Endpoint::get("/konnect-api/api/runtime_groups", "List the control planes that you may see, for decK")
        .query::<Pages>()
        .answers::<RuntimeGroups>(StatusCode::OK)
}

/// `page` and `size` of a request.
pub struct Pages(Numbered);

impl QueryParameters for Pages {
    fn parameters() -> Vec<Parameter> {
        let page = Values::Number { min: 1, max: 10_000 };
        let size = Values::Number { min: 1, max: SIZE_MAX.into() };
        vec![
            Parameter::new("page", page, "Which page, from 1.", "2").default("1"),
            Parameter::new("size", size, "Most items of a page.", "100").default("100"),
        ]
    }

    fn read(given: &Given) -> Result<Self, Problem> {
        let number = given.number("page").unwrap_or(1);
        Ok(Self(Numbered { size: given.number("size").unwrap_or(SIZE_MAX), number }))
    }
}

/// A page of the list. It is the last one where `page` is `pageCount`.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RuntimeGroups {
    data: Vec<ControlPlaneBody>,
    /// Which page it is, from 1. It may be a later one than was asked for: a page of which the caller may see nothing is passed over.
    page: u32,
    /// How many pages there are, at least 1.
    page_count: u32,
}

/// Lists them. decK takes an empty page for the end of the list, so that none is answered before the last one.
pub async fn list(
    State(planes): State<ControlPlanes>,
    caller: Caller,
    Query(Pages(mut page)): Query<Pages>,
) -> Answer<Json<RuntimeGroups>> {
    loop {
        let (found, total) = planes.visible(&caller, &Filter::all(page)).await?;
        let page_count = u32::try_from(total.div_ceil(page.size.into())).unwrap_or(u32::MAX).max(1);
        if found.is_empty() && page.number < page_count {
            page.number += 1;
            continue;
        }
        let data = found.into_iter().map(|one| planes.shown(one)).collect();
        return Ok(Json(RuntimeGroups { data, page: page.number, page_count }));
    }
}
