//! The bodies of requests and answers, with the progress that clients have to make.

use std::{
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError, Weak,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use axum::body::{Body as AxumBody, HttpBody};
use bytes::Bytes;
use http_body::{Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::{Instant, MissedTickBehavior, Sleep, interval, sleep_until};

use crate::{InFlight, Limits};

/// Bytes of an answer that are given to the connection at once: when the next ones are asked for, the client has taken these.
const PIECE_MAX: usize = 64 * 1024;
/// How often a connection is looked at for answers that are not taken, within the time that they may stay so.
const CHECKS: u32 = 4;

/// Why a request's body broke off.
#[derive(Debug, thiserror::Error)]
pub enum Broken {
    #[error("the body arrives too slowly")]
    Slow,
    #[error(transparent)]
    Client(#[from] hyper::Error),
}

/// The body of a request. It breaks off where the client sends too slowly: nothing for `stall_timeout`, or on average less than
/// `rate_min` after that. Time in which nobody asks for it does not count.
#[derive(Debug)]
pub struct RequestBody {
    incoming: Incoming,
    limits: Limits,
    /// How much longer the client may let wait for it.
    allowed: Duration,
    waiting: Option<(Instant, Pin<Box<Sleep>>)>,
}

impl RequestBody {
    /// A body that has not begun.
    pub fn new(incoming: Incoming, limits: Limits) -> Self {
        Self { incoming, limits, allowed: limits.stall_timeout, waiting: None }
    }

    /// Notes that `len` bytes have come after some waiting. They give the client the time that they may take.
    fn arrived(&mut self, len: usize) {
        if let Some((since, _)) = self.waiting.take() {
            self.allowed = self.allowed.saturating_sub(since.elapsed());
        }
        let bought = Duration::from_secs_f64(len as f64 / f64::from(self.limits.rate_min.max(1)));
        self.allowed = self.allowed.saturating_add(bought).min(self.limits.stall_timeout);
    }
}

impl HttpBody for RequestBody {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        let this = self.get_mut();
        match Pin::new(&mut this.incoming).poll_frame(cx) {
            Poll::Ready(frame) => {
                let len = frame.as_ref().and_then(|frame| frame.as_ref().ok()?.data_ref().map(Bytes::len));
                this.arrived(len.unwrap_or_default());
                Poll::Ready(frame.map(|frame| frame.map_err(Broken::Client)))
            }
            Poll::Pending => {
                let allowed = this.allowed;
                let (_, deadline) = this.waiting.get_or_insert_with(|| {
                    let now = Instant::now();
                    (now, Box::pin(sleep_until(now + allowed)))
                });
                ready!(deadline.as_mut().poll(cx));
                Poll::Ready(Some(Err(Broken::Slow)))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}

/// The answers of one connection that are being sent.
#[derive(Clone, Debug)]
pub struct Answers {
    begun: Instant,
    /// Of each: since when the client has left a piece untaken, in milliseconds since `begun`; [`WAITING`] while there is none.
    sent: Arc<Mutex<Vec<Weak<AtomicU64>>>>,
}

/// The client waits for the service.
const WAITING: u64 = u64::MAX;

impl Answers {
    /// Those of a new connection.
    pub fn new() -> Self {
        Self { begun: Instant::now(), sent: Arc::default() }
    }

    fn now(&self) -> u64 {
        u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(WAITING)
    }

    /// An answer's body, to be sent on this connection for a request that is under way until then.
    pub fn send(&self, body: AxumBody, in_flight: InFlight) -> AnswerBody {
        let since = Arc::new(AtomicU64::new(self.now()));
        let mut sent = self.sent.lock().unwrap_or_else(PoisonError::into_inner);
        sent.retain(|other| other.strong_count() > 0);
        sent.push(Arc::downgrade(&since));
        drop(sent);
        AnswerBody { body, rest: Bytes::new(), answers: self.clone(), since, _in_flight: in_flight }
    }

    /// Waits until the client has taken nothing of one of them for `limit`.
    pub async fn stalled(&self, limit: Duration) {
        let mut ticks = interval((limit / CHECKS).max(Duration::from_millis(1)));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while !self.are_stalled(limit) {
            ticks.tick().await;
        }
    }

    fn are_stalled(&self, limit: Duration) -> bool {
        let now = self.now();
        let sent = self.sent.lock().unwrap_or_else(PoisonError::into_inner);
        let mut untaken = sent.iter().filter_map(Weak::upgrade).map(|since| since.load(Ordering::Acquire));
        untaken.any(|since| since != WAITING && Duration::from_millis(now.saturating_sub(since)) > limit)
    }
}

/// The body of an answer, in pieces.
#[derive(Debug)]
pub struct AnswerBody {
    body: AxumBody,
    /// What is left of the frame that was taken last.
    rest: Bytes,
    answers: Answers,
    since: Arc<AtomicU64>,
    _in_flight: InFlight,
}

impl HttpBody for AnswerBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let this = self.get_mut();
        if this.rest.is_empty() {
            // Asked for more, so the connection has room, and the client has taken what was there.
            this.since.store(WAITING, Ordering::Release);
            match ready!(Pin::new(&mut this.body).poll_frame(cx)) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => this.rest = data,
                    Err(trailers) => return Poll::Ready(Some(Ok(trailers))),
                },
                ended => return Poll::Ready(ended),
            }
        }
        this.since.store(this.answers.now(), Ordering::Release);
        let piece = this.rest.split_to(this.rest.len().min(PIECE_MAX));
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let (body, rest) = (self.body.size_hint(), self.rest.len() as u64);
        let mut hint = SizeHint::new();
        hint.set_lower(body.lower() + rest);
        if let Some(upper) = body.upper() {
            hint.set_upper(upper + rest);
        }
        hint
    }
}
