//! Watches the raw bytes of an HTTP/1 connection for framing that hyper accepts and that a gateway should refuse.
//!
//! hyper accepts two things, and RFC 9112 allows both. It reads a request with both `Content-Length` and `Transfer-Encoding`
//! as chunked, hides the length and closes the connection afterwards (section 6.3). It accepts a bare LF as the end of a header
//! line (section 2.2). A proxy in front of the gateway may read the same bytes in another way, and then a client can smuggle a
//! request past that proxy. So the gateway answers 400. The handler of a request sees neither, which is why the bytes are
//! watched here.
//!
//! The watch follows the framing as hyper does, only to know where heads are. It can only cause refusals. When it meets
//! something that it does not understand, it ends, and hyper decides alone.

use std::sync::{
    OnceLock,
    atomic::{AtomicBool, Ordering},
};

/// Bytes of a header line that are kept: enough for the name and value of a field that frames the body.
const LINE_KEPT: usize = 256;

/// What the watch tells the handlers of a connection.
#[derive(Debug, Default)]
pub struct Findings {
    /// Index of the first request whose head is ambiguous. Set at most once: the watch ends there.
    ambiguous: OnceLock<u64>,
    /// Whether the connection has become a tunnel: its bytes are no longer HTTP.
    tunnel: AtomicBool,
}

impl Findings {
    /// Whether the request number `index` of this connection, from 0, must be refused.
    pub fn is_ambiguous(&self, index: u64) -> bool {
        self.ambiguous.get().is_some_and(|first| *first <= index)
    }

    /// Notes that the connection becomes a tunnel; the watch ends then.
    pub fn becomes_tunnel(&self) {
        self.tunnel.store(true, Ordering::Release);
    }

    /// Whether the connection has become a tunnel.
    pub fn is_tunnel(&self) -> bool {
        self.tunnel.load(Ordering::Acquire)
    }
}

/// Where in a message the watch is. Numbers are bytes that are still to come.
#[derive(Debug)]
enum State {
    RequestHead(RequestHead),
    Length(u64),
    ChunkSize {
        size: u64,
        digits: bool,
        in_extension: bool,
    },
    ChunkData(u64),
    /// The CRLF after a chunk's data; how many of its bytes are still to come.
    ChunkEnd(u8),
    Trailers {
        line_is_empty: bool,
    },
    /// The watch has ended.
    Blind,
}

#[derive(Debug, Default)]
struct RequestHead {
    line: Vec<u8>,
    lines: usize,
    length: Option<u64>,
    has_length: bool,
    chunked: bool,
    has_encoding: bool,
    /// Whether the last byte of the line so far is a CR; also known for lines that are longer than what is kept.
    ends_in_cr: bool,
    /// Whether a line ended in a bare LF, or a field that frames the body was too long to be read.
    is_odd: bool,
}

/// The watch of one connection.
#[derive(Debug)]
pub struct Watch {
    state: State,
    /// How many heads have ended.
    heads: u64,
}

impl Default for Watch {
    fn default() -> Self {
        Self { state: State::RequestHead(RequestHead::default()), heads: 0 }
    }
}

impl Watch {
    /// Takes the bytes that were read from the connection. They must be given in order, and none left out.
    pub fn feed(&mut self, mut bytes: &[u8], findings: &Findings) {
        while !bytes.is_empty() {
            if matches!(self.state, State::Blind) || findings.is_tunnel() {
                self.state = State::Blind;
                return;
            }
            bytes = self.step(bytes, findings);
        }
    }

    /// Takes at least one byte; returns the rest.
    fn step<'a>(&mut self, bytes: &'a [u8], findings: &Findings) -> &'a [u8] {
        let Some((&byte, rest)) = bytes.split_first() else { return bytes };
        match &mut self.state {
            State::Blind => return &[],
            State::RequestHead(_) => return self.head_bytes(bytes, findings),
            State::Length(left) | State::ChunkData(left) => {
                let taken = usize::try_from(*left).unwrap_or(usize::MAX).min(bytes.len());
                *left -= taken as u64;
                if *left == 0 {
                    self.state = match self.state {
                        State::Length(_) => State::RequestHead(RequestHead::default()),
                        _ => State::ChunkEnd(2),
                    };
                }
                return bytes.get(taken..).unwrap_or_default();
            }
            State::ChunkSize { size, digits, in_extension } => match byte {
                b'\n' if *digits && *size == 0 => self.state = State::Trailers { line_is_empty: true },
                b'\n' if *digits => self.state = State::ChunkData(*size),
                b'\n' => self.state = State::Blind,
                b'\r' => {}
                _ if *in_extension => {}
                b';' | b' ' | b'\t' => *in_extension = true,
                _ => match (char::from(byte).to_digit(16), size.checked_mul(16)) {
                    (Some(digit), Some(shifted)) => {
                        *size = shifted | u64::from(digit);
                        *digits = true;
                    }
                    _ => self.state = State::Blind,
                },
            },
            State::ChunkEnd(left) => {
                *left -= 1;
                if *left == 0 {
                    self.state = State::ChunkSize { size: 0, digits: false, in_extension: false };
                }
            }
            State::Trailers { line_is_empty } => match byte {
                b'\n' if *line_is_empty => self.state = State::RequestHead(RequestHead::default()),
                b'\n' => *line_is_empty = true,
                b'\r' => {}
                _ => *line_is_empty = false,
            },
        }
        rest
    }

    /// Takes bytes of a head up to the end of a line. Empty lines before a head are skipped, as hyper does.
    fn head_bytes<'a>(&mut self, bytes: &'a [u8], findings: &Findings) -> &'a [u8] {
        let State::RequestHead(head) = &mut self.state else { return &[] };
        let (part, rest) = match memchr::memchr(b'\n', bytes) {
            Some(at) => (bytes.get(..at).unwrap_or_default(), bytes.get(at + 1..)),
            None => (bytes, None),
        };
        if let Some(last) = part.last() {
            head.ends_in_cr = *last == b'\r';
        }
        // Most lines come in one piece, and need not be kept.
        let Some(rest) = rest.filter(|_| head.line.is_empty()) else {
            let room = LINE_KEPT.saturating_sub(head.line.len());
            head.line.extend_from_slice(part.get(..room.min(part.len())).unwrap_or_default());
            let Some(rest) = rest else { return &[] };
            let line = std::mem::take(&mut head.line);
            self.end_of_line(&line, findings);
            return rest;
        };
        self.end_of_line(part, findings);
        rest
    }

    fn end_of_line(&mut self, line: &[u8], findings: &Findings) {
        let State::RequestHead(head) = &mut self.state else { return };
        head.is_odd |= !std::mem::take(&mut head.ends_in_cr);
        match line.strip_suffix(b"\r").unwrap_or(line) {
            [] if head.lines == 0 => {}
            [] => self.end_of_head(findings),
            line => head.take_line(line),
        }
    }

    fn end_of_head(&mut self, findings: &Findings) {
        let State::RequestHead(head) = &self.state else { return };
        if (head.has_length && head.has_encoding) || head.is_odd {
            findings.ambiguous.get_or_init(|| self.heads);
            self.state = State::Blind;
            return;
        }
        self.state = match (head.has_encoding, head.chunked, head.length) {
            (true, true, _) => State::ChunkSize { size: 0, digits: false, in_extension: false },
            (true, false, _) => State::Blind,
            (false, _, Some(length)) if length > 0 => State::Length(length),
            (false, _, None) if head.has_length => State::Blind,
            _ => State::RequestHead(RequestHead::default()),
        };
        self.heads += 1;
    }
}

impl RequestHead {
    fn take_line(&mut self, line: &[u8]) {
        self.lines += 1;
        // The fields that frame the body begin so.
        let may_frame = matches!(line.first(), Some(b'c' | b'C' | b't' | b'T'));
        let Some(colon) = memchr::memchr(b':', line).filter(|_| may_frame && self.lines > 1) else { return };
        let (name, value) = line.split_at(colon);
        let value = std::str::from_utf8(value.get(1..).unwrap_or_default()).unwrap_or_default().trim();
        let is_framing = self.take_framing(name, value);
        self.is_odd |= is_framing && line.len() >= LINE_KEPT - 1;
    }

    /// Notes the field if it frames the body, and says whether it does.
    fn take_framing(&mut self, name: &[u8], value: &str) -> bool {
        if name.eq_ignore_ascii_case(b"content-length") {
            self.has_length = true;
            self.length = value.parse().ok();
            true
        } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
            self.has_encoding = true;
            self.chunked =
                value.rsplit(',').next().is_some_and(|last| last.trim().eq_ignore_ascii_case("chunked"));
            true
        } else {
            false
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Feeds `text` in pieces of `size` bytes; the index of the first ambiguous request.
    fn first_ambiguous(text: &str, size: usize) -> Option<u64> {
        let (mut watch, findings) = (Watch::default(), Findings::default());
        text.as_bytes().chunks(size).for_each(|piece| watch.feed(piece, &findings));
        findings.ambiguous.get().copied()
    }

    const GET: &str = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";
    const CHUNKED: &str = "POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n4;x=y\r\nabcd\r\n1A \r\ncontent-length: 1\r\n\r\n12345\r\n0\r\nt: 1\r\n\r\n";
    const SIZED: &str =
        "POST / HTTP/1.1\r\nContent-Length: 40\r\n\r\nContent-Length: 1\nTransfer-Encoding: x\n\n.";
    const BOTH: &str = "POST / HTTP/1.1\r\ncontent-LENGTH:5\r\nTRANSFER-encoding:\tchunked\r\n\r\n0\r\n\r\n";
    const BARE: &str = "GET / HTTP/1.1\nhost: a\r\n\r\n";

    #[test]
    fn finds_ambiguous_heads_wherever_the_reads_are_cut() {
        for size in [1, 2, 3, 7, 64, 4096] {
            assert_eq!(first_ambiguous(&[GET, CHUNKED, SIZED, GET].concat(), size), None, "{size}");
            assert_eq!(first_ambiguous(&[GET, CHUNKED, SIZED, BOTH, GET].concat(), size), Some(3), "{size}");
            assert_eq!(first_ambiguous(&["\r\n", CHUNKED, BARE].concat(), size), Some(1), "{size}");
            assert_eq!(first_ambiguous(BOTH, size), Some(0), "{size}");
        }
    }

    #[test]
    fn long_lines_hide_nothing() {
        let long = "x".repeat(3 * LINE_KEPT);
        for size in [1, 255, 256, 257, 4096] {
            let fine = format!("GET /{long} HTTP/1.1\r\na: {long}\r\n\r\n");
            assert_eq!(first_ambiguous(&fine, size), None, "{size}");
            let bare = format!("GET /{long} HTTP/1.1\na: {long}\r\n\r\n");
            assert_eq!(first_ambiguous(&bare, size), Some(0), "{size}");
        }
    }

    #[test]
    fn a_tunnel_is_not_watched() {
        let (mut watch, findings) = (Watch::default(), Findings::default());
        watch.feed(GET.as_bytes(), &findings);
        findings.becomes_tunnel();
        watch.feed(BOTH.as_bytes(), &findings);
        assert!(!findings.is_ambiguous(1));
    }

    proptest! {
        #[test]
        fn never_panics_and_does_not_depend_on_the_cuts(
            text in "(GET / HTTP/1.1\r?\n|content-length: [0-9a]{1,3}\r\n|transfer-encoding: (chunked|x)\r\n|\r\n|[0-9a-f]{1,17}\r\n|\\PC{0,6}){0,12}",
            size in 1usize..40,
        ) {
            prop_assert_eq!(first_ambiguous(&text, size), first_ambiguous(&text, text.len().max(1)));
        }
    }
}
