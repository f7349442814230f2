//! One canonical form for request paths (RFC 3986, section 6.2.2), used for matching *and* for forwarding.
//!
//! If the router saw one spelling and the upstream another, `/public/%2e%2e/admin` would be routed as public and answered as
//! admin. So the proxy normalises the path once, matches the result, and sends the result. The canonical form:
//!
//! * starts with `/`, has no empty segment (`//` is merged, as Kong does) and no `.` or `..` segment;
//! * percent-encodes every byte that may not stand in a path, with upper-case digits, and no unreserved one.
//!
//! An encoded slash (`%2F`, `%5C`) stays encoded: it does not separate segments. But some upstreams decode it, and would then
//! read `..%2F` as a step up. So a path that has a dot segment between encoded slashes is refused. A malformed escape and an
//! encoded NUL are refused too.

use std::borrow::Cow;

/// Why a path has no canonical form.
#[derive(Debug, thiserror::Error, PartialEq, Eq, Clone, Copy)]
pub enum InvalidPath {
    /// It does not begin with a slash.
    #[error("the path does not start with /")]
    NotAbsolute,
    /// A percent sign without two hexadecimal digits.
    #[error("a % in the path is not followed by two hexadecimal digits")]
    BadEscape,
    /// `%00`.
    #[error("the path contains an encoded NUL")]
    Nul,
    /// A dot segment between encoded slashes.
    #[error("encoded slashes in the path hide a . or .. segment")]
    HiddenDots,
}

/// The canonical form of `raw`, a path without query. Borrowed if `raw` is canonical already.
pub fn normalise(raw: &str) -> Result<Cow<'_, str>, InvalidPath> {
    if !raw.starts_with('/') {
        return Err(InvalidPath::NotAbsolute);
    }
    if is_canonical(raw) {
        return Ok(Cow::Borrowed(raw));
    }
    let path = resolve_segments(&canonical_bytes(raw)?);
    let decoded = path.replace("%2F", "/").replace("%5C", "/");
    if has_no_dot_segment(&decoded) { Ok(Cow::Owned(path)) } else { Err(InvalidPath::HiddenDots) }
}

/// Whether no segment of `path` is `.` or `..`. A path that was cut in the middle of a segment has to be checked again:
/// `/x../admin` is canonical, but without `/x` it is not.
pub fn has_no_dot_segment(path: &str) -> bool {
    path.split('/').all(|segment| segment != "." && segment != "..")
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
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            push(&mut out, byte, byte == b'/' || is_path_byte(byte));
            continue;
        }
        let digit = |byte: Option<u8>| {
            byte.and_then(|b| char::from(b).to_digit(16)).and_then(|d| u8::try_from(d).ok())
        };
        let (Some(high), Some(low)) = (digit(bytes.next()), digit(bytes.next())) else {
            return Err(InvalidPath::BadEscape);
        };
        match high << 4 | low {
            0 => return Err(InvalidPath::Nul),
            decoded => push(&mut out, decoded, is_unreserved(decoded)),
        }
    }
    Ok(out)
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

fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

/// `pchar` of RFC 3986 without the percent sign.
fn is_path_byte(byte: u8) -> bool {
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
        assert_eq!(normalise("a"), Err(InvalidPath::NotAbsolute));
        assert_eq!(normalise("*"), Err(InvalidPath::NotAbsolute));
        assert_eq!(normalise("/%"), Err(InvalidPath::BadEscape));
        assert_eq!(normalise("/%2"), Err(InvalidPath::BadEscape));
        assert_eq!(normalise("/%zz"), Err(InvalidPath::BadEscape));
        assert_eq!(normalise("/%+1"), Err(InvalidPath::BadEscape));
        assert_eq!(normalise("/a%00"), Err(InvalidPath::Nul));
        for hidden in ["/public/%2e%2e%2fadmin", "/a/..%2f../b", "/a\\..\\b", "/a%5c.", "/.%2fa"] {
            assert_eq!(normalise(hidden), Err(InvalidPath::HiddenDots), "{hidden}");
        }
    }

    proptest! {
        #[test]
        fn is_idempotent_and_clean(raw in "/([a./%]|%2[eEfF]|%5c|\\PC){0,24}") {
            if let Ok(once) = normalise(&raw) {
                prop_assert!(once.starts_with('/') && !once.contains("//") && once.is_ascii());
                prop_assert!(has_no_dot_segment(&once));
                let twice = normalise(&once).unwrap();
                prop_assert_eq!(&twice, &once);
            }
        }
    }
}
