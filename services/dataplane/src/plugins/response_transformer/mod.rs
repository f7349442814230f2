//! response-transformer: changes an answer before the client gets it: headers, and bodies that are JSON objects.
//!
//! An upstream that is not asked for a compressed body sends none: where bodies are changed, `Accept-Encoding` does not reach it. A body that is
//! encoded all the same, too large, or no JSON object passes unchanged, and is counted.

#[cfg(test)]
mod tests;

use std::sync::Arc;

use bytes::Bytes;
use gateway_model::plugin::{
    response_transformer::{Config, JsonType},
    transformer::pair,
};
use http::{HeaderValue, header};
use serde_json::{Number, Value};

use super::{
    BodyFilter, Compiled, Effects, Exchange, Make, NotExecutable, Phases, Plugin, Reply, Verdict,
    transforming::{BODY_MAX, ContentType, Fields, Json, Object, to_json, unchanged},
};
use crate::store::StoreError;

const NAME: &str = "response-transformer";

/// The compiled plugin.
#[derive(Debug)]
pub struct ResponseTransformer {
    headers: Operations<HeaderValue>,
    body: Arc<Operations<Json>>,
}

/// What is changed, in this order.
#[derive(Debug)]
struct Operations<V> {
    remove: Vec<String>,
    rename: Vec<(String, String)>,
    replace: Vec<(String, V)>,
    add: Vec<(String, V)>,
    append: Vec<(String, V)>,
}

impl<V: Clone> Operations<V> {
    fn is_empty(&self) -> bool {
        self.remove.is_empty()
            && self.rename.is_empty()
            && self.replace.is_empty()
            && self.add.is_empty()
            && self.append.is_empty()
    }

    fn apply(&self, fields: &mut impl Fields<Value = V>) {
        self.remove.iter().for_each(|name| fields.remove(name));
        self.rename.iter().for_each(|(from, to)| fields.rename(from, to));
        self.replace.iter().for_each(|(name, value)| fields.replace(name, value.clone()));
        self.add.iter().for_each(|(name, value)| fields.add(name, value.clone()));
        self.append.iter().for_each(|(name, value)| fields.append(name, value.clone()));
    }
}

impl Compiled for ResponseTransformer {
    type Config = Config;
    const PRIORITY: u32 = 800;
    const PHASES: Phases = Phases::BOTH;

    /// An error if a value cannot stand in a header.
    fn new(config: &Config, _: &Make<'_>) -> Result<Self, NotExecutable> {
        let Config { remove, rename, replace, add, append } = config;
        let headers = Operations {
            remove: remove.headers.clone(),
            rename: renamed(&rename.headers),
            replace: headers("replace.headers", &replace.headers)?,
            add: headers("add.headers", &add.headers)?,
            append: headers("append.headers", &append.headers)?,
        };
        let body = Operations {
            remove: remove.json.clone(),
            rename: renamed(&rename.json),
            replace: fields(&replace.json, &replace.json_types),
            add: fields(&add.json, &add.json_types),
            append: fields(&append.json, &append.json_types),
        };
        Ok(Self { headers, body: Arc::new(body) })
    }
}

fn renamed(entries: &[String]) -> Vec<(String, String)> {
    let owned = |(from, to): (&str, &str)| (from.to_owned(), to.trim().to_owned());
    entries.iter().map(|entry| owned(pair(entry))).collect()
}

fn headers(field: &str, entries: &[String]) -> Result<Vec<(String, HeaderValue)>, NotExecutable> {
    // Without a value nothing happens, as in Kong.
    let pairs = entries.iter().map(|entry| pair(entry)).filter(|(_, value)| !value.is_empty());
    pairs
        .map(|(name, value)| {
            let value = HeaderValue::from_str(value.trim());
            let value = value
                .map_err(|_| NotExecutable(format!("{field}: {name} has a value that no header can have")))?;
            Ok((name.to_owned(), value))
        })
        .collect()
}

/// The values as JSON, each of the type in its place. Of those that are none of their type nothing comes, as in Kong.
fn fields(entries: &[String], types: &[JsonType]) -> Vec<(String, Json)> {
    let value = |(index, entry): (usize, &String)| {
        let (name, value) = pair(entry);
        let value = match types.get(index) {
            None | Some(JsonType::String) => Value::from(value),
            Some(JsonType::Boolean) => Value::from(value == "true"),
            Some(JsonType::Number) => Value::from(value.trim().parse::<Number>().ok()?),
        };
        Some((name.to_owned(), to_json(&value)))
    };
    entries.iter().enumerate().filter_map(value).collect()
}

impl Plugin for ResponseTransformer {
    fn request(&self, exchange: &mut Exchange<'_, '_>) -> Result<Verdict, StoreError> {
        if !self.body.is_empty() {
            exchange.headers.remove(header::ACCEPT_ENCODING);
        }
        Ok(Verdict::Pass)
    }

    fn response(&self, _: &mut Effects, reply: &mut Reply<'_>) {
        let is_json = ContentType::of(reply.headers) == Some(ContentType::Json);
        self.headers.apply(reply.headers);
        if self.body.is_empty() || !is_json {
            return;
        }
        if reply.headers.get(header::CONTENT_ENCODING).is_some_and(|coding| coding != "identity") {
            unchanged(NAME, "encoded");
        } else if reply.length.is_some_and(|length| length > BODY_MAX as u64) {
            unchanged(NAME, "too-large");
        } else {
            let operations = self.body.clone();
            reply.filter_body(Box::new(Filter { operations, body: Vec::new(), passes: false }));
        }
    }
}

/// Keeps a body until it is whole.
struct Filter {
    operations: Arc<Operations<Json>>,
    body: Vec<u8>,
    /// It has become too large.
    passes: bool,
}

impl BodyFilter for Filter {
    fn data(&mut self, data: Bytes) -> Bytes {
        if self.passes {
            return data;
        }
        self.body.extend_from_slice(&data);
        if self.body.len() <= BODY_MAX {
            return Bytes::new();
        }
        self.passes = true;
        unchanged(NAME, "too-large");
        std::mem::take(&mut self.body).into()
    }

    fn end(&mut self) -> Bytes {
        let body = std::mem::take(&mut self.body);
        if self.passes || body.is_empty() {
            return body.into();
        }
        let Some(mut object) = Object::parse(&body) else {
            unchanged(NAME, "no-json-object");
            return body.into();
        };
        self.operations.apply(&mut object);
        object.to_bytes().into()
    }
}
