//! The bodies of requests and answers, with the progress that clients have to make.

use std::{
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError, Weak,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll, Waker, ready},
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
/// Bytes of a body that nobody read which are dropped so that the connection can be used again.
const DROPPED_MAX: usize = 256 * 1024;
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

/// The body of a request. With a pace it breaks off where the client sends too slowly.
#[derive(Debug)]
pub struct RequestBody {
    /// Until it is dropped.
    incoming: Option<Incoming>,
    pace: Option<Pace>,
    unread: Unread,
}

/// How fast a body has to come: some of it within `stall_timeout`, and on average `rate_min` after that. Time in which nobody asks for
/// it does not count.
#[derive(Debug)]
struct Pace {
    limits: Limits,
    /// How much longer the client may let wait for it.
    allowed: Duration,
    waiting: Option<(Instant, Pin<Box<Sleep>>)>,
}

/// What a handler has left of a request's body.
#[derive(Clone, Debug, Default)]
pub struct Unread(Arc<Mutex<Option<Incoming>>>);

impl RequestBody {
    /// A body that has not begun. With `limits`, it has to keep their pace.
    pub fn new(incoming: Incoming, limits: Option<Limits>) -> (Self, Unread) {
        let pace = limits.map(|limits| Pace { limits, allowed: limits.stall_timeout, waiting: None });
        let unread = Unread(Arc::new(Mutex::new(None)));
        (Self { incoming: Some(incoming), pace, unread: unread.clone() }, unread)
    }
}

impl Drop for RequestBody {
    fn drop(&mut self) {
        if let Some(incoming) = self.incoming.take() {
            *self.unread.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(incoming);
        }
    }
}

impl Unread {
    /// Whether nothing more will come, once what has come is dropped. Not, if somebody is still reading it.
    pub fn is_over(&self) -> bool {
        let Some(mut incoming) = self.0.lock().unwrap_or_else(PoisonError::into_inner).take() else {
            return false;
        };
        let mut cx = Context::from_waker(Waker::noop());
        let mut dropped = 0;
        while !incoming.is_end_stream() && dropped < DROPPED_MAX {
            match Pin::new(&mut incoming).poll_frame(&mut cx) {
                Poll::Ready(Some(Ok(frame))) => dropped += frame.data_ref().map_or(0, Bytes::len),
                Poll::Ready(None) => return true,
                Poll::Ready(Some(Err(_))) | Poll::Pending => return false,
            }
        }
        incoming.is_end_stream()
    }
}

impl Pace {
    /// Notes that `len` bytes have come after some waiting. They give the client the time that they may take.
    fn arrived(&mut self, len: usize) {
        if let Some((since, _)) = self.waiting.take() {
            self.allowed = self.allowed.saturating_sub(since.elapsed());
        }
        let bought = Duration::from_secs_f64(len as f64 / f64::from(self.limits.rate_min.max(1)));
        self.allowed = self.allowed.saturating_add(bought).min(self.limits.stall_timeout);
    }

    /// Ready when the client has let wait for too long.
    fn poll_late(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let allowed = self.allowed;
        let (_, deadline) = self.waiting.get_or_insert_with(|| {
            let now = Instant::now();
            (now, Box::pin(sleep_until(now + allowed)))
        });
        deadline.as_mut().poll(cx)
    }
}

impl HttpBody for RequestBody {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        let this = self.get_mut();
        let Some(incoming) = &mut this.incoming else { return Poll::Ready(None) };
        let polled = Pin::new(incoming).poll_frame(cx).map_err(Broken::Client);
        let Some(pace) = &mut this.pace else { return polled };
        match &polled {
            Poll::Ready(Some(Ok(frame))) => pace.arrived(frame.data_ref().map_or(0, Bytes::len)),
            Poll::Ready(_) => {}
            Poll::Pending => {
                ready!(pace.poll_late(cx));
                return Poll::Ready(Some(Err(Broken::Slow)));
            }
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.as_ref().is_none_or(Incoming::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.as_ref().map_or_else(SizeHint::default, Incoming::size_hint)
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
