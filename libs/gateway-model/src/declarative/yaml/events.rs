//! The events of a YAML text that is read as a stream.

use std::io::{self, Read};

use granit_parser::{ErrorKind, Event, FallibleBufferedInput, Marker, Parser, ScanError};

use super::{DEPTH_MAX, YamlError, refused, too_deep, unreadable};

/// Bytes read at a time.
const READ_BYTES: usize = 64 * 1024;
/// Bytes of the longest character.
const CHAR_BYTES_MAX: usize = 4;

/// The events of a text, comments aside.
pub(super) struct Events<R: Read> {
    parser: Parser<'static, FallibleBufferedInput<Chars<R>>>,
    /// Where the last one was.
    at: Marker,
}

impl<R: Read> Events<R> {
    pub(super) fn new(text: R) -> Self {
        let options = granit_parser::options! {
            flow_nesting_limit: DEPTH_MAX,
            block_nesting_limit: DEPTH_MAX,
            // As libyaml does, and with it most of what reads YAML.
            block_scalar_eof_without_line_feed: true,
            emit_comments: false,
        };
        let chars = Chars { text, buffer: vec![0; READ_BYTES].into(), before: 0, start: 0, end: 0 };
        let parser = Parser::new_from_fallible_iter_with_options(chars, options);
        Self { parser, at: Marker::new(0, 1, 0) }
    }

    /// The first event of the first document; `None`: the text has no document.
    pub(super) fn begin(&mut self) -> Result<Option<(Event<'static>, Marker)>, YamlError> {
        loop {
            match self.next()? {
                (Event::StreamStart | Event::DocumentStart(..), _) => {}
                (Event::StreamEnd, _) => return Ok(None),
                first => return Ok(Some(first)),
            }
        }
    }

    /// Where the next document begins, if there is one behind the first.
    pub(super) fn end(&mut self) -> Result<Option<Marker>, YamlError> {
        while let Some(event) = self.parser.next_event() {
            match event.map_err(invalid)? {
                (Event::StreamEnd | Event::DocumentEnd, _) => {}
                (_, span) => return Ok(Some(span.start)),
            }
        }
        Ok(None)
    }

    /// The next event, and where it begins.
    pub(super) fn next(&mut self) -> Result<(Event<'static>, Marker), YamlError> {
        let ended = || refused("it ends early", self.at);
        let (event, span) = self.parser.next_event().ok_or_else(ended)?.map_err(invalid)?;
        self.at = span.start;
        Ok((event, span.start))
    }
}

fn invalid(error: ScanError) -> YamlError {
    let at = *error.marker();
    match error.kind() {
        ErrorKind::RecursionLimitExceeded => refused(too_deep(), at),
        // The place is in the message: the parser knows only that of what it read before.
        ErrorKind::InputDecoding { message } => unreadable(message),
        ErrorKind::InputIo { error } => io::Error::other(error.message().to_owned()).into(),
        kind => refused(format_args!("it is not valid YAML: {kind}"), at),
    }
}

/// What YAML 1.1 takes for ends of lines, and YAML 1.2 for characters like others.
const SOMETIMES_BREAKS: [char; 3] = ['\u{85}', '\u{2028}', '\u{2029}'];

/// The characters of a text.
struct Chars<R> {
    text: R,
    buffer: Box<[u8]>,
    /// Bytes before those in the buffer.
    before: u64,
    /// What of the buffer was read and not given yet.
    start: usize,
    end: usize,
}

impl<R: Read> Chars<R> {
    fn rest(&self) -> &[u8] {
        self.buffer.get(self.start..self.end).unwrap_or_default()
    }

    /// Reads on until a character of any length is there, or the text ends.
    fn fill(&mut self) -> io::Result<()> {
        self.buffer.copy_within(self.start..self.end, 0);
        self.before += self.start as u64;
        (self.start, self.end) = (0, self.end - self.start);
        while self.end < CHAR_BYTES_MAX {
            let free = self.buffer.get_mut(self.end..).unwrap_or_default();
            match self.text.read(free) {
                Ok(0) => break,
                Ok(read) => self.end += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

impl<R: Read> Iterator for Chars<R> {
    type Item = Result<char, ErrorKind>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.end - self.start < CHAR_BYTES_MAX
            && let Err(error) = self.fill()
        {
            return Some(Err(ErrorKind::InputIo { error: error.into() }));
        }
        let rest = self.rest();
        let first = *rest.first()?;
        if first.is_ascii() {
            self.start += 1;
            return Some(Ok(char::from(first)));
        }
        let next = rest.get(..CHAR_BYTES_MAX).unwrap_or(rest);
        // The bytes behind the character may be the beginning of another.
        let whole = next.utf8_chunks().next().and_then(|chunk| chunk.valid().chars().next());
        let place = self.before + self.start as u64 + 1;
        let message = match whole {
            Some(sometimes) if SOMETIMES_BREAKS.contains(&sometimes) => {
                format!(
                    "its byte {place} begins the character U+{0:04X}, which ends a line for some readers of YAML only: \
                     write `\\u{0:04x}` in double quotes",
                    u32::from(sometimes)
                )
            }
            Some(whole) => {
                self.start += whole.len_utf8();
                return Some(Ok(whole));
            }
            None => format!("it is not UTF-8: its byte {place} does not belong there"),
        };
        Some(Err(ErrorKind::InputDecoding { message }))
    }
}
