//! Which pages may use the API from a browser: those of the origins in `console.origins`, and no others.
//!
//! A request that lets the browser's cookie count needs more than the cookie: it comes from such an origin, and carries the header
//! [`CONSOLE`]. No page of another origin can send that header without being allowed to first, and it is not (CORS).

use std::sync::Arc;

use axum::{
    extract::{Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header},
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use web::{Answer, Problem};

/// The header of requests in which a cookie counts; any value.
pub const CONSOLE: HeaderName = HeaderName::from_static("landbridge-console");
/// What a page may send and see.
const METHODS: &str = "GET, POST, PUT, PATCH, DELETE";
const SENT: &str =
    "authorization, content-type, idempotency-key, if-match, landbridge-consistency, landbridge-console";
const SEEN: &str = "etag, idempotent-replayed, landbridge-consistency, retry-after, x-request-id";
/// How long a browser remembers that, seconds.
const REMEMBERED: &str = "600";

/// The origins of the console. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Origins(Arc<[String]>);

impl Origins {
    /// Those in the settings, as `https://console.example.com`. An error names one that is no origin.
    pub fn new(origins: &[String]) -> anyhow::Result<Self> {
        for origin in origins {
            let host = origin.strip_prefix("https://").unwrap_or_default();
            let is_origin = !host.is_empty() && !host.contains(['/', '?', '#', '*', ' ']);
            anyhow::ensure!(
                is_origin && *origin == origin.to_lowercase(),
                "console.origins: {origin} is no origin; write it as in https://console.example.com, without a path"
            );
        }
        Ok(Self(origins.into()))
    }

    /// Where somebody goes that has signed on elsewhere: the first of them.
    pub fn first(&self) -> Option<&str> {
        self.0.first().map(String::as_str)
    }

    fn named_in<'h>(&self, headers: &'h HeaderMap) -> Option<&'h HeaderValue> {
        let origin = headers.get(header::ORIGIN)?;
        self.0.iter().any(|known| known.as_bytes() == origin.as_bytes()).then_some(origin)
    }

    /// Goes on only if the request comes from a page of the console. 403 if not.
    pub fn require_console(&self, headers: &HeaderMap) -> Answer<()> {
        if !headers.contains_key(CONSOLE) {
            return Err(Problem::forbidden("a cookie counts only with the header `Landbridge-Console: 1`"));
        }
        match self.named_in(headers) {
            Some(_) => Ok(()),
            None => Err(Problem::forbidden("a cookie counts only from an origin in `console.origins`")),
        }
    }
}

/// Middleware: tells browsers which pages may use the API.
pub async fn share(State(origins): State<Origins>, request: Request, next: Next) -> Response {
    let Some(origin) = origins.named_in(request.headers()).cloned() else {
        return next.run(request).await;
    };
    let is_question = request.method() == Method::OPTIONS
        && request.headers().contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
    let mut response = match is_question {
        true => StatusCode::NO_CONTENT.into_response(),
        false => next.run(request).await,
    };
    let headers = response.headers_mut();
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    headers.insert(header::ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
    headers.append(header::VARY, HeaderValue::from_static("origin"));
    if is_question {
        headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static(METHODS));
        headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static(SENT));
        headers.insert(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static(REMEMBERED));
    } else {
        headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(SEEN));
    }
    response
}

#[cfg(test)]
mod tests {
    use super::Origins;

    #[test]
    fn an_origin_is_a_scheme_and_a_host() {
        for right in ["https://console.example.com", "https://127.0.0.1:12001"] {
            assert!(Origins::new(&[right.to_owned()]).is_ok(), "{right}");
        }
        for wrong in [
            "*",
            "http://console.example.com",
            "https://",
            "https://a.example/",
            "https://*.example",
            "https://A.example",
        ] {
            assert!(Origins::new(&[wrong.to_owned()]).is_err(), "{wrong}");
        }
    }
}
