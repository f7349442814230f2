//! YAML as JSON: what reads documents reads JSON only.
//!
//! A text is read once, as a stream of events, and each is written as JSON at once. In memory are only the names of the mappings that are
//! open, and what has an anchor: its JSON stands wherever an alias repeats it. Every value stands in the JSON on the line that it has in
//! the YAML, so that the lines in errors of the JSON reader are right. What JSON cannot say is refused: names that are no text, names that
//! occur twice, numbers that do not fit, tags.

mod events;
mod position;
mod scalar;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    fmt::Display,
    io::{self, Read, Write},
};

use granit_parser::{Event, Marker, ScalarStyle, Tag};
use serde_json::value::RawValue;

use self::events::Events;
pub(super) use self::position::position;
use crate::Invalid;
use crate::tree::shown;

/// Lists and mappings within each other. The JSON reader takes no more.
const DEPTH_MAX: usize = 127;
const LIMITS: Limits =
    Limits { json_bytes: 64 * 1024 * 1024, held_bytes: 16 * 1024 * 1024, anchors: 100_000 };
/// Bytes of the JSON that are passed on together.
const PART_BYTES: usize = 64 * 1024;
/// The name that merges other mappings into its own.
const MERGE: &str = "<<";

/// What one text may come to.
#[derive(Clone, Copy)]
struct Limits {
    /// Bytes of the JSON, aliases expanded.
    json_bytes: usize,
    /// Bytes of the JSON that anchors and merge keys hold in memory.
    held_bytes: usize,
    anchors: usize,
}

/// Why a YAML text did not become JSON.
#[derive(Debug, thiserror::Error)]
pub enum YamlError {
    /// It is no YAML, or says what JSON cannot say.
    #[error(transparent)]
    Invalid(#[from] Invalid),
    /// The text could not be read, or the JSON not be written.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Writes as JSON what `text` says. An empty text says null.
pub fn to_json(text: impl Read, json: impl Write) -> Result<(), YamlError> {
    Writer::new(text, json, LIMITS).text()
}

/// An error at a place of the text.
fn refused(what: impl Display, at: Marker) -> YamlError {
    let (line, column) = line_and_column(at);
    unreadable(format_args!("{what} (line {line}, column {column})"))
}

fn unreadable(what: impl Display) -> YamlError {
    Invalid::one("", format!("the document cannot be read: {what}")).into()
}

/// Both count from one.
fn line_and_column(at: Marker) -> (usize, usize) {
    (at.line(), at.col() + 1)
}

struct Writer<R: Read, W: Write> {
    events: Events<R>,
    to: W,
    limits: Limits,
    /// The end of the JSON so far.
    json: Vec<u8>,
    /// Bytes of JSON before that: they are written, or were merged.
    spent: usize,
    /// Where the JSON ends.
    line: usize,
    /// How many values that are being written will be needed again, so that `json` stays in memory.
    open_holds: usize,
    /// What each anchor stands for, without line breaks.
    anchors: HashMap<usize, Box<[u8]>>,
    anchored_bytes: usize,
}

/// One entry of a mapping begins.
struct Name {
    text: String,
    at: Marker,
    is_merge: bool,
}

impl<R: Read, W: Write> Writer<R, W> {
    fn new(text: R, to: W, limits: Limits) -> Self {
        Self {
            events: Events::new(text),
            to,
            limits,
            json: Vec::with_capacity(2 * PART_BYTES),
            spent: 0,
            line: 1,
            open_holds: 0,
            anchors: HashMap::new(),
            anchored_bytes: 0,
        }
    }

    fn text(&mut self) -> Result<(), YamlError> {
        match self.events.begin()? {
            None => self.json.extend_from_slice(b"null"),
            Some((event, at)) => self.value(event, at, 0)?,
        }
        if let Some(at) = self.events.end()? {
            return Err(refused("the text has several documents: send one", at));
        }
        self.to.write_all(&self.json)?;
        Ok(self.to.flush()?)
    }

    /// A value whose first event is known, below `depth` others.
    fn value(&mut self, event: Event<'static>, at: Marker, depth: usize) -> Result<(), YamlError> {
        self.break_lines(at);
        match event {
            Event::Scalar(text, style, anchor, tag) => self.anchored(anchor, at, |writer| {
                scalar::write(&text, style, tag.as_deref(), &mut writer.json)
                    .map_err(|what| refused(what, at))
            })?,
            Event::SequenceStart(_, anchor, tag) => {
                untagged(tag.as_deref(), "seq", at)?;
                self.anchored(anchor, at, |writer| writer.sequence(at, depth))?;
            }
            Event::MappingStart(_, anchor, tag) => {
                untagged(tag.as_deref(), "map", at)?;
                self.anchored(anchor, at, |writer| writer.mapping(at, depth))?;
            }
            Event::Alias(anchor) => {
                let json = self.anchors.get(&anchor).ok_or_else(|| refused(AROUND_ITSELF, at))?;
                self.json.extend_from_slice(json);
            }
            _ => return Err(refused("a value is missing", at)),
        }
        self.pass_on(at)
    }

    fn sequence(&mut self, at: Marker, depth: usize) -> Result<(), YamlError> {
        let depth = deeper(depth, at)?;
        self.json.push(b'[');
        for place in 0.. {
            let (event, at) = self.events.next()?;
            if event == Event::SequenceEnd {
                break;
            }
            if place > 0 {
                self.json.push(b',');
            }
            self.value(event, at, depth)?;
        }
        self.json.push(b']');
        Ok(())
    }

    fn mapping(&mut self, at: Marker, depth: usize) -> Result<(), YamlError> {
        let depth = deeper(depth, at)?;
        self.json.push(b'{');
        let (mut names, mut merged) = (HashSet::new(), None);
        while let Some(Name { text, at, is_merge }) = self.name()? {
            let is_second = if is_merge { merged.is_some() } else { names.contains(&text) };
            if is_second {
                return Err(refused(format_args!("the name {} occurs twice", shown(&text)), at));
            }
            let (event, value_at) = self.events.next()?;
            if is_merge {
                merged = Some((self.apart(event, value_at, depth)?, at));
            } else {
                self.write_name(&text, at, names.is_empty())?;
                self.value(event, value_at, depth)?;
                names.insert(text);
            }
        }
        if let Some((json, at)) = merged {
            self.merge(&json, at, &mut names)?;
        }
        self.json.push(b'}');
        Ok(())
    }

    /// The name of a mapping's next entry; `None` at its end.
    fn name(&mut self) -> Result<Option<Name>, YamlError> {
        let (event, at) = self.events.next()?;
        let (text, is_merge) = match event {
            Event::MappingEnd => return Ok(None),
            Event::Scalar(text, style, anchor, tag) => {
                let is_plain = style == ScalarStyle::Plain && tag.is_none();
                // The parser says `~` of what is empty.
                if is_plain && text == "~" {
                    return Err(refused(NO_TEXT, at));
                }
                let is_merge = is_plain && text == MERGE;
                self.anchored(anchor, at, |_| Ok(()))?;
                (text.into_owned(), is_merge)
            }
            Event::Alias(anchor) => {
                let json = self.anchors.get(&anchor).map(AsRef::as_ref).unwrap_or_default();
                (serde_json::from_slice(json).map_err(|_| refused(NO_TEXT, at))?, false)
            }
            _ => return Err(refused(NO_TEXT, at)),
        };
        Ok(Some(Name { text, at, is_merge }))
    }

    fn write_name(&mut self, name: &str, at: Marker, is_first: bool) -> Result<(), YamlError> {
        if !is_first {
            self.json.push(b',');
        }
        self.break_lines(at);
        serde_json::to_writer(&mut self.json, name).map_err(io::Error::from)?;
        self.json.push(b':');
        Ok(())
    }

    /// Writes a value, and remembers it under its anchor, if it has one.
    fn anchored(
        &mut self,
        anchor: usize,
        at: Marker,
        write: impl FnOnce(&mut Self) -> Result<(), YamlError>,
    ) -> Result<(), YamlError> {
        if anchor == 0 {
            return write(self);
        }
        let anchors_max = self.limits.anchors;
        if self.anchors.len() >= anchors_max {
            let what = format!("it has more than {anchors_max} anchors: write out what is used once");
            return Err(refused(what, at));
        }
        let start = self.json.len();
        self.open_holds += 1;
        write(self)?;
        self.open_holds -= 1;
        let json = self.json.get(start..).unwrap_or_default();
        // Within a text of JSON, a line break is escaped.
        let json: Box<[u8]> = json.iter().copied().filter(|byte| *byte != b'\n').collect();
        self.anchored_bytes += json.len();
        self.anchors.insert(anchor, json);
        Ok(())
    }

    /// A value as JSON that is no part of the whole.
    fn apart(&mut self, event: Event<'static>, at: Marker, depth: usize) -> Result<Vec<u8>, YamlError> {
        let (start, line) = (self.json.len(), self.line);
        self.open_holds += 1;
        self.value(event, at, depth)?;
        self.open_holds -= 1;
        self.line = line;
        let json = self.json.split_off(start);
        self.spent += json.len();
        Ok(json)
    }

    /// Adds to a mapping that has `names` what it does not have of other mappings, of which earlier ones win.
    fn merge(&mut self, json: &[u8], at: Marker, names: &mut HashSet<String>) -> Result<(), YamlError> {
        type Mapping<'j> = BTreeMap<String, &'j RawValue>;
        let mappings = match json.trim_ascii_start() {
            list @ [b'[', ..] => serde_json::from_slice::<Vec<Mapping<'_>>>(list),
            one => serde_json::from_slice(one).map(|mapping| vec![mapping]),
        };
        for (name, value) in mappings.map_err(|_| refused(NO_MAPPING, at))?.into_iter().flatten() {
            if !names.contains(&name) {
                self.write_name(&name, at, names.is_empty())?;
                self.json.extend(value.get().bytes().filter(|byte| *byte != b'\n'));
                names.insert(name);
            }
        }
        self.pass_on(at)
    }

    /// Goes on to the line of a value.
    fn break_lines(&mut self, at: Marker) {
        while self.line < at.line() {
            self.json.push(b'\n');
            self.line += 1;
        }
    }

    /// Writes what is not held.
    fn pass_on(&mut self, at: Marker) -> Result<(), YamlError> {
        let Limits { json_bytes, held_bytes, .. } = self.limits;
        if self.spent + self.json.len() > json_bytes {
            let what = format!("it is larger than {json_bytes} bytes with its aliases expanded: split it");
            return Err(refused(what, at));
        }
        let held = if self.open_holds > 0 { self.json.len() } else { 0 };
        if self.anchored_bytes + held > held_bytes + PART_BYTES {
            let what = format!(
                "what its anchors and merge keys stand for is larger than {held_bytes} bytes: write out what is used once"
            );
            return Err(refused(what, at));
        }
        if self.open_holds == 0 && self.json.len() >= PART_BYTES {
            self.to.write_all(&self.json)?;
            self.spent += self.json.len();
            self.json.clear();
        }
        Ok(())
    }
}

const AROUND_ITSELF: &str = "an alias stands within what it repeats: write that out";
const NO_TEXT: &str = "a name must be a text: it must not be empty, a list or a mapping";
const NO_MAPPING: &str = "the merge key `<<` takes a mapping or a list of mappings";

fn deeper(depth: usize, at: Marker) -> Result<usize, YamlError> {
    if depth == DEPTH_MAX { Err(refused(too_deep(), at)) } else { Ok(depth + 1) }
}

fn too_deep() -> String {
    format!("it is nested more than {DEPTH_MAX} levels deep")
}

/// Refuses a tag of a list or a mapping that says more than that it is one.
fn untagged(tag: Option<&Tag>, kind: &str, at: Marker) -> Result<(), YamlError> {
    let says_nothing = tag.is_none_or(|tag| tag.is_yaml_core_schema_tag(kind));
    if says_nothing { Ok(()) } else { Err(refused(scalar::TAGGED, at)) }
}
