//! An answer that the gateway gives by itself because something failed: whose fault it is, a stable class, a message.

use std::borrow::Cow;

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, Version, header};
use serde_json::json;

/// Whose fault a failure is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    Client,
    Upstream,
    /// This gateway or its configuration.
    Gateway,
}

impl Fault {
    pub fn name(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Upstream => "upstream",
            Self::Gateway => "gateway",
        }
    }
}

#[derive(Debug, thiserror::Error)]
#[error("{reason}: {message}")]
pub struct Failure {
    pub status: StatusCode,
    pub fault: Fault,
    /// Stable class, for metrics and clients: `upstream-timeout`.
    pub reason: &'static str,
    pub message: Cow<'static, str>,
    /// The framing of the connection is in doubt: close it after the answer.
    pub closes: bool,
    pub header: Option<(header::HeaderName, HeaderValue)>,
}

impl Failure {
    fn new(
        status: StatusCode,
        fault: Fault,
        reason: &'static str,
        message: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self { status, fault, reason, message: message.into(), closes: false, header: None }
    }

    /// 400, and the connection is closed: what follows on it cannot be trusted.
    pub fn bad_request(message: impl Into<Cow<'static, str>>) -> Self {
        Self::refused(StatusCode::BAD_REQUEST, message)
    }

    /// A request that the gateway does not take, for reasons of protocol. Closes the connection.
    pub fn refused(status: StatusCode, message: impl Into<Cow<'static, str>>) -> Self {
        Self { closes: true, ..Self::new(status, Fault::Client, "invalid-request", message) }
    }

    pub fn no_route() -> Self {
        Self::new(StatusCode::NOT_FOUND, Fault::Client, "no-route", "no Route matched with those values")
    }

    pub fn no_service() -> Self {
        let message = "the route has no service to send the request to";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, Fault::Gateway, "no-service", message)
    }

    /// Something that this route needs is held and not served.
    pub fn quarantined() -> Self {
        let message = "part of this route's configuration cannot be served by this gateway";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, Fault::Gateway, "configuration-quarantined", message)
    }

    /// The store cannot be read.
    pub fn store() -> Self {
        let message = "the gateway cannot read its configuration";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, Fault::Gateway, "store-unavailable", message)
    }

    pub fn client_body(message: impl Into<Cow<'static, str>>) -> Self {
        let failure = Self::new(StatusCode::BAD_REQUEST, Fault::Client, "client-body", message);
        Self { closes: true, ..failure }
    }

    pub fn client_timeout() -> Self {
        let message = "the request's body did not arrive in time";
        let failure = Self::new(StatusCode::REQUEST_TIMEOUT, Fault::Client, "client-timeout", message);
        Self { closes: true, ..failure }
    }

    pub fn upstream_connect() -> Self {
        let message = "no connection to the upstream";
        Self::new(StatusCode::BAD_GATEWAY, Fault::Upstream, "upstream-connect", message)
    }

    pub fn upstream_tls() -> Self {
        let message = "the upstream's TLS handshake or certificate is not acceptable";
        Self::new(StatusCode::BAD_GATEWAY, Fault::Upstream, "upstream-tls", message)
    }

    pub fn upstream_invalid(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_GATEWAY, Fault::Upstream, "upstream-invalid", message)
    }

    pub fn upstream_closed() -> Self {
        let message = "the upstream closed the connection without an answer";
        Self::new(StatusCode::BAD_GATEWAY, Fault::Upstream, "upstream-closed", message)
    }

    pub fn upstream_timeout(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::GATEWAY_TIMEOUT, Fault::Upstream, "upstream-timeout", message)
    }

    /// A bug or an impossible configuration.
    pub fn internal(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, Fault::Gateway, "internal", message)
    }

    pub fn with_header(self, name: header::HeaderName, value: HeaderValue) -> Self {
        Self { header: Some((name, value)), ..self }
    }

    /// `{message, reason, source, request_id}` as JSON. `version`: of the request.
    pub fn into_response(self, version: Version, request_id: &HeaderValue) -> Response<Bytes> {
        let body = json!({
            "message": self.message,
            "reason": self.reason,
            "source": self.fault.name(),
            "request_id": request_id.to_str().unwrap_or_default(),
        });
        let mut response = Response::new(Bytes::from(body.to_string()));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json; charset=utf-8"));
        if self.status == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        if self.closes && version <= Version::HTTP_11 {
            headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        if let Some((name, value)) = self.header {
            headers.insert(name, value);
        }
        response
    }
}
