//! The rows of one region, as the Postgres store keeps them. It gives the merge functions exactly what they say they need.

use std::collections::{BTreeMap, BTreeSet};

use replication::{
    Dot, Vector,
    merge::{self, Change, Grant, Known, Revocation, Standing},
};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Write {
    Grant { edge: Uuid },
    Revoke { subject: Uuid },
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Store {
    pub grants: BTreeMap<(Uuid, Dot), (Grant, Standing)>,
    pub revocations: BTreeMap<(Uuid, Dot), Revocation>,
}

impl Store {
    pub fn apply(&mut self, dot: &Dot, deps: &Vector, authority: &[Uuid], write: Write) {
        match write {
            Write::Grant { edge } => {
                let authority = authority.to_vec();
                self.grant(Grant { edge, dot: dot.clone(), deps: deps.clone(), authority });
            }
            Write::Revoke { subject } => {
                let revocation = Revocation { subject, dot: dot.clone(), deps: deps.clone() };
                for change in self.effect(&revocation) {
                    let row = self.grants.get_mut(&(change.edge, change.dot)).expect("a stored row");
                    assert!(!row.1.ended || change.standing.ended, "ended is for ever");
                    assert!(!row.1.void || change.standing.void, "void is for ever");
                    assert_ne!(row.1, change.standing, "a change changes something");
                    row.1 = change.standing;
                }
                self.revocations.insert((subject, dot.clone()), revocation);
            }
        }
    }

    fn grant(&mut self, grant: Grant) {
        let subjects: BTreeSet<Uuid> = grant.authority.iter().copied().chain([grant.edge]).collect();
        let edges = grant.authority.iter().copied().collect();
        let known = Known { grants: self.grants_of(&edges), revocations: self.revocations_of(&subjects) };
        let standing = merge::grant(&grant, &known);
        self.grants.insert((grant.edge, grant.dot.clone()), (grant, standing));
    }

    /// What changes by a revocation.
    pub fn effect(&self, new: &Revocation) -> Vec<Change> {
        let is_asked =
            |(grant, _): &&(Grant, Standing)| grant.edge == new.subject || !new.deps.contains(&grant.dot);
        let first: Vec<_> = self.grants.values().filter(is_asked).cloned().collect();
        let ids: BTreeSet<Uuid> = first.iter().flat_map(|(grant, _)| grant.authority.clone()).collect();
        let mut known = Known { grants: first, revocations: Vec::new() };
        if ids.contains(&new.subject) {
            known.grants.extend(self.grants_of(&ids));
            known.revocations = self.revocations_of(&ids);
        }
        merge::revoke(new, &known)
    }

    pub fn live_edges(&self) -> BTreeSet<Uuid> {
        let live = self.grants.values().filter(|(_, standing)| standing.lives());
        live.map(|(grant, _)| grant.edge).collect()
    }

    pub fn standings(&self) -> BTreeMap<(Uuid, Dot), Standing> {
        self.grants.iter().map(|(key, (_, standing))| (key.clone(), *standing)).collect()
    }

    fn grants_of(&self, edges: &BTreeSet<Uuid>) -> Vec<(Grant, Standing)> {
        self.grants.values().filter(|(grant, _)| edges.contains(&grant.edge)).cloned().collect()
    }

    fn revocations_of(&self, subjects: &BTreeSet<Uuid>) -> Vec<Revocation> {
        self.revocations
            .values()
            .filter(|revocation| subjects.contains(&revocation.subject))
            .cloned()
            .collect()
    }
}
