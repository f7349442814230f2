//! Regular expressions over texts of requests, such as a `User-Agent`: in the syntax of RE2, with bounds on what they cost.
//!
//! Those of routes have rules of their own (`path_regex`), since a gateway holds many thousands of them.

use regex::{Regex, RegexBuilder};

use crate::rules::{self, Rule};

/// Bytes of an expression.
const PATTERN_BYTES_MAX: usize = 512;
/// Bytes of what it is compiled to.
const COMPILED_BYTES_MAX: usize = 256 * 1024;

/// A text that is such an expression.
pub(crate) const TEXT_REGEX: Rule = Rule::new(check, PATTERN_BYTES_MAX);

/// Compiles `pattern`. The error continues the sentence "must …".
pub fn compile(pattern: &str) -> Result<Regex, String> {
    RegexBuilder::new(pattern).size_limit(COMPILED_BYTES_MAX).build().map_err(|error| match error {
        regex::Error::CompiledTooBig(_) => {
            "be a simpler regular expression: it takes too much memory".to_owned()
        }
        // The last line says what is wrong; those before show where.
        other => {
            let text = other.to_string();
            let reason = text.lines().last().unwrap_or_default().trim_start_matches("error: ");
            format!("be a regular expression in RE2 syntax: {reason}")
        }
    })
}

fn check(text: &str) -> Result<(), String> {
    rules::length_bytes(text, PATTERN_BYTES_MAX)?;
    rules::printable(text)?;
    compile(text).map(drop)
}
