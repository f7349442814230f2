//! request-transformer: changes a request before it goes upstream: method, path, headers, query and body.
//!
//! Everything is computed before anything is changed, so what is computed never depends on what this plugin has changed. In Kong that
//! depends on what is looked for first.

mod rules;
#[cfg(test)]
mod tests;

use std::borrow::Cow;

use bytes::Bytes;
use gateway_model::plugin::request_transformer::Config;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header::HOST};

use self::rules::{Found, Rules};
use super::{
    Answer, Body, Compiled, Exchange, Make, NotExecutable, Phases, Plugin, Verdict,
    transforming::{Arguments, BODY_MAX, ContentType, Object, unchanged},
};
use crate::store::StoreError;

const NAME: &str = "request-transformer";

/// The compiled plugin.
#[derive(Debug)]
pub struct RequestTransformer {
    method: Option<Method>,
    rules: Rules,
}

/// What this request's headers, query and body become.
struct Changes {
    path: Option<String>,
    host: Option<HeaderValue>,
    headers: rules::Values<HeaderValue>,
    query: rules::Values<String>,
    body: rules::Values<String>,
}

impl Compiled for RequestTransformer {
    type Config = Config;
    const PRIORITY: u32 = 801;
    const PHASES: Phases = Phases::REQUEST;

    /// An error if the method is none.
    fn new(config: &Config, _: &Make<'_>) -> Result<Self, NotExecutable> {
        let method = config.http_method.as_ref().map(|method| Method::from_bytes(method.as_bytes()));
        let method = method.transpose().map_err(|_| NotExecutable("http_method: not a method".to_owned()))?;
        if method.as_ref().is_some_and(|method| [Method::CONNECT, Method::TRACE].contains(method)) {
            return Err(NotExecutable("http_method: the gateway forwards no such requests".to_owned()));
        }
        Ok(Self { method, rules: Rules::new(config)? })
    }
}

impl Plugin for RequestTransformer {
    fn request(&self, exchange: &mut Exchange<'_, '_>) -> Result<Verdict, StoreError> {
        let kind = ContentType::of(exchange.headers);
        let needs_body = match kind {
            Some(ContentType::Json) => self.rules.change_body(),
            Some(ContentType::Form) => self.rules.change_body() || self.has_no_body_by_method(),
            None => false,
        };
        if needs_body {
            match exchange.body {
                Body::Unread { .. } => return Ok(Verdict::NeedsBody { max: BODY_MAX }),
                Body::TooLarge { .. } => return Ok(too_large()),
                Body::Empty | Body::Read(_) => {}
            }
        }
        let changes = match self.changes(exchange) {
            Ok(changes) => changes,
            Err(message) => return Ok(Verdict::Answer(Answer::message(StatusCode::BAD_REQUEST, message))),
        };
        let Some(form) = self.form(exchange, kind) else { return Ok(too_large()) };
        let Some(query) = self.query(exchange, form, &changes) else { return Ok(too_large()) };
        let kind = kind.filter(|_| self.rules.change_body());
        let body = kind.map(|kind| self.body(&exchange.body, kind, changes.body));
        if let Some(None) = body {
            return Ok(too_large());
        }
        // From here on everything is known, and the request is changed.
        if let Some(path) = changes.path {
            exchange.effects.want().upstream_path = Some(path);
        }
        if let Some(host) = changes.host {
            exchange.effects.want().host = Some(host);
        }
        if let Some(method) = &self.method {
            exchange.method.clone_from(method);
        }
        self.rules.headers.apply(exchange.headers, changes.headers);
        if let Some(Some(Some(body))) = body {
            exchange.effects.want().body = Some(body);
        }
        if let Some(query) = query {
            *exchange.query = Some(query).filter(|query| !query.is_empty()).map(Cow::Owned);
        }
        Ok(Verdict::Pass)
    }

    fn captures(&self) -> &[String] {
        &self.rules.captures
    }
}

fn too_large() -> Verdict {
    // Otherwise a body that is large enough would escape what is to be done to it.
    let message = "Request body is too large to be transformed";
    Verdict::Answer(Answer::message(StatusCode::PAYLOAD_TOO_LARGE, message))
}

impl RequestTransformer {
    /// Whether the request becomes one whose form belongs into its query.
    fn has_no_body_by_method(&self) -> bool {
        self.method.as_ref().is_some_and(|method| [Method::GET, Method::HEAD].contains(method))
    }

    /// Computes everything. An error says which value cannot be.
    fn changes(&self, exchange: &Exchange<'_, '_>) -> Result<Changes, String> {
        let found = Found::new(exchange);
        let find = |table, name: &str| found.find(table, name);
        let path = self.rules.uri.as_ref().map(|uri| rules::path(&uri.render(&find))).transpose()?;
        let mut host = None;
        let mut headers = self.rules.headers.values(&find, |name, value| {
            HeaderValue::from_str(value.trim())
                .map_err(|_| format!("The header {name} would hold what no header can"))
        })?;
        // `Host` is none of the headers here.
        for ((name, _), value) in self.rules.headers.replace.iter().zip(&mut headers.replace) {
            if name.eq_ignore_ascii_case(HOST.as_str()) {
                host = value.take().filter(|host| !host.is_empty());
            }
        }
        let text = |_: &str, value: Cow<'_, str>| Ok(value.into_owned());
        Ok(Changes {
            path,
            host,
            headers,
            query: self.rules.query.values(&find, text)?,
            body: self.rules.body.values(&find, text)?,
        })
    }

    /// The form of a request that becomes one without body; `None` if it is too large.
    fn form(&self, exchange: &Exchange<'_, '_>, kind: Option<ContentType>) -> Option<Option<Arguments>> {
        match &exchange.body {
            Body::Read(body) if kind == Some(ContentType::Form) && self.has_no_body_by_method() => {
                Arguments::parse(body).map(Some)
            }
            _ => Some(None),
        }
    }

    /// The query as it becomes, if it is another; `None` if it has too many arguments.
    fn query(
        &self,
        exchange: &Exchange<'_, '_>,
        form: Option<Arguments>,
        changes: &Changes,
    ) -> Option<Option<String>> {
        if form.is_none() && self.rules.query.is_empty() {
            return Some(None);
        }
        let mut query = Arguments::parse(exchange.query.as_deref().unwrap_or_default().as_bytes())?;
        form.into_iter().flatten().for_each(|argument| query.push(argument));
        self.rules.query.apply(&mut query, changes.query.clone());
        Some(Some(query.to_text()))
    }

    /// The body as it becomes. Within: `None` if it stays. `None`: it is too large.
    fn body(&self, body: &Body, kind: ContentType, values: rules::Values<String>) -> Option<Option<Bytes>> {
        let empty = Bytes::new();
        let body = if let Body::Read(body) = body { body } else { &empty };
        if body.is_empty() && !self.rules.body.makes_something() {
            return Some(None);
        }
        match kind {
            ContentType::Form => {
                let mut form = Arguments::parse(body)?;
                self.rules.body.apply(&mut form, values);
                Some(Some(form.to_text().into()))
            }
            ContentType::Json => {
                let object = if body.is_empty() { Some(Object::empty()) } else { Object::parse(body) };
                let Some(mut object) = object else {
                    unchanged(NAME, "no-json-object");
                    return Some(None);
                };
                self.rules.body.apply(&mut object, values.map(|value| Object::text(&value)));
                Some(Some(object.to_bytes().into()))
            }
        }
    }
}

/// A header's value as text.
fn header_text<'a>(headers: &'a HeaderMap, name: &str) -> Option<Cow<'a, str>> {
    let value = HeaderName::from_bytes(name.as_bytes()).ok().and_then(|name| headers.get(name))?;
    Some(String::from_utf8_lossy(value.as_bytes()))
}
