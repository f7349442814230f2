//! A request to its upstream and the answer back: what the upstream gets of the request, and the client of the answer.

use std::{sync::Arc, time::Duration};

use http::{
    HeaderMap, HeaderValue, Method, Response, StatusCode, Uri, Version,
    header::{CONNECTION, CONTENT_LENGTH, EXPECT, HOST, TE, TRANSFER_ENCODING, UPGRADE},
    request::Parts,
    uri::{PathAndQuery, Scheme},
};
use http_body::Body as _;
use hyper::{body::Incoming, upgrade::OnUpgrade};
use hyper_util::rt::TokioIo;

use super::{
    attempt::{self, UpstreamRequest},
    body::{Outgoing, RequestBody},
    connection::ClientConnection,
    failure::Failure,
    forwarded::{self, Hop},
    headers::{self, Wishes},
    inbound::Inbound,
    state::ProxyState,
    target, trace, tunnel,
    upstream::Mode,
};
use crate::view::Upstream;

/// A request that may be forwarded, without its body.
pub struct Outbound<'a> {
    /// What all connections share.
    pub state: &'a ProxyState,
    /// The connection that the request came on.
    pub connection: &'a ClientConnection,
    /// Method, path and headers, as the plugins left them.
    pub parts: Parts,
    /// What the client wants of its connection.
    pub wishes: Wishes,
    /// What was learned of the request before plugins ran.
    pub inbound: Inbound,
    /// Sent to the upstream, and back to the client.
    pub request_id: &'a HeaderValue,
    /// Where it goes: targets, TLS, timeouts, retries.
    pub upstream: Arc<Upstream>,
    /// How many bytes of the path are removed from its beginning.
    pub strip: usize,
    /// Whether the upstream gets the client's `Host` instead of its own.
    pub preserve_host: bool,
}

/// Sends the request to its upstream. Returns the answer for the client.
pub async fn forward(mut outbound: Outbound<'_>, incoming: Incoming) -> Result<Response<Outgoing>, Failure> {
    let parts = &mut outbound.parts;
    let client_upgrade = parts.extensions.remove::<OnUpgrade>();
    let client_upgrade = client_upgrade.filter(|_| outbound.wishes.websocket && incoming.is_end_stream());
    let headers = std::mem::take(&mut parts.headers);
    let Outbound { state, connection, ref upstream, preserve_host, .. } = outbound;
    let body = RequestBody::new(incoming, state.limits.connections.stall_timeout);
    let request = UpstreamRequest {
        method: outbound.parts.method.clone(),
        uri: outbound.uri()?,
        headers: outbound.headers(headers, &body, client_upgrade.is_some()),
    };
    let is_plain = upstream.scheme == Scheme::HTTP;
    let mode = Mode {
        connect_timeout: upstream.connect_timeout,
        verify: upstream.verify || is_plain,
        http1_only: client_upgrade.is_some() || preserve_host || is_plain,
    };
    let response = attempt::send(state, &state.clients.get(mode), &request, &body, upstream).await?;
    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        return switch(state, connection, client_upgrade, response, upstream.read_timeout);
    }
    let version = outbound.parts.version;
    let mut relayed = relay(response, &request.method, version, connection, upstream.read_timeout);
    // The upstream has answered early. What the client still sends, nobody will read.
    if !body.is_sent() && version <= Version::HTTP_11 {
        relayed.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    Ok(relayed)
}

impl Outbound<'_> {
    fn uri(&self) -> Result<Uri, Failure> {
        let path = target::join(&self.upstream.base, &self.inbound.path, self.strip, self.state.dots)
            .map_err(|_| Failure::bad_request("the path would leave the service's path"))?;
        let target = target::with_query(path, self.inbound.query.as_deref());
        let target = PathAndQuery::from_maybe_shared(target)
            .map_err(|_| Failure::bad_request("the path and query are not valid"))?;
        let mut parts = http::uri::Parts::default();
        parts.scheme = Some(self.upstream.scheme.clone());
        parts.authority = Some(self.upstream.authority.clone());
        parts.path_and_query = Some(target);
        Uri::from_parts(parts).map_err(|_| Failure::internal("the upstream's address does not make a URI"))
    }

    /// The client's headers as the upstream gets them.
    fn headers(&self, mut map: HeaderMap, body: &RequestBody, opens_websocket: bool) -> HeaderMap {
        // hyper answers it when the body is read for the first time, that is, once the upstream is connected.
        map.remove(EXPECT);
        forwarded::set(&mut map, &self.hop(), &self.state.trust);
        map.insert(headers::REQUEST_ID, self.request_id.clone());
        if self.state.traces {
            trace::continue_trace(&mut map);
        }
        map.insert(HOST, self.preserved_host().unwrap_or_else(|| self.upstream.host.clone()));
        frame_body(&mut map, &self.parts.method, body);
        if opens_websocket {
            headers::set_websocket(&mut map);
        } else if self.wishes.trailers {
            map.insert(TE, HeaderValue::from_static("trailers"));
            if self.upstream.scheme == Scheme::HTTP {
                map.insert(CONNECTION, HeaderValue::from_static("te"));
            }
        }
        map
    }

    fn hop(&self) -> Hop<'_> {
        let Outbound { connection, inbound, .. } = self;
        Hop {
            arrival: &connection.arrival,
            version: self.parts.version,
            authority: &inbound.authority,
            stripped: inbound.path.get(..self.strip).filter(|stripped| stripped.len() > 1),
        }
    }

    fn preserved_host(&self) -> Option<HeaderValue> {
        let given = Some(&self.inbound.authority).filter(|given| self.preserve_host && !given.is_empty());
        HeaderValue::from_str(given?).ok()
    }
}

/// Frames the body by what is known of the body itself. What the client's headers said of it is not passed on.
fn frame_body(map: &mut HeaderMap, method: &Method, body: &RequestBody) {
    map.remove(CONTENT_LENGTH);
    if !body.is_empty() {
        headers::set_length(map, body.size());
        if body.size().exact().is_none() {
            // Without this header hyper leaves out the body of a GET.
            map.insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
        }
    } else if [Method::POST, Method::PUT, Method::PATCH].contains(method) {
        map.insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
    }
}

/// The answer as the client gets it.
fn relay(
    response: Response<Incoming>,
    method: &Method,
    version: Version,
    connection: &ClientConnection,
    read_timeout: Duration,
) -> Response<Outgoing> {
    let (mut head, incoming) = response.into_parts();
    headers::remove_hop_by_hop(&mut head.headers);
    let size = incoming.size_hint();
    if *method == Method::HEAD {
        // The length of the body that a GET would get.
        let lengths: Vec<_> = head.headers.get_all(CONTENT_LENGTH).into_iter().cloned().collect();
        if !matches!(lengths.as_slice(), [only] if only.as_bytes().iter().all(u8::is_ascii_digit)) {
            head.headers.remove(CONTENT_LENGTH);
        }
    } else if matches!(head.status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED) {
        head.headers.remove(CONTENT_LENGTH);
    } else {
        headers::set_length(&mut head.headers, &size);
    }
    // An HTTP/1.0 client takes the end of the connection for the end of a body without a length.
    let reset = (version == Version::HTTP_10 && size.exact().is_none()).then(|| connection.signals.clone());
    let mut relayed = Response::new(Outgoing::upstream(incoming, read_timeout, reset));
    *relayed.status_mut() = head.status;
    *relayed.headers_mut() = head.headers;
    relayed
}

/// The upstream switches protocols: to WebSocket if the client asked for it; anything else is the upstream's fault.
fn switch(
    state: &ProxyState,
    connection: &ClientConnection,
    client: Option<OnUpgrade>,
    mut response: Response<Incoming>,
    idle: Duration,
) -> Result<Response<Outgoing>, Failure> {
    let is_websocket = headers::has_token(response.headers(), &UPGRADE, "websocket");
    let Some(client) = client.filter(|_| is_websocket) else {
        return Err(Failure::upstream_invalid("the upstream switched to a protocol that was not asked for"));
    };
    let upstream = hyper::upgrade::on(&mut response);
    connection.signals.findings.becomes_tunnel();
    let (kill, in_flight) = (state.kill.clone(), connection.seat.begin());
    state.tasks.spawn(kill.run_until_cancelled_owned(async move {
        let _in_flight = in_flight;
        let (client, upstream) = match tokio::try_join!(client, upstream) {
            Ok(both) => both,
            Err(error) => return tracing::debug!(%error, "a tunnel could not be opened"),
        };
        if let Err(error) = tunnel::run(TokioIo::new(client), TokioIo::new(upstream), idle).await {
            tracing::debug!(%error, "a tunnel ended early");
        }
    }));
    let mut switched = Response::new(Outgoing::empty());
    *switched.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    *switched.headers_mut() = std::mem::take(response.headers_mut());
    headers::remove_hop_by_hop(switched.headers_mut());
    switched.headers_mut().remove(CONTENT_LENGTH);
    headers::set_websocket(switched.headers_mut());
    Ok(switched)
}
