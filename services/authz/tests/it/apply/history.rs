//! A history: entries of several regions' logs, made by writers who hear of each other.

use std::collections::BTreeSet;

use authz::operation::Operation;
use ids::OrganizationId;
use oplog::Operation as _;
use replication::{Entry, NO_HASH, Origin, Position, Tip, Vector};
use uuid::Uuid;

use crate::support::acme;

/// The home of the organization.
pub const US: usize = 0;
pub const EU: usize = 1;
pub const AP: usize = 2;
const NAMES: [&str; 3] = ["authz.us", "authz.eu", "authz.ap"];

/// An entry, and the entries that its writer had seen, by their place in the history.
pub struct Made {
    pub entry: Entry,
    pub operation: Operation,
    pub past: BTreeSet<usize>,
}

/// What a region has seen.
#[derive(Clone, Default)]
pub struct Seen {
    entries: BTreeSet<usize>,
    vector: Vector,
}

/// Three regions that write and hear of each other.
pub struct History {
    pub organization: OrganizationId,
    pub made: Vec<Made>,
    pub now: [Seen; 3],
    tips: [Tip; 3],
    /// Every state that each region was in.
    pub states: [Vec<Seen>; 3],
}

impl Default for History {
    fn default() -> Self {
        Self::of(acme())
    }
}

impl History {
    /// Nothing has been written in `organization` yet.
    pub fn of(organization: OrganizationId) -> Self {
        let start = Tip { position: Position { epoch: 1, seq: 0 }, hash: NO_HASH };
        Self {
            organization,
            made: Vec::new(),
            now: Default::default(),
            tips: [start; 3],
            states: Default::default(),
        }
    }

    /// `to` hears of all that was seen in `of`.
    pub fn hear(&mut self, to: usize, of: &Seen) {
        self.now[to].entries.extend(&of.entries);
        self.now[to].vector.merge(&of.vector);
    }

    /// `to` hears of all that `of` has seen now.
    pub fn hear_all(&mut self, to: usize, of: usize) {
        let of = self.now[of].clone();
        self.hear(to, &of);
    }

    /// `region` writes `operation`, which `authority` allows; answers its place in the history.
    pub fn write(&mut self, region: usize, authority: &[Uuid], operation: Operation) -> usize {
        let seen = self.now[region].clone();
        let own: Origin = origin(region);
        let others = seen.vector.iter().filter(|(of, _)| **of != own);
        let deps = others.map(|(of, position)| (of.clone(), *position)).collect();
        self.append(region, &seen, deps, authority, operation)
    }

    /// `region` was restored to the state `seen` and writes `operations`, which stand behind what it had lost.
    pub fn write_restored(
        &mut self,
        region: usize,
        mut seen: Seen,
        operations: impl IntoIterator<Item = (Vec<Uuid>, Operation)>,
    ) {
        let mut deps = seen.vector.clone();
        deps.advance(&origin(region), Position::default());
        self.tips[region].position.epoch += 1;
        for (authority, operation) in operations {
            seen.entries.insert(self.append(region, &seen, deps.clone(), &authority, operation));
        }
    }

    fn append(
        &mut self,
        region: usize,
        seen: &Seen,
        deps: Vector,
        authority: &[Uuid],
        operation: Operation,
    ) -> usize {
        let (kind, body) = kind_and_body(&operation);
        let Tip { position, hash } = self.tips[region];
        let place = self.made.len();
        let entry = Entry {
            id: Uuid::from_u128(place as u128),
            origin: origin(region),
            position: Position { seq: position.seq + 1, ..position },
            prev_hash: hash,
            deps,
            organization: self.organization,
            actor: None,
            authority: authority.to_vec(),
            kind,
            body,
            at: 1_000_000 * (place as i64 + 1) + 7,
            traceparent: String::new(),
            signature: None,
        };
        self.tips[region] = entry.tip();
        self.now[region].vector.advance(&entry.origin, entry.position);
        self.now[region].entries.insert(place);
        self.made.push(Made { entry, operation, past: seen.entries.clone() });
        let state = self.now[region].clone();
        self.states[region].push(state);
        place
    }

    /// Whether a database that has applied `applied` may apply the entry at `place`.
    pub fn is_next(&self, place: usize, applied: &Vector) -> bool {
        let entry = &self.made[place].entry;
        let before = applied.get(&entry.origin).unwrap_or_default().seq;
        before + 1 == entry.position.seq && applied.covers(&entry.deps)
    }

    /// Every order in which a database may apply the entries.
    pub fn orders(&self) -> Vec<Vec<usize>> {
        let mut orders = Vec::new();
        self.extend_orders(&mut Vec::new(), &Vector::default(), &mut orders);
        orders
    }

    fn extend_orders(&self, order: &mut Vec<usize>, applied: &Vector, orders: &mut Vec<Vec<usize>>) {
        if order.len() == self.made.len() {
            orders.push(order.clone());
        }
        for place in 0..self.made.len() {
            if !order.contains(&place) && self.is_next(place, applied) {
                let mut applied = applied.clone();
                let entry = &self.made[place].entry;
                applied.advance(&entry.origin, entry.position);
                order.push(place);
                self.extend_orders(order, &applied, orders);
                order.pop();
            }
        }
    }

    pub fn is_revocation(&self, place: usize) -> bool {
        self.made[place].operation.is_revocation()
    }
}

pub fn origin(region: usize) -> Origin {
    NAMES[region].parse().expect("an origin")
}

/// The kind and the body of an entry with `operation`.
pub fn kind_and_body(operation: &Operation) -> (String, String) {
    let tagged = serde_json::to_value(operation).expect("JSON");
    (tagged["kind"].as_str().expect("a kind").to_owned(), tagged["body"].to_string())
}
