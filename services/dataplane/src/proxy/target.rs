//! The path that the upstream is asked for: the service's path, joined with the rest of the request's path.
//!
//! The rules are those of Kong's `path_handling: v0`: exactly one slash where the two meet, and a trailing slash of the
//! request is kept. Stripping may cut a segment in two: `/x` of `/x../admin` leaves `../admin`. If the rest then has a dot
//! segment, the request is refused, because the upstream would leave the service's path with it.

use crate::router::path::has_no_dot_segment;

/// The rest of the path has a `.` or `..` segment, by which the upstream could leave the service's path.
#[derive(Debug, PartialEq, Eq)]
pub struct LeavesBase;

/// Joins `base`, the service's path or `/`, with `path`, the request's path without its first `strip` bytes. Both are canonical.
pub fn join(base: &str, path: &str, strip: usize) -> Result<String, LeavesBase> {
    let rest = path.get(strip..).unwrap_or_default();
    if strip > 0 && !has_no_dot_segment(rest) {
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
        assert_eq!(join("/base", "/x..", 2), Err(LeavesBase));
        assert_eq!(join("/base", "/x./y", 2), Err(LeavesBase));
        assert_eq!(join("/base", "/x...", 2).as_deref(), Ok("/base/..."));
    }

    proptest! {
        #[test]
        fn never_leaves_the_base(path in "(/[ab.]{0,3}){1,4}", strip in 0usize..8) {
            let path = crate::router::path::normalise(&path).unwrap();
            if let Ok(joined) = join("/base", &path, strip.min(path.len())) {
                let canonical = crate::router::path::normalise(&joined).unwrap();
                prop_assert!(canonical == "/base" || canonical.starts_with("/base/"), "{joined}");
            }
        }
    }
}
