//! Serves one client connection, until it ends: its requests are given to `handler`, and their answers are sent.

mod http1;
mod http2;
mod untaken;

use std::rc::Rc;

use bytes::BytesMut;
use listener::{Io, Stream};

use super::{connection::ClientConnection, open::Place, state::Worker, version::HttpVersion};

/// Serves the connection until it ends. `first`: bytes that were read from it already.
pub async fn serve(
    worker: Rc<Worker>,
    place: Place,
    stream: Stream,
    protocol: HttpVersion,
    first: BytesMut,
    connection: ClientConnection,
) {
    let _open = worker.recorder.tally.connection();
    let (peer, limits) = (connection.arrival.peer, &worker.shared.limits.connections);
    match protocol {
        HttpVersion::Http1 => {
            http1::serve(&worker, &place, &connection, Io::new(stream, limits), first).await;
        }
        HttpVersion::Http2 => {
            let io = Io::new(stream, limits).with_replay(first.freeze());
            let served = Box::pin(http2::serve(&worker, &place, &Rc::new(connection), io)).await;
            if let Err(error) = served {
                tracing::debug!(%error, %peer, "a connection ended early");
            }
        }
    }
}
