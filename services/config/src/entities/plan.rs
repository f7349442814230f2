//! What a write comes to, decided on what is known: pure, for all kinds alike. Checks come in the order references,
//! uniqueness, `If-Match`; a refused write changes nothing and does not disturb the others of its batch.

use std::collections::{BTreeMap, BTreeSet};

use gateway_model::{Entity, Kind, OnDelete, Target, UniqueKey, declarative::Document};
use uuid::Uuid;
use web::{FieldError, Problem, ProblemType};

use super::known::{Known, Name, Want, Write};

/// Most entities that one deletion may take along.
const CASCADE_MAX: usize = 100_000;
/// Most entities of one control plane.
pub const ENTITIES_MAX: usize = 1_000_000;

/// What a request asks for.
#[derive(Clone, Debug)]
pub enum Command {
    /// A new entity; refused if the id is taken.
    Create { id: Uuid, entity: Entity },
    /// The entity named by `selector`, made or replaced. `new_id` is for one that a name makes.
    Upsert { selector: Selector, new_id: Uuid, entity: Entity, if_match: Option<u64> },
    /// The entity named by `selector` gone, if it is there.
    Delete { kind: Kind, selector: Selector, if_match: Option<u64> },
    /// The whole configuration as in the document.
    Apply { document: std::sync::Arc<Document>, namespace: Uuid },
}

/// An id, or a name that stands for one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Selector {
    Id(Uuid),
    Name(String),
}

impl Selector {
    pub fn parse(text: &str) -> Self {
        match text.parse::<ids::NodeId>() {
            Ok(id) => Self::Id(id.uuid()),
            Err(_) => Self::Name(text.to_owned()),
        }
    }
}

/// Writes that a command comes to.
#[derive(Debug, Default)]
pub struct Plan {
    pub writes: Vec<Write>,
    /// The entity that the command is about.
    pub subject: Option<Name>,
    /// What the command makes of it: what is answered, whatever the rest of the batch does to it.
    pub entity: Option<Entity>,
    pub created: usize,
    pub updated: usize,
    pub deleted: usize,
}

/// Why there is no plan.
#[derive(Debug)]
pub enum Stop {
    /// Read this, then plan again.
    Want(Want),
    Refused(Problem),
}

impl From<Want> for Stop {
    fn from(want: Want) -> Self {
        Self::Want(want)
    }
}

impl From<Problem> for Stop {
    fn from(problem: Problem) -> Self {
        Self::Refused(problem)
    }
}

pub fn plan(command: &Command, known: &Known) -> Result<Plan, Stop> {
    match command {
        Command::Create { id, entity } => {
            let name = (entity.kind(), *id);
            if known.entity(name)?.is_some() {
                return Err(Problem::conflict(format!("id: a {} with this id exists", name.0.label())).into());
            }
            put(known, name, entity.clone())
        }
        Command::Upsert { selector, new_id, entity, if_match } => {
            let kind = entity.kind();
            let id = find(known, kind, selector)?.unwrap_or(match selector {
                Selector::Id(id) => *id,
                Selector::Name(_) => *new_id,
            });
            require_version(known, (kind, id), *if_match)?;
            put(known, (kind, id), entity.clone())
        }
        Command::Delete { kind, selector, if_match } => {
            let Some(id) = find(known, *kind, selector)? else { return Ok(Plan::default()) };
            require_version(known, (*kind, id), *if_match)?;
            delete(known, (*kind, id))
        }
        Command::Apply { document, namespace } => apply(known, document, *namespace),
    }
}

/// The id of a live entity.
fn find(known: &Known, kind: Kind, selector: &Selector) -> Result<Option<Uuid>, Stop> {
    match selector {
        Selector::Id(id) => Ok(known.entity((kind, *id))?.map(|_| *id)),
        Selector::Name(name) => match name_key(kind, name) {
            Some(key) => Ok(known.holder(&(kind, key))?),
            None => Ok(None),
        },
    }
}

/// The unique key behind the name of an entity of `kind`; `None` for kinds without names, and for texts that no entity
/// can be named.
pub fn name_key(kind: Kind, name: &str) -> Option<UniqueKey> {
    if name.chars().any(char::is_control) {
        return None;
    }
    let field = match kind {
        Kind::Service | Kind::Route => "name",
        Kind::Consumer => "username",
        Kind::KeyAuth | Kind::Plugin => return None,
    };
    Some(UniqueKey { field, value: name.to_owned() })
}

fn require_version(known: &Known, name: Name, if_match: Option<u64>) -> Result<(), Stop> {
    let Some(expected) = if_match else { return Ok(()) };
    let held = known.row(name)?.map(|stored| stored.version);
    // A write of the same batch comes first: whoever expects the stored version expects the past.
    if held == Some(expected) && !known.is_pending(name) {
        Ok(())
    } else {
        Err(Problem::new(
            ProblemType::PreconditionFailed,
            "If-Match: the entity has another version; read it again",
        )
        .into())
    }
}

fn put(known: &Known, name: Name, mut entity: Entity) -> Result<Plan, Stop> {
    resolve(known, &mut entity)?;
    for key in entity.unique_keys() {
        if let Some(holder) = known.holder(&(name.0, key.clone()))?
            && holder != name.1
        {
            return Err(taken(name.0, &key).into());
        }
    }
    let before = known.entity(name)?;
    let mut plan = Plan { subject: Some(name), entity: Some(entity.clone()), ..Plan::default() };
    match before {
        None => plan.created = 1,
        Some(same) if *same == entity => return Ok(plan),
        Some(_) => plan.updated = 1,
    }
    plan.writes.push((name, Some(entity)));
    Ok(plan)
}

fn taken(kind: Kind, key: &UniqueKey) -> Problem {
    let reason = match key.field {
        "scope" => "this plugin is configured there already; change that one".to_owned(),
        "key" => "another credential has this key".to_owned(),
        _ => format!("another {} has this {}: `{}`", kind.label(), key.field, key.value),
    };
    let mut problem = Problem::conflict(format!("{}: {reason}", key.field));
    problem.fields.push(FieldError { field: key.field.to_owned(), reason });
    problem
}

/// Turns names into ids and makes sure that every target is there.
fn resolve(known: &Known, entity: &mut Entity) -> Result<(), Stop> {
    let mut wrong = Vec::new();
    for reference in entity.references_mut() {
        let selector = match &*reference.target {
            Target::Id(id) => Selector::Id(*id),
            Target::Name(name) => Selector::Name(name.clone()),
        };
        match find(known, reference.kind, &selector)? {
            Some(id) => *reference.target = Target::Id(id),
            None => wrong.push(FieldError {
                field: reference.field.to_owned(),
                reason: format!("no such {}; create it first", reference.kind.label()),
            }),
        }
    }
    if wrong.is_empty() { Ok(()) } else { Err(Problem::invalid(wrong).into()) }
}

/// The entity and everything that goes with it.
fn delete(known: &Known, name: Name) -> Result<Plan, Stop> {
    let mut doomed = BTreeSet::from([name]);
    let mut to_visit = vec![name];
    while let Some(target) = to_visit.pop() {
        for referrer in known.referrers(target)? {
            match referrer.on_delete {
                OnDelete::Cascade => {
                    known.entity(referrer.name)?;
                    if doomed.insert(referrer.name) {
                        to_visit.push(referrer.name);
                    }
                }
                OnDelete::Restrict => {
                    let (kind, id) = referrer.name;
                    let detail = format!(
                        "the {} is in use by {} {id}; delete that first",
                        name.0.label(),
                        kind.label()
                    );
                    return Err(Problem::new(ProblemType::InUse, detail).into());
                }
            }
            if doomed.len() > CASCADE_MAX {
                let detail =
                    format!("more than {CASCADE_MAX} entities depend on it; delete some of them first");
                return Err(Problem::new(ProblemType::InUse, detail).into());
            }
        }
    }
    known.entity(name)?;
    let deleted = doomed.len();
    Ok(Plan {
        writes: doomed.into_iter().map(|name| (name, None)).collect(),
        subject: Some(name),
        deleted,
        ..Plan::default()
    })
}

/// The difference between what is there and what the document says.
fn apply(known: &Known, document: &Document, namespace: Uuid) -> Result<Plan, Stop> {
    let all = known.all()?;
    let existing = |kind: Kind, key: &UniqueKey| known.holder(&(kind, key.clone())).ok().flatten();
    let wanted =
        document.entities(namespace, &existing).map_err(|invalid| crate::entities::refusal(&invalid))?;
    if wanted.len() > ENTITIES_MAX {
        let detail = format!("a control plane holds at most {ENTITIES_MAX} entities");
        return Err(Problem::new(ProblemType::LimitReached, detail).into());
    }
    let mut gone: BTreeMap<Name, ()> = all.keys().map(|name| (*name, ())).collect();
    let mut plan = Plan::default();
    for (id, entity) in wanted {
        let name = (entity.kind(), id);
        gone.remove(&name);
        match all.get(&name) {
            None => plan.created += 1,
            Some(same) if **same == entity => continue,
            Some(_) => plan.updated += 1,
        }
        plan.writes.push((name, Some(entity)));
    }
    plan.deleted = gone.len();
    plan.writes.extend(gone.into_keys().map(|name| (name, None)));
    Ok(plan)
}
