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
    http1::AsCame,
    telemetry::{self, Record},
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
    held: Option<Held>,
}

/// What lasts until the answer has been sent or given up.
pub struct Held {
    _in_flight: InFlight,
    record: Box<Record>,
}

enum Content {
    Full(Option<Bytes>),
    Upstream(Box<Relayed>),
    /// None: the connection is no more HTTP.
    Tunnel(Box<Tunnel>),
}

/// The body of an upstream's answer.
struct Relayed {
    body: AnswerBody,
    /// The fields that it came with, but for those among the response's headers.
    came: AsCame,
    /// The length that the client is told.
    length: Option<u64>,
    read_timeout: Duration,
    /// Rings when the upstream has paused for too long.
    paused: Alarm,
    /// The request at its target, if it is one of several.
    _at_target: Option<balancer::InFlight>,
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
        Self { content: Content::Full(Some(bytes).filter(|bytes| !bytes.is_empty())), held: None }
    }

    /// An upstream's body, within which the upstream may pause for `read_timeout`. The client gets the fields `came` beside the response's
    /// headers, and is told `length`. `at_target` is held for as long as the body.
    pub fn upstream(
        body: AnswerBody,
        (came, length): (AsCame, Option<u64>),
        read_timeout: Duration,
        at_target: Option<balancer::InFlight>,
    ) -> Self {
        let paused = Alarm::default();
        let relayed = Relayed { body, came, length, read_timeout, paused, _at_target: at_target };
        Self { content: Content::Upstream(Box::new(relayed)), held: None }
    }

    /// No body: the connection becomes `tunnel`.
    pub fn tunnel(tunnel: Tunnel) -> Self {
        Self { content: Content::Tunnel(Box::new(tunnel)), held: None }
    }

    /// The fields of the upstream's answer that are none of the response's headers, and the length that the client is told.
    pub fn head(&self) -> (Option<&AsCame>, Option<u64>) {
        match &self.content {
            Content::Full(_) => (None, self.size_hint().exact()),
            Content::Upstream(relayed) => (Some(&relayed.came), relayed.length),
            Content::Tunnel(_) => (None, None),
        }
    }

    /// What the connection becomes when the answer has been sent, if it becomes something else. The request is under way for as long as
    /// what is returned is held.
    pub fn into_tunnel(self) -> Option<(Box<Tunnel>, Option<Held>)> {
        match self.content {
            Content::Tunnel(tunnel) => Some((tunnel, self.held)),
            Content::Full(_) | Content::Upstream(_) => None,
        }
    }

    /// The body with what it holds until it has been sent or given up: the request is under way, and its record goes on.
    pub fn holding(self, in_flight: InFlight, mut record: Box<Record>) -> Self {
        record.is_complete = self.is_end_stream();
        Self { held: Some(Held { _in_flight: in_flight, record }), ..self }
    }
}

impl Body for Outgoing {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        let this = self.get_mut();
        let result = match &mut this.content {
            Content::Full(bytes) => bytes.take().map(|bytes| Ok(Frame::data(bytes))),
            Content::Upstream(relayed) => ready!(relayed.poll_frame(cx)),
            Content::Tunnel(_) => None,
        };
        let is_complete = this.is_end_stream();
        if let Some(Held { record, .. }) = &mut this.held {
            match &result {
                Some(Ok(frame)) => record.sent += frame.data_ref().map_or(0, |data| data.len() as u64),
                Some(Err(error)) => {
                    tracing::debug!(%error, "an answer broke off");
                    telemetry::broken("upstream-body", "upstream");
                    record.reason = Some("upstream-body");
                }
                None => {}
            }
            record.is_complete = is_complete || result.is_none();
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
