//! One simulated region: what it keeps on disk, what it has in memory, and what it does with messages. The executor over
//! Postgres and NATS takes the same steps.

use std::collections::{BTreeMap, BTreeSet};

use ids::OrganizationId;
use replication::{
    Applied, Dot, Entry, Gap, Intake, Origin, Position, Tip, Vector,
    merge::Revocation,
    recovery::{self, Cut},
};
use uuid::Uuid;

use crate::store::{Store, Write};

/// Operations of one answer.
const PAGE: usize = 40;

#[derive(Clone, Debug)]
pub enum Message {
    /// An entry as it is published.
    Push(Box<Entry>),
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
    Fetched(Vec<Entry>),
    /// For a whole log, to find where two copies part, and the answer.
    Compare(Origin),
    Copy(Vec<Entry>),
}

/// What survives a crash, and what a copy is made of.
#[derive(Clone, Default)]
pub struct Disk {
    /// In the order of applying.
    pub log: Vec<Entry>,
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
    pub denied: Vec<(Entry, Uuid, Dot)>,
    /// This region's log as another region holds it, while the common point is looked for.
    copy: Option<Vec<Entry>>,
    /// The common point is found: the intake follows this region's log.
    takes_back: bool,
}

impl Disk {
    pub fn commit(&mut self, entry: &Entry) {
        self.log.push(entry.clone());
        self.applied.insert(entry.origin.clone(), entry.tip());
        let write = write_of(entry);
        self.store.apply(&entry.dot(), &entry.deps, &entry.authority, write);
    }

    pub fn of<'d>(&'d self, origin: &'d Origin) -> impl Iterator<Item = &'d Entry> {
        self.log.iter().filter(move |entry| entry.origin == *origin)
    }

    pub fn ids(&self) -> BTreeSet<Uuid> {
        let aside = self.aside.iter().flat_map(|cut| &cut.forked);
        self.log.iter().chain(aside).map(|entry| entry.id).collect()
    }

    fn rebuild(&mut self, log: Vec<Entry>) {
        *self = Self { aside: self.aside.take(), epoch: self.epoch, ..Self::default() };
        log.iter().for_each(|entry| self.commit(entry));
    }
}

pub fn write_of(entry: &Entry) -> Write {
    serde_json::from_str(&entry.body).expect("a write")
}

pub fn is_revocation(entry: &Entry) -> bool {
    entry.kind == "revoke"
}

fn vector_of(applied: &Applied) -> Vector {
    applied.iter().map(|(origin, tip)| (origin.clone(), tip.position)).collect()
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

    fn tip(&self) -> Tip {
        self.disk.applied.get(&self.own).copied().unwrap_or_default()
    }

    /// An own write: checked by the caller, committed here.
    pub fn write(&mut self, id: Uuid, authority: Vec<Uuid>, write: Write) -> Entry {
        let tip = self.tip();
        let others = self.disk.applied.iter().filter(|(origin, _)| **origin != self.own);
        let entry = Entry {
            id,
            origin: self.own.clone(),
            position: Position { epoch: self.disk.epoch, seq: tip.position.seq + 1 },
            prev_hash: tip.hash,
            deps: others.map(|(origin, tip)| (origin.clone(), tip.position)).collect(),
            organization: OrganizationId::from_uuid(Uuid::nil()),
            actor: None,
            authority,
            kind: if matches!(write, Write::Grant { .. }) { "grant" } else { "revoke" }.into(),
            body: serde_json::to_string(&write).expect("JSON"),
            at: 0,
            traceparent: String::new(),
            signature: None,
        };
        self.disk.commit(&entry);
        self.intake.wrote(&vector_of(&self.disk.applied));
        entry
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
            Message::Push(entry) => {
                self.intake.offer(*entry);
            }
            Message::Fetched(entries) => {
                entries.into_iter().for_each(|entry| _ = self.intake.offer(entry));
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
        let is_asked = |entry: &&Entry| (after_seq + 1..=up_to).contains(&entry.position.seq);
        Some(Message::Fetched(self.disk.of(origin).filter(is_asked).take(PAGE).cloned().collect()))
    }

    /// What is missing here, with the regions that are known to hold it.
    pub fn questions(&self) -> Vec<(Vec<usize>, Message)> {
        let mut known = Vector::default();
        self.told.values().for_each(|(_, applied)| known.merge(&vector_of(applied)));
        let question = |gap: Gap| {
            let holds = |(_, applied): &(u64, Applied)| {
                applied.get(&gap.origin).is_some_and(|tip| tip.position.seq > gap.after_seq)
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
        for entry in self.intake.ready() {
            self.disk.commit(&entry);
            self.intake.applied(&entry);
        }
        for entry in self.intake.waiting_revocations(is_revocation) {
            let Write::Revoke { subject } = write_of(&entry) else { continue };
            let revocation = Revocation { subject, dot: entry.dot(), deps: entry.deps.clone() };
            let changes = self.disk.store.effect(&revocation).into_iter();
            self.denied.extend(changes.map(|change| (entry.clone(), change.edge, change.dot)));
        }
    }

    /// Whether another region holds more of this region's log than there is here.
    pub fn notices(&self) -> bool {
        let own = self.tip().position;
        let more =
            |(_, applied): &(u64, Applied)| applied.get(&self.own).is_some_and(|tip| tip.position > own);
        self.told.values().any(more)
    }

    /// The next step of a recovery, as `replication::recovery` describes it.
    pub fn recover(&mut self, others: usize, now: u64) -> Recovery {
        let Mode::Fenced { heard, .. } = &self.mode else { return Recovery::Waits };
        if heard.len() < others {
            return Recovery::Waits;
        }
        let tip = |applied: &Applied| applied.get(&self.own).copied().unwrap_or_default();
        let tips = heard.iter().map(|(from, applied)| (*from, tip(applied)));
        let (from, furthest) = tips.max_by_key(|(_, tip)| tip.position).unwrap_or_default();
        if self.holds(&furthest) {
            return Recovery::Over(self.reopen(now));
        }
        if self.takes_back {
            return Recovery::Waits;
        }
        match self.copy.take() {
            Some(copy) if copy.last().map(Entry::tip) == Some(furthest) => {
                self.cut_back(&copy);
                Recovery::Waits
            }
            _ => Recovery::Asks(from),
        }
    }

    fn holds(&self, tip: &Tip) -> bool {
        let mut own = self.disk.of(&self.own);
        tip.position.seq == 0 || own.any(|entry| entry.position == tip.position && entry.hash() == tip.hash)
    }

    /// Takes what was written after the common point out of the log, and follows this region's log from there.
    fn cut_back(&mut self, theirs: &[Entry]) {
        let own: Vec<Entry> = self.disk.of(&self.own).cloned().collect();
        let common = recovery::common(&own, theirs);
        let mut again = Vec::new();
        if let Some(first) = own.get(common) {
            let at = self.disk.log.iter().position(|entry| entry == first).expect("an own entry");
            let mut kept = self.disk.log.clone();
            let since = kept.split_off(at);
            let before = kept.iter().map(|entry| (entry.origin.clone(), entry.position)).collect();
            let last = common.checked_sub(1).map(|last| own[last].position).unwrap_or_default();
            let cut = recovery::cut(&before, &since, &self.own, last);
            let is_cut = |entry: &&Entry| cut.forked.contains(entry) || cut.again.contains(entry);
            kept.extend(since.iter().filter(|entry| !is_cut(entry)).cloned());
            again = cut.again.clone();
            assert!(self.disk.aside.is_none(), "nothing is written before what was set aside is appended");
            self.disk.aside = Some(cut);
            self.disk.rebuild(kept);
        }
        self.takes_back = true;
        self.intake = Intake::new(None, self.disk.applied.clone());
        again.into_iter().for_each(|entry| _ = self.intake.offer(entry));
    }

    /// Opens in a new epoch, with what was set aside; answers that.
    fn reopen(&mut self, now: u64) -> Vec<Entry> {
        let Mode::Fenced { heard, .. } = std::mem::replace(&mut self.mode, Mode::Open) else {
            return Vec::new();
        };
        let aside = self.disk.aside.take().unwrap_or_default();
        let own = aside.forked.iter().chain(self.disk.of(&self.own)).map(|entry| entry.position);
        let tips = heard.values().filter_map(|applied| applied.get(&self.own)).map(|tip| tip.position);
        self.disk.epoch = recovery::next_epoch(self.disk.epoch, own.chain(tips), now.cast_signed());
        let tip = self.tip();
        let held = self.disk.ids();
        let appended = recovery::re_append(&aside.forked, &aside.base, &tip, self.disk.epoch, &held);
        appended.iter().for_each(|entry| self.disk.commit(entry));
        self.takes_back = false;
        self.intake = Intake::new(Some(self.own.clone()), self.disk.applied.clone());
        appended
    }
}

/// How a recovery goes on.
pub enum Recovery {
    Waits,
    /// This region for its copy of this region's log.
    Asks(usize),
    /// These entries are new in the log.
    Over(Vec<Entry>),
}
