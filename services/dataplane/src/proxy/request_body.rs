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
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use listener::Alarm;
use tokio::time::Instant;

use super::headers::clean_trailers;

/// Why a client's body broke off.
#[derive(Debug, thiserror::Error)]
pub enum ClientBroken {
    #[error("the client's body did not arrive in time")]
    Timeout,
    #[error("the client's body broke off: {0}")]
    Broke(hyper::Error),
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
#[derive(Debug)]
pub struct RequestBody {
    shared: Rc<Shared>,
    size: SizeHint,
    is_empty: bool,
    client_timeout: Duration,
}

#[derive(Debug)]
struct Shared {
    /// Taken by the attempt that reads from it first.
    incoming: RefCell<Option<Incoming>>,
    phase: Cell<Phase>,
}

impl RequestBody {
    /// A body within which the client may pause for `client_timeout`.
    pub fn new(incoming: Incoming, client_timeout: Duration) -> Self {
        let (size, is_empty) = (incoming.size_hint(), incoming.is_end_stream());
        let incoming = RefCell::new(Some(incoming));
        let shared = Rc::new(Shared { incoming, phase: Cell::new(Phase::Client) });
        Self { shared, size, is_empty, client_timeout }
    }

    /// Whether there is no body at all.
    pub fn is_empty(&self) -> bool {
        self.is_empty
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

    /// Whether all of it has been handed over to the upstream's connection.
    pub fn is_sent(&self) -> bool {
        matches!(self.shared.phase.get(), Phase::Sent(_))
    }

    /// Whether no attempt has read from the body.
    pub fn is_untouched(&self) -> bool {
        self.is_empty || self.shared.incoming.borrow().is_some()
    }

    /// The body for one more attempt. The upstream's time begins now.
    pub fn begin(&self) -> AttemptBody {
        let now = Instant::now();
        self.shared.phase.set(if self.is_empty { Phase::Sent(now) } else { Phase::Upstream(now) });
        AttemptBody {
            source: self.shared.clone(),
            size: self.size,
            is_empty: self.is_empty,
            incoming: None,
            paused: Alarm::default(),
            client_timeout: self.client_timeout,
        }
    }
}

/// The body of one attempt. The connection to the upstream reads it.
#[derive(Debug)]
pub struct AttemptBody {
    source: Rc<Shared>,
    size: SizeHint,
    is_empty: bool,
    incoming: Option<Incoming>,
    client_timeout: Duration,
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
        if this.incoming.is_none() {
            this.incoming = this.source.incoming.borrow_mut().take();
        }
        let Some(incoming) = &mut this.incoming else { return Poll::Ready(Some(Err(ClientBroken::Sent))) };
        let Poll::Ready(frame) = Pin::new(&mut *incoming).poll_frame(cx) else {
            this.source.phase.set(Phase::Client);
            ready!(this.paused.poll_after(this.client_timeout, cx));
            return Poll::Ready(Some(Err(ClientBroken::Timeout)));
        };
        this.paused.clear();
        // After the last frame hyper does not ask again.
        let is_all = frame.is_none() || incoming.is_end_stream();
        let now = Instant::now();
        this.source.phase.set(if is_all { Phase::Sent(now) } else { Phase::Upstream(now) });
        Poll::Ready(frame.map(|frame| frame.map(clean_trailers).map_err(ClientBroken::Broke)))
    }

    fn is_end_stream(&self) -> bool {
        self.is_empty || self.incoming.as_ref().is_some_and(Incoming::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.as_ref().map_or_else(|| self.size, Incoming::size_hint)
    }
}
