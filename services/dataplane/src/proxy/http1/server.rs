//! A client's connection: requests come on it one after the other, and each gets its answer. The task that serves the connection shares it
//! with the body of the request, which whoever sends the request on reads.

use std::{
    cell::{RefCell, RefMut},
    io,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready},
};

use bytes::{BufMut as _, Bytes, BytesMut};
use http::{HeaderMap, Method, Request, StatusCode, Version, response::Parts};
use http_body::{Body, Frame, SizeHint};
use listener::{Alarm, HEAD_MAX, Io, Limits};
use tokio::io::AsyncWrite as _;

use super::{
    answer::write_answer,
    as_came::AsCame,
    date::Date,
    fields::{write_field, write_length},
    request::{BodyLength, Received, RefusedHead, parse_request},
    wire::{BodyEnd, ReadError, Wire},
    writer::{Coding, SendError},
};

/// What a client is told that waits before it sends a body.
const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";
/// The longest body that a client may have sent for nothing and go on using its connection, in bytes.
const READ_AWAY_MAX: u64 = 16 * 1024;
/// Most empty lines before a request.
const EMPTY_LINES_MAX: usize = 8;
/// Bytes of interim answers that may wait for a client. It can do without those beyond.
const INTERIM_BYTES_MAX: usize = 64 * 1024;

/// A client's connection.
pub struct Server {
    wire: Wire<Io>,
    alarm: Alarm,
    /// Of the request that came last.
    method: Method,
    version: Version,
    keeps_alive: bool,
    takes_trailers: bool,
    /// The client sends its body when it has been told to.
    expects: bool,
    /// It is being told.
    is_telling: bool,
    /// Those that came since the last request.
    empty_lines: usize,
    /// Number of the request that came last on the connection.
    number: u64,
    /// Whether somebody may still read its body.
    has_reader: bool,
}

/// The body of a request. When the next request has come, it is empty.
pub struct RequestReader {
    server: Rc<RefCell<Server>>,
    number: u64,
}

impl Server {
    /// A connection on which no request has begun. `first`: bytes that were read from it already.
    pub fn new(io: Io, first: BytesMut) -> Rc<RefCell<Self>> {
        Rc::new(RefCell::new(Self {
            wire: Wire::new(io, first),
            alarm: Alarm::default(),
            method: Method::GET,
            version: Version::HTTP_11,
            keeps_alive: true,
            takes_trailers: false,
            expects: false,
            is_telling: false,
            empty_lines: 0,
            number: 0,
            has_reader: false,
        }))
    }

    /// Reads the next request's head; `None` if there is no further request, or, if the connection `finishes`, none that has begun.
    pub fn poll_head(
        &mut self,
        cx: &mut Context<'_>,
        limits: &Limits,
        finishes: bool,
    ) -> Poll<Option<Result<Request<()>, RefusedHead>>> {
        loop {
            while self.wire.skip_empty_line() {
                self.empty_lines += 1;
                if self.empty_lines > EMPTY_LINES_MAX {
                    return Poll::Ready(Some(Err(self.refuse(RefusedHead::EMPTY))));
                }
            }
            if let Some(head) = self.wire.take_head() {
                self.alarm.clear();
                return Poll::Ready(Some(match parse_request(head) {
                    Ok(received) => Ok(self.begin(received)),
                    Err(refused) => Err(self.refuse(refused)),
                }));
            }
            if self.wire.input.len() > HEAD_MAX {
                return Poll::Ready(Some(Err(self.refuse(RefusedHead::too_long(&self.wire.input)))));
            }
            let has_begun = !self.wire.input.is_empty() || self.empty_lines > 0;
            match self.wire.poll_fill(cx) {
                Poll::Ready(Ok(0) | Err(_)) => return Poll::Ready(None),
                // From the first byte on, the time is that of a head.
                Poll::Ready(Ok(_)) if !has_begun => self.alarm.clear(),
                Poll::Ready(Ok(_)) => {}
                Poll::Pending if !has_begun && finishes => return Poll::Ready(None),
                Poll::Pending if !has_begun => {
                    self.wire.give_room_back();
                    return self.alarm.poll_after(limits.idle_timeout, cx).map(|()| None);
                }
                Poll::Pending => {
                    ready!(self.alarm.poll_after(limits.head_timeout, cx));
                    return Poll::Ready(Some(Err(self.refuse(RefusedHead::LATE))));
                }
            }
        }
    }

    fn begin(&mut self, received: Received) -> Request<()> {
        self.number += 1;
        self.empty_lines = 0;
        self.expects = received.expects_continue();
        let Received { request, length, keeps_alive, takes_trailers } = received;
        self.wire.begin_body(match length {
            BodyLength::Sized(length) => BodyEnd::Sized(length),
            BodyLength::Chunked => BodyEnd::Chunked,
        });
        self.method = request.method().clone();
        self.version = request.version();
        self.keeps_alive = keeps_alive;
        self.takes_trailers = takes_trailers;
        request
    }

    /// What was read is no request: it gets an answer as if it had been one, the last on this connection.
    fn refuse(&mut self, refused: RefusedHead) -> RefusedHead {
        if refused == RefusedHead::LATE {
            // A client that sends drop by drop has no more time.
            self.wire.stream.close_at_once();
        }
        (self.method, self.version) = (Method::GET, Version::HTTP_11);
        (self.keeps_alive, self.expects) = (false, false);
        refused
    }

    /// Writes what is to be written before the answer. Ready when the client is gone, as far as that can be seen: what it sends ahead is not
    /// read.
    pub fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if !self.wire.writer.is_empty()
            && let Poll::Ready(Err(_)) = self.wire.poll_write(cx)
        {
            return Poll::Ready(());
        }
        if self.wire.is_over()
            && self.wire.input.is_empty()
            && let Poll::Ready(Ok(0) | Err(_)) = self.wire.poll_fill(cx)
        {
            return Poll::Ready(());
        }
        Poll::Pending
    }

    /// Begins the answer. Says how its body, of which `size` is known, is sent. `came`: what an upstream said of it, besides what `answer`
    /// says. `is_last`: none follows on this connection, but for those to requests that have come already.
    pub fn begin_answer(
        &mut self,
        answer: &Parts,
        came: Option<&AsCame>,
        (size, told): (SizeHint, Option<u64>),
        is_last: bool,
        date: &Date,
    ) -> Coding {
        let Parts { status, headers, .. } = answer;
        let can_follow = self.can_follow();
        let another_has_come = self.wire.is_over() && !self.wire.input.is_empty();
        let is_last = is_last && !another_has_come;
        (self.expects, self.is_telling) = (false, false);
        let has_body = !status.is_informational()
            && !matches!(*status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
        let coding = match size.exact() {
            _ if !has_body || self.method == Method::HEAD => Coding::Over,
            Some(length) => Coding::Sized(length),
            None if self.version == Version::HTTP_11 => Coding::Chunked { trailers: self.takes_trailers },
            None => Coding::UntilClosed,
        };
        let output = &mut self.wire.writer.output;
        let written = write_answer(self.version, *status, headers, output);
        let has_date = came.is_some_and(|came| came.write(output)) || written.date;
        // A HEAD gets the length that a GET would get.
        if let Some(length) = told.filter(|_| has_body) {
            write_length(length, output);
        }
        if matches!(coding, Coding::Chunked { .. }) {
            write_field(b"transfer-encoding", b"chunked", output);
        }
        if !has_date && !status.is_informational() {
            date.with(|date| write_field(b"date", date.as_bytes(), output));
        }
        self.keeps_alive &= !is_last && !written.close && coding != Coding::UntilClosed && can_follow;
        match self.keeps_alive {
            _ if written.close || status.is_informational() => {}
            false => write_field(b"connection", b"close", output),
            true if self.version == Version::HTTP_10 => write_field(b"connection", b"keep-alive", output),
            true => {}
        }
        output.put_slice(b"\r\n");
        coding
    }

    /// Whether a request can follow although the body of this one was not read: if it is short, and nobody reads it.
    fn can_follow(&self) -> bool {
        let is_short = self.wire.left().exact().is_some_and(|left| left <= READ_AWAY_MAX);
        self.wire.is_over() || is_short && !self.has_reader && !self.expects
    }

    /// Sends the answer. An error also if the client is gone.
    pub fn poll_send<B>(
        &mut self,
        cx: &mut Context<'_>,
        body: Pin<&mut B>,
        coding: &mut Coding,
    ) -> Poll<Result<(), SendError<B::Error>>>
    where
        B: Body<Data = Bytes>,
    {
        let sent = self.wire.poll_send(cx, body, coding);
        if sent.is_pending() && self.poll_gone(cx).is_ready() {
            return Poll::Ready(Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()));
        }
        sent
    }

    /// After an answer: ready when the next request can be read; `false` if none can follow.
    pub fn poll_next(&mut self, cx: &mut Context<'_>, limits: &Limits) -> Poll<bool> {
        if !self.keeps_alive {
            return Poll::Ready(false);
        }
        loop {
            match self.wire.poll_frame(cx) {
                Poll::Ready(None) => {
                    self.alarm.clear();
                    return Poll::Ready(true);
                }
                Poll::Ready(Some(Ok(_))) => {}
                Poll::Ready(Some(Err(_))) => return Poll::Ready(false),
                Poll::Pending => return self.alarm.poll_after(limits.stall_timeout, cx).map(|()| false),
            }
        }
    }

    /// Closes the connection so that the last answer arrives.
    pub fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.wire.stream).poll_shutdown(cx)
    }

    /// Closes the connection so that the client sees that something is missing, also if it takes the end of the connection for the end of a
    /// body.
    pub fn reset(&self) {
        // Fails only if the connection is gone.
        let _ = self.wire.stream.stream().tcp().set_zero_linger();
    }

    /// The connection as bytes, and those of them that were read already.
    pub fn into_bytes(self) -> (Io, Bytes) {
        (self.wire.stream, self.wire.input.freeze())
    }
}

impl RequestReader {
    /// Of the request that came last on the connection.
    pub fn new(server: &Rc<RefCell<Server>>) -> Self {
        let mut held = server.borrow_mut();
        held.has_reader = true;
        Self { server: server.clone(), number: held.number }
    }

    /// The connection, for as long as the request is the last one on it.
    fn current(&self) -> Option<RefMut<'_, Server>> {
        Some(self.server.borrow_mut()).filter(|server| server.number == self.number)
    }

    /// Reads the next piece, or the trailers.
    pub fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, ReadError>>> {
        let Some(mut server) = self.current() else { return Poll::Ready(None) };
        if std::mem::take(&mut server.expects) && server.wire.input.is_empty() {
            server.wire.writer.output.put_slice(CONTINUE);
            server.is_telling = true;
        }
        if server.is_telling {
            match server.wire.poll_write(cx) {
                Poll::Ready(Err(error)) => return Poll::Ready(Some(Err(error.into()))),
                Poll::Ready(Ok(())) => server.is_telling = false,
                Poll::Pending => {}
            }
        }
        server.wire.poll_frame(cx)
    }

    /// Whether nothing is to come.
    pub fn is_end_stream(&self) -> bool {
        self.current().is_none_or(|server| server.wire.is_over())
    }

    /// How much is to come, as far as that is known.
    pub fn size_hint(&self) -> SizeHint {
        self.current().map_or_else(|| SizeHint::with_exact(0), |server| server.wire.left())
    }

    /// Passes an interim answer on.
    pub fn interim(&self, status: StatusCode, headers: &HeaderMap) {
        let Some(mut server) = self.current() else { return };
        let version = server.version;
        let output = &mut server.wire.writer.output;
        if version == Version::HTTP_11 && output.len() <= INTERIM_BYTES_MAX {
            write_answer(version, status, headers, output);
            output.put_slice(b"\r\n");
        }
    }
}

impl Drop for RequestReader {
    fn drop(&mut self) {
        if let Some(mut server) = self.current() {
            server.has_reader = false;
        }
    }
}
