//! Single JSON values: what they are read as, and how messages name them.

use std::fmt::Display;
use std::ops::RangeInclusive;

use serde_json::Value;
use uuid::Uuid;

use super::Source;
use crate::tree::shown;
use crate::{Kind, Target, rules};

/// The value without the fields that say nothing.
pub(super) fn without_nulls(value: &Value) -> Value {
    match value {
        Value::Array(list) => list.iter().map(without_nulls).collect(),
        Value::Object(map) => {
            let told = map.iter().filter(|(_, value)| !value.is_null());
            told.map(|(name, value)| (name.clone(), without_nulls(value))).collect()
        }
        value => value.clone(),
    }
}

/// An entity's `id`: absent, null or a UUID.
pub(crate) fn read_id(value: Option<&Value>) -> Result<Option<Uuid>, String> {
    match value {
        None | Some(Value::Null) => Ok(None),
        Some(value) => match value.as_str().and_then(rules::uuid) {
            Some(id) => Ok(Some(id)),
            None => Err(format!(
                "must be a UUID such as 0192d3a4-5b6c-7d8e-9f00-112233445566, not {}",
                shape(value)
            )),
        },
    }
}

pub(super) fn check_text(
    value: &Value,
    mut rule: impl FnMut(&str) -> Result<(), String>,
) -> Result<&str, String> {
    match value {
        Value::String(text) => {
            rule(text).map(|()| text.as_str()).map_err(|message| format!("must {message}"))
        }
        // The value is not repeated: it may be a key.
        Value::Number(_) | Value::Bool(_) => Err("must be a text: put it in quotes".to_owned()),
        _ => Err(format!("must be a text, not {}", shape(value))),
    }
}

pub(super) fn whole<T>(value: &Value, range: &RangeInclusive<T>) -> Result<T, String>
where
    T: Copy + Display + PartialOrd + TryFrom<u64>,
{
    let number = value.as_u64().and_then(|number| T::try_from(number).ok());
    number.filter(|number| range.contains(number)).ok_or_else(|| {
        let (low, high) = (range.start(), range.end());
        format!("must be a whole number from {low} to {high}, not {}", shape(value))
    })
}

pub(super) fn find_word<T: Copy>(value: &Value, vocabulary: &[(&'static str, T)]) -> Result<T, String> {
    let word = value.as_str();
    match vocabulary.iter().find(|(name, _)| Some(*name) == word) {
        Some((_, meaning)) => Ok(*meaning),
        None => Err(format!("must be one of {}, not {}", quoted(vocabulary), shape(value))),
    }
}

pub(super) fn quoted<T>(vocabulary: &[(&'static str, T)]) -> String {
    let words: Vec<String> = vocabulary.iter().map(|(name, _)| format!("`{name}`")).collect();
    words.join(", ")
}

/// Reads a reference: `{"id": …}`; from users also `{"name": …}`, and in files also the bare name or id.
pub(super) fn read_target(value: &Value, kind: Kind, source: Source) -> Result<Target, String> {
    let name_field = kind.name_field();
    let by_name = |name: &str| {
        rules::reference_name(name).map_err(|message| format!("must {message}"))?;
        Ok(Target::Name(name.to_owned()))
    };
    let usage = || match (source, name_field) {
        (Source::Wire, _) => "must be {\"id\": \"<uuid>\"}".to_owned(),
        (Source::Api, Some(name)) => {
            format!("must be {{\"id\": \"<uuid>\"}} or {{\"{name}\": \"…\"}} of a {}", kind.label())
        }
        (Source::Api, None) => format!("must be {{\"id\": \"<uuid>\"}} of a {}", kind.label()),
        (Source::File, Some(name)) => format!("must be the {name} or id of a {}", kind.label()),
        (Source::File, None) => format!("must be the id of a {}", kind.label()),
    };
    match value {
        Value::String(text) if source == Source::File => match (rules::uuid(text), name_field) {
            (Some(id), _) => Ok(Target::Id(id)),
            (None, Some(_)) => by_name(text),
            (None, None) => Err(usage()),
        },
        Value::Object(map) => {
            // Kong's clients repeat the name beside the id. The id says which entity is meant.
            let repeats_name = |field: &str| source != Source::Wire && Some(field) == name_field;
            let has_id = map.get("id").is_some_and(|id| !id.is_null());
            let beside_id = |field: &str| has_id && repeats_name(field);
            let mut fields = map.iter().filter(|(field, value)| !(value.is_null() || beside_id(field)));
            match (fields.next(), fields.next()) {
                (Some((field, Value::String(text))), None) if field == "id" => rules::uuid(text)
                    .map(Target::Id)
                    .ok_or_else(|| format!("holds an id that is not a UUID: {}", usage())),
                (Some((field, Value::String(text))), None) if repeats_name(field) => by_name(text),
                _ => Err(usage()),
            }
        }
        _ => Err(usage()),
    }
}

/// A value as a message names it. Texts are shortened: they may be long, and nobody needs them whole.
pub(super) fn shape(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(value) => value.to_string(),
        Value::Number(number) => number.to_string(),
        Value::String(text) => shown(text),
        Value::Array(_) => "a list".to_owned(),
        Value::Object(_) => "an object".to_owned(),
    }
}
