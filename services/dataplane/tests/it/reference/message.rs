//! What requests and answers have in common: lines, fields, and the two ways to frame a body.

use std::fmt;

/// Why no message could be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// The bytes end within it.
    Partial,
    /// It is not valid, for this reason.
    Invalid(&'static str),
}

pub type Read<T> = Result<T, Stop>;

/// Fields with their names in lower case, in the order in which they came.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Fields(pub Vec<(String, Vec<u8>)>);

impl fmt::Debug for Fields {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines = self.0.iter().map(|(name, value)| format!("{name}: {}", value.escape_ascii()));
        f.debug_list().entries(lines).finish()
    }
}

impl Fields {
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        self.0.iter().filter(move |(held, _)| held == name).map(|(_, value)| value.as_slice())
    }

    pub fn has(&self, name: &str) -> bool {
        self.all(name).next().is_some()
    }

    /// The elements of a list, in lower case. Empty ones are none (RFC 9110, section 5.6.1.2).
    pub fn tokens(&self, name: &str) -> Vec<String> {
        let values = self.all(name).flat_map(|value| value.split(|byte| *byte == b','));
        let texts = values.map(|text| String::from_utf8_lossy(text.trim_ascii()).to_ascii_lowercase());
        texts.filter(|text| !text.is_empty()).collect()
    }

    /// What `Content-Length` says: one number, which may be repeated (RFC 9110, section 8.6).
    pub fn length(&self) -> Read<Option<u64>> {
        let mut length = None;
        for text in self.all("content-length").flat_map(|value| value.split(|byte| *byte == b',')) {
            let text = text.trim_ascii();
            if text.is_empty() || !text.iter().all(u8::is_ascii_digit) {
                return Err(Stop::Invalid("Content-Length is not a number"));
            }
            let number = std::str::from_utf8(text).ok().and_then(|text| text.parse().ok());
            let number = number.ok_or(Stop::Invalid("Content-Length is too large"))?;
            if length.is_some_and(|length| length != number) {
                return Err(Stop::Invalid("Content-Length says two numbers"));
            }
            length = Some(number);
        }
        Ok(length)
    }

    /// Whether the body is chunked. Of all transfer codings, only this one is known (RFC 9112, section 6.1).
    pub fn is_chunked(&self) -> Read<bool> {
        if !self.has("transfer-encoding") {
            return Ok(false);
        }
        match self.tokens("transfer-encoding").as_slice() {
            [only] if only == "chunked" => Ok(true),
            _ => Err(Stop::Invalid("Transfer-Encoding is not chunked alone")),
        }
    }
}

/// The bytes that are still to be read.
#[derive(Clone, Copy, Debug)]
pub struct Cursor<'a> {
    pub rest: &'a [u8],
    /// Whether the message is an answer, of which a proxy mends some faults: lines that end in LF alone (RFC 9112, section 2.2) and
    /// spaces before a colon (section 5.1).
    pub mends: bool,
}

impl<'a> Cursor<'a> {
    pub fn take(&mut self, count: u64) -> Read<&'a [u8]> {
        let count = usize::try_from(count).map_err(|_| Stop::Partial)?;
        let (taken, rest) = self.rest.split_at_checked(count).ok_or(Stop::Partial)?;
        self.rest = rest;
        Ok(taken)
    }

    /// The next line, without its end.
    pub fn line(&mut self) -> Read<&'a [u8]> {
        let end = self.rest.iter().position(|byte| *byte == b'\n').ok_or(Stop::Partial)?;
        let line = self.take(end as u64)?;
        self.take(1)?;
        let line = match line.strip_suffix(b"\r") {
            Some(line) => line,
            None if self.mends => line,
            None => return Err(Stop::Invalid("a line ends in LF alone")),
        };
        if line.contains(&b'\r') { Err(Stop::Invalid("a CR within a line")) } else { Ok(line) }
    }

    /// Fields up to the empty line behind them (RFC 9112, section 5).
    pub fn fields(&mut self) -> Read<Fields> {
        let mut fields = Vec::new();
        loop {
            let line = self.line()?;
            if line.is_empty() {
                return Ok(Fields(fields));
            }
            let colon = line.iter().position(|byte| *byte == b':');
            let (name, value) = line.split_at(colon.ok_or(Stop::Invalid("a field without a colon"))?);
            let name = if self.mends { name.trim_ascii_end() } else { name };
            if !is_token(name) {
                return Err(Stop::Invalid("a field's name is not a token"));
            }
            let value = value[1..].trim_ascii();
            if value.iter().any(|byte| is_control(*byte)) {
                return Err(Stop::Invalid("a control character in a field"));
            }
            fields.push((String::from_utf8_lossy(name).to_ascii_lowercase(), value.to_vec()));
        }
    }

    /// A body in chunks, and its trailers (RFC 9112, section 7.1).
    pub fn chunks(&mut self) -> Read<(Vec<u8>, Fields)> {
        let mut body = Vec::new();
        // What a proxy may mend is in heads only.
        let mut chunks = Cursor { mends: false, ..*self };
        loop {
            let line = chunks.line()?;
            let digits = line.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
            let (digits, extension) = line.split_at(digits);
            if digits.is_empty() {
                return Err(Stop::Invalid("a chunk without a size"));
            }
            // Some pad the size with spaces, and everybody reads it so.
            let extension = extension.trim_ascii_start();
            if !extension.is_empty() && extension[0] != b';' {
                return Err(Stop::Invalid("a chunk's size is not hexadecimal"));
            }
            let size = std::str::from_utf8(digits).ok().and_then(|text| u64::from_str_radix(text, 16).ok());
            let size = size.ok_or(Stop::Invalid("a chunk's size is too large"))?;
            if size == 0 {
                let trailers = chunks.fields()?;
                self.rest = chunks.rest;
                return Ok((body, trailers));
            }
            body.extend_from_slice(chunks.take(size)?);
            if !chunks.line()?.is_empty() {
                return Err(Stop::Invalid("a chunk is longer than it says"));
            }
        }
    }
}

pub fn is_token(text: &[u8]) -> bool {
    let is_one = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
    !text.is_empty() && text.iter().all(is_one)
}

/// Whether `byte` may not stand in a field's value.
fn is_control(byte: u8) -> bool {
    byte.is_ascii_control() && byte != b'\t'
}
