//! Reads the chunked coding of a body (RFC 9112, section 7.1).

use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use httparse::Status;

use super::{Invalid, fields};

/// The longest line with a chunk's size and extensions, in bytes.
const SIZE_LINE_MAX: usize = 4 * 1024;
/// Most bytes of trailers.
const TRAILERS_MAX: usize = 32 * 1024;

/// What follows the last data of a body without trailers.
const LAST: &[u8] = b"\r\n0\r\n\r\n";

/// Where in a body the reader is.
#[derive(Debug, Default)]
pub enum Chunked {
    /// Before a chunk's size.
    #[default]
    Size,
    /// Within a chunk, of which so many bytes are to come; there is at least one.
    Data(u64),
    /// Behind a chunk's data.
    DataEnd,
    /// Behind the last chunk. So many bytes of the trailers were looked at.
    Trailers(usize),
    /// Behind the body.
    Over,
}

/// What was read.
#[derive(Debug, PartialEq, Eq)]
pub enum Read {
    /// Data of the body.
    Data(Bytes),
    /// Trailers, and the end.
    Trailers(HeaderMap),
    /// The end.
    End,
    /// More bytes are needed.
    Nothing,
}

/// Whether `line` has a control character other than a tab.
fn has_control(line: &[u8]) -> bool {
    line.iter().any(|byte| byte.is_ascii_control() && *byte != b'\t')
}

impl Chunked {
    /// Takes the next piece of the body from `input`.
    pub fn read(&mut self, input: &mut BytesMut) -> Result<Read, Invalid> {
        loop {
            match self {
                Self::Size => {
                    // httparse takes an empty line for a size of 0.
                    if input.first().is_some_and(|first| !first.is_ascii_hexdigit()) {
                        return Err(Invalid);
                    }
                    match httparse::parse_chunk_size(input).map_err(|_| Invalid)? {
                        Status::Complete((length, _)) if length > SIZE_LINE_MAX => return Err(Invalid),
                        Status::Complete((length, size)) => {
                            let line = input.split_to(length);
                            // httparse takes any byte for one of an extension. Others end a line at a bare LF.
                            if has_control(line.get(..length - 2).unwrap_or_default()) {
                                return Err(Invalid);
                            }
                            *self = if size == 0 { Self::Trailers(0) } else { Self::Data(size) };
                        }
                        Status::Partial if input.len() > SIZE_LINE_MAX => return Err(Invalid),
                        Status::Partial => return Ok(Read::Nothing),
                    }
                }
                Self::Data(_) if input.is_empty() => return Ok(Read::Nothing),
                Self::Data(left) => {
                    let taken = usize::try_from(*left).unwrap_or(usize::MAX).min(input.len());
                    *left -= taken as u64;
                    if *left == 0 {
                        *self = Self::DataEnd;
                    }
                    let data = input.split_to(taken).freeze();
                    // With the last data, its reader learns that it is the last.
                    if matches!(self, Self::DataEnd) && input.starts_with(LAST) {
                        drop(input.split_to(LAST.len()));
                        *self = Self::Over;
                    }
                    return Ok(Read::Data(data));
                }
                Self::DataEnd => match &**input {
                    [b'\r', b'\n', ..] => {
                        drop(input.split_to(2));
                        *self = Self::Size;
                    }
                    [] | [b'\r'] => return Ok(Read::Nothing),
                    _ => return Err(Invalid),
                },
                Self::Trailers(_) if input.starts_with(b"\r\n") => {
                    drop(input.split_to(2));
                    *self = Self::Over;
                }
                Self::Trailers(seen) => {
                    let Some(length) = fields::end(input, *seen) else {
                        *seen = input.len();
                        return if input.len() > TRAILERS_MAX { Err(Invalid) } else { Ok(Read::Nothing) };
                    };
                    let trailers = fields::parse_trailers(input.split_to(length).freeze())?;
                    *self = Self::Over;
                    return Ok(Read::Trailers(trailers));
                }
                Self::Over => return Ok(Read::End),
            }
        }
    }

    /// Whether nothing of the body is to come.
    pub fn is_over(&self) -> bool {
        matches!(self, Self::Over)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Reads `text` as it comes in pieces of `size` bytes: the data, the trailers, and what follows the body.
    fn read(text: &[u8], size: usize) -> Result<(Vec<u8>, HeaderMap, Vec<u8>), Option<Invalid>> {
        let (mut chunked, mut input) = (Chunked::default(), BytesMut::new());
        let (mut data, mut trailers, mut pieces) = (Vec::new(), HeaderMap::new(), text.chunks(size));
        loop {
            match chunked.read(&mut input).map_err(Some)? {
                Read::Data(more) => data.extend_from_slice(&more),
                Read::Trailers(found) => trailers = found,
                Read::End => {
                    let rest = [input.to_vec(), pieces.flatten().copied().collect()].concat();
                    return Ok((data, trailers, rest));
                }
                Read::Nothing => input.extend_from_slice(pieces.next().ok_or(None)?),
            }
        }
    }

    #[test]
    fn bodies_are_read_however_they_come() {
        for size in [1, 2, 3, 7, 100] {
            let (data, trailers, rest) = read(
                b"4;x=y\r\nabcd\r\n1A \r\nabcdefghijklmnopqrstuvwxyz\r\n0\r\nt: 1\r\nu: 2\r\n\r\nHTTP",
                size,
            )
            .unwrap();
            assert_eq!(data, b"abcdabcdefghijklmnopqrstuvwxyz");
            assert_eq!(
                (trailers.len(), &trailers["t"], rest.as_slice()),
                (2, &"1".parse().unwrap(), &b"HTTP"[..])
            );
            assert_eq!(read(b"0\r\n\r\n", size).unwrap(), Default::default());
        }
    }

    #[test]
    fn what_is_no_chunk_is_refused() {
        for text in [
            &b"\r\n\r\n"[..],
            b"x\r\n",
            b"-1\r\n",
            b"1\r\nab\r\n0\r\n\r\n",
            b"1\na\n0\n\n",
            b"2;\n12\r\n22\r\n0\r\n\r\n",
            b"1;\rx\r\na\r\n0\r\n\r\n",
            b"11111111111111111\r\n",
            b" 1\r\na\r\n0\r\n\r\n",
            b"0\r\nno colon\r\n\r\n",
        ] {
            assert_eq!(read(text, 100), Err(Some(Invalid)), "{:?}", String::from_utf8_lossy(text));
        }
        let endless = [b"1;".as_slice(), &[b'x'; SIZE_LINE_MAX]].concat();
        assert_eq!(read(&endless, 100), Err(Some(Invalid)));
        let endless = [b"0\r\n".as_slice(), &b"t: 1\r\n".repeat(TRAILERS_MAX / 6 + 20)].concat();
        assert_eq!(read(&endless, 100), Err(Some(Invalid)));
    }

    proptest! {
        #[test]
        fn the_cuts_do_not_matter(
            text in "([0-9a-fA-F]{1,2}(;x)?\r\n|[a-z]{0,9}\r\n|0\r\n|t: 1\r\n|\r\n|\\PC){0,9}",
            size in 1usize..9,
        ) {
            prop_assert_eq!(read(text.as_bytes(), size), read(text.as_bytes(), text.len().max(1)));
        }
    }
}
