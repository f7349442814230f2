//! A connection's bytes with their limits: how long a head may take, how long written bytes may stay unread, and how the
//! connection is closed so that the last answer arrives.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::Instant,
};

use crate::{Alarm, Limits, Seat, Stream, seats::Progress};

/// How long a connection that is being closed is still read. Otherwise, if the client is still sending, the kernel resets
/// the connection, and the client may lose the answer. The limits: in all, and without a byte.
const LINGER_MAX: Duration = Duration::from_secs(10);
const LINGER_PAUSE: Duration = Duration::from_secs(1);

/// A connection as HTTP reads and writes it.
#[derive(Debug)]
pub struct Io {
    stream: Stream,
    /// Bytes that were read before, still to be read again.
    replay: Bytes,
    /// Of HTTP/1, where bytes between two requests are the next one's head.
    head: Option<Head>,
    stall_timeout: Duration,
    /// Set while written bytes are waited for.
    stalled: Alarm,
    /// Whether it is read on when it is shut down.
    lingers: bool,
    lingering: Option<Lingering>,
}

/// The clock of a head that has begun.
#[derive(Debug)]
struct Head {
    timeout: Duration,
    progress: Progress,
    /// How many requests had begun before it; `None` if no head has begun.
    before: Option<u64>,
    /// When it has to be whole. Set when it is waited for: most heads come in one piece.
    late: Alarm,
}

/// The connection is being closed and still read.
#[derive(Debug)]
struct Lingering {
    end: Instant,
    pause: Alarm,
}

impl Io {
    /// The bytes of `stream`.
    pub fn new(stream: Stream, limits: &Limits) -> Self {
        Self {
            stream,
            replay: Bytes::new(),
            head: None,
            stall_timeout: limits.stall_timeout,
            stalled: Alarm::default(),
            lingers: true,
            lingering: None,
        }
    }

    /// With `replay`, bytes that were read before, and come again first.
    pub fn with_replay(self, replay: Bytes) -> Self {
        Self { replay, ..self }
    }

    /// With a clock for the heads of HTTP/1: each has `limits.head_timeout` from its first byte.
    pub fn with_head_timeout(self, seat: &Seat, limits: &Limits) -> Self {
        let (timeout, progress) = (limits.head_timeout, seat.progress());
        let head = Head { timeout, progress, before: None, late: Alarm::default() };
        Self { head: Some(head), ..self }
    }

    /// It will not be read any more when it is shut down: whoever reads it is somebody else, or has no more time.
    pub fn close_at_once(&mut self) {
        self.lingers = false;
    }

    fn poll_bytes(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.replay.is_empty() {
            return Pin::new(&mut self.stream).poll_read(cx, buf);
        }
        let some = self.replay.split_to(self.replay.len().min(buf.remaining()));
        buf.put_slice(&some);
        Poll::Ready(Ok(()))
    }

    /// What carries the bytes.
    pub fn stream(&self) -> &Stream {
        &self.stream
    }

    /// `poll`, or an error if writing has been pending for too long.
    fn bounded<T>(&mut self, cx: &mut Context<'_>, poll: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if poll.is_ready() {
            self.stalled.clear();
            return poll;
        }
        ready!(self.stalled.poll_after(self.stall_timeout, cx));
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the client does not read")))
    }

    /// Reads and drops bytes until the client closes too, or the time for that is over.
    fn linger(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let lingering = self.lingering.get_or_insert_with(|| {
            let (now, mut pause) = (Instant::now(), Alarm::default());
            pause.set(now + LINGER_PAUSE);
            Lingering { end: now + LINGER_MAX, pause }
        });
        let mut space = [0; 4096];
        loop {
            let mut buf = ReadBuf::new(&mut space);
            match Pin::new(&mut self.stream).poll_read(cx, &mut buf) {
                Poll::Ready(Ok(())) if !buf.filled().is_empty() => {
                    let now = Instant::now();
                    if now >= lingering.end {
                        return Poll::Ready(());
                    }
                    lingering.pause.set(lingering.end.min(now + LINGER_PAUSE));
                }
                Poll::Ready(_) => return Poll::Ready(()),
                Poll::Pending => return lingering.pause.poll(cx),
            }
        }
    }
}

impl Head {
    /// Notes that bytes have come.
    fn arrived(&mut self) {
        let before = self.progress.begun_if_idle();
        if self.before != before {
            self.before = before;
            self.late.clear();
        }
    }

    /// Ready when the head has taken too long.
    fn poll_late(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.before.is_none() || self.progress.begun_if_idle() != self.before {
            self.before = None;
            return Poll::Pending;
        }
        self.late.poll_after(self.timeout, cx)
    }
}

impl AsyncRead for Io {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buf.filled().len();
        let poll = this.poll_bytes(cx, buf);
        let Some(head) = &mut this.head else { return poll };
        if buf.filled().len() > before {
            head.arrived();
        } else if poll.is_pending() && head.poll_late(cx).is_ready() {
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the head takes too long")));
        }
        poll
    }
}

impl AsyncWrite for Io {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let poll = Pin::new(&mut this.stream).poll_write(cx, buf);
        this.bounded(cx, poll)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let poll = Pin::new(&mut this.stream).poll_write_vectored(cx, bufs);
        this.bounded(cx, poll)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let poll = Pin::new(&mut this.stream).poll_flush(cx);
        this.bounded(cx, poll)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.lingering.is_none() {
            let poll = Pin::new(&mut this.stream).poll_shutdown(cx);
            ready!(this.bounded(cx, poll))?;
        }
        match this.lingers {
            true => this.linger(cx).map(Ok),
            false => Poll::Ready(Ok(())),
        }
    }
}
