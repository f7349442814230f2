//! Attempts at an upstream: how long each may take, which are repeated, and what is answered when none succeeds.
//!
//! An attempt is repeated at most as often as the service's `retries` say, and only while nothing of the body has been read.
//! Also, one of two things must hold. Either there was no connection. Or the method is idempotent, the request has no body, and
//! the connection broke before an answer (RFC 9110, section 9.2.2). Example: the upstream closes an idle connection in the
//! moment in which a request is sent on it.
//!
//! Where the upstream has targets, an attempt that is repeated goes to another one, and each attempt counts for or against the health of its
//! target. A connection that was kept and breaks does not: an upstream may close it at any time. How many requests are repeated is bounded
//! besides (`RetryBudget`), so that retries cannot multiply the load of an upstream that fails.

mod failed;

use std::{
    future::poll_fn,
    pin::pin,
    rc::Rc,
    task::{Poll, ready},
    time::Duration,
};

use balancer::InFlight;
use bytes::Bytes;
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode, Uri, Version,
    header::{CONTENT_LENGTH, EXPECT, HOST},
    uri::{Authority, PathAndQuery, Scheme},
};
use hyper::client::conn::http2;
use listener::Alarm;
use tokio::time::Instant;

pub use self::failed::invalid;
use self::failed::{AttemptError, Failed, failure, may_repeat};
use super::{
    failure::Failure,
    headers,
    http1::{AnswerHead, AsCame, BodyLength, RequestHead},
    request_body::{AttemptBody, RequestBody},
    spread::Way,
    state::Worker,
    telemetry::Record,
    upstream::{AnswerBody, Bucket, Came, Connection, Http1, Stream},
};
use crate::view::{Destination, Upstream};

/// How long an upstream may leave `Expect: 100-continue` without an answer. Then the body is sent all the same: it may not know the
/// expectation (RFC 9110, section 10.1.1).
const CONTINUE_TIMEOUT: Duration = Duration::from_secs(1);

/// What every attempt sends, besides the body.
pub struct UpstreamRequest {
    /// Method of the client's request.
    pub method: Method,
    /// The path and query to ask for.
    pub target: PathAndQuery,
    /// The client's headers, without those that concern only its connection.
    pub headers: HeaderMap,
    /// What the gateway says itself, `Host` first.
    pub own: Vec<(HeaderName, HeaderValue)>,
    /// How the body ends; `None`: nothing is said of it.
    pub length: Option<BodyLength>,
    /// Whether the body is held back until the upstream asks for it.
    pub waits: bool,
    /// How long the upstream may pause while it answers.
    pub read_timeout: Duration,
}

/// Headers of the client's in whose place the gateway says its own, or what it knows itself.
const REPLACED: [HeaderName; 3] = [HOST, CONTENT_LENGTH, headers::REQUEST_ID];

/// An upstream's answer.
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// All fields, as they came over HTTP/1.1.
    pub came: AsCame,
    /// All headers that came over HTTP/2. Of HTTP/1.1, a map without any: the client's, whose memory they need no more.
    pub headers: HeaderMap,
    /// What `Content-Length` says, if it says one number. Of an answer to HEAD alone: otherwise the body says it.
    pub length: Option<u64>,
    /// The body.
    pub body: AnswerBody,
    /// The request at its target, if it is one of several.
    pub in_flight: Option<InFlight>,
}

/// What comes of a request.
pub enum Answered {
    /// An answer.
    Answer(Box<Answer>),
    /// The upstream has switched to another protocol.
    Switched(Box<Switched>),
}

/// A connection that became one of another protocol.
pub struct Switched {
    /// The headers of the answer.
    pub headers: HeaderMap,
    /// The connection.
    pub stream: Stream,
    /// What was read from it already.
    pub first: Bytes,
    /// The request at its target, if it is one of several.
    pub in_flight: Option<InFlight>,
}

/// The upstream's answer, after one or several attempts.
pub async fn send(
    worker: &Worker,
    way: &mut Way<'_>,
    to_send: &mut UpstreamRequest,
    body: &RequestBody,
    upstream: &Upstream,
    record: &mut Record,
) -> Result<Answered, Failure> {
    way.begin(to_send)?;
    let (mut bucket, mut retries) = (worker.pool.bucket(way.to()), upstream.retries);
    loop {
        let failed = match attempt(worker, way.to(), &bucket, to_send, body, upstream).await {
            Ok(answered) => {
                record.attempted(way.to().authority(), false);
                return Ok(way.answered(answered));
            }
            Err(failed) => failed,
        };
        let Failed { error, was_kept } = failed;
        // There are ever fewer of those that were kept.
        if matches!(error, AttemptError::NotSent) && was_kept {
            continue;
        }
        record.attempted(way.to().authority(), true);
        way.failed(error.observed(was_kept));
        if retries == 0
            || !may_repeat(&error, to_send, body, way.has_targets())
            || !way.go_on(was_kept, to_send)
        {
            return Err(failure(&error));
        }
        bucket = worker.pool.bucket(way.to());
        retries -= 1;
        record.retried();
    }
}

async fn attempt(
    worker: &Worker,
    to: &Destination,
    bucket: &Rc<Bucket>,
    to_send: &mut UpstreamRequest,
    body: &RequestBody,
    upstream: &Upstream,
) -> Result<Answered, Failed> {
    let kept = poll_fn(|cx| Poll::Ready(bucket.take(to, cx))).await;
    let was_kept = kept.is_some();
    let failed = |error| Failed { error, was_kept };
    let connection = match kept {
        Some(connection) => connection,
        None => {
            let opened = Box::pin(worker.shared.dialler.connect(to, upstream.connect_timeout)).await;
            opened.map_err(|error| failed(AttemptError::Connect(error)))?
        }
    };
    let answered = match connection {
        Connection::Http1(connection) => by_http1(connection, bucket, to_send, body, upstream).await,
        Connection::Http2(sender) => {
            if !was_kept {
                bucket.share(to, &sender);
            }
            Box::pin(by_http2(sender, to, to_send, body, upstream)).await
        }
    };
    answered.map_err(failed)
}

async fn by_http1(
    mut connection: Box<Http1>,
    bucket: &Rc<Bucket>,
    to_send: &mut UpstreamRequest,
    body: &RequestBody,
    upstream: &Upstream,
) -> Result<Answered, AttemptError> {
    let UpstreamRequest { method, target, headers, own, length, waits, read_timeout } = to_send;
    let head = RequestHead { method, target, headers, without: &REPLACED, more: own, length: *length };
    connection.begin(&head, body.begin(), *waits);
    let held_back = waits.then(Instant::now);
    let head = poll_fn(|cx| {
        while let Poll::Ready(came) = connection.poll_answer(cx) {
            match came {
                Ok(Came::Answer(head)) => return Poll::Ready(Ok(head)),
                // It was the gateway that asked for it, or nobody did.
                Ok(Came::Interim(head)) if head.status == StatusCode::CONTINUE => {}
                Ok(Came::Interim(head)) => {
                    let mut headers = HeaderMap::new();
                    if let Err(invalid) = head.fields.add_to(&mut headers) {
                        return Poll::Ready(Err(AttemptError::Http1(invalid.into())));
                    }
                    headers::clean_answer(&mut headers);
                    body.interim(head.status, &headers);
                }
                Err(error) => return Poll::Ready(Err(AttemptError::Http1(error))),
            }
        }
        if let Some(since) = held_back.filter(|_| connection.waits()) {
            connection.alarm.set(since + CONTINUE_TIMEOUT);
            ready!(connection.alarm.poll(cx));
            connection.go_on();
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        match body.deadline(upstream.write_timeout, *read_timeout) {
            Some(deadline) => connection.alarm.set(deadline),
            None => connection.alarm.clear(),
        }
        connection.alarm.poll(cx).map(|()| Err(AttemptError::Late))
    });
    let head = head.await?;
    // The request is not repeated any more.
    let mut headers = std::mem::take(headers);
    headers.clear();
    let AnswerHead { status, fields: came, .. } = &head;
    if *status == StatusCode::SWITCHING_PROTOCOLS {
        came.add_to(&mut headers).map_err(|invalid| AttemptError::Http1(invalid.into()))?;
        let (stream, first) = connection.into_tunnel();
        return Ok(Answered::Switched(Box::new(Switched { headers, stream, first, in_flight: None })));
    }
    let length = if *method == Method::HEAD { head.length().ok().flatten() } else { None };
    let body = AnswerBody::http1(connection, bucket.clone());
    let (status, came) = (head.status, head.fields);
    Ok(Answered::Answer(Box::new(Answer { status, came, headers, length, body, in_flight: None })))
}

async fn by_http2(
    mut sender: http2::SendRequest<AttemptBody>,
    to: &Destination,
    to_send: &mut UpstreamRequest,
    body: &RequestBody,
    upstream: &Upstream,
) -> Result<Answered, AttemptError> {
    let mut answer = pin!(sender.try_send_request(to_send.http2(to, body.begin())));
    let mut alarm = Alarm::default();
    let answered = poll_fn(|cx| {
        if let Poll::Ready(answered) = answer.as_mut().poll(cx) {
            return Poll::Ready(Some(answered));
        }
        loop {
            let deadline = body.deadline(upstream.write_timeout, to_send.read_timeout);
            // The connection takes the body without waking this task.
            let look_again = Instant::now() + upstream.write_timeout.min(to_send.read_timeout);
            alarm.set(deadline.map_or(look_again, |deadline| deadline.min(look_again)));
            ready!(alarm.poll(cx));
            if deadline.is_some_and(|deadline| deadline <= Instant::now()) {
                return Poll::Ready(None);
            }
        }
    });
    match answered.await {
        None => Err(AttemptError::Late),
        Some(Err(error)) if error.message().is_some() => Err(AttemptError::NotSent),
        Some(Err(error)) => Err(AttemptError::Http2(error.into_error())),
        Some(Ok(response)) => {
            let (mut head, incoming) = response.into_parts();
            headers::remove_odd(&mut head.headers);
            let length = told_length(&mut head.headers);
            let (status, headers, body) = (head.status, head.headers, AnswerBody::http2(incoming));
            let came = AsCame::default();
            Ok(Answered::Answer(Box::new(Answer { status, came, headers, length, body, in_flight: None })))
        }
    }
}

/// What `Content-Length` says, which is taken away; `None` if it does not say one number.
fn told_length(headers: &mut HeaderMap) -> Option<u64> {
    let mut lengths = headers.get_all(CONTENT_LENGTH).into_iter();
    let only = lengths.next().filter(|_| lengths.next().is_none());
    let length = only
        .and_then(|length| length.to_str().ok())
        .filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
    let length = length.and_then(|length| length.parse().ok());
    headers.remove(CONTENT_LENGTH);
    length
}

impl UpstreamRequest {
    fn http2(&self, to: &Destination, body: AttemptBody) -> Request<AttemptBody> {
        let host = self.own.iter().find(|(name, _)| name == HOST);
        let authority = host.and_then(|(_, host)| Authority::try_from(host.as_bytes()).ok());
        let authority = authority.unwrap_or_else(|| to.authority().clone());
        let mut parts = http::uri::Parts::default();
        let scheme = if to.tls().is_some() { Scheme::HTTPS } else { Scheme::HTTP };
        (parts.scheme, parts.authority) = (Some(scheme), Some(authority));
        parts.path_and_query = Some(self.target.clone());
        let mut request = Request::new(body);
        *request.method_mut() = self.method.clone();
        // These three always make a URI.
        *request.uri_mut() = Uri::from_parts(parts).unwrap_or_default();
        *request.version_mut() = Version::HTTP_2;
        let headers = request.headers_mut();
        *headers = self.headers.clone();
        REPLACED.iter().for_each(|name| drop(headers.remove(name)));
        headers.remove(EXPECT);
        for (name, value) in self.own.iter().filter(|(name, _)| name != HOST) {
            headers.append(name, value.clone());
        }
        if let Some(BodyLength::Sized(length)) = self.length {
            headers.insert(CONTENT_LENGTH, length.into());
        }
        request
    }
}
