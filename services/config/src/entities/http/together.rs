//! `POST …/batch`: many writes of entities in one transaction, all or nothing.

use std::collections::BTreeSet;

use access::Caller;
use axum::{
    body::Bytes,
    http::StatusCode,
    response::{IntoResponse as _, Response},
};
use gateway_model::Kind;
use ids::ControlPlaneId;
use mutation::Key;
use serde::Deserialize;
use serde_json::Value;
use utoipa::ToSchema;
use uuid::Uuid;
use web::{FieldError, Problem};

use super::{
    input::{Input, read},
    output,
    query::BatchQuery,
};
use crate::{
    control_planes::ControlPlanes,
    entities::{
        Entities,
        committer::{Actor, Keep, Request, Task},
        plan::{Command, Selector},
    },
    error::{Answer, in_operation},
    imports::{Begun, New, Phase, Progress, Source, http::carry_out},
};

/// Most writes of one request.
const OPERATIONS_MAX: usize = 1000;
/// Most bytes of one request.
pub const BATCH_BYTES_MAX: usize = 8 * 1024 * 1024;

/// The body of a request.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Batch {
    /// Done in this order: 1 to 1000. Later ones may refer to what earlier ones make.
    operations: Vec<Operation>,
}

/// One write.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Operation {
    op: Op,
    /// The kind of the entity, such as `service` or `key_auth`.
    kind: String,
    /// The entity. A `create` without id gets one.
    id: Option<Uuid>,
    /// The entity, by the name that may stand for its id.
    name: Option<String>,
    /// The entity's fields. A `delete` has none.
    #[schema(value_type = Option<Object>)]
    body: Option<Value>,
}

/// What a write does.
#[derive(Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum Op {
    /// Makes an entity; refused if its id is taken.
    Create,
    /// Makes an entity, or replaces it.
    Put,
    /// Deletes an entity, if it is there.
    Delete,
}

/// Makes all writes of the request, or none of them. A refusal names the operation.
pub async fn write_together(
    planes: &ControlPlanes,
    entities: &Entities,
    caller: &Caller,
    id: ControlPlaneId,
    (query, key): (BatchQuery, Option<Key>),
    body: Bytes,
) -> Answer<Response> {
    let (bodies, organization) = (&entities.validation.bodies, caller.session.organization);
    let text = body.clone();
    let operations = bodies.run(organization, move || outline(&text)).await??;
    let kinds: BTreeSet<Kind> = operations.iter().map(|(kind, _)| *kind).collect();
    for kind in kinds {
        let action = access::Action::entity(kind.name(), true);
        let action = action.ok_or_else(|| Problem::internal("a kind without actions"))?;
        planes.authorize(caller, id, action).await?;
    }
    let begun = entities.imports.begin(New {
        control_plane: id,
        id: query.import_id,
        source: Source::Batch,
        dry_run: false,
        begun_by: caller.principal(),
        content: &body,
    });
    let import = match begun.await? {
        Begun::Runs(import) => import,
        Begun::Committed { id, result } => return Ok(output::made_before(id, result)),
    };
    let (entities, caller, progress) = (entities.clone(), caller.clone(), import.progress());
    let work = async move {
        let read = {
            let progress = progress.clone();
            move || commands(operations, id, &progress)
        };
        let commands = entities.validation.bodies.run(organization, read).await??;
        progress.enter(Phase::Queued, Some(commands.len()));
        let request = Request {
            task: Task::Together(commands),
            actor: Actor::Person(caller),
            keep: key.map(|key| Keep { key, render: output::kept }),
            progress: Some(progress),
        };
        Ok(entities.committers.commit(id, request).await?)
    };
    let outcome = carry_out(import, work, output::result).await?;
    Ok(output::outcome(StatusCode::OK, &outcome).into_response())
}

/// The operations of a body, each with its kind.
fn outline(body: &[u8]) -> Answer<Vec<(Kind, Operation)>> {
    let value = gateway_model::parse_body(body)?;
    let batch: Batch = serde_json::from_value(value)
        .map_err(|error| Problem::invalid_field("operations", error.to_string()))?;
    if batch.operations.is_empty() || batch.operations.len() > OPERATIONS_MAX {
        let reason = format!("must have 1 to {OPERATIONS_MAX} operations");
        return Err(Problem::invalid_field("operations", reason).into());
    }
    let of_kind = |(place, operation): (usize, Operation)| match Kind::from_name(&operation.kind) {
        Some(kind) => Ok((kind, operation)),
        None => {
            let known = Kind::ALL.map(Kind::name).join(", ");
            Err(Problem::invalid_field(
                format!("operations[{place}].kind"),
                format!("must be one of {known}"),
            )
            .into())
        }
    };
    batch.operations.into_iter().enumerate().map(of_kind).collect()
}

fn commands(
    operations: Vec<(Kind, Operation)>,
    id: ControlPlaneId,
    progress: &Progress,
) -> Answer<Vec<Command>> {
    progress.enter(Phase::Checking, Some(operations.len()));
    let numbered = operations.into_iter().enumerate();
    numbered
        .map(|(place, (kind, operation))| {
            progress.add(1);
            command(kind, operation, id).map_err(|error| in_operation(place, error.into()).into())
        })
        .collect()
}

/// What one operation asks for. A wrong field is named as in the operation.
fn command(kind: Kind, operation: Operation, control_plane: ControlPlaneId) -> Answer<Command> {
    let Operation { op, id, name, body, .. } = operation;
    let refuse = |field: &str, reason: &str| Err(Problem::invalid_field(field, reason).into());
    let selector = match (id, name) {
        (Some(_), Some(_)) => return refuse("name", "must be left out beside `id`"),
        (Some(id), None) => Some(Selector::Id(id)),
        (None, Some(name)) if kind.name_key(&name).is_none() => {
            return refuse("name", "names no entity of this kind: give `id`");
        }
        (None, Some(name)) => Some(Selector::Name(name)),
        (None, None) => None,
    };
    if op == Op::Delete {
        let Some(selector) = selector else { return refuse("id", "is required: give `id` or `name`") };
        if body.is_some() {
            return refuse("body", "must be left out of a `delete`");
        }
        return Ok(Command::Delete { kind, selector, if_match: None });
    }
    let Some(body) = body else { return refuse("body", "is required: the fields of the entity") };
    let name = match &selector {
        Some(Selector::Name(name)) => Some(name.clone()),
        _ => None,
    };
    let input =
        Input { control_plane, kind, body: body.to_string().into(), parent: None, skip_hash: false, name };
    let (given, entity) = read(input).map_err(|error| in_body(error.into()))?;
    if let (Some(Selector::Id(id)), Some(given)) = (&selector, given)
        && *id != given
    {
        return refuse("body.id", "must be the `id` of the operation");
    }
    let new_id = given.unwrap_or_else(Uuid::now_v7);
    Ok(match (op, selector) {
        (Op::Put, Some(selector)) => Command::Upsert { selector, new_id, entity, if_match: None },
        (Op::Put, None) => Command::Upsert { selector: Selector::Id(new_id), new_id, entity, if_match: None },
        (_, Some(Selector::Id(id))) => Command::Create { id, entity },
        (_, _) => Command::Create { id: new_id, entity },
    })
}

fn in_body(mut problem: Problem) -> Problem {
    for FieldError { field, .. } in &mut problem.fields {
        *field = if field.is_empty() { "body".to_owned() } else { format!("body.{field}") };
    }
    problem
}
