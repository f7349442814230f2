//! Documents that are not held in memory: JSON that is read from a stream, twice. What a document says of itself may stand behind its
//! entities, so the first reading looks for that only.

use std::io::{BufReader, Read};

use serde_json::Deserializer;

use super::{Given, Item, Outline, flatten, locate};
use crate::Invalid;
use crate::tree::Budget;

/// Bytes of the text of such a document.
pub const STREAM_BYTES_MAX: u64 = 512 * 1024 * 1024;
/// Bytes read from the stream at a time.
const READ_BYTES: usize = 64 * 1024;
/// Errors of a large document that get their line and column: each takes another reading.
const LOCATED_MAX: usize = 1;

/// What a document says of itself. An error says that it is no JSON, or no document.
pub fn outline(document: impl Read) -> Result<Outline, Invalid> {
    let mut deserializer = json(document);
    let outline = Outline::read(&mut deserializer).map_err(broken)?;
    deserializer.end().map_err(broken)?;
    Ok(outline)
}

/// Checks each entity by itself, and gives those to `sink` that it can read, with the fields that they were read from. What is below an
/// entity comes before it, with a higher number. Numbers begin at 0 and are below [`Outline::entities`].
pub fn items(
    document: impl Read,
    outline: Outline,
    sink: &mut dyn FnMut(Item, Given),
) -> Result<(), Invalid> {
    flatten::items(&mut json(document), outline, Budget::of_entity, sink, broken)
}

/// Adds to the first of the errors where in the document it is.
pub fn add_positions(mut invalid: Invalid, document: impl Read) -> Invalid {
    let mut located = invalid.fields.iter_mut().filter(|error| !error.field.is_empty()).take(LOCATED_MAX);
    if let Some(error) = located.next()
        && let Some(stopped) = locate::stopped(&mut json(document), &error.field)
    {
        let (line, column) = (stopped.line(), stopped.column());
        error.message.push_str(&format!(" (line {line}, column {column})"));
    }
    invalid
}

fn json<R: Read>(document: R) -> Deserializer<serde_json::de::IoRead<BufReader<R>>> {
    Deserializer::from_reader(BufReader::with_capacity(READ_BYTES, document))
}

fn broken(error: serde_json::Error) -> Invalid {
    Invalid::one("", format!("the document is not valid JSON: {error}"))
}
