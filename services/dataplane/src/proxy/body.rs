//! The body of an answer on its way to the client: passed on frame by frame, with a time limit, never buffered.
//!
//! A body that breaks off at the upstream breaks off at the client. An error here makes whoever sends it reset the stream or close the
//! connection, so a body that is too short never looks complete.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use listener::{Alarm, InFlight};

use super::{
    headers::clean_trailers,
    metrics,
    tunnel::Tunnel,
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
    in_flight: Option<InFlight>,
}

enum Content {
    Full(Option<Bytes>),
    Upstream(Relayed),
    /// None: the connection is no more HTTP.
    Tunnel(Box<Tunnel>),
}

/// The body of an upstream's answer.
struct Relayed {
    body: AnswerBody,
    read_timeout: Duration,
    /// Rings when the upstream has paused for too long.
    paused: Alarm,
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
        Self { content: Content::Full(Some(bytes).filter(|bytes| !bytes.is_empty())), in_flight: None }
    }

    /// An upstream's body, within which the upstream may pause for `read_timeout`.
    pub fn upstream(body: AnswerBody, read_timeout: Duration) -> Self {
        let relayed = Relayed { body, read_timeout, paused: Alarm::default() };
        Self { content: Content::Upstream(relayed), in_flight: None }
    }

    /// No body: the connection becomes `tunnel`.
    pub fn tunnel(tunnel: Tunnel) -> Self {
        Self { content: Content::Tunnel(Box::new(tunnel)), in_flight: None }
    }

    /// What the connection becomes when the answer has been sent, if it becomes something else. The request is under way for as long as
    /// what is returned is held.
    pub fn into_tunnel(self) -> Option<(Box<Tunnel>, Option<InFlight>)> {
        match self.content {
            Content::Tunnel(tunnel) => Some((tunnel, self.in_flight)),
            Content::Full(_) | Content::Upstream(_) => None,
        }
    }

    /// The body with `in_flight`, which it holds until it has been sent or given up.
    pub fn holding(self, in_flight: InFlight) -> Self {
        Self { in_flight: Some(in_flight), ..self }
    }
}

impl Body for Outgoing {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        let relayed = match &mut self.get_mut().content {
            Content::Full(bytes) => return Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Content::Upstream(relayed) => relayed,
            Content::Tunnel(_) => return Poll::Ready(None),
        };
        let result = ready!(relayed.poll_frame(cx));
        if let Some(Err(error)) = &result {
            tracing::debug!(%error, "an answer broke off");
            metrics::broken("upstream-body", "upstream");
        }
        Poll::Ready(result)
    }

    fn is_end_stream(&self) -> bool {
        match &self.content {
            Content::Full(bytes) => bytes.is_none(),
            Content::Upstream(relayed) => relayed.body.is_end_stream(),
            Content::Tunnel(_) => true,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.content {
            Content::Full(bytes) => {
                SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64))
            }
            Content::Upstream(relayed) => relayed.body.size_hint(),
            Content::Tunnel(_) => SizeHint::with_exact(0),
        }
    }
}
