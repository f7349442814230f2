//! Host patterns: exact, `*.example.com` and `example.*`; and the patterns that a request's host can match.
//!
//! A wildcard stands for one or more labels, as in Kong: `*.example.com` matches `a.b.example.com`, never `example.com`.
//! Patterns and hosts are compared in lower case, without port and trailing dot.

/// One entry of a route's `hosts`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct HostPattern {
    /// The name, or the part of it that must fit.
    pub name: HostName,
    /// The only port that matches; `None`: every port.
    pub port: Option<u16>,
}

/// What a host's name must be.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum HostName {
    /// `example.com`.
    Exact(String),
    /// `*.example.com`, kept as `example.com`.
    Leading(String),
    /// `example.*`, kept as `example`.
    Trailing(String),
}

/// How precisely a host matched; greater is better. Exact comes first, then the wildcard with the longer fixed part, then a
/// leading wildcard before a trailing one, then a pattern with a port before one without. A route without hosts comes last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct HostRank {
    exact: bool,
    fixed_len: usize,
    leading: bool,
    with_port: bool,
}

impl HostPattern {
    /// The pattern that `text` is. Every text is one.
    pub fn parse(text: &str) -> Self {
        use gateway_model::HostName as Name;
        let pattern = gateway_model::HostPattern::of(text);
        // The dot beside the wildcard is not kept.
        let name = match pattern.name {
            Name::Exact(host) => HostName::Exact(host),
            Name::Suffix(rest) => HostName::Leading(rest.trim_start_matches('.').to_owned()),
            Name::Prefix(rest) => HostName::Trailing(rest.trim_end_matches('.').to_owned()),
        };
        Self { name, port: pattern.port }
    }

    /// How precise the pattern is.
    pub fn rank(&self) -> HostRank {
        let (exact, fixed_len, leading) = match &self.name {
            HostName::Exact(host) => (true, host.len(), false),
            HostName::Leading(rest) => (false, rest.len(), true),
            HostName::Trailing(rest) => (false, rest.len(), false),
        };
        HostRank { exact, fixed_len, leading, with_port: self.port.is_some() }
    }
}

/// The fixed parts of the leading wildcards that match `host`, longest first. Example: `a.b.c` gives `b.c` and `c`.
pub fn leading_rests(host: &str) -> impl Iterator<Item = &str> {
    host.match_indices('.').filter(|(at, _)| *at > 0).filter_map(|(at, _)| host.get(at + 1..))
}

/// The fixed parts of the trailing wildcards that match `host`, longest first. Example: `a.b.c` gives `a.b` and `a`.
pub fn trailing_rests(host: &str) -> impl Iterator<Item = &str> {
    host.rmatch_indices('.').filter(|(at, _)| at + 1 < host.len()).filter_map(|(at, _)| host.get(..at))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rests_are_longest_first() {
        assert_eq!(leading_rests("a.b.c").collect::<Vec<_>>(), ["b.c", "c"]);
        assert_eq!(trailing_rests("a.b.c").collect::<Vec<_>>(), ["a.b", "a"]);
        assert_eq!(leading_rests("localhost").count(), 0);
        assert_eq!(leading_rests(".c").count(), 0);
        assert_eq!(trailing_rests("a.").count(), 0);
    }

    #[test]
    fn exact_beats_longer_wildcards() {
        let rank = |text| HostPattern::parse(text).rank();
        assert!(rank("a.io") > rank("*.very.long.example.com"));
        assert!(rank("*.b.example.com") > rank("*.example.com"));
        assert!(rank("*.abc") > rank("abc.*"));
        assert!(rank("a.*") > HostRank::default());
    }
}
