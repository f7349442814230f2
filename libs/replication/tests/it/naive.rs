//! The merge rule by its definition, over a whole history at once. Slow, and knows nothing of vectors or of order.

use std::collections::{BTreeMap, BTreeSet};

use replication::{Dot, merge::Standing};
use uuid::Uuid;

use crate::store::Write;

/// One write of an entry.
pub struct Event {
    pub dot: Dot,
    pub authority: Vec<Uuid>,
    pub write: Write,
}

pub struct History {
    pub events: Vec<Event>,
    /// `after[a][b]`: event `a` causally follows event `b`, or they are of the same entry.
    pub after: Vec<Vec<bool>>,
}

impl History {
    pub fn standings(&self) -> BTreeMap<(Uuid, Dot), Standing> {
        let mut void = vec![None; self.events.len()];
        let grants = (0..self.events.len()).filter_map(|at| Some((at, self.granted(at)?)));
        let standing = |(at, edge)| {
            let standing = Standing { ended: self.is_ended(at, edge), void: self.is_void(at, &mut void) };
            ((edge, self.events[at].dot.clone()), standing)
        };
        grants.map(standing).collect()
    }

    pub fn live_edges(&self) -> BTreeSet<Uuid> {
        let lives = |((edge, _), standing): ((Uuid, Dot), Standing)| standing.lives().then_some(edge);
        self.standings().into_iter().filter_map(lives).collect()
    }

    fn granted(&self, at: usize) -> Option<Uuid> {
        match self.events[at].write {
            Write::Grant { edge } => Some(edge),
            Write::Revoke { .. } => None,
        }
    }

    fn grants_of(&self, edge: Uuid) -> impl Iterator<Item = usize> {
        (0..self.events.len()).filter(move |at| self.granted(*at) == Some(edge))
    }

    fn revocations_of(&self, id: Uuid) -> impl Iterator<Item = usize> {
        let is_of =
            move |at: &usize| matches!(self.events[*at].write, Write::Revoke { subject } if subject == id);
        (0..self.events.len()).filter(is_of)
    }

    /// Some revocation of the edge is not in the grant's past.
    fn is_ended(&self, grant: usize, edge: Uuid) -> bool {
        self.revocations_of(edge).any(|revocation| !self.after[grant][revocation])
    }

    fn is_void(&self, grant: usize, known: &mut Vec<Option<bool>>) -> bool {
        if let Some(void) = known[grant] {
            return void;
        }
        let void = self.events[grant].authority.iter().any(|id| self.fails(grant, *id, known));
        known[grant] = Some(void);
        void
    }

    /// Whether this id of the grant's authority makes it void.
    fn fails(&self, grant: usize, id: Uuid, known: &mut Vec<Option<bool>>) -> bool {
        let (events, after) = (&self.events, &self.after);
        let mut revocations = self.revocations_of(id);
        if revocations.any(|revocation| !after[grant][revocation] && !after[revocation][grant]) {
            return true;
        }
        let is_before = |at: &usize| after[grant][*at] && events[*at].dot != events[grant].dot;
        let before: Vec<usize> = self.grants_of(id).filter(is_before).collect();
        let was_ended = |at: usize| {
            let mut seen = self.revocations_of(id).filter(is_before);
            seen.any(|revocation| !after[at][revocation])
        };
        !before.is_empty() && before.into_iter().all(|at| was_ended(at) || self.is_void(at, known))
    }
}
