//! Serves one client connection: hyper over its bytes, its limits, and its end. Gives each request to `handler`.

use std::{
    convert::Infallible,
    future::poll_fn,
    pin::{Pin, pin},
    rc::Rc,
    task::Poll,
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderValue, StatusCode, header::CONNECTION};
use hyper::{
    body::Incoming,
    server::conn::{http1, http2},
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use listener::{Alarm, BUFFER_MAX, HEAD_MAX, HEADERS_MAX, Io, Stream};
use tokio::time::Instant;

use super::{
    client_io::{ClientIo, HttpVersion},
    connection::ClientConnection,
    handler,
    local::LocalExecutor,
    open::{Phase, Place},
    state::Worker,
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
    worker: Rc<Worker>,
    place: Place,
    stream: Stream,
    protocol: HttpVersion,
    replay: Bytes,
    connection: ClientConnection,
) {
    let (connection, limits) = (Rc::new(connection), &worker.shared.limits.connections);
    let io = match protocol {
        HttpVersion::Http1 => Io::http1(stream, replay, &connection.seat, limits),
        HttpVersion::Http2 => Io::http2(stream, replay, limits),
    };
    let held = (connection.seat.clone(), worker.tally.connection());
    let io = ClientIo::new(io, protocol, connection.signals.clone(), held);
    let ended = match protocol {
        HttpVersion::Http1 => serve_http1(&worker, &place, &connection, io).await,
        HttpVersion::Http2 => serve_http2(&worker, &place, &connection, io).await,
    };
    if let Err(error) = ended {
        tracing::debug!(%error, peer = %connection.arrival.peer, "a connection ended early");
    }
}

async fn serve_http1(
    worker: &Rc<Worker>,
    place: &Place,
    connection: &Rc<ClientConnection>,
    io: ClientIo,
) -> hyper::Result<()> {
    let service = service_fn(|request: hyper::Request<Incoming>| {
        let (worker, connection) = (worker.clone(), connection.clone());
        async move {
            let mut response = handler::handle(worker.clone(), connection, request).await;
            // A tunnel goes on.
            if worker.open.phase() >= Phase::LastRequests
                && response.status() != StatusCode::SWITCHING_PROTOCOLS
            {
                response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            }
            Ok::<_, Infallible>(response)
        }
    });
    let served = http1::Builder::new()
        .max_headers(HEADERS_MAX)
        .max_header_size(HEAD_MAX)
        .max_buf_size(BUFFER_MAX)
        .serve_connection(TokioIo::new(io), service);
    let served = pin!(served.with_upgrades());
    drive(worker, place, connection, served, Phase::Finishing, |served| served.graceful_shutdown()).await
}

async fn serve_http2(
    worker: &Rc<Worker>,
    place: &Place,
    connection: &Rc<ClientConnection>,
    io: ClientIo,
) -> hyper::Result<()> {
    let (shared, own) = (worker.clone(), connection.clone());
    let service = service_fn(move |request: hyper::Request<Incoming>| {
        let (worker, connection) = (shared.clone(), own.clone());
        async move { Ok::<_, Infallible>(handler::handle(worker, connection, request).await) }
    });
    let served = http2::Builder::new(LocalExecutor)
        .timer(TokioTimer::new())
        .max_concurrent_streams(H2_STREAMS_MAX)
        .max_header_list_size(HEAD_MAX as u32)
        .keep_alive_interval(H2_PING_INTERVAL)
        .keep_alive_timeout(H2_PING_TIMEOUT)
        .serve_connection(TokioIo::new(io), service);
    // HTTP/2 tells the client first which requests are the last, and takes those that are on their way meanwhile.
    let ends_in = Phase::LastRequests;
    drive(worker, place, connection, pin!(served), ends_in, |served| served.graceful_shutdown()).await
}

/// Runs `served` to its end. Asks it to finish when the drain has reached `ends_in` or the connection was idle for too long. Drops it when
/// the time for draining is over, when it does not end after having been idle, and when its seat is needed.
async fn drive<S>(
    worker: &Worker,
    place: &Place,
    connection: &ClientConnection,
    mut served: Pin<&mut S>,
    ends_in: Phase,
    finish: impl Fn(Pin<&mut S>),
) -> hyper::Result<()>
where
    S: Future<Output = hyper::Result<()>>,
{
    let (limit, mut idle, mut is_finishing) =
        (worker.shared.limits.connections.idle_timeout, Alarm::default(), false);
    poll_fn(|cx| {
        let phase = place.phase(cx);
        if phase == Phase::Closing || connection.seat.poll_lost(cx).is_ready() {
            return Poll::Ready(Ok(()));
        }
        if phase >= ends_in && !is_finishing {
            is_finishing = true;
            finish(served.as_mut());
            idle.clear();
        }
        loop {
            if let Poll::Ready(ended) = served.as_mut().poll(cx) {
                return Poll::Ready(ended);
            }
            if !is_finishing && !idle.is_set() {
                idle.set(connection.seat.idle_until(limit));
            }
            if idle.poll(cx).is_pending() {
                return Poll::Pending;
            }
            let now = Instant::now();
            if is_finishing {
                return Poll::Ready(Ok(()));
            }
            if connection.seat.idle_until(limit) <= now {
                is_finishing = true;
                finish(served.as_mut());
                idle.set(now + END_TIMEOUT);
            }
        }
    })
    .await
}
