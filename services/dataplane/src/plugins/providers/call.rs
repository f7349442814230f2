//! One call of an identity provider.

use std::{sync::Arc, time::Duration};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use reqwest::Url;
use serde_json::Value;

use crate::calls::{self, CallerSettings, Calls};

/// Bytes of an answer.
const ANSWER_MAX: usize = 512 * 1024;
/// What a call may take, from the look-up of the name to the answer's last byte.
const LIMITS: CallerSettings = CallerSettings {
    connect_timeout: Duration::from_secs(10),
    timeout: Duration::from_secs(10),
    keepalive: Duration::from_secs(60),
    answer_max: ANSWER_MAX,
};

/// Calls providers. Cheap to clone; clones share connections.
#[derive(Clone, Debug)]
pub struct Caller(Arc<calls::Caller>);

/// What is asked of a provider.
pub enum Call<'c> {
    Get(&'c str),
    /// A form, with this `Authorization` where there is one.
    Form {
        url: &'c str,
        form: &'c [(&'c str, &'c str)],
        authorization: Option<&'c str>,
    },
}

/// A provider has not answered as it should.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    #[error("not a URL of http or https: {0}")]
    Url(String),
    #[error("the gateway's `Authorization` is none that can be sent")]
    Authorization,
    #[error("cannot be reached: {0}")]
    Unreachable(String),
    #[error("answered {0}")]
    Status(StatusCode),
    #[error("the answer is larger than {ANSWER_MAX} bytes, or no JSON object")]
    Answer,
    #[error("nobody can log in there: its description names no place for that")]
    NoLogin,
    #[error("it cannot be asked about tokens: its description names no place for that")]
    NoIntrospection,
    #[error("the answer says: {0}")]
    Content(String),
}

impl Caller {
    pub fn new(calls: Calls) -> Self {
        Self(Arc::new(calls::Caller::new(LIMITS, calls)))
    }

    /// The JSON object that the provider answers.
    pub async fn call(&self, call: Call<'_>) -> Result<Value, CallError> {
        let (Call::Get(text) | Call::Form { url: text, .. }) = &call;
        let url = Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
        let url = url.ok_or_else(|| CallError::Url((*text).to_owned()))?;
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT, HeaderValue::from_static("application/json"));
        let (method, body) = match call {
            Call::Get(_) => (Method::GET, Bytes::new()),
            Call::Form { form, authorization, .. } => {
                let kind = HeaderValue::from_static("application/x-www-form-urlencoded");
                headers.insert(header::CONTENT_TYPE, kind);
                if let Some(value) = authorization {
                    let value = HeaderValue::try_from(value).map_err(|_| CallError::Authorization)?;
                    headers.insert(header::AUTHORIZATION, value);
                }
                let form = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
                (Method::POST, form.into())
            }
        };
        let answer = self.0.call((method, url), headers, body).await.map_err(CallError::Unreachable)?;
        if answer.status != StatusCode::OK {
            return Err(CallError::Status(answer.status));
        }
        let json = serde_json::from_slice(&answer.body).ok().filter(|_| answer.is_whole);
        json.filter(Value::is_object).ok_or(CallError::Answer)
    }
}

/// The `Authorization` of a client: both parts are form-encoded first (RFC 6749, section 2.3.1).
pub fn client_authorization(id: &str, secret: &str) -> String {
    let [id, secret] =
        [id, secret].map(|text| url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>());
    format!("Basic {}", BASE64_STANDARD.encode(format!("{id}:{secret}")))
}
