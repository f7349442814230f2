//! The least an upstream can do: 200 to every request, over kept-alive HTTP/1.1. The answer's body is as long as the
//! request's, or small and fixed where the request has none.
//!
//! Run by `proxy` as a process of its own (`loadtests upstream`), so that its CPU time is nobody else's. It shares cores
//! with the generator, so it parses no more than [`crate::wire`] has to.

use std::{
    net::SocketAddr,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use anyhow::{Context as _, ensure};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::TcpListener,
    time::sleep,
};

use crate::wire::{READ_BYTES, content_length, head_length};

/// Size of a small JSON answer.
pub const SMALL_BODY_BYTES: usize = 256;
/// Longest body that is taken.
const BODY_BYTES_MAX: usize = 1024 * 1024;

/// How long an answer takes while the upstream is slow.
const SLOW: Duration = Duration::from_millis(50);
/// How often the file that makes it slow is looked for.
const LOOK: Duration = Duration::from_millis(20);

/// Whether the upstream is slow now.
#[derive(Clone, Debug, Default)]
pub struct Slow(Arc<AtomicBool>);

impl Slow {
    /// Slow while `file` is there.
    fn while_there(file: PathBuf) -> Self {
        let slow = Self::default();
        let found = slow.0.clone();
        tokio::spawn(async move {
            loop {
                found.store(file.exists(), Relaxed);
                sleep(LOOK).await;
            }
        });
        slow
    }
}

/// Serves until the process ends; slowly while the file `slow_while` is there.
pub async fn serve(listen: SocketAddr, slow_while: Option<PathBuf>) -> anyhow::Result<()> {
    let listener = TcpListener::bind(listen).await.with_context(|| format!("listen on {listen}"))?;
    accept(listener, slow_while.map(Slow::while_there).unwrap_or_default()).await
}

/// Serves every connection of `listener` until accepting one fails.
pub async fn accept(listener: TcpListener, slow: Slow) -> anyhow::Result<()> {
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        // A client that goes away ends its connection, and nothing else.
        tokio::spawn(answer_all(stream, slow.clone()));
    }
}

/// Answers every request of a connection until the client closes it.
pub async fn answer_all(mut stream: impl AsyncRead + AsyncWrite + Unpin, slow: Slow) -> anyhow::Result<()> {
    let mut received = Vec::with_capacity(READ_BYTES);
    let mut answer = answer_of(SMALL_BODY_BYTES);
    let mut answered = SMALL_BODY_BYTES;
    loop {
        let head = loop {
            if let Some(head) = head_length(&received)? {
                break head;
            }
            if stream.read_buf(&mut received).await? == 0 {
                return Ok(());
            }
        };
        let length = content_length(received.get(..head).unwrap_or_default())?.unwrap_or_default();
        ensure!(length <= BODY_BYTES_MAX, "a body of {length} bytes");
        while received.len() < head + length {
            ensure!(stream.read_buf(&mut received).await? > 0, "the body ends early");
        }
        received.drain(..head + length);
        let wanted = if length == 0 { SMALL_BODY_BYTES } else { length };
        if wanted != answered {
            (answer, answered) = (answer_of(wanted), wanted);
        }
        if slow.0.load(Relaxed) {
            sleep(SLOW).await;
        }
        stream.write_all(&answer).await?;
    }
}

fn answer_of(length: usize) -> Vec<u8> {
    let mut answer =
        format!("HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: {length}\r\n\r\n")
            .into_bytes();
    answer.resize(answer.len() + length, b'.');
    answer
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpStream;

    use super::*;

    #[tokio::test]
    async fn answers_are_as_long_as_requests_and_requests_may_come_in_pieces() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("bound");
        tokio::spawn(accept(listener, Slow::default()));
        let mut stream = TcpStream::connect(address).await.expect("connected");
        let requests = "GET / HTTP/1.1\r\nHost: a\r\n\r\nPOST / HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc";
        for piece in requests.as_bytes().chunks(7) {
            stream.write_all(piece).await.expect("sent");
        }
        let wanted = [answer_of(SMALL_BODY_BYTES), answer_of(3)].concat();
        let mut answers = vec![0; wanted.len()];
        stream.read_exact(&mut answers).await.expect("two answers");
        assert_eq!(answers, wanted);
    }
}
