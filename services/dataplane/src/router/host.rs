//! Host patterns: exact, `*.example.com` and `example.*`; and the patterns that a request's host can match.
//!
//! A wildcard stands for one or more labels, as in Kong: `*.example.com` matches `a.b.example.com`, never `example.com`.
//! Patterns and hosts are compared in lower case, without port and trailing dot.

/// One entry of a route's `hosts`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum HostPattern {
    /// `example.com`.
    Exact(String),
    /// `*.example.com`, kept as `example.com`.
    Leading(String),
    /// `example.*`, kept as `example`.
    Trailing(String),
}

/// How precisely a host matched; greater is better. Exact comes first, then the wildcard with the longer fixed part, then a
/// leading wildcard before a trailing one. A route without hosts comes last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct HostRank {
    exact: bool,
    fixed_len: usize,
    leading: bool,
}

impl HostPattern {
    /// The pattern that `text` is. Every text is one.
    pub fn parse(text: &str) -> Self {
        let text = text.to_ascii_lowercase();
        if let Some(rest) = text.strip_prefix("*.") {
            Self::Leading(rest.to_owned())
        } else if let Some(rest) = text.strip_suffix(".*") {
            Self::Trailing(rest.to_owned())
        } else {
            Self::Exact(text)
        }
    }

    /// How precise the pattern is.
    pub fn rank(&self) -> HostRank {
        match self {
            Self::Exact(host) => HostRank { exact: true, fixed_len: host.len(), leading: false },
            Self::Leading(rest) => HostRank { exact: false, fixed_len: rest.len(), leading: true },
            Self::Trailing(rest) => HostRank { exact: false, fixed_len: rest.len(), leading: false },
        }
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
