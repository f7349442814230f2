//! request-termination: answers requests itself. For maintenance, to block a consumer, or to see what clients send.

use bytes::Bytes;
use gateway_model::plugin::request_termination::Config;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};
use serde_json::{Map, Value, json};

use super::{Answer, Body, Compiled, Exchange, Make, NotExecutable, Phases, Plugin, Verdict};
use crate::store::StoreError;

/// Bytes of a body that is shown, at most.
const SHOWN_BYTES_MAX: usize = 64 * 1024;

/// The compiled plugin.
#[derive(Debug)]
pub struct RequestTermination {
    status: StatusCode,
    reply: Reply,
    /// The header and the query argument without which a request is not answered.
    trigger: Option<(HeaderName, String)>,
}

#[derive(Debug)]
enum Reply {
    Message(String),
    Body {
        content_type: HeaderValue,
        body: Bytes,
    },
    /// The request, below the message.
    Echo(String),
}

impl Compiled for RequestTermination {
    type Config = Config;
    const PRIORITY: u32 = 2;
    const PHASES: Phases = Phases::REQUEST;

    /// An error if the status is no final one, or a text cannot stand in a header.
    fn new(config: &Config, _: &Make<'_>) -> Result<Self, NotExecutable> {
        let status = StatusCode::from_u16(config.status_code)
            .ok()
            .filter(|status| !status.is_informational())
            .ok_or_else(|| NotExecutable("status_code: an interim status cannot be the answer".to_owned()))?;
        let message = || config.message.clone().unwrap_or_else(|| default_message(status).to_owned());
        let reply = match &config.body {
            _ if config.echo => Reply::Echo(message()),
            Some(body) => Reply::Body {
                content_type: match &config.content_type {
                    Some(given) => HeaderValue::from_str(given)
                        .map_err(|_| NotExecutable("content_type: not a header value".to_owned()))?,
                    None => HeaderValue::from_static("application/json; charset=utf-8"),
                },
                body: Bytes::from(body.clone()),
            },
            None => Reply::Message(message()),
        };
        let header =
            |name: &String| HeaderName::from_bytes(name.as_bytes()).map(|header| (header, name.clone()));
        let trigger = config.trigger.as_ref().map(header).transpose();
        let trigger = trigger.map_err(|_| NotExecutable("trigger: not a header name".to_owned()))?;
        Ok(Self { status, reply, trigger })
    }
}

impl Plugin for RequestTermination {
    fn request(&self, exchange: &mut Exchange<'_, '_>) -> Result<Verdict, StoreError> {
        if let Some((header, argument)) = &self.trigger
            && !exchange.headers.contains_key(header)
            && !arguments(exchange).any(|(name, _)| name == *argument)
        {
            return Ok(Verdict::Pass);
        }
        Ok(match &self.reply {
            Reply::Message(message) => Verdict::Answer(Answer::message(self.status, message)),
            Reply::Body { content_type, body } => self.answer(content_type.clone(), body.clone()),
            Reply::Echo(_) if matches!(exchange.body, Body::Unread { .. }) => {
                Verdict::NeedsBody { max: SHOWN_BYTES_MAX }
            }
            Reply::Echo(message) => {
                let shown = json!({
                    "message": message,
                    "request": shown(exchange),
                    "matched_route": { "id": exchange.place.route, "name": exchange.place.route_name },
                    "matched_service": exchange.place.service.map(|id| {
                        json!({ "id": id, "name": exchange.place.service_name })
                    }),
                });
                self.answer(HeaderValue::from_static("application/json"), Bytes::from(shown.to_string()))
            }
        })
    }
}

impl RequestTermination {
    fn answer(&self, content_type: HeaderValue, body: Bytes) -> Verdict {
        let mut response = Response::new(body);
        *response.status_mut() = self.status;
        response.headers_mut().insert(header::CONTENT_TYPE, content_type);
        Verdict::Answer(Answer::Full(Box::new(response)))
    }
}

fn arguments<'e>(
    exchange: &'e Exchange<'_, '_>,
) -> impl Iterator<Item = (std::borrow::Cow<'e, str>, std::borrow::Cow<'e, str>)> {
    url::form_urlencoded::parse(exchange.query.as_deref().unwrap_or_default().as_bytes())
}

/// The request as its sender sees it.
fn shown(exchange: &Exchange<'_, '_>) -> Value {
    let raw = match &exchange.body {
        Body::Read(body) => Some(String::from_utf8_lossy(body).into_owned()),
        Body::Empty | Body::Unread { .. } | Body::TooLarge { .. } => None,
    };
    let parsed = raw.as_deref().and_then(|raw| serde_json::from_str::<Value>(raw).ok());
    json!({
        "scheme": if exchange.client.https { "https" } else { "http" },
        "host": exchange.client.host,
        "port": exchange.client.port,
        "method": exchange.method.as_str(),
        "path": exchange.path,
        "headers": headers(exchange.headers),
        "query": listed(arguments(exchange).map(|(name, value)| (name.into_owned(), value.into_owned()))),
        "body": parsed,
        "raw_body": raw,
    })
}

fn headers(headers: &HeaderMap) -> Map<String, Value> {
    let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    listed(headers.iter().map(|(name, value)| (name.to_string(), text(value))))
}

/// What comes once as a text, and what comes several times as a list.
fn listed(pairs: impl Iterator<Item = (String, String)>) -> Map<String, Value> {
    let mut all = Map::new();
    for (name, value) in pairs {
        match all.get_mut(&name) {
            None => drop(all.insert(name, value.into())),
            Some(Value::Array(list)) => list.push(value.into()),
            Some(first) => *first = json!([first.take(), value]),
        }
    }
    all
}

fn default_message(status: StatusCode) -> &'static str {
    match status {
        StatusCode::SERVICE_UNAVAILABLE => "Service unavailable",
        other => other.canonical_reason().unwrap_or("The request was terminated"),
    }
}
