//! The bodies of answers, and how long clients may leave them untaken.
//!
//! An answer that is not taken is memory that others lack. So it ends after some time without progress; and where all of a port
//! together are too many bytes, the connection that has taken nothing for longest ends at once.

use std::{
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use axum::body::{Body as AxumBody, HttpBody};
use bytes::Bytes;
use http_body::{Frame, SizeHint};
use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use crate::InFlight;

/// Bytes of an answer that are given to the connection at once: when the next ones are asked for, the client has taken these.
const PIECE_MAX: usize = 64 * 1024;
/// How often a connection is looked at for answers that are not taken, within the time that they may stay so.
const CHECKS: u32 = 4;
/// How long an answer has to be untaken to be given up for others.
const PATIENCE: Duration = Duration::from_secs(1);
/// In place of a time: the client waits for the service.
const WAITING: u64 = u64::MAX;

/// The answers of all connections of a port that are being sent.
#[derive(Debug)]
pub struct PortAnswers {
    untaken_max: usize,
    begun: Instant,
    untaken: AtomicUsize,
    connections: Mutex<Vec<Weak<Connection>>>,
}

/// The answers of one connection that are being sent.
#[derive(Clone, Debug)]
pub struct Answers(Arc<Connection>);

#[derive(Debug)]
struct Connection {
    port: Arc<PortAnswers>,
    sent: Mutex<Vec<Weak<Sent>>>,
    cut: CancellationToken,
}

/// One answer.
#[derive(Debug)]
struct Sent {
    port: Arc<PortAnswers>,
    /// Since when the client has left a piece untaken, in milliseconds since the port began; [`WAITING`] while there is none.
    since: AtomicU64,
    /// Bytes that the client has not taken, as far as they are known to be there.
    untaken: AtomicUsize,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Notes `one` among others. Those that are gone are left out when there is no room: not each time, which would cost as much as there
/// are.
fn note<T>(others: &mut Vec<Weak<T>>, one: &Arc<T>) {
    if others.len() == others.capacity() {
        others.retain(|other| other.strong_count() > 0);
    }
    others.push(Arc::downgrade(one));
}

impl PortAnswers {
    /// Those of a new port, of which clients may leave `untaken_max` bytes untaken.
    pub fn new(untaken_max: usize) -> Arc<Self> {
        let (untaken, connections) = (AtomicUsize::new(0), Mutex::default());
        Arc::new(Self { untaken_max, begun: Instant::now(), untaken, connections })
    }

    /// Those of a new connection.
    pub fn connection(self: &Arc<Self>) -> Answers {
        let (sent, cut) = (Mutex::default(), CancellationToken::new());
        let connection = Arc::new(Connection { port: self.clone(), sent, cut });
        note(&mut lock(&self.connections), &connection);
        Answers(connection)
    }

    fn now(&self) -> u64 {
        u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(WAITING)
    }

    /// Ends the connection that has taken nothing for longest, if that is long.
    fn make_room(&self) {
        let now = self.now();
        let connections: Vec<_> = lock(&self.connections).iter().filter_map(Weak::upgrade).collect();
        let open = connections.iter().filter(|connection| !connection.cut.is_cancelled());
        let untaken = open.filter_map(|connection| Some((connection.untaken_since()?, connection)));
        if let Some((since, connection)) = untaken.min_by_key(|(since, _)| *since)
            && Duration::from_millis(now.saturating_sub(since)) >= PATIENCE
        {
            connection.cut.cancel();
        }
    }
}

impl Connection {
    /// Since when it has taken nothing of one of its answers.
    fn untaken_since(&self) -> Option<u64> {
        let sent: Vec<_> = lock(&self.sent).iter().filter_map(Weak::upgrade).collect();
        let since = sent.iter().map(|sent| sent.since.load(Ordering::Acquire));
        since.filter(|since| *since != WAITING).min()
    }
}

impl Answers {
    /// An answer's body, to be sent on this connection for a request that is under way until then.
    pub fn send(&self, body: AxumBody, in_flight: InFlight) -> AnswerBody {
        let port = &self.0.port;
        let length = body.size_hint().exact().and_then(|length| usize::try_from(length).ok()).unwrap_or(0);
        let (since, untaken) = (AtomicU64::new(port.now()), AtomicUsize::new(length));
        let sent = Arc::new(Sent { port: port.clone(), since, untaken });
        note(&mut lock(&self.0.sent), &sent);
        if port.untaken.fetch_add(length, Ordering::AcqRel) + length > port.untaken_max {
            port.make_room();
        }
        AnswerBody { body, rest: Bytes::new(), sent, _in_flight: in_flight }
    }

    /// Waits until the connection has to end: its client has taken nothing of an answer for `limit`, or others need the memory.
    pub async fn stalled(&self, limit: Duration) {
        let mut ticks = interval((limit / CHECKS).max(Duration::from_millis(1)));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let untaken = async {
            loop {
                ticks.tick().await;
                let lasting = |since| Duration::from_millis(self.0.port.now().saturating_sub(since));
                if self.0.untaken_since().is_some_and(|since| lasting(since) > limit) {
                    return;
                }
            }
        };
        tokio::select! {
            () = untaken => {}
            () = self.0.cut.cancelled() => {}
        }
    }
}

impl Sent {
    /// Notes that `bytes` are no longer held.
    fn release(&self, bytes: usize) {
        let less = |held: usize| Some(held.saturating_sub(bytes));
        let before = self.untaken.fetch_update(Ordering::AcqRel, Ordering::Acquire, less);
        let released = before.unwrap_or_else(|held| held).min(bytes);
        self.port.untaken.fetch_sub(released, Ordering::AcqRel);
    }
}

impl Drop for Sent {
    fn drop(&mut self) {
        self.release(usize::MAX);
    }
}

/// The body of an answer, in pieces.
#[derive(Debug)]
pub struct AnswerBody {
    body: AxumBody,
    /// What is left of the frame that was taken last.
    rest: Bytes,
    sent: Arc<Sent>,
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
            this.sent.since.store(WAITING, Ordering::Release);
            match ready!(Pin::new(&mut this.body).poll_frame(cx)) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => this.rest = data,
                    Err(trailers) => return Poll::Ready(Some(Ok(trailers))),
                },
                ended => return Poll::Ready(ended),
            }
        }
        this.sent.since.store(this.sent.port.now(), Ordering::Release);
        let piece = this.rest.split_to(this.rest.len().min(PIECE_MAX));
        this.sent.release(piece.len());
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
