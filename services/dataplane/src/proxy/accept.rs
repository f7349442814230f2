//! Accepts connections until the gateway drains, and learns of each which version of HTTP it speaks.

use std::rc::Rc;

use bytes::Bytes;
use listener::{Arrived, Listener, Opened, Stream};
use tokio::time::timeout;

use super::{
    client_io::{HttpVersion, sniff},
    connection::{Arrival, ClientConnection},
    serving,
    state::Worker,
};

/// Accepts connections until the drain.
pub async fn accept(listener: Listener, worker: Rc<Worker>) {
    let drain = worker.shared.drain.clone();
    while let Some(arrived) = drain.run_until_cancelled(listener.accept()).await {
        tokio::task::spawn_local(serve(worker.clone(), arrived));
    }
}

async fn serve(worker: Rc<Worker>, arrived: Arrived) {
    let (peer, place) = (arrived.peer(), worker.open.enter());
    match worker.shared.drain.run_until_cancelled(open(arrived, &worker)).await {
        Some(Ok(Ready { stream, protocol, replay, connection })) => {
            serving::serve(worker.clone(), place, stream, protocol, replay, connection).await;
        }
        Some(Err(error)) => tracing::debug!(%error, %peer, "a connection could not be opened"),
        None => {}
    }
}

/// A connection on which requests can be read.
struct Ready {
    stream: Stream,
    protocol: HttpVersion,
    /// Bytes that were read to learn the version of HTTP.
    replay: Bytes,
    connection: ClientConnection,
}

async fn open(arrived: Arrived, worker: &Worker) -> std::io::Result<Ready> {
    let (shared, opened) = (&worker.shared, arrived.open().await?);
    let alpn = opened.alpn().map(<[u8]>::to_vec);
    let sni = opened.server_name().map(|name| name.to_ascii_lowercase().into_boxed_str());
    let Opened { mut stream, seat, peer, local_port, .. } = opened;
    let https = matches!(stream, Stream::Tls(_));
    let (protocol, replay) = match (https, alpn.as_deref()) {
        (false, _) => {
            let sniffed = timeout(shared.limits.connections.idle_timeout, sniff(&mut stream));
            tokio::select! {
                sniffed = sniffed => sniffed??,
                () = seat.lost() => return Err(std::io::ErrorKind::ConnectionAborted.into()),
            }
        }
        (true, Some(b"h2")) => (HttpVersion::Http2, Bytes::new()),
        (true, _) => (HttpVersion::Http1, Bytes::new()),
    };
    let (is_proxy, told) = (shared.trust.proxies.contain(peer.ip()), Arrival::told(peer, local_port));
    let arrival = Arrival { peer, https, sni, is_proxy, told };
    Ok(Ready { stream, protocol, replay, connection: ClientConnection::new(arrival, seat) })
}
