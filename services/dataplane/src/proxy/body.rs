//! The body of an answer on its way to the client: passed on frame by frame, with a time limit, never buffered.
//!
//! A body that breaks off at the upstream breaks off at the client. An error here makes whoever sends it reset the stream or close the
//! connection, so a body that is too short never looks complete.

use std::{
    collections::VecDeque,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, HeaderName};
use http_body::{Body, Frame, SizeHint};
use listener::{Alarm, InFlight};

use super::{
    headers::clean_trailers,
    http1::AsCame,
    telemetry::{self, Record},
    tunnel::Tunnel,
    upstream::{AnswerBody, AnswerBroken},
};
use crate::plugins::BodyFilter;

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
    /// What plugins let it go through.
    filtered: Option<Box<Filtered>>,
    held: Option<Held>,
}

/// Filters that a body goes through.
struct Filtered {
    filters: Vec<Box<dyn BodyFilter>>,
    keeps_length: bool,
    /// What the filters gave at the end of the body, and what comes after it.
    last: VecDeque<Frame<Bytes>>,
    is_over: bool,
}

impl Filtered {
    /// What goes on in place of `data`.
    fn data(&mut self, data: Bytes) -> Bytes {
        self.filters
            .iter_mut()
            .fold(data, |data, filter| if data.is_empty() { data } else { filter.data(data) })
    }

    /// What still goes when the body is over.
    fn end(&mut self) -> Bytes {
        let mut all = Vec::new();
        for filter in &mut self.filters {
            let before = Bytes::from(std::mem::take(&mut all));
            if !before.is_empty() {
                all.extend_from_slice(&filter.data(before));
            }
            all.extend_from_slice(&filter.end());
        }
        all.into()
    }
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

impl Content {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        match self {
            Self::Full(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Self::Upstream(relayed) => relayed.poll_frame(cx),
            Self::Tunnel(_) => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Full(bytes) => bytes.is_none(),
            Self::Upstream(relayed) => relayed.body.is_end_stream(),
            Self::Tunnel(_) => true,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Full(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64)),
            Self::Upstream(relayed) => relayed.body.size_hint(),
            Self::Tunnel(_) => SizeHint::with_exact(0),
        }
    }
}

impl Filtered {
    fn poll_frame(
        &mut self,
        content: &mut Content,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        while !self.is_over {
            let after = match ready!(content.poll_frame(cx)) {
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => {
                        let data = self.data(data);
                        if !data.is_empty() {
                            return Poll::Ready(Some(Ok(Frame::data(data))));
                        }
                        continue;
                    }
                    // Trailers: the body is over.
                    Err(trailers) => Some(trailers),
                },
                None => None,
            };
            self.is_over = true;
            let data = self.end();
            let data = (!data.is_empty()).then(|| Frame::data(data));
            self.last.extend(data.into_iter().chain(after));
        }
        Poll::Ready(self.last.pop_front().map(Ok))
    }
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
        Self::of(Content::Full(Some(bytes).filter(|bytes| !bytes.is_empty())))
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
        Self::of(Content::Upstream(Box::new(relayed)))
    }

    /// No body: the connection becomes `tunnel`.
    pub fn tunnel(tunnel: Tunnel) -> Self {
        Self::of(Content::Tunnel(Box::new(tunnel)))
    }

    fn of(content: Content) -> Self {
        Self { content, filtered: None, held: None }
    }

    /// Whether it comes from an upstream.
    pub fn is_of_upstream(&self) -> bool {
        matches!(self.content, Content::Upstream(_))
    }

    /// Its length, if it is known.
    pub fn length(&self) -> Option<u64> {
        self.head().1
    }

    /// Removes the fields called `name` from those of the upstream's answer.
    pub fn remove_header(&mut self, name: &HeaderName) {
        if let Content::Upstream(relayed) = &mut self.content {
            relayed.came.remove(name);
        }
    }

    /// Adds the fields of the upstream's answer to `headers`, and keeps them. Those that no map can hold are left out.
    pub fn add_headers(&self, headers: &mut HeaderMap) {
        if let Content::Upstream(relayed) = &self.content {
            let _ = relayed.came.add_to(headers);
        }
    }

    /// Moves the fields of the upstream's answer to `headers`.
    pub fn take_headers(&mut self, headers: &mut HeaderMap) {
        if let Content::Upstream(relayed) = &mut self.content
            && relayed.came.add_to(headers).is_ok()
        {
            relayed.came = AsCame::default();
        }
    }

    /// Lets it go through `filters`. `keeps_length`: it stays as long as it is.
    pub fn filter(&mut self, filters: Vec<Box<dyn BodyFilter>>, keeps_length: bool) {
        if !keeps_length && let Content::Upstream(relayed) = &mut self.content {
            relayed.length = None;
        }
        if !filters.is_empty() {
            let filtered = Filtered { filters, keeps_length, last: VecDeque::new(), is_over: false };
            self.filtered = Some(Box::new(filtered));
        }
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
        let result = match &mut this.filtered {
            None => ready!(this.content.poll_frame(cx)),
            Some(filtered) => ready!(filtered.poll_frame(&mut this.content, cx)),
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
        match &self.filtered {
            None => self.content.is_end_stream(),
            Some(filtered) => filtered.is_over && filtered.last.is_empty(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.filtered {
            Some(filtered) if !filtered.keeps_length => SizeHint::default(),
            _ => self.content.size_hint(),
        }
    }
}
