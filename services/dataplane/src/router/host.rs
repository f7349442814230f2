//! Host patterns: exact, `*.example.com` and `example.*`; and the patterns that a request's host can match.
//!
//! A wildcard stands for one or more labels, as in Kong: `*.example.com` matches `a.b.example.com`, never `example.com`.
//! Patterns and hosts are compared in lower case, without port and trailing dot.

pub use gateway_model::{HostName, HostPattern};

/// How precisely a host matched; greater is better. Exact comes first, then the wildcard with the longer fixed part, then a
/// leading wildcard before a trailing one, then a pattern with a port before one without. A route without hosts comes last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct HostRank {
    exact: bool,
    fixed_len: usize,
    leading: bool,
    with_port: bool,
}

impl HostRank {
    /// How precise `pattern` is.
    pub fn of(pattern: &HostPattern) -> Self {
        let (exact, fixed_len, leading) = match &pattern.name {
            HostName::Exact(host) => (true, host.len(), false),
            HostName::Leading(rest) => (false, rest.len(), true),
            HostName::Trailing(rest) => (false, rest.len(), false),
        };
        Self { exact, fixed_len, leading, with_port: pattern.port.is_some() }
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
        let rank = |text| HostRank::of(&HostPattern::of(text));
        assert!(rank("a.io") > rank("*.very.long.example.com"));
        assert!(rank("*.b.example.com") > rank("*.example.com"));
        assert!(rank("*.abc") > rank("abc.*"));
        assert!(rank("a.*") > HostRank::default());
    }
}
