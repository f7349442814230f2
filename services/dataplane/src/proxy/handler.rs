//! One request: it is checked, routed, shown to its plugins, and forwarded or answered.

use std::sync::Arc;

use bytes::Bytes;
use gateway_model::Application;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Version, header};
use serde_json::json;
use tracing::Instrument as _;
use uuid::Uuid;

use super::{
    affinity::{Affinity, Asked},
    body::Outgoing,
    connection::ClientConnection,
    failure::Failure,
    forward::{self, Outbound},
    forwarded,
    grpc::{self, Call},
    headers::{self, Survey},
    http1::RefusedHead,
    inbound::{self, Inbound},
    phases::Judging,
    request_body::Incoming,
    spread::Targets,
    state::Worker,
    telemetry::{self, Record, trace},
};
use crate::{
    balancing::HashBy,
    plugins::Answer,
    router::{self, readings::AmbiguousPaths},
    store::StoreError,
    view::{Blocked, Captures, Outcome, Served, Upstream, View},
};

/// Answers every request. A failure becomes an answer too.
pub async fn handle(
    worker: &Worker,
    connection: &ClientConnection,
    request: Request<Incoming>,
) -> Response<Outgoing> {
    let (shared, in_flight) = (&*worker.shared, connection.seat.begin());
    let request_id = headers::request_id(request.headers(), &shared.random);
    let mut record = worker.recorder.begin(connection, &request, &request_id);
    let (version, method) = (request.version(), request.method().clone());
    let grpc = Call::of(version, request.headers());
    let span = shared
        .traces
        .and_then(|sample| trace::span(connection, &request, &request_id, (sample, &shared.random)));
    // What few requests need is in boxes here and below: a request is as large as all that it may wait for, and memory is what it costs most.
    let answered = match &span {
        Some(span) => {
            let respond = respond(worker, connection, request, &request_id, grpc, &mut record);
            Box::pin(respond.instrument(span.clone())).await
        }
        None => respond(worker, connection, request, &request_id, grpc, &mut record).await,
    };
    let mut response = answered.unwrap_or_else(|failure| {
        failed(worker, connection, failure, (version, grpc), &request_id, &mut record)
    });
    if let Some(after) = &mut record.after {
        response = after.respond(&method, response);
    }
    if let Some(span) = &span {
        trace::ended(span, response.status(), record.reason);
    }
    response.headers_mut().insert(headers::REQUEST_ID, request_id);
    record.answered(response.status());
    response.map(|body| body.holding(in_flight, record))
}

/// Answers what is no request.
pub fn refuse(worker: &Worker, connection: &ClientConnection, refused: RefusedHead) -> Response<Outgoing> {
    let (mut record, in_flight) = (worker.recorder.refused(), connection.seat.begin());
    let request_id = headers::request_id(&HeaderMap::new(), &worker.shared.random);
    let failure = Failure::refused(refused.status, refused.message);
    let mut response =
        failed(worker, connection, failure, (Version::HTTP_11, None), &request_id, &mut record);
    response.headers_mut().insert(headers::REQUEST_ID, request_id);
    record.answered(response.status());
    response.map(|body| body.holding(in_flight, record))
}

/// The answer of a failure, which is counted and logged.
fn failed(
    worker: &Worker,
    connection: &ClientConnection,
    failure: Failure,
    (version, grpc): (Version, Option<Call>),
    request_id: &HeaderValue,
    record: &mut Record,
) -> Response<Outgoing> {
    telemetry::failure(&failure);
    record.reason = Some(failure.reason);
    match &failure.cause {
        Some(cause) => {
            tracing::error!(%failure, %cause, ?request_id, "the gateway cannot serve a request");
        }
        None => {
            tracing::debug!(%failure, peer = %connection.arrival.peer, ?request_id, "answered by the gateway");
        }
    }
    if grpc.is_some() {
        return grpc::answer(failure.status, &failure.message);
    }
    failure.into_response(worker.shared.errors, version, request_id).map(Outgoing::full)
}

async fn respond(
    worker: &Worker,
    connection: &ClientConnection,
    request: Request<Incoming>,
    request_id: &HeaderValue,
    grpc: Option<Call>,
    record: &mut Record,
) -> Result<Response<Outgoing>, Failure> {
    let shared = &*worker.shared;
    let (mut parts, mut incoming) = request.into_parts();
    let uri = std::mem::take(&mut parts.uri);
    let authority = inbound::authority(&parts, &uri)?;
    let is_proxy = connection.arrival.is_proxy;
    let survey = Survey::of(&parts.headers, is_proxy);
    let mut inbound = inbound::inspect(&parts, &survey, &uri, &authority, shared.dots)?;
    if survey.via && forwarded::hops(&parts.headers) >= shared.hops_max {
        return Err(Failure::looping(shared.hops_max));
    }
    // Before the gateway or a plugin sets a header.
    let wishes = survey.wishes(&parts.method, parts.version, &parts.headers);
    survey.remove_refused(&mut parts.headers);
    if !is_proxy && !shared.trust.proxies.is_empty() {
        // Only a trusted proxy names the client's address.
        parts.headers.remove(&shared.trust.real_ip_header);
    }
    if survey.consistency
        && let Some(served) = &shared.served
    {
        Box::pin(served.reach(&mut parts.headers)).await?;
    }
    let asks = Asks { is_call: grpc.is_some(), opens_websocket: wishes.websocket };
    let found = worker.view(|view| find(view, worker, connection, &parts, &inbound));
    let (served, prefix_len) = match found? {
        Found::Route { served, prefix_len } => (served, prefix_len),
        Found::UseHttps(served, status) => {
            record.served = Some(served);
            return Ok(match grpc {
                Some(_) => grpc::answer(status, "the route is served over TLS only"),
                None => use_https(status, &inbound, request_id),
            });
        }
        Found::Challenge(key_authorization) => return Ok(challenge(key_authorization)),
    };
    record.served = Some(served.clone());
    asks.suits(served.settings.application, parts.version)?;
    let Outcome::Serve { chain, .. } = &served.outcome else { return Err(Failure::quarantined()) };
    let method = parts.method.clone();
    let judging = Judging {
        worker,
        connection,
        served: &served,
        parts: &mut parts,
        inbound: &mut inbound,
        incoming: &mut incoming,
        uri: &uri,
        request_id,
        record: &mut *record,
    };
    if let Some(answer) = judging.judge(chain).await? {
        return Ok(if grpc.is_some() { answered_call(answer) } else { answered(answer, request_id) });
    }
    let (upstream, targets) = direct(worker, connection, &served, (&parts, &inbound), record)?;
    if let Some(wanted) = record.after.as_mut().and_then(|after| after.effects().wanted_mut())
        && let Some(body) = wanted.body.take()
    {
        incoming = Incoming::own(body);
    }
    let settings = served.settings;
    let outbound = Outbound {
        worker,
        connection,
        method,
        parts,
        wishes,
        uri: &uri,
        inbound,
        request_id,
        upstream,
        targets,
        grpc,
        strip: if settings.strip_path { prefix_len } else { 0 },
        preserve_host: settings.preserve_host,
        record,
    };
    forward::forward(outbound, incoming).await
}

/// What a request is for.
enum Found {
    /// A route. `prefix_len`: how many bytes of the path the route's path matched.
    Route { served: Arc<Served>, prefix_len: usize },
    /// A route, for which it has to be sent over TLS.
    UseHttps(Arc<Served>, StatusCode),
    /// The challenge of an ACME server, and what that is answered.
    Challenge(Bytes),
}

/// What is spoken by whoever sent a request, if it is not HTTP alone.
#[derive(Clone, Copy)]
struct Asks {
    /// It is a call of gRPC.
    is_call: bool,
    /// It opens a WebSocket.
    opens_websocket: bool,
}

impl Asks {
    /// An error if a route for `application` takes no such request.
    fn suits(self, application: Application, version: Version) -> Result<(), Failure> {
        match application {
            Application::Http => Ok(()),
            Application::Grpc if self.is_call => Ok(()),
            Application::Grpc if version == Version::HTTP_2 => Err(Failure::no_call()),
            Application::Grpc => Err(Failure::upgrade("the route takes calls of gRPC, over HTTP/2", "h2c")),
            Application::WebSocket if self.opens_websocket => Ok(()),
            Application::WebSocket => {
                Err(Failure::upgrade("the route takes requests that open a WebSocket", "websocket"))
            }
        }
    }
}

/// Finds the request's route.
fn find(
    view: &View,
    worker: &Worker,
    connection: &ClientConnection,
    parts: &http::request::Parts,
    inbound: &Inbound<'_>,
) -> Result<Found, Failure> {
    let shared = &*worker.shared;
    // Before any route, whatever it is for: whether the name leads here is what the ACME server wants to know.
    if let Some(answer) = view.key_authorization(&inbound.path)
        && (parts.method == Method::GET || parts.method == Method::HEAD)
    {
        return Ok(Found::Challenge(answer.clone()));
    }
    let asked = router::Lookup {
        host: &inbound.host,
        path: &inbound.path,
        method: &parts.method,
        port: inbound.port.unwrap_or(if connection.arrival.https { 443 } else { 80 }),
        https: connection.arrival.https,
        sni: connection.arrival.sni.as_deref(),
        headers: &parts.headers,
    };
    let found = view.find(&asked).ok_or_else(Failure::no_route)?;
    if shared.ambiguous_paths == AmbiguousPaths::Refuse && view.is_ambiguous(&asked, &found, shared.dots) {
        return Err(Failure::bad_request(
            "some upstreams would read the path as one of another route: send slashes unencoded, and no parameters",
        ));
    }
    let served = found.served.clone();
    if shared.traces.is_some() {
        trace::found(&parts.method, served.route, &served.labels.route);
    }
    match served.settings.https_only {
        Some(status) if !forwarded::came_over_tls(&parts.headers, &connection.arrival) => {
            Ok(Found::UseHttps(served, status))
        }
        _ => Ok(Found::Route { served, prefix_len: found.prefix_len }),
    }
}

/// Where a request goes that has passed its plugins, and what keeps its place among the targets there.
fn direct(
    worker: &Worker,
    connection: &ClientConnection,
    served: &Served,
    (parts, inbound): (&http::request::Parts, &Inbound<'_>),
    record: &mut Record,
) -> Result<(Arc<Upstream>, Option<Box<Targets>>), Failure> {
    let Outcome::Serve { upstream, balanced, captures, .. } = &served.outcome else {
        return Err(Failure::quarantined());
    };
    let wanted = record.after.as_mut().and_then(|after| after.effects().wanted());
    let diverted = match wanted.and_then(|wanted| wanted.divert.as_ref()) {
        Some(divert) => {
            let elsewhere = worker.view(|view| view.diverted(upstream.as_ref(), divert));
            Some(elsewhere.ok_or_else(Failure::no_service)?)
        }
        None => None,
    };
    let (upstream, balanced) = match &diverted {
        Some((upstream, balanced)) => (upstream.clone(), balanced.as_ref()),
        None => (upstream.clone().ok_or_else(Failure::no_service)?, balanced.as_ref()),
    };
    let consumer = record.consumer.as_ref().map(|identity| identity.consumer);
    let targets = balanced.map(|balanced| {
        let hash_by = (&*balanced.definition.hash_by, captures);
        let affinity = affinity(hash_by, worker, connection, parts, inbound, consumer);
        Targets::new(balanced, affinity).map(Box::new)
    });
    Ok((upstream, targets.transpose()?))
}

/// What keeps the request's place among its upstream's targets.
fn affinity(
    (by, captures): (&[HashBy], &Captures),
    worker: &Worker,
    connection: &ClientConnection,
    parts: &http::request::Parts,
    inbound: &Inbound<'_>,
    consumer: Option<Uuid>,
) -> Affinity {
    if by.is_empty() {
        return Affinity::default();
    }
    let (arrival, shared) = (&connection.arrival, &worker.shared);
    let peer = arrival.peer.ip();
    let client = if arrival.is_proxy { shared.trust.client(&parts.headers, peer) } else { peer };
    let (path, query) = (&*inbound.path, inbound.query.as_deref());
    let asked = Asked { consumer, client, headers: &parts.headers, path, query, captures };
    Affinity::of(by, &asked, &shared.random)
}

/// The answer to a plain request for a route that is served over TLS only: a redirect, or the demand to use TLS.
fn use_https(status: StatusCode, inbound: &Inbound<'_>, request_id: &HeaderValue) -> Response<Outgoing> {
    let mut response = message(status, "Please use HTTPS protocol", request_id);
    let headers = response.headers_mut();
    if status.is_redirection() {
        let target = super::target::with_query(inbound.path.to_string(), inbound.query.as_deref());
        if let Ok(location) = HeaderValue::from_str(&format!("https://{}{target}", inbound.host)) {
            headers.insert(header::LOCATION, location);
        }
    } else {
        headers.insert(header::UPGRADE, HeaderValue::from_static("TLS/1.2, HTTP/1.1"));
        headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    }
    response
}

/// What an ACME server is answered.
fn challenge(key_authorization: Bytes) -> Response<Outgoing> {
    let mut response = Response::new(Outgoing::full(key_authorization));
    let text = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, text);
    response
}

/// A plugin's answer to a call.
fn answered_call(answer: Answer) -> Response<Outgoing> {
    match answer {
        Answer::Full(response) => {
            grpc::answer(response.status(), response.status().canonical_reason().unwrap_or_default())
        }
        Answer::Message { status, message, .. } => grpc::answer(status, &message),
    }
}

fn answered(answer: Answer, request_id: &HeaderValue) -> Response<Outgoing> {
    match answer {
        Answer::Full(response) => response.map(Outgoing::full),
        Answer::Message { status, message: text, headers } => {
            let mut response = message(status, &text, request_id);
            response.headers_mut().extend(headers);
            response
        }
    }
}

fn message(status: StatusCode, text: &str, request_id: &HeaderValue) -> Response<Outgoing> {
    let body = json!({ "message": text, "request_id": request_id.to_str().unwrap_or_default() });
    let mut response = Response::new(Outgoing::full(Bytes::from(body.to_string())));
    *response.status_mut() = status;
    let content_type = HeaderValue::from_static("application/json; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, content_type);
    response
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::store(&error)
    }
}

impl From<Blocked> for Failure {
    fn from(_: Blocked) -> Self {
        Self::quarantined()
    }
}
