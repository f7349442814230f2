//! What is wrong with an input, field by field, so that a user can mend all of it at once.
//!
//! Built by [`crate::record`] and by the declarative reader; services turn it into problem documents.

use std::fmt;

/// Field errors listed in one [`Invalid`]; further ones are only counted.
pub const FIELD_ERRORS_MAX: usize = 32;

/// One wrong field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldError {
    /// Path from the body's root, for example `paths[1]` or `services[3].routes[0].name`. Empty: the body as a whole.
    pub field: String,
    /// What is wrong and what to do about it. Continues the path as a sentence does: "must be …".
    pub message: String,
}

/// A refused input. Holds at least one field error once it is returned as an error.
#[derive(Clone, Debug, Default, PartialEq, Eq, thiserror::Error)]
pub struct Invalid {
    /// In the order of the input, at most [`FIELD_ERRORS_MAX`].
    pub fields: Vec<FieldError>,
    /// How many more there were, as far as was looked.
    pub omitted: usize,
}

impl Invalid {
    /// An error about one field; an empty `field` means the body as a whole.
    pub fn one(field: impl Into<String>, message: impl Into<String>) -> Invalid {
        let mut invalid = Invalid::default();
        invalid.push(field, message);
        invalid
    }

    /// Adds a field error, or counts it when the list is full.
    pub fn push(&mut self, field: impl Into<String>, message: impl Into<String>) {
        if self.fields.len() < FIELD_ERRORS_MAX {
            self.fields.push(FieldError { field: field.into(), message: message.into() });
        } else {
            self.omitted = self.omitted.saturating_add(1);
        }
    }

    /// Whether nothing was found wrong.
    pub fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }

    /// `value` if nothing was found wrong, else the errors.
    pub(crate) fn or<T>(self, value: T) -> Result<T, Invalid> {
        if self.is_empty() { Ok(value) } else { Err(self) }
    }
}

impl fmt::Display for FieldError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.field.is_empty() {
            f.write_str(&self.message)
        } else {
            write!(f, "{} {}", self.field, self.message)
        }
    }
}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, field) in self.fields.iter().enumerate() {
            if index > 0 {
                f.write_str("; ")?;
            }
            field.fmt(f)?;
        }
        if self.omitted > 0 {
            write!(f, "; and {} more", self.omitted)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_that_is_wrong_is_told_in_one_line() {
        let mut invalid = Invalid::one("", "must be an object");
        assert_eq!(invalid.to_string(), "must be an object", "the body as a whole has no path");
        invalid.push("paths[1]", "must begin with `/`");
        assert_eq!(invalid.to_string(), "must be an object; paths[1] must begin with `/`");
    }
}
