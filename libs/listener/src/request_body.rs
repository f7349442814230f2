//! The bodies of requests, with the progress that clients have to make.

use std::{
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, Waker, ready},
    time::Duration,
};

use axum::body::HttpBody;
use bytes::Bytes;
use http_body::{Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::{Instant, Sleep, sleep_until};

use crate::Limits;

/// Bytes of a body that nobody read which are dropped so that the connection can be used again.
const DROPPED_MAX: usize = 256 * 1024;

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
