//! One simulated region: what it keeps on disk, what it has in memory, and what it does with messages. The executor over
//! Postgres and NATS takes the same steps.

use std::collections::{BTreeMap, BTreeSet};

use ids::OrganizationId;
use replication::{
    Applied, Dot, Gap, Head, Intake, Operation, Origin, Position, Vector,
    merge::Revocation,
    recovery::{self, Cut},
};
use uuid::Uuid;

use crate::store::{Store, Write};

/// Operations of one answer.
const PAGE: usize = 40;

#[derive(Clone, Debug)]
pub enum Message {
    /// An operation as it is published.
    Push(Box<Operation>),
    /// What a region holds. `fenced`: it asks everybody what they hold of its log, and writes nothing.
    Beat {
        at: u64,
        applied: Applied,
        fenced: Option<u64>,
    },
    /// The answer to the fenced: `asked` is what it asked with.
    Held {
        asked: u64,
        applied: Applied,
    },
    Fetch {
        origin: Origin,
        after_seq: u64,
        up_to: u64,
    },
    Fetched(Vec<Operation>),
    /// For a whole log, to find where two copies part, and the answer.
    Compare(Origin),
    Copy(Vec<Operation>),
}

/// What survives a crash, and what a copy is made of.
#[derive(Clone, Default)]
pub struct Disk {
    /// In the order of applying.
    pub log: Vec<Operation>,
    pub store: Store,
    pub aside: Option<Cut>,
    pub applied: Applied,
    epoch: u32,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Mode {
    Open,
    /// Restored, and it has not noticed. It goes on writing; nothing of that is published.
    Unaware,
    /// Since when, and what the others answered.
    Fenced {
        since: u64,
        heard: BTreeMap<usize, Applied>,
    },
}

pub struct Region {
    pub own: Origin,
    pub disk: Disk,
    pub mode: Mode,
    pub intake: Intake,
    /// What others are known to hold.
    told: BTreeMap<usize, (u64, Applied)>,
    /// Rows that a revocation denied before its turn, with the revocation's place.
    pub denied: Vec<(Operation, Uuid, Dot)>,
    /// The own log as another region holds it, while the common point is looked for.
    copy: Option<Vec<Operation>>,
    /// The common point is found: the intake follows the own log.
    takes_back: bool,
}

impl Disk {
    pub fn commit(&mut self, operation: &Operation) {
        self.log.push(operation.clone());
        self.applied.insert(operation.origin.clone(), operation.head());
        let write = write_of(operation);
        self.store.apply(&operation.dot(), &operation.deps, &operation.authority, write);
    }

    pub fn of<'d>(&'d self, origin: &'d Origin) -> impl Iterator<Item = &'d Operation> {
        self.log.iter().filter(move |operation| operation.origin == *origin)
    }

    pub fn ids(&self) -> BTreeSet<Uuid> {
        let aside = self.aside.iter().flat_map(|cut| &cut.forked);
        self.log.iter().chain(aside).map(|operation| operation.id).collect()
    }

    fn rebuild(&mut self, log: Vec<Operation>) {
        *self = Self { aside: self.aside.take(), epoch: self.epoch, ..Self::default() };
        log.iter().for_each(|operation| self.commit(operation));
    }
}

pub fn write_of(operation: &Operation) -> Write {
    serde_json::from_str(&operation.body).expect("a write")
}

pub fn is_revocation(operation: &Operation) -> bool {
    operation.kind == "revoke"
}

fn vector_of(applied: &Applied) -> Vector {
    applied.iter().map(|(origin, head)| (origin.clone(), head.position)).collect()
}

impl Region {
    pub fn new(own: Origin) -> Self {
        let intake = Intake::new(Some(own.clone()), Applied::new());
        let disk = Disk { epoch: 1, ..Disk::default() };
        let (told, denied, copy) = Default::default();
        Self { own, disk, mode: Mode::Open, intake, told, denied, copy, takes_back: false }
    }

    /// All memory is lost.
    pub fn restart(&mut self, mode: Mode) {
        self.intake = Intake::new(Some(self.own.clone()), self.disk.applied.clone());
        self.mode = mode;
        self.told.clear();
        self.copy = None;
        self.takes_back = false;
    }

    fn head(&self) -> Head {
        self.disk.applied.get(&self.own).copied().unwrap_or_default()
    }

    /// An own write: checked by the caller, committed here.
    pub fn write(&mut self, id: Uuid, authority: Vec<Uuid>, write: Write) -> Operation {
        let head = self.head();
        let others = self.disk.applied.iter().filter(|(origin, _)| **origin != self.own);
        let operation = Operation {
            id,
            origin: self.own.clone(),
            position: Position { epoch: self.disk.epoch, seq: head.position.seq + 1 },
            prev_hash: head.hash,
            deps: others.map(|(origin, head)| (origin.clone(), head.position)).collect(),
            organization: OrganizationId::from_uuid(Uuid::nil()),
            actor: None,
            authority,
            kind: if matches!(write, Write::Grant { .. }) { "grant" } else { "revoke" }.into(),
            body: serde_json::to_string(&write).expect("JSON"),
            at: 0,
            traceparent: String::new(),
        };
        self.disk.commit(&operation);
        self.intake.wrote(&vector_of(&self.disk.applied));
        operation
    }

    /// What it tells the others now. Its own log only when it is sure of it.
    pub fn beat(&self, at: u64) -> Message {
        let mut applied = self.disk.applied.clone();
        let fenced = match &self.mode {
            Mode::Fenced { since, .. } => Some(*since),
            Mode::Open | Mode::Unaware => None,
        };
        if self.mode != Mode::Open {
            applied.remove(&self.own);
        }
        Message::Beat { at, applied, fenced }
    }

    /// What it answers, to the sender.
    pub fn receive(&mut self, from: usize, origin_of_sender: &Origin, message: Message) -> Option<Message> {
        match message {
            Message::Push(operation) => {
                self.intake.offer(*operation);
            }
            Message::Fetched(operations) => {
                operations.into_iter().for_each(|operation| _ = self.intake.offer(operation));
            }
            Message::Beat { at, .. } if self.told.get(&from).is_some_and(|(last, _)| *last > at) => {}
            Message::Beat { at, applied, fenced } => {
                self.told.insert(from, (at, applied));
                match fenced {
                    Some(asked) => {
                        self.intake.pause(origin_of_sender);
                        return Some(Message::Held { asked, applied: self.disk.applied.clone() });
                    }
                    None => self.intake.resume(origin_of_sender),
                }
            }
            Message::Held { asked, applied } => {
                if let Mode::Fenced { since, heard } = &mut self.mode
                    && *since == asked
                {
                    heard.insert(from, applied);
                }
            }
            Message::Fetch { origin, after_seq, up_to } => return self.page(&origin, after_seq, up_to),
            Message::Compare(origin) => return Some(Message::Copy(self.disk.of(&origin).cloned().collect())),
            Message::Copy(copy) => self.copy = Some(copy),
        }
        None
    }

    fn page(&self, origin: &Origin, after_seq: u64, up_to: u64) -> Option<Message> {
        if *origin == self.own && self.mode != Mode::Open {
            return None;
        }
        let is_asked = |operation: &&Operation| (after_seq + 1..=up_to).contains(&operation.position.seq);
        Some(Message::Fetched(self.disk.of(origin).filter(is_asked).take(PAGE).cloned().collect()))
    }

    /// What is missing here, with the regions that are known to hold it.
    pub fn questions(&self) -> Vec<(Vec<usize>, Message)> {
        let mut known = Vector::default();
        self.told.values().for_each(|(_, applied)| known.merge(&vector_of(applied)));
        let question = |gap: Gap| {
            let holds = |(_, applied): &(u64, Applied)| {
                applied.get(&gap.origin).is_some_and(|head| head.position.seq > gap.after_seq)
            };
            let whom = self.told.iter().filter(|(_, told)| holds(told)).map(|(from, _)| *from).collect();
            (whom, Message::Fetch { origin: gap.origin, after_seq: gap.after_seq, up_to: gap.up_to })
        };
        self.intake.gaps(&known).into_iter().map(question).collect()
    }

    /// One transaction of what is ready; `fails`: it is rolled back.
    pub fn apply(&mut self, fails: bool) {
        if fails {
            self.intake.reset(self.disk.applied.clone());
            return;
        }
        for operation in self.intake.ready() {
            self.disk.commit(&operation);
            self.intake.applied(&operation);
        }
        for operation in self.intake.waiting_revocations(is_revocation) {
            let Write::Revoke { subject } = write_of(&operation) else { continue };
            let revocation = Revocation { subject, dot: operation.dot(), deps: operation.deps.clone() };
            let changes = self.disk.store.effect(&revocation).into_iter();
            self.denied.extend(changes.map(|change| (operation.clone(), change.edge, change.dot)));
        }
    }

    /// Whether another region holds more of the own log than there is here.
    pub fn notices(&self) -> bool {
        let own = self.head().position;
        let more =
            |(_, applied): &(u64, Applied)| applied.get(&self.own).is_some_and(|head| head.position > own);
        self.told.values().any(more)
    }

    /// The next step of a recovery, as `replication::recovery` describes it.
    pub fn recover(&mut self, others: usize) -> Recovery {
        let Mode::Fenced { heard, .. } = &self.mode else { return Recovery::Waits };
        if heard.len() < others {
            return Recovery::Waits;
        }
        let head = |applied: &Applied| applied.get(&self.own).copied().unwrap_or_default();
        let heads = heard.iter().map(|(from, applied)| (*from, head(applied)));
        let (from, furthest) = heads.max_by_key(|(_, head)| head.position).unwrap_or_default();
        if self.holds(&furthest) {
            return Recovery::Over(self.reopen());
        }
        if self.takes_back {
            return Recovery::Waits;
        }
        match self.copy.take() {
            Some(copy) if copy.last().map(Operation::head) == Some(furthest) => {
                self.cut_back(&copy);
                Recovery::Waits
            }
            _ => Recovery::Asks(from),
        }
    }

    fn holds(&self, head: &Head) -> bool {
        let mut own = self.disk.of(&self.own);
        head.position.seq == 0
            || own.any(|operation| operation.position == head.position && operation.hash() == head.hash)
    }

    /// Takes what was written after the common point out of the log, and follows the own log from there.
    fn cut_back(&mut self, theirs: &[Operation]) {
        let own: Vec<Operation> = self.disk.of(&self.own).cloned().collect();
        let common = recovery::common(&own, theirs);
        let mut again = Vec::new();
        if let Some(first) = own.get(common) {
            let at = self.disk.log.iter().position(|operation| operation == first).expect("an own operation");
            let mut kept = self.disk.log.clone();
            let since = kept.split_off(at);
            let before =
                kept.iter().map(|operation| (operation.origin.clone(), operation.position)).collect();
            let last = common.checked_sub(1).map(|last| own[last].position).unwrap_or_default();
            let cut = recovery::cut(&before, &since, &self.own, last);
            let is_cut =
                |operation: &&Operation| cut.forked.contains(operation) || cut.again.contains(operation);
            kept.extend(since.iter().filter(|operation| !is_cut(operation)).cloned());
            again = cut.again.clone();
            assert!(self.disk.aside.is_none(), "nothing is written before what was set aside is appended");
            self.disk.aside = Some(cut);
            self.disk.rebuild(kept);
        }
        self.takes_back = true;
        self.intake = Intake::new(None, self.disk.applied.clone());
        again.into_iter().for_each(|operation| _ = self.intake.offer(operation));
    }

    /// Opens in a new epoch, with what was set aside; answers that.
    fn reopen(&mut self) -> Vec<Operation> {
        let Mode::Fenced { heard, .. } = std::mem::replace(&mut self.mode, Mode::Open) else {
            return Vec::new();
        };
        let aside = self.disk.aside.take().unwrap_or_default();
        let own = aside.forked.iter().chain(self.disk.of(&self.own)).map(|operation| operation.position);
        let heads = heard.values().filter_map(|applied| applied.get(&self.own)).map(|head| head.position);
        self.disk.epoch = recovery::next_epoch(self.disk.epoch, own.chain(heads));
        let head = self.head();
        let held = self.disk.ids();
        let appended = recovery::re_append(&aside.forked, &aside.base, &head, self.disk.epoch, &held);
        appended.iter().for_each(|operation| self.disk.commit(operation));
        self.takes_back = false;
        self.intake = Intake::new(Some(self.own.clone()), self.disk.applied.clone());
        appended
    }
}

/// How a recovery goes on.
pub enum Recovery {
    Waits,
    /// This region for its copy of the own log.
    Asks(usize),
    /// These operations are new in the log.
    Over(Vec<Operation>),
}
