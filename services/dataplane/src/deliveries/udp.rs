//! Each entry as one UDP datagram. Nobody says whether it arrived.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    time::Duration,
};

use bytes::Bytes;
use futures::future::BoxFuture;
use tokio::{net::UdpSocket, time::timeout};

use super::{Destination, Failed};
use crate::calls::{Calls, Unreachable};

/// See the module.
pub struct Udp {
    host: String,
    port: u16,
    timeout: Duration,
    calls: Calls,
}

impl Udp {
    /// To `host`, a name or an address. `timeout` is for finding out its address, and for sending one entry.
    pub fn new((host, port): (String, u16), timeout: Duration, calls: Calls) -> Self {
        Self { host, port, timeout, calls }
    }

    /// A socket that sends there.
    async fn socket(&self) -> Result<UdpSocket, Unreachable> {
        let addresses = self.calls.addresses(&self.host, self.port).await?;
        let address = addresses.first().ok_or(Unreachable::Forbidden)?;
        let any = match address.ip() {
            IpAddr::V4(_) => IpAddr::from(Ipv4Addr::UNSPECIFIED),
            IpAddr::V6(_) => IpAddr::from(Ipv6Addr::UNSPECIFIED),
        };
        let socket = UdpSocket::bind((any, 0)).await?;
        socket.connect(address).await?;
        Ok(socket)
    }
}

impl Destination for Udp {
    fn deliver<'a>(&'a self, batch: &'a [Bytes]) -> BoxFuture<'a, Result<(), Failed>> {
        Box::pin(async move {
            let failed = |delivered, cause: String| Failed { delivered, stuck: 1, is_hopeless: true, cause };
            let socket = match timeout(self.timeout, self.socket()).await {
                Ok(Ok(socket)) => socket,
                Ok(Err(error)) => return Err(Failed::whole(batch, error)),
                Err(_) => return Err(Failed::whole(batch, "the name was not resolved in time")),
            };
            for (index, entry) in batch.iter().enumerate() {
                match timeout(self.timeout, socket.send(entry)).await {
                    Ok(Ok(_)) => {}
                    // Too long for a datagram; or nobody took an earlier one. Another attempt would not help.
                    Ok(Err(error)) => return Err(failed(index, error.to_string())),
                    Err(_) => return Err(failed(index, "the datagram was not sent in time".to_owned())),
                }
            }
            Ok(())
        })
    }
}

impl fmt::Debug for Udp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port, timeout, .. } = self;
        f.debug_struct("Udp")
            .field("host", host)
            .field("port", port)
            .field("timeout", timeout)
            .finish_non_exhaustive()
    }
}
