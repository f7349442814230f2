//! A request to its upstream and the answer back: what the upstream gets of the request, and the client of the answer.

use std::{borrow::Cow, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode, Uri, Version,
    header::{CONNECTION, CONTENT_LENGTH, EXPECT, HOST, SET_COOKIE, TE, UPGRADE},
    request::Parts,
    uri::{Authority, PathAndQuery},
};
use rustls_pki_types::ServerName;
use tracing::Instrument as _;

use super::{
    attempt::{self, Answer, Answered, Switched, UpstreamRequest},
    body::Outgoing,
    connection::ClientConnection,
    failure::Failure,
    forwarded::{self, Hop},
    grpc::Call,
    headers::{self, Wishes},
    http1::{self, BodyLength},
    inbound::Inbound,
    request_body::{Incoming, RequestBody},
    spread::{Targets, Way},
    state::Worker,
    target,
    telemetry::{Record, trace},
    tunnel::Tunnel,
};
use crate::{
    plugins::{BodyCopy, BodyMax, Wanted},
    view::{Destination, Secured, Upstream, Versions},
};

/// A request that may be forwarded, without its body.
pub struct Outbound<'a> {
    /// The thread that serves the request.
    pub worker: &'a Worker,
    /// The connection that the request came on.
    pub connection: &'a ClientConnection,
    /// The client's method.
    pub method: Method,
    /// Method, path and headers, as the plugins left them.
    pub parts: Parts,
    /// What the client wants of its connection.
    pub wishes: Wishes,
    /// The request's target, as it came.
    pub uri: &'a Uri,
    /// What was learned of the request, with the query as the plugins left it.
    pub inbound: Inbound<'a>,
    /// Sent to the upstream, and back to the client.
    pub request_id: &'a HeaderValue,
    /// Where it goes: host, TLS, timeouts, retries.
    pub upstream: Arc<Upstream>,
    /// The targets that it may go to instead of the host.
    pub targets: Option<Box<Targets>>,
    /// What it says of a call, if it is one of gRPC.
    pub grpc: Option<Call>,
    /// How many bytes of the path are removed from its beginning.
    pub strip: usize,
    /// Whether the upstream gets the client's `Host` instead of its own.
    pub preserve_host: bool,
    /// What is noted of the request.
    pub record: &'a mut Record,
}

/// Sends the request to its upstream. Returns the answer for the client.
pub async fn forward(mut outbound: Outbound<'_>, incoming: Incoming) -> Result<Response<Outgoing>, Failure> {
    let mut headers = std::mem::take(&mut outbound.parts.headers);
    let (worker, upstream) = (outbound.worker, outbound.upstream.clone());
    // A call of gRPC may be silent for as long as both sides like. HTTP/2 pings tell whether they are there.
    let client_timeout = match outbound.grpc {
        Some(_) => None,
        None => Some(worker.shared.limits.connections.stall_timeout),
    };
    let read_timeout =
        outbound.grpc.map_or(upstream.read_timeout, |call| call.read_timeout(upstream.read_timeout));
    let body = RequestBody::new(incoming, client_timeout, outbound.body_wishes());
    let opens_websocket = outbound.wishes.websocket && body.is_empty();
    let (host, targets) = (outbound.preserved_host(), outbound.targets.take());
    let destination = outbound.destination(host.as_ref(), opens_websocket);
    let mut way = Way::new(worker, &upstream, destination, targets, host.is_some());
    let host = host.unwrap_or_else(|| upstream.host.clone());
    let mut request = UpstreamRequest {
        method: outbound.parts.method.clone(),
        target: outbound.target()?,
        own: outbound.own(&mut headers, host, &body, opens_websocket),
        headers,
        length: length(&outbound.parts.method, &body),
        waits: outbound.wishes.expects,
        read_timeout,
    };
    let record = &mut *outbound.record;
    if let Some(after) = &mut record.after {
        after.forwarded(&request.target);
    }
    record.forwarded();
    let span = match worker.shared.traces {
        Some(_) => trace::upstream(&request.method, way.to().authority(), &mut request.headers),
        None => None,
    };
    let sent = attempt::send(worker, &mut way, &mut request, &body, &upstream, record);
    let answered = match span {
        Some(span) => Box::pin(sent.instrument(span)).await,
        None => sent.await,
    };
    record.returned();
    record.received = body.received();
    let mut response = match answered? {
        Answered::Answer(answer) => relay(*answer, (&outbound.method, outbound.parts.version), read_timeout)?,
        Answered::Switched(switched) => switch(*switched, opens_websocket, read_timeout)?,
    };
    if let Some(cookie) = way.set_cookie() {
        response.headers_mut().append(SET_COOKIE, cookie);
    }
    Ok(response)
}

impl Outbound<'_> {
    /// The path and query that the upstream is asked for.
    fn target(&self) -> Result<PathAndQuery, Failure> {
        let Inbound { path, query, .. } = &self.inbound;
        if let Some(path) = self.wanted().and_then(|wanted| wanted.upstream_path.as_deref()) {
            let path = crate::router::path::canonical(path, self.worker.shared.dots)
                .map_err(|error| Failure::bad_request(error.to_string()))?;
            return asked_for(target::with_query(path.into_owned(), query.as_deref()));
        }
        let is_as_it_came = matches!((path, query), (Cow::Borrowed(_), None | Some(Cow::Borrowed(_))))
            && query.is_some() == self.uri.query().is_some();
        if let (true, 0, "/", Some(target)) =
            (is_as_it_came, self.strip, self.upstream.base.as_str(), self.uri.path_and_query())
        {
            return Ok(target.clone());
        }
        let path = target::join(&self.upstream.base, path, self.strip, self.worker.shared.dots)
            .map_err(|_| Failure::bad_request("the path would leave the service's path"))?;
        asked_for(target::with_query(path, query.as_deref()))
    }

    /// How long plugins let the body be, and who gets a copy.
    fn body_wishes(&mut self) -> (Option<BodyMax>, Option<BodyCopy>) {
        let wanted = self.record.after.as_mut().and_then(|after| after.effects().wanted_mut());
        wanted.map_or((None, None), |wanted| (wanted.body_max, wanted.body_copy.take()))
    }

    /// What plugins want done, if they want anything.
    fn wanted(&self) -> Option<&Wanted> {
        self.record.after.as_ref()?.wanted()
    }

    /// Where the request goes. The name that TLS asks for is the `Host` that is sent, as in Kong, if a certificate can be for it.
    fn destination(&self, preserved_host: Option<&HeaderValue>, is_upgrade: bool) -> Destination {
        let usual = &self.upstream.destination;
        let versions = if is_upgrade { Versions::Http1 } else { usual.versions() };
        let name = usual.tls().and_then(|_| preserved_host.and_then(server_name));
        if name.is_none() && versions == usual.versions() {
            return usual.clone();
        }
        let tls = usual.tls().map(|tls| Secured {
            name: name.unwrap_or_else(|| tls.name.clone()),
            profile: tls.profile.clone(),
        });
        Destination::new(usual.authority().clone(), tls, versions)
    }

    /// What the gateway says itself to the upstream. Of `map`, the client's headers, what must not be said beside it goes.
    fn own(
        &self,
        map: &mut HeaderMap,
        host: HeaderValue,
        body: &RequestBody,
        opens_websocket: bool,
    ) -> Vec<(HeaderName, HeaderValue)> {
        let shared = &*self.worker.shared;
        let mut own = Vec::with_capacity(headers::ADDED_MAX);
        own.push((HOST, host));
        own.push((headers::REQUEST_ID, self.request_id.clone()));
        // The client is asked for the body when it is read for the first time: when the upstream has asked for it.
        if self.wishes.expects && body.is_empty() {
            map.remove(EXPECT);
        }
        if self.parts.version == Version::HTTP_2 {
            headers::join_cookies(map);
        }
        forwarded::tell(map, &mut own, &self.hop(), &shared.trust);
        if opens_websocket {
            headers::set_websocket(map);
        } else if self.wishes.trailers || self.grpc.is_some() {
            own.push((TE, HeaderValue::from_static("trailers")));
            if self.upstream.destination.versions() == Versions::Http1 {
                own.push((CONNECTION, HeaderValue::from_static("te")));
            }
        }
        own
    }

    fn hop(&self) -> Hop<'_> {
        let Outbound { connection, inbound, .. } = self;
        Hop {
            arrival: &connection.arrival,
            version: self.parts.version,
            authority: inbound.authority,
            stripped: inbound.path.get(..self.strip).filter(|stripped| stripped.len() > 1),
        }
    }

    /// The `Host` that the upstream gets instead of its own.
    fn preserved_host(&self) -> Option<HeaderValue> {
        if let Some(host) = self.wanted().and_then(|wanted| wanted.host.as_ref()) {
            return Some(host.clone());
        }
        let given = Some(self.inbound.authority);
        given.filter(|given| self.preserve_host && !given.is_empty()).cloned()
    }
}

fn asked_for(target: String) -> Result<PathAndQuery, Failure> {
    PathAndQuery::from_maybe_shared(Bytes::from(target))
        .map_err(|_| Failure::bad_request("the path and query are not valid"))
}

/// The name in a `Host` header, for TLS; `None` if no certificate can be for it.
fn server_name(host: &HeaderValue) -> Option<ServerName<'static>> {
    let authority = Authority::try_from(host.as_bytes()).ok()?;
    ServerName::try_from(authority.host().trim_matches(['[', ']'])).ok().map(|name| name.to_owned())
}

/// How the body ends, by what is known of the body itself. What the client's headers said of it is not passed on.
fn length(method: &Method, body: &RequestBody) -> Option<BodyLength> {
    if !body.is_empty() {
        return Some(body.size().exact().map_or(BodyLength::Chunked, BodyLength::Sized));
    }
    [Method::POST, Method::PUT, Method::PATCH].contains(method).then_some(BodyLength::Sized(0))
}

/// The answer as a client gets it that speaks `version`.
fn relay(
    answer: Answer,
    (method, version): (&Method, Version),
    read_timeout: Duration,
) -> Result<Response<Outgoing>, Failure> {
    let Answer { status, mut came, mut headers, length, body, in_flight } = answer;
    headers::clean_as_came(&mut came);
    headers::remove_hop_by_hop(&mut headers);
    // So no message leaves with two lengths, or with a wrong one.
    let length = match status {
        // That of the body that a GET would get.
        _ if *method == Method::HEAD => length,
        StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED => None,
        _ => body.size_hint().exact(),
    };
    if version == Version::HTTP_2 {
        std::mem::take(&mut came).add_to(&mut headers).map_err(|_| attempt::invalid())?;
        headers.extend(length.map(|length| (CONTENT_LENGTH, length.into())));
    }
    let mut relayed = Response::new(Outgoing::upstream(body, (came, length), read_timeout, in_flight));
    *relayed.status_mut() = status;
    *relayed.headers_mut() = headers;
    Ok(relayed)
}

/// The upstream switches protocols: to WebSocket if the client asked for it; anything else is the upstream's fault. The tunnel may be
/// silent for `idle`.
fn switch(switched: Switched, was_asked: bool, idle: Duration) -> Result<Response<Outgoing>, Failure> {
    let Switched { mut headers, stream, first, in_flight } = switched;
    if !was_asked || !http1::has_token(&headers, &UPGRADE, "websocket") {
        return Err(Failure::upstream_invalid("the upstream switched to a protocol that was not asked for"));
    }
    headers::clean_answer(&mut headers);
    headers.remove(CONTENT_LENGTH);
    headers::set_websocket(&mut headers);
    let mut answer = Response::new(Outgoing::tunnel(Tunnel { upstream: stream, first, idle, in_flight }));
    *answer.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    *answer.headers_mut() = headers;
    Ok(answer)
}
