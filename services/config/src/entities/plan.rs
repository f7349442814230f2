//! What a write comes to, decided on what is known: pure, for all kinds alike. Checks come in the order `If-Match`,
//! references, uniqueness, limits. A refused write changes nothing and does not disturb the others of its batch.

use std::{borrow::Cow, collections::BTreeSet};

use gateway_model::{Entity, Invalid, Kind, OnDelete, Target, UniqueKey, path_regex::CONFIGURATION_COST_MAX};
use uuid::Uuid;

use super::{
    known::{EntityId, Known, Want, Write},
    offer::AcmeOffer,
};

/// How much a control plane may hold, and how much one write may do.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Most live entities of one control plane.
    pub entities_max: usize,
    /// Most entities that one deletion may delete, the named one included.
    pub cascade_max: usize,
    /// Most steps that all regular expressions of one control plane may take to compile (`gateway_model::path_regex`).
    pub path_cost_max: u64,
    /// Most entities of a document, and of the configuration that it is for, with which the document is written at once: others wait
    /// meanwhile. What is larger is written aside.
    pub at_once_max: usize,
    /// What the region offers to those who order certificates.
    pub acme: AcmeOffer,
}

impl Limits {
    /// These, with what the platform operator has set for one organization in their place.
    pub fn of(&self, own: access::Limits) -> Cow<'_, Self> {
        match own.entities {
            None => Cow::Borrowed(self),
            Some(most) => {
                let entities_max = usize::try_from(most.get()).unwrap_or(usize::MAX);
                Cow::Owned(Self { entities_max, ..self.clone() })
            }
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            entities_max: 1_000_000,
            cascade_max: 100_000,
            at_once_max: 2000,
            path_cost_max: CONFIGURATION_COST_MAX,
            acme: AcmeOffer::NOTHING,
        }
    }
}

/// What a request asks for.
#[derive(Clone, Debug)]
pub enum Command {
    /// A new entity. Refused if the id is taken.
    Create { id: Uuid, entity: Entity },
    /// The entity that `selector` names is made or replaced. If a name makes a new one, its id is `new_id`.
    Upsert { selector: Selector, new_id: Uuid, entity: Entity, if_match: Option<u64> },
    /// The entity that `selector` names is deleted, if it is there.
    Delete { kind: Kind, selector: Selector, if_match: Option<u64> },
}

/// An id, or a name that stands for one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Selector {
    Id(Uuid),
    Name(String),
}

impl Selector {
    /// Reads a segment of a URL. What has the form of an id is one: no entity may have such a name.
    pub fn parse(text: &str) -> Self {
        match text.parse::<ids::NodeId>() {
            Ok(id) => Self::Id(id.uuid()),
            Err(_) => Self::Name(text.to_owned()),
        }
    }
}

/// The writes that a command comes to.
#[derive(Debug, Default)]
#[must_use]
pub struct Plan {
    /// Rows to write, each at most once; none if nothing changes.
    pub writes: Vec<Write>,
    /// The entity that the command is about.
    pub subject: Option<EntityId>,
    /// What the command makes of the subject. The answer shows it, whatever the rest of the batch does to the subject.
    pub entity: Option<Entity>,
    /// Entities that will be new.
    pub created: usize,
    /// Entities that will change.
    pub updated: usize,
    /// Entities that will be gone, those included that go with their parent.
    pub deleted: usize,
}

/// Why there is no plan.
#[derive(Debug)]
pub enum Stop {
    /// Read this, then plan again.
    Want(Want),
    Refused(Refusal),
}

impl From<Want> for Stop {
    fn from(want: Want) -> Self {
        Self::Want(want)
    }
}

impl From<Refusal> for Stop {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

/// Why a write is refused. The text is what the client reads.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Refusal {
    /// A new entity has the id of an existing one of this kind.
    #[error("id: a {} with this id exists", .0.label())]
    IdTaken(Kind),
    /// Another entity has one of the unique keys.
    #[error("{}: {}", .key.field, .kind.taken(.key))]
    KeyTaken { kind: Kind, key: UniqueKey },
    /// References whose targets are not there: the field of each, and the kind that it refers to. Not empty.
    #[error("references to entities that do not exist")]
    NoTarget(Vec<(&'static str, Kind)>),
    /// The client expected another version than the newest one.
    #[error("If-Match: the entity has another version; read it again")]
    OtherVersion,
    /// The same of a whole configuration.
    #[error("If-Match: the configuration has another version; read it again")]
    OtherConfiguration,
    /// An entity that must not be deleted along refers to one that would be deleted.
    #[error("the {} is in use by {} {}; delete that first", .kind.label(), .by.kind.label(), .by.id)]
    InUse { kind: Kind, by: EntityId },
    /// The deletion would delete more than this many entities, the named one included.
    #[error("more than {0} entities depend on it; delete some of them first")]
    CascadeTooLarge(usize),
    /// The control plane would hold more than this many entities.
    #[error("a control plane holds at most {0} entities")]
    LimitReached(usize),
    /// The regular expressions of the control plane's routes would take this many steps to compile.
    #[error(
        "with these regular expressions all those of the control plane take {cost} steps to compile, and {max} are allowed; \
         shorten repetitions such as `{{1,255}}`, use `+`, or use prefixes"
    )]
    PathCost { cost: u64, max: u64 },
    /// An entity asks for what the region does not have.
    #[error("{0}")]
    NotOffered(Invalid),
    /// The entities of a document do not fit together.
    #[error("{0}")]
    Document(Invalid),
    /// One of the writes that are to be made together is refused: its place among them, from 0.
    #[error("operations[{place}]: {refusal}")]
    Operation { place: usize, refusal: Box<Refusal> },
}

/// Plans a command on what is known. Asks for one missing piece of knowledge at a time.
pub fn plan(command: &Command, known: &Known, limits: &Limits) -> Result<Plan, Stop> {
    match command {
        Command::Create { id, entity } => {
            let subject = EntityId { kind: entity.kind(), id: *id };
            if known.entity(subject)?.is_some() {
                return Err(Refusal::IdTaken(subject.kind).into());
            }
            put(known, subject, entity.clone(), limits)
        }
        Command::Upsert { selector, new_id, entity, if_match } => {
            let kind = entity.kind();
            let id = find(known, kind, selector)?.unwrap_or(match selector {
                Selector::Id(id) => *id,
                Selector::Name(_) => *new_id,
            });
            let subject = EntityId { kind, id };
            require_version(known, subject, *if_match)?;
            put(known, subject, entity.clone(), limits)
        }
        Command::Delete { kind, selector, if_match } => {
            let Some(id) = find(known, *kind, selector)? else { return Ok(Plan::default()) };
            let subject = EntityId { kind: *kind, id };
            require_version(known, subject, *if_match)?;
            delete(known, subject, limits)
        }
    }
}

/// The id of a live entity.
fn find(known: &Known, kind: Kind, selector: &Selector) -> Result<Option<Uuid>, Stop> {
    match selector {
        Selector::Id(id) => Ok(known.entity(EntityId { kind, id: *id })?.map(|_| *id)),
        Selector::Name(name) => match kind.name_key(name) {
            Some(key) => Ok(known.holder(&(kind, key))?),
            None => Ok(None),
        },
    }
}

fn require_version(known: &Known, subject: EntityId, if_match: Option<u64>) -> Result<(), Stop> {
    let Some(expected) = if_match else { return Ok(()) };
    let held = known.row(subject)?.map(|stored| stored.version);
    // An earlier write of the same batch changes the entity. The stored version is then no longer its newest one.
    if held == Some(expected) && !known.is_pending(subject) {
        Ok(())
    } else {
        Err(Refusal::OtherVersion.into())
    }
}

fn put(known: &Known, subject: EntityId, mut entity: Entity, limits: &Limits) -> Result<Plan, Stop> {
    resolve(known, &mut entity)?;
    known.complete(subject, &mut entity)?;
    let kind = subject.kind;
    for key in entity.unique_keys() {
        if let Some(holder) = known.holder(&(kind, key.clone()))?
            && holder != subject.id
        {
            return Err(Refusal::KeyTaken { kind, key }.into());
        }
    }
    let mut plan = Plan { subject: Some(subject), entity: Some(entity.clone()), ..Plan::default() };
    match known.entity(subject)? {
        None => {
            if known.count()? >= limits.entities_max {
                return Err(Refusal::LimitReached(limits.entities_max).into());
            }
            plan.created = 1;
        }
        Some(same) if *same == entity => return Ok(plan),
        Some(_) => plan.updated = 1,
    }
    limits.acme.check(&entity).map_err(Refusal::NotOffered)?;
    require_path_cost(known, subject, &entity, limits)?;
    plan.writes.push(Write { id: subject, after: Some(entity) });
    Ok(plan)
}

/// A write that makes the expressions of a control plane cheaper is allowed, even where they are too much already.
fn require_path_cost(known: &Known, subject: EntityId, entity: &Entity, limits: &Limits) -> Result<(), Stop> {
    let own = entity.path_cost();
    if own == 0 {
        return Ok(());
    }
    let before = known.entity(subject)?.map_or(0, Entity::path_cost);
    let cost = known.path_cost()?.saturating_sub(before).saturating_add(own);
    let max = limits.path_cost_max;
    if own > before && cost > max { Err(Refusal::PathCost { cost, max }.into()) } else { Ok(()) }
}

/// Turns names into ids and makes sure that every target is there.
fn resolve(known: &Known, entity: &mut Entity) -> Result<(), Stop> {
    let mut missing = Vec::new();
    for reference in entity.references_mut() {
        let selector = match &*reference.target {
            Target::Id(id) => Selector::Id(*id),
            Target::Name(name) => Selector::Name(name.clone()),
        };
        match find(known, reference.kind, &selector)? {
            Some(id) => *reference.target = Target::Id(id),
            None => missing.push((reference.field, reference.kind)),
        }
    }
    if missing.is_empty() { Ok(()) } else { Err(Refusal::NoTarget(missing).into()) }
}

/// Deletes the entity and everything that goes with it.
fn delete(known: &Known, subject: EntityId, limits: &Limits) -> Result<Plan, Stop> {
    let mut doomed = BTreeSet::from([subject]);
    let mut to_visit = vec![subject];
    while let Some(target) = to_visit.pop() {
        for referrer in known.referrers(target)? {
            match referrer.on_delete {
                OnDelete::Cascade => {
                    // Its row must be known before it can be written.
                    known.entity(referrer.id)?;
                    if doomed.insert(referrer.id) {
                        to_visit.push(referrer.id);
                    }
                }
                OnDelete::Restrict => {
                    return Err(Refusal::InUse { kind: subject.kind, by: referrer.id }.into());
                }
            }
            if doomed.len() > limits.cascade_max {
                return Err(Refusal::CascadeTooLarge(limits.cascade_max).into());
            }
        }
    }
    known.entity(subject)?;
    let deleted = doomed.len();
    let writes = doomed.into_iter().map(|id| Write { id, after: None }).collect();
    Ok(Plan { writes, subject: Some(subject), deleted, ..Plan::default() })
}
