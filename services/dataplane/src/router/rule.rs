//! A rule: a route as the router sees it. Its criteria, compiled once, and the order among rules that match one request.
//!
//! The order is that of Kong's traditional router. Of all combinations of rule, host pattern and path that match, the one with
//! the greatest [`Rank`] wins:
//!
//! 1. the rule that names more kinds of criteria (hosts, headers, paths, methods, server names);
//! 2. with equally many, they weigh in this order;
//! 3. the more precise host: exact, then the longer wildcard; with a port before without;
//! 4. a regex path before a prefix path;
//! 5. the rule that names more headers;
//! 6. between regexes, the higher `regex_priority`;
//! 7. between prefixes, the longer one;
//! 8. the older rule. Kong compares creation times. Ids are UUIDs of version 7 and sort by creation, so the smaller id wins.
//!    (Ids that a client chose, or that are derived from a declarative file, also give a total and stable order.)
//!
//! Kong ranks a route by its longest path; here the path that matched counts. The two differ only for routes with several
//! paths.
//!
//! A prefix is a prefix of characters, as in Kong: `/foo` matches `/foobar`.

use std::{cmp::Reverse, collections::BTreeMap, sync::Arc};

use gateway_model::{PathRegex, Route, path_regex::InvalidPattern};
use http::{HeaderName, HeaderValue, Method};
use uuid::Uuid;

use super::{
    Lookup,
    host::{HostName, HostPattern, HostRank},
    path,
};

/// Why a route cannot be a rule.
#[derive(Debug, thiserror::Error)]
pub enum InvalidRule {
    /// A prefix has no canonical form.
    #[error("path {path:?}: {source}")]
    Path {
        /// As configured.
        path: String,
        /// What is wrong with it.
        source: path::InvalidPath,
    },
    /// A regex does not compile.
    #[error("path {path:?} must {source}")]
    Regex {
        /// As configured.
        path: String,
        /// What is wrong with it.
        source: InvalidPattern,
    },
    /// A method is not a token of HTTP.
    #[error("method {0:?} is not a token")]
    Method(String),
    /// A header's name or value cannot stand in a request.
    #[error("header {0:?} is not one of HTTP")]
    Header(String),
}

/// What a route asks of requests, as configured.
#[derive(Clone, Copy, Debug)]
pub struct Criteria<'a> {
    /// Exact, or with a wildcard, a port or both.
    pub hosts: &'a [String],
    /// A prefix, or `~` and a regex.
    pub paths: &'a [String],
    /// Names of methods.
    pub methods: &'a [String],
    /// Names with the values of which the request must have one.
    pub headers: &'a BTreeMap<String, Vec<String>>,
    /// Names that the client asks for in TLS.
    pub snis: &'a [String],
    /// Whether requests over TLS match.
    pub accepts_https: bool,
    /// Rank of its regexes among those of other routes.
    pub regex_priority: u32,
}

impl<'a> From<&'a Route> for Criteria<'a> {
    fn from(route: &'a Route) -> Self {
        Self {
            hosts: &route.hosts,
            paths: &route.paths,
            methods: &route.methods,
            headers: &route.headers,
            snis: &route.snis,
            accepts_https: route.protocols.iter().any(|protocol| protocol.is_tls()),
            regex_priority: route.regex_priority,
        }
    }
}

/// What a route matches on.
#[derive(Debug)]
pub struct Rule {
    /// Id of the route.
    pub id: Uuid,
    /// Hosts; empty: any host.
    pub hosts: Vec<HostPattern>,
    /// Paths; empty: any path.
    pub paths: Vec<PathPattern>,
    /// Methods; empty: any method.
    pub methods: Vec<Method>,
    /// Headers with the values of which a request must have one; empty: any headers.
    pub headers: Vec<(HeaderName, Vec<HeaderValue>)>,
    /// Server names; empty: any. Requests without TLS match: they are answered with a redirect.
    pub snis: Vec<HostName>,
    /// Whether requests over TLS match. (A rule for TLS only also matches plain requests. The proxy answers those with a
    /// redirect.)
    pub accepts_https: bool,
    /// Rank of its regexes among those of other rules; greater is better.
    pub regex_priority: u32,
}

/// One entry of a route's `paths`.
#[derive(Debug)]
pub enum PathPattern {
    /// What the path begins with, in canonical form.
    Prefix(String),
    /// What the path matches from its beginning. Compiled before there is a rule, and shared by rules with the same text.
    Regex(Arc<PathRegex>),
}

/// Compiles a regular expression, or finds it among those that are compiled.
pub type Compile<'a> = &'a dyn Fn(&str) -> Result<Arc<PathRegex>, InvalidPattern>;

/// How well a rule matched; greater is better. The module's documentation has the order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rank {
    criteria: u32,
    kinds: u8,
    host: HostRank,
    is_regex: bool,
    headers: usize,
    regex_priority: u32,
    prefix_len: usize,
    older: Reverse<Uuid>,
    /// Between two regexes of one rule, the one listed first.
    earlier: Reverse<usize>,
}

impl Rank {
    /// Id of the rule's route.
    pub fn route(&self) -> Uuid {
        self.older.0
    }
}

impl Rule {
    /// Compiles the criteria of a route, its regular expressions with `compile`.
    pub fn new(id: Uuid, criteria: Criteria<'_>, compile: Compile<'_>) -> Result<Self, InvalidRule> {
        let Criteria { hosts, paths, methods, headers, snis, accepts_https, regex_priority } = criteria;
        Ok(Self {
            id,
            hosts: unique(hosts.iter().map(|text| HostPattern::of(text))),
            paths: paths.iter().map(|text| PathPattern::parse(text, compile)).collect::<Result<_, _>>()?,
            methods: methods
                .iter()
                .map(|name| {
                    Method::from_bytes(name.as_bytes()).map_err(|_| InvalidRule::Method(name.clone()))
                })
                .collect::<Result<_, _>>()?,
            headers: headers
                .iter()
                .map(|(name, values)| header(name, values).ok_or_else(|| InvalidRule::Header(name.clone())))
                .collect::<Result<_, _>>()?,
            snis: snis.iter().map(|name| HostPattern::of(name).name).collect(),
            accepts_https,
            regex_priority,
        })
    }

    /// The rank of a match by `host` (`None`: the rule has no hosts) and by the path at index `path` (`None`: it has no paths).
    pub fn rank(&self, host: Option<&HostPattern>, path: Option<usize>) -> Rank {
        let kinds = u8::from(host.is_some()) << 4
            | u8::from(!self.headers.is_empty()) << 3
            | u8::from(path.is_some()) << 2
            | u8::from(!self.methods.is_empty()) << 1
            | u8::from(!self.snis.is_empty());
        let (is_regex, regex_priority, prefix_len) = match path.and_then(|index| self.paths.get(index)) {
            Some(PathPattern::Regex(_)) => (true, self.regex_priority, 0),
            Some(PathPattern::Prefix(prefix)) => (false, 0, prefix.len()),
            None => (false, 0, 0),
        };
        Rank {
            criteria: kinds.count_ones(),
            kinds,
            host: host.map(HostRank::of).unwrap_or_default(),
            is_regex,
            headers: self.headers.len(),
            regex_priority,
            prefix_len,
            older: Reverse(self.id),
            earlier: Reverse(path.unwrap_or_default()),
        }
    }

    /// Whether it depends on more than host and path whether a request matches.
    pub fn asks_more(&self) -> bool {
        let asks = [self.methods.is_empty(), self.headers.is_empty(), self.snis.is_empty()];
        !self.accepts_https || asks.contains(&false)
    }

    /// Whether a request matches, but for its host and path.
    pub fn accepts(&self, request: &Lookup<'_>) -> bool {
        (self.accepts_https || !request.https)
            && (self.methods.is_empty() || self.methods.contains(request.method))
            && self.headers.iter().all(|(name, values)| {
                let mut given = request.headers.get_all(name).into_iter();
                given.any(|given| values.iter().any(|value| is_same(given, value)))
            })
            && (self.snis.is_empty()
                || !request.https
                || request.sni.is_some_and(|sni| self.snis.iter().any(|name| name.is_met_by(sni))))
    }
}

/// A header's name and values, in the form in which requests have them.
fn header(name: &str, values: &[String]) -> Option<(HeaderName, Vec<HeaderValue>)> {
    let name = HeaderName::from_bytes(name.as_bytes()).ok()?;
    let values = values.iter().map(|value| HeaderValue::from_str(value));
    Some((name, values.collect::<Result<_, _>>().ok()?))
}

/// As in Kong: letter case does not matter.
fn is_same(given: &HeaderValue, value: &HeaderValue) -> bool {
    given.as_bytes().eq_ignore_ascii_case(value.as_bytes())
}

impl PathPattern {
    /// Compiles one entry of a route's `paths`.
    fn parse(text: &str, compile: Compile<'_>) -> Result<Self, InvalidRule> {
        let Some(pattern) = text.strip_prefix('~') else {
            let prefix = path::normalise(text)
                .map_err(|source| InvalidRule::Path { path: text.to_owned(), source })?;
            return Ok(Self::Prefix(prefix.into_owned()));
        };
        let regex = compile(pattern);
        regex.map(Self::Regex).map_err(|source| InvalidRule::Regex { path: text.to_owned(), source })
    }

    /// What every path begins with that this pattern matches. The trie files the pattern under it.
    pub fn literal(&self) -> &str {
        match self {
            Self::Prefix(prefix) => prefix,
            Self::Regex(regex) => regex.literal(),
        }
    }

    /// How many bytes of `path` the pattern matches, from its beginning; `None` if it does not match.
    pub fn matched_len(&self, path: &str) -> Option<usize> {
        match self {
            Self::Prefix(prefix) => path.starts_with(prefix.as_str()).then_some(prefix.len()),
            Self::Regex(regex) => regex.matched_len(path),
        }
    }
}

fn unique<T: PartialEq>(items: impl Iterator<Item = T>) -> Vec<T> {
    let mut kept = Vec::new();
    for item in items {
        if !kept.contains(&item) {
            kept.push(item);
        }
    }
    kept
}
