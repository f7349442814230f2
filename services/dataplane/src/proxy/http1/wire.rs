//! A connection of HTTP/1.1: what was read from it and belongs to nobody yet, and what is to be written. Both sides stand on it.
//!
//! It has no task of its own: whoever uses it polls it, and nothing is read or written otherwise. A body is handed on in the pieces in
//! which it was read.

use std::{
    io,
    mem::MaybeUninit,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::{Buf as _, Bytes, BytesMut};
use http_body::{Body, Frame, SizeHint};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_util::io::poll_read_buf;

use super::{
    Invalid,
    chunked::{Chunked, Read},
    fields,
    writer::{Coding, SendError, Writer},
};

/// Room for reading while it is not known how much comes. On the stack, so that a connection without a message holds no memory for one.
const ROOM: usize = 8 * 1024;
/// Bytes that a message may have in a buffer for the buffer to be kept for the next one.
const ROOM_KEPT: usize = 2 * 1024;
/// Room that is made for a body: at least, and at most.
const BODY_ROOM_MIN: usize = 2 * 1024;
const BODY_ROOM_MAX: usize = 64 * 1024;

/// A connection's bytes.
#[derive(Debug)]
pub struct Wire<S> {
    /// The connection.
    pub stream: S,
    /// What was read and belongs to nobody yet.
    pub input: BytesMut,
    /// So many bytes of `input` were looked through for the end of a head.
    seen: usize,
    /// What is to be written.
    pub writer: Writer,
    body: Reading,
    /// Whether a buffer was needed that is larger than those for usual heads.
    has_grown: bool,
}

/// How a body ends that is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyEnd {
    /// After so many bytes.
    Sized(u64),
    /// With the last chunk and the trailers.
    Chunked,
    /// With the connection.
    Closed,
}

/// What is still to be read of a body.
#[derive(Debug)]
enum Reading {
    Sized(u64),
    Chunked(Chunked),
    UntilClosed,
    Over,
}

/// Why nothing more can be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The connection ended.
    #[error("the connection ended: {0}")]
    Ended(#[from] io::Error),
    #[error(transparent)]
    Invalid(#[from] Invalid),
}

impl<S: AsyncRead + AsyncWrite + Unpin> Wire<S> {
    /// A connection on which no message has begun. `input`: what was read from it already.
    pub fn new(stream: S, input: BytesMut) -> Self {
        Self { stream, input, seen: 0, writer: Writer::default(), body: Reading::Over, has_grown: false }
    }

    /// Passes over an empty line, which may come before a request (RFC 9112, section 2.2). Says whether there was one.
    pub fn skip_empty_line(&mut self) -> bool {
        let is_empty = self.input.starts_with(b"\r\n");
        if is_empty {
            self.input.advance(2);
            self.seen = 0;
        }
        is_empty
    }

    /// Takes the head of the next message, with its empty line, out of what was read. `None` if it is not all there.
    pub fn take_head(&mut self) -> Option<Bytes> {
        match fields::end(&self.input, self.seen) {
            Some(length) => {
                self.seen = 0;
                Some(self.input.split_to(length).freeze())
            }
            None => {
                self.seen = self.input.len();
                None
            }
        }
    }

    /// Reads some bytes of a head, or of nothing yet; 0 at the end of the connection.
    pub fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let mut room = [MaybeUninit::uninit(); ROOM];
        let mut room = ReadBuf::uninit(&mut room);
        ready!(Pin::new(&mut self.stream).poll_read(cx, &mut room))?;
        self.input.extend_from_slice(room.filled());
        self.has_grown |= self.input.len() > ROOM_KEPT;
        Poll::Ready(Ok(room.filled().len()))
    }

    /// Gives back the memory of long messages, while there is none.
    pub fn give_room_back(&mut self) {
        if self.has_grown && self.input.is_empty() && self.writer.is_empty() {
            (self.input, self.writer) = (BytesMut::new(), Writer::default());
            self.has_grown = false;
        }
    }

    /// Begins to read a body.
    pub fn begin_body(&mut self, end: BodyEnd) {
        self.body = match end {
            BodyEnd::Sized(0) => Reading::Over,
            BodyEnd::Sized(length) => Reading::Sized(length),
            BodyEnd::Chunked => Reading::Chunked(Chunked::default()),
            BodyEnd::Closed => Reading::UntilClosed,
        };
    }

    /// Whether nothing of a body is to be read.
    pub fn is_over(&self) -> bool {
        matches!(self.body, Reading::Over)
    }

    /// How much of the body is to be read, as far as that is known.
    pub fn left(&self) -> SizeHint {
        match self.body {
            Reading::Sized(left) => SizeHint::with_exact(left),
            Reading::Over => SizeHint::with_exact(0),
            Reading::Chunked(_) | Reading::UntilClosed => SizeHint::default(),
        }
    }

    /// Reads the next piece of the body, or its trailers; `None` at its end.
    pub fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, ReadError>>> {
        loop {
            match self.next_frame() {
                Ok(None) if self.is_over() => return Poll::Ready(None),
                Ok(None) => {}
                Ok(Some(frame)) => return Poll::Ready(Some(Ok(frame))),
                Err(error) => return Poll::Ready(Some(Err(error.into()))),
            }
            match ready!(self.poll_fill_body(cx)) {
                Ok(0) if matches!(self.body, Reading::UntilClosed) => self.body = Reading::Over,
                Ok(0) => {
                    let error = io::Error::from(io::ErrorKind::UnexpectedEof);
                    return Poll::Ready(Some(Err(error.into())));
                }
                Ok(_) => {}
                Err(error) => return Poll::Ready(Some(Err(error.into()))),
            }
        }
    }

    /// The next piece, of what was read; `None` if there is none.
    fn next_frame(&mut self) -> Result<Option<Frame<Bytes>>, Invalid> {
        Ok(match &mut self.body {
            Reading::Over => None,
            Reading::Sized(_) | Reading::UntilClosed if self.input.is_empty() => None,
            Reading::UntilClosed => Some(Frame::data(self.input.split().freeze())),
            Reading::Sized(left) => {
                let taken = usize::try_from(*left).unwrap_or(usize::MAX).min(self.input.len());
                *left -= taken as u64;
                if *left == 0 {
                    self.body = Reading::Over;
                }
                Some(Frame::data(self.input.split_to(taken).freeze()))
            }
            Reading::Chunked(chunked) => {
                let read = chunked.read(&mut self.input)?;
                if chunked.is_over() {
                    self.body = Reading::Over;
                }
                match read {
                    Read::Data(data) => Some(Frame::data(data)),
                    Read::Trailers(trailers) => Some(Frame::trailers(trailers)),
                    Read::End | Read::Nothing => None,
                }
            }
        })
    }

    /// Reads some bytes of a body; 0 at the end of the connection.
    fn poll_fill_body(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if self.input.capacity() - self.input.len() < BODY_ROOM_MIN {
            self.has_grown = true;
            self.input.reserve(match self.body {
                Reading::Sized(left) => {
                    usize::try_from(left).unwrap_or(BODY_ROOM_MAX).clamp(ROOM, BODY_ROOM_MAX)
                }
                _ => ROOM,
            });
        }
        poll_read_buf(Pin::new(&mut self.stream), cx, &mut self.input)
    }

    /// Writes what is to be written.
    pub fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.writer.poll_write(&mut self.stream, cx)
    }

    /// Writes what is to be written, and then `body` ([`Writer::poll_body`]).
    pub fn poll_send<B>(
        &mut self,
        cx: &mut Context<'_>,
        body: Pin<&mut B>,
        coding: &mut Coding,
    ) -> Poll<Result<(), SendError<B::Error>>>
    where
        B: Body<Data = Bytes>,
    {
        self.has_grown |= self.writer.output.len() > ROOM_KEPT;
        self.writer.poll_body(&mut self.stream, cx, body, coding)
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use tokio::io::AsyncWriteExt as _;

    use super::*;

    #[tokio::test]
    async fn memory_of_long_messages_is_not_kept() {
        let (mut far, near) = tokio::io::duplex(1 << 20);
        let mut wire = Wire::new(near, BytesMut::new());
        let mut cx = Context::from_waker(Waker::noop());
        far.write_all(&[b"GET / HTTP/1.1\r\n\r\n".as_slice(), &[b'x'; 100_000]].concat()).await.unwrap();
        assert!(matches!(wire.poll_fill(&mut cx), Poll::Ready(Ok(_))));
        assert!(wire.take_head().is_some());
        wire.begin_body(BodyEnd::Sized(100_000));
        while let Poll::Ready(Some(frame)) = wire.poll_frame(&mut cx) {
            assert!(frame.is_ok());
            // Not while something may still come.
            wire.give_room_back();
        }
        assert!(wire.is_over() && wire.input.is_empty());
        wire.give_room_back();
        assert_eq!((wire.input.capacity(), wire.has_grown), (0, false));
    }
}
