//! One caller, one resource: may it, and what may it.

use super::{Index, slice::NotJudged, slice::Slice};
use crate::{Action, Caller, Decision, Resource, Verdict};

impl Index {
    /// The decision. Never fails: what cannot be judged is denied.
    pub fn decide(&self, caller: &Caller, action: Action, resource: &Resource) -> Decision {
        let Some(subject) = self.authenticate(caller) else {
            return Decision { verdict: Verdict::Unauthenticated, reasons: Vec::new() };
        };
        let judged = Slice::new(&subject, resource).map(|slice| slice.judge(action));
        judged.unwrap_or_else(NotJudged::decision)
    }

    /// Every action that [`Index::decide`] allows on the resource. Empty for a caller that is not authenticated.
    pub fn allowed_actions(&self, caller: &Caller, resource: &Resource) -> Vec<Action> {
        let Some(subject) = self.authenticate(caller) else {
            return Vec::new();
        };
        let Ok(slice) = Slice::new(&subject, resource) else {
            return Vec::new();
        };
        Action::ALL
            .into_iter()
            .filter(|action| action.applies_to(resource.kind()) && slice.judge(*action).is_allowed())
            .collect()
    }
}
