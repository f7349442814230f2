//! Accepts connections until the gateway drains, and learns of each which version of HTTP it speaks.

use std::rc::Rc;

use bytes::BytesMut;
use listener::{Arrived, Listener, Opened, Stream};
use tokio::time::timeout;

use super::{
    connection::{Arrival, ClientConnection},
    open::{Phase, Place},
    serving,
    state::Worker,
    version::{HttpVersion, sniff},
};
use crate::plugins::ClientCertificate;

/// Accepts connections until the drain, and then those that clients had begun to open by then.
pub async fn accept(listener: Listener, worker: Rc<Worker>) {
    let drain = worker.shared.drain.clone();
    while let Some(arrived) = listener.next(&drain).await {
        let place = worker.open.enter();
        tokio::task::spawn_local(serve(worker.clone(), place, arrived));
    }
}

async fn serve(worker: Rc<Worker>, place: Place, arrived: Arrived) {
    let peer = arrived.peer();
    let opened = tokio::select! {
        // In a box, as all that a connection without a request does not need: otherwise it would hold room for it.
        opened = Box::pin(open(arrived, &worker, &place)) => opened,
        () = place.reaches(Phase::Closing) => return,
    };
    match opened {
        Ok(Ready { stream, protocol, first, connection }) => {
            serving::serve(worker.clone(), place, stream, protocol, first, connection).await;
        }
        Err(error) => tracing::debug!(%error, %peer, "a connection could not be opened"),
    }
}

/// A connection on which requests can be read.
struct Ready {
    stream: Stream,
    protocol: HttpVersion,
    /// Bytes that were read to learn the version of HTTP.
    first: BytesMut,
    connection: ClientConnection,
}

async fn open(arrived: Arrived, worker: &Worker, place: &Place) -> std::io::Result<Ready> {
    let (shared, opened) = (&worker.shared, arrived.open().await?);
    let alpn = opened.alpn().map(<[u8]>::to_vec);
    let sni = opened.server_name().map(|name| name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase());
    let certificate = certificate(&opened);
    let Opened { mut stream, seat, peer, local_port, .. } = opened;
    let https = matches!(stream, Stream::Tls(_));
    let (protocol, first) = match (https, alpn.as_deref()) {
        (false, _) => {
            let sniffed = timeout(shared.limits.connections.idle_timeout, sniff(&mut stream));
            let sniffed = tokio::select! {
                sniffed = sniffed => Some(sniffed??),
                () = seat.lost() => return Err(std::io::ErrorKind::ConnectionAborted.into()),
                () = place.reaches(Phase::Finishing) => None,
            };
            // HTTP/1 ends a connection without a request so that one which is on its way meets no reset.
            sniffed.unwrap_or((HttpVersion::Http1, BytesMut::new()))
        }
        (true, Some(b"h2")) => (HttpVersion::Http2, BytesMut::new()),
        (true, _) => (HttpVersion::Http1, BytesMut::new()),
    };
    let (is_proxy, told) = (shared.trust.proxies.contain(peer.ip()), Arrival::told(peer, local_port));
    let arrival = Arrival { peer, https, sni: sni.map(String::into_boxed_str), is_proxy, told };
    Ok(Ready { stream, protocol, first, connection: ClientConnection { arrival, certificate, seat } })
}

/// What the client has shown of itself in TLS.
fn certificate(opened: &Opened) -> ClientCertificate {
    match (&opened.stream, opened.chain()) {
        (Stream::Plain(_), _) => ClientCertificate::Plain,
        (Stream::Tls(_), []) if opened.was_asked => ClientCertificate::None,
        (Stream::Tls(_), []) => ClientCertificate::NotAsked,
        (Stream::Tls(_), chain) => ClientCertificate::shown(chain.to_vec()),
    }
}
