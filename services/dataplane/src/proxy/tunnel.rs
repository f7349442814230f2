//! A tunnel: copies bytes both ways between two connections that became WebSockets, until both sides end, nothing has moved
//! for too long, or the gateway stops.

use std::{
    io,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use balancer::InFlight;
use bytes::Bytes;
use listener::Io;
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, split},
    time::{Instant, sleep_until},
};

use super::upstream::Stream;

/// Buffer for each direction, in bytes.
const BUFFER: usize = 16 * 1024;

/// When bytes last moved, in either direction.
struct LastMove(Mutex<Instant>);

impl LastMove {
    fn now(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    fn get(&self) -> Instant {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection to an upstream that is no more HTTP.
pub struct Tunnel {
    /// The connection.
    pub upstream: Stream,
    /// What was read from it already.
    pub first: Bytes,
    /// How long nothing may move.
    pub idle: Duration,
    /// The request at its target, if it is one of several.
    pub in_flight: Option<InFlight>,
}

impl Tunnel {
    /// Copies between the client and the upstream until both sides have ended. An error if nothing has moved for too long. `first` was read
    /// from the client already.
    pub async fn run(self, mut client: Io, first: &[u8]) -> io::Result<()> {
        // The end of one direction is not the end of the other.
        client.close_at_once();
        let Self { upstream, first: from_upstream, idle, in_flight: _until_it_ends } = self;
        run(client, first, upstream, &from_upstream, idle).await
    }
}

async fn run<A, B>(
    client: A,
    from_client: &[u8],
    upstream: B,
    from_upstream: &[u8],
    idle: Duration,
) -> io::Result<()>
where
    A: AsyncRead + AsyncWrite,
    B: AsyncRead + AsyncWrite,
{
    let (client_read, mut client_write) = split(client);
    let (upstream_read, mut upstream_write) = split(upstream);
    let last = LastMove(Mutex::new(Instant::now()));
    let both = async {
        let up = async {
            upstream_write.write_all(from_client).await?;
            copy(client_read, upstream_write, &last).await
        };
        let down = async {
            client_write.write_all(from_upstream).await?;
            copy(upstream_read, client_write, &last).await
        };
        tokio::try_join!(up, down).map(drop)
    };
    tokio::select! {
        ended = both => ended,
        () = silence(&last, idle) => Err(io::Error::new(io::ErrorKind::TimedOut, "no bytes moved for too long")),
    }
}

async fn copy(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    last: &LastMove,
) -> io::Result<()> {
    let mut buffer = vec![0; BUFFER];
    loop {
        let read = from.read(&mut buffer).await?;
        last.now();
        if read == 0 {
            return to.shutdown().await;
        }
        to.write_all(buffer.get(..read).unwrap_or_default()).await?;
        to.flush().await?;
        last.now();
    }
}

async fn silence(last: &LastMove, idle: Duration) {
    loop {
        let deadline = last.get() + idle;
        if Instant::now() >= deadline {
            return;
        }
        sleep_until(deadline).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn moves_bytes_both_ways_and_ends_with_both_sides() {
        let (mut client, near) = tokio::io::duplex(64);
        let (mut upstream, far) = tokio::io::duplex(64);
        let tunnel = tokio::spawn(run(near, b"", far, b"", Duration::from_secs(5)));
        client.write_all(b"ping").await.unwrap();
        let mut read = [0; 4];
        upstream.read_exact(&mut read).await.unwrap();
        upstream.write_all(b"pong").await.unwrap();
        client.read_exact(&mut read).await.unwrap();
        assert_eq!(&read, b"pong");
        drop((client, upstream));
        tunnel.await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn silence_ends_it() {
        let (_client, near) = tokio::io::duplex(64);
        let (_upstream, far) = tokio::io::duplex(64);
        let ended = run(near, b"", far, b"", Duration::from_millis(50)).await;
        assert_eq!(ended.unwrap_err().kind(), io::ErrorKind::TimedOut);
    }
}
