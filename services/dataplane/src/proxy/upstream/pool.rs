//! The connections of one thread that no request is using, and those of HTTP/2, which any number of requests use.

use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    rc::Rc,
    task::Context,
    time::Duration,
};

use hyper::client::conn::http2;
use tokio::time::Instant;

use super::Http1;
use crate::{proxy::request_body::AttemptBody, view::Destination};

/// Free connections of HTTP/1.1 that a thread keeps at most, and of those for one destination.
const FREE_MAX: usize = 4096;
const FREE_PER_DESTINATION_MAX: usize = 256;
/// How long a connection is kept that no request uses.
const IDLE_TIMEOUT: Duration = Duration::from_secs(60);

/// A connection for a request.
pub enum Connection {
    /// Of HTTP/1.1: for this request alone.
    Http1(Box<Http1>),
    /// Of HTTP/2.
    Http2(http2::SendRequest<AttemptBody>),
}

/// The connections of one thread.
#[derive(Default)]
pub struct Pool {
    buckets: RefCell<HashMap<Destination, Rc<Bucket>>>,
    /// How many of HTTP/1.1 there are in all buckets.
    count: Rc<Cell<usize>>,
}

/// The connections of one thread for one destination.
#[derive(Default)]
pub struct Bucket {
    /// The one that was used last comes last.
    #[expect(
        clippy::vec_box,
        reason = "each request moves one out and in: a pointer, not some hundred bytes"
    )]
    free: RefCell<Vec<Box<Http1>>>,
    shared: RefCell<Option<Shared>>,
    count: Rc<Cell<usize>>,
}

/// A connection of HTTP/2.
struct Shared {
    sender: http2::SendRequest<AttemptBody>,
    used: Instant,
}

impl Pool {
    /// The connections for `destination`.
    pub fn bucket(&self, destination: &Destination) -> Rc<Bucket> {
        let mut buckets = self.buckets.borrow_mut();
        if let Some(bucket) = buckets.get(destination) {
            return bucket.clone();
        }
        let bucket = Rc::new(Bucket { count: self.count.clone(), ..Bucket::default() });
        buckets.insert(destination.clone(), bucket.clone());
        bucket
    }

    /// Closes what was not used for too long, or was closed by the upstream. To be called now and then.
    pub fn sweep(&self) {
        let now = Instant::now();
        self.buckets.borrow_mut().retain(|_, bucket| {
            bucket.sweep(now);
            Rc::strong_count(bucket) > 1 || !bucket.is_empty()
        });
    }
}

impl Bucket {
    /// A connection that is open already; `None` if there is none.
    pub fn take(&self, cx: &mut Context<'_>) -> Option<Connection> {
        if let Some(shared) = &mut *self.shared.borrow_mut()
            && !shared.sender.is_closed()
        {
            shared.used = Instant::now();
            return Some(Connection::Http2(shared.sender.clone()));
        }
        let mut free = self.free.borrow_mut();
        let before = free.len();
        let taken = std::iter::from_fn(|| free.pop()).find_map(|mut one| (!one.is_stale(cx)).then_some(one));
        self.count.set(self.count.get() - (before - free.len()));
        taken.map(Connection::Http1)
    }

    /// Lets other requests use a connection of HTTP/2 too.
    pub fn share(&self, sender: &http2::SendRequest<AttemptBody>) {
        *self.shared.borrow_mut() = Some(Shared { sender: sender.clone(), used: Instant::now() });
    }

    /// Keeps a connection for further requests, if it can take any.
    pub fn put(&self, mut connection: Box<Http1>) {
        let mut free = self.free.borrow_mut();
        if self.count.get() < FREE_MAX && free.len() < FREE_PER_DESTINATION_MAX && connection.is_free() {
            connection.free_since = Instant::now();
            free.push(connection);
            self.count.set(self.count.get() + 1);
        }
    }

    fn sweep(&self, now: Instant) {
        let is_recent = |since| now.duration_since(since) < IDLE_TIMEOUT;
        let mut free = self.free.borrow_mut();
        let before = free.len();
        free.retain_mut(|one| is_recent(one.free_since) && !one.is_stale_now());
        self.count.set(self.count.get() - (before - free.len()));
        self.shared.borrow_mut().take_if(|shared| !is_recent(shared.used) || shared.sender.is_closed());
    }

    fn is_empty(&self) -> bool {
        self.free.borrow().is_empty() && self.shared.borrow().is_none()
    }
}
