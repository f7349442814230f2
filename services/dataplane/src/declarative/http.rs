//! `/config` on the admin port: `POST` takes a document, `GET` shows what is in service as one. It is there only if a file with its token is
//! set.

use std::{path::Path, path::PathBuf, sync::Arc};

use anyhow::Context as _;
use axum::{
    Json, Router,
    extract::{DefaultBodyLimit, Request, State},
    http::{HeaderMap, HeaderValue, Method, StatusCode, header},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::get,
};
use gateway_model::{
    FieldError,
    declarative::{DOCUMENT_BYTES_MAX, write::to_yaml},
};
use serde_json::{Value, json};
use subtle::ConstantTimeEq as _;

use super::{Declarative, DeclarativeError, body::Form};
use crate::applier::ApplyError;

/// The shortest token, in bytes. A shorter one can be guessed.
const TOKEN_BYTES_MIN: usize = 16;

/// A file with the token that the sender of a document has to show. It is read for each request, so that it can be replaced.
#[derive(Clone, Debug)]
pub struct TokenFile(PathBuf);

impl TokenFile {
    /// The token in the file `path`. Fails if the file cannot be read, or its token is too short.
    pub fn open(path: &Path) -> anyhow::Result<Self> {
        let file = Self(path.to_owned());
        token(&std::fs::read_to_string(path).with_context(|| file.name())?).with_context(|| file.name())?;
        Ok(file)
    }

    fn name(&self) -> String {
        format!("config_token_file {}", self.0.display())
    }

    /// Whether the headers show the token: `Authorization: Bearer …`.
    async fn admits(&self, headers: &HeaderMap) -> anyhow::Result<bool> {
        let text = tokio::fs::read_to_string(&self.0).await.with_context(|| self.name())?;
        let wanted = blake3::hash(token(&text).with_context(|| self.name())?.as_bytes());
        let shown = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let shown = shown.and_then(|value| value.split_once(' '));
        let shown = shown.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
        // Hashes are of one length, so the time tells nothing about the token.
        Ok(shown.is_some_and(|(_, shown)| {
            bool::from(blake3::hash(shown.trim().as_bytes()).as_bytes().ct_eq(wanted.as_bytes()))
        }))
    }
}

/// The token in the text of a file.
fn token(text: &str) -> anyhow::Result<&str> {
    let token = text.trim();
    anyhow::ensure!(
        token.len() >= TOKEN_BYTES_MIN && token.bytes().all(|byte| byte.is_ascii_graphic()),
        "a token has at least {TOKEN_BYTES_MIN} visible ASCII characters and no spaces"
    );
    Ok(token)
}

/// The route `/config`, for those who show the token in `file`.
pub fn router(declarative: Arc<Declarative>, file: TokenFile) -> Router {
    Router::new()
        .route("/config", get(get_config).post(post_config))
        .layer(DefaultBodyLimit::max(DOCUMENT_BYTES_MAX))
        .route_layer(middleware::from_fn_with_state(file, admit))
        .with_state(declarative)
}

/// Refuses a request before its body is read: without the token, or with a document whose type is not said.
async fn admit(State(file): State<TokenFile>, request: Request, next: Next) -> Response {
    match file.admits(request.headers()).await {
        Ok(true) if request.method() != Method::POST || Form::of(request.headers()).is_some() => {
            next.run(request).await
        }
        Ok(true) => {
            let message = "declare the document's type: Content-Type: application/yaml or application/json, or a form's";
            refusal(StatusCode::UNSUPPORTED_MEDIA_TYPE, message)
        }
        Ok(false) => {
            let message = "send the token from the gateway's config_token_file: Authorization: Bearer …";
            let mut response = refusal(StatusCode::UNAUTHORIZED, message);
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            response
        }
        Err(error) => {
            tracing::error!("the token for documents cannot be read: {error:#}");
            refusal(StatusCode::INTERNAL_SERVER_ERROR, "the gateway cannot read its config_token_file")
        }
    }
}

fn refusal(status: StatusCode, message: &str) -> Response {
    (status, Json(json!({ "message": message }))).into_response()
}

/// The configuration in service: as YAML, or as JSON where that is accepted instead.
async fn get_config(State(declarative): State<Arc<Declarative>>, headers: HeaderMap) -> Response {
    let (document, hash) = match declarative.document().await {
        Ok(read) => read,
        Err(error) => {
            tracing::error!(%error, "the configuration could not be read");
            return refusal(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string());
        }
    };
    let accepted =
        headers.get(header::ACCEPT).and_then(|accepted| accepted.to_str().ok()).unwrap_or_default();
    let (media_type, text) = match accepted.contains("json") && !accepted.contains("yaml") {
        true => ("application/json", Value::Object(document).to_string()),
        false => ("application/yaml", to_yaml(&document)),
    };
    let headers = [
        (header::CONTENT_TYPE, media_type.to_owned()),
        (header::ETAG, format!("\"{hash}\"")),
        (header::VARY, "accept".to_owned()),
        (header::CACHE_CONTROL, "no-store".to_owned()),
    ];
    (StatusCode::OK, headers, text).into_response()
}

async fn post_config(
    State(declarative): State<Arc<Declarative>>,
    headers: HeaderMap,
    body: String,
) -> Response {
    let Some(document) = Form::of(&headers).and_then(|form| form.document(body)) else {
        return refusal(
            StatusCode::BAD_REQUEST,
            "config: is required: the field of the form that holds the document",
        );
    };
    match declarative.apply(document).await {
        Ok(changed) => (StatusCode::OK, Json(changed)).into_response(),
        Err(DeclarativeError::Invalid(invalid)) => {
            let field =
                |FieldError { field, message }: &FieldError| json!({ "field": field, "message": message });
            let fields: Vec<_> = invalid.fields.iter().map(field).collect();
            let body =
                json!({ "message": invalid.to_string(), "fields": fields, "omitted": invalid.omitted });
            (StatusCode::BAD_REQUEST, Json(body)).into_response()
        }
        Err(DeclarativeError::Apply(error @ ApplyError::TakenOver)) => {
            refusal(StatusCode::SERVICE_UNAVAILABLE, &format!("{error}; send the document again"))
        }
        Err(error) => {
            tracing::error!(%error, "a declarative document could not be applied");
            refusal(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string())
        }
    }
}
