//! `/declarative`: the configuration of a control plane as one document, read and written.

use access::{Action, Caller};
use axum::{
    body::Bytes,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse as _, Response},
};
use gateway_model::{
    Entity, Kind,
    declarative::{Document, Unchecked, write},
};
use ids::ControlPlaneId;
use uuid::Uuid;
use web::{Problem, ProblemType};

use super::{
    input::if_match,
    output,
    query::{ApplyQuery, ExportQuery},
};
use crate::{
    control_planes::ControlPlanes,
    entities::{
        Entities,
        committer::{Actor, Request},
        plan::Command,
        secrets::{has_password, hash_passwords},
        store::{self, EntityRow},
    },
    error::Answer,
    imports::{Begun, New, Phase, Progress, Source, http::carry_out},
    rows::RowError,
};

/// Makes what the document owns of the configuration as it says, in one version. Answers how many changed.
pub async fn apply(
    planes: &ControlPlanes,
    entities: &Entities,
    caller: &Caller,
    id: ControlPlaneId,
    (query, headers): (ApplyQuery, &HeaderMap),
    body: Bytes,
) -> Answer<Response> {
    planes.authorize(caller, id, Action::ConfigApply).await?;
    let if_match = if_match(headers)?;
    let begun = entities.imports.begin(New {
        control_plane: id,
        id: query.import_id,
        source: Source::Declarative,
        dry_run: query.dry_run,
        begun_by: caller.principal(),
        content: &body,
    });
    let import = match begun.await? {
        Begun::Runs(import) => import,
        Begun::Committed { id, result } => return Ok(output::applied_before(id, result)),
    };
    let (entities, caller, progress) = (entities.clone(), caller.clone(), import.progress());
    let work = async move {
        let read = {
            let progress = progress.clone();
            move || read(id, &body, &progress)
        };
        let document = entities.validation.documents.run(caller.organization(), read).await??;
        progress.enter(Phase::Queued, Some(document.len()));
        let command = Command::Apply {
            document: document.into(),
            namespace: id.uuid(),
            describe: query.dry_run,
            if_match,
        };
        let request = Request {
            dry_run: query.dry_run,
            progress: Some(progress),
            ..Request::plain(command, Actor::Person(caller))
        };
        Ok(entities.committers.commit(id, request).await?)
    };
    let outcome = carry_out(import, work, output::result).await?;
    Ok(output::outcome(StatusCode::OK, &outcome))
}

/// The document of a body, with its passwords hashed.
fn read(id: ControlPlaneId, body: &[u8], progress: &Progress) -> Answer<Document> {
    progress.enter(Phase::Reading, None);
    let text = std::str::from_utf8(body).map_err(|error| {
        Problem::new(ProblemType::MalformedBody, format!("the document is not UTF-8: {error}"))
    })?;
    let unchecked = Unchecked::read(text)?;
    progress.enter(Phase::Checking, Some(unchecked.entities()));
    let mut document = unchecked.check(&|| progress.add(1))?;
    let mut with_passwords: Vec<&mut Entity> =
        document.entities_mut().filter_map(|entity| has_password(entity).then_some(entity)).collect();
    if !with_passwords.is_empty() {
        progress.enter(Phase::Hashing, Some(with_passwords.len()));
    }
    for entity in &mut with_passwords {
        hash_passwords(id, entity).map_err(Problem::internal)?;
        progress.add(1);
    }
    Ok(document)
}

/// The configuration as a document that, applied again, changes nothing: YAML, or JSON where that is accepted instead. Kinds of
/// entities that the caller may not read are left out, with their secrets, and a comment names them.
pub async fn export(
    planes: &ControlPlanes,
    entities: &Entities,
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
    let (version, rows) = store::export(&entities.db, id, &kinds, &query.tags).await?;
    let (sealing, is_json) = (entities.sealing(id), prefers_json(headers));
    let write = move || -> Result<String, RowError> {
        let read = |row: EntityRow| Ok((row.id, row.entity(&sealing)?));
        let entities: Vec<(Uuid, Entity)> = rows.into_iter().map(read).collect::<Result<_, RowError>>()?;
        let document = write::document(&entities, &comment, &query.tags);
        Ok(if is_json { serde_json::Value::Object(document).to_string() } else { write::to_yaml(&document) })
    };
    let text = entities.validation.documents.run(caller.session.organization, write).await??;
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
