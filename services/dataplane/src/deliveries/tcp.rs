//! Entries as lines over one TCP connection, which is kept open for a while.

use std::{fmt, time::Duration};

use bytes::Bytes;
use futures::{FutureExt as _, future::BoxFuture};
use rustix::net::RecvFlags;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    sync::Mutex,
    time::timeout,
};
use tokio_rustls::client::TlsStream;
use tokio_util::either::Either;

use super::{Destination, Failed};
use crate::calls::{Calls, TlsWith, Unreachable};

/// Where and how.
#[derive(Clone, Debug)]
pub struct TcpSettings {
    /// Name or address.
    pub host: String,
    /// The port.
    pub port: u16,
    /// Limit of connecting, and of writing a batch.
    pub timeout: Duration,
    /// How long the connection is kept without use.
    pub keepalive: Duration,
    /// With whom TLS is spoken; `None`: it is not.
    pub tls: Option<TlsWith>,
}

type Stream = Either<TcpStream, TlsStream<TcpStream>>;

/// See the module.
pub struct Tcp {
    settings: TcpSettings,
    calls: Calls,
    open: Mutex<Option<Stream>>,
}

impl Tcp {
    /// Nothing is open yet.
    pub fn new(settings: TcpSettings, calls: Calls) -> Self {
        Self { settings, calls, open: Mutex::default() }
    }

    async fn connect(&self) -> Result<Stream, Unreachable> {
        let TcpSettings { host, port, tls, .. } = &self.settings;
        let stream = self.calls.connect(host, *port).await?;
        Ok(match tls {
            Some(with) => Either::Right(self.calls.secure(stream, with).await?),
            None => Either::Left(stream),
        })
    }

    async fn write(&self, lines: &[u8]) -> Result<(), Unreachable> {
        let mut open = self.open.lock().await;
        let kept = open.take().filter(|_| !self.settings.keepalive.is_zero());
        let mut stream = match kept.and_then(|mut stream| is_open(&mut stream).then_some(stream)) {
            Some(stream) => stream,
            None => self.connect().await?,
        };
        stream.write_all(lines).await?;
        stream.flush().await?;
        *open = Some(stream);
        Ok(())
    }
}

/// Whether the receiver has not closed the connection. What it says is not listened to.
fn is_open(stream: &mut Stream) -> bool {
    let mut said = [0; 1024];
    while let Some(read) = stream.read(&mut said).now_or_never() {
        if !matches!(read, Ok(1..)) {
            return false;
        }
    }
    // The kernel knows it before the runtime does.
    let tcp = match stream {
        Either::Left(tcp) => tcp,
        Either::Right(tls) => tls.get_ref().0,
    };
    let flags = RecvFlags::PEEK | RecvFlags::DONTWAIT;
    !matches!(rustix::net::recv(tcp, &mut said[..1], flags), Ok((_, 0)))
}

impl Destination for Tcp {
    fn deliver<'a>(&'a self, batch: &'a [Bytes]) -> BoxFuture<'a, Result<(), Failed>> {
        Box::pin(async move {
            let mut lines = Vec::with_capacity(batch.iter().map(|entry| entry.len() + 1).sum());
            for entry in batch {
                lines.extend_from_slice(entry);
                lines.push(b'\n');
            }
            match timeout(self.settings.timeout, self.write(&lines)).await {
                Ok(Ok(())) => Ok(()),
                Ok(Err(error)) => Err(Failed::whole(batch, error)),
                Err(_) => Err(Failed::whole(batch, "the receiver took no lines in time")),
            }
        })
    }

    fn linger(&self) -> Duration {
        self.settings.keepalive
    }

    fn rest(&self) {
        if let Ok(mut open) = self.open.try_lock() {
            *open = None;
        }
    }
}

impl fmt::Debug for Tcp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tcp").field("settings", &self.settings).finish_non_exhaustive()
    }
}
