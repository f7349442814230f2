//! The way of a request to one other region, and of its answer back.

use std::time::Duration;

use access::Parking;
use anyhow::Context as _;
use axum::{
    body::Body,
    extract::Request,
    http::{
        HeaderMap, HeaderName, HeaderValue, Method, Uri, header,
        uri::{Authority, Scheme},
    },
    response::Response,
};
use http_body_util::{BodyExt as _, Limited};
use hyper_rustls::{FixedServerNameResolver, HttpsConnectorBuilder, MaybeHttpsStream};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioIo, TokioTimer},
};
use ids::{OrganizationId, Region, ServiceName};
use mutation::idempotency;
use rustls_pki_types::ServerName;
use settings::sections::PeerRegion;
use tokio::{
    net::TcpStream,
    time::{Instant, timeout_at},
};
use tower::{BoxError, timeout::Timeout, util::BoxCloneSyncService};
use web::{Answer, ClientAddress, Problem};

use crate::{
    Identity,
    client::CLIENT_ADDRESS,
    deadline::{DEADLINE, Deadline},
    regions::{CONNECT_TIMEOUT, KEEPALIVE_INTERVAL, KEEPALIVE_TIMEOUT, peer_client_config, peer_name},
};

/// Longest time that a request waits for its home region.
const FORWARD_TIMEOUT: Duration = Duration::from_secs(10);
/// The home region is told to answer this much earlier than this region stops waiting. So the answer that it was too slow
/// still arrives.
const ANSWER_MARGIN: Duration = Duration::from_millis(500);
/// Requests under way to one region at once; what is beyond is answered 503.
const FORWARDS_MAX: usize = 256;
/// Of these, as many of one organization.
const FORWARDS_PER_ORGANIZATION_MAX: usize = 64;
/// Longest answer, bytes: records and people come in pages.
const ANSWER_BYTES_MAX: usize = 4 * 1024 * 1024;

/// The region that a request came through, for the home region's traces.
const FORWARDED: HeaderName = HeaderName::from_static("landbridge-forwarded");
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
/// What a browser keeps of a sign-on that is under way: of all its cookies, only this one is the home region's business.
pub const PENDING_SIGN_ON: HeaderName = HeaderName::from_static("landbridge-pending-sign-on");
/// Headers of a request that go on with it; no other does.
const REQUEST_HEADERS: [HeaderName; 10] = [
    header::AUTHORIZATION,
    header::CONTENT_TYPE,
    header::ACCEPT,
    header::USER_AGENT,
    header::IF_MATCH,
    idempotency::HEADER,
    access::CONSISTENCY,
    HeaderName::from_static("x-request-id"),
    TRACEPARENT,
    PENDING_SIGN_ON,
];
/// Headers of an answer that are about the connection it came by (RFC 9110, section 7.6.1).
const HOP_BY_HOP: [HeaderName; 7] = [
    header::CONNECTION,
    HeaderName::from_static("keep-alive"),
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    // The body is read whole and sent anew.
    header::CONTENT_LENGTH,
];

/// Connects within [`CONNECT_TIMEOUT`].
type Connector = BoxCloneSyncService<Uri, MaybeHttpsStream<TokioIo<TcpStream>>, BoxError>;

/// One other region, as requests are forwarded to it.
pub(crate) struct Link {
    /// The region that requests are forwarded to.
    pub home: Region,
    authority: Authority,
    client: Client<Connector, Body>,
    room: Parking,
    timeout: Duration,
}

/// What became of a request that got no answer.
enum Lost {
    /// It never left this region.
    NotSent,
    /// It may have had its effect.
    Unknown,
}

impl Link {
    /// A client for `service` in the region `home`. Connects with the first request. Fails if the address in `peer` is
    /// not a URL with a host, or if no TLS configuration can be made of `identity` and the peer's CA.
    pub fn new(
        home: &Region,
        service: ServiceName,
        peer: &PeerRegion,
        identity: &Identity,
    ) -> anyhow::Result<Self> {
        let uri: Uri = peer
            .service
            .parse()
            .with_context(|| format!("regions.{home}.service: {} is not a URL", peer.service))?;
        let authority = uri.authority().cloned();
        let authority = authority.with_context(|| format!("regions.{home}.service: it names no host"))?;
        let mut http = HttpConnector::new();
        http.enforce_http(false);
        http.set_nodelay(true);
        let name = ServerName::try_from(peer_name(service, home))?;
        let https = HttpsConnectorBuilder::new()
            .with_tls_config(peer_client_config(peer, identity)?)
            .https_only()
            .with_server_name_resolver(FixedServerNameResolver::new(name))
            .enable_http2()
            .wrap_connector(http);
        let client = Client::builder(TokioExecutor::new())
            .timer(TokioTimer::new())
            .pool_timer(TokioTimer::new())
            .http2_only(true)
            .http2_keep_alive_interval(KEEPALIVE_INTERVAL)
            .http2_keep_alive_timeout(KEEPALIVE_TIMEOUT)
            .http2_keep_alive_while_idle(true)
            .build(Connector::new(Timeout::new(https, CONNECT_TIMEOUT)));
        let room = Parking::new(FORWARDS_MAX, FORWARDS_PER_ORGANIZATION_MAX);
        Ok(Self { home: home.clone(), authority, client, room, timeout: FORWARD_TIMEOUT })
    }

    /// The same, with another longest wait.
    #[cfg(test)]
    pub fn waiting(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Sends `request` of `organization` on from the region `here`, and gives its answer back whole.
    pub async fn forward(
        &self,
        here: &Region,
        organization: OrganizationId,
        request: Request,
    ) -> Answer<Response> {
        let Some(_room) = self.room.enter(organization) else {
            let text = format!("too many requests wait for the organization's home region, {}", self.home);
            return Err(Problem::unavailable(text));
        };
        let deadline = self.deadline(&request);
        let method = request.method().clone();
        let has_key = request.headers().contains_key(idempotency::HEADER);
        let request = self.readdress(here, request, deadline)?;
        let answered = timeout_at(deadline, self.exchange(request)).await.unwrap_or(Err(Lost::Unknown));
        answered.map_err(|lost| self.problem(&lost, &method, has_key))
    }

    fn deadline(&self, request: &Request) -> Instant {
        let latest = Instant::now() + self.timeout;
        request.extensions().get::<Deadline>().map_or(latest, |Deadline(asked)| latest.min(*asked))
    }

    /// The request as it leaves this region.
    fn readdress(&self, here: &Region, request: Request, deadline: Instant) -> Answer<Request> {
        let (parts, body) = request.into_parts();
        let mut uri = parts.uri.into_parts();
        uri.scheme = Some(Scheme::HTTPS);
        uri.authority = Some(self.authority.clone());
        let mut forwarded = Request::new(body);
        *forwarded.method_mut() = parts.method;
        *forwarded.uri_mut() = Uri::from_parts(uri).map_err(Problem::internal)?;
        let headers = forwarded.headers_mut();
        for name in &REQUEST_HEADERS {
            for value in parts.headers.get_all(name) {
                headers.append(name, value.clone());
            }
        }
        if let Some(ClientAddress(address)) = parts.extensions.get()
            && let Ok(address) = HeaderValue::try_from(address.to_string())
        {
            headers.insert(CLIENT_ADDRESS, address);
        }
        if let Ok(current) = HeaderValue::try_from(telemetry::traceparent())
            && !current.is_empty()
        {
            headers.insert(TRACEPARENT, current);
        }
        headers.insert(FORWARDED, HeaderValue::from_str(here.as_str()).map_err(Problem::internal)?);
        let left = deadline.saturating_duration_since(Instant::now()).saturating_sub(ANSWER_MARGIN);
        let left = u64::try_from(left.as_millis()).unwrap_or(u64::MAX);
        headers.insert(DEADLINE, HeaderValue::from(left));
        Ok(forwarded)
    }

    /// The answer is read whole: one that breaks off is none, rather than half of one.
    async fn exchange(&self, request: Request) -> Result<Response, Lost> {
        let response = self.client.request(request).await.map_err(|error| {
            tracing::warn!(home = %self.home, ?error, "a request could not be forwarded");
            if error.is_connect() { Lost::NotSent } else { Lost::Unknown }
        })?;
        let (mut parts, body) = response.into_parts();
        let body = Limited::new(body, ANSWER_BYTES_MAX).collect().await.map_err(|error| {
            tracing::warn!(home = %self.home, %error, "an answer broke off");
            Lost::Unknown
        })?;
        drop_hop_by_hop(&mut parts.headers);
        Ok(Response::from_parts(parts, Body::from(body.to_bytes())))
    }

    fn problem(&self, lost: &Lost, method: &Method, has_key: bool) -> Problem {
        let home = &self.home;
        Problem::unavailable(match lost {
            Lost::NotSent => {
                format!(
                    "the organization's home region, {home}, cannot be reached; nothing was done; try again"
                )
            }
            Lost::Unknown if method.is_safe() => {
                format!("the organization's home region, {home}, did not answer; try again")
            }
            Lost::Unknown => {
                let remedy = if has_key {
                    "send it again with the same Idempotency-Key"
                } else if *method == Method::POST {
                    "look before you send it again; with an Idempotency-Key it has one effect however often it is sent"
                } else {
                    "it can be sent again"
                };
                format!(
                    "the organization's home region, {home}, did not answer; whether the request had an effect is \
                     not known; {remedy}"
                )
            }
        })
    }
}

fn drop_hop_by_hop(headers: &mut HeaderMap) {
    for name in &HOP_BY_HOP {
        headers.remove(name);
    }
}
