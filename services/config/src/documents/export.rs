//! The configuration as a document.

use access::{Action, Caller};
use axum::{
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse as _, Response},
};
use gateway_model::{Entity, Kind, declarative::write};
use ids::ControlPlaneId;
use uuid::Uuid;

use super::Documents;
use crate::{
    control_planes::ControlPlanes,
    entities::{
        http::{output, query::ExportQuery},
        store::{self, EntityRow},
    },
    error::Answer,
    rows::RowError,
};

/// The configuration as a document that, applied again, changes nothing: YAML, or JSON where that is accepted instead. Kinds of
/// entities that the caller may not read are left out, with their secrets, and a comment names them.
pub async fn export(
    planes: &ControlPlanes,
    documents: &Documents,
    caller: &Caller,
    id: ControlPlaneId,
    query: ExportQuery,
    headers: &HeaderMap,
) -> Answer<Response> {
    let plane = planes.authorize(caller, id, Action::CpRetrieve).await?;
    let resource = planes.resource(&plane);
    let (mut kinds, mut left_out) = (Vec::new(), Vec::new());
    for kind in Kind::ALL {
        let may_read = match Action::entity(kind.name(), false) {
            Some(action) => caller.allows(action, &resource).await?,
            None => false,
        };
        if may_read { kinds.push(kind) } else { left_out.push(kind.collection()) }
    }
    let comment = match left_out.as_slice() {
        [] => String::new(),
        _ => format!(
            "without {}, which you may not read: to apply this would delete them",
            left_out.join(", ")
        ),
    };
    let (version, rows) = store::export(&documents.db, id, &kinds, &query.tags).await?;
    let (sealing, is_json) = (documents.sealing(id), prefers_json(headers));
    let write = move || -> Result<String, RowError> {
        let read = |row: EntityRow| Ok((row.id, row.entity(&sealing)?));
        let entities: Vec<(Uuid, Entity)> = rows.into_iter().map(read).collect::<Result<_, RowError>>()?;
        let document = write::document(&entities, &comment, &query.tags);
        Ok(if is_json { serde_json::Value::Object(document).to_string() } else { write::to_yaml(&document) })
    };
    let text = documents.validation.documents.run(caller.session.organization, write).await??;
    let media_type = if is_json { "application/json" } else { "application/yaml" };
    let media_type = (header::CONTENT_TYPE, HeaderValue::from_static(media_type));
    let vary = (header::VARY, HeaderValue::from_static("accept"));
    let mut response = (StatusCode::OK, [media_type, vary], text).into_response();
    if let Ok(etag) = HeaderValue::from_str(&output::etag(version)) {
        response.headers_mut().insert(header::ETAG, etag);
    }
    Ok(response)
}

/// Whether the first type that a request accepts, of those that there are, is JSON.
fn prefers_json(headers: &HeaderMap) -> bool {
    let accepted = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let mut types = accepted
        .flat_map(|value| value.split(','))
        .map(|one| one.split(';').next().unwrap_or_default().trim());
    let first = types
        .find(|one| one.contains("yaml") || *one == "*/*" || one.eq_ignore_ascii_case("application/json"));
    first.is_some_and(|one| one.eq_ignore_ascii_case("application/json"))
}
