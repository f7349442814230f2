//! What upstreams may read a path as, besides its canonical form ([`super::path`]).
//!
//! Some take `%2F` and `%5C` for slashes, some drop the parameters of a segment (`/a;x=1`), and some decode twice. If such a
//! reading belongs to another route, the plugins of one route would run and the resource of the other be answered. Example:
//! `/api;x/admin` belongs to a route for `/api`, and Tomcat reads it as `/api/admin`. The proxy refuses such a request. One whose
//! readings all belong to its own route passes, such as `/users/a%2Fb`.

use serde::Deserialize;

use super::path::{self, DotSegments};

/// Most readings of one path. Two are usual; each level of double encoding adds two.
const READINGS_MAX: usize = 16;

/// What happens to a request whose path some upstreams would read as that of another route.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AmbiguousPaths {
    /// It is refused.
    #[default]
    Refuse,
    /// It is served by the route of its canonical path.
    Pass,
}

/// A path that is encoded so many times that its readings are not looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooMany;

/// What upstreams may read `path` as, which is in canonical form. Spelt like that too, and without `path` itself. Upstreams
/// that do not drop parameters are those for which `dots` lets `..;x` pass.
pub fn of(path: &str, dots: DotSegments) -> Result<Vec<String>, TooMany> {
    if !is_suspicious(path) {
        return Ok(Vec::new());
    }
    let drops_parameters = dots != DotSegments::ResolveAndPassParameters;
    let mut known = vec![path.to_owned()];
    let mut at = 0;
    while let Some(reading) = known.get(at) {
        let dropped = drops_parameters.then(|| without_parameters(reading));
        for other in [Some(decoded(reading)), dropped].into_iter().flatten() {
            // What is malformed, such as an encoded NUL, is read by nobody.
            let Ok(other) = path::resolved(&other) else { continue };
            if !known.contains(&other) {
                known.push(other);
            }
        }
        if known.len() > READINGS_MAX {
            return Err(TooMany);
        }
        at += 1;
    }
    known.remove(0);
    Ok(known)
}

/// Whether there may be other readings: a quick test, as most paths have none.
fn is_suspicious(path: &str) -> bool {
    let bytes = path.as_bytes();
    memchr::memchr2_iter(b';', b'%', bytes).any(|at| {
        let rest = bytes.get(at..).unwrap_or_default();
        matches!(
            rest,
            [b';', ..] | [b'%', b'2', b'5' | b'F', ..] | [b'%', b'5', b'C', ..] | [b'%', b'3', b'B', ..]
        )
    })
}

/// The path with every encoded character decoded once that may mean something: slashes of both kinds, semicolons, and percent
/// signs before two digits.
fn decoded(path: &str) -> String {
    let mut out = String::with_capacity(path.len());
    let mut rest = path;
    while let Some((before, after)) = rest.split_once('%') {
        out.push_str(before);
        let (code, tail) = after.split_at_checked(2).unwrap_or((after, ""));
        match code {
            "2F" | "5C" => out.push('/'),
            "3B" => out.push(';'),
            "25" if begins_with_digits(tail) => out.push('%'),
            other => {
                out.push('%');
                out.push_str(other);
            }
        }
        rest = tail;
    }
    out + rest
}

fn begins_with_digits(text: &str) -> bool {
    matches!(text.as_bytes(), [high, low, ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit())
}

fn without_parameters(path: &str) -> String {
    let names = path.split('/').map(|segment| segment.split_once(';').map_or(segment, |(name, _)| name));
    names.collect::<Vec<_>>().join("/")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn readings(path: &str) -> Vec<String> {
        of(path, DotSegments::Resolve).unwrap()
    }

    #[test]
    fn every_reading_is_found() {
        for (path, others) in [
            ("/api/admin", &[][..]),
            ("/caf%C3%A9/a%20b", &[]),
            ("/api%2Fadmin", &["/api/admin"]),
            ("/api%5Cadmin", &["/api/admin"]),
            ("/api;x/admin", &["/api/admin"]),
            ("/api/;x/admin", &["/api/admin"]),
            ("/;/api/;/;/admin;", &["/api/admin"]),
            ("/api%3Bx/admin", &["/api;x/admin", "/api/admin"]),
            ("/api;x%2Fadmin", &["/api;x/admin", "/api", "/api/admin"]),
            ("/api%252Fadmin", &["/api%2Fadmin", "/api/admin"]),
            ("/%2561dmin", &["/admin"]),
            ("/100%25", &[]),
            ("/100%25/;", &["/100%25/"]),
            ("/a/%252e%252e/b", &["/b"]),
            ("/a%2500", &[]),
            ("/a/x%252F..%252Fb", &["/a/x%2F..%2Fb", "/a/b"]),
        ] {
            assert_eq!(readings(path), others, "{path}");
        }
        assert_eq!(of("/a;x%2Fb", DotSegments::ResolveAndPassParameters).unwrap(), ["/a;x/b"]);
        assert_eq!(of(&format!("/%{}2F", "25".repeat(40)), DotSegments::Resolve), Err(TooMany));
    }

    /// One way in which an upstream may read a path: it decodes so many times, and drops parameters before each time or at the end.
    fn as_upstream_reads(path: &str, decodings: usize, drops_first: bool, drops_last: bool) -> String {
        let drop = |path: &str| {
            path.split('/')
                .map(|part| part.split(';').next().unwrap_or_default())
                .collect::<Vec<_>>()
                .join("/")
        };
        let mut path = path.to_owned();
        for _ in 0..decodings {
            if drops_first {
                path = drop(&path);
            }
            let mut bytes = Vec::new();
            let mut rest = path.as_bytes();
            while let Some((&byte, tail)) = rest.split_first() {
                let digits = tail.get(..2).and_then(|digits| std::str::from_utf8(digits).ok());
                let code = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok());
                match (byte, code) {
                    (b'%', Some(code)) => {
                        bytes.push(code);
                        rest = tail.get(2..).unwrap_or_default();
                    }
                    _ => {
                        bytes.push(byte);
                        rest = tail;
                    }
                }
            }
            path = String::from_utf8_lossy(&bytes).replace('\\', "/");
        }
        if drops_last {
            path = drop(&path);
        }
        let mut segments = Vec::new();
        for segment in path.split('/') {
            match segment {
                "" | "." => {}
                ".." => drop_last(&mut segments),
                name => segments.push(name),
            }
        }
        format!("/{}", segments.join("/"))
    }

    fn drop_last(segments: &mut Vec<&str>) {
        segments.pop();
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(3000))]

        /// However an upstream reads it, what passes as open is not the admin's.
        #[test]
        fn nothing_that_passes_as_open_is_read_as_protected(
            raw in "/(api)?(/|;|;x|%2[fF]|%5c|\\\\|%3b|%25|2f|5c|3b|25|%2561|61|%61|\\.|%2e|%252e|dmin|admin|api){0,8}/?(admin)?",
            decodings in 0usize..4,
            drops_first in any::<bool>(),
            drops_last in any::<bool>(),
        ) {
            let is_admin = |path: &str| path.starts_with("/api/admin");
            let Ok(path) = path::canonical(&raw, DotSegments::Resolve) else { return Ok(()) };
            let Ok(readings) = of(&path, DotSegments::Resolve) else { return Ok(()) };
            if !is_admin(&path) && !readings.iter().any(|reading| is_admin(reading)) {
                let read = as_upstream_reads(&path, decodings, drops_first, drops_last);
                prop_assert!(!is_admin(&read), "{} {} {}", raw, path, read);
            }
        }

        /// Each reading has its own readings among those of the path: nothing is left to find.
        #[test]
        fn readings_are_complete(raw in "/(a|/|;|;x|%2F|%5C|%3B|%25|2F|5C|3B|25|61|%61|\\.|%|b){0,10}") {
            let Ok(path) = path::canonical(&raw, DotSegments::Resolve) else { return Ok(()) };
            let Ok(all) = of(&path, DotSegments::Resolve) else { return Ok(()) };
            prop_assert!(!all.contains(&path.to_string()));
            for reading in &all {
                let form = path::resolved(reading).unwrap();
                prop_assert_eq!(&form, reading);
                if let Ok(further) = of(reading, DotSegments::Resolve) {
                    prop_assert!(further.iter().all(|one| all.contains(one) || *one == *path), "{} {:?}", reading, further);
                }
            }
        }
    }
}
