//! A connection of HTTP/1.1 to an upstream, used by one request after the other.
//!
//! A request's head is written from the headers as they are held, so that an attempt can be repeated without a copy of them.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, Waker, ready},
};

use bytes::{Bytes, BytesMut};
use http::{Method, StatusCode};
use http_body::{Body as _, Frame, SizeHint};
use listener::Alarm;
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;
use tokio_util::either::Either;

use super::reads_on::ReadsOn;
use crate::{
    proxy::{
        http1::{
            AnswerHead, BodyEnd, Coding, Invalid, ReadError, RequestHead, SendError, Wire, parse_answer,
        },
        request_body::{AttemptBody, ClientBroken},
    },
    view::Destination,
};

/// The longest head of an answer, in bytes. The number of headers has no limit of its own.
const HEAD_MAX: usize = 256 * 1024;
/// Most interim answers to one request.
const INTERIM_MAX: usize = 32;

/// The bytes of a connection, plain or TLS.
pub type Stream = ReadsOn<Either<TcpStream, TlsStream<TcpStream>>>;

/// Why an exchange ended early.
#[derive(Debug, thiserror::Error)]
pub enum ExchangeError {
    /// The connection ended.
    #[error("the connection to the upstream ended: {0}")]
    Ended(#[from] io::Error),
    /// What the upstream sends is not HTTP.
    #[error("the upstream's answer: {0}")]
    Invalid(#[from] Invalid),
    /// The request's body broke off.
    #[error(transparent)]
    Client(#[from] ClientBroken),
}

impl From<ReadError> for ExchangeError {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Ended(error) => Self::Ended(error),
            ReadError::Invalid(invalid) => Self::Invalid(invalid),
        }
    }
}

impl From<SendError<ClientBroken>> for ExchangeError {
    fn from(error: SendError<ClientBroken>) -> Self {
        match error {
            SendError::Ended(error) => Self::Ended(error),
            SendError::Body(broken) => Self::Client(broken),
            SendError::Length => Self::Client(ClientBroken::Length),
        }
    }
}

/// What comes on a connection when a request has been sent.
pub enum Came {
    /// An answer that another one follows.
    Interim(AnswerHead),
    /// The answer.
    Answer(AnswerHead),
}

/// A connection.
pub struct Http1 {
    /// Where it leads.
    pub destination: Destination,
    wire: Wire<Stream>,
    sending: Option<Sending>,
    is_answered: bool,
    /// The method of the request: an answer to HEAD has no body.
    method: Method,
    keeps_alive: bool,
    interim: usize,
    /// For the time limits of requests. The timer behind it is kept with the connection.
    pub alarm: Alarm,
    /// Sweeps of the pool since it was used last.
    pub idle: u8,
}

/// What is still to be sent of a request.
struct Sending {
    body: AttemptBody,
    coding: Coding,
    /// The body is held back until the upstream asks for it.
    waits: bool,
}

impl Http1 {
    /// A connection that was just opened.
    pub fn new(stream: Stream, destination: Destination) -> Self {
        Self {
            destination,
            wire: Wire::new(stream, BytesMut::new()),
            sending: None,
            is_answered: true,
            method: Method::GET,
            keeps_alive: true,
            interim: 0,
            alarm: Alarm::default(),
            idle: 0,
        }
    }

    /// Whether it cannot take a request: it is not done with the last one, the upstream has ended it, or has sent something unasked.
    pub fn is_stale(&mut self, cx: &mut Context<'_>) -> bool {
        !self.is_free() || self.wire.poll_fill(cx).is_ready()
    }

    /// The same, where nobody waits for what comes on it.
    pub fn is_stale_now(&mut self) -> bool {
        self.is_stale(&mut Context::from_waker(Waker::noop()))
    }

    /// Gives back memory that it needs no more while no request uses it.
    pub fn give_room_back(&mut self) {
        self.wire.give_room_back();
    }

    /// Whether the request and its answer are over, and another may follow.
    pub fn is_free(&self) -> bool {
        self.keeps_alive && self.is_over() && self.is_sent() && self.wire.input.is_empty()
    }

    /// Begins a request. Nothing is written before it is polled. `waits`: its body is held back until the upstream asks for it.
    pub fn begin(&mut self, head: &RequestHead<'_>, body: AttemptBody, waits: bool) {
        head.write(&mut self.wire.writer.output);
        self.sending = (!body.is_end_stream()).then(|| {
            let coding = body.size_hint().exact().map_or(Coding::Chunked { trailers: true }, Coding::Sized);
            Sending { coding, body, waits }
        });
        self.is_answered = false;
        self.method = head.method.clone();
        self.interim = 0;
    }

    /// Whether the body is held back: the request has `Expect: 100-continue`, and the upstream has said nothing yet.
    pub fn waits(&self) -> bool {
        self.sending.as_ref().is_some_and(|sending| sending.waits)
    }

    /// Sends the body that was held back.
    pub fn go_on(&mut self) {
        if let Some(sending) = &mut self.sending {
            sending.waits = false;
        }
    }

    /// Whether all of the request has been written.
    pub fn is_sent(&self) -> bool {
        self.sending.is_none() && self.wire.writer.is_empty()
    }

    /// Whether nothing of the answer is to come.
    pub fn is_over(&self) -> bool {
        self.is_answered && self.wire.is_over()
    }

    /// How much of the answer's body is to come, as far as that is known.
    pub fn size_hint(&self) -> SizeHint {
        self.wire.left()
    }

    /// Writes the request. Ready when all of it is written.
    pub fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), ExchangeError>> {
        match &mut self.sending {
            Some(Sending { body, coding, waits: false }) => {
                ready!(self.wire.poll_send(cx, Pin::new(body), coding))?;
                self.sending = None;
                Poll::Ready(Ok(()))
            }
            Some(Sending { waits: true, .. }) => {
                ready!(self.wire.poll_write(cx))?;
                Poll::Pending
            }
            None => self.wire.poll_write(cx).map_err(ExchangeError::Ended),
        }
    }

    /// Writes the request and reads the head of its answer, or of one that is sent before it.
    pub fn poll_answer(&mut self, cx: &mut Context<'_>) -> Poll<Result<Came, ExchangeError>> {
        // An upstream may answer before it has taken all.
        if !self.is_sent()
            && let Poll::Ready(Err(error)) = self.poll_send(cx)
        {
            return Poll::Ready(Err(error));
        }
        loop {
            let begins_well = self.wire.input.iter().zip(b"HTTP/1.").all(|(came, due)| came == due);
            if !begins_well {
                return Poll::Ready(Err(Invalid.into()));
            }
            if let Some(head) = self.wire.take_head() {
                return Poll::Ready(self.came(&head));
            }
            if self.wire.input.len() > HEAD_MAX {
                return Poll::Ready(Err(Invalid.into()));
            }
            if ready!(self.wire.poll_fill(cx))? == 0 {
                return Poll::Ready(Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()));
            }
        }
    }

    fn came(&mut self, head: &Bytes) -> Result<Came, ExchangeError> {
        if head.len() > HEAD_MAX {
            return Err(Invalid.into());
        }
        let answer = parse_answer(head)?;
        if answer.is_interim() {
            self.interim += 1;
            if self.interim > INTERIM_MAX {
                return Err(Invalid.into());
            }
            if answer.status == StatusCode::CONTINUE {
                self.go_on();
            }
            return Ok(Came::Interim(answer));
        }
        self.receive(&answer)?;
        Ok(Came::Answer(answer))
    }

    fn receive(&mut self, head: &AnswerHead) -> Result<(), ExchangeError> {
        let mut end = head.body_end(&self.method)?;
        let refuses_body = self.waits();
        if refuses_body {
            self.sending = None;
        }
        self.keeps_alive = head.keeps_alive() && head.status != StatusCode::SWITCHING_PROTOCOLS;
        // It has no content (RFC 9110, section 15.3.6): what is said to come is not waited for.
        if head.status == StatusCode::RESET_CONTENT && end != BodyEnd::Sized(0) {
            (self.keeps_alive, end) = (false, BodyEnd::Sized(0));
        }
        // One that refuses the body may wait for it all the same.
        self.keeps_alive &= !refuses_body && end != BodyEnd::Closed;
        self.is_answered = true;
        self.wire.begin_body(end);
        Ok(())
    }

    /// Reads the next piece of the answer's body, or its trailers. Goes on writing the request, if something of it is left.
    pub fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, ExchangeError>>> {
        if !self.is_sent()
            && let Poll::Ready(Err(error)) = self.poll_send(cx)
        {
            return Poll::Ready(Some(Err(error)));
        }
        self.wire.poll_frame(cx).map_err(ExchangeError::from)
    }

    /// Its bytes, and those that were read already: it has become a tunnel.
    pub fn into_tunnel(self) -> (Stream, Bytes) {
        (self.wire.stream, self.wire.input.freeze())
    }
}
