//! A client's connection as hyper sees it. Its first bytes tell the version of HTTP. The framing of HTTP/1 is watched ([`super::framing`]). The end of a connection depends on what was sent over it.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use listener::{Io, Seat, Stream};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, ReadBuf};

use super::{connection::Signals, framing::Watch, metrics::OpenConnection};

const H2_PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// The connection as hyper reads and writes it.
pub struct ClientIo {
    io: Io,
    watch: Option<Watch>,
    signals: Arc<Signals>,
    /// Held for as long as the connection is open, also when it has become a tunnel.
    _held: (Arc<Seat>, OpenConnection),
}

/// How requests are framed on a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HttpVersion {
    Http1,
    Http2,
}

/// Tells HTTP/2 from HTTP/1 by the connection preface ("prior knowledge", RFC 9113, section 3.3). Also returns the bytes
/// that were read. An error if the stream ends before its first byte.
pub async fn sniff(stream: &mut Stream) -> io::Result<(HttpVersion, Bytes)> {
    let mut first = Vec::with_capacity(H2_PREFACE.len());
    while first.len() < H2_PREFACE.len() {
        let mut byte_room = [0; H2_PREFACE.len()];
        let room = byte_room.get_mut(first.len()..).unwrap_or_default();
        let read = stream.read(room).await?;
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

impl ClientIo {
    pub fn new(
        io: Io,
        protocol: HttpVersion,
        signals: Arc<Signals>,
        held: (Arc<Seat>, OpenConnection),
    ) -> Self {
        let watch = (protocol == HttpVersion::Http1).then(Watch::default);
        Self { io, watch, signals, _held: held }
    }
}

impl Drop for ClientIo {
    fn drop(&mut self) {
        if self.signals.resets_at_end() {
            // Fails only if the connection is gone.
            let _ = self.io.stream().tcp().set_zero_linger();
        }
    }
}

impl AsyncRead for ClientIo {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buf.filled().len();
        ready!(Pin::new(&mut this.io).poll_read(cx, buf))?;
        if let Some(watch) = &mut this.watch {
            watch.feed(buf.filled().get(before..).unwrap_or_default(), &this.signals.findings);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for ClientIo {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().io).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().io).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.signals.resets_at_end() {
            return Poll::Ready(Ok(()));
        }
        // The other direction of a tunnel is still read by the tunnel.
        match this.signals.findings.is_tunnel() {
            true => this.io.poll_half_close(cx),
            false => Pin::new(&mut this.io).poll_shutdown(cx),
        }
    }
}
