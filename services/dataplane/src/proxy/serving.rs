//! Serves one client connection: hyper over its bytes, its limits, and its end. Gives each request to `handler`.

use std::{
    convert::Infallible,
    pin::{Pin, pin},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use hyper::{
    body::Incoming,
    server::conn::{http1, http2},
    service::service_fn,
};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use listener::{BUFFER_MAX, HEAD_MAX, HEADERS_MAX, Io, Stream};
use tokio::time::timeout;

use super::{
    client_io::{ClientIo, HttpVersion},
    connection::ClientConnection,
    handler,
    state::ProxyState,
};

/// Most requests at the same time on an HTTP/2 connection.
const H2_STREAMS_MAX: u32 = 200;
/// Pause after which an HTTP/2 client is pinged, and how long it may take to answer.
const H2_PING_INTERVAL: Duration = Duration::from_secs(30);
const H2_PING_TIMEOUT: Duration = Duration::from_secs(20);
/// How long a connection that was idle may take to end.
const END_TIMEOUT: Duration = Duration::from_secs(5);

/// Serves the connection until it ends.
pub async fn serve(
    state: Arc<ProxyState>,
    stream: Stream,
    protocol: HttpVersion,
    replay: Bytes,
    connection: ClientConnection,
) {
    let (connection, limits) = (Arc::new(connection), &state.limits.connections);
    let io = match protocol {
        HttpVersion::Http1 => Io::http1(stream, replay, &connection.seat, limits),
        HttpVersion::Http2 => Io::http2(stream, replay, limits),
    };
    let held = (connection.seat.clone(), state.metrics.connection());
    let io = ClientIo::new(io, protocol, connection.signals.clone(), held);
    let ended = match protocol {
        HttpVersion::Http1 => serve_http1(&state, &connection, io).await,
        HttpVersion::Http2 => serve_http2(&state, &connection, io).await,
    };
    if let Err(error) = ended {
        tracing::debug!(%error, peer = %connection.arrival.peer, "a connection ended early");
    }
}

async fn serve_http1(
    state: &Arc<ProxyState>,
    connection: &Arc<ClientConnection>,
    io: ClientIo,
) -> hyper::Result<()> {
    let service = service_fn(|request: hyper::Request<Incoming>| {
        let (state, connection) = (state.clone(), connection.clone());
        async move { Ok::<_, Infallible>(handler::handle(state, connection, request).await) }
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(state.limits.connections.idle_timeout)
        .max_headers(HEADERS_MAX)
        .max_header_size(HEAD_MAX)
        .max_buf_size(BUFFER_MAX)
        .serve_connection(TokioIo::new(io), service);
    let served = pin!(served.with_upgrades());
    drive(state, connection, served, |served| served.graceful_shutdown(), std::future::pending()).await
}

async fn serve_http2(
    state: &Arc<ProxyState>,
    connection: &Arc<ClientConnection>,
    io: ClientIo,
) -> hyper::Result<()> {
    let (shared, own) = (state.clone(), connection.clone());
    let service = service_fn(move |request: hyper::Request<Incoming>| {
        let (state, connection) = (shared.clone(), own.clone());
        async move { Ok::<_, Infallible>(handler::handle(state, connection, request).await) }
    });
    let served = http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .max_concurrent_streams(H2_STREAMS_MAX)
        .max_header_list_size(HEAD_MAX as u32)
        .keep_alive_interval(H2_PING_INTERVAL)
        .keep_alive_timeout(H2_PING_TIMEOUT)
        .serve_connection(TokioIo::new(io), service);
    // For HTTP/1, hyper has this limit.
    let idle = connection.seat.idle(state.limits.connections.idle_timeout);
    drive(state, connection, pin!(served), |served| served.graceful_shutdown(), idle).await
}

/// Runs `served` to its end. Asks it to finish when the gateway drains or the connection was idle for too long. Drops it when
/// the time for draining is over, when it does not end after having been idle, and when its seat is needed.
async fn drive<S>(
    state: &ProxyState,
    connection: &ClientConnection,
    mut served: Pin<&mut S>,
    finish: impl Fn(Pin<&mut S>),
    idle: impl Future<Output = ()>,
) -> hyper::Result<()>
where
    S: Future<Output = hyper::Result<()>>,
{
    tokio::select! {
        ended = served.as_mut() => return ended,
        () = connection.seat.lost() => return Ok(()),
        () = state.drain.cancelled() => finish(served.as_mut()),
        () = idle => {
            finish(served.as_mut());
            return timeout(END_TIMEOUT, served).await.unwrap_or(Ok(()));
        }
    }
    tokio::select! {
        ended = served => ended,
        () = state.kill.cancelled() => Ok(()),
    }
}
