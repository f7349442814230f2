//! How much a gateway compiles: the routes with regular expressions, and which of them fit.
//!
//! The older routes come first, so a new one cannot take the place of another. (Ids are UUIDs of version 7.) What fits depends
//! on the routes alone, not on the order in which they came.

use std::sync::Arc;

use gateway_model::{Route, path_regex::CONFIGURATION_COST_MAX};
use imbl::OrdMap;
use uuid::Uuid;

/// A route before its criteria are compiled.
#[derive(Debug)]
pub struct Draft {
    /// What could be read of it.
    pub route: Route,
    /// Why it cannot be served, if it cannot.
    pub fault: Option<String>,
}

/// The routes with regular expressions. Persistent.
#[derive(Clone, Debug)]
pub struct Budget {
    /// Most steps that all of them may take to compile.
    cost_max: u64,
    cost: u64,
    routes: OrdMap<Uuid, (u64, Arc<Draft>)>,
    /// The first route that does not fit. All after it do not either.
    beyond: Option<Uuid>,
}

impl Default for Budget {
    fn default() -> Self {
        Self::new(CONFIGURATION_COST_MAX)
    }
}

impl Budget {
    /// No route yet; all together may take `cost_max` steps to compile.
    pub fn new(cost_max: u64) -> Self {
        Self { cost_max, cost: 0, routes: OrdMap::new(), beyond: None }
    }

    /// The same limit without routes.
    pub fn emptied(&self) -> Self {
        Self::new(self.cost_max)
    }

    /// Counts the route `id` in place of the one that it was.
    pub fn put(&mut self, id: Uuid, draft: &Arc<Draft>) {
        self.remove(id);
        let cost = draft.route.path_cost();
        if cost > 0 {
            self.cost = self.cost.saturating_add(cost);
            self.routes.insert(id, (cost, Arc::clone(draft)));
        }
    }

    /// Counts the route `id` no longer.
    pub fn remove(&mut self, id: Uuid) {
        if let Some((cost, _)) = self.routes.remove(&id) {
            self.cost = self.cost.saturating_sub(cost);
        }
    }

    /// Decides anew which routes fit. Returns those that fit now and did not before, and those that no longer do.
    pub fn settle(&mut self) -> Vec<(Uuid, Arc<Draft>)> {
        let beyond = self.first_beyond();
        let before = std::mem::replace(&mut self.beyond, beyond);
        let (from, to) = match (before, beyond) {
            (None, None) => return Vec::new(),
            (Some(one), None) | (None, Some(one)) => (one, Uuid::max()),
            (Some(one), Some(other)) => (one.min(other), one.max(other)),
        };
        self.routes.range(from..=to).map(|(id, (_, draft))| (*id, Arc::clone(draft))).collect()
    }

    fn first_beyond(&self) -> Option<Uuid> {
        if self.cost <= self.cost_max {
            return None;
        }
        let mut cost: u64 = 0;
        let mut routes = self.routes.iter();
        routes.find_map(|(id, (own, _))| {
            cost = cost.saturating_add(*own);
            (cost > self.cost_max).then_some(*id)
        })
    }

    /// Why the expressions of the route `id` are not compiled; `None` if they are.
    pub fn refuses(&self, id: Uuid) -> Option<String> {
        let is_beyond = self.beyond.is_some_and(|beyond| id >= beyond) && self.routes.contains_key(&id);
        is_beyond.then(|| {
            format!(
                "the regular expressions of the routes take more than path_regex_cost_max ({}) steps to compile: the newest of \
                 these routes are not served",
                self.cost_max
            )
        })
    }
}
