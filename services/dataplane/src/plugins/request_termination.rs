//! request-termination: answers every request itself. For maintenance, or to block a consumer.

use bytes::Bytes;
use gateway_model::plugin::request_termination::Config;
use http::{HeaderValue, Response, StatusCode, header};

use super::{Answer, Compiled, Exchange, Make, NotExecutable, Phases, Plugin, Verdict};
use crate::store::StoreError;

/// The compiled plugin.
#[derive(Debug)]
pub struct RequestTermination {
    status: StatusCode,
    reply: Reply,
}

#[derive(Debug)]
enum Reply {
    Message(String),
    Body { content_type: HeaderValue, body: Bytes },
}

impl Compiled for RequestTermination {
    type Config = Config;
    const PRIORITY: u32 = 2;
    const PHASES: Phases = Phases::REQUEST;

    /// An error if the status is no final one, or the content type cannot stand in a header.
    fn new(config: &Config, _: &Make<'_>) -> Result<Self, NotExecutable> {
        let status = StatusCode::from_u16(config.status_code)
            .ok()
            .filter(|status| !status.is_informational())
            .ok_or_else(|| NotExecutable("status_code: an interim status cannot be the answer".to_owned()))?;
        let reply = match &config.body {
            Some(body) => Reply::Body {
                content_type: match &config.content_type {
                    Some(given) => HeaderValue::from_str(given)
                        .map_err(|_| NotExecutable("content_type: not a header value".to_owned()))?,
                    None => HeaderValue::from_static("application/json; charset=utf-8"),
                },
                body: Bytes::from(body.clone()),
            },
            None => {
                Reply::Message(config.message.clone().unwrap_or_else(|| default_message(status).to_owned()))
            }
        };
        Ok(Self { status, reply })
    }
}

impl Plugin for RequestTermination {
    fn request(&self, _: &mut Exchange<'_, '_>) -> Result<Verdict, StoreError> {
        Ok(Verdict::Answer(match &self.reply {
            Reply::Message(message) => Answer::message(self.status, message),
            Reply::Body { content_type, body } => {
                let mut response = Response::new(body.clone());
                *response.status_mut() = self.status;
                response.headers_mut().insert(header::CONTENT_TYPE, content_type.clone());
                Answer::Full(Box::new(response))
            }
        }))
    }
}

fn default_message(status: StatusCode) -> &'static str {
    match status {
        StatusCode::SERVICE_UNAVAILABLE => "Service unavailable",
        other => other.canonical_reason().unwrap_or("The request was terminated"),
    }
}
