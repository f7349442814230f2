//! A connection of HTTP/2: hyper over its bytes, and its limits. Each request has a task of its own.

use std::{convert::Infallible, future::poll_fn, pin::pin, rc::Rc, task::Poll, time::Duration};

use hyper::{body::Incoming, server::conn::http2, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use listener::{Alarm, HEAD_MAX, Io};
use tokio::time::Instant;

use super::untaken::Untaken;
use crate::proxy::{
    connection::ClientConnection,
    handler,
    local::LocalExecutor,
    open::{Phase, Place},
    request_body,
    state::Worker,
};

/// Most requests at the same time on a connection.
const STREAMS_MAX: u32 = 200;
/// Bytes of an answer that wait for the client's window at most.
const SEND_BUFFER: usize = 64 * 1024;
/// Pause after which a client is pinged, and how long it may take to answer.
const PING_INTERVAL: Duration = Duration::from_secs(30);
const PING_TIMEOUT: Duration = Duration::from_secs(20);
/// How long a connection that was idle may take to end.
const END_TIMEOUT: Duration = Duration::from_secs(5);

/// Serves the connection until it ends. Asks it to finish when the gateway drains or the connection was idle for too long. Drops it when
/// the time for draining is over, when it does not end after having been idle, when the client takes nothing of an answer, and when its seat
/// is needed.
pub async fn serve(
    worker: &Rc<Worker>,
    place: &Place,
    connection: &Rc<ClientConnection>,
    io: Io,
) -> hyper::Result<()> {
    let (shared, own, untaken) = (worker.clone(), connection.clone(), Rc::new(Untaken::default()));
    let watching = untaken.clone();
    let service = service_fn(move |request: hyper::Request<Incoming>| {
        let (worker, connection, untaken) = (shared.clone(), own.clone(), watching.clone());
        let request = request.map(request_body::Incoming::Http2);
        async move {
            let answer = handler::handle(&worker, &connection, request).await;
            Ok::<_, Infallible>(answer.map(|body| untaken.watch(body)))
        }
    });
    let served = http2::Builder::new(LocalExecutor)
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS_MAX)
        .max_send_buf_size(SEND_BUFFER)
        .max_header_list_size(HEAD_MAX as u32)
        .keep_alive_interval(PING_INTERVAL)
        .keep_alive_timeout(PING_TIMEOUT)
        .serve_connection(TokioIo::new(io), service);
    let mut served = pin!(served);
    let limits = &worker.shared.limits.connections;
    let (limit, mut idle, mut stalled, mut is_finishing) =
        (limits.idle_timeout, Alarm::default(), Alarm::default(), false);
    poll_fn(|cx| {
        let phase = place.phase(cx);
        if phase == Phase::Closing || connection.seat.poll_lost(cx).is_ready() {
            return Poll::Ready(Ok(()));
        }
        // HTTP/2 tells the client first which requests are the last, and takes those that are on their way meanwhile.
        if phase >= Phase::LastRequests && !is_finishing {
            is_finishing = true;
            served.as_mut().graceful_shutdown();
            idle.clear();
        }
        loop {
            if let Poll::Ready(ended) = served.as_mut().poll(cx) {
                return Poll::Ready(ended);
            }
            if untaken.poll_stalled(limits.stall_timeout, &mut stalled, cx).is_ready() {
                return Poll::Ready(Ok(()));
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
                served.as_mut().graceful_shutdown();
                idle.set(now + END_TIMEOUT);
            }
        }
    })
    .await
}
