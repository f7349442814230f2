//! A request's body on its way to the upstream: passed on frame by frame, with a time limit, never buffered.
//!
//! A body that breaks off at the client breaks off at the upstream. An error here makes whoever sends it end the connection or reset the
//! stream, so a body that is too short never looks complete.

use std::{
    cell::{Cell, RefCell},
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use http_body::{Body, Frame, SizeHint};
use listener::Alarm;
use tokio::time::Instant;

use super::{
    headers::clean_trailers,
    http1::{ReadError, RequestReader},
};

/// A request's body as it comes.
pub enum Incoming {
    /// On a connection of HTTP/1.1.
    Http1(RequestReader),
    /// On a stream of HTTP/2.
    Http2(hyper::body::Incoming),
}

impl Incoming {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, ClientBroken>>> {
        match self {
            Self::Http1(reader) => reader.poll_frame(cx).map_err(ClientBroken::Http1),
            Self::Http2(body) => Pin::new(body).poll_frame(cx).map_err(ClientBroken::Http2),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Http1(reader) => reader.is_end_stream(),
            Self::Http2(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Http1(reader) => reader.size_hint(),
            Self::Http2(body) => body.size_hint(),
        }
    }
}

/// Why a client's body broke off.
#[derive(Debug, thiserror::Error)]
pub enum ClientBroken {
    #[error("the client's body did not arrive in time")]
    Timeout,
    #[error("the client's body broke off: {0}")]
    Http1(ReadError),
    #[error("the client's body broke off: {0}")]
    Http2(hyper::Error),
    #[error("the client's body is not as long as was said")]
    Length,
    #[error("the body was sent already")]
    Sent,
}

/// How far a request's body has come; decides which time limit holds.
#[derive(Clone, Copy, Debug)]
enum Phase {
    /// The client has to send the next bytes.
    Client,
    /// Since then the upstream has bytes to take.
    Upstream(Instant),
    /// Since then everything has been handed over.
    Sent(Instant),
}

/// A request's body. It belongs to no attempt, so that an attempt that has not read from it can be repeated.
pub struct RequestBody {
    shared: Rc<Shared>,
    size: SizeHint,
    is_empty: bool,
    client_timeout: Option<Duration>,
}

struct Shared {
    incoming: RefCell<Incoming>,
    /// Whether an attempt has read from it. No other can then.
    is_touched: Cell<bool>,
    phase: Cell<Phase>,
    /// Bytes that have come of it.
    received: Cell<u64>,
}

impl RequestBody {
    /// A body within which the client may pause for `client_timeout`; `None`: for as long as it likes.
    pub fn new(incoming: Incoming, client_timeout: Option<Duration>) -> Self {
        let (size, is_empty) = (incoming.size_hint(), incoming.is_end_stream());
        let shared = Rc::new(Shared {
            incoming: RefCell::new(incoming),
            is_touched: Cell::new(false),
            phase: Cell::new(Phase::Client),
            received: Cell::new(0),
        });
        Self { shared, size, is_empty, client_timeout }
    }

    /// Passes an interim answer on to the client. Not over HTTP/2, where hyper has no way to.
    pub fn interim(&self, status: StatusCode, headers: &HeaderMap) {
        if let Incoming::Http1(client) = &*self.shared.incoming.borrow() {
            client.interim(status, headers);
        }
    }

    /// Whether there is no body at all.
    pub fn is_empty(&self) -> bool {
        self.is_empty
    }

    /// How many bytes have come of it.
    pub fn received(&self) -> u64 {
        self.shared.received.get()
    }

    /// Its length, as far as it is known.
    pub fn size(&self) -> &SizeHint {
        &self.size
    }

    /// When the upstream's time is over, in the present phase; `None` while the client has to send.
    pub fn deadline(&self, write_timeout: Duration, read_timeout: Duration) -> Option<Instant> {
        match self.shared.phase.get() {
            Phase::Client => None,
            Phase::Upstream(since) => Some(since + write_timeout),
            Phase::Sent(since) => Some(since + read_timeout),
        }
    }

    /// Whether no attempt has read from the body.
    pub fn is_untouched(&self) -> bool {
        self.is_empty || !self.shared.is_touched.get()
    }

    /// The body for one more attempt. The upstream's time begins now.
    pub fn begin(&self) -> AttemptBody {
        let now = Instant::now();
        self.shared.phase.set(if self.is_empty { Phase::Sent(now) } else { Phase::Upstream(now) });
        AttemptBody {
            source: self.shared.clone(),
            size: self.size,
            is_empty: self.is_empty,
            is_reading: false,
            paused: Alarm::default(),
            client_timeout: self.client_timeout,
        }
    }
}

/// The body of one attempt. The connection to the upstream reads it.
pub struct AttemptBody {
    source: Rc<Shared>,
    size: SizeHint,
    is_empty: bool,
    /// Whether it is this attempt that reads.
    is_reading: bool,
    client_timeout: Option<Duration>,
    /// Rings when the client has paused for too long.
    paused: Alarm,
}

impl Body for AttemptBody {
    type Data = Bytes;
    type Error = ClientBroken;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, ClientBroken>>> {
        let this = self.get_mut();
        if this.is_empty {
            return Poll::Ready(None);
        }
        if !this.is_reading && this.source.is_touched.replace(true) {
            return Poll::Ready(Some(Err(ClientBroken::Sent)));
        }
        this.is_reading = true;
        let incoming = &mut *this.source.incoming.borrow_mut();
        let Poll::Ready(frame) = incoming.poll_frame(cx) else {
            this.source.phase.set(Phase::Client);
            let Some(timeout) = this.client_timeout else { return Poll::Pending };
            ready!(this.paused.poll_after(timeout, cx));
            return Poll::Ready(Some(Err(ClientBroken::Timeout)));
        };
        this.paused.clear();
        if let Some(Ok(frame)) = &frame {
            let more = frame.data_ref().map_or(0, |data| data.len() as u64);
            this.source.received.set(this.source.received.get() + more);
        }
        // After the last frame nobody asks again.
        let is_all = frame.is_none() || incoming.is_end_stream();
        let now = Instant::now();
        this.source.phase.set(if is_all { Phase::Sent(now) } else { Phase::Upstream(now) });
        Poll::Ready(frame.map(|frame| frame.map(clean_trailers)))
    }

    fn is_end_stream(&self) -> bool {
        self.is_empty || self.is_reading && self.source.incoming.borrow().is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        match self.is_reading {
            true => self.source.incoming.borrow().size_hint(),
            false => self.size,
        }
    }
}
