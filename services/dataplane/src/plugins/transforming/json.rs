//! JSON objects. A value that nobody changes stays as it came, whatever number or text it is.

use std::collections::BTreeMap;

use serde_json::{Value, value::RawValue};

use super::Fields;

/// A value, as JSON.
pub type Json = Box<RawValue>;

/// An object. Of two fields of one name the last counts.
#[derive(Debug)]
pub struct Object(BTreeMap<String, Json>);

impl Object {
    /// Reads one; `None` if the text is none.
    pub fn parse(text: &[u8]) -> Option<Self> {
        serde_json::from_slice(text).ok().map(Self)
    }

    /// One without fields.
    pub fn empty() -> Self {
        Self(BTreeMap::new())
    }

    /// As text.
    pub fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(&self.0).unwrap_or_default()
    }

    /// A text as JSON.
    pub fn text(text: &str) -> Json {
        to_json(&Value::from(text))
    }

    /// Whether there is something that Lua takes for true.
    fn has(&self, name: &str) -> bool {
        self.0.get(name).is_some_and(|value| value.get() != "false")
    }
}

/// A value as JSON.
pub fn to_json(value: &Value) -> Json {
    // A value of JSON is JSON.
    serde_json::value::to_raw_value(value).unwrap_or_default()
}

impl Fields for Object {
    type Value = Json;

    fn remove(&mut self, name: &str) {
        self.0.remove(name);
    }

    fn rename(&mut self, from: &str, to: &str) {
        if let Some(value) = self.0.remove(from) {
            self.0.insert(to.to_owned(), value);
        }
    }

    fn replace(&mut self, name: &str, value: Json) {
        if self.has(name) {
            self.0.insert(name.to_owned(), value);
        }
    }

    fn add(&mut self, name: &str, value: Json) {
        if !self.has(name) {
            self.0.insert(name.to_owned(), value);
        }
    }

    /// As in Kong, a text becomes a list of both, a list gets one more, and anything else gives way to a list of the new one. An object, which
    /// has no place for it, stays.
    fn append(&mut self, name: &str, value: Json) {
        let held = self.0.get(name).map_or("null", |held| held.get());
        let list = match (held.as_bytes().first(), held.strip_suffix(']')) {
            (Some(b'{'), _) => return,
            (Some(b'"'), _) => format!("[{held},{value}]"),
            (Some(b'['), Some(list)) if list.trim_end() != "[" => format!("{list},{value}]"),
            _ => format!("[{value}]"),
        };
        if let Ok(list) = RawValue::from_string(list) {
            self.0.insert(name.to_owned(), list);
        }
    }
}
