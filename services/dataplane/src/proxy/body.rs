//! The body of an answer on its way to the client: passed on frame by frame, with a time limit, never buffered.
//!
//! A body that breaks off at the upstream breaks off at the client. An error here makes hyper reset the stream or close the connection,
//! so a body that is too short never looks complete. One case needs more: an HTTP/1.0 client takes the end of the connection for
//! the end of a body of unknown length. Then the connection is reset.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use listener::{Alarm, InFlight};

use super::{
    connection::Signals,
    headers::clean_trailers,
    metrics,
    upstream::{AnswerBody, AnswerBroken},
};

/// Why an answer broke off.
#[derive(Debug, thiserror::Error)]
pub enum Broken {
    #[error("the upstream's body did not arrive in time")]
    Timeout,
    #[error("the upstream's body broke off: {0}")]
    Upstream(#[from] AnswerBroken),
}

/// The body of an answer, from the gateway or from an upstream. Its request counts as under way until it is dropped.
pub struct Outgoing {
    content: Content,
    _in_flight: Option<InFlight>,
}

enum Content {
    Full(Option<Bytes>),
    Upstream(Relayed),
}

/// The body of an upstream's answer.
struct Relayed {
    body: AnswerBody,
    read_timeout: Duration,
    /// Rings when the upstream has paused for too long.
    paused: Alarm,
    reset: Option<Arc<Signals>>,
}

impl Relayed {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        let Poll::Ready(frame) = self.body.poll_frame(cx) else {
            ready!(self.paused.poll_after(self.read_timeout, cx));
            return Poll::Ready(Some(Err(Broken::Timeout)));
        };
        self.paused.clear();
        Poll::Ready(frame.map(|frame| Ok(clean_trailers(frame?))))
    }
}

impl Outgoing {
    /// A body of the gateway's own.
    pub fn full(bytes: Bytes) -> Self {
        Self { content: Content::Full(Some(bytes).filter(|bytes| !bytes.is_empty())), _in_flight: None }
    }

    /// No body.
    pub fn empty() -> Self {
        Self::full(Bytes::new())
    }

    /// An upstream's body, within which the upstream may pause for `read_timeout`. `reset` is the client's connection, if the client
    /// takes the end of the connection for the end of the body.
    pub fn upstream(body: AnswerBody, read_timeout: Duration, reset: Option<Arc<Signals>>) -> Self {
        let relayed = Relayed { body, read_timeout, paused: Alarm::default(), reset };
        Self { content: Content::Upstream(relayed), _in_flight: None }
    }

    /// Whether it is the gateway's own, and no upstream's.
    pub fn is_own(&self) -> bool {
        matches!(self.content, Content::Full(_))
    }

    /// The body with `in_flight`, which it holds until it has been sent or given up.
    pub fn holding(self, in_flight: InFlight) -> Self {
        Self { _in_flight: Some(in_flight), ..self }
    }
}

impl Body for Outgoing {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        let relayed = match &mut self.get_mut().content {
            Content::Full(bytes) => return Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Content::Upstream(relayed) => relayed,
        };
        let result = ready!(relayed.poll_frame(cx));
        if let Some(Err(error)) = &result {
            tracing::debug!(%error, "an answer broke off");
            metrics::broken("upstream-body", "upstream");
            if let Some(signals) = &relayed.reset {
                signals.reset_at_end();
            }
        }
        Poll::Ready(result)
    }

    fn is_end_stream(&self) -> bool {
        match &self.content {
            Content::Full(bytes) => bytes.is_none(),
            Content::Upstream(relayed) => relayed.body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.content {
            Content::Full(bytes) => {
                SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64))
            }
            Content::Upstream(relayed) => relayed.body.size_hint(),
        }
    }
}
