//! Answers over HTTP/2 that a client does not take. On HTTP/1 the connection itself shows that: its writes stand still. Here a client opens a
//! window for each stream, and an answer for which it opens none is memory that others lack.

use std::{
    cell::{Cell, RefCell},
    pin::Pin,
    rc::{Rc, Weak},
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use listener::Alarm;
use tokio::time::Instant;

use crate::proxy::body::{Broken, Outgoing};

/// How often a connection is looked at within the time that an answer may stay untaken.
const CHECKS: u32 = 4;

/// Since when the client has taken nothing of an answer that is there for it; `None` while it waits for the upstream.
type Since = Cell<Option<Instant>>;

/// The answers of one connection that are being sent.
#[derive(Default)]
pub struct Untaken {
    sent: RefCell<Vec<Weak<Since>>>,
}

/// The body of one of them.
pub struct Watched {
    body: Outgoing,
    since: Rc<Since>,
}

impl Untaken {
    /// An answer's body, which is watched.
    pub fn watch(&self, body: Outgoing) -> Watched {
        let (since, mut sent) = (Rc::new(Cell::new(Some(Instant::now()))), self.sent.borrow_mut());
        // Those that are over go when there is no room: not each time, which would cost as much as there are.
        if sent.len() == sent.capacity() {
            sent.retain(|other| other.strong_count() > 0);
        }
        sent.push(Rc::downgrade(&since));
        Watched { body, since }
    }

    /// Ready when nothing of an answer was taken for `limit`. `alarm` is for this alone.
    pub fn poll_stalled(&self, limit: Duration, alarm: &mut Alarm, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            ready!(alarm.poll_after(limit / CHECKS, cx));
            let begun =
                self.sent.borrow().iter().filter_map(Weak::upgrade).filter_map(|since| since.get()).min();
            if begun.is_some_and(|begun| begun.elapsed() >= limit) {
                return Poll::Ready(());
            }
        }
    }
}

impl Body for Watched {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        let this = self.get_mut();
        // Whoever asks has room: the client has taken what was there.
        this.since.set(None);
        let frame = ready!(Pin::new(&mut this.body).poll_frame(cx));
        this.since.set(Some(Instant::now()));
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
