//! A client's connection as hyper sees it, over TCP or TLS. The first bytes are read to learn the version of HTTP and given to
//! hyper again. Writes have a time limit. The framing of HTTP/1 is watched ([`super::framing`]).

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::{Buf as _, Bytes};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, ReadBuf},
    net::TcpStream,
    sync::OwnedSemaphorePermit,
    time::{Instant, Sleep, sleep_until},
};
use tokio_rustls::server::TlsStream;

use super::{connection::Signals, framing::Watch, metrics::OpenConnection};

/// How long a connection that the gateway closes is still read. Otherwise, if the client is still sending, the kernel resets
/// the connection, and the client may lose the answer. The limits: in all, and without a byte.
const LINGER_MAX: Duration = Duration::from_secs(10);
const LINGER_PAUSE: Duration = Duration::from_secs(1);

const H2_PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// A client's connection, plain or TLS.
pub enum ClientStream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// The connection as hyper reads and writes it.
pub struct ClientIo {
    stream: ClientStream,
    /// Bytes that were read to learn the version of HTTP, still to be given to hyper.
    replay: Bytes,
    watch: Option<Watch>,
    signals: Arc<Signals>,
    write_timeout: Duration,
    stalled: Option<Pin<Box<Sleep>>>,
    lingering: Option<Lingering>,
    /// Held for as long as the connection is open, also when it has become a tunnel.
    _held: (OwnedSemaphorePermit, OpenConnection),
}

/// The connection is being closed and still read.
struct Lingering {
    end: Instant,
    pause: Pin<Box<Sleep>>,
}

/// How requests are framed on a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HttpVersion {
    Http1,
    Http2,
}

impl ClientStream {
    /// Tells HTTP/2 from HTTP/1 by the connection preface ("prior knowledge", RFC 9113, section 3.3). Also returns the bytes
    /// that were read. An error if the stream ends before its first byte.
    pub async fn sniff(&mut self) -> io::Result<(HttpVersion, Bytes)> {
        let mut first = Vec::with_capacity(H2_PREFACE.len());
        while first.len() < H2_PREFACE.len() {
            let mut byte_room = [0; H2_PREFACE.len()];
            let room = byte_room.get_mut(first.len()..).unwrap_or_default();
            let read = self.read(room).await?;
            if read == 0 && first.is_empty() {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            first.extend_from_slice(room.get(..read).unwrap_or_default());
            if read == 0 || !H2_PREFACE.starts_with(&first) {
                return Ok((HttpVersion::Http1, first.into()));
            }
        }
        Ok((HttpVersion::Http2, first.into()))
    }

    fn tcp(&self) -> &TcpStream {
        match self {
            Self::Plain(tcp) => tcp,
            Self::Tls(tls) => tls.get_ref().0,
        }
    }
}

impl ClientIo {
    /// `replay` is what [`ClientStream::sniff`] returned. A client may leave written bytes unread for `write_timeout`.
    pub fn new(
        stream: ClientStream,
        replay: Bytes,
        protocol: HttpVersion,
        signals: Arc<Signals>,
        write_timeout: Duration,
        held: (OwnedSemaphorePermit, OpenConnection),
    ) -> Self {
        let mut watch = (protocol == HttpVersion::Http1).then(Watch::default);
        if let Some(watch) = &mut watch {
            watch.feed(&replay, &signals.findings);
        }
        Self { stream, replay, watch, signals, write_timeout, stalled: None, lingering: None, _held: held }
    }

    /// `poll`, or an error if writing has been pending for too long.
    fn bounded<T>(&mut self, cx: &mut Context<'_>, poll: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if poll.is_ready() {
            self.stalled = None;
            return poll;
        }
        let deadline = Instant::now() + self.write_timeout;
        let stalled = self.stalled.get_or_insert_with(|| Box::pin(sleep_until(deadline)));
        ready!(stalled.as_mut().poll(cx));
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the client does not read")))
    }

    /// Reads and drops bytes until the client closes too, or the time for that is over.
    fn linger(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let lingering = self.lingering.get_or_insert_with(|| {
            let now = Instant::now();
            Lingering { end: now + LINGER_MAX, pause: Box::pin(sleep_until(now + LINGER_PAUSE)) }
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
                    lingering.pause.as_mut().reset(lingering.end.min(now + LINGER_PAUSE));
                }
                Poll::Ready(_) => return Poll::Ready(()),
                Poll::Pending => return lingering.pause.as_mut().poll(cx),
            }
        }
    }
}

impl Drop for ClientIo {
    fn drop(&mut self) {
        if self.signals.resets_at_end() {
            // Fails only if the connection is gone.
            let _ = self.stream.tcp().set_zero_linger();
        }
    }
}

impl AsyncRead for ClientIo {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if !this.replay.is_empty() {
            let len = this.replay.len().min(buf.remaining());
            buf.put_slice(this.replay.get(..len).unwrap_or_default());
            this.replay.advance(len);
            return Poll::Ready(Ok(()));
        }
        let before = buf.filled().len();
        ready!(Pin::new(&mut this.stream).poll_read(cx, buf))?;
        if let Some(watch) = &mut this.watch {
            watch.feed(buf.filled().get(before..).unwrap_or_default(), &this.signals.findings);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for ClientIo {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let poll = Pin::new(&mut this.stream).poll_write(cx, buf);
        this.bounded(cx, poll)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
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
        if this.signals.resets_at_end() {
            return Poll::Ready(Ok(()));
        }
        if this.lingering.is_none() {
            let poll = Pin::new(&mut this.stream).poll_shutdown(cx);
            ready!(this.bounded(cx, poll))?;
        }
        // The other direction of a tunnel is still read by the tunnel.
        if this.signals.findings.is_tunnel() {
            return Poll::Ready(Ok(()));
        }
        this.linger(cx).map(Ok)
    }
}

impl AsyncRead for ClientStream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(tcp) => Pin::new(tcp).poll_read(cx, buf),
            Self::Tls(tls) => Pin::new(tls).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for ClientStream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(tcp) => Pin::new(tcp).poll_write(cx, buf),
            Self::Tls(tls) => Pin::new(tls).poll_write(cx, buf),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(tcp) => Pin::new(tcp).poll_write_vectored(cx, bufs),
            Self::Tls(tls) => Pin::new(tls).poll_write_vectored(cx, bufs),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Plain(tcp) => tcp.is_write_vectored(),
            Self::Tls(tls) => tls.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(tcp) => Pin::new(tcp).poll_flush(cx),
            Self::Tls(tls) => Pin::new(tls).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(tcp) => Pin::new(tcp).poll_shutdown(cx),
            Self::Tls(tls) => Pin::new(tls).poll_shutdown(cx),
        }
    }
}
