//! What was allowed on the same state of the organization. Cedar takes some 50 µs for a decision; the same question on the same state has
//! the same answer. A change of the organization is another state. Denials are not remembered, so that nobody fills the memory with
//! questions about things that there are not.

use moka::sync::Cache;
use policy::{Action, Caller, Decision, Resource};

use crate::index::Snapshot;

/// Questions that are remembered.
const REMEMBERED_MAX: u64 = 50_000;

type Question = (Caller, Action, Resource);

/// Decisions that allow, with the generation of the organization that they were made on. Cheap to clone.
#[derive(Clone)]
pub(super) struct Allowed(Cache<Question, (u64, Decision)>);

impl Default for Allowed {
    fn default() -> Self {
        Self(Cache::new(REMEMBERED_MAX))
    }
}

impl Allowed {
    /// What `snapshot` says.
    pub fn decide(
        &self,
        snapshot: &Snapshot,
        (caller, action, resource): (&Caller, Action, &Resource),
    ) -> Decision {
        let generation = snapshot.generation_of(caller.organization);
        let question = (caller.clone(), action, resource.clone());
        if let Some((made_on, decision)) = self.0.get(&question)
            && made_on == generation
        {
            return decision;
        }
        let decision = snapshot.index.decide(caller, action, resource);
        if decision.is_allowed() {
            self.0.insert(question, (generation, decision.clone()));
        }
        decision
    }
}
