//! One transaction of a committer: lock the head, read what all requests need, plan each, write the whole as one version.

use std::collections::BTreeMap;

use ids::ControlPlaneId;
use postgres::Error;
use seal::SealKey;
use serde_json::{Map, Value, json};
use sqlx::PgConnection;
use time::OffsetDateTime;
use web::{Answer, Problem, ProblemType};

use super::{Committed, Committers, Request, audit};
use crate::entities::{
    known::{Known, Name, Pending, Want},
    plan::{Command, Plan, Selector, Stop, plan},
    store,
};

/// Commits what can be committed of `requests` as one version; answers each.
pub async fn commit(
    committers: &Committers,
    id: ControlPlaneId,
    requests: &[Request],
) -> Vec<Answer<Committed>> {
    let problem = match transact(committers, id, requests).await {
        Ok(answers) => return answers,
        Err(problem) => problem,
    };
    if requests.len() == 1 || problem.kind != ProblemType::Internal {
        return requests.iter().map(|_| Err(problem.clone())).collect();
    }
    // One of them is at fault, and nothing was written: the others must not share its fate.
    let mut answers = Vec::with_capacity(requests.len());
    for request in requests {
        let answer = transact(committers, id, std::slice::from_ref(request)).await;
        answers.push(answer.and_then(|mut alone| alone.pop().unwrap_or(Err(problem.clone()))));
    }
    answers
}

async fn transact(
    committers: &Committers,
    id: ControlPlaneId,
    requests: &[Request],
) -> Answer<Vec<Answer<Committed>>> {
    let mut transaction = committers.db.begin().await.map_err(Error::from)?;
    let Some(head) = store::lock(&mut transaction, id).await? else {
        return Ok(requests.iter().map(|_| Err(Problem::not_found("control plane"))).collect());
    };
    let mut known = Known::default();
    let foreseen: Vec<Want> = requests.iter().flat_map(|request| foreseen(&request.command)).collect();
    store::learn(&mut transaction, id, &committers.seal, &foreseen, &mut known).await?;
    let mut planned = Vec::with_capacity(requests.len());
    for request in requests {
        planned.push(decide(&mut transaction, id, &committers.seal, &mut known, request).await?);
    }
    let pending = known.into_pending();
    let version = if pending.is_empty() { head.version } else { head.version + 1 };
    if !pending.is_empty() {
        store::write(&mut transaction, id, &committers.seal, &head, version, &pending).await?;
    }

    let mut audited = Vec::with_capacity(planned.len());
    let mut answers = Vec::with_capacity(planned.len());
    for (request, outcome) in requests.iter().zip(planned) {
        answers.push(match outcome {
            Ok(plan) => {
                audited.push(audit::entry(request, id, &plan));
                Ok(record(&mut transaction, committers, id, request, &plan, version, &pending, head.now)
                    .await?)
            }
            Err(problem) => Err(problem),
        });
    }
    mutation::audit::insert(&mut transaction, &audited).await?;
    transaction.commit().await.map_err(Error::from)?;
    if !pending.is_empty() {
        committers.feed.advanced(id, head.epoch, version).await;
    }
    Ok(answers)
}

/// Plans one request, reading what it needs; a refusal is the inner error. Plans of dry runs are not kept.
async fn decide(
    connection: &mut PgConnection,
    id: ControlPlaneId,
    seal: &SealKey,
    known: &mut Known,
    request: &Request,
) -> Answer<Answer<Plan>> {
    if let Some(key) = &request.key
        && let Err(error) = key.claim(connection).await
    {
        return Ok(Err(error.into()));
    }
    loop {
        let planned = match &request.command {
            // A whole document takes a while: the other tasks of this thread go on elsewhere meanwhile.
            Command::Apply { .. } => tokio::task::block_in_place(|| plan(&request.command, known)),
            _ => plan(&request.command, known),
        };
        match planned {
            Ok(mut plan) => {
                let writes = std::mem::take(&mut plan.writes);
                if !request.dry_run {
                    known.absorb(writes);
                }
                return Ok(Ok(plan));
            }
            Err(Stop::Want(want)) => store::learn(connection, id, seal, &[want], known).await?,
            Err(Stop::Refused(problem)) => {
                // The key of a refused request stays free: the client mends the body and sends it again.
                if let Some(key) = &request.key {
                    key.release(connection).await?;
                }
                return Ok(Err(problem));
            }
        }
    }
}

/// What planning the command will certainly ask for: read at once for a whole batch.
fn foreseen(command: &Command) -> Vec<Want> {
    let (entity, own) = match command {
        Command::Create { id, entity } => (entity, Some(*id)),
        Command::Upsert { selector: Selector::Id(id), entity, .. } => (entity, Some(*id)),
        Command::Upsert { entity, .. } => (entity, None),
        Command::Delete { kind, selector: Selector::Id(id), .. } => {
            return vec![Want::Entity((*kind, *id)), Want::Referrers((*kind, *id))];
        }
        Command::Delete { .. } | Command::Apply { .. } => return Vec::new(),
    };
    let kind = entity.kind();
    let references = entity.references().into_iter();
    let targets = references.filter_map(|reference| Some((reference.kind, reference.target.id()?)));
    let keys = entity.unique_keys().into_iter().map(|key| Want::Key((kind, key)));
    let own = own.map(|id| (kind, id)).into_iter();
    own.chain(targets).map(Want::Entity).chain(keys).collect()
}

/// Makes the answer to a planned request and keeps it for its idempotency key.
async fn record(
    connection: &mut PgConnection,
    committers: &Committers,
    id: ControlPlaneId,
    request: &Request,
    plan: &Plan,
    version: u64,
    pending: &BTreeMap<Name, Pending>,
    now: OffsetDateTime,
) -> Answer<Committed> {
    let status = if plan.created > 0 { request.status.0 } else { request.status.1 };
    let (body, entity_version) = match (&request.command, plan.subject) {
        (Command::Apply { .. }, _) => {
            let counts = json!({
                "version": version, "created": plan.created, "updated": plan.updated, "deleted": plan.deleted,
                "dry_run": request.dry_run,
            });
            (counts.to_string(), version)
        }
        (Command::Delete { .. }, _) | (_, None) => (String::new(), version),
        (_, Some(name)) => match (pending.get(&name), &plan.entity) {
            (Some(change), Some(entity)) => {
                let created = change.before.as_ref().map_or(now, |before| before.created_at);
                (show(entity.to_api(), name.1, created, now).to_string(), version)
            }
            // The very same was there already.
            _ => shown_as_stored(connection, id, &committers.seal, name).await?,
        },
    };
    let (etag, nothing) = (format!("\"{entity_version}\""), access::Vector::default());
    if let Some(key) = &request.key {
        key.keep(connection, status, Some(&etag), &body, nothing).await?;
    }
    Ok(Committed { status, body, version: entity_version })
}

async fn shown_as_stored(
    connection: &mut PgConnection,
    id: ControlPlaneId,
    seal: &SealKey,
    (kind, entity_id): Name,
) -> Answer<(String, u64)> {
    let row =
        store::get(connection, id, kind, entity_id).await?.ok_or_else(|| Problem::not_found(kind.label()))?;
    let shown = show(row.entity(seal)?.to_api(), entity_id, row.created_at, row.updated_at);
    Ok((shown.to_string(), row.version.cast_unsigned()))
}

/// An entity as the API shows it: its fields, its id and its times (Unix seconds).
pub fn show(
    mut fields: Map<String, Value>,
    id: uuid::Uuid,
    created: OffsetDateTime,
    updated: OffsetDateTime,
) -> Value {
    fields.insert("id".to_owned(), json!(id));
    fields.insert("created_at".to_owned(), json!(created.unix_timestamp()));
    fields.insert("updated_at".to_owned(), json!(updated.unix_timestamp()));
    Value::Object(fields)
}
