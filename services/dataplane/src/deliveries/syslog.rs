//! Entries for this machine's syslog, over its Unix socket, in the form in which the C library writes them (RFC 3164 without a host). An
//! entry is the whole datagram: whoever made it knows its severity.

use std::{
    fmt::Debug,
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use bytes::Bytes;
use futures::future::BoxFuture;
use tokio::{net::UnixDatagram, time::timeout};

use super::{Destination, Failed};

/// Where syslog listens on Linux.
pub const DEV_LOG: &str = "/dev/log";
/// How long syslog may be busy.
const SEND_TIMEOUT: Duration = Duration::from_secs(5);

/// See the module.
#[derive(Debug)]
pub struct Syslog(PathBuf);

impl Syslog {
    /// The syslog that listens at `path`; see [`DEV_LOG`].
    pub fn at(path: impl AsRef<Path>) -> Self {
        Self(path.as_ref().to_owned())
    }
}

impl Destination for Syslog {
    fn deliver<'a>(&'a self, batch: &'a [Bytes]) -> BoxFuture<'a, Result<(), Failed>> {
        Box::pin(async move {
            let failed = |delivered, error: io::Error| Failed {
                delivered,
                stuck: 1,
                is_hopeless: error.raw_os_error() == Some(rustix::io::Errno::MSGSIZE.raw_os_error()),
                cause: format!("{}: {error}", self.0.display()),
            };
            let socket = UnixDatagram::unbound().and_then(|socket| socket.connect(&self.0).map(|()| socket));
            let socket = socket.map_err(|error| failed(0, error))?;
            for (index, entry) in batch.iter().enumerate() {
                let sent = timeout(SEND_TIMEOUT, socket.send(entry)).await;
                sent.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
                    .map_err(|error| failed(index, error))?;
            }
            Ok(())
        })
    }
}
