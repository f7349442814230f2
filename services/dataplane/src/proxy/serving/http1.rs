//! A connection of HTTP/1.1: one request after the other, in a single task.

use std::{
    cell::RefCell,
    future::poll_fn,
    pin::{Pin, pin},
    rc::Rc,
    task::Poll,
};

use bytes::BytesMut;
use http::Response;
use http_body::Body as _;
use listener::Io;

use crate::proxy::{
    body::{Held, Outgoing},
    connection::ClientConnection,
    handler,
    http1::{Coding, RequestReader, SendError, Server},
    open::{Phase, Place},
    request_body::Incoming,
    state::Worker,
    tunnel::Tunnel,
};

/// What becomes of a connection when an answer has been sent.
enum Then {
    /// It takes the next request.
    Next,
    /// It ends as it should.
    Close,
    /// It has ended, or ends as it is.
    Drop,
    /// It becomes a tunnel.
    Tunnel(Box<Tunnel>, Option<Held>),
}

/// Serves the connection until it ends, its seat is needed, or the time for draining is over.
pub async fn serve(worker: &Worker, place: &Place, connection: &ClientConnection, io: Io, first: BytesMut) {
    let mut serving = pin!(requests(worker, place, connection, Server::new(io, first)));
    poll_fn(|cx| {
        if place.phase(cx) == Phase::Closing || connection.seat.poll_lost(cx).is_ready() {
            return Poll::Ready(());
        }
        serving.as_mut().poll(cx)
    })
    .await;
}

async fn requests(
    worker: &Worker,
    place: &Place,
    connection: &ClientConnection,
    server: Rc<RefCell<Server>>,
) {
    let limits = &worker.shared.limits.connections;
    loop {
        let head = poll_fn(|cx| {
            let finishes = place.phase(cx) >= Phase::Finishing;
            server.borrow_mut().poll_head(cx, limits, finishes)
        });
        let answer = match head.await {
            None => break,
            Some(Err(refused)) => handler::refuse(worker, connection, refused),
            Some(Ok(request)) => {
                let body = Incoming::Http1(RequestReader::new(&server));
                let mut answering = pin!(handler::handle(worker, connection, request.map(|()| body)));
                let answer = poll_fn(|cx| match answering.as_mut().poll(cx) {
                    Poll::Ready(answer) => Poll::Ready(Some(answer)),
                    Poll::Pending => server.borrow_mut().poll_gone(cx).map(|()| None),
                });
                // Nobody waits for the answer any more: the request to the upstream ends too.
                let Some(answer) = answer.await else { return };
                answer
            }
        };
        match send(worker, &server, answer).await {
            Then::Next => {}
            Then::Close => break,
            Then::Drop => return,
            Then::Tunnel(tunnel, _held) => {
                let Some(server) = Rc::into_inner(server) else { return };
                let (client, first) = server.into_inner().into_bytes();
                if let Err(error) = Box::pin(tunnel.run(client, &first)).await {
                    tracing::debug!(%error, peer = %connection.arrival.peer, "a tunnel ended early");
                }
                return;
            }
        }
    }
    // Fails only if the client is gone.
    let _ = poll_fn(|cx| server.borrow_mut().poll_close(cx)).await;
}

/// Sends an answer.
async fn send(worker: &Worker, server: &RefCell<Server>, answer: Response<Outgoing>) -> Then {
    let (parts, mut body) = answer.into_parts();
    let is_last = worker.open.phase() >= Phase::LastRequests;
    let (came, length) = body.head();
    let length = (body.size_hint(), length);
    let coding = server.borrow_mut().begin_answer(&parts, came, length, is_last, &worker.date);
    let mut sending = coding;
    let sent = poll_fn(|cx| server.borrow_mut().poll_send(cx, Pin::new(&mut body), &mut sending)).await;
    match sent {
        Ok(()) => {}
        // The client takes the end of the connection for the end of the body.
        Err(SendError::Body(_) | SendError::Length) if coding == Coding::UntilClosed => {
            server.borrow().reset();
            return Then::Drop;
        }
        Err(_) => return Then::Drop,
    }
    if let Some((tunnel, held)) = body.into_tunnel() {
        return Then::Tunnel(tunnel, held);
    }
    let limits = &worker.shared.limits.connections;
    match poll_fn(|cx| server.borrow_mut().poll_next(cx, limits)).await {
        true => Then::Next,
        false => Then::Close,
    }
}
