//! How concurrent writes about one edge merge. An edge is a membership or an assignment; its id follows from its content,
//! so that the same grant made in two regions is about the same edge. An edge lives iff one of its grants lives.
//!
//! A grant lives iff
//! 1. every revocation of its edge is in its causal past: a revocation wins over a concurrent grant, and a later grant
//!    (one whose writer had seen the revocation) is a new grant and lives. Otherwise the grant is *ended*;
//! 2. no id in its authority has a revocation that is concurrent with it. Otherwise the grant is *void*: who is revoked in
//!    one region cannot use another region, which does not know yet, to get the rights back;
//! 3. each id in its authority that has grants in its past has one there that upholds it: not void itself, and not ended
//!    as the writer saw it. Otherwise it is void too, so that what was built on a void grant falls with it.
//!
//! The writes of one entry have no order: a revocation and a grant of the same entry do not touch each other.
//!
//! A revocation always stands, whoever made it: of two administrators who revoke each other neither wins.
//!
//! Sources: rule 1 is the remove-wins set with causal context (Bieniusa et al., "An optimized conflict-free replicated
//! set"; for policies the Policy-CRDT preprint 202512.1467). Rules 2 and 3 answer the revocation escape; no such rule
//! alone keeps one of two hostile administrators (arXiv 2601.22963), so roots of authority change in the home region.
//!
//! All is monotone: a grant that is ended or void stays so, whatever arrives. An entry's causal past is a fixed set
//! ([`Dot::follows`]) and is applied before the entry; this is why the two entry points need so little of a database,
//! and why every region ends with the same rows whatever the order of concurrent entries.
//!
//! A revocation can also be merged before its turn, so that it denies on receipt, and again at its turn.

use std::collections::{HashMap, HashSet};

use uuid::Uuid;

use crate::{Dot, Vector};

/// One grant of an edge. `edge` and `dot` together name it: an entry grants an edge at most once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// The membership or assignment that it gives.
    pub edge: Uuid,
    /// The entry that grants.
    pub dot: Dot,
    /// The deps of that entry.
    pub deps: Vector,
    /// Ids of what allowed it and can be revoked: edges, the principal, the session.
    pub authority: Vec<Uuid>,
}

/// One revocation. `subject` and `dot` together name it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Revocation {
    /// An edge, a principal or a session.
    pub subject: Uuid,
    /// The entry that revokes.
    pub dot: Dot,
    /// The deps of that entry.
    pub deps: Vector,
}

/// What has become of a grant. Both only ever turn true.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// Rule 1: its edge is revoked and the revocation is not in its past.
    pub ended: bool,
    /// Rules 2 and 3: it never had authority.
    pub void: bool,
}

impl Standing {
    /// Whether the grant counts now.
    pub fn lives(self) -> bool {
        !self.ended && !self.void
    }
}

/// What the store has loaded; [`grant`] and [`revoke`] say what they need. More does no harm, nor does a row twice.
#[derive(Clone, Debug, Default)]
pub struct Known {
    /// Stored grants, each with its standing.
    pub grants: Vec<(Grant, Standing)>,
    /// Stored revocations.
    pub revocations: Vec<Revocation>,
}

/// A stored grant whose standing changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The edge of the grant.
    pub edge: Uuid,
    /// The entry of the grant. Edge and entry together name the row.
    pub dot: Dot,
    /// The whole standing from now on.
    pub standing: Standing,
}

/// The standing of a grant whose turn has come. No other grant changes by it: it is in the past of none that is stored.
///
/// Needs every revocation whose subject is the new grant's edge or in its authority, and every grant of an edge in its
/// authority. That is all the rules speak of, and all of it that is in the new grant's past is applied.
pub fn grant(new: &Grant, known: &Known) -> Standing {
    let rows = Rows::new(known);
    let is_struck = |id| rows.revocations(id).iter().any(|revocation| are_concurrent(revocation, new));
    Standing {
        ended: rows.revocations(&new.edge).iter().any(|revocation| ends(revocation, new)),
        void: new.authority.iter().any(|id| is_struck(id) || !rows.upholds(id, new)),
    }
}

/// The stored grants that change by a revocation, at its turn or before.
///
/// Needs (A) every grant of the revocation's subject, and every grant of the organization that is not in the revocation's
/// `deps`; and (B), only if a grant of (A) names the subject in its authority, every grant of an edge and every revocation
/// of a subject that is in the authority of a grant of (A).
///
/// (A) suffices, because a grant becomes void by this revocation only if it is concurrent with it: it names the subject
/// (rule 2), or it follows a grant that does; then the revocation does not follow it, and it does not follow the
/// revocation, or it would have been applied after it. (B) is what rule 3 asks of the grants of (A).
pub fn revoke(new: &Revocation, known: &Known) -> Vec<Change> {
    let mut rows = Rows::new(known);
    let of_subject = rows.by_edge.get(&new.subject).cloned().unwrap_or_default();
    for at in of_subject {
        if rows.at(at).is_some_and(|grant| ends(new, grant)) {
            rows.change(at, |standing| standing.ended = true);
        }
    }
    let mut fallen = Vec::new();
    for at in rows.that_name(&new.subject) {
        if rows.at(at).is_some_and(|grant| are_concurrent(new, grant)) {
            fallen.extend(rows.make_void(at));
        }
    }
    while let Some(edge) = fallen.pop() {
        for at in rows.that_name(&edge) {
            if rows.at(at).is_some_and(|grant| !rows.upholds(&edge, grant)) {
                fallen.extend(rows.make_void(at));
            }
        }
    }
    rows.changes(known)
}

/// Rule 1.
fn ends(revocation: &Revocation, grant: &Grant) -> bool {
    revocation.subject == grant.edge && !grant.dot.follows(&grant.deps, &revocation.dot)
}

/// Rule 2, when the subject is in the grant's authority.
fn are_concurrent(revocation: &Revocation, grant: &Grant) -> bool {
    !grant.dot.follows(&grant.deps, &revocation.dot) && !revocation.dot.follows(&revocation.deps, &grant.dot)
}

/// [`Known`] by the ids that the rules ask for, with standings as they change.
struct Rows<'k> {
    grants: Vec<(&'k Grant, Standing)>,
    by_edge: HashMap<Uuid, Vec<usize>>,
    by_authority: HashMap<Uuid, Vec<usize>>,
    revocations: HashMap<Uuid, Vec<&'k Revocation>>,
}

impl<'k> Rows<'k> {
    fn new(known: &'k Known) -> Self {
        let mut rows = Self {
            grants: Vec::with_capacity(known.grants.len()),
            by_edge: HashMap::new(),
            by_authority: HashMap::new(),
            revocations: HashMap::new(),
        };
        let mut seen = HashSet::new();
        for (grant, standing) in
            known.grants.iter().filter(|(grant, _)| seen.insert((grant.edge, &grant.dot)))
        {
            let at = rows.grants.len();
            rows.grants.push((grant, *standing));
            rows.by_edge.entry(grant.edge).or_default().push(at);
            for id in &grant.authority {
                rows.by_authority.entry(*id).or_default().push(at);
            }
        }
        for revocation in &known.revocations {
            rows.revocations.entry(revocation.subject).or_default().push(revocation);
        }
        rows
    }

    fn at(&self, at: usize) -> Option<&'k Grant> {
        self.grants.get(at).map(|(grant, _)| *grant)
    }

    fn that_name(&self, authority: &Uuid) -> Vec<usize> {
        self.by_authority.get(authority).cloned().unwrap_or_default()
    }

    fn revocations(&self, subject: &Uuid) -> &[&'k Revocation] {
        self.revocations.get(subject).map(Vec::as_slice).unwrap_or_default()
    }

    /// Rule 3 for one id of a grant's authority. An id without grants in its past is not an edge, or came with the same
    /// entry: nothing has to uphold it.
    fn upholds(&self, id: &Uuid, grant: &Grant) -> bool {
        let is_earlier = |dot: &Dot| *dot != grant.dot && grant.dot.follows(&grant.deps, dot);
        let grants = self.by_edge.get(id).into_iter().flatten().filter_map(|at| self.grants.get(*at));
        let mut earlier = grants.filter(|(of_id, _)| is_earlier(&of_id.dot)).peekable();
        let is_upright = |(of_id, standing): &(&Grant, Standing)| {
            let mut revoked = self.revocations(id).iter().filter(|revocation| is_earlier(&revocation.dot));
            !standing.void && !revoked.any(|revocation| ends(revocation, of_id))
        };
        earlier.peek().is_none() || earlier.any(is_upright)
    }

    fn change(&mut self, at: usize, change: impl FnOnce(&mut Standing)) {
        if let Some((_, standing)) = self.grants.get_mut(at) {
            change(standing);
        }
    }

    /// The edge of the grant that became void; none if it was void before.
    fn make_void(&mut self, at: usize) -> Option<Uuid> {
        let (grant, standing) = self.grants.get_mut(at)?;
        let was_void = std::mem::replace(&mut standing.void, true);
        (!was_void).then_some(grant.edge)
    }

    fn changes(self, known: &Known) -> Vec<Change> {
        let before: HashMap<_, _> =
            known.grants.iter().map(|(grant, standing)| ((grant.edge, &grant.dot), *standing)).collect();
        let is_changed =
            |(grant, standing): &(&Grant, Standing)| before.get(&(grant.edge, &grant.dot)) != Some(standing);
        let change =
            |(grant, standing): (&Grant, _)| Change { edge: grant.edge, dot: grant.dot.clone(), standing };
        self.grants.into_iter().filter(is_changed).map(change).collect()
    }
}
