//! Which version of HTTP a connection speaks, by its first bytes.

use std::{
    future::poll_fn,
    io,
    mem::MaybeUninit,
    pin::Pin,
    task::{Poll, ready},
};

use bytes::BytesMut;
use listener::Stream;
use tokio::io::{AsyncRead as _, ReadBuf};

const H2_PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// Room for the first bytes: most requests come whole.
const ROOM: usize = 4 * 1024;

/// How requests are framed on a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HttpVersion {
    Http1,
    Http2,
}

/// Tells HTTP/2 from HTTP/1 by the connection preface ("prior knowledge", RFC 9113, section 3.3). Also returns the bytes that were read,
/// which may be more. An error if the stream ends before its first byte.
pub async fn sniff(stream: &mut Stream) -> io::Result<(HttpVersion, BytesMut)> {
    let mut first = BytesMut::new();
    loop {
        let read = read_some(stream, &mut first).await?;
        if read == 0 && first.is_empty() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let preface = first.get(..H2_PREFACE.len()).unwrap_or(&first);
        if read == 0 || !H2_PREFACE.starts_with(preface) {
            return Ok((HttpVersion::Http1, first));
        }
        if preface == H2_PREFACE {
            return Ok((HttpVersion::Http2, first));
        }
    }
}

/// Reads over the stack: while nothing has come, a connection holds no memory for what may.
async fn read_some(stream: &mut Stream, into: &mut BytesMut) -> io::Result<usize> {
    poll_fn(|cx| {
        let mut room = [MaybeUninit::uninit(); ROOM];
        let mut room = ReadBuf::uninit(&mut room);
        ready!(Pin::new(&mut *stream).poll_read(cx, &mut room))?;
        into.extend_from_slice(room.filled());
        Poll::Ready(Ok(room.filled().len()))
    })
    .await
}
