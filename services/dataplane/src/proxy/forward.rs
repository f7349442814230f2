//! A request to its upstream and the answer back: what is sent, how often it is tried, what comes of it.
//!
//! An attempt is repeated, as often as the service's `retries` say, only while nothing of the body has been read and
//! either no connection came about, or the method is idempotent, there is no body, and the connection broke before an
//! answer (RFC 9110 §9.2.2): an idle connection that the upstream closes at the wrong moment.

use std::{error::Error, io, pin::pin, sync::Arc, time::Duration};

use http::{
    HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri, Version,
    header::{self, CONNECTION, CONTENT_LENGTH, EXPECT, HOST, TE, TRANSFER_ENCODING, UPGRADE},
    request::Parts,
    uri::{PathAndQuery, Scheme},
};
use http_body::Body as _;
use hyper::{body::Incoming, upgrade::OnUpgrade};
use hyper_util::{
    client::legacy::{self, connect::capture_connection},
    rt::TokioIo,
};
use tokio::time::{Instant, sleep_until};

use super::{
    Gateway,
    body::{Broken, Outgoing, RequestBody},
    connection::Connection,
    failure::Failure,
    headers::{self, Hop},
    inbound::Inbound,
    target, tunnel,
    upstream::{ConnectTimeout, Mode, UpstreamClient},
};
use crate::view::Upstream;

/// All that forwarding needs of a request that may pass.
pub struct Outbound<'a> {
    pub gateway: &'a Gateway,
    pub connection: &'a Arc<Connection>,
    pub parts: Parts,
    pub incoming: Incoming,
    pub inbound: Inbound,
    pub upstream: Arc<Upstream>,
    /// Bytes to remove from the start of the path.
    pub strip: usize,
    pub preserve_host: bool,
}

/// What every attempt sends.
struct Template {
    method: Method,
    uri: Uri,
    headers: HeaderMap,
}

pub async fn forward(
    outbound: Outbound<'_>,
    request_id: &HeaderValue,
) -> Result<Response<Outgoing>, Failure> {
    let Outbound { gateway, connection, mut parts, incoming, inbound, upstream, strip, preserve_host } =
        outbound;
    let opens_websocket =
        headers::is_websocket(&parts.method, parts.version, &parts.headers) && incoming.is_end_stream();
    let client_upgrade = parts.extensions.remove::<OnUpgrade>().filter(|_| opens_websocket);
    let (version, body) = (parts.version, RequestBody::new(incoming, gateway.limits.client_read_timeout));
    let template = Template {
        uri: uri(&upstream, &inbound, strip)?,
        headers: request_headers(
            &mut parts,
            connection,
            &inbound,
            &upstream,
            &body,
            strip,
            preserve_host,
            client_upgrade.is_some(),
            request_id,
        ),
        method: parts.method,
    };
    let mode = Mode {
        connect_timeout: upstream.connect_timeout,
        verify: upstream.verify || upstream.scheme == Scheme::HTTP,
        http1_only: client_upgrade.is_some() || preserve_host || upstream.scheme == Scheme::HTTP,
    };
    let response = send(gateway, &gateway.clients.get(mode), &template, &body, &upstream).await?;
    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        return switch(gateway, connection, client_upgrade, response, upstream.read_timeout);
    }
    Ok(relay(response, &template.method, version, connection, upstream.read_timeout))
}

fn uri(upstream: &Upstream, inbound: &Inbound, strip: usize) -> Result<Uri, Failure> {
    let path = target::join(&upstream.base, &inbound.path, strip)
        .map_err(|_| Failure::bad_request("the path would leave the service's path"))?;
    let target = target::with_query(path, inbound.query.as_deref());
    let target = PathAndQuery::from_maybe_shared(target)
        .map_err(|_| Failure::bad_request("the path and query are not valid"))?;
    let mut parts = http::uri::Parts::default();
    parts.scheme = Some(upstream.scheme.clone());
    parts.authority = Some(upstream.authority.clone());
    parts.path_and_query = Some(target);
    Uri::from_parts(parts).map_err(|_| Failure::internal("the upstream's address does not make a URI"))
}

#[expect(clippy::too_many_arguments, reason = "one place that decides what the upstream is told")]
fn request_headers(
    parts: &mut Parts,
    connection: &Connection,
    inbound: &Inbound,
    upstream: &Upstream,
    body: &RequestBody,
    strip: usize,
    preserve_host: bool,
    opens_websocket: bool,
    request_id: &HeaderValue,
) -> HeaderMap {
    let mut map = std::mem::take(&mut parts.headers);
    let takes_trailers = headers::has_token(&map, &TE, "trailers");
    headers::remove_hop_by_hop(&mut map);
    // hyper answers it once the body is read, which is when the upstream has been connected to.
    map.remove(EXPECT);
    headers::set_forwarded(
        &mut map,
        &Hop {
            peer: connection.peer,
            local_port: connection.local_port,
            https: connection.https,
            version: parts.version,
            authority: &inbound.authority,
            stripped: inbound.path.get(..strip).filter(|stripped| stripped.len() > 1),
        },
    );
    map.insert(headers::REQUEST_ID, request_id.clone());
    let preserved = Some(&inbound.authority).filter(|given| preserve_host && !given.is_empty());
    let preserved = preserved.and_then(|given| HeaderValue::from_str(given).ok());
    map.insert(HOST, preserved.unwrap_or_else(|| upstream.host.clone()));
    frame_body(&mut map, &parts.method, body);
    if opens_websocket {
        headers::set_websocket(&mut map);
    } else if takes_trailers {
        map.insert(TE, HeaderValue::from_static("trailers"));
        if upstream.scheme == Scheme::HTTP {
            map.insert(CONNECTION, HeaderValue::from_static("te"));
        }
    }
    map
}

/// The body's framing is decided here, from the body itself; nothing that the client said of it is passed on.
fn frame_body(map: &mut HeaderMap, method: &Method, body: &RequestBody) {
    map.remove(CONTENT_LENGTH);
    if !body.is_empty() {
        headers::set_length(map, body.size());
        if body.size().exact().is_none() {
            // Without it hyper would leave out the body of a GET.
            map.insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
        }
    } else if [Method::POST, Method::PUT, Method::PATCH].contains(method) {
        map.insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
    }
}

/// Why an attempt brought no answer.
enum Attempt {
    Late(&'static str),
    Failed(legacy::Error),
}

async fn send(
    gateway: &Gateway,
    client: &UpstreamClient,
    template: &Template,
    body: &RequestBody,
    upstream: &Upstream,
) -> Result<Response<Incoming>, Failure> {
    let mut retries = upstream.retries;
    loop {
        match attempt(client, template, body, upstream).await {
            Ok(response) => return Ok(response),
            Err(failed) if retries > 0 && may_repeat(&failed, template, body) => {
                retries -= 1;
                gateway.metrics.retry();
            }
            Err(failed) => return Err(failure(&failed)),
        }
    }
}

async fn attempt(
    client: &UpstreamClient,
    template: &Template,
    body: &RequestBody,
    upstream: &Upstream,
) -> Result<Response<Incoming>, Attempt> {
    let mut request = Request::new(body.begin());
    *request.method_mut() = template.method.clone();
    *request.uri_mut() = template.uri.clone();
    *request.headers_mut() = template.headers.clone();
    let mut captured = capture_connection(&mut request);
    let mut response = pin!(client.request(request));
    tokio::select! {
        biased;
        answered = &mut response => return answered.map_err(Attempt::Failed),
        _ = captured.wait_for_connection_metadata() => body.connected(),
    }
    loop {
        let deadline = body.deadline(upstream.write_timeout, upstream.read_timeout);
        // The phase may change while we sleep, to one with an earlier deadline.
        let look_again = Instant::now() + upstream.write_timeout.min(upstream.read_timeout);
        tokio::select! {
            biased;
            answered = &mut response => return answered.map_err(Attempt::Failed),
            () = sleep_until(deadline.map_or(look_again, |deadline| deadline.min(look_again))) => {}
        }
        let deadline = body.deadline(upstream.write_timeout, upstream.read_timeout);
        if deadline.is_some_and(|deadline| deadline <= Instant::now()) {
            return Err(Attempt::Late("the upstream did not take the request or answer it in time"));
        }
    }
}

fn may_repeat(failed: &Attempt, template: &Template, body: &RequestBody) -> bool {
    let Attempt::Failed(error) = failed else { return false };
    if !body.is_untouched() {
        return false;
    }
    let is_closed = || {
        causes(error).any(|cause| {
            cause
                .downcast_ref::<hyper::Error>()
                .is_some_and(|error| error.is_incomplete_message() || error.is_canceled())
                || is_io(cause, &[io::ErrorKind::ConnectionReset, io::ErrorKind::BrokenPipe])
        })
    };
    error.is_connect() || template.method.is_idempotent() && body.is_empty() && is_closed()
}

fn failure(failed: &Attempt) -> Failure {
    let error = match failed {
        Attempt::Late(message) => return Failure::upstream_timeout(*message),
        Attempt::Failed(error) => error,
    };
    tracing::debug!(error = %causes(error).map(ToString::to_string).collect::<Vec<_>>().join(": "), "no answer");
    for cause in causes(error) {
        if cause.is::<ConnectTimeout>() || error.is_connect() && is_io(cause, &[io::ErrorKind::TimedOut]) {
            return Failure::upstream_timeout("no connection to the upstream in time");
        } else if cause.is::<rustls::Error>() {
            return Failure::upstream_tls();
        }
        match cause.downcast_ref::<Broken>() {
            Some(Broken::ClientTimeout) => return Failure::client_timeout(),
            Some(_) => return Failure::client_body("the request's body broke off"),
            None => {}
        }
        if cause.downcast_ref::<hyper::Error>().is_some_and(hyper::Error::is_parse) {
            return Failure::upstream_invalid("the upstream's answer is not valid HTTP");
        }
    }
    if error.is_connect() { Failure::upstream_connect() } else { Failure::upstream_closed() }
}

/// `error` and what caused it; looks into I/O errors, whose `source` skips the error that they wrap.
fn causes(error: &legacy::Error) -> impl Iterator<Item = &(dyn Error + 'static)> {
    fn cause<'a>(error: &&'a (dyn Error + 'static)) -> Option<&'a (dyn Error + 'static)> {
        let error = *error;
        match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
            Some(wrapped) => Some(wrapped),
            None => error.source(),
        }
    }
    std::iter::successors(Some(error as &(dyn Error + 'static)), cause)
}

fn is_io(cause: &(dyn Error + 'static), kinds: &[io::ErrorKind]) -> bool {
    cause.downcast_ref::<io::Error>().is_some_and(|error| kinds.contains(&error.kind()))
}

/// The answer as the client gets it.
fn relay(
    response: Response<Incoming>,
    method: &Method,
    version: Version,
    connection: &Connection,
    read_timeout: Duration,
) -> Response<Outgoing> {
    let (mut head, incoming) = response.into_parts();
    headers::remove_hop_by_hop(&mut head.headers);
    let size = incoming.size_hint();
    if *method == Method::HEAD {
        // The length of what a GET would bring.
        let lengths: Vec<_> = head.headers.get_all(CONTENT_LENGTH).into_iter().cloned().collect();
        if !matches!(lengths.as_slice(), [only] if only.as_bytes().iter().all(u8::is_ascii_digit)) {
            head.headers.remove(CONTENT_LENGTH);
        }
    } else if matches!(head.status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED) {
        head.headers.remove(CONTENT_LENGTH);
    } else {
        headers::set_length(&mut head.headers, &size);
    }
    // An HTTP/1.0 client takes the end of the connection for the end of a body without length.
    let reset = (version == Version::HTTP_10 && size.exact().is_none()).then(|| connection.signals.clone());
    let mut relayed = Response::new(Outgoing::upstream(incoming, read_timeout, reset));
    *relayed.status_mut() = head.status;
    *relayed.headers_mut() = head.headers;
    relayed
}

/// The upstream switches protocols: to WebSocket if that was asked for, else it is at fault.
fn switch(
    gateway: &Gateway,
    connection: &Arc<Connection>,
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
    let kill = gateway.kill.clone();
    gateway.tasks.spawn(kill.run_until_cancelled_owned(async move {
        let (client, upstream) = match tokio::try_join!(client, upstream) {
            Ok(both) => both,
            Err(error) => return tracing::debug!(%error, "no tunnel came about"),
        };
        if let Err(error) = tunnel::run(TokioIo::new(client), TokioIo::new(upstream), idle).await {
            tracing::debug!(%error, "a tunnel ended early");
        }
    }));
    let mut switched = Response::new(Outgoing::empty());
    *switched.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    *switched.headers_mut() = std::mem::take(response.headers_mut());
    headers::remove_hop_by_hop(switched.headers_mut());
    switched.headers_mut().remove(header::CONTENT_LENGTH);
    headers::set_websocket(switched.headers_mut());
    Ok(switched)
}
