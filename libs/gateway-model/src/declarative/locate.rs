//! Line and column of a path in a document.
//!
//! Values carry no positions, so that reading stays cheap. After an error the text is read once more along the path.

use std::{fmt, io::Read};

use serde::de::{DeserializeSeed, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::{
    stream::{self, Format},
    yaml,
};
use crate::Invalid;

/// Bytes of text read for one list of errors; the first error is always located.
const LOCATE_BYTES_MAX: u64 = 8 * 1024 * 1024;

/// Adds the position of its path to each error that has a path. `text` opens the document, which has `bytes`.
pub(super) fn add_positions<R: Read>(
    mut invalid: Invalid,
    format: Format,
    bytes: u64,
    text: impl Fn() -> R,
) -> Invalid {
    let mut walked: u64 = 0;
    for error in invalid.fields.iter_mut().filter(|error| !error.field.is_empty()) {
        if walked > 0 && walked.saturating_add(bytes) > LOCATE_BYTES_MAX {
            break;
        }
        walked = walked.saturating_add(bytes);
        if let Some((line, column)) = locate(format, bytes, &text, &steps(&error.field)) {
            error.message.push_str(&format!(" (line {line}, column {column})"));
        }
    }
    invalid
}

/// Where the path is, or its deepest part that exists. Both count from one. JSON is YAML, whose reader tells where a value begins: that of
/// JSON tells where it ends, but in a tenth of the time.
fn locate<R: Read>(
    format: Format,
    bytes: u64,
    text: impl Fn() -> R,
    steps: &[Step<'_>],
) -> Option<(usize, usize)> {
    let end = || {
        // Ends in an error on purpose: only errors have positions.
        let stopped = Walk { steps }.deserialize(&mut stream::json(text())).err()?;
        Some((stopped.line(), stopped.column()))
    };
    match format {
        Format::Yaml => yaml::position(text(), steps),
        Format::Json if bytes <= LOCATE_BYTES_MAX => yaml::position(text(), steps).or_else(end),
        Format::Json => end(),
    }
}

/// One step of a path.
#[derive(Debug, PartialEq)]
pub(super) enum Step<'p> {
    Key(&'p str),
    Index(usize),
}

/// `services[3].name` → key, index, key.
fn steps(path: &str) -> Vec<Step<'_>> {
    path.split(['.', '['])
        .map(|part| match part.strip_suffix(']').and_then(|index| index.parse().ok()) {
            Some(index) => Step::Index(index),
            None => Step::Key(part),
        })
        .collect()
}

/// Follows the steps in JSON, and fails at their end.
struct Walk<'p> {
    steps: &'p [Step<'p>],
}

impl<'de> DeserializeSeed<'de> for Walk<'_> {
    type Value = ();

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Walk<'_> {
    type Value = ();

    /// Scalars end the walk too: the default methods fail.
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the end of the path")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<(), A::Error> {
        if let Some((Step::Index(wanted), rest)) = self.steps.split_first() {
            for _ in 0..*wanted {
                elements.next_element::<IgnoredAny>()?;
            }
            elements.next_element_seed(Walk { steps: rest })?;
        }
        Err(A::Error::custom("here"))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<(), A::Error> {
        if let Some((Step::Key(wanted), rest)) = self.steps.split_first() {
            while let Some(key) = entries.next_key::<String>()? {
                if key == *wanted {
                    entries.next_value_seed(Walk { steps: rest })?;
                } else {
                    entries.next_value::<IgnoredAny>()?;
                }
            }
        }
        Err(A::Error::custom("here"))
    }
}
