//! JSON bodies in and out. A body that does not fit is refused with the field's path, or with line and column.

use axum::{
    body::{Body, Bytes},
    extract::{FromRequest, Request},
    http::{HeaderMap, header},
    response::{IntoResponse, Response},
};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use serde::{Serialize, de::DeserializeOwned};

use crate::{FieldError, Problem, ProblemType};

/// Largest body of an ordinary request, bytes.
pub const BODY_BYTES_MAX: usize = 1024 * 1024;

/// A JSON body of type `T`, as extractor and as answer.
#[derive(Debug, Clone, Copy)]
pub struct Json<T>(pub T);

impl<T: Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        axum::Json(self.0).into_response()
    }
}

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Json<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _state: &S) -> Result<Self, Problem> {
        let (parts, body) = request.into_parts();
        require_json(&parts.headers)?;
        parse(&read(body, BODY_BYTES_MAX).await?).map(Json)
    }
}

fn require_json(headers: &HeaderMap) -> Result<(), Problem> {
    let Some(value) = headers.get(header::CONTENT_TYPE) else { return Ok(()) };
    let mime = value.to_str().unwrap_or_default().split(';').next().unwrap_or_default().trim();
    let is_json =
        mime.eq_ignore_ascii_case("application/json") || mime.to_ascii_lowercase().ends_with("+json");
    if is_json {
        Ok(())
    } else {
        Err(Problem::new(ProblemType::UnsupportedMediaType, format!("send application/json, not {mime}")))
    }
}

/// A body of at most `MAX` bytes, as it came.
#[derive(Debug, Clone)]
pub struct RawBody<const MAX: usize>(pub Bytes);

impl<S: Send + Sync, const MAX: usize> FromRequest<S> for RawBody<MAX> {
    type Rejection = Problem;

    async fn from_request(request: Request, _state: &S) -> Result<Self, Problem> {
        read(request.into_body(), MAX).await.map(Self)
    }
}

async fn read(body: Body, limit: usize) -> Result<Bytes, Problem> {
    match Limited::new(body, limit).collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.downcast_ref::<LengthLimitError>().is_some() => {
            Err(Problem::new(ProblemType::BodyTooLarge, format!("the body may be at most {limit} bytes")))
        }
        Err(error) => Err(Problem::of_body(&*error).cloned().unwrap_or_else(|| {
            Problem::new(ProblemType::MalformedBody, "the body broke off before its end")
        })),
    }
}

/// Parses `text` as a `T`. An empty body stands for an empty object.
pub fn parse<T: DeserializeOwned>(text: &[u8]) -> Result<T, Problem> {
    let text = if text.is_empty() { b"{}" } else { text };
    let mut deserializer = serde_json::Deserializer::from_slice(text);
    let value = serde_path_to_error::deserialize(&mut deserializer).map_err(|error| {
        let path = error.path().to_string();
        let field = if path == "." { String::new() } else { path };
        refusal(field, error.inner())
    })?;
    deserializer.end().map_err(|error| refusal(String::new(), &error))?;
    Ok(value)
}

fn refusal(field: String, error: &serde_json::Error) -> Problem {
    if error.is_syntax() || error.is_eof() {
        Problem::new(ProblemType::MalformedBody, format!("not valid JSON: {error}"))
    } else {
        Problem::invalid(vec![FieldError { field, reason: error.to_string() }])
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use crate::{ProblemType, parse_json};

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Body {
        #[expect(dead_code, reason = "only its type matters")]
        list: Vec<u8>,
    }

    #[test]
    fn says_where_the_fault_is() {
        let syntax = parse_json::<Body>(b"{\n  \"list\": [1,]}").expect_err("syntax");
        assert_eq!(syntax.kind, ProblemType::MalformedBody);
        assert!(syntax.detail.contains("line 2 column 14"), "{}", syntax.detail);

        let wrong_type = parse_json::<Body>(br#"{"list": [1, "x"]}"#).expect_err("type");
        assert_eq!(wrong_type.kind, ProblemType::InvalidBody);
        assert_eq!(wrong_type.fields[0].field, "list[1]");

        let unknown = parse_json::<Body>(br#"{"list": [], "lost": 1}"#).expect_err("unknown field");
        assert!(unknown.detail.contains("unknown field `lost`"), "{}", unknown.detail);

        let trailing = parse_json::<Body>(br#"{"list": []} {}"#).expect_err("trailing");
        assert_eq!(trailing.kind, ProblemType::MalformedBody);
    }
}
