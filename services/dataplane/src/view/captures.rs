//! The groups of a route's regular expressions that its requests are hashed by, or that its plugins read. A route has some only if the
//! upstream of its service or one of its plugins asks for them.

use std::sync::Arc;

use gateway_model::{PathRegex, path_regex::CapturedGroup};

use super::patterns::Patterns;
use crate::router::{Rule, rule::PathPattern};

/// The groups, for each regular expression of the route, in the order in which the router takes them.
#[derive(Clone, Debug, Default)]
pub struct Captures(Box<[Captured]>);

#[derive(Clone, Debug)]
struct Captured {
    regex: Arc<PathRegex>,
    /// By name; `None`: the expression has no such group.
    groups: Vec<(Box<str>, Arc<Option<CapturedGroup>>)>,
}

impl Captures {
    /// The groups `names` of the paths of `rule`.
    pub fn new<'n>(rule: &Rule, names: impl Iterator<Item = &'n str> + Clone, patterns: &Patterns) -> Self {
        let captured = |regex: &Arc<PathRegex>| {
            // It has compiled already.
            let group = |name: &str| Some((name.into(), patterns.group(regex.pattern(), name).ok()?));
            Captured { regex: regex.clone(), groups: names.clone().filter_map(group).collect() }
        };
        if names.clone().next().is_none() {
            return Self::default();
        }
        let regexes = rule.paths.iter().filter_map(|path| match path {
            PathPattern::Regex(regex) => Some(regex),
            PathPattern::Prefix(_) => None,
        });
        Self(regexes.map(captured).collect())
    }

    /// What the group `name` matches in the `path` of a request to the route; `None` if it takes no part in it.
    pub fn find<'p>(&self, name: &str, path: &'p str) -> Option<&'p str> {
        // The first expression that matches is the one that the route was found by.
        let captured = self.0.iter().find(|captured| captured.regex.is_match(path))?;
        let (_, group) = captured.groups.iter().find(|(held, _)| **held == *name)?;
        group.as_ref().as_ref()?.find(path)
    }
}
