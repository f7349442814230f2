//! API keys in bodies.

use std::borrow::Cow;

use bytes::Bytes;
use http::{HeaderMap, header};
use serde_json::{Map, Value};

use super::{super::authentication::Said, arguments, multipart, only, without_arguments};

/// What a body is.
enum Form {
    Arguments,
    Json,
    /// Parts with this between them.
    Multipart(String),
}

fn form(headers: &HeaderMap) -> Option<Form> {
    let kind = headers.get(header::CONTENT_TYPE)?.to_str().ok()?;
    if let Ok(boundary) = multer::parse_boundary(kind) {
        return Some(Form::Multipart(boundary));
    }
    let kind = kind.split_once(';').map_or(kind, |(kind, _)| kind).trim();
    if kind.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
        return Some(Form::Arguments);
    }
    kind.eq_ignore_ascii_case("application/json").then_some(Form::Json)
}

/// The key that a body has under `name`. A form has arguments, as a query has, or parts; of JSON, the members of an object count.
pub fn find<'a>(headers: &HeaderMap, body: &'a Bytes, name: &str) -> Said<Cow<'a, str>> {
    match form(headers) {
        Some(Form::Arguments) => only(arguments(body, name)),
        Some(Form::Json) => match object(body).and_then(|mut object| object.remove(name)) {
            Some(Value::String(key)) => only([Cow::Owned(key)].into_iter()),
            _ => Said::Nothing,
        },
        Some(Form::Multipart(boundary)) => match multipart::parts(body, &boundary) {
            Some(parts) => only(parts.into_iter().filter_map(|part| part.value_of(name).map(Cow::Owned))),
            None => Said::Nothing,
        },
        None => Said::Nothing,
    }
}

/// The body without what is called by one of `names`; `None` if nothing is.
pub fn without(headers: &HeaderMap, body: &Bytes, names: &[String]) -> Option<Bytes> {
    match form(headers)? {
        Form::Arguments => match without_arguments(std::str::from_utf8(body).ok()?, names) {
            Cow::Owned(without) => Some(without.into()),
            Cow::Borrowed(_) => None,
        },
        Form::Json => {
            let mut object = object(body)?;
            let before = object.len();
            object.retain(|name, _| !names.contains(name));
            (object.len() < before).then(|| Value::Object(object).to_string().into())
        }
        Form::Multipart(boundary) => {
            let mut parts = multipart::parts(body, &boundary)?;
            let before = parts.len();
            parts.retain(|part| part.name().is_none_or(|name| !names.iter().any(|held| held == name)));
            (parts.len() < before).then(|| multipart::body(&parts, &boundary))
        }
    }
}

fn object(body: &[u8]) -> Option<Map<String, Value>> {
    serde_json::from_slice(body).ok()
}
