//! Short texts that people write: names and descriptions.

use crate::{FieldError, Problem};

/// Longest name, characters.
pub const NAME_CHARS_MAX: usize = 128;
/// Longest description, characters.
pub const DESCRIPTION_CHARS_MAX: usize = 512;

/// A name under the rule for all names ([`ids::name`]), trimmed and in the form in which names are compared.
pub fn name(field: &str, text: &str) -> Result<String, FieldError> {
    let text = text.trim();
    require_short(field, text, NAME_CHARS_MAX)?;
    ids::name::check(text).map_err(|unfit| refusal(field, &format!("must {unfit}")))?;
    bounded(field, &ids::name::comparable(text), NAME_CHARS_MAX)
}

/// A description: may be empty, no control characters.
pub fn description(field: &str, text: &str) -> Result<String, FieldError> {
    bounded(field, text.trim(), DESCRIPTION_CHARS_MAX)
}

fn bounded(field: &str, text: &str, chars_max: usize) -> Result<String, FieldError> {
    require_short(field, text, chars_max)?;
    if text.chars().any(char::is_control) {
        return Err(refusal(field, "must not contain control characters"));
    }
    Ok(text.to_owned())
}

fn require_short(field: &str, text: &str, chars_max: usize) -> Result<(), FieldError> {
    if text.chars().count() > chars_max {
        return Err(refusal(field, &format!("may have at most {chars_max} characters")));
    }
    Ok(())
}

fn refusal(field: &str, reason: &str) -> FieldError {
    FieldError { field: field.to_owned(), reason: reason.to_owned() }
}

impl From<FieldError> for Problem {
    fn from(error: FieldError) -> Self {
        Problem::invalid(vec![error])
    }
}

#[cfg(test)]
mod tests {
    use super::name;

    #[test]
    fn a_name_is_trimmed_and_normalized_and_refused_with_the_reason() {
        assert_eq!(name("name", " Cafe\u{301} ").as_deref(), Ok("Caf\u{e9}"));
        for (text, reason) in [
            ("", "must not be empty"),
            ("..", "must not be `.` or `..`"),
            ("a\u{202e}b", "must not contain U+202E"),
            ("a\nb", "must not contain U+000A"),
        ] {
            let refused = name("name", text).expect_err(text);
            assert!(refused.field == "name" && refused.reason.starts_with(reason), "{refused:?}");
        }
    }
}
