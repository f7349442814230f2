//! Accepts connections until the gateway drains, up to a limit of their number.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use tokio::{
    net::{TcpListener, TcpStream},
    sync::OwnedSemaphorePermit,
    time::timeout,
};
use tokio_rustls::TlsAcceptor;

use super::{
    client_io::{ClientStream, HttpVersion},
    serving,
    state::ProxyState,
};

/// How long a TLS handshake may take.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// Pause after a failed accept. Usually the process has no free file descriptor, and some are freed meanwhile.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Accepts connections until the drain. When the limit is reached, new ones wait in the kernel's queue.
pub async fn accept(listener: TcpListener, tls: Option<TlsAcceptor>, state: Arc<ProxyState>) {
    let drain = state.drain.clone();
    loop {
        let permit = state.connections.clone().acquire_owned();
        // The semaphore is never closed.
        let Some(Ok(permit)) = drain.run_until_cancelled(permit).await else { return };
        let Some(accepted) = drain.run_until_cancelled(listener.accept()).await else { return };
        match accepted {
            Ok((tcp, peer)) => {
                let serving = serve(state.clone(), tcp, peer, tls.clone(), permit);
                state.tasks.spawn(serving);
            }
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn serve(
    state: Arc<ProxyState>,
    tcp: TcpStream,
    peer: SocketAddr,
    tls: Option<TlsAcceptor>,
    permit: OwnedSemaphorePermit,
) {
    let drain = state.drain.clone();
    let is_tls = tls.is_some();
    let opened = drain.run_until_cancelled(open(tcp, tls, state.limits.head_timeout)).await;
    match opened {
        Some(Ok((stream, protocol, replay))) => {
            serving::serve(state, stream, protocol, replay, peer, is_tls, permit).await;
        }
        Some(Err(error)) => tracing::debug!(%error, %peer, "a connection could not be opened"),
        None => {}
    }
}

/// Opens TLS if it is a TLS listener, and finds out the version of HTTP.
async fn open(
    tcp: TcpStream,
    tls: Option<TlsAcceptor>,
    first_byte_timeout: Duration,
) -> std::io::Result<(ClientStream, HttpVersion, bytes::Bytes)> {
    tcp.set_nodelay(true)?;
    let Some(acceptor) = tls else {
        let mut stream = ClientStream::Plain(tcp);
        let (protocol, replay) = timeout(first_byte_timeout, stream.sniff()).await??;
        return Ok((stream, protocol, replay));
    };
    let tls = timeout(HANDSHAKE_TIMEOUT, acceptor.accept(tcp)).await??;
    let protocol = match tls.get_ref().1.alpn_protocol() {
        Some(b"h2") => HttpVersion::Http2,
        _ => HttpVersion::Http1,
    };
    Ok((ClientStream::Tls(Box::new(tls)), protocol, bytes::Bytes::new()))
}
