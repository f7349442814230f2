//! One canonical form for request paths (RFC 3986, section 6.2.2), used for matching *and* for forwarding.
//!
//! If the router saw one spelling and the upstream another, `/public/%2e%2e/admin` would be routed as public and answered as
//! admin. So the proxy normalises the path once, matches the result, and sends the result. The canonical form:
//!
//! * starts with `/`, has no empty segment (`//` is merged, as Kong does) and no `.` or `..` segment;
//! * percent-encodes every byte that may not stand in a path, with upper-case digits, and no unreserved one.
//!
//! An encoded slash (`%2F`, `%5C`) stays encoded: it does not separate segments. But some upstreams decode it, and would then
//! read `..%2F` as a step up. Some drop the parameters of a segment, and would read `..;x` as one. So a path in which such a
//! reading finds a dot segment is refused. A malformed escape, a NUL, and UTF-8 that writes a character longer than
//! necessary (`%C0%AE` for a dot) are refused too. What is encoded twice (`%252E`) is data.

use std::borrow::Cow;

use serde::Deserialize;

/// What happens to a request whose path has a segment `.` or `..`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DotSegments {
    /// It is refused, however the segment is encoded.
    Refuse,
    /// The segment is resolved: `/a/../b` is `/b`. The request is refused if only some upstreams see the segment.
    #[default]
    Resolve,
    /// The same, but `..;x` is an ordinary segment. For upstreams that do not drop parameters.
    ResolveAndPassParameters,
}

/// Why a path has no canonical form.
#[derive(Debug, thiserror::Error, PartialEq, Eq, Clone, Copy)]
pub enum InvalidPath {
    /// It does not begin with a slash.
    #[error("the path does not start with /")]
    NotAbsolute,
    /// A percent sign without two hexadecimal digits.
    #[error("a % in the path is not followed by two hexadecimal digits")]
    BadEscape,
    /// A NUL, encoded or not.
    #[error("the path contains a NUL")]
    Nul,
    /// Bytes that a careless decoder of UTF-8 reads as another character.
    #[error("the path contains overlong UTF-8")]
    Overlong,
    /// A dot segment that only some upstreams see.
    #[error("encoded slashes or parameters in the path hide a . or .. segment")]
    HiddenDots,
    /// A dot segment, where none is allowed.
    #[error("the path has a . or .. segment")]
    Dots,
}

/// The canonical form of `raw`, a path without query that somebody configured. Borrowed if `raw` is canonical already.
pub fn normalise(raw: &str) -> Result<Cow<'_, str>, InvalidPath> {
    canonical(raw, DotSegments::ResolveAndPassParameters)
}

/// `raw` spelt as in a canonical path, with dot segments resolved. It may hide others that only some upstreams see: for readings
/// of a path, which are looked at and never sent.
pub(super) fn resolved(raw: &str) -> Result<String, InvalidPath> {
    Ok(resolve_segments(&canonical_bytes(raw)?))
}

/// The canonical form of `raw`, a request's path without query. Borrowed if `raw` is canonical already.
pub fn canonical(raw: &str, dots: DotSegments) -> Result<Cow<'_, str>, InvalidPath> {
    if !raw.starts_with('/') {
        return Err(InvalidPath::NotAbsolute);
    }
    if is_canonical(raw) {
        return Ok(Cow::Borrowed(raw));
    }
    let spelt = canonical_bytes(raw)?;
    if dots == DotSegments::Refuse && has_dot_segment(&spelt, dots) {
        return Err(InvalidPath::Dots);
    }
    let path = resolve_segments(&spelt);
    if has_dot_segment(&path, dots) { Err(InvalidPath::HiddenDots) } else { Ok(Cow::Owned(path)) }
}

/// Whether an upstream may see a segment `.` or `..` in `path`, whose bytes are spelt as in a canonical path. A path that was
/// cut in the middle of a segment has to be checked again: `/x..%2Fadmin` is canonical, but without `/x` it is not.
pub fn has_dot_segment(path: &str, dots: DotSegments) -> bool {
    let bytes = path.as_bytes();
    let begins_segment = |at: usize| match bytes.get(..at) {
        None | Some([] | [.., b'/'] | [.., b'%', b'2', b'F'] | [.., b'%', b'5', b'C']) => true,
        Some(_) => false,
    };
    let ends_segment = |rest: &[u8]| match rest {
        [] | [b'/', ..] | [b'%', b'2', b'F', ..] | [b'%', b'5', b'C', ..] => true,
        [b';', ..] | [b'%', b'3', b'B', ..] => dots != DotSegments::ResolveAndPassParameters,
        _ => false,
    };
    let mut found = bytes.iter().enumerate().filter(|(_, byte)| **byte == b'.');
    found.any(|(at, _)| {
        begins_segment(at)
            && match bytes.get(at + 1..) {
                Some([b'.', rest @ ..]) => ends_segment(rest),
                rest => ends_segment(rest.unwrap_or_default()),
            }
    })
}

/// A quick test for the usual case: no byte that is encoded, no `//`, no segment that begins with a dot.
fn is_canonical(raw: &str) -> bool {
    let mut previous = 0;
    for &byte in raw.as_bytes() {
        let suspicious = previous == b'/' && (byte == b'/' || byte == b'.');
        if suspicious || !(byte == b'/' || is_path_byte(byte)) {
            return false;
        }
        previous = byte;
    }
    true
}

fn canonical_bytes(raw: &str) -> Result<String, InvalidPath> {
    let mut out = String::with_capacity(raw.len());
    let mut bytes = raw.bytes();
    // The decoded byte before, if it was encoded.
    let mut before = None;
    while let Some(byte) = bytes.next() {
        if byte == 0 {
            return Err(InvalidPath::Nul);
        }
        if byte != b'%' {
            before = None;
            push(&mut out, byte, byte == b'/' || is_path_byte(byte));
            continue;
        }
        let digit = |byte: Option<u8>| {
            byte.and_then(|b| char::from(b).to_digit(16)).and_then(|d| u8::try_from(d).ok())
        };
        let (Some(high), Some(low)) = (digit(bytes.next()), digit(bytes.next())) else {
            return Err(InvalidPath::BadEscape);
        };
        let decoded = high << 4 | low;
        if decoded == 0 {
            return Err(InvalidPath::Nul);
        }
        if is_overlong(before, decoded) {
            return Err(InvalidPath::Overlong);
        }
        push(&mut out, decoded, is_unreserved(decoded));
        before = Some(decoded);
    }
    Ok(out)
}

/// Whether the byte, behind the one before, begins an encoding that is longer than its character needs. A careless decoder
/// reads C0 AE as a dot. Bytes that are no UTF-8 otherwise, such as Latin-1, are data.
fn is_overlong(before: Option<u8>, byte: u8) -> bool {
    matches!(byte, 0xC0 | 0xC1)
        || matches!(
            (before, byte),
            (Some(0xE0), 0x80..=0x9F)
                | (Some(0xF0), 0x80..=0x8F)
                | (Some(0xF8), 0x80..=0x87)
                | (Some(0xFC), 0x80..=0x83)
        )
}

fn push(out: &mut String, byte: u8, literally: bool) {
    const HEX: [char; 16] = ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'A', 'B', 'C', 'D', 'E', 'F'];
    if literally {
        out.push(char::from(byte));
    } else {
        out.push('%');
        out.push(HEX[usize::from(byte >> 4)]);
        out.push(HEX[usize::from(byte & 15)]);
    }
}

fn resolve_segments(path: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    let mut ends_in_slash = false;
    for segment in path.split('/') {
        ends_in_slash = matches!(segment, "" | "." | "..");
        match segment {
            "" | "." => {}
            ".." => {
                kept.pop();
            }
            name => kept.push(name),
        }
    }
    let mut out = String::with_capacity(path.len());
    for segment in &kept {
        out.push('/');
        out.push_str(segment);
    }
    if ends_in_slash || kept.is_empty() {
        out.push('/');
    }
    out
}

const fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

/// `pchar` of RFC 3986 without the percent sign.
fn is_path_byte(byte: u8) -> bool {
    /// It is asked of every byte of every path.
    static ANSWERS: [bool; 256] = {
        let (mut answers, mut byte) = ([false; 256], 0);
        while byte < answers.len() {
            answers[byte] = may_stand(byte as u8);
            byte += 1;
        }
        answers
    };
    ANSWERS[usize::from(byte)]
}

const fn may_stand(byte: u8) -> bool {
    is_unreserved(byte)
        || matches!(
            byte,
            b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*' | b'+' | b',' | b';' | b'=' | b':' | b'@'
        )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn one_form_for_all_spellings() {
        for (raw, canonical) in [
            ("/", "/"),
            ("/a/b", "/a/b"),
            ("//a///b//", "/a/b/"),
            ("/a/./b/../c", "/a/c"),
            ("/a/..", "/"),
            ("/../../etc", "/etc"),
            ("/public/%2e%2E/admin", "/admin"),
            ("/%61dmin", "/admin"),
            ("/a%2fb", "/a%2Fb"),
            ("/caf\u{e9}", "/caf%C3%A9"),
            ("/caf%c3%a9", "/caf%C3%A9"),
            ("/a\\b", "/a%5Cb"),
            ("/%252e%252e/", "/%252e%252e/"),
            ("/.hidden/..more/...", "/.hidden/..more/..."),
            ("/a/b/.", "/a/b/"),
            ("/a{b}|c", "/a%7Bb%7D%7Cc"),
        ] {
            assert_eq!(normalise(raw).as_deref(), Ok(canonical), "{raw}");
        }
    }

    #[test]
    fn refuses_what_has_no_form() {
        let normalise = |raw| canonical(raw, DotSegments::Resolve);
        assert_eq!(normalise("a"), Err(InvalidPath::NotAbsolute));
        assert_eq!(normalise("*"), Err(InvalidPath::NotAbsolute));
        assert_eq!(normalise("/%"), Err(InvalidPath::BadEscape));
        assert_eq!(normalise("/%2"), Err(InvalidPath::BadEscape));
        assert_eq!(normalise("/%zz"), Err(InvalidPath::BadEscape));
        assert_eq!(normalise("/%+1"), Err(InvalidPath::BadEscape));
        assert_eq!(normalise("/a%00"), Err(InvalidPath::Nul));
        assert_eq!(normalise("/a\0"), Err(InvalidPath::Nul));
        for overlong in [
            "/%c0%ae%c0%ae/",
            "/%C1%9C",
            "/%e0%80%ae",
            "/%f0%80%80%ae",
            "/%f8%80%80%80%ae",
            "/%fc%80%80%80%80%ae",
        ] {
            assert_eq!(normalise(overlong), Err(InvalidPath::Overlong), "{overlong}");
        }
        for hidden in ["/public/%2e%2e%2fadmin", "/a/..%2f../b", "/a\\..\\b", "/a%5c.", "/.%2fa"] {
            assert_eq!(normalise(hidden), Err(InvalidPath::HiddenDots), "{hidden}");
        }
    }

    #[test]
    fn dots_with_parameters_pass_only_where_asked() {
        for hidden in
            ["/a/..;/b", "/a/..;x=1/b", "/a/.;/b", "/a/%2e%2E;x", "/a/..%3bx/b", "/a/..;a%2fb", "/..;"]
        {
            assert_eq!(canonical(hidden, DotSegments::Resolve), Err(InvalidPath::HiddenDots), "{hidden}");
            assert_eq!(canonical(hidden, DotSegments::Refuse), Err(InvalidPath::Dots), "{hidden}");
            assert!(canonical(hidden, DotSegments::ResolveAndPassParameters).is_ok(), "{hidden}");
        }
        for data in
            ["/a;x/b", "/a/;x/b", "/a/...;x", "/a/b..;x", "/a%3Bx", "/%E9t%E9", "/caf%C3%A9", "/f%FCr"]
        {
            assert_eq!(canonical(data, DotSegments::Refuse).as_deref(), Ok(data));
        }
    }

    #[test]
    fn no_spelling_of_a_dot_segment_passes_where_none_is_allowed() {
        let spellings = ["..", ".", "%2e%2e", ".%2E", "%2e", "x/..", "..;x", "x%2f..", "..%5cx", "x\\..\\y"];
        for dots in spellings {
            for path in [format!("/a/{dots}"), format!("/a/{dots}/b"), format!("/{dots}/b")] {
                assert_eq!(canonical(&path, DotSegments::Refuse), Err(InvalidPath::Dots), "{path}");
            }
        }
        assert_eq!(canonical("/a//b%2Fc/.d", DotSegments::Refuse).as_deref(), Ok("/a/b%2Fc/.d"));
        assert_eq!(canonical("/a/%252e%252e/b", DotSegments::Refuse).as_deref(), Ok("/a/%252e%252e/b"));
    }

    proptest! {
        #[test]
        fn is_idempotent_and_clean(raw in "/([a./%]|%2[eEfF]|%5c|\\PC){0,24}") {
            for dots in [DotSegments::Refuse, DotSegments::Resolve, DotSegments::ResolveAndPassParameters] {
                let Ok(once) = canonical(&raw, dots) else { continue };
                prop_assert!(once.starts_with('/') && !once.contains("//") && once.is_ascii());
                prop_assert!(!has_dot_segment(&once, dots));
                let twice = canonical(&once, dots).unwrap();
                prop_assert_eq!(&twice, &once);
            }
        }
    }
}
