//! Line and column of a path in a document.
//!
//! Values carry no positions, so that reading stays cheap. After an error the text is walked once more along the path, and
//! stopped there: the YAML parser then tells where it was.

use std::fmt;

use serde::Deserializer;
use serde::de::{DeserializeSeed, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::Invalid;

/// Bytes of text walked for one list of errors; the first error is always located.
const LOCATE_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Adds the position of its path to each error that has a path.
pub(super) fn add_positions(mut invalid: Invalid, text: &str) -> Invalid {
    let mut walked: usize = 0;
    for error in invalid.fields.iter_mut().filter(|error| !error.field.is_empty()) {
        if walked > 0 && walked.saturating_add(text.len()) > LOCATE_BYTES_MAX {
            break;
        }
        walked = walked.saturating_add(text.len());
        if let Some((line, column)) = locate(text, &error.field) {
            error.message.push_str(&format!(" (line {line}, column {column})"));
        }
    }
    invalid
}

/// Where the path is, or its deepest part that exists. Both count from one.
fn locate(text: &str, path: &str) -> Option<(usize, usize)> {
    let stopped = stopped(serde_norway::Deserializer::from_str(text), path)?;
    stopped.location().map(|at| (at.line(), at.column()))
}

/// Reads a document up to the path, or to its deepest part that exists. The walk ends in an error on purpose: only errors have positions.
pub(super) fn stopped<'de, D: Deserializer<'de>>(document: D, path: &str) -> Option<D::Error> {
    Walk { steps: &steps(path) }.deserialize(document).err()
}

#[derive(Debug, PartialEq)]
enum Step<'p> {
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

/// Follows the steps and fails at their end.
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
