//! Bodies on their way through the gateway: passed on frame by frame, with time limits, never buffered.
//!
//! A body that breaks off on one side breaks off on the other. An error here makes hyper reset the stream or close the
//! connection, so a body that is too short never looks complete. One case needs more: an HTTP/1.0 client takes the end of the
//! connection for the end of a body of unknown length. Then the connection is reset.

use std::{
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use listener::InFlight;
use tokio::time::{Instant, Sleep, sleep};

use super::{connection::Signals, headers::sanitise_trailers, metrics};

/// Why a body broke off.
#[derive(Debug, thiserror::Error)]
pub enum Broken {
    #[error("the client's body did not arrive in time")]
    ClientTimeout,
    #[error("the client's body broke off: {0}")]
    Client(hyper::Error),
    #[error("the upstream's body did not arrive in time")]
    UpstreamTimeout,
    #[error("the upstream's body broke off: {0}")]
    Upstream(hyper::Error),
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
    shared: Arc<Mutex<Shared>>,
    size: SizeHint,
    is_empty: bool,
    client_timeout: Duration,
}

#[derive(Debug)]
struct Shared {
    /// Taken by the attempt that reads from it first.
    incoming: Option<Incoming>,
    phase: Phase,
}

fn lock(shared: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    // The state is valid at every moment, so a poisoned lock may be used.
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

impl RequestBody {
    /// A body within which the client may pause for `client_timeout`.
    pub fn new(incoming: Incoming, client_timeout: Duration) -> Self {
        let (size, is_empty) = (incoming.size_hint(), incoming.is_end_stream());
        let phase = if is_empty { Phase::Sent(Instant::now()) } else { Phase::Upstream(Instant::now()) };
        let shared = Arc::new(Mutex::new(Shared { incoming: Some(incoming), phase }));
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

    /// Notes that a connection is open. The upstream's time begins now: the time to connect has a limit of its own.
    pub fn connected(&self) {
        let mut shared = lock(&self.shared);
        shared.phase = match shared.phase {
            Phase::Upstream(_) => Phase::Upstream(Instant::now()),
            Phase::Sent(_) => Phase::Sent(Instant::now()),
            Phase::Client => Phase::Client,
        };
    }

    /// When the upstream's time is over, in the present phase; `None` while the client has to send.
    pub fn deadline(&self, write_timeout: Duration, read_timeout: Duration) -> Option<Instant> {
        match lock(&self.shared).phase {
            Phase::Client => None,
            Phase::Upstream(since) => Some(since + write_timeout),
            Phase::Sent(since) => Some(since + read_timeout),
        }
    }

    /// Whether all of it has been handed over to the upstream's connection.
    pub fn is_sent(&self) -> bool {
        matches!(lock(&self.shared).phase, Phase::Sent(_))
    }

    /// Whether no attempt has read from the body.
    pub fn is_untouched(&self) -> bool {
        self.is_empty || lock(&self.shared).incoming.is_some()
    }

    /// The body for one more attempt.
    pub fn begin(&self) -> AttemptBody {
        let now = Instant::now();
        lock(&self.shared).phase = if self.is_empty { Phase::Sent(now) } else { Phase::Upstream(now) };
        AttemptBody {
            source: self.shared.clone(),
            size: self.size,
            is_empty: self.is_empty,
            incoming: None,
            pause: Pause::new(self.client_timeout),
        }
    }
}

/// The body of one attempt. The connection to the upstream reads it.
#[derive(Debug)]
pub struct AttemptBody {
    source: Arc<Mutex<Shared>>,
    size: SizeHint,
    is_empty: bool,
    incoming: Option<Incoming>,
    pause: Pause,
}

impl Body for AttemptBody {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        let this = self.get_mut();
        if this.is_empty {
            return Poll::Ready(None);
        }
        if this.incoming.is_none() {
            this.incoming = lock(&this.source).incoming.take();
        }
        let Some(incoming) = &mut this.incoming else { return Poll::Ready(Some(Err(Broken::Sent))) };
        let Poll::Ready(frame) = Pin::new(&mut *incoming).poll_frame(cx) else {
            lock(&this.source).phase = Phase::Client;
            ready!(this.pause.poll(cx));
            return Poll::Ready(Some(Err(Broken::ClientTimeout)));
        };
        this.pause.end();
        // After the last frame hyper does not ask again.
        let is_all = frame.is_none() || incoming.is_end_stream();
        let now = Instant::now();
        lock(&this.source).phase = if is_all { Phase::Sent(now) } else { Phase::Upstream(now) };
        Poll::Ready(frame.map(|frame| frame.map(clean).map_err(Broken::Client)))
    }

    fn is_end_stream(&self) -> bool {
        self.is_empty || self.incoming.as_ref().is_some_and(Incoming::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.as_ref().map_or_else(|| self.size, Incoming::size_hint)
    }
}

/// The body of an answer, from the gateway or from an upstream. Its request counts as under way until it is dropped.
#[derive(Debug)]
pub struct Outgoing {
    content: Content,
    _in_flight: Option<InFlight>,
}

#[derive(Debug)]
enum Content {
    Full(Option<Bytes>),
    Upstream { incoming: Incoming, pause: Pause, reset: Option<Arc<Signals>> },
}

impl Outgoing {
    /// A body of the gateway's own.
    pub fn full(bytes: Bytes) -> Self {
        Self { content: Content::Full(Some(bytes).filter(|bytes| !bytes.is_empty())), _in_flight: None }
    }

    /// No body.
    pub fn empty() -> Self {
        Self::full(Bytes::new())
    }

    /// An upstream's body, within which the upstream may pause for `read_timeout`. `reset` is the client's connection, if the
    /// client takes the end of the connection for the end of the body.
    pub fn upstream(incoming: Incoming, read_timeout: Duration, reset: Option<Arc<Signals>>) -> Self {
        Self {
            content: Content::Upstream { incoming, pause: Pause::new(read_timeout), reset },
            _in_flight: None,
        }
    }

    /// Whether it is the gateway's own, and no upstream's.
    pub fn is_own(&self) -> bool {
        matches!(self.content, Content::Full(_))
    }

    /// The body with `in_flight`, which it holds until it has been sent or given up.
    pub fn holding(self, in_flight: InFlight) -> Self {
        Self { _in_flight: Some(in_flight), ..self }
    }
}

impl Body for Outgoing {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        let (incoming, pause, reset) = match &mut self.get_mut().content {
            Content::Full(bytes) => return Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Content::Upstream { incoming, pause, reset } => (incoming, pause, reset),
        };
        let result = match Pin::new(incoming).poll_frame(cx) {
            Poll::Ready(frame) => {
                pause.end();
                frame.map(|frame| frame.map(clean).map_err(Broken::Upstream))
            }
            Poll::Pending => {
                ready!(pause.poll(cx));
                Some(Err(Broken::UpstreamTimeout))
            }
        };
        if let Some(Err(error)) = &result {
            tracing::debug!(%error, "an answer broke off");
            metrics::broken("upstream-body", "upstream");
            if let Some(signals) = reset {
                signals.reset_at_end();
            }
        }
        Poll::Ready(result)
    }

    fn is_end_stream(&self) -> bool {
        match &self.content {
            Content::Full(bytes) => bytes.is_none(),
            Content::Upstream { incoming, .. } => incoming.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.content {
            Content::Full(bytes) => {
                SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64))
            }
            Content::Upstream { incoming, .. } => incoming.size_hint(),
        }
    }
}

fn clean(mut frame: Frame<Bytes>) -> Frame<Bytes> {
    if let Some(trailers) = frame.trailers_mut() {
        sanitise_trailers(trailers);
    }
    frame
}

/// A timer that runs only while bytes are being waited for.
#[derive(Debug)]
struct Pause {
    limit: Duration,
    running: Option<Pin<Box<Sleep>>>,
}

impl Pause {
    fn new(limit: Duration) -> Self {
        Self { limit, running: None }
    }

    fn end(&mut self) {
        self.running = None;
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.running.get_or_insert_with(|| Box::pin(sleep(self.limit))).as_mut().poll(cx)
    }
}
