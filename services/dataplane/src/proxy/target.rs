//! The path that the upstream is asked for: the service's path, joined with the rest of the request's path.
//!
//! The rules are those of Kong's `path_handling: v0`: exactly one slash where the two meet, and a trailing slash of the
//! request is kept. Stripping may cut a segment in two: `/x` of `/x..%2Fadmin` leaves `..%2Fadmin`. If an upstream may see a
//! dot segment in the rest, the request is refused, because the upstream would leave the service's path with it.

use crate::router::path::{DotSegments, has_dot_segment};

/// The rest of the path has a `.` or `..` segment, by which the upstream could leave the service's path.
#[derive(Debug, PartialEq, Eq)]
pub struct LeavesBase;

/// Joins `base`, the service's path or `/`, with `path`, the request's path without its first `strip` bytes. Both are canonical.
/// They meet at a slash, so what `path` was checked for need only be checked again of a rest.
pub fn join(base: &str, path: &str, strip: usize, dots: DotSegments) -> Result<String, LeavesBase> {
    let rest = path.get(strip..).unwrap_or_default();
    if strip > 0 && has_dot_segment(rest, dots) {
        return Err(LeavesBase);
    }
    let tail = rest.strip_prefix('/').unwrap_or(rest);
    let base_trimmed = base.strip_suffix('/').unwrap_or(base);
    if !tail.is_empty() {
        return Ok(format!("{base_trimmed}/{tail}"));
    }
    let base = match base_trimmed {
        "" => "/",
        // Nothing is left of the request's path but perhaps its trailing slash.
        trimmed if strip > 0 && path.len() > 1 && path.ends_with('/') => return Ok(format!("{trimmed}/")),
        trimmed if strip > 0 => trimmed,
        _ => base,
    };
    Ok(base.to_owned())
}

/// The path with its query.
pub fn with_query(path: String, query: Option<&str>) -> String {
    match query {
        Some(query) => path + "?" + query,
        None => path,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::router::path::canonical;

    fn join(base: &str, path: &str, strip: usize) -> Result<String, LeavesBase> {
        super::join(base, path, strip, DotSegments::Resolve)
    }

    #[test]
    fn joins_as_kong_does() {
        for (base, path, strip, joined) in [
            ("/", "/a/b", 2, "/b"),
            ("/", "/a", 2, "/"),
            ("/", "/a/", 2, "/"),
            ("/s", "/a", 2, "/s"),
            ("/s", "/a/", 2, "/s/"),
            ("/s", "/a/b/", 2, "/s/b/"),
            ("/s/", "/a/b", 2, "/s/b"),
            ("/s/", "/a", 2, "/s"),
            ("/s", "/abc", 2, "/s/bc"),
            ("/s", "/a/b", 0, "/s/a/b"),
            ("/s", "/", 0, "/s"),
            ("/s/", "/", 0, "/s/"),
            ("/s", "/", 1, "/s"),
            ("/", "/", 1, "/"),
            ("/", "/x", 1, "/x"),
        ] {
            assert_eq!(join(base, path, strip).as_deref(), Ok(joined), "{base} {path} {strip}");
        }
    }

    #[test]
    fn a_cut_segment_cannot_climb() {
        assert_eq!(join("/base", "/x../admin", 2), Err(LeavesBase));
        for cut in [
            "/x..",
            "/x..%2Fadmin",
            "/x..%5Cadmin",
            "/x.%2F..",
            "/x..;/admin",
            "/x..;y",
            "/x..%3By",
            "/x/..;",
        ] {
            assert_eq!(join("/base", cut, 2), Err(LeavesBase), "{cut}");
        }
        assert_eq!(join("/base", "/x./y", 2), Err(LeavesBase));
        assert_eq!(join("/base", "/x...", 2).as_deref(), Ok("/base/..."));
    }

    /// What a normalising upstream makes of a path: it decodes once, also overlong UTF-8, takes `\\` for a slash, drops
    /// parameters and resolves dot segments. Returns the segments.
    fn as_upstream_reads(path: &str, drops_parameters: bool) -> Vec<String> {
        let mut decoded = Vec::new();
        let mut bytes = path.bytes();
        while let Some(byte) = bytes.next() {
            let mut digit = || char::from(bytes.next().unwrap()).to_digit(16).unwrap() as u8;
            decoded.push(if byte == b'%' { digit() << 4 | digit() } else { byte });
        }
        let text: String = decoded.iter().map(|&byte| char::from(byte)).collect();
        let text =
            text.replace("\u{c0}\u{ae}", ".").replace("\u{c0}\u{af}", "/").replace("\u{c1}\u{9c}", "/");
        let text = text.replace("\u{e0}\u{80}\u{ae}", ".").replace('\\', "/");
        let mut segments: Vec<String> = Vec::new();
        for segment in text.split('/') {
            let name = segment.split(';').next().filter(|_| drops_parameters).unwrap_or(segment);
            match name {
                "" | "." => {}
                ".." => drop(segments.pop()),
                name => segments.push(name.to_owned()),
            }
        }
        segments
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        #[test]
        fn never_leaves_the_base(
            raw in "(/|\\\\|%2[fF]|%5[cC]|\\.|%2[eE]|\\.\\.|%252e|%255c|;|%3[bB]|;x=1|%c0%ae|%C0%AF|%e0%80%ae|%c1%9c|a|cut|%20|\u{e9}){0,10}",
            strip in 0usize..12,
            refuses in any::<bool>(),
        ) {
            let dots = if refuses { DotSegments::Refuse } else { DotSegments::Resolve };
            for (dots, drops_parameters) in [(dots, true), (DotSegments::ResolveAndPassParameters, false)] {
                let raw = format!("/{raw}");
                let Ok(path) = canonical(&raw, dots) else { continue };
                let Ok(joined) = super::join("/base", &path, strip.min(path.len()), dots) else { continue };
                let seen = as_upstream_reads(&joined, drops_parameters);
                prop_assert_eq!(seen.first().map(String::as_str), Some("base"), "{}: {}", raw, joined);
            }
        }
    }
}
