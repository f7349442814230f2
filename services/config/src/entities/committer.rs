//! The committer of a control plane: groups the writes that wait into one transaction and one version.
//!
//! One task per control plane and replica; replicas meet at the control plane's row lock. A refused write is answered
//! alone. When the transaction fails as a whole, nothing of it is written and every caller is told to try again.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use access::Session;
use axum::http::StatusCode;
use gateway_model::Kind;
use ids::{ControlPlaneId, OrganizationId};
use postgres::{Error, SqlId, idempotency::Idempotency, seal::SealKey};
use serde_json::{Map, Value, json};
use sqlx::{PgConnection, PgPool};
use time::OffsetDateTime;
use tokio::{
    sync::{
        mpsc::{self, error::TrySendError},
        oneshot,
    },
    time::timeout,
};
use tracing::Instrument as _;
use web::{Answer, Problem};

use super::{
    known::{Known, Name, Want},
    plan::{Command, Plan, Stop, plan},
    store,
};
use crate::feed::Feed;

/// Writes that wait for one control plane; one more is answered 503.
const QUEUE_MAX: usize = 1024;
/// Writes in one transaction.
const BATCH_MAX: usize = 64;
/// A committer without work ends after this long.
const IDLE_TIMEOUT: Duration = Duration::from_secs(60);

/// A write on its way to the committer.
pub struct Request {
    pub command: Command,
    pub session: Session,
    pub idempotency: Idempotency,
    /// Plans and answers, and writes nothing.
    pub dry_run: bool,
    /// Status of the answer when the command makes something new, and when not.
    pub status: (StatusCode, StatusCode),
}

/// What became of a write.
#[derive(Clone, Debug)]
pub struct Committed {
    pub status: StatusCode,
    /// JSON; empty for 204.
    pub body: String,
    pub version: u64,
}

type Reply = oneshot::Sender<Answer<Committed>>;
type Queue = mpsc::Sender<(Request, Reply, tracing::Span)>;

/// All committers of this replica. Cheap to clone.
#[derive(Clone)]
pub struct Committers {
    db: PgPool,
    seal: SealKey,
    feed: Feed,
    queues: Arc<Mutex<HashMap<ControlPlaneId, Queue>>>,
}

impl Committers {
    pub fn new(db: PgPool, seal: SealKey, feed: Feed) -> Self {
        Self { db, seal, feed, queues: Arc::default() }
    }

    /// Commits a write with others that wait; answers once it is durable.
    pub async fn commit(&self, id: ControlPlaneId, request: Request) -> Answer<Committed> {
        let (reply, answer) = oneshot::channel();
        let mut message = (request, reply, tracing::Span::current());
        loop {
            match self.queue(id).try_send(message) {
                Ok(()) => break,
                // The committer ended for want of work just now; another one takes over.
                Err(TrySendError::Closed(unsent)) => message = unsent,
                Err(TrySendError::Full(_)) => {
                    return Err(Problem::unavailable(
                        "too many writes wait for this control plane; try again",
                    ));
                }
            }
        }
        answer.await.map_err(|_| Problem::unavailable("the write was not committed; try again"))?
    }

    fn queue(&self, id: ControlPlaneId) -> Queue {
        let mut queues = self.queues.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(queue) = queues.get(&id).filter(|queue| !queue.is_closed()) {
            return queue.clone();
        }
        queues.retain(|_, queue| !queue.is_closed());
        let (sender, receiver) = mpsc::channel(QUEUE_MAX);
        queues.insert(id, sender.clone());
        tokio::spawn(run(self.clone(), id, receiver));
        sender
    }
}

async fn run(
    committers: Committers,
    id: ControlPlaneId,
    mut queue: mpsc::Receiver<(Request, Reply, tracing::Span)>,
) {
    loop {
        let mut batch = Vec::with_capacity(BATCH_MAX);
        if timeout(IDLE_TIMEOUT, queue.recv_many(&mut batch, BATCH_MAX)).await.is_err() {
            // Whoever holds a sender now finds the queue closed and opens another; what is in it is still served.
            queue.close();
            queue.recv_many(&mut batch, BATCH_MAX).await;
        }
        if batch.is_empty() {
            return;
        }
        metrics::histogram!("landbridge_commit_batch_writes").record(batch.len() as f64);
        let span = batch.first().map_or_else(tracing::Span::none, |(_, _, span)| span.clone());
        let (requests, replies): (Vec<Request>, Vec<Reply>) =
            batch.into_iter().map(|(request, reply, _)| (request, reply)).unzip();
        let answers = commit(&committers, id, requests).instrument(span).await;
        for (reply, answer) in replies.into_iter().zip(answers) {
            // A caller that has gone away finds its write done, or finds its idempotency key.
            let _ = reply.send(answer);
        }
    }
}

async fn commit(
    committers: &Committers,
    id: ControlPlaneId,
    requests: Vec<Request>,
) -> Vec<Answer<Committed>> {
    let count = requests.len();
    match transact(committers, id, requests).await {
        Ok(answers) => answers,
        Err(problem) => vec![Err(problem); count],
    }
}

/// A planned request: its own answer, and its plan if it has one.
struct Planned {
    request: Request,
    outcome: Answer<Plan>,
}

async fn transact(
    committers: &Committers,
    id: ControlPlaneId,
    requests: Vec<Request>,
) -> Answer<Vec<Answer<Committed>>> {
    let mut transaction = committers.db.begin().await.map_err(Error::from)?;
    let Some(head) = store::lock(&mut transaction, id).await? else {
        return Ok(requests.iter().map(|_| Err(Problem::not_found("control plane"))).collect());
    };
    let mut known = Known::default();
    let mut planned = Vec::with_capacity(requests.len());
    for request in requests {
        let outcome = decide(&mut transaction, id, &committers.seal, &mut known, &request).await?;
        planned.push(Planned { request, outcome });
    }
    let pending = known.into_pending();
    let version = if pending.is_empty() { head.version } else { head.version + 1 };
    if !pending.is_empty() {
        store::write(&mut transaction, id, &committers.seal, &head, version, &pending).await?;
    }

    let mut answers = Vec::with_capacity(planned.len());
    for Planned { request, outcome } in planned {
        answers.push(match outcome {
            Ok(plan) => {
                Ok(record(&mut transaction, committers, id, &request, &plan, version, &pending, head.now)
                    .await?)
            }
            Err(problem) => Err(problem),
        });
    }
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
    if let Err(problem) = request.idempotency.claim(connection).await {
        return Ok(Err(problem));
    }
    prefetch(connection, id, seal, known, &request.command).await?;
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
                request.idempotency.release(connection).await?;
                return Ok(Err(problem));
            }
        }
    }
}

/// Reads at once what the command will certainly ask for.
async fn prefetch(
    connection: &mut PgConnection,
    id: ControlPlaneId,
    seal: &SealKey,
    known: &mut Known,
    command: &Command,
) -> Result<(), Error> {
    let (entity, own) = match command {
        Command::Create { id, entity } => (entity, Some(*id)),
        Command::Upsert { selector: super::plan::Selector::Id(id), entity, .. } => (entity, Some(*id)),
        Command::Upsert { entity, .. } => (entity, None),
        Command::Delete { .. } | Command::Apply { .. } => return Ok(()),
    };
    let kind = entity.kind();
    let mut wants: Vec<Want> = own.map(|id| Want::Entity((kind, id))).into_iter().collect();
    let targets = entity
        .references()
        .into_iter()
        .filter_map(|reference| Some((reference.kind, reference.target.id()?)));
    wants.extend(targets.map(Want::Entity));
    wants.extend(entity.unique_keys().into_iter().map(|key| Want::Key((kind, key))));
    store::learn(connection, id, seal, &wants, known).await
}

async fn record(
    connection: &mut PgConnection,
    committers: &Committers,
    id: ControlPlaneId,
    request: &Request,
    plan: &Plan,
    version: u64,
    pending: &std::collections::BTreeMap<Name, super::known::Pending>,
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
    request.idempotency.keep(connection, status, Some(&format!("\"{entity_version}\"")), &body).await?;
    audit(connection, &request.session, &request.command, id, plan).await?;
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

async fn audit(
    connection: &mut PgConnection,
    session: &Session,
    command: &Command,
    id: ControlPlaneId,
    plan: &Plan,
) -> Result<(), Error> {
    let name = |kind: Kind| kind.name();
    let (verb, kind) = match command {
        Command::Create { entity, .. } => ("create", name(entity.kind())),
        Command::Upsert { entity, .. } => ("put", name(entity.kind())),
        Command::Delete { kind, .. } => ("delete", name(*kind)),
        Command::Apply { .. } => ("apply", "configuration"),
    };
    let target = match plan.subject {
        Some((_, entity)) => format!("{id}/{entity}"),
        None => id.to_string(),
    };
    let organization: OrganizationId = session.organization;
    sqlx::query("INSERT INTO audit (organization_id, actor_id, session_id, action, target) VALUES ($1, $2, $3, $4, $5)")
        .bind(SqlId(organization))
        .bind(SqlId(session.principal))
        .bind(SqlId(session.id))
        .bind(format!("{kind}.{verb}"))
        .bind(target)
        .execute(connection)
        .await?;
    Ok(())
}
