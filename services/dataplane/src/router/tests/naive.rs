//! A matcher written straight from the rules in [`rule`](super::super::rule): it tries every route with each of its hosts and paths, and
//! uses nothing of the router.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use http::HeaderMap;
use regex::Regex;
use uuid::Uuid;

use super::{
    super::{Criteria, Lookup, Match, Rule},
    compile,
};

/// A route's criteria as they are configured. Paths are in canonical form.
#[derive(Clone, Debug, Default)]
pub struct Configured {
    pub id: Uuid,
    pub hosts: Vec<String>,
    pub paths: Vec<String>,
    pub methods: Vec<String>,
    pub headers: BTreeMap<String, Vec<String>>,
    pub snis: Vec<String>,
    pub accepts_https: bool,
    pub regex_priority: u32,
}

impl Configured {
    /// The same as the router takes it.
    pub fn rule(&self) -> Arc<Rule> {
        let Self { id, hosts, paths, methods, headers, snis, accepts_https, regex_priority } = self;
        let (accepts_https, regex_priority) = (*accepts_https, *regex_priority);
        let criteria = Criteria { hosts, paths, methods, headers, snis, accepts_https, regex_priority };
        Arc::new(Rule::new(*id, criteria, &compile).unwrap())
    }
}

/// Routes that are tried one by one.
#[derive(Clone, Debug, Default)]
pub struct Naive {
    routes: HashMap<Uuid, Route>,
    /// Those that were compiled, by their text.
    expressions: HashMap<String, Regex>,
}

#[derive(Clone, Debug)]
struct Route {
    configured: Configured,
    hosts: Vec<Host>,
    snis: Vec<Name>,
    /// Of each path, its expression if it is one.
    expressions: Vec<Option<Regex>>,
}

/// A host with the only port that is meant, if there is one.
#[derive(Clone, Debug)]
struct Host {
    name: Name,
    port: Option<u16>,
}

/// A name in lower case. A wildcard stands for one label or more.
#[derive(Clone, Debug)]
enum Name {
    Exact(String),
    /// What follows the wildcard, from the dot.
    Ending(String),
    /// What comes before the wildcard, up to the dot.
    Beginning(String),
}

/// The place of a match among those of one request, in the order of the rules: the greatest wins.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    criteria: usize,
    /// Hosts, headers, paths, methods, server names.
    kinds: [bool; 5],
    host: Option<HostPlace>,
    is_regex: bool,
    headers: usize,
    regex_priority: u32,
    prefix: usize,
    older: Reverse<Uuid>,
    earlier: Reverse<usize>,
}

/// Exact before a wildcard, the longer wildcard, `*.x` before `x.*`, with a port before without.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct HostPlace(bool, usize, bool, bool);

impl Naive {
    pub fn insert(&mut self, configured: &Configured) {
        let host = |text: &String| match text.split_once(':') {
            Some((name, port)) => Host { name: Name::of(name), port: Some(port.parse().unwrap()) },
            None => Host { name: Name::of(text), port: None },
        };
        let hosts = configured.hosts.iter().map(host).collect();
        let snis = configured.snis.iter().map(|sni| Name::of(sni)).collect();
        let mut expression = |path: &String| {
            let text = format!("^(?:{})", path.strip_prefix('~')?);
            let held = self.expressions.entry(text).or_insert_with_key(|text| Regex::new(text).unwrap());
            Some(held.clone())
        };
        let expressions = configured.paths.iter().map(&mut expression).collect();
        let route = Route { hosts, snis, expressions, configured: configured.clone() };
        self.routes.insert(configured.id, route);
    }

    pub fn remove(&mut self, id: Uuid) {
        self.routes.remove(&id);
    }

    pub fn find(&self, request: &Lookup<'_>) -> Option<Match> {
        let matches = self.routes.values().flat_map(|route| route.matches(request));
        matches.max_by(|(one, _), (other, _)| one.cmp(other)).map(|(_, found)| found)
    }
}

impl Route {
    /// Every combination of host and path by which the route is met, with its place.
    fn matches(&self, request: &Lookup<'_>) -> Vec<(Place, Match)> {
        let Configured { id, paths, methods, headers, accepts_https, regex_priority, .. } = &self.configured;
        let is_host =
            |host: &&Host| host.port.is_none_or(|port| port == request.port) && host.name.fits(request.host);
        let hosts: Vec<_> = match self.hosts.as_slice() {
            [] => vec![None],
            hosts => hosts.iter().filter(is_host).map(Some).collect(),
        };
        let is_met = !hosts.is_empty()
            && (*accepts_https || !request.https)
            && (methods.is_empty() || methods.iter().any(|method| method == request.method.as_str()))
            && headers.iter().all(|(name, values)| has_one(request.headers, name, values))
            && (self.snis.is_empty()
                || !request.https
                || request.sni.is_some_and(|sni| self.snis.iter().any(|name| name.fits(sni))));
        if !is_met {
            return Vec::new();
        }
        let length = |(index, path): (usize, &String)| {
            let length = match &self.expressions[index] {
                Some(expression) => expression.find(request.path).map(|found| found.end()),
                None => request.path.starts_with(path.as_str()).then_some(path.len()),
            };
            length.map(|length| (Some(index), length))
        };
        let met: Vec<_> = match paths.as_slice() {
            [] => vec![(None, 0)],
            paths => paths.iter().enumerate().filter_map(length).collect(),
        };
        let kinds = [
            !self.hosts.is_empty(),
            !headers.is_empty(),
            !paths.is_empty(),
            !methods.is_empty(),
            !self.snis.is_empty(),
        ];
        let place = |host: Option<&Host>, (path, length): (Option<usize>, usize)| {
            let is_regex = path.is_some_and(|index| self.expressions[index].is_some());
            Place {
                criteria: kinds.iter().filter(|kind| **kind).count(),
                kinds,
                host: host.map(HostPlace::of),
                is_regex,
                headers: headers.len(),
                regex_priority: if is_regex { *regex_priority } else { 0 },
                prefix: if is_regex { 0 } else { length },
                older: Reverse(*id),
                earlier: Reverse(path.unwrap_or_default()),
            }
        };
        let found = |length| Match { route: *id, prefix_len: length };
        let combined = hosts.iter().flat_map(|host| met.iter().map(|met| (place(*host, *met), found(met.1))));
        combined.collect()
    }
}

impl HostPlace {
    fn of(host: &Host) -> Self {
        let with_port = host.port.is_some();
        match &host.name {
            Name::Exact(_) => Self(true, 0, false, with_port),
            Name::Ending(fixed) => Self(false, fixed.len(), true, with_port),
            Name::Beginning(fixed) => Self(false, fixed.len(), false, with_port),
        }
    }
}

impl Name {
    fn of(text: &str) -> Self {
        let text = text.to_ascii_lowercase();
        match (text.strip_prefix('*'), text.strip_suffix('*')) {
            (Some(ending), _) => Self::Ending(ending.to_owned()),
            (_, Some(beginning)) => Self::Beginning(beginning.to_owned()),
            _ => Self::Exact(text),
        }
    }

    fn fits(&self, name: &str) -> bool {
        match self {
            Self::Exact(exact) => name == exact,
            Self::Ending(ending) => name.len() > ending.len() && name.ends_with(ending.as_str()),
            Self::Beginning(beginning) => {
                name.len() > beginning.len() && name.starts_with(beginning.as_str())
            }
        }
    }
}

/// Whether a field `name` has one of `values`, in any letter case.
fn has_one(headers: &HeaderMap, name: &str, values: &[String]) -> bool {
    let is_one = |given: &http::HeaderValue| {
        values.iter().any(|value| given.as_bytes().eq_ignore_ascii_case(value.as_bytes()))
    };
    headers.get_all(name).iter().any(is_one)
}
