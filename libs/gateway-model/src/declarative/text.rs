//! From text to a tree of values: the part of reading that knows YAML.

use std::collections::HashSet;

use serde::de::DeserializeSeed;
use serde_json::Value;

use crate::Invalid;
use crate::tree::{Budget, Tree, shown};

/// Brackets that may be open within one window; deeper documents meet the reader's limit of 128 levels anyway.
const FLOW_DEPTH_MAX: usize = 128;

/// How far back the YAML scanner looks for keys, in bytes.
const FLOW_WINDOW_BYTES: usize = 1024;

/// Keys, list entries and brackets of one document. The YAML reader makes a list of all that it meets before it makes values of it, up
/// to 300 bytes for each of these: 4 MB of `- - - -` took 600 MB. A hundred thousand entities have a million.
const MARKS_MAX: usize = 2_000_000;

/// Reads the text of one document. Errors carry line and column.
pub(super) fn read(text: &str) -> Result<Value, Invalid> {
    if let Some(line) = too_deep(text) {
        return Err(Invalid::one("", format!("the document is nested too deeply at line {line}")));
    }
    if marks(text) > MARKS_MAX {
        let message =
            format!("the document has more than {MARKS_MAX} keys, list entries and brackets: split it");
        return Err(Invalid::one("", message));
    }
    if let Some(name) = redefined_anchor(text) {
        let message = format!(
            "the anchor {} is defined twice: give each anchor its own name",
            shown(&format!("&{name}"))
        );
        return Err(Invalid::one("", message));
    }
    let mut budget = Budget::new();
    let tree = Tree { budget: &mut budget, merge: true };
    tree.deserialize(serde_norway::Deserializer::from_str(text))
        .map_err(|error| Invalid::one("", format!("the document is not valid YAML: {}", describe(&error))))
}

/// How many things the YAML reader may meet in `text`: everything that it meets has a mark of its own. Marks inside texts count too.
fn marks(text: &str) -> usize {
    let bytes = text.as_bytes();
    let nexts = bytes.iter().skip(1).chain([&b' ']);
    let is_mark = |(byte, next): &(&u8, &u8)| match byte {
        b',' | b'[' | b'{' | b':' => true,
        b'-' | b'?' => next.is_ascii_whitespace(),
        _ => false,
    };
    bytes.iter().zip(nexts).filter(is_mark).count()
}

/// The line where more than [`FLOW_DEPTH_MAX`] brackets open close together.
///
/// The YAML scanner looks back at every bracket left open in the last [`FLOW_WINDOW_BYTES`] for each token that it reads; a
/// megabyte of brackets would keep it busy for a minute before its depth limit is even asked. Brackets in texts count too:
/// no sensible text leaves so many open.
fn too_deep(text: &str) -> Option<usize> {
    for (index, window) in text.as_bytes().chunks(FLOW_WINDOW_BYTES).enumerate() {
        let mut open: usize = 0;
        for (offset, byte) in window.iter().enumerate() {
            match byte {
                b'[' | b'{' => open += 1,
                b']' | b'}' => open = open.saturating_sub(1),
                _ => {}
            }
            if open > FLOW_DEPTH_MAX {
                let before = text.as_bytes().iter().take(index * FLOW_WINDOW_BYTES + offset);
                return Some(1 + before.filter(|byte| **byte == b'\n').count());
            }
        }
    }
    None
}

/// The name of an anchor that is defined more than once and also used.
///
/// YAML allows it, but the parser then resolves the alias to whichever anchor comes next (serde_norway 0.9 numbers anchors by
/// how many distinct names it has seen). A wrong value must not pass for the right one. Marks inside texts count too, which
/// takes a text with the same mark twice and an alias of that name.
fn redefined_anchor(text: &str) -> Option<&str> {
    let marks = || {
        text.split(|c: char| c.is_whitespace() || matches!(c, ',' | '[' | ']' | '{' | '}'))
            .filter(|mark| mark.len() > 1)
    };
    if !text.contains('&') || !text.contains('*') {
        return None;
    }
    let mut defined = HashSet::new();
    let redefined: HashSet<&str> =
        marks().filter_map(|mark| mark.strip_prefix('&')).filter(|name| !defined.insert(*name)).collect();
    if redefined.is_empty() {
        return None;
    }
    marks().filter_map(|mark| mark.strip_prefix('*')).find(|name| redefined.contains(name))
}

/// The error with its position, which the parser's own words sometimes lack.
fn describe(error: &serde_norway::Error) -> String {
    let message = error.to_string();
    match error.location() {
        Some(at) if !message.contains("line ") => {
            format!("{message} at line {} column {}", at.line(), at.column())
        }
        Some(_) => message,
        None => format!("{message} (in the document as a whole)"),
    }
}
