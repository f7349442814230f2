//! Reads the fields of one JSON object, notes every fault with its path, and refuses what nobody asked for.
//!
//! Each kind's `read` asks for its fields by name, in order; [`Fields::finish`] then refuses the rest. A reader always
//! returns a value: after a fault it is a placeholder, and the whole entity is dropped because errors were noted.

use std::fmt::Display;
use std::ops::RangeInclusive;

use serde_json::{Map, Value};
use uuid::Uuid;

use crate::tree::shown;
use crate::{Invalid, Kind, Target, rules};

/// Where an entity is read from: the forms differ in references, secrets and bookkeeping fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// A request to the API.
    Api,
    /// A declarative file.
    File,
    /// The database or the control plane.
    Wire,
}

/// The rule that a text must keep; the error continues "… must".
pub(crate) type Rule = fn(&str) -> Result<(), String>;

/// The fields of one object.
pub(crate) struct Fields<'a> {
    map: &'a Map<String, Value>,
    /// Path of the object, with a trailing dot unless it is the root.
    prefix: String,
    source: Source,
    /// Names asked for so far.
    known: Vec<&'static str>,
    /// Names among them that are refused when set.
    refused: Vec<&'static str>,
    errors: &'a mut Invalid,
}

impl<'a> Fields<'a> {
    /// The fields of an entity. `prefix` is its path in the document with a trailing dot, or empty.
    pub(crate) fn new(
        map: &'a Map<String, Value>,
        prefix: &str,
        source: Source,
        errors: &'a mut Invalid,
    ) -> Fields<'a> {
        // Bookkeeping that users send back as they got it; the caller keeps its own.
        let known = if source == Source::Wire { vec![] } else { vec!["id", "created_at", "updated_at"] };
        let refused = known.clone();
        Fields { map, prefix: prefix.to_owned(), source, known, refused, errors }
    }

    pub(crate) fn source(&self) -> Source {
        self.source
    }

    /// Notes a fault of the field `name`, which may be a path such as `hosts[2]`.
    pub(crate) fn fail(&mut self, name: impl Display, message: impl Into<String>) {
        self.errors.push(format!("{}{name}", self.prefix), message);
    }

    /// The field's value; null counts as absent.
    fn take(&mut self, name: &'static str) -> Option<&'a Value> {
        if !self.known.contains(&name) {
            self.known.push(name);
        }
        self.map.get(name).filter(|value| !value.is_null())
    }

    /// Whether the field is there and not null.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.map.get(name).is_some_and(|value| !value.is_null())
    }

    /// Whether the field says nothing: absent, null or an empty list.
    pub(crate) fn is_unset(&self, name: &str) -> bool {
        !self.has(name) || self.map.get(name).and_then(Value::as_array).is_some_and(Vec::is_empty)
    }

    /// A text that keeps `rule`.
    pub(crate) fn text(&mut self, name: &'static str, rule: Rule) -> Option<String> {
        let value = self.take(name)?;
        match check_text(value, rule) {
            Ok(text) => Some(text.to_owned()),
            Err(message) => {
                self.fail(name, message);
                None
            }
        }
    }

    /// What an entity is called. A new name also keeps the rule for all names (`ids::name`); one that is stored already is read as
    /// it is.
    pub(crate) fn name(&mut self, name: &'static str, rule: Rule) -> Option<String> {
        self.new_text(name, rule, ids::name::check)
    }

    /// A unique text that never stands in a URL. A new one holds only what can be seen.
    pub(crate) fn foreign_id(&mut self, name: &'static str, rule: Rule) -> Option<String> {
        self.new_text(name, rule, ids::name::check_visible)
    }

    fn new_text(
        &mut self,
        name: &'static str,
        rule: Rule,
        for_new: fn(&str) -> Result<(), ids::name::UnfitName>,
    ) -> Option<String> {
        let text = self.text(name, rule)?;
        if self.source != Source::Wire
            && let Err(unfit) = for_new(&text)
        {
            self.fail(name, format!("must {unfit}"));
        }
        Some(text)
    }

    /// A text that must be there. `remedy` ends the message "is required: …".
    pub(crate) fn required_text(&mut self, name: &'static str, rule: Rule, remedy: &str) -> String {
        if !self.has(name) {
            self.known.push(name);
            self.fail(name, format!("is required: {remedy}"));
        }
        self.text(name, rule).unwrap_or_default()
    }

    /// A list of distinct texts that each keep `rule`; absent is empty.
    pub(crate) fn list(
        &mut self,
        name: &'static str,
        entries_max: usize,
        mut rule: impl FnMut(&str) -> Result<(), String>,
    ) -> Vec<String> {
        let Some(value) = self.take(name) else { return Vec::new() };
        let Value::Array(values) = value else {
            self.fail(name, format!("must be a list of texts, not {}", shape(value)));
            return Vec::new();
        };
        if values.len() > entries_max {
            self.fail(name, format!("must have at most {entries_max} entries, not {}", values.len()));
            return Vec::new();
        }
        let mut list: Vec<String> = Vec::with_capacity(values.len());
        for (index, value) in values.iter().enumerate() {
            match check_text(value, &mut rule) {
                Ok(text) if list.iter().any(|earlier| earlier == text) => {
                    self.fail(format_args!("{name}[{index}]"), "must not repeat an earlier entry: remove it");
                }
                Ok(text) => list.push(text.to_owned()),
                Err(message) => self.fail(format_args!("{name}[{index}]"), message),
            }
        }
        list
    }

    /// The tags of an entity.
    pub(crate) fn tags(&mut self) -> Vec<String> {
        self.list("tags", rules::TAGS_MAX, rules::tag)
    }

    /// A list of words of a fixed vocabulary, for example protocols. `default` when absent; empty is refused.
    pub(crate) fn words<T: Copy + PartialEq>(
        &mut self,
        name: &'static str,
        default: &[T],
        vocabulary: &[(&'static str, T)],
    ) -> Vec<T> {
        let Some(value) = self.take(name) else { return default.to_vec() };
        let Some(values) = value.as_array().filter(|values| !values.is_empty()) else {
            self.fail(name, format!("must be a list with at least one of {}", quoted(vocabulary)));
            return Vec::new();
        };
        let mut list = Vec::new();
        for (index, value) in values.iter().enumerate() {
            match find_word(value, vocabulary) {
                Ok(word) if list.contains(&word) => {
                    self.fail(format_args!("{name}[{index}]"), "must not repeat an earlier entry: remove it");
                }
                Ok(word) => list.push(word),
                Err(message) => self.fail(format_args!("{name}[{index}]"), message),
            }
        }
        list
    }

    /// One word of a fixed vocabulary; `default` when absent.
    pub(crate) fn word<T: Copy>(
        &mut self,
        name: &'static str,
        default: T,
        vocabulary: &[(&'static str, T)],
    ) -> T {
        let Some(value) = self.take(name) else { return default };
        find_word(value, vocabulary).unwrap_or_else(|message| {
            self.fail(name, message);
            default
        })
    }

    pub(crate) fn boolean(&mut self, name: &'static str, default: bool) -> bool {
        self.optional_boolean(name).unwrap_or(default)
    }

    pub(crate) fn optional_boolean(&mut self, name: &'static str) -> Option<bool> {
        let value = self.take(name)?;
        if !value.is_boolean() {
            self.fail(name, format!("must be true or false, not {}", shape(value)));
        }
        value.as_bool()
    }

    /// A whole number within `range`; `default` when absent.
    pub(crate) fn integer<T>(&mut self, name: &'static str, default: T, range: RangeInclusive<T>) -> T
    where
        T: Copy + Display + PartialOrd + TryFrom<u64>,
    {
        let Some(value) = self.take(name) else { return default };
        let number = value.as_u64().and_then(|number| T::try_from(number).ok());
        match number {
            Some(number) if range.contains(&number) => number,
            _ => {
                let (low, high) = (range.start(), range.end());
                self.fail(name, format!("must be a whole number from {low} to {high}, not {}", shape(value)));
                default
            }
        }
    }

    /// One of a few whole numbers; `default` when absent.
    pub(crate) fn integer_of(&mut self, name: &'static str, default: u16, choices: &[u16]) -> u16 {
        let Some(value) = self.take(name) else { return default };
        match choices.iter().find(|choice| value.as_u64() == Some(u64::from(**choice))) {
            Some(choice) => *choice,
            None => {
                let choices: Vec<String> = choices.iter().map(u16::to_string).collect();
                self.fail(name, format!("must be one of {}, not {}", choices.join(", "), shape(value)));
                default
            }
        }
    }

    /// A reference to an entity of `kind`.
    pub(crate) fn reference(&mut self, name: &'static str, kind: Kind) -> Option<Target> {
        let value = self.take(name)?;
        match read_target(value, kind, self.source) {
            Ok(target) => Some(target),
            Err(message) => {
                self.fail(name, message);
                None
            }
        }
    }

    /// An object, read field by field; absent is an empty object.
    pub(crate) fn object<T>(&mut self, name: &'static str, read: impl FnOnce(&mut Fields<'_>) -> T) -> T {
        let empty = Map::new();
        let map = match self.take(name) {
            None => &empty,
            Some(Value::Object(map)) => map,
            Some(value) => {
                self.fail(name, format!("must be an object, not {}", shape(value)));
                &empty
            }
        };
        let mut inner = Fields {
            map,
            prefix: format!("{}{name}.", self.prefix),
            source: self.source,
            known: Vec::new(),
            refused: Vec::new(),
            errors: self.errors,
        };
        let value = read(&mut inner);
        inner.finish();
        value
    }

    /// A field of Kong's that has no effect here: refused unless null, empty or `neutral`, the value that changes nothing.
    pub(crate) fn unsupported(&mut self, name: &'static str, neutral: Option<Value>, remedy: &str) {
        self.refused.push(name);
        let Some(value) = self.take(name) else { return };
        let empty = match value {
            Value::Array(list) => list.is_empty(),
            Value::Object(map) => map.is_empty(),
            _ => false,
        };
        if !empty && neutral.as_ref() != Some(value) {
            self.fail(name, format!("is not supported: {remedy}"));
        }
    }

    /// Lets a field pass unread.
    pub(crate) fn skip(&mut self, name: &'static str) {
        self.known.push(name);
    }

    /// Refuses every field that was not asked for.
    pub(crate) fn finish(self) {
        if self.map.keys().all(|name| self.known.contains(&name.as_str())) {
            return;
        }
        let mut offered: Vec<&str> =
            self.known.iter().copied().filter(|name| !self.refused.contains(name)).collect();
        offered.sort_unstable();
        for name in self.map.keys().filter(|name| !self.known.contains(&name.as_str())) {
            let path = format!("{}{}", self.prefix, shown(name).trim_matches('`'));
            self.errors
                .push(path, format!("is not a known field: remove it or use one of {}", offered.join(", ")));
        }
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

fn check_text(value: &Value, mut rule: impl FnMut(&str) -> Result<(), String>) -> Result<&str, String> {
    match value {
        Value::String(text) => {
            rule(text).map(|()| text.as_str()).map_err(|message| format!("must {message}"))
        }
        // The value is not repeated: it may be a key.
        Value::Number(_) | Value::Bool(_) => Err("must be a text: put it in quotes".to_owned()),
        _ => Err(format!("must be a text, not {}", shape(value))),
    }
}

fn find_word<T: Copy>(value: &Value, vocabulary: &[(&'static str, T)]) -> Result<T, String> {
    let word = value.as_str();
    match vocabulary.iter().find(|(name, _)| Some(*name) == word) {
        Some((_, meaning)) => Ok(*meaning),
        None => Err(format!("must be one of {}, not {}", quoted(vocabulary), shape(value))),
    }
}

fn quoted<T>(vocabulary: &[(&'static str, T)]) -> String {
    let words: Vec<String> = vocabulary.iter().map(|(name, _)| format!("`{name}`")).collect();
    words.join(", ")
}

/// Reads a reference: `{"id": …}`; from users also `{"name": …}`, and in files also the bare name or id.
fn read_target(value: &Value, kind: Kind, source: Source) -> Result<Target, String> {
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
fn shape(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(value) => value.to_string(),
        Value::Number(number) => number.to_string(),
        Value::String(text) => shown(text),
        Value::Array(_) => "a list".to_owned(),
        Value::Object(_) => "an object".to_owned(),
    }
}
