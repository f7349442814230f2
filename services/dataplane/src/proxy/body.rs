//! Bodies on their way through the gateway: streamed frame by frame, timed, never buffered.
//!
//! A body that breaks off on one side breaks off on the other: an error here makes hyper reset the stream or close the
//! connection, so a short body never looks complete. Where it would (an HTTP/1.0 client learns the end of a body of unknown
//! length from the end of the connection), the connection is reset.

use std::{
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::{Instant, Sleep, sleep};

use super::{
    connection::{InFlight, Signals},
    headers::sanitise_trailers,
    metrics,
};

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

/// How far a request's body has come, for the one who waits for the answer.
#[derive(Clone, Copy, Debug)]
enum Phase {
    /// The client owes the next bytes.
    Client,
    /// The upstream has been offered bytes and has not asked for more, since then.
    Upstream(Instant),
    /// All is handed over, since then.
    Sent(Instant),
}

/// A request's body, kept outside of any one attempt, so that an attempt that never touched it can be repeated.
#[derive(Debug)]
pub struct RequestBody {
    shared: Arc<Mutex<Shared>>,
    size: SizeHint,
    is_empty: bool,
    client_timeout: Duration,
}

#[derive(Debug)]
struct Shared {
    /// Taken by the attempt that reads it first.
    incoming: Option<Incoming>,
    phase: Phase,
}

fn lock(shared: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    // Nothing panics while it is held; if something did, the state would still be whole.
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

impl RequestBody {
    /// `client_timeout`: how long the client may pause within its body.
    pub fn new(incoming: Incoming, client_timeout: Duration) -> Self {
        let (size, is_empty) = (incoming.size_hint(), incoming.is_end_stream());
        let phase = if is_empty { Phase::Sent(Instant::now()) } else { Phase::Upstream(Instant::now()) };
        let shared = Arc::new(Mutex::new(Shared { incoming: Some(incoming), phase }));
        Self { shared, size, is_empty, client_timeout }
    }

    pub fn is_empty(&self) -> bool {
        self.is_empty
    }

    pub fn size(&self) -> &SizeHint {
        &self.size
    }

    /// A connection stands: the clock starts here, since the time to connect is limited elsewhere.
    pub fn connected(&self) {
        let mut shared = lock(&self.shared);
        shared.phase = match shared.phase {
            Phase::Upstream(_) => Phase::Upstream(Instant::now()),
            Phase::Sent(_) => Phase::Sent(Instant::now()),
            Phase::Client => Phase::Client,
        };
    }

    /// When the upstream's time is up, as things stand; None while the client is waited for.
    pub fn deadline(&self, write_timeout: Duration, read_timeout: Duration) -> Option<Instant> {
        match lock(&self.shared).phase {
            Phase::Client => None,
            Phase::Upstream(since) => Some(since + write_timeout),
            Phase::Sent(since) => Some(since + read_timeout),
        }
    }

    /// Whether no attempt has read from it.
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

/// The body of one attempt, as the upstream's connection reads it.
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
        // Behind the last frame hyper does not ask again.
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

/// The body of an answer, from the gateway or from an upstream. Holds its request in flight until it is dropped.
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
    pub fn full(bytes: Bytes) -> Self {
        Self { content: Content::Full(Some(bytes).filter(|bytes| !bytes.is_empty())), _in_flight: None }
    }

    pub fn empty() -> Self {
        Self::full(Bytes::new())
    }

    /// `read_timeout`: how long the upstream may pause. `reset`: the client's connection, if the end of the connection is how
    /// it learns the end of this body.
    pub fn upstream(incoming: Incoming, read_timeout: Duration, reset: Option<Arc<Signals>>) -> Self {
        Self {
            content: Content::Upstream { incoming, pause: Pause::new(read_timeout), reset },
            _in_flight: None,
        }
    }

    /// Keeps `in_flight` until the body has been sent or given up.
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

/// A timer that runs only while a side that owes bytes is being waited for.
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
