//! A failure that the gateway answers itself. It says whose fault it is, and has a stable class and a message.

use std::borrow::Cow;

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, Version, header};
use serde::Deserialize;
use serde_json::json;

use super::upstream::Forbidden;
use crate::store::StoreError;

/// Whose fault a failure is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Whoever sent the request.
    Client,
    /// The service behind the gateway.
    Upstream,
    /// This gateway or its configuration.
    Gateway,
}

impl Fault {
    /// In answers and metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Upstream => "upstream",
            Self::Gateway => "gateway",
        }
    }
}

/// How the gateway's own errors are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ErrorFormat {
    /// JSON with a `message`, as Kong's.
    #[default]
    Message,
    /// Problem details (RFC 9457), as the answers of Landbridge's APIs, with the same `message`.
    Problem,
}

impl ErrorFormat {
    fn content_type(self) -> &'static str {
        match self {
            Self::Message => "application/json; charset=utf-8",
            Self::Problem => "application/problem+json",
        }
    }
}

/// What the type of every problem of Landbridge's APIs starts with.
const PROBLEM_PREFIX: &str = "urn:landbridge:problem:";
/// What the instance of every one starts with; the request's id follows.
const INSTANCE_PREFIX: &str = "urn:landbridge:request:";

/// Name and title of the problem that Landbridge's APIs answer with `status`.
fn problem_type(status: StatusCode) -> (&'static str, &'static str) {
    match status.as_u16() {
        404 => ("not-found", "Not found"),
        405 => ("method-not-allowed", "Method not allowed"),
        413 => ("body-too-large", "The body is too large"),
        400..=499 => ("malformed-request", "The request cannot be read"),
        502..=504 => ("unavailable", "Unavailable"),
        _ => ("internal", "Internal error"),
    }
}

/// Why a request was not answered by a plugin or an upstream.
#[derive(Debug, thiserror::Error)]
#[error("{reason}: {message}")]
pub struct Failure {
    /// Status of the answer.
    pub status: StatusCode,
    /// Whose fault it is.
    pub fault: Fault,
    /// Stable class, for metrics and clients. Example: `upstream-timeout`.
    pub reason: &'static str,
    /// What went wrong, for the client.
    pub message: Cow<'static, str>,
    /// What went wrong inside the gateway, for its operator: logged, and not told to the client.
    pub cause: Option<String>,
    /// Whether the connection is closed after the answer, because its framing is in doubt.
    pub closes: bool,
    /// A header of the answer. Boxed, so that a `Result` with a failure stays small.
    pub header: Option<Box<(header::HeaderName, HeaderValue)>>,
}

impl Failure {
    fn new(
        status: StatusCode,
        fault: Fault,
        reason: &'static str,
        message: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self { status, fault, reason, message: message.into(), cause: None, closes: false, header: None }
    }

    /// 400. The connection is closed, because what follows on it cannot be trusted.
    pub fn bad_request(message: impl Into<Cow<'static, str>>) -> Self {
        Self::refused(StatusCode::BAD_REQUEST, message)
    }

    /// A request that HTTP or the gateway does not allow. The connection is closed.
    pub fn refused(status: StatusCode, message: impl Into<Cow<'static, str>>) -> Self {
        Self { closes: true, ..Self::new(status, Fault::Client, "invalid-request", message) }
    }

    /// No route is for the request.
    pub fn no_route() -> Self {
        Self::new(StatusCode::NOT_FOUND, Fault::Client, "no-route", "no Route matched with those values")
    }

    /// The route is for calls of gRPC, and the request is none.
    pub fn no_call() -> Self {
        let message = "the route takes calls of gRPC only (content-type: application/grpc)";
        Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, Fault::Client, "no-call", message)
    }

    /// The route is for those who speak `protocol`.
    pub fn upgrade(message: &'static str, protocol: &'static str) -> Self {
        Self::new(StatusCode::UPGRADE_REQUIRED, Fault::Client, "upgrade-required", message)
            .with_header(header::UPGRADE, HeaderValue::from_static(protocol))
    }

    /// The route has no service, and no plugin answered.
    pub fn no_service() -> Self {
        let message = "the route has no service to send the request to";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, Fault::Gateway, "no-service", message)
    }

    /// The service's upstream has no target that takes requests: all are down, or there is none.
    pub fn no_target() -> Self {
        let message = "none of the upstream's targets takes requests now";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, Fault::Upstream, "no-healthy-target", message)
    }

    /// An entity that this route needs is quarantined.
    pub fn quarantined() -> Self {
        let message = "part of this route's configuration cannot be served by this gateway";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, Fault::Gateway, "configuration-quarantined", message)
    }

    /// The store cannot be read, so nobody knows whom an API key belongs to.
    pub fn store(cause: &StoreError) -> Self {
        let message = "the gateway cannot read its configuration";
        let failure =
            Self::new(StatusCode::SERVICE_UNAVAILABLE, Fault::Gateway, "store-unavailable", message);
        Self { cause: Some(cause.to_string()), ..failure }
    }

    /// The request comes after a write that this gateway has not received yet.
    pub fn not_yet_served() -> Self {
        let message =
            "this gateway does not serve the version yet that Landbridge-Consistency names; try again";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, Fault::Gateway, "not-yet-served", message)
    }

    /// The consistency token cannot be read.
    pub fn no_token() -> Self {
        let message = "Landbridge-Consistency: send back unchanged what an answer of the API carried, or leave the header out";
        Self::new(StatusCode::BAD_REQUEST, Fault::Client, "invalid-request", message)
    }

    /// The request's body broke off.
    pub fn client_body(message: impl Into<Cow<'static, str>>) -> Self {
        let failure = Self::new(StatusCode::BAD_REQUEST, Fault::Client, "client-body", message);
        Self { closes: true, ..failure }
    }

    /// The request's body is longer than a plugin allows. The words are Kong's.
    pub fn body_too_large() -> Self {
        let message = "Request size limit exceeded";
        let failure = Self::new(StatusCode::PAYLOAD_TOO_LARGE, Fault::Client, "body-too-large", message);
        Self { closes: true, ..failure }
    }

    /// The client paused for too long within its body.
    pub fn client_timeout() -> Self {
        let message = "the request's body did not arrive in time";
        let failure = Self::new(StatusCode::REQUEST_TIMEOUT, Fault::Client, "client-timeout", message);
        Self { closes: true, ..failure }
    }

    /// The upstream cannot be reached.
    pub fn upstream_connect() -> Self {
        let message = "no connection to the upstream";
        Self::new(StatusCode::BAD_GATEWAY, Fault::Upstream, "upstream-connect", message)
    }

    /// No request may be sent to the upstream's address.
    pub fn upstream_forbidden(why: Forbidden) -> Self {
        Self::new(StatusCode::BAD_GATEWAY, Fault::Gateway, "upstream-forbidden", why.to_string())
    }

    /// The request has passed as many gateways as it may.
    pub fn looping(hops_max: usize) -> Self {
        let message = format!(
            "the request has passed {hops_max} gateways already: a route leads back to a gateway (Via has the way)"
        );
        Self::new(StatusCode::LOOP_DETECTED, Fault::Gateway, "loop", message)
    }

    /// The upstream is not who it should be, or speaks no TLS.
    pub fn upstream_tls() -> Self {
        let message = "the upstream's TLS handshake or certificate is not acceptable";
        Self::new(StatusCode::BAD_GATEWAY, Fault::Upstream, "upstream-tls", message)
    }

    /// The upstream's answer is not valid HTTP.
    pub fn upstream_invalid(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_GATEWAY, Fault::Upstream, "upstream-invalid", message)
    }

    /// The connection to the upstream broke before an answer.
    pub fn upstream_closed() -> Self {
        let message = "the upstream closed the connection without an answer";
        Self::new(StatusCode::BAD_GATEWAY, Fault::Upstream, "upstream-closed", message)
    }

    /// The upstream took too long.
    pub fn upstream_timeout(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::GATEWAY_TIMEOUT, Fault::Upstream, "upstream-timeout", message)
    }

    /// The same failure with a header in its answer.
    pub fn with_header(self, name: header::HeaderName, value: HeaderValue) -> Self {
        Self { header: Some(Box::new((name, value))), ..self }
    }

    /// The answer: JSON with `message`, `reason`, `source` and `request_id`, and those of the format. `version` is the request's.
    pub fn into_response(
        self,
        format: ErrorFormat,
        version: Version,
        request_id: &HeaderValue,
    ) -> Response<Bytes> {
        let mut body = json!({
            "message": self.message,
            "reason": self.reason,
            "source": self.fault.name(),
            "request_id": request_id.to_str().unwrap_or_default(),
        });
        if format == ErrorFormat::Problem {
            let (name, title) = problem_type(self.status);
            body["type"] = format!("{PROBLEM_PREFIX}{name}").into();
            body["title"] = title.into();
            body["status"] = self.status.as_u16().into();
            body["detail"] = body["message"].clone();
            body["instance"] = format!("{INSTANCE_PREFIX}{}", request_id.to_str().unwrap_or_default()).into();
            if self.status == StatusCode::BAD_REQUEST {
                body["invalid_parameters"] = json!([]);
            }
        }
        let mut response = Response::new(Bytes::from(body.to_string()));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(format.content_type()));
        if matches!(self.status.as_u16(), 502..=504) {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        if self.status == StatusCode::UPGRADE_REQUIRED && version <= Version::HTTP_11 {
            headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
        }
        if self.closes && version <= Version::HTTP_11 {
            headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        if let Some(header) = self.header {
            let (name, value) = *header;
            headers.insert(name, value);
        }
        response
    }
}
