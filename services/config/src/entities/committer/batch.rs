//! One transaction of a committer: lock the head, read what all requests need, plan each, write the whole as one version.

use std::collections::{BTreeMap, HashSet};

use access::Place;
use gateway_model::{Entity, PathPattern, Target};
use ids::ControlPlaneId;
use sqlx::{PgConnection, Postgres, Transaction};
use time::OffsetDateTime;

use super::{
    Actor, BatchError, CommitError, Committers, Outcome, Request, Shown, Task, Together, audit, keys,
};
use crate::{
    entities::{
        known::{EntityId, Known, Pending, Undo, Want},
        plan::{Command, Limits, Plan, Refusal, Selector, Stop, plan},
        revocations::{self, Revoked},
        secrets::Sealing,
        store,
    },
    feed::Head,
    imports::{Phase, Progress},
    rows::RowError,
    validation::in_place,
};

/// The answer to one request of a batch.
type Answered = Result<Outcome, CommitError>;
/// The planned writes of one request of a batch, one plan for each of its commands, or why there are none.
type Planned = Result<Vec<Plan>, CommitError>;

/// Commits those of `requests` that can be committed, as one version. Returns the answer to each, in the same order.
pub async fn commit(committers: &Committers, id: ControlPlaneId, requests: &[Request]) -> Vec<Answered> {
    let error = match transact(committers, id, requests).await {
        Ok(answers) => return answers,
        Err(error) => error,
    };
    if requests.len() == 1 || !at_fault(&error) {
        let error = CommitError::from(error);
        return requests.iter().map(|_| Err(error.clone())).collect();
    }
    // One of the writes made the transaction fail, and nothing was written. Each is tried alone, so that the others succeed.
    let mut answers = Vec::with_capacity(requests.len());
    for request in requests {
        match transact(committers, id, std::slice::from_ref(request)).await {
            Ok(alone) => answers.extend(alone),
            Err(error) => answers.push(Err(error.into())),
        }
    }
    answers
}

/// Whether one of the writes caused the error. If not, the database cannot be reached, and every write fails.
fn at_fault(error: &BatchError) -> bool {
    !matches!(error.database(), Some(postgres::Error::Unavailable(_)))
}

/// Runs one transaction. An error means that nothing was written. A refusal of one request is not an error: it is that
/// request's answer.
async fn transact(
    committers: &Committers,
    id: ControlPlaneId,
    requests: &[Request],
) -> Result<Vec<Answered>, BatchError> {
    let mut transaction = committers.db.begin().await?;
    let Some(head) = store::lock(&mut transaction, id).await? else {
        return Ok(requests.iter().map(|_| Err(CommitError::NoControlPlane)).collect());
    };
    if !head.meets_document {
        return write_all(committers, id, requests, transaction, head).await;
    }
    store::wait_little(&mut transaction).await?;
    let held = |error: BatchError| match error.database() {
        Some(cause) if cause.is_conflict() => BatchError::Held,
        _ => error,
    };
    write_all(committers, id, requests, transaction, head).await.map_err(held)
}

/// Plans and writes all that can be written, with the head locked, and commits.
async fn write_all(
    committers: &Committers,
    id: ControlPlaneId,
    requests: &[Request],
    mut transaction: Transaction<'_, Postgres>,
    head: store::Head,
) -> Result<Vec<Answered>, BatchError> {
    let known = Known::new(head.now, committers.random.bytes());
    let sealing = Sealing::of(&committers.seal, id);
    let mut planner = Planner { committers, id, sealing: &sealing, known };
    if let Some(count) = head.entities {
        planner.known.learn_count(count);
    }
    if let Some(cost) = head.path_cost {
        planner.known.learn_path_cost(cost);
    }
    let commands = || requests.iter().flat_map(|request| request.task.commands());
    planner.learn(&mut transaction, &distinct(commands().flat_map(foreseen))).await?;
    let named = distinct(commands().flat_map(|command| named(command, &planner.known)));
    planner.learn(&mut transaction, &named).await?;
    let mut planned = Vec::with_capacity(requests.len());
    for (request, has_key) in requests.iter().zip(keys::claim(&mut transaction, requests).await?) {
        planned.push(match has_key {
            true => planner.decide(&mut transaction, request).await?,
            false => Err(CommitError::KeyInUse),
        });
    }
    keys::release(&mut transaction, requests, &planned).await?;
    let (entities, path_cost) = (planner.known.count().ok(), planner.known.path_cost().ok());
    let pending = planner.known.into_pending();
    let version = if pending.is_empty() { head.version } else { head.version + 1 };
    if !pending.is_empty() {
        let batch = store::Batch { version, pending: &pending, entities, path_cost };
        let accepted = requests.iter().zip(&planned).filter(|(_, plan)| plan.is_ok());
        let writing: Vec<&Progress> = accepted.filter_map(|(request, _)| request.progress.as_ref()).collect();
        writing.iter().for_each(|progress| progress.enter(Phase::Writing, Some(pending.len())));
        let written = |rows| writing.iter().for_each(|progress| progress.add(rows));
        store::write(&mut transaction, id, &sealing, &head, batch, &written).await?;
    }

    let place = Place { control_plane: id, incarnation: head.incarnation, version };
    let results = Results { committers, place, pending: &pending, now: head.now };
    let mut entries = Vec::with_capacity(planned.len());
    let mut answers = Vec::with_capacity(planned.len());
    for (request, planned) in requests.iter().zip(planned) {
        answers.push(match planned {
            Ok(plans) => {
                let commands = request.task.commands().iter().zip(&plans);
                entries.extend(commands.map(|(command, plan)| audit::entry(request, command, id, plan)));
                results.answer(&mut transaction, request, plans).await?
            }
            Err(error) => Err(error),
        });
    }
    keys::keep(&mut transaction, requests, &answers, place).await?;
    mutation::audit::insert(&mut transaction, &entries).await.map_err(RowError::from)?;
    let mut revoked = Revoked::at(head.now);
    pending.iter().for_each(|(id, change)| revoked.note(*id, change));
    let revoked = revoked.into_listed();
    let revocation_seq = revocations::commit(&mut transaction, id, version, &revoked).await?;
    transaction.commit().await?;
    if !pending.is_empty() {
        let head = Head { incarnation: head.incarnation, version };
        committers.feed.advance(id, head, revocation_seq).await;
    }
    for request in requests {
        if let Actor::Person(caller) = &request.actor {
            caller.shows(&place.into());
        }
    }
    Ok(answers)
}

/// What is known of the control plane while the requests of a batch are planned.
struct Planner<'a> {
    committers: &'a Committers,
    id: ControlPlaneId,
    sealing: &'a Sealing,
    known: Known,
}

impl Planner<'_> {
    async fn learn(&mut self, connection: &mut PgConnection, wants: &[Want]) -> Result<(), RowError> {
        store::learn(connection, self.id, self.sealing, wants, &mut self.known).await
    }

    /// Plans one command on what is known, and takes its writes as done; answers what would undo them.
    fn plan(&mut self, command: &Command, limits: &Limits) -> Result<(Plan, Undo), Stop> {
        let plan = || plan(command, &self.known, limits);
        // The runtime moves the other tasks of this thread to another thread.
        let mut planned = if takes_long(command) { in_place(plan) } else { plan() }?;
        let writes = std::mem::take(&mut planned.writes);
        let undo = self.known.absorb(writes);
        Ok((planned, undo))
    }

    /// Plans one request, reading what it needs.
    async fn decide(
        &mut self,
        connection: &mut PgConnection,
        request: &Request,
    ) -> Result<Planned, BatchError> {
        if let Some(progress) = &request.progress {
            progress.enter(Phase::Planning, Some(request.task.commands().len()));
        }
        let own = match &request.actor {
            Actor::Person(caller) => caller.session.limits,
            Actor::Service(_) => access::Limits::default(),
        };
        let limits = self.committers.limits.of(own);
        let (mut plans, mut done) = (Vec::new(), Vec::new());
        for (place, command) in request.task.commands().iter().enumerate() {
            let refusal = match self.plan_learning(connection, command, &limits).await? {
                Ok((plan, undo)) => {
                    plans.push(plan);
                    done.push(undo);
                    if let Some(progress) = &request.progress {
                        progress.add(1);
                    }
                    continue;
                }
                Err(refusal) => refusal,
            };
            // Nothing of a refused request stays.
            while let Some(undo) = done.pop() {
                self.known.undo(undo);
            }
            return Ok(Err(match &request.task {
                Task::One(_) => refusal,
                Task::Together(_) => Refusal::Operation { place, refusal: Box::new(refusal) },
            }
            .into()));
        }
        Ok(Ok(plans))
    }

    /// Plans one command, reading what it needs.
    async fn plan_learning(
        &mut self,
        connection: &mut PgConnection,
        command: &Command,
        limits: &Limits,
    ) -> Result<Result<(Plan, Undo), Refusal>, BatchError> {
        loop {
            match self.plan(command, limits) {
                Ok(planned) => return Ok(Ok(planned)),
                Err(Stop::Want(want)) => self.learn(connection, &[want]).await?,
                Err(Stop::Refused(refusal)) => return Ok(Err(refusal)),
            }
        }
    }
}

/// Whether planning the command may take more than a moment: expressions whose cost has to be counted.
fn takes_long(command: &Command) -> bool {
    match command {
        Command::Create { entity, .. } | Command::Upsert { entity, .. } => {
            let Entity::Route(route) = entity else { return false };
            route.path_patterns().any(|pattern| matches!(pattern, PathPattern::Regex(_)))
        }
        Command::Delete { .. } => false,
    }
}

/// What planning the command needs in any case. It is read in a few statements for the whole batch.
fn foreseen(command: &Command) -> Vec<Want> {
    let (entity, own) = match command {
        Command::Create { id, entity } => (entity, Some(*id)),
        Command::Upsert { selector: Selector::Id(id), entity, .. } => (entity, Some(*id)),
        Command::Upsert { selector: Selector::Name(_), entity, .. } => (entity, None),
        Command::Delete { kind, selector: Selector::Id(id), .. } => {
            let id = EntityId { kind: *kind, id: *id };
            return vec![Want::Entity(id), Want::Referrers(id)];
        }
        Command::Delete { kind, selector: Selector::Name(name), .. } => {
            return kind.name_key(name).map(|key| Want::Key((*kind, key))).into_iter().collect();
        }
    };
    let kind = entity.kind();
    let references = entity.references().into_iter();
    let targets = references.filter_map(|reference| match reference.target {
        Target::Id(id) => Some(Want::Entity(EntityId { kind: reference.kind, id: *id })),
        Target::Name(name) => reference.kind.name_key(name).map(|key| Want::Key((reference.kind, key))),
    });
    let keys = entity.unique_keys().into_iter().map(|key| Want::Key((kind, key)));
    let own = own.map(|id| Want::Entity(EntityId { kind, id })).into_iter();
    own.chain(targets).chain(keys).collect()
}

/// What planning the command needs of the entity that a name was found to stand for.
fn named(command: &Command, known: &Known) -> Vec<Want> {
    let (kind, name) = match command {
        Command::Upsert { selector: Selector::Name(name), entity, .. } => (entity.kind(), name),
        Command::Delete { kind, selector: Selector::Name(name), .. } => (*kind, name),
        Command::Create { .. } | Command::Upsert { .. } | Command::Delete { .. } => {
            return Vec::new();
        }
    };
    let holder = kind.name_key(name).and_then(|key| known.holder(&(kind, key)).ok().flatten());
    let Some(id) = holder.map(|id| EntityId { kind, id }) else { return Vec::new() };
    match command {
        Command::Delete { .. } => vec![Want::Entity(id), Want::Referrers(id)],
        _ => vec![Want::Entity(id)],
    }
}

/// Many commands want the same, such as the service that their routes belong to.
fn distinct(wants: impl Iterator<Item = Want>) -> Vec<Want> {
    wants.collect::<HashSet<_>>().into_iter().collect()
}

/// What a batch wrote, from which its requests are answered.
struct Results<'a> {
    committers: &'a Committers,
    /// The version that the batch made, or the newest one if nothing was to be written.
    place: Place,
    pending: &'a BTreeMap<EntityId, Pending>,
    now: OffsetDateTime,
}

impl Results<'_> {
    /// Makes the answer to a planned request.
    async fn answer(
        &self,
        connection: &mut PgConnection,
        request: &Request,
        plans: Vec<Plan>,
    ) -> Result<Answered, BatchError> {
        let outcome = match &request.task {
            Task::Together(_) => self.together(request, &plans),
            Task::One(command) => {
                let plan = plans.into_iter().next().unwrap_or_default();
                self.one(connection, command, plan).await?
            }
        };
        Ok(Ok(outcome))
    }

    fn together(&self, request: &Request, plans: &[Plan]) -> Outcome {
        let sum = |count: fn(&Plan) -> usize| plans.iter().map(count).sum();
        Outcome::Together(Together {
            version: self.place.version,
            created: sum(|plan| plan.created),
            updated: sum(|plan| plan.updated),
            deleted: sum(|plan| plan.deleted),
            subjects: plans.iter().map(|plan| plan.subject).collect(),
            import: request.progress.as_ref().map(Progress::import),
        })
    }

    /// What one command came to.
    async fn one(
        &self,
        connection: &mut PgConnection,
        command: &Command,
        plan: Plan,
    ) -> Result<Outcome, BatchError> {
        Ok(match command {
            Command::Delete { .. } => Outcome::Gone,
            Command::Create { .. } | Command::Upsert { .. } => match self.shown(connection, plan).await? {
                Some(shown) => Outcome::Stands(Box::new(shown)),
                None => Outcome::Gone,
            },
        })
    }

    /// The subject of a plan as the command left it.
    async fn shown(&self, connection: &mut PgConnection, plan: Plan) -> Result<Option<Shown>, RowError> {
        let (Some(id), Some(entity)) = (plan.subject, plan.entity) else { return Ok(None) };
        let Place { control_plane, version, .. } = self.place;
        if let Some(change) = self.pending.get(&id) {
            let created_at = change.before.as_ref().map_or(self.now, |before| before.created_at);
            return Ok(Some(Shown { id, entity, version, created_at, updated_at: self.now }));
        }
        // Nothing had to be written: the entity was like this before.
        let row = store::get(connection, control_plane, id.kind, id.id).await?;
        row.map(|row| row.shown(&Sealing::of(&self.committers.seal, control_plane))).transpose()
    }
}
