//! Reads JSON into a [`Value`], strictly and within limits.
//!
//! What a plain `Value` would let pass is refused here with a position: a name that occurs twice in an object, and more values or text
//! than are allowed.

use std::fmt;

use serde::Deserializer;
use serde::de::{DeserializeSeed, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use crate::Invalid;

/// Values in one document.
pub(crate) const NODES_MAX: usize = 4_000_000;

/// Bytes of text in one document.
pub(crate) const TEXT_BYTES_MAX: usize = 64 * 1024 * 1024;

/// The same of one entity, where the document itself is not held.
const ENTITY_NODES_MAX: usize = 250_000;
const ENTITY_TEXT_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Parses a JSON text. Errors carry line and column.
pub(crate) fn from_json(text: &[u8]) -> Result<Value, Invalid> {
    let mut budget = Budget::new();
    let mut deserializer = serde_json::Deserializer::from_slice(text);
    Tree { budget: &mut budget }
        .deserialize(&mut deserializer)
        .and_then(|value| deserializer.end().map(|()| value))
        .map_err(|error| Invalid::one("", format!("the body is not valid JSON: {error}")))
}

/// What a document may still expand to.
pub(crate) struct Budget {
    nodes: usize,
    text_bytes: usize,
    /// Where more than that is refused.
    refusal: &'static str,
}

impl Budget {
    pub(crate) fn new() -> Budget {
        let refusal = "the document holds more than 4000000 values or 67108864 bytes of text";
        Budget { nodes: NODES_MAX, text_bytes: TEXT_BYTES_MAX, refusal }
    }

    /// For one entity of a document that is read as a stream: what a body of the API may hold.
    pub(crate) fn of_entity() -> Budget {
        let refusal = "an entity holds more than 250000 values or 4194304 bytes of text";
        Budget { nodes: ENTITY_NODES_MAX, text_bytes: ENTITY_TEXT_BYTES_MAX, refusal }
    }

    fn spend<E: Error>(&mut self, text_bytes: usize) -> Result<(), E> {
        match (self.nodes.checked_sub(1), self.text_bytes.checked_sub(text_bytes)) {
            (Some(nodes), Some(text_bytes)) => {
                (self.nodes, self.text_bytes) = (nodes, text_bytes);
                Ok(())
            }
            _ => Err(E::custom(self.refusal)),
        }
    }
}

/// Reads one value and what is below it. Depth is bounded by the deserializer: 127 levels.
pub(crate) struct Tree<'b> {
    pub(crate) budget: &'b mut Budget,
}

impl<'de> DeserializeSeed<'de> for Tree<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Tree<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("text, a number, a boolean, null, a list or an object")
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        self.budget.spend(0)?;
        Ok(Value::Null)
    }

    fn visit_none<E: Error>(self) -> Result<Value, E> {
        self.visit_unit()
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Value, E> {
        self.budget.spend(0)?;
        Ok(Value::Bool(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Value, E> {
        self.budget.spend(0)?;
        Ok(Value::Number(value.into()))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Value, E> {
        self.budget.spend(0)?;
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        self.budget.spend(0)?;
        Number::from_f64(value).map(Value::Number).ok_or_else(|| E::custom("the number is out of range"))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Value, E> {
        self.budget.spend(value.len())?;
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E: Error>(self, value: String) -> Result<Value, E> {
        self.budget.spend(value.len())?;
        Ok(Value::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Value, A::Error> {
        self.budget.spend(0)?;
        let mut list = Vec::new();
        while let Some(value) = elements.next_element_seed(Tree { budget: self.budget })? {
            list.push(value);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        self.budget.spend(0)?;
        let mut map = Map::new();
        while let Some(key) = entries.next_key::<String>()? {
            self.budget.spend(key.len())?;
            if map.contains_key(&key) {
                return Err(A::Error::custom(format_args!("the name {} occurs twice", shown(&key))));
            }
            let value = entries.next_value_seed(Tree { budget: self.budget })?;
            map.insert(key, value);
        }
        Ok(Value::Object(map))
    }
}

/// Characters of foreign text repeated in a message.
const SHOWN_CHARS_MAX: usize = 64;

/// Foreign text, shortened and escaped for a message.
pub(crate) fn shown(text: &str) -> String {
    let mut short: String = text.chars().take(SHOWN_CHARS_MAX).flat_map(char::escape_debug).collect();
    if text.chars().nth(SHOWN_CHARS_MAX).is_some() {
        short.push('…');
    }
    format!("`{short}`")
}

#[cfg(test)]
mod tests;
