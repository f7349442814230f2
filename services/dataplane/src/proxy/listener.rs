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
    connection::Arrival,
    proxy_protocol, serving,
    state::ProxyState,
    trust::Trust,
};

/// How long a TLS handshake may take, and a header of the PROXY protocol.
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
    match state.drain.run_until_cancelled(open(tcp, peer, tls, &state)).await {
        Some(Ok(Opened { stream, protocol, replay, arrival })) => {
            serving::serve(state.clone(), stream, protocol, replay, arrival, permit).await;
        }
        Some(Err(error)) => tracing::debug!(%error, %peer, "a connection could not be opened"),
        None => {}
    }
}

/// A connection on which requests can be read.
struct Opened {
    stream: ClientStream,
    protocol: HttpVersion,
    /// Bytes that were read to learn the version of HTTP.
    replay: bytes::Bytes,
    arrival: Arrival,
}

/// Learns whose connection it is, opens TLS if it is a TLS listener, and finds out the version of HTTP.
async fn open(
    mut tcp: TcpStream,
    peer: SocketAddr,
    tls: Option<TlsAcceptor>,
    state: &ProxyState,
) -> std::io::Result<Opened> {
    tcp.set_nodelay(true)?;
    let arrival = arrival(&mut tcp, peer, tls.is_some(), &state.trust).await?;
    let Some(acceptor) = tls else {
        let mut stream = ClientStream::Plain(tcp);
        let (protocol, replay) = timeout(state.limits.head_timeout, stream.sniff()).await??;
        return Ok(Opened { stream, protocol, replay, arrival });
    };
    let tls = timeout(HANDSHAKE_TIMEOUT, acceptor.accept(tcp)).await??;
    let protocol = match tls.get_ref().1.alpn_protocol() {
        Some(b"h2") => HttpVersion::Http2,
        _ => HttpVersion::Http1,
    };
    Ok(Opened { stream: ClientStream::Tls(Box::new(tls)), protocol, replay: bytes::Bytes::new(), arrival })
}

/// Where the connection comes from: from `peer`, or from where a load balancer at `peer` says, if it is trusted.
async fn arrival(
    tcp: &mut TcpStream,
    peer: SocketAddr,
    https: bool,
    trust: &Trust,
) -> std::io::Result<Arrival> {
    let (mut peer, mut local_port) = (peer, tcp.local_addr().ok().map(|address| address.port()));
    if trust.proxy_protocol && trust.proxies.contain(peer.ip()) {
        let passed = timeout(HANDSHAKE_TIMEOUT, proxy_protocol::read(tcp)).await??;
        if let Some(passed) = passed {
            (peer, local_port) = (passed.source, Some(passed.destination.port()));
        }
    }
    Ok(Arrival { peer, local_port, https, is_proxy: trust.proxies.contain(peer.ip()) })
}
