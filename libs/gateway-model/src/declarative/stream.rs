//! Documents that are not held in memory: they are read from a stream, twice. What a document says of itself may stand behind its
//! entities, so the first reading looks for that only. Both read JSON: a document that is YAML is made JSON first ([`super::yaml`]).

use std::io::{BufReader, Read};

use serde_json::Deserializer;

use super::{Given, Item, Outline, flatten, locate};
use crate::Invalid;

/// Bytes of the text of such a document, if it is JSON.
pub const STREAM_BYTES_MAX: u64 = 512 * 1024 * 1024;
/// Bytes read from the stream at a time.
const READ_BYTES: usize = 64 * 1024;

/// What a document came as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    Json,
    /// It is read as the JSON that was made of it, and its errors are placed in the YAML.
    Yaml,
}

/// What a document says of itself. An error says that it is no JSON, or no document.
pub fn outline(document: impl Read, format: Format) -> Result<Outline, Invalid> {
    let broken = |error| broken(error, format);
    let mut deserializer = json(document);
    let outline = Outline::read(&mut deserializer).map_err(broken)?;
    deserializer.end().map_err(broken)?;
    Ok(outline)
}

/// Checks each entity by itself, and gives those to `sink` that it can read, with the fields that they were read from. What is below an
/// entity comes before it, with a higher number. Numbers begin at 0 and are below [`Outline::entities`].
pub fn items(
    document: impl Read,
    format: Format,
    outline: Outline,
    sink: &mut dyn FnMut(Item, Given),
) -> Result<(), Invalid> {
    flatten::items(&mut json(document), outline, sink, |error| broken(error, format))
}

/// Adds to the first errors where in the document they are. `text` opens the document as it came, which has `bytes`.
pub fn add_positions<R: Read>(invalid: Invalid, format: Format, bytes: u64, text: impl Fn() -> R) -> Invalid {
    locate::add_positions(invalid, format, bytes, text)
}

pub(super) fn json<R: Read>(document: R) -> Deserializer<serde_json::de::IoRead<BufReader<R>>> {
    Deserializer::from_reader(BufReader::with_capacity(READ_BYTES, document))
}

fn broken(error: serde_json::Error, format: Format) -> Invalid {
    let message = error.to_string();
    let message = match (format, message.split_once(" at line ")) {
        // Lines of the JSON are those of the YAML. Columns are not.
        (Format::Yaml, Some((what, _))) if error.line() > 0 => {
            format!("the document cannot be read: {what} (line {})", error.line())
        }
        (Format::Yaml, _) => format!("the document cannot be read: {message}"),
        (Format::Json, _) => format!("the document is not valid JSON: {message}"),
    };
    Invalid::one("", message)
}
