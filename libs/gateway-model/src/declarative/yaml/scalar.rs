//! What a scalar of YAML means, as JSON: YAML 1.2's core schema. A number that only YAML 1.1 knows is a text, and so are `yes` and `on`.

use granit_parser::{ScalarStyle, Tag};
use serde_json::Number;

/// What is said of a tag that is not one of the core schema.
pub(super) const TAGGED: &str = "YAML tags such as `!name` are not supported: remove it";
const OUT_OF_RANGE: &str = "the number is out of range";

/// Appends the scalar to `json`. An error says what is wrong with it.
pub(super) fn write(
    text: &str,
    style: ScalarStyle,
    tag: Option<&Tag>,
    json: &mut Vec<u8>,
) -> Result<(), &'static str> {
    let meaning = match tag {
        None if style == ScalarStyle::Plain => plain(text)?,
        None => Meaning::Text,
        Some(tag) if tag.parts() == ("", "!") => Meaning::Text,
        Some(tag) => match (tag.core_suffix().ok_or(TAGGED)?, plain(text)) {
            ("str", _) => Meaning::Text,
            ("null", Ok(meaning @ Meaning::Null))
            | ("bool", Ok(meaning @ Meaning::Bool(_)))
            | ("int" | "float", Ok(meaning @ Meaning::Number(_))) => meaning,
            ("null" | "bool" | "int" | "float", _) => return Err("the value is not what its tag says"),
            _ => return Err(TAGGED),
        },
    };
    match meaning {
        Meaning::Null => json.extend_from_slice(b"null"),
        Meaning::Bool(value) => json.extend_from_slice(if value { b"true" } else { b"false" }),
        Meaning::Number(number) => json.extend_from_slice(number.to_string().as_bytes()),
        // Memory takes all that is written, and a text is always JSON.
        Meaning::Text => serde_json::to_writer(json, text).unwrap_or_default(),
    }
    Ok(())
}

#[derive(Debug, PartialEq)]
enum Meaning {
    Null,
    Bool(bool),
    Number(Number),
    Text,
}

/// What a scalar without quotes means.
fn plain(text: &str) -> Result<Meaning, &'static str> {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Ok(Meaning::Null),
        "true" | "True" | "TRUE" => return Ok(Meaning::Bool(true)),
        "false" | "False" | "FALSE" => return Ok(Meaning::Bool(false)),
        _ => {}
    }
    // Spares the many texts the looks below.
    if !text.starts_with(|first: char| first.is_ascii_digit() || matches!(first, '+' | '-' | '.')) {
        return Ok(Meaning::Text);
    }
    let (is_negative, unsigned) = match text.strip_prefix('-') {
        Some(unsigned) => (true, unsigned),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if matches!(unsigned, ".inf" | ".Inf" | ".INF") || matches!(text, ".nan" | ".NaN" | ".NAN") {
        return Err(OUT_OF_RANGE);
    }
    if let Some((radix, digits)) = digits(unsigned) {
        return integer(is_negative, radix, digits).map(Meaning::Number).ok_or(OUT_OF_RANGE);
    }
    // An identifier such as 0123 is no number, and neither is one that no float holds.
    let is_float = unsigned.starts_with(|first: char| first.is_ascii_digit() || first == '.')
        && !unsigned.bytes().all(|byte| byte.is_ascii_digit());
    let float = text.parse().ok().filter(|_| is_float).and_then(Number::from_f64);
    Ok(float.map_or(Meaning::Text, Meaning::Number))
}

/// The digits of an integer without its sign, and their base.
fn digits(unsigned: &str) -> Option<(u32, &str)> {
    let prefixed = [(16, "0x"), (8, "0o"), (2, "0b")]
        .into_iter()
        .find_map(|(radix, prefix)| Some((radix, unsigned.strip_prefix(prefix)?)));
    let (radix, digits) = prefixed.unwrap_or((10, unsigned));
    let is_integer = !digits.is_empty() && digits.chars().all(|digit| digit.is_digit(radix));
    let is_padded = radix == 10 && digits.len() > 1 && digits.starts_with('0');
    (is_integer && !is_padded).then_some((radix, digits))
}

/// `None`: it is out of range.
fn integer(is_negative: bool, radix: u32, digits: &str) -> Option<Number> {
    let value = i128::from_str_radix(digits, radix).ok()?;
    if is_negative { Number::from_i128(-value) } else { Number::from_i128(value) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(text: &str, style: ScalarStyle) -> Result<String, &'static str> {
        let mut json = Vec::new();
        write(text, style, None, &mut json).map(|()| String::from_utf8(json).expect("UTF-8"))
    }

    #[test]
    fn plain_scalars_mean_what_the_core_schema_says() {
        for (text, meaning) in [
            ("", "null"),
            ("~", "null"),
            ("NULL", "null"),
            ("nUll", "\"nUll\""),
            ("True", "true"),
            ("FALSE", "false"),
            ("yes", "\"yes\""),
            ("On", "\"On\""),
            ("n", "\"n\""),
            ("0", "0"),
            ("-0", "0"),
            ("+7", "7"),
            ("0x1f", "31"),
            ("-0x1F", "-31"),
            ("+0o17", "15"),
            ("0b101", "5"),
            ("0x", "\"0x\""),
            ("0x-1", "\"0x-1\""),
            ("0xg", "\"0xg\""),
            ("0X1F", "\"0X1F\""),
            ("017", "\"017\""),
            ("-017", "\"-017\""),
            ("00.5", "0.5"),
            ("1_000", "\"1_000\""),
            ("1,000", "\"1,000\""),
            ("190:20:30", "\"190:20:30\""),
            ("18446744073709551615", "18446744073709551615"),
            ("-9223372036854775808", "-9223372036854775808"),
            ("1.0", "1.0"),
            ("1.", "1.0"),
            (".5", "0.5"),
            ("-.5", "-0.5"),
            ("1e3", "1000.0"),
            ("-1.5E-3", "-0.0015"),
            ("1e999", "\"1e999\""),
            ("+-1", "\"+-1\""),
            ("--1", "\"--1\""),
            ("-", "\"-\""),
            ("+", "\"+\""),
            (".", "\".\""),
            ("inf", "\"inf\""),
            ("-inf", "\"-inf\""),
            ("+nan", "\"+nan\""),
            ("-.nan", "\"-.nan\""),
            ("2026-11-28", "\"2026-11-28\""),
            ("2026-11-28T10:00:00Z", "\"2026-11-28T10:00:00Z\""),
            ("10.0.0.1", "\"10.0.0.1\""),
            ("0192d3a4-5b6c-7d8e-9f00-112233445566", "\"0192d3a4-5b6c-7d8e-9f00-112233445566\""),
            ("\u{661}", "\"\u{661}\""),
        ] {
            assert_eq!(json(text, ScalarStyle::Plain).as_deref(), Ok(meaning), "{text}");
        }
    }

    #[test]
    fn numbers_that_do_not_fit_are_refused() {
        for text in [
            "18446744073709551616",
            "-9223372036854775809",
            "123456789012345678901234567890",
            "0xffffffffffffffffff",
            ".inf",
            "-.INF",
            "+.Inf",
            ".nan",
        ] {
            assert_eq!(json(text, ScalarStyle::Plain), Err(OUT_OF_RANGE), "{text}");
        }
        assert!(json(&"9".repeat(100), ScalarStyle::Plain).is_err());
    }

    #[test]
    fn what_is_quoted_is_text() {
        for text in ["", "~", "true", "5", ".inf", "a\"\n\u{1}\u{e9}"] {
            for style in [ScalarStyle::SingleQuoted, ScalarStyle::DoubleQuoted, ScalarStyle::Literal] {
                let json = json(text, style).expect("a text");
                assert_eq!(serde_json::from_str::<String>(&json).expect("JSON"), text);
            }
        }
    }
}
