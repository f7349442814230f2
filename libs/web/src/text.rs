//! Short texts that people write: names and descriptions.

use crate::{FieldError, Problem};

/// Longest name, characters.
pub const NAME_CHARS_MAX: usize = 128;
/// Longest description, characters.
pub const DESCRIPTION_CHARS_MAX: usize = 512;

/// A name: not empty, without control characters, trimmed.
pub fn name(field: &str, text: &str) -> Result<String, FieldError> {
    let text = text.trim();
    if text.is_empty() {
        return Err(refusal(field, "must not be empty"));
    }
    bounded(field, text, NAME_CHARS_MAX)
}

/// A description: may be empty, no control characters.
pub fn description(field: &str, text: &str) -> Result<String, FieldError> {
    bounded(field, text.trim(), DESCRIPTION_CHARS_MAX)
}

fn bounded(field: &str, text: &str, chars_max: usize) -> Result<String, FieldError> {
    if text.chars().count() > chars_max {
        return Err(refusal(field, &format!("may have at most {chars_max} characters")));
    }
    if text.chars().any(char::is_control) {
        return Err(refusal(field, "must not contain control characters"));
    }
    Ok(text.to_owned())
}

fn refusal(field: &str, reason: &str) -> FieldError {
    FieldError { field: field.to_owned(), reason: reason.to_owned() }
}

impl From<FieldError> for Problem {
    fn from(error: FieldError) -> Self {
        Problem::invalid(vec![error])
    }
}
