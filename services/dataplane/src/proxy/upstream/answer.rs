//! The body of an upstream's answer, and the connection that it comes from.

use std::{
    future::poll_fn,
    io,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http_body::{Body as _, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::sync::mpsc;
use tokio_util::sync::PollSender;

use super::{Bucket, ExchangeError, Http1};

/// Why an answer's body broke off.
#[derive(Debug, thiserror::Error)]
pub enum AnswerBroken {
    #[error(transparent)]
    Http1(#[from] ExchangeError),
    #[error(transparent)]
    Http2(#[from] hyper::Error),
}

/// The body of an answer. A connection of HTTP/1.1 goes back to the others when the body is over; dropped before, it is closed.
pub struct AnswerBody(Source);

/// What a task passes on of a body; `None` is its end. Without that the body has broken off, whatever became of the task.
type Piece = Option<Result<Frame<Bytes>, ExchangeError>>;

enum Source {
    /// It is read by whoever polls the body.
    Http1 { connection: Option<Box<Http1>>, bucket: Rc<Bucket> },
    /// It is read by a task of its own, which still writes the request.
    Piped { frames: mpsc::Receiver<Piece>, size: SizeHint },
    /// It is read by the task of its connection.
    Http2(Incoming),
}

impl AnswerBody {
    /// The body that comes next on `connection`, which goes back to `bucket` then.
    pub fn http1(connection: Box<Http1>, bucket: Rc<Bucket>) -> Self {
        if !connection.is_sent() {
            let (sender, frames) = mpsc::channel(1);
            let size = connection.size_hint();
            tokio::task::spawn_local(pipe(connection, PollSender::new(sender)));
            return Self(Source::Piped { frames, size });
        }
        let mut source = Source::Http1 { connection: Some(connection), bucket };
        source.give_back_if_over();
        Self(source)
    }

    /// The body of an answer over HTTP/2.
    pub fn http2(incoming: Incoming) -> Self {
        Self(Source::Http2(incoming))
    }

    /// The next piece, or the trailers.
    pub fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, AnswerBroken>>> {
        let frame = match &mut self.0 {
            Source::Http1 { connection: None, .. } => return Poll::Ready(None),
            Source::Http1 { connection: Some(connection), .. } => {
                ready!(connection.poll_frame(cx)).map(|frame| frame.map_err(AnswerBroken::from))
            }
            Source::Piped { frames, .. } => {
                let broken = || Some(Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()));
                ready!(frames.poll_recv(cx))
                    .unwrap_or_else(broken)
                    .map(|frame| frame.map_err(AnswerBroken::from))
            }
            Source::Http2(incoming) => {
                ready!(Pin::new(incoming).poll_frame(cx)).map(|frame| frame.map_err(AnswerBroken::from))
            }
        };
        self.0.give_back_if_over();
        Poll::Ready(frame)
    }

    /// Whether nothing is to come.
    pub fn is_end_stream(&self) -> bool {
        match &self.0 {
            Source::Http1 { connection, .. } => connection.is_none(),
            Source::Piped { size, .. } => size.exact() == Some(0),
            Source::Http2(incoming) => incoming.is_end_stream(),
        }
    }

    /// How much is to come, as far as that is known.
    pub fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Source::Http1 { connection: None, .. } => SizeHint::with_exact(0),
            Source::Http1 { connection: Some(connection), .. } => connection.size_hint(),
            Source::Piped { size, .. } => *size,
            Source::Http2(incoming) => incoming.size_hint(),
        }
    }
}

impl Source {
    fn give_back_if_over(&mut self) {
        if let Self::Http1 { connection, bucket } = self
            && let Some(over) = connection.take_if(|connection| connection.is_over())
        {
            bucket.put(over);
        }
    }
}

/// Writes what is left of the request and reads the answer, each as fast as its other side takes it: an upstream may answer while it
/// still reads. The connection is used no more afterwards.
async fn pipe(mut connection: Box<Http1>, mut frames: PollSender<Piece>) {
    poll_fn(|cx| {
        loop {
            let sent = match connection.is_sent() {
                true => Poll::Ready(Ok(())),
                false => connection.poll_send(cx),
            };
            // Whoever takes the answer is gone.
            if ready!(frames.poll_reserve(cx)).is_err() {
                return Poll::Ready(());
            }
            let frame = match sent {
                Poll::Ready(Err(error)) => Some(Err(error)),
                Poll::Ready(Ok(())) | Poll::Pending => ready!(connection.poll_frame(cx)),
            };
            let is_last = !matches!(frame, Some(Ok(_)));
            // Fails as above.
            if frames.send_item(frame).is_err() || is_last {
                return Poll::Ready(());
            }
        }
    })
    .await;
}
