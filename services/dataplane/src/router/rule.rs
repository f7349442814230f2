//! A route as the router sees it: criteria, compiled once, and the order among rules that match the same request.
//!
//! The order is that of Kong's traditional router, made explicit. Of all (rule, host pattern, path) that match, the
//! greatest [`Rank`] wins:
//!
//! 1. the rule that names more kinds of criteria (hosts, paths, methods);
//! 2. with equally many, hosts weigh more than paths and paths more than methods;
//! 3. the more precise host: exact, then the longer wildcard;
//! 4. a regex path before a prefix path;
//! 5. between regexes, the higher `regex_priority`;
//! 6. between prefixes, the longer one;
//! 7. the older rule. Kong compares creation times; ids are UUIDv7 and sort by creation, so the smaller id wins. (Ids
//!    chosen by a client or derived from a declarative file still give a total, stable order.)
//!
//! Kong weighs a route by its longest path; here the path that matched counts. The two differ only for routes with
//! several paths, where the matched one is the better witness.
//!
//! A prefix is a prefix of characters, as in Kong: `/foo` matches `/foobar`.

use std::cmp::Reverse;

use gateway_model::compile_path_regex;
use http::Method;
use regex::Regex;
use uuid::Uuid;

use super::{
    host::{HostPattern, HostRank},
    path,
};

#[derive(Debug, thiserror::Error)]
pub enum InvalidRule {
    #[error("path {path:?}: {source}")]
    Path { path: String, source: path::InvalidPath },
    #[error("path {path:?}: {source}")]
    Regex { path: String, source: Box<regex::Error> },
    #[error("method {0:?} is not a token")]
    Method(String),
}

/// What a route matches on.
#[derive(Debug)]
pub struct Rule {
    pub id: Uuid,
    pub hosts: Vec<HostPattern>,
    pub paths: Vec<PathPattern>,
    /// Empty: any method.
    pub methods: Vec<Method>,
    /// False: not matched by requests over TLS. (A rule for TLS only does match plain requests: the answer to those
    /// is a redirect, which is the proxy's business.)
    pub accepts_https: bool,
    pub regex_priority: u32,
}

#[derive(Debug)]
pub enum PathPattern {
    /// In canonical form.
    Prefix(String),
    /// Anchored at the start, bounded in size. `literal`: what every matching path starts with, as far as easily known.
    Regex { regex: Regex, literal: String },
}

/// Greater is better. See the module's text for the order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rank {
    criteria: u32,
    kinds: u8,
    host: HostRank,
    is_regex: bool,
    regex_priority: u32,
    prefix_len: usize,
    older: Reverse<Uuid>,
    /// Between two regexes of one rule, the one listed first.
    earlier: Reverse<usize>,
}

impl Rule {
    /// Compiles the criteria of a route. `paths` as configured: a prefix, or `~` and a regex.
    pub fn new(
        id: Uuid,
        hosts: &[String],
        paths: &[String],
        methods: &[String],
        accepts_https: bool,
        regex_priority: u32,
    ) -> Result<Self, InvalidRule> {
        Ok(Self {
            id,
            hosts: unique(hosts.iter().map(|text| HostPattern::parse(text))),
            paths: paths.iter().map(|text| PathPattern::parse(text)).collect::<Result<_, _>>()?,
            methods: methods
                .iter()
                .map(|name| {
                    Method::from_bytes(name.as_bytes()).map_err(|_| InvalidRule::Method(name.clone()))
                })
                .collect::<Result<_, _>>()?,
            accepts_https,
            regex_priority,
        })
    }

    /// The rank of a match through `host` (None: the rule has no hosts) and the path at index `path` (None: it has no
    /// paths).
    pub fn rank(&self, host: Option<&HostPattern>, path: Option<usize>) -> Rank {
        let kinds = u8::from(host.is_some()) << 2
            | u8::from(path.is_some()) << 1
            | u8::from(!self.methods.is_empty());
        let (is_regex, regex_priority, prefix_len) = match path.and_then(|index| self.paths.get(index)) {
            Some(PathPattern::Regex { .. }) => (true, self.regex_priority, 0),
            Some(PathPattern::Prefix(prefix)) => (false, 0, prefix.len()),
            None => (false, 0, 0),
        };
        Rank {
            criteria: kinds.count_ones(),
            kinds,
            host: host.map(HostPattern::rank).unwrap_or_default(),
            is_regex,
            regex_priority,
            prefix_len,
            older: Reverse(self.id),
            earlier: Reverse(path.unwrap_or_default()),
        }
    }

    pub fn accepts(&self, method: &Method, https: bool) -> bool {
        (self.accepts_https || !https) && (self.methods.is_empty() || self.methods.contains(method))
    }
}

impl PathPattern {
    pub fn parse(text: &str) -> Result<Self, InvalidRule> {
        let Some(pattern) = text.strip_prefix('~') else {
            let prefix = path::normalise(text)
                .map_err(|source| InvalidRule::Path { path: text.to_owned(), source })?;
            return Ok(Self::Prefix(prefix.into_owned()));
        };
        let regex = compile_path_regex(pattern)
            .map_err(|source| InvalidRule::Regex { path: text.to_owned(), source: Box::new(source) })?;
        Ok(Self::Regex { regex, literal: literal_prefix(pattern).to_owned() })
    }

    /// Every path that this pattern matches starts with this; the trie files the pattern here.
    pub fn literal(&self) -> &str {
        match self {
            Self::Prefix(prefix) => prefix,
            Self::Regex { literal, .. } => literal,
        }
    }

    /// How much of `path` the pattern matches, from its start, in bytes.
    pub fn matched_len(&self, path: &str) -> Option<usize> {
        match self {
            Self::Prefix(prefix) => path.starts_with(prefix.as_str()).then_some(prefix.len()),
            Self::Regex { regex, .. } => regex.find(path).map(|found| found.end()),
        }
    }
}

/// The characters that `pattern` surely starts with. Errs on the short side: an alternative anywhere means none, and a
/// character that a quantifier may make optional is left out.
fn literal_prefix(pattern: &str) -> &str {
    if pattern.contains('|') {
        return "";
    }
    let pattern = pattern.strip_prefix('^').unwrap_or(pattern);
    let is_literal =
        |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'-' | b'_' | b'~' | b'%' | b'=');
    let len = pattern.bytes().take_while(|&byte| is_literal(byte)).count();
    let quantified = matches!(pattern.as_bytes().get(len), Some(b'*' | b'?' | b'+' | b'{'));
    pattern.get(..len.saturating_sub(usize::from(quantified))).unwrap_or_default()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literal_prefixes_err_on_the_short_side() {
        for (pattern, literal) in [
            ("/users/(?<id>\\d+)$", "/users/"),
            ("^/users/[a-z]", "/users/"),
            ("/colou?r", "/colo"),
            ("/a+b", "/"),
            ("/a{2}", "/"),
            ("/a|/b", ""),
            ("(/a|/b)/c", ""),
            ("(?i)/a", ""),
            ("/v1\\.0/", "/v1"),
            ("", ""),
        ] {
            assert_eq!(literal_prefix(pattern), literal, "{pattern}");
        }
    }

    #[test]
    fn a_regex_is_anchored_and_bounded() {
        let pattern = PathPattern::parse("~/b/\\d+").unwrap();
        assert_eq!(pattern.matched_len("/b/12/c"), Some(5));
        assert_eq!(pattern.matched_len("/a/b/12"), None);
        assert!(PathPattern::parse("~/(").is_err());
        assert!(PathPattern::parse("~/(a{1000}){1000}").is_err());
    }
}
