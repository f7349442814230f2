//! Finds the route of a request. A persistent data structure: cheap to clone, and the cost of an update follows its size.
//!
//! Rules are filed by host (exact, leading wildcard, trailing wildcard, none) and, for each host, in a radix trie of paths. A
//! change of one rule copies the trie nodes on the way to it; readers keep the version that they hold. A lookup visits the
//! few tries that the host can be in, walks each of them once along the request's path, and takes the best rank
//! ([`rule::Rank`]). A regex is tried only if its literal beginning matches the path.
//!
//! The router knows nothing of services, plugins or storage. The view fills it, and asks it for the proxy.

pub mod host;
pub mod path;
pub mod readings;
pub mod rule;
#[cfg(test)]
mod tests;
mod trie;

use std::sync::Arc;

use http::{HeaderMap, Method};
use imbl::OrdMap;
use uuid::Uuid;

use host::{HostName, HostPattern};
pub use rule::{Compile, Criteria, InvalidRule, Rule};
use trie::{Entry, Node};

/// What the router needs to know of a request.
#[derive(Clone, Copy, Debug)]
pub struct Lookup<'a> {
    /// The host in lower case, without port and trailing dot; empty when the request names none.
    pub host: &'a str,
    /// The path in canonical form ([`path::normalise`]).
    pub path: &'a str,
    /// The method.
    pub method: &'a Method,
    /// The port that the request names, or that of its scheme.
    pub port: u16,
    /// Whether the request came over TLS.
    pub https: bool,
    /// The server name that the client asked for in TLS, in lower case.
    pub sni: Option<&'a str>,
    /// The request's headers.
    pub headers: &'a HeaderMap,
}

#[cfg(test)]
impl<'a> Lookup<'a> {
    /// A GET over plain HTTP without headers.
    pub fn get(host: &'a str, path: &'a str) -> Self {
        static NO_HEADERS: std::sync::LazyLock<HeaderMap> = std::sync::LazyLock::new(HeaderMap::new);
        Self { host, path, method: &Method::GET, port: 80, https: false, sni: None, headers: &NO_HEADERS }
    }
}

/// The best rule for a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Match {
    /// Id of the route.
    pub route: Uuid,
    /// How many bytes of the path the route's path matched. `strip_path` removes them. 0 for a route without paths.
    pub prefix_len: usize,
}

/// All rules. Clones share what does not change.
#[derive(Clone, Debug, Default)]
pub struct Router {
    rules: OrdMap<Uuid, Arc<Rule>>,
    exact: OrdMap<String, Arc<Node>>,
    leading: OrdMap<String, Arc<Node>>,
    trailing: OrdMap<String, Arc<Node>>,
    any: Arc<Node>,
}

impl Router {
    /// The router with `rule`, which replaces the rule with its id if there is one.
    pub fn with(&self, rule: Arc<Rule>) -> Self {
        let mut changed = self.clone();
        changed.insert(rule);
        changed
    }

    /// The router without the rule `id`.
    pub fn without(&self, id: Uuid) -> Self {
        let mut changed = self.clone();
        changed.remove(id);
        changed
    }

    /// Like [`Router::with`], but changes this router. Its clones stay as they are.
    pub fn insert(&mut self, rule: Arc<Rule>) {
        self.remove(rule.id);
        if rule.hosts.is_empty() {
            insert_paths(Arc::make_mut(&mut self.any), &rule, None);
        }
        for host in &rule.hosts {
            let (map, key) = self.bucket(host);
            let mut root = map.get(key).cloned().unwrap_or_default();
            insert_paths(Arc::make_mut(&mut root), &rule, Some(host));
            map.insert(key.to_owned(), root);
        }
        self.rules.insert(rule.id, rule);
    }

    /// Like [`Router::without`], but changes this router. Its clones stay as they are.
    pub fn remove(&mut self, id: Uuid) {
        let Some(rule) = self.rules.remove(&id) else { return };
        if rule.hosts.is_empty() {
            remove_paths(Arc::make_mut(&mut self.any), &rule);
        }
        for host in &rule.hosts {
            let (map, key) = self.bucket(host);
            let Some(root) = map.get_mut(key) else { continue };
            remove_paths(Arc::make_mut(root), &rule);
            if root.is_empty() {
                map.remove(key);
            }
        }
    }

    /// Whether the router has this very `rule`, and not another one with its id.
    pub fn holds(&self, rule: &Arc<Rule>) -> bool {
        self.rules.get(&rule.id).is_some_and(|held| Arc::ptr_eq(held, rule))
    }

    /// How many rules there are.
    pub fn len(&self) -> usize {
        self.rules.len()
    }

    /// Whether there is no rule.
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// The best match for `request`; `None` if no rule matches.
    pub fn find(&self, request: &Lookup<'_>) -> Option<Match> {
        let mut search = Search { request, best: None };
        search.host(self, request.host);
        search.bucket(&self.any);
        search.best.map(|(entry, prefix_len)| Match { route: entry.rank.route(), prefix_len })
    }

    fn bucket<'a>(&mut self, host: &'a HostPattern) -> (&mut OrdMap<String, Arc<Node>>, &'a str) {
        match &host.name {
            HostName::Exact(key) => (&mut self.exact, key),
            HostName::Leading(key) => (&mut self.leading, key),
            HostName::Trailing(key) => (&mut self.trailing, key),
        }
    }
}

/// A lookup under way: the best entry so far, with the number of bytes that its path matched.
struct Search<'a, 'r> {
    request: &'r Lookup<'r>,
    best: Option<(&'a Entry, usize)>,
}

impl<'a> Search<'a, '_> {
    fn host(&mut self, router: &'a Router, host: &str) {
        if let Some(root) = router.exact.get(host) {
            self.bucket(root);
        }
        if !router.leading.is_empty() {
            host::leading_rests(host)
                .filter_map(|rest| router.leading.get(rest))
                .for_each(|root| self.bucket(root));
        }
        if !router.trailing.is_empty() {
            host::trailing_rests(host)
                .filter_map(|rest| router.trailing.get(rest))
                .for_each(|root| self.bucket(root));
        }
    }

    fn bucket(&mut self, root: &'a Node) {
        root.walk(self.request.path.as_bytes(), |entries| {
            for entry in entries {
                if self.best.is_some_and(|(best, _)| best.rank >= entry.rank) {
                    return;
                }
                let fits_port = entry.port.is_none_or(|port| port == self.request.port);
                if !fits_port || entry.asks_more && !entry.rule.accepts(self.request) {
                    continue;
                }
                if let Some(prefix_len) = entry.matched_len(self.request.path) {
                    self.best = Some((entry, prefix_len));
                    return;
                }
            }
        });
    }
}

fn insert_paths(root: &mut Node, rule: &Arc<Rule>, host: Option<&HostPattern>) {
    if rule.paths.is_empty() {
        root.insert(b"", Entry::new(rule, host, None));
    }
    for (index, pattern) in rule.paths.iter().enumerate() {
        root.insert(pattern.literal().as_bytes(), Entry::new(rule, host, Some(index)));
    }
}

fn remove_paths(root: &mut Node, rule: &Rule) {
    if rule.paths.is_empty() {
        root.remove(b"", rule);
    }
    for pattern in &rule.paths {
        root.remove(pattern.literal().as_bytes(), rule);
    }
}
