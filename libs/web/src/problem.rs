//! Errors as clients see them: problem details (RFC 9457), with `message` beside `detail` for decK.

use std::{fmt::Display, sync::Arc, time::Duration};

use axum::{
    body::Body,
    extract::Request,
    http::{HeaderValue, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use serde::Serialize;
use utoipa::ToSchema;

/// Most field errors listed in one answer; what is beyond only counts.
pub const FIELD_ERRORS_MAX: usize = 50;

/// Start of every `type`; the variant's name in kebab case follows. Stable: clients compare it.
const TYPE_PREFIX: &str = "urn:landbridge:problem:";

/// What is told to everybody of an organization that is suspended or being deleted.
pub(crate) const ORGANIZATION_INACTIVE: &str = "your organization is suspended or being deleted; its gateways still serve; ask whoever operates this deployment";

/// Start of every `instance`; the id of the request follows.
const INSTANCE_PREFIX: &str = "urn:landbridge:request:";
/// The header with the request's id.
const REQUEST_ID: &str = "x-request-id";

/// What went wrong, by its stable name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ProblemType {
    MalformedBody,
    InvalidBody,
    InvalidParameter,
    UnsupportedMediaType,
    BodyTooLarge,
    Unauthenticated,
    Forbidden,
    OrganizationInactive,
    NotFound,
    MethodNotAllowed,
    Conflict,
    PreconditionFailed,
    InUse,
    IdempotencyKeyReused,
    IdempotencyKeyInUse,
    LimitReached,
    TooManyRequests,
    Unavailable,
    NotYetReplicated,
    Internal,
}

impl ProblemType {
    /// The HTTP status of every answer with this type.
    pub const fn status(self) -> StatusCode {
        match self {
            Self::MalformedBody | Self::InvalidBody | Self::InvalidParameter | Self::InUse => {
                StatusCode::BAD_REQUEST
            }
            Self::UnsupportedMediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::BodyTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Unauthenticated => StatusCode::UNAUTHORIZED,
            Self::Forbidden | Self::OrganizationInactive | Self::LimitReached => StatusCode::FORBIDDEN,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::Conflict | Self::IdempotencyKeyInUse => StatusCode::CONFLICT,
            Self::PreconditionFailed => StatusCode::PRECONDITION_FAILED,
            Self::IdempotencyKeyReused => StatusCode::UNPROCESSABLE_ENTITY,
            Self::TooManyRequests => StatusCode::TOO_MANY_REQUESTS,
            Self::Unavailable | Self::NotYetReplicated => StatusCode::SERVICE_UNAVAILABLE,
            Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// Its stable name, as in `not-found`.
    pub fn name(self) -> String {
        let name = serde_json::to_value(self).ok();
        name.as_ref().and_then(|name| name.as_str()).unwrap_or("internal").to_owned()
    }

    /// What clients show as its heading.
    pub const fn title(self) -> &'static str {
        match self {
            Self::MalformedBody => "The body cannot be read",
            Self::InvalidBody => "The body is not valid",
            Self::InvalidParameter => "A parameter is not valid",
            Self::UnsupportedMediaType => "Unsupported media type",
            Self::BodyTooLarge => "The body is too large",
            Self::Unauthenticated => "Unauthorized",
            Self::Forbidden => "Forbidden",
            Self::OrganizationInactive => "The organization is not active",
            Self::NotFound => "Not found",
            Self::MethodNotAllowed => "Method not allowed",
            Self::Conflict => "Conflict",
            Self::PreconditionFailed => "Precondition failed",
            Self::InUse => "Still in use",
            Self::IdempotencyKeyReused => "Idempotency key used for another request",
            Self::IdempotencyKeyInUse => "A request with this idempotency key is still running",
            Self::LimitReached => "Limit reached",
            Self::TooManyRequests => "Too many requests",
            Self::Unavailable => "Unavailable",
            Self::NotYetReplicated => "Not yet replicated",
            Self::Internal => "Internal error",
        }
    }
}

/// One field of the input, and what is wrong with it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct FieldError {
    /// Path of the field, as in `routes[2].paths[0]`.
    pub field: String,
    /// What is wrong, and the remedy.
    pub reason: String,
}

/// An error answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Problem {
    /// Its stable name; clients decide by it.
    pub kind: ProblemType,
    /// One sentence for the person who made the request: what is wrong, and what to do about it.
    pub detail: String,
    /// The fields or parameters that are wrong; at most [`FIELD_ERRORS_MAX`].
    pub fields: Vec<FieldError>,
    /// Sent as `Retry-After`, in whole seconds; `None` sends no such header.
    pub retry_after: Option<Duration>,
    /// What brought it about, for the log of the service. Clients never see it.
    pub cause: Option<Arc<str>>,
}

/// A problem that was answered, on its way to [`conclude`].
#[derive(Clone)]
struct Answered(Arc<Problem>);

/// The wire form of a [`Problem`].
#[derive(Serialize, ToSchema)]
#[schema(as = Problem)]
pub struct ProblemBody {
    /// Stable name of the problem, as in `urn:landbridge:problem:not-found`.
    pub r#type: String,
    /// The problem's type in words.
    pub title: String,
    /// The HTTP status of the answer.
    pub status: u16,
    /// What is wrong with this request, and what to do about it.
    pub detail: String,
    /// The same as `detail`.
    pub message: String,
    /// Names this occurrence, as in `urn:landbridge:request:018f…`: the request's id, by which the logs know it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instance: Option<String>,
    /// The fields and parameters that are wrong. Always there where the status is 400; else absent if the problem is not about one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub invalid_parameters: Option<Vec<FieldError>>,
}

impl Problem {
    /// A problem without fields, `Retry-After` or cause.
    pub fn new(kind: ProblemType, detail: impl Into<String>) -> Self {
        Self { kind, detail: detail.into(), fields: Vec::new(), retry_after: None, cause: None }
    }

    /// A body whose fields are wrong; the detail names the first of them.
    pub fn invalid(mut fields: Vec<FieldError>) -> Self {
        let detail = match fields.first() {
            Some(first) if first.field.is_empty() => first.reason.clone(),
            Some(first) => format!("{}: {}", first.field, first.reason),
            None => "the body is not valid".to_owned(),
        };
        fields.truncate(FIELD_ERRORS_MAX);
        Self { fields, ..Self::new(ProblemType::InvalidBody, detail) }
    }

    /// A body in which one field is wrong. `field` is its path in the body, as in `labels.team`.
    pub fn invalid_field(field: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::invalid(vec![FieldError { field: field.into(), reason: reason.into() }])
    }

    /// A parameter of the query or a header that is wrong.
    pub fn invalid_parameter(field: &str, reason: &str) -> Self {
        let fields = vec![FieldError { field: field.to_owned(), reason: reason.to_owned() }];
        Self { fields, ..Self::new(ProblemType::InvalidParameter, format!("{field}: {reason}")) }
    }

    /// 404: `no such {what}`, as in `no such control plane`.
    pub fn not_found(what: &str) -> Self {
        Self::new(ProblemType::NotFound, format!("no such {what}"))
    }

    /// 409: the request contradicts what is there.
    pub fn conflict(detail: impl Into<String>) -> Self {
        Self::new(ProblemType::Conflict, detail)
    }

    /// 403: the caller is known and may not do this.
    pub fn forbidden(detail: impl Into<String>) -> Self {
        Self::new(ProblemType::Forbidden, detail)
    }

    /// 403: the caller's organization is suspended, or being deleted.
    pub fn organization_inactive() -> Self {
        Self::new(ProblemType::OrganizationInactive, ORGANIZATION_INACTIVE)
    }

    /// 401: no token, or one that is not valid.
    pub fn unauthenticated(detail: impl Into<String>) -> Self {
        Self::new(ProblemType::Unauthenticated, detail)
    }

    /// The answer is not known now, and nobody is to blame: try again.
    pub fn unavailable(detail: impl Into<String>) -> Self {
        Self { retry_after: Some(Duration::from_secs(1)), ..Self::new(ProblemType::Unavailable, detail) }
    }

    /// This region has not applied yet what the answer depends on: try again.
    pub fn not_yet_replicated(detail: impl Into<String>) -> Self {
        Self { kind: ProblemType::NotYetReplicated, ..Self::unavailable(detail) }
    }

    /// 429: the caller, or its address, has used up what it may ask for. It gets more after `wait`.
    pub fn too_many_requests(detail: impl Into<String>, wait: Duration) -> Self {
        Self { retry_after: Some(wait), ..Self::new(ProblemType::TooManyRequests, detail) }
    }

    /// The problem that a body was broken off with, if `error`, which reading it brought, is one or was caused by one.
    pub fn of_body<'e>(mut error: &'e (dyn std::error::Error + 'static)) -> Option<&'e Self> {
        loop {
            match error.downcast_ref::<Self>() {
                Some(problem) => return Some(problem),
                None => error = error.source()?,
            }
        }
    }

    /// A fault of ours, brought about by `cause`.
    pub fn internal(cause: impl Display) -> Self {
        let problem = Self::new(ProblemType::Internal, "internal error; the request id names it in the logs");
        problem.because(cause)
    }

    /// The same problem, brought about by `cause`.
    pub fn because(self, cause: impl Display) -> Self {
        Self { cause: Some(cause.to_string().into()), ..self }
    }
}

/// Middleware: names the request in a problem's `instance`, and logs what brought the problem about, once, inside the span of the
/// request. The request's id is in its header [`REQUEST_ID`].
pub async fn conclude(request: Request, next: Next) -> Response {
    let id = request.headers().get(REQUEST_ID).and_then(|id| id.to_str().ok()).map(str::to_owned);
    let mut response = next.run(request).await;
    let Some(Answered(problem)) = response.extensions_mut().remove::<Answered>() else { return response };
    if let Some(cause) = &problem.cause {
        if response.status() == StatusCode::INTERNAL_SERVER_ERROR {
            tracing::error!(%cause, "internal error");
        } else {
            tracing::warn!(status = response.status().as_u16(), %cause, "refused");
        }
    }
    let Some(id) = id else { return response };
    let named = ProblemBody { instance: Some(format!("{INSTANCE_PREFIX}{id}")), ..problem.body() };
    let (mut head, _) = response.into_parts();
    head.headers.remove(header::CONTENT_LENGTH);
    // A problem is text and numbers, which are always JSON.
    let body = serde_json::to_vec(&named).unwrap_or_default();
    Response::from_parts(head, Body::from(body))
}

impl Problem {
    /// Its wire form.
    pub fn body(&self) -> ProblemBody {
        let status = self.kind.status();
        ProblemBody {
            r#type: format!("{TYPE_PREFIX}{}", self.kind.name()),
            title: self.kind.title().to_owned(),
            status: status.as_u16(),
            message: self.detail.clone(),
            detail: self.detail.clone(),
            instance: None,
            invalid_parameters: (status == StatusCode::BAD_REQUEST || !self.fields.is_empty())
                .then(|| self.fields.clone()),
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = self.kind.status();
        let mut response = (status, axum::Json(self.body())).into_response();
        response.extensions_mut().insert(self.kind);
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if let Some(delay) = self.retry_after {
            // Rounded up: earlier than that would be too early.
            let seconds = delay.as_secs() + u64::from(delay.subsec_nanos() > 0);
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds.max(1)));
        }
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response.extensions_mut().insert(Answered(Arc::new(self)));
        response
    }
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.kind.title(), self.detail)
    }
}

impl std::error::Error for Problem {}
