//! `/declarative`: the configuration of a control plane as one document, read and written.

use std::time::{Duration, Instant};

use access::{Action, Caller};
use axum::{
    body::Bytes,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse as _, Response},
};
use gateway_model::{
    Entity, Kind,
    declarative::{self, write},
};
use ids::ControlPlaneId;
use uuid::Uuid;
use web::{Problem, ProblemType};

use super::{
    output,
    query::{ApplyQuery, ExportQuery},
};
use crate::{
    control_planes::ControlPlanes,
    entities::{
        Entities,
        committer::{Actor, Counts, Outcome, Request, Task},
        plan::Command,
        secrets::hash_passwords,
        store::{self, EntityRow},
    },
    error::Answer,
    rows::RowError,
};

/// Makes what the document owns of the configuration as it says, in one version. Answers how many changed.
pub async fn apply(
    planes: &ControlPlanes,
    entities: &Entities,
    caller: &Caller,
    id: ControlPlaneId,
    query: ApplyQuery,
    body: Bytes,
) -> Answer<Response> {
    planes.authorize(caller, id, Action::ConfigApply).await?;
    let started = Instant::now();
    let parse = move || {
        let text = std::str::from_utf8(&body).map_err(|error| {
            Problem::new(ProblemType::MalformedBody, format!("the document is not UTF-8: {error}"))
        })?;
        let mut document = declarative::parse(text)?;
        for entity in document.entities_mut() {
            hash_passwords(id, entity).map_err(Problem::internal)?;
        }
        Answer::Ok(document)
    };
    let document = entities.validation.documents.run(caller.session.organization, parse).await??;
    let request = Request {
        task: Task::one(Command::Apply {
            document: document.into(),
            namespace: id.uuid(),
            describe: query.dry_run,
        }),
        actor: Actor::Person(caller.session.clone()),
        keep: None,
        dry_run: query.dry_run,
    };
    let outcome = entities.committers.commit(id, request).await?;
    if let Outcome::Applied(counts) = &outcome {
        note(id, counts, started.elapsed());
    }
    Ok(output::outcome(StatusCode::OK, &outcome))
}

/// Tells operators of a document that was applied.
fn note(id: ControlPlaneId, counts: &Counts, took: Duration) {
    let Counts { version, created, updated, deleted, dry_run, .. } = *counts;
    if dry_run {
        return;
    }
    for (change, count) in [("create", created), ("update", updated), ("delete", deleted)] {
        metrics::counter!("landbridge_declarative_entities_total", "change" => change)
            .increment(count as u64);
    }
    metrics::histogram!("landbridge_declarative_apply_seconds").record(took);
    let seconds = took.as_secs_f64();
    tracing::info!(control_plane = %id, version, created, updated, deleted, seconds, "a document was applied");
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
    let rows = store::everything(&entities.db, id, &kinds, &query.tags).await?;
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
    Ok((StatusCode::OK, [media_type, vary], text).into_response())
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
