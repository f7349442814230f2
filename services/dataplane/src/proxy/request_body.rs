//! A request's body on its way to the upstream: passed on frame by frame, with a time limit, never buffered.
//!
//! A body that breaks off at the client breaks off at the upstream. An error here makes whoever sends it end the connection or reset the
//! stream, so a body that is too short never looks complete.

use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    future::poll_fn,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use http_body::{Body, Frame, SizeHint};
use listener::Alarm;
use tokio::time::Instant;

use super::{
    failure::Failure,
    headers::clean_trailers,
    http1::{ReadError, RequestReader},
};
use crate::plugins::{self, BodyCopy, BodyMax};

/// A request's body as it comes.
pub enum Incoming {
    /// On a connection of HTTP/1.1.
    Http1(RequestReader),
    /// On a stream of HTTP/2.
    Http2(hyper::body::Incoming),
    /// Read already, for a plugin.
    Read(Box<Read>),
}

/// A body of which a part was read before it goes upstream, or one that a plugin made.
pub struct Read {
    frames: VecDeque<Frame<Bytes>>,
    /// Bytes in `frames`.
    bytes: u64,
    /// What has not been read; `None`: that was all.
    rest: Option<Incoming>,
}

impl Incoming {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, ClientBroken>>> {
        match self {
            Self::Http1(reader) => reader.poll_frame(cx).map_err(ClientBroken::Http1),
            Self::Http2(body) => Pin::new(body).poll_frame(cx).map_err(ClientBroken::Http2),
            Self::Read(read) => match (read.frames.pop_front(), &mut read.rest) {
                (Some(frame), _) => {
                    read.bytes -= frame.data_ref().map_or(0, |data| data.len() as u64);
                    Poll::Ready(Some(Ok(frame)))
                }
                (None, Some(rest)) => rest.poll_frame(cx),
                (None, None) => Poll::Ready(None),
            },
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Http1(reader) => reader.is_end_stream(),
            Self::Http2(body) => body.is_end_stream(),
            Self::Read(read) => {
                read.frames.is_empty() && read.rest.as_ref().is_none_or(Incoming::is_end_stream)
            }
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Http1(reader) => reader.size_hint(),
            Self::Http2(body) => body.size_hint(),
            Self::Read(read) => {
                let rest = read.rest.as_ref().map_or(SizeHint::with_exact(0), Incoming::size_hint);
                let mut all = SizeHint::new();
                all.set_lower(read.bytes + rest.lower());
                if let Some(upper) = rest.upper() {
                    all.set_upper(read.bytes + upper);
                }
                all
            }
        }
    }

    /// Passes an interim answer on to the client. Not over HTTP/2, where hyper has no way to.
    fn interim(&self, status: StatusCode, headers: &HeaderMap) {
        match self {
            Self::Http1(client) => client.interim(status, headers),
            Self::Http2(_) => {}
            Self::Read(read) => read.rest.iter().for_each(|rest| rest.interim(status, headers)),
        }
    }

    /// What a plugin sees of it before it is read.
    pub fn seen(&self) -> plugins::Body {
        match self.is_end_stream() {
            true => plugins::Body::Empty,
            false => plugins::Body::Unread { length: self.size_hint().exact() },
        }
    }

    /// A body of the gateway's own. What of the client's was not read is dropped with it.
    pub fn own(bytes: Bytes) -> Self {
        let length = bytes.len() as u64;
        let frames = Some(bytes).filter(|bytes| !bytes.is_empty()).map(Frame::data);
        Self::Read(Box::new(Read { frames: frames.into_iter().collect(), bytes: length, rest: None }))
    }
}

/// Reads a body, of at most `max` bytes, and leaves it to be read again. The client may pause within it for `timeout`.
pub async fn read(
    incoming: &mut Incoming,
    max: usize,
    timeout: Duration,
) -> Result<plugins::Body, ClientBroken> {
    let mut body = std::mem::replace(incoming, Incoming::own(Bytes::new()));
    let (mut frames, mut bytes) = (VecDeque::new(), 0);
    let (length, mut is_whole) = (body.size_hint().exact(), body.size_hint().lower() <= max as u64);
    while is_whole {
        let frame = tokio::time::timeout(timeout, poll_fn(|cx| body.poll_frame(cx)));
        let Some(frame) = frame.await.map_err(|_| ClientBroken::Timeout)?.transpose()? else { break };
        bytes += frame.data_ref().map_or(0, |data| data.len() as u64);
        frames.push_back(frame);
        is_whole = bytes <= max as u64;
    }
    let all =
        || frames.iter().filter_map(Frame::data_ref).map(AsRef::as_ref).collect::<Vec<&[u8]>>().concat();
    let seen = if is_whole { plugins::Body::Read(all().into()) } else { plugins::Body::TooLarge { length } };
    let rest = (!is_whole).then_some(body);
    *incoming = Incoming::Read(Box::new(Read { frames, bytes, rest }));
    Ok(seen)
}

/// What is answered when the client's body is not as it should be.
pub fn failure(broken: &ClientBroken) -> Failure {
    match broken {
        ClientBroken::Timeout => Failure::client_timeout(),
        ClientBroken::TooLarge => Failure::body_too_large(),
        ClientBroken::Http1(_) | ClientBroken::Http2(_) | ClientBroken::Length | ClientBroken::Sent => {
            Failure::client_body("the request's body broke off")
        }
    }
}

/// Why a client's body broke off.
#[derive(Debug, thiserror::Error)]
pub enum ClientBroken {
    #[error("the client's body did not arrive in time")]
    Timeout,
    #[error("the client's body broke off: {0}")]
    Http1(ReadError),
    #[error("the client's body broke off: {0}")]
    Http2(hyper::Error),
    #[error("the client's body is not as long as was said")]
    Length,
    #[error("the body is larger than a plugin allows")]
    TooLarge,
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
pub struct RequestBody {
    shared: Rc<Shared>,
    size: SizeHint,
    is_empty: bool,
    client_timeout: Option<Duration>,
}

struct Shared {
    incoming: RefCell<Incoming>,
    /// Whether an attempt has read from it. No other can then.
    is_touched: Cell<bool>,
    phase: Cell<Phase>,
    /// Bytes that have come of it.
    received: Cell<u64>,
    max: Cell<Option<BodyMax>>,
    copy: RefCell<Option<Copying>>,
}

/// A copy that somebody gets of the body.
struct Copying {
    bytes: Vec<u8>,
    to: BodyCopy,
}

impl Shared {
    /// Takes note of more bytes that have come. An error if they are too many.
    fn add(&self, more: &[u8]) -> Result<(), ClientBroken> {
        self.received.set(self.received.get() + more.len() as u64);
        let copy = &mut *self.copy.borrow_mut();
        if let Some(Copying { bytes, to }) = copy {
            bytes.extend_from_slice(more);
            if bytes.len() > to.max {
                *copy = None;
            }
        }
        match self.max.get().filter(|max| self.received.get() > max.bytes) {
            None => Ok(()),
            Some(max) if max.observe => {
                self.max.set(None);
                plugins::observed(max.plugin);
                Ok(())
            }
            Some(_) => Err(ClientBroken::TooLarge),
        }
    }

    /// The whole body has come.
    fn all(&self) {
        if let Some(Copying { bytes, to }) = self.copy.take() {
            (to.give)(bytes.into());
        }
    }
}

impl RequestBody {
    /// A body within which the client may pause for `client_timeout`; `None`: for as long as it likes. It may be as long as `max` says, and
    /// `copy` gets one.
    pub fn new(
        incoming: Incoming,
        client_timeout: Option<Duration>,
        (max, copy): (Option<BodyMax>, Option<BodyCopy>),
    ) -> Self {
        let (size, is_empty) = (incoming.size_hint(), incoming.is_end_stream());
        let shared = Rc::new(Shared {
            incoming: RefCell::new(incoming),
            is_touched: Cell::new(false),
            phase: Cell::new(Phase::Client),
            received: Cell::new(0),
            max: Cell::new(max),
            copy: RefCell::new(copy.map(|to| Copying { bytes: Vec::new(), to })),
        });
        if is_empty {
            shared.all();
        }
        Self { shared, size, is_empty, client_timeout }
    }

    /// Passes an interim answer on to the client.
    pub fn interim(&self, status: StatusCode, headers: &HeaderMap) {
        self.shared.incoming.borrow().interim(status, headers);
    }

    /// Whether there is no body at all.
    pub fn is_empty(&self) -> bool {
        self.is_empty
    }

    /// How many bytes have come of it.
    pub fn received(&self) -> u64 {
        self.shared.received.get()
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

    /// Whether no attempt has read from the body.
    pub fn is_untouched(&self) -> bool {
        self.is_empty || !self.shared.is_touched.get()
    }

    /// The body for one more attempt. The upstream's time begins now.
    pub fn begin(&self) -> AttemptBody {
        let now = Instant::now();
        self.shared.phase.set(if self.is_empty { Phase::Sent(now) } else { Phase::Upstream(now) });
        AttemptBody {
            source: self.shared.clone(),
            size: self.size,
            is_empty: self.is_empty,
            is_reading: false,
            paused: Alarm::default(),
            client_timeout: self.client_timeout,
        }
    }
}

/// The body of one attempt. The connection to the upstream reads it.
pub struct AttemptBody {
    source: Rc<Shared>,
    size: SizeHint,
    is_empty: bool,
    /// Whether it is this attempt that reads.
    is_reading: bool,
    client_timeout: Option<Duration>,
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
        if !this.is_reading && this.source.is_touched.replace(true) {
            return Poll::Ready(Some(Err(ClientBroken::Sent)));
        }
        this.is_reading = true;
        let incoming = &mut *this.source.incoming.borrow_mut();
        let Poll::Ready(frame) = incoming.poll_frame(cx) else {
            this.source.phase.set(Phase::Client);
            let Some(timeout) = this.client_timeout else { return Poll::Pending };
            ready!(this.paused.poll_after(timeout, cx));
            return Poll::Ready(Some(Err(ClientBroken::Timeout)));
        };
        this.paused.clear();
        if let Some(Ok(frame)) = &frame
            && let Some(data) = frame.data_ref()
            && let Err(broken) = this.source.add(data)
        {
            return Poll::Ready(Some(Err(broken)));
        }
        // After the last frame nobody asks again.
        let is_all = frame.is_none() || !matches!(frame, Some(Err(_))) && incoming.is_end_stream();
        if is_all {
            this.source.all();
        }
        let now = Instant::now();
        this.source.phase.set(if is_all { Phase::Sent(now) } else { Phase::Upstream(now) });
        Poll::Ready(frame.map(|frame| frame.map(clean_trailers)))
    }

    fn is_end_stream(&self) -> bool {
        self.is_empty || self.is_reading && self.source.incoming.borrow().is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        match self.is_reading {
            true => self.source.incoming.borrow().size_hint(),
            false => self.size,
        }
    }
}
