//! What a name may be that people give to a thing: one rule for gateway entities, control planes, organizations, teams, system
//! accounts and tokens.
//!
//! A name can stand in a URL, and people compare it by eye. So it has no dot segment, which clients and proxies resolve before a
//! request arrives: `DELETE …/consumers/../plugins/{id}` deletes a plugin. It has no character that cannot be seen, and it counts
//! as the same name in whichever way its letters are encoded. Other odd names are allowed, as in Kong.
//!
//! Names that were given before this rule stay as they are. Their things can be reached by id.

use std::borrow::Cow;

use unicode_normalization::{UnicodeNormalization as _, is_nfc};

/// How often a text is percent-decoded. What is encoded more often is taken for something that hides.
const DECODINGS_MAX: usize = 4;

/// Why a text cannot be a name. The message continues "must …".
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnfitName {
    /// Nothing to see.
    #[error("not be empty")]
    Empty,
    /// White space at an end.
    #[error("not start or end with a space")]
    NotTrimmed,
    /// A character that is not shown, or that changes how others are shown.
    #[error("not contain U+{:04X}: only characters that can be seen, and the plain space", *.0 as u32)]
    Invisible(char),
    /// No URL could carry it.
    #[error(
        "not be `.` or `..`, nor have such a part between slashes, percent-encoded or not: URLs with it would name something else"
    )]
    DotSegment,
}

/// Goes on only if `text` can be a name.
pub fn check(text: &str) -> Result<(), UnfitName> {
    check_visible(text)?;
    if has_dot_segment(text) { Err(UnfitName::DotSegment) } else { Ok(()) }
}

/// Goes on only if `text` can be a name that never stands in a URL, such as an id of another system.
pub fn check_visible(text: &str) -> Result<(), UnfitName> {
    if text.trim().is_empty() {
        return Err(UnfitName::Empty);
    }
    if text.trim() != text {
        return Err(UnfitName::NotTrimmed);
    }
    text.chars().find(|c| is_invisible(*c)).map_or(Ok(()), |c| Err(UnfitName::Invisible(c)))
}

/// The form in which names are compared: Unicode's normalization form C. Example: `é` is one name, whether it was written as one
/// code point or as `e` with a combining accent.
pub fn comparable(text: &str) -> String {
    if is_nfc(text) { text.to_owned() } else { text.nfc().collect() }
}

/// Whether a path, or a name in one, has a part `.` or `..`, read as generously as any server reads it: split at `/` and `\`,
/// percent-encoded once or several times, with a parameter behind `;`. A text that is encoded more than four times is answered like
/// one that has such a part. The work is linear in the length.
pub fn has_dot_segment(text: &str) -> bool {
    let mut text = Cow::Borrowed(text.as_bytes());
    for _ in 0..=DECODINGS_MAX {
        let is_dots = |part: &[u8]| {
            let name = part.split(|byte| *byte == b';').next().unwrap_or_default();
            name == b"." || name == b".."
        };
        if text.split(|byte| matches!(byte, b'/' | b'\\')).any(is_dots) {
            return true;
        }
        match decoded(&text) {
            Some(shorter) => text = shorter.into(),
            None => return false,
        }
    }
    true
}

/// `text` with its percent escapes decoded once; `None` if it has none.
fn decoded(text: &[u8]) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((first, behind)) = rest.split_first() {
        rest = behind;
        let escaped = match behind {
            [high, low, ..] if *first == b'%' => digit(*high).zip(digit(*low)),
            _ => None,
        };
        match escaped {
            Some((high, low)) => {
                out.push(high << 4 | low);
                rest = behind.get(2..).unwrap_or_default();
            }
            None => out.push(*first),
        }
    }
    (out.len() < text.len()).then_some(out)
}

/// Controls, separators of lines, white space that looks like the plain space, and what Unicode says to ignore where it cannot be
/// shown (`Default_Ignorable_Code_Point`): zero-width characters, bidirectional marks, variation selectors, tags.
fn is_invisible(c: char) -> bool {
    c.is_control()
        || (c.is_whitespace() && c != ' ')
        || matches!(c,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}'
            | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{2800}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}'
            | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}'
            | '\u{e0000}'..='\u{e0fff}')
}

#[cfg(test)]
mod tests {
    use super::{UnfitName, check, check_visible, comparable, has_dot_segment};

    #[test]
    fn a_name_that_no_url_can_carry_is_refused() {
        for name in [
            ".",
            "..",
            "a/..",
            "../a",
            "a/../b",
            "a/./b",
            "a\\..\\b",
            "/..",
            "../",
            "%2e",
            "%2E%2e",
            ".%2e",
            "a%2f..",
            "a%2F%2e%2e%2Fb",
            "%252e%252e",
            "%25252e",
            "..;",
            "..;x",
            "a/..;v=1/b",
            "%5c..",
            "..%3b",
            "a/%2e;/b",
        ] {
            assert_eq!(check(name), Err(UnfitName::DotSegment), "{name}");
            assert!(has_dot_segment(&format!("/consumers/{name}/plugins")), "{name}");
            assert_eq!(check_visible(name), Ok(()), "{name}");
        }
    }

    /// A long text that is encoded over and over costs no more than any other.
    #[test]
    fn decoding_ends() {
        let encoded = |times: usize| format!("a%{}41", "25".repeat(times));
        assert!(!has_dot_segment(&encoded(3)));
        assert!(has_dot_segment(&encoded(4)) && has_dot_segment(&encoded(500_000)));
    }

    #[test]
    fn other_odd_names_are_allowed() {
        for name in [
            "a",
            "...",
            "..a",
            "a..",
            "a.b",
            ".a",
            "a/b",
            "/",
            "a b",
            "a%b",
            "%",
            "%2",
            "%zz",
            "50%",
            "a;b",
            "ada@example.com",
            "Straße",
            "日本語",
            "عربي",
            "a%20b",
            "...%2e",
            "null",
            "☃",
            "e\u{301}",
            "~",
            "-",
            "_",
            "a?b=c#d",
            "C:\\x",
        ] {
            assert_eq!(check(name), Ok(()), "{name}");
        }
    }

    #[test]
    fn what_cannot_be_seen_is_refused() {
        for name in ["", " ", "\t", "\u{3000}"] {
            assert_eq!(check(name), Err(UnfitName::Empty), "{name:?}");
        }
        for name in [" a", "a ", "\na", "a\u{a0}"] {
            assert_eq!(check(name), Err(UnfitName::NotTrimmed), "{name:?}");
        }
        for c in [
            '\0',
            '\n',
            '\r',
            '\u{7f}',
            '\u{85}',
            '\u{a0}',
            '\u{ad}',
            '\u{200b}',
            '\u{200d}',
            '\u{200e}',
            '\u{202e}',
            '\u{2028}',
            '\u{2066}',
            '\u{2009}',
            '\u{feff}',
            '\u{fe0f}',
            '\u{e0041}',
            '\u{180e}',
            '\u{3164}',
            '\u{2800}',
        ] {
            let name = format!("a{c}b");
            assert_eq!(check(&name), Err(UnfitName::Invisible(c)), "{name:?}");
            assert_eq!(check_visible(&name), Err(UnfitName::Invisible(c)), "{name:?}");
        }
        assert!(UnfitName::Invisible('\u{202e}').to_string().contains("U+202E"));
    }

    #[test]
    fn a_name_is_the_same_in_every_encoding() {
        assert_eq!(comparable("Cafe\u{301}"), comparable("Caf\u{e9}"));
        assert_eq!(comparable("\u{1112}\u{1161}\u{11ab}"), "\u{d55c}");
        assert_ne!(comparable("Cafe"), comparable("Caf\u{e9}"));
        assert_eq!(comparable("plain"), "plain");
    }
}
