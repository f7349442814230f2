//! The fields of an answer as they came: parts of the bytes of its head. Most go to the client as they are, so no map of them is made.

use std::ops::Range;

use bytes::{BufMut as _, Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue};
use httparse::Header;

use super::{
    Invalid,
    fields::{self, Meaning},
};

/// Most fields of a head. A map holds half as many again.
const FIELDS_MAX: usize = 16 * 1024;

/// Fields of a head, in their order.
#[derive(Clone, Debug, Default)]
pub struct AsCame {
    head: Bytes,
    all: Vec<Field>,
    /// The meanings that are among them, as bits. Most heads have few.
    present: u8,
}

#[derive(Clone, Debug)]
struct Field {
    name: Range<usize>,
    value: Range<usize>,
    meaning: Option<Meaning>,
}

impl AsCame {
    /// Those that `parsed` has, which are parts of `head`.
    pub fn new(parsed: &[Header<'_>], head: &Bytes) -> Result<Self, Invalid> {
        if parsed.len() > FIELDS_MAX {
            return Err(Invalid);
        }
        let (mut all, mut present) = (Vec::with_capacity(parsed.len()), 0);
        for Header { name, value } in parsed {
            let meaning = Meaning::of(name.as_bytes());
            present |= meaning.map_or(0, bit);
            let name = part(head, name.as_bytes()).ok_or(Invalid)?;
            // One that is empty may be anywhere.
            let value = part(head, value).unwrap_or(name.end..name.end);
            all.push(Field { name, value, meaning });
        }
        Ok(Self { head: head.clone(), all, present })
    }

    /// Whether a field means `meaning`.
    pub fn has(&self, meaning: Meaning) -> bool {
        self.present & bit(meaning) != 0
    }

    /// The values of the fields that mean `meaning`.
    pub fn values(&self, meaning: Meaning) -> impl Iterator<Item = &[u8]> {
        let all = if self.has(meaning) { self.all.as_slice() } else { &[] };
        all.iter().filter(move |field| field.meaning == Some(meaning)).map(|field| self.bytes(&field.value))
    }

    /// Removes the fields that say how the message is framed or are about its connection alone, and those whose names `is_refused`. Case does
    /// not matter in names.
    pub fn clean(&mut self, is_refused: impl Fn(&[u8]) -> bool) {
        self.retain(|name, meaning| matches!(meaning, None | Some(Meaning::Date)) && !is_refused(name));
    }

    /// Removes the fields called `name`.
    pub fn remove(&mut self, name: &HeaderName) {
        let name: &[u8] = name.as_ref();
        self.retain(|held, _| !held.eq_ignore_ascii_case(name));
    }

    fn retain(&mut self, stays: impl Fn(&[u8], Option<Meaning>) -> bool) {
        let head = &self.head;
        self.all.retain(|field| stays(head.get(field.name.clone()).unwrap_or_default(), field.meaning));
        self.present = self
            .all
            .iter()
            .filter_map(|field| field.meaning)
            .fold(0, |present, meaning| present | bit(meaning));
    }

    /// Adds them to `headers`. An error if a map cannot hold them.
    pub fn add_to(&self, headers: &mut HeaderMap) -> Result<(), Invalid> {
        headers.try_reserve(self.all.len()).map_err(|_| Invalid)?;
        for Field { name, value, .. } in &self.all {
            let name = HeaderName::from_bytes(self.bytes(name)).map_err(|_| Invalid)?;
            let value = self.head.slice(value.clone());
            let value = HeaderValue::from_maybe_shared(value).map_err(|_| Invalid)?;
            headers.try_append(name, value).map_err(|_| Invalid)?;
        }
        Ok(())
    }

    /// Appends them to `output`. Says whether there is a `Date` among them.
    pub fn write(&self, output: &mut BytesMut) -> bool {
        output.reserve(self.head.len());
        // Lines that follow each other in both heads are copied together.
        let mut lines = 0..0;
        for field in &self.all {
            let line = field.name.start..field.value.end + b"\r\n".len();
            let is_usual = self.bytes(&(field.name.end..field.value.start)) == b": "
                && self.bytes(&(field.value.end..line.end)) == b"\r\n";
            if is_usual && lines.end == line.start {
                lines.end = line.end;
                continue;
            }
            output.put_slice(self.bytes(&lines));
            lines = 0..0;
            match is_usual {
                true => lines = line,
                false => fields::write_field(self.bytes(&field.name), self.bytes(&field.value), output),
            }
        }
        output.put_slice(self.bytes(&lines));
        self.has(Meaning::Date)
    }

    fn bytes(&self, range: &Range<usize>) -> &[u8] {
        self.head.get(range.clone()).unwrap_or_default()
    }
}

fn bit(meaning: Meaning) -> u8 {
    1 << meaning as u8
}

/// Where in `head` the bytes `part` are; `None` if they are not there.
fn part(head: &[u8], part: &[u8]) -> Option<Range<usize>> {
    let start = (part.as_ptr() as usize).checked_sub(head.as_ptr() as usize)?;
    let range = start..start.checked_add(part.len())?;
    (!part.is_empty() && range.end <= head.len()).then_some(range)
}
