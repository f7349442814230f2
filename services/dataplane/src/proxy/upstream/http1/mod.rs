//! A connection of HTTP/1.1 to an upstream, used by one request after the other.
//!
//! It has no task of its own: whoever uses it polls it, and nothing is read or written otherwise. A request's head is written from the
//! headers as they are held, so that an attempt can be repeated without a copy of them. An answer's body is passed on in the pieces in
//! which it was read.
//!
//! hyper's client was the limit: of the instructions of a request it took a quarter, most of them to pass messages between two tasks.
//! Heads and chunk sizes are parsed by httparse, as in hyper. What is the gateway's own is where a message ends (RFC 9112, section 6).

mod chunked;
mod head;

use std::{
    fmt::Write as _,
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll, Waker, ready},
};

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use http::{HeaderMap, Method, StatusCode, header::EXPECT};
use http_body::{Body as _, Frame, SizeHint};
use listener::Alarm;
use tokio::{io::AsyncWrite as _, net::TcpStream, time::Instant};
use tokio_rustls::client::TlsStream;
use tokio_util::{either::Either, io::poll_read_buf};

pub use self::head::{AnswerHead, RequestHead};
use self::{
    chunked::{Chunked, Read},
    head::BodyEnd,
};
use super::reads_on::ReadsOn;
use crate::{
    proxy::request_body::{AttemptBody, ClientBroken},
    view::Destination,
};

/// The longest head of an answer, in bytes. The number of headers has no limit of its own.
const HEAD_MAX: usize = 256 * 1024;
/// Most interim answers to one request.
const INTERIM_MAX: usize = 32;
/// Room that is made for reading: at least, for bytes of unknown number, and at most.
const ROOM_MIN: usize = 2 * 1024;
const ROOM: usize = 8 * 1024;
const ROOM_MAX: usize = 64 * 1024;

/// The bytes of a connection, plain or TLS.
pub type Stream = ReadsOn<Either<TcpStream, TlsStream<TcpStream>>>;

/// Bytes that are not valid HTTP, or that could be read in two ways.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the upstream's answer is not valid HTTP")]
pub struct Invalid;

/// Why an exchange ended early.
#[derive(Debug, thiserror::Error)]
pub enum ExchangeError {
    /// The connection ended.
    #[error("the connection to the upstream ended: {0}")]
    Ended(#[from] io::Error),
    /// What the upstream sends is not HTTP.
    #[error(transparent)]
    Invalid(#[from] Invalid),
    /// The request's body broke off.
    #[error(transparent)]
    Client(#[from] ClientBroken),
}

/// A connection.
pub struct Http1 {
    /// Where it leads.
    pub destination: Destination,
    stream: Stream,
    /// What was read and belongs to nobody yet.
    input: BytesMut,
    /// So many bytes of `input` were looked through for the end of a head.
    seen: usize,
    /// What is to be written first.
    output: BytesMut,
    /// A piece of the body that is to be written then, and what follows it.
    piece: Bytes,
    after_piece: &'static [u8],
    sending: Sending,
    receiving: Receiving,
    /// The method of the request: an answer to HEAD has no body.
    method: Method,
    keeps_alive: bool,
    interim: usize,
    /// For the time limits of requests. The timer behind it is kept with the connection.
    pub alarm: Alarm,
    /// When it was used last.
    pub free_since: Instant,
}

/// What is still to be taken from the request. `waits`: the body is held back until the upstream asks for it.
enum Sending {
    Body { body: AttemptBody, is_chunked: bool, waits: bool },
    Sent,
}

/// What is still to come of the answer.
enum Receiving {
    Head,
    Sized(u64),
    Chunked(Chunked),
    UntilClosed,
    Over,
}

impl Http1 {
    /// A connection that was just opened.
    pub fn new(stream: Stream, destination: Destination) -> Self {
        Self {
            destination,
            stream,
            input: BytesMut::new(),
            seen: 0,
            output: BytesMut::new(),
            piece: Bytes::new(),
            after_piece: b"",
            sending: Sending::Sent,
            receiving: Receiving::Over,
            method: Method::GET,
            keeps_alive: true,
            interim: 0,
            alarm: Alarm::default(),
            free_since: Instant::now(),
        }
    }

    /// Whether it cannot take a request: it is not done with the last one, the upstream has ended it, or has sent something unasked.
    pub fn is_stale(&mut self, cx: &mut Context<'_>) -> bool {
        !self.is_free() || self.poll_fill(cx).is_ready()
    }

    /// The same, where nobody waits for what comes on it.
    pub fn is_stale_now(&mut self) -> bool {
        self.is_stale(&mut Context::from_waker(Waker::noop()))
    }

    /// Whether the request and its answer are over, and another may follow.
    pub fn is_free(&self) -> bool {
        self.keeps_alive && self.is_over() && self.is_sent() && self.input.is_empty()
    }

    /// Begins a request. Nothing is written before it is polled.
    pub fn begin(&mut self, head: &RequestHead<'_>, body: AttemptBody) {
        head.write(&mut self.output);
        self.sending = match body.is_end_stream() {
            true => Sending::Sent,
            false => {
                let is_chunked = body.size_hint().exact().is_none();
                Sending::Body { is_chunked, body, waits: head.headers.contains_key(EXPECT) }
            }
        };
        self.receiving = Receiving::Head;
        self.method = head.method.clone();
        self.interim = 0;
    }

    /// Whether the body is held back: the request has `Expect: 100-continue`, and the upstream has said nothing yet.
    pub fn waits(&self) -> bool {
        matches!(self.sending, Sending::Body { waits: true, .. })
    }

    /// Sends the body that was held back.
    pub fn go_on(&mut self) {
        if let Sending::Body { waits, .. } = &mut self.sending {
            *waits = false;
        }
    }

    /// Whether all of the request has been written.
    pub fn is_sent(&self) -> bool {
        let is_written = self.output.is_empty() && self.piece.is_empty() && self.after_piece.is_empty();
        is_written && matches!(self.sending, Sending::Sent)
    }

    /// Whether nothing of the answer is to come.
    pub fn is_over(&self) -> bool {
        matches!(self.receiving, Receiving::Over)
    }

    /// How much of the answer's body is to come, as far as that is known.
    pub fn size_hint(&self) -> SizeHint {
        match self.receiving {
            Receiving::Sized(left) => SizeHint::with_exact(left),
            Receiving::Over => SizeHint::with_exact(0),
            Receiving::Head | Receiving::Chunked(_) | Receiving::UntilClosed => SizeHint::default(),
        }
    }

    /// Writes the request. Ready when all of it is written.
    pub fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), ExchangeError>> {
        loop {
            ready!(self.poll_write(cx))?;
            let Sending::Body { body, is_chunked, waits } = &mut self.sending else {
                return Poll::Ready(Ok(()));
            };
            if *waits {
                return Poll::Pending;
            }
            let is_chunked = *is_chunked;
            let frame = ready!(Pin::new(&mut *body).poll_frame(cx)).transpose()?;
            let is_last = frame.is_none() || body.is_end_stream();
            match frame.map(Frame::into_data) {
                None if is_chunked => self.output.put_slice(b"0\r\n\r\n"),
                None => {}
                Some(Ok(data)) if is_chunked && !data.is_empty() => {
                    // Writing to memory does not fail.
                    let _ = write!(self.output, "{:x}\r\n", data.len());
                    self.piece = data;
                    self.after_piece = if is_last { b"\r\n0\r\n\r\n" } else { b"\r\n" };
                }
                Some(Ok(_)) if is_chunked && is_last => self.output.put_slice(b"0\r\n\r\n"),
                Some(Ok(data)) => self.piece = data,
                Some(Err(frame)) => {
                    if let (true, Ok(trailers)) = (is_chunked, frame.into_trailers()) {
                        self.output.put_slice(b"0\r\n");
                        head::write_fields(&trailers, &mut self.output);
                    }
                    self.sending = Sending::Sent;
                    continue;
                }
            }
            if is_last {
                self.sending = Sending::Sent;
            }
        }
    }

    fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut stream = Pin::new(&mut self.stream);
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
                    let pieces = [IoSlice::new(&self.output), IoSlice::new(&self.piece)];
                    stream.as_mut().poll_write_vectored(cx, &pieces)
                }
            };
            let written = ready!(written)?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            let first = written.min(self.output.len());
            self.output.advance(first);
            self.piece.advance(written - first);
        }
    }

    /// Writes the request and reads the head of its answer. `headers` are those of the answer afterwards: what has room for a request's
    /// has room for these.
    pub fn poll_answer(
        &mut self,
        cx: &mut Context<'_>,
        headers: &mut HeaderMap,
    ) -> Poll<Result<AnswerHead, ExchangeError>> {
        // An upstream may answer before it has taken all.
        if let Poll::Ready(Err(error)) = self.poll_send(cx) {
            return Poll::Ready(Err(error));
        }
        loop {
            if let Some(length) = head::end(&self.input, self.seen).filter(|length| *length <= HEAD_MAX) {
                self.seen = 0;
                let head = head::parse(self.input.split_to(length).freeze(), headers)?;
                if head.is_interim() {
                    self.interim += 1;
                    if self.interim > INTERIM_MAX {
                        return Poll::Ready(Err(Invalid.into()));
                    }
                    if head.status == StatusCode::CONTINUE && self.waits() {
                        self.go_on();
                        if let Poll::Ready(Err(error)) = self.poll_send(cx) {
                            return Poll::Ready(Err(error));
                        }
                    }
                    continue;
                }
                return Poll::Ready(self.receive(&head, headers).map(|()| head));
            }
            self.seen = self.input.len();
            let begins_well = self.input.iter().zip(b"HTTP/1.").all(|(came, due)| came == due);
            if !begins_well || self.input.len() > HEAD_MAX {
                return Poll::Ready(Err(Invalid.into()));
            }
            if ready!(self.poll_fill(cx))? == 0 {
                return Poll::Ready(Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()));
            }
        }
    }

    fn receive(&mut self, head: &AnswerHead, headers: &mut HeaderMap) -> Result<(), ExchangeError> {
        let end = head.body_end(&self.method, headers)?;
        let refuses_body = self.waits();
        if refuses_body {
            self.sending = Sending::Sent;
        }
        self.keeps_alive = head.keeps_alive(headers) && head.status != StatusCode::SWITCHING_PROTOCOLS;
        self.receiving = match end {
            BodyEnd::Sized(0) => Receiving::Over,
            // It has no content (RFC 9110, section 15.3.6): what is said to come is not waited for.
            _ if head.status == StatusCode::RESET_CONTENT => {
                self.keeps_alive = false;
                Receiving::Over
            }
            BodyEnd::Sized(length) => Receiving::Sized(length),
            BodyEnd::Chunked => Receiving::Chunked(Chunked::default()),
            BodyEnd::Closed => {
                self.keeps_alive = false;
                Receiving::UntilClosed
            }
        };
        // It may wait for the body all the same.
        self.keeps_alive &= !refuses_body;
        Ok(())
    }

    /// Reads the next piece of the answer's body, or its trailers. Goes on writing the request, if something of it is left.
    pub fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, ExchangeError>>> {
        if !self.is_sent()
            && let Poll::Ready(Err(error)) = self.poll_send(cx)
        {
            return Poll::Ready(Some(Err(error)));
        }
        loop {
            match self.next_frame() {
                Ok(None) if self.is_over() => return Poll::Ready(None),
                Ok(None) => {}
                Ok(Some(frame)) => return Poll::Ready(Some(Ok(frame))),
                Err(error) => return Poll::Ready(Some(Err(error.into()))),
            }
            match ready!(self.poll_fill(cx)) {
                Ok(0) if matches!(self.receiving, Receiving::UntilClosed) => self.receiving = Receiving::Over,
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
        Ok(match &mut self.receiving {
            Receiving::Head | Receiving::Over => None,
            Receiving::Sized(_) | Receiving::UntilClosed if self.input.is_empty() => None,
            Receiving::UntilClosed => Some(Frame::data(self.input.split().freeze())),
            Receiving::Sized(left) => {
                let taken = usize::try_from(*left).unwrap_or(usize::MAX).min(self.input.len());
                *left -= taken as u64;
                if *left == 0 {
                    self.receiving = Receiving::Over;
                }
                Some(Frame::data(self.input.split_to(taken).freeze()))
            }
            Receiving::Chunked(chunked) => {
                let read = chunked.read(&mut self.input)?;
                if chunked.is_over() {
                    self.receiving = Receiving::Over;
                }
                match read {
                    Read::Data(data) => Some(Frame::data(data)),
                    Read::Trailers(trailers) => Some(Frame::trailers(trailers)),
                    Read::End | Read::Nothing => None,
                }
            }
        })
    }

    /// Reads some bytes; 0 at the end of the connection.
    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if self.input.capacity() - self.input.len() < ROOM_MIN {
            self.input.reserve(match self.receiving {
                Receiving::Sized(left) => usize::try_from(left).unwrap_or(ROOM_MAX).clamp(ROOM, ROOM_MAX),
                _ => ROOM,
            });
        }
        poll_read_buf(Pin::new(&mut self.stream), cx, &mut self.input)
    }

    /// Its bytes, and those that were read already: it has become a tunnel.
    pub fn into_tunnel(self) -> (Stream, Bytes) {
        (self.stream, self.input.freeze())
    }
}
