//! What is to be written to a connection: heads, and bodies piece by piece, each when the one before has been taken.

use std::{
    fmt::Write as _,
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use http_body::{Body, Frame};
use tokio::io::AsyncWrite;

use super::fields::write_fields;

/// The longest piece of a body that is copied behind the head, in bytes.
const COPIED_MAX: usize = 2 * 1024;

/// Bytes of heads and short pieces that wait at most before they are written.
const OUTPUT_MAX: usize = 16 * 1024;

/// Bytes that wait to be written.
#[derive(Debug, Default)]
pub struct Writer {
    /// Heads, and what stands between the pieces of a body.
    pub output: BytesMut,
    /// A piece of a body that follows, as it was read.
    piece: Bytes,
    after_piece: &'static [u8],
}

/// How a body's end is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coding {
    /// By its length: so many bytes are still to come.
    Sized(u64),
    /// By a last chunk, and trailers where whoever reads it takes them.
    Chunked { trailers: bool },
    /// By the end of the connection.
    UntilClosed,
    /// It has been told.
    Over,
}

/// Why a message could not be sent.
#[derive(Debug, thiserror::Error)]
pub enum SendError<E> {
    /// The connection ended.
    #[error("the connection ended: {0}")]
    Ended(#[from] io::Error),
    /// The body broke off.
    #[error(transparent)]
    Body(E),
    /// The body is longer or shorter than was said.
    #[error("the body is not as long as was said")]
    Length,
}

impl Writer {
    /// Whether everything has been written.
    pub fn is_empty(&self) -> bool {
        self.output.is_empty() && self.piece.is_empty() && self.after_piece.is_empty()
    }

    /// Writes what is there.
    pub fn poll_write<S>(&mut self, stream: &mut S, cx: &mut Context<'_>) -> Poll<io::Result<()>>
    where
        S: AsyncWrite + Unpin,
    {
        let mut stream = Pin::new(stream);
        loop {
            if self.output.is_empty() && self.piece.is_empty() {
                if self.after_piece.is_empty() {
                    return stream.poll_flush(cx);
                }
                self.output.put_slice(std::mem::take(&mut self.after_piece));
            }
            let written = match self.piece.is_empty() {
                true => stream.as_mut().poll_write(cx, &self.output),
                false => {
                    let pieces = [
                        IoSlice::new(&self.output),
                        IoSlice::new(&self.piece),
                        IoSlice::new(self.after_piece),
                    ];
                    stream.as_mut().poll_write_vectored(cx, &pieces)
                }
            };
            let written = ready!(written)?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.advance(written);
        }
    }

    /// Takes away what was written.
    fn advance(&mut self, written: usize) {
        let head = written.min(self.output.len());
        self.output.advance(head);
        let piece = (written - head).min(self.piece.len());
        self.piece.advance(piece);
        let after = written - head - piece;
        self.after_piece = self.after_piece.get(after..).unwrap_or_default();
    }

    /// Writes what is there and then `body`, and notes in `coding` how far it is. Ready when all is written. What is ready at the same
    /// time is written together.
    pub fn poll_body<S, B>(
        &mut self,
        stream: &mut S,
        cx: &mut Context<'_>,
        mut body: Pin<&mut B>,
        coding: &mut Coding,
    ) -> Poll<Result<(), SendError<B::Error>>>
    where
        S: AsyncWrite + Unpin,
        B: Body<Data = Bytes>,
    {
        loop {
            while self.piece.is_empty() && self.output.len() <= OUTPUT_MAX && *coding != Coding::Over {
                match body.as_mut().poll_frame(cx) {
                    Poll::Ready(Some(Err(error))) => {
                        // What came of it is shown, if that takes no time.
                        let _ = self.poll_write(stream, cx);
                        return Poll::Ready(Err(SendError::Body(error)));
                    }
                    Poll::Ready(frame) => {
                        let frame = frame.and_then(Result::ok);
                        let is_last = frame.is_none() || body.is_end_stream();
                        self.put(frame, is_last, coding).ok_or(SendError::Length)?;
                    }
                    Poll::Pending => {
                        ready!(self.poll_write(stream, cx))?;
                        return Poll::Pending;
                    }
                }
            }
            ready!(self.poll_write(stream, cx))?;
            if *coding == Coding::Over {
                return Poll::Ready(Ok(()));
            }
        }
    }

    /// Takes a frame of a body, or its end. `None` if its length is not what was said.
    fn put(&mut self, frame: Option<Frame<Bytes>>, is_last: bool, coding: &mut Coding) -> Option<()> {
        let (data, trailers) = match frame.map(Frame::into_data) {
            Some(Ok(data)) => (data, None),
            Some(Err(frame)) => (Bytes::new(), frame.into_trailers().ok()),
            None => (Bytes::new(), None),
        };
        let is_last = is_last || trailers.is_some();
        match coding {
            Coding::Sized(left) => {
                *left = left.checked_sub(data.len() as u64)?;
                if is_last && *left > 0 {
                    return None;
                }
            }
            Coding::Chunked { trailers: takes_trailers } => {
                if !data.is_empty() {
                    // Writing to memory does not fail.
                    let _ = write!(self.output, "{:x}\r\n", data.len());
                    self.after_piece = if is_last { b"\r\n0\r\n\r\n" } else { b"\r\n" };
                } else if let Some(trailers) = trailers.filter(|_| *takes_trailers) {
                    self.output.put_slice(b"0\r\n");
                    write_fields(&trailers, &mut self.output);
                } else if is_last {
                    self.output.put_slice(b"0\r\n\r\n");
                }
            }
            Coding::UntilClosed | Coding::Over => {}
        }
        // To copy a short piece is cheaper than to write three.
        if data.len() <= COPIED_MAX {
            self.output.put_slice(&data);
            self.output.put_slice(std::mem::take(&mut self.after_piece));
        } else {
            self.piece = data;
        }
        if is_last {
            *coding = Coding::Over;
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::VecDeque, convert::Infallible, task::Waker};

    use http::{HeaderMap, HeaderValue};

    use super::*;

    /// A body of given frames. Of `None` it waits.
    struct Frames(VecDeque<Option<Frame<Bytes>>>);

    impl Body for Frames {
        type Data = Bytes;
        type Error = Infallible;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
            match self.0.pop_front() {
                Some(None) => Poll::Pending,
                frame => Poll::Ready(frame.flatten().map(Ok)),
            }
        }

        fn is_end_stream(&self) -> bool {
            self.0.is_empty()
        }
    }

    fn data(text: &'static str) -> Option<Frame<Bytes>> {
        Some(Frame::data(Bytes::from_static(text.as_bytes())))
    }

    const CHUNKED: Coding = Coding::Chunked { trailers: true };

    /// What is written of a body behind `head`, and whether it was all right.
    fn written(frames: impl IntoIterator<Item = Option<Frame<Bytes>>>, mut coding: Coding) -> (String, bool) {
        let (mut writer, mut stream) = (Writer::default(), Vec::new());
        writer.output.put_slice(b"head ");
        let mut body = Frames(frames.into_iter().collect());
        let mut cx = Context::from_waker(Waker::noop());
        loop {
            match writer.poll_body(&mut stream, &mut cx, Pin::new(&mut body), &mut coding) {
                Poll::Ready(sent) => return (String::from_utf8(stream).unwrap(), sent.is_ok()),
                Poll::Pending => assert!(writer.is_empty(), "what is there is written before it waits"),
            }
        }
    }

    #[test]
    fn bodies_end_as_their_coding_says() {
        let ab = || [data("a"), None, data("bc")];
        assert_eq!(written(ab(), Coding::Sized(3)), ("head abc".into(), true));
        assert_eq!(written(ab(), Coding::UntilClosed), ("head abc".into(), true));
        assert_eq!(written(ab(), CHUNKED), ("head 1\r\na\r\n2\r\nbc\r\n0\r\n\r\n".into(), true));
        assert_eq!(written([], CHUNKED), ("head 0\r\n\r\n".into(), true));
        assert_eq!(written([data(""), data("")], CHUNKED), ("head 0\r\n\r\n".into(), true));
        assert_eq!(written([], Coding::Sized(0)), ("head ".into(), true));
        let trailers = HeaderMap::from_iter([(http::header::ETAG, HeaderValue::from_static("1"))]);
        let with_trailers = || [data("a"), Some(Frame::trailers(trailers.clone()))];
        let chunked = "head 1\r\na\r\n0\r\netag: 1\r\n\r\n";
        assert_eq!(written(with_trailers(), CHUNKED), (chunked.into(), true));
        let untaken = Coding::Chunked { trailers: false };
        assert_eq!(written(with_trailers(), untaken), ("head 1\r\na\r\n0\r\n\r\n".into(), true));
        assert_eq!(written(with_trailers(), Coding::Sized(1)), ("head a".into(), true));
    }

    #[test]
    fn a_body_of_another_length_never_looks_complete() {
        assert_eq!(written([data("ab"), None, data("cd")], Coding::Sized(3)), ("head ab".into(), false));
        assert!(!written([data("ab")], Coding::Sized(3)).1);
        assert!(!written([], Coding::Sized(1)).1);
        assert!(!written([data("ab")], Coding::Sized(0)).1);
    }

    #[test]
    fn bytes_that_were_written_in_part_are_not_written_again() {
        for taken in 0..=12 {
            let mut writer =
                Writer { output: BytesMut::from("3\r\n"), piece: "abc".into(), after_piece: b"\r\n0\r\n" };
            writer.advance(taken.min(11));
            let left = [&writer.output, &*writer.piece, writer.after_piece].concat();
            assert_eq!(left, b"3\r\nabc\r\n0\r\n".get(taken.min(11)..).unwrap());
        }
    }
}
