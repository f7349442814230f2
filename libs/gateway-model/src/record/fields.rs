//! Reads the fields of one JSON object, notes every fault with its path, and refuses what nobody asked for.
//!
//! A record asks for its fields by name, in order; [`Fields::finish`] then refuses the rest. A reader always
//! returns a value: after a fault it is a placeholder, and the whole entity is dropped because errors were noted.

use std::collections::BTreeMap;
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

/// What the passwords of an entity are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Passwords {
    /// Passwords, whatever they look like.
    Plain,
    /// Hashes.
    Hashed,
    /// Hashes where they have the form in which the API shows one, else passwords: what was read can be sent back.
    ByForm,
}

/// The rule that a text must keep; the error continues "… must".
pub(crate) type Rule = fn(&str) -> Result<(), String>;

/// The fields of one object.
pub(crate) struct Fields<'a> {
    map: &'a Map<String, Value>,
    /// Path of the object, with a trailing dot unless it is the root.
    prefix: String,
    source: Source,
    passwords: Passwords,
    /// Names asked for so far.
    known: Vec<&'static str>,
    /// Names among them that are refused when set.
    refused: Vec<&'static str>,
    /// Names among them whose value is an empty list.
    empty: Vec<&'static str>,
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
        let prefix = prefix.to_owned();
        Fields {
            map,
            prefix,
            source,
            passwords: Passwords::ByForm,
            known,
            refused,
            empty: Vec::new(),
            errors,
        }
    }

    /// The fields that were asked for and hold an empty list. Clients tell it from null: Terraform finds a difference for ever where it sends
    /// the one and is shown the other.
    pub(crate) fn empty_lists(&mut self) -> Vec<&'static str> {
        std::mem::take(&mut self.empty)
    }

    /// The same fields, whose passwords are what `passwords` says.
    pub(crate) fn with_passwords(self, passwords: Passwords) -> Fields<'a> {
        Fields { passwords, ..self }
    }

    pub(crate) fn passwords(&self) -> Passwords {
        self.passwords
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
        let value = self.map.get(name).filter(|value| !value.is_null());
        if value.and_then(Value::as_array).is_some_and(Vec::is_empty) {
            self.empty.push(name);
        }
        value
    }

    /// A field of the same object as it stands there, whether or not it is right.
    pub(crate) fn given(&self, name: &str) -> Option<&'a Value> {
        self.map.get(name).filter(|value| !value.is_null())
    }

    /// Whether the field is there and not null.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.map.get(name).is_some_and(|value| !value.is_null())
    }

    /// Whether the field is there, and null.
    pub(crate) fn is_null(&self, name: &str) -> bool {
        self.map.get(name).is_some_and(Value::is_null)
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

    /// A text that keeps `rule` and, unless it is stored already, also `for_new`.
    pub(crate) fn new_text(
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

    /// Notes it if the field is not there. `remedy` ends the message "is required: …".
    pub(crate) fn require(&mut self, name: &'static str, remedy: &str) {
        if !self.has(name) {
            self.skip(name);
            self.fail(name, format!("is required: {remedy}"));
        }
    }

    /// Whether the field holds a text that can only be a reference to a vault.
    pub(crate) fn holds_reference(&self, name: &str) -> bool {
        self.map.get(name).and_then(Value::as_str).is_some_and(|text| text.starts_with(rules::VAULT_SCHEME))
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

    /// True or false; `None` when absent.
    pub(crate) fn optional_boolean(&mut self, name: &'static str) -> Option<bool> {
        let value = self.take(name)?;
        if !value.is_boolean() {
            self.fail(name, format!("must be true or false, not {}", shape(value)));
        }
        value.as_bool()
    }

    /// A whole number within `range`; `None` when absent.
    pub(crate) fn integer<T>(&mut self, name: &'static str, range: RangeInclusive<T>) -> Option<T>
    where
        T: Copy + Display + PartialOrd + TryFrom<u64>,
    {
        let value = self.take(name)?;
        let number = whole(value, &range);
        if let Err(message) = &number {
            self.fail(name, message.clone());
        }
        number.ok()
    }

    /// A list of distinct whole numbers within `range`; `None` when absent.
    pub(crate) fn integers(
        &mut self,
        name: &'static str,
        entries_max: usize,
        range: &RangeInclusive<u16>,
    ) -> Option<Vec<u16>> {
        let values = match self.take(name)? {
            Value::Array(values) if values.len() <= entries_max => values,
            _ => {
                self.fail(name, format!("must be a list of at most {entries_max} whole numbers"));
                return None;
            }
        };
        let mut list = Vec::with_capacity(values.len());
        for (index, value) in values.iter().enumerate() {
            match whole(value, range) {
                Ok(number) if list.contains(&number) => {
                    self.fail(format_args!("{name}[{index}]"), "must not repeat an earlier entry: remove it");
                }
                Ok(number) => list.push(number),
                Err(message) => self.fail(format_args!("{name}[{index}]"), message),
            }
        }
        Some(list)
    }

    /// A number from 0 to `max`, fractions included; `None` when absent.
    pub(crate) fn number(&mut self, name: &'static str, max: f64) -> Option<f64> {
        self.decimal(name, &(0.0..=max))
    }

    /// A number within `range`, fractions included; `None` when absent.
    pub(crate) fn decimal(&mut self, name: &'static str, range: &RangeInclusive<f64>) -> Option<f64> {
        let value = self.take(name)?;
        let number = value.as_f64().filter(|number| range.contains(number));
        if number.is_none() {
            let (min, max) = (range.start(), range.end());
            self.fail(name, format!("must be a number from {min} to {max}, not {}", shape(value)));
        }
        number
    }

    /// A number from `range`, fractions included, or -1; `None` when absent.
    pub(crate) fn number_or_minus_one(
        &mut self,
        name: &'static str,
        range: &RangeInclusive<f64>,
    ) -> Option<f64> {
        let value = self.take(name)?;
        let number = value.as_f64().filter(|number| *number == -1.0 || range.contains(number));
        if number.is_none() {
            let (min, max) = (range.start(), range.end());
            self.fail(name, format!("must be -1, or a number from {min} to {max}, not {}", shape(value)));
        }
        number
    }

    /// An object of texts: names keep `key`, texts keep `rule`. Absent is empty.
    pub(crate) fn text_map(
        &mut self,
        name: &'static str,
        entries_max: usize,
        key: Rule,
        rule: Rule,
    ) -> BTreeMap<String, String> {
        let mut map = BTreeMap::new();
        let Some(value) = self.take(name) else { return map };
        let Some(entries) = value.as_object().filter(|entries| entries.len() <= entries_max) else {
            self.fail(name, format!("must be an object with at most {entries_max} texts"));
            return map;
        };
        for (entry, value) in entries {
            let path = format!("{name}.{}", shown(entry).trim_matches('`'));
            match (key(entry), check_text(value, rule)) {
                (Ok(()), Ok(text)) => drop(map.insert(entry.clone(), text.to_owned())),
                (Err(message), _) => self.fail(&path, format!("has a name that must {message}")),
                (_, Err(message)) => self.fail(&path, message),
            }
        }
        map
    }

    /// A list of words of a fixed vocabulary, in which they may repeat. Absent is empty.
    pub(crate) fn word_sequence<T: Copy>(
        &mut self,
        name: &'static str,
        entries_max: usize,
        vocabulary: &[(&'static str, T)],
    ) -> Vec<T> {
        let Some(value) = self.take(name) else { return Vec::new() };
        let Some(values) = value.as_array().filter(|values| values.len() <= entries_max) else {
            self.fail(name, format!("must be a list of at most {entries_max} of {}", quoted(vocabulary)));
            return Vec::new();
        };
        let mut list = Vec::with_capacity(values.len());
        for (index, value) in values.iter().enumerate() {
            match find_word(value, vocabulary) {
                Ok(word) => list.push(word),
                Err(message) => self.fail(format_args!("{name}[{index}]"), message),
            }
        }
        list
    }

    /// An object of lists of texts: names keep `key`, texts keep `rule`. Absent is empty.
    pub(crate) fn text_lists(
        &mut self,
        name: &'static str,
        entries_max: usize,
        key: Rule,
        rule: Rule,
    ) -> BTreeMap<String, Vec<String>> {
        let mut lists = BTreeMap::new();
        let Some(value) = self.take(name) else { return lists };
        let Some(entries) = value.as_object().filter(|entries| entries.len() <= entries_max) else {
            self.fail(name, format!("must be an object with at most {entries_max} lists of texts"));
            return lists;
        };
        for (entry, value) in entries {
            let path = format!("{name}.{}", shown(entry).trim_matches('`'));
            if let Err(message) = key(entry) {
                self.fail(&path, format!("has a name that must {message}"));
                continue;
            }
            let texts = value.as_array().filter(|texts| (1..=entries_max).contains(&texts.len()));
            let Some(texts) = texts else {
                self.fail(&path, format!("must be a list of one to {entries_max} texts"));
                continue;
            };
            let mut list = Vec::with_capacity(texts.len());
            for (index, text) in texts.iter().enumerate() {
                match check_text(text, rule) {
                    Ok(text) => list.push(text.to_owned()),
                    Err(message) => self.fail(format_args!("{path}[{index}]"), message),
                }
            }
            lists.insert(entry.clone(), list);
        }
        lists
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

    /// A list of at most `entries_max` objects.
    pub(crate) fn objects<T>(
        &mut self,
        name: &'static str,
        entries_max: usize,
        read: impl Fn(&mut Fields<'_>) -> T,
    ) -> Vec<T> {
        let list = match self.take(name) {
            None => return Vec::new(),
            Some(Value::Array(list)) if list.len() <= entries_max => list,
            Some(Value::Array(list)) => {
                self.fail(name, format!("must have at most {entries_max} entries, not {}", list.len()));
                return Vec::new();
            }
            Some(value) => {
                self.fail(name, format!("must be a list of objects, not {}", shape(value)));
                return Vec::new();
            }
        };
        let mut records = Vec::with_capacity(list.len());
        for (index, value) in list.iter().enumerate() {
            let Value::Object(map) = value else {
                self.fail(format!("{name}[{index}]"), format!("must be an object, not {}", shape(value)));
                continue;
            };
            records.push(self.inner(map, format_args!("{name}[{index}]"), &read));
        }
        records
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
        self.inner(map, name, read)
    }

    /// Objects by name, each read field by field; names keep `key`. Absent is empty.
    pub(crate) fn named_objects<T>(
        &mut self,
        name: &'static str,
        entries_max: usize,
        key: Rule,
        mut read: impl FnMut(&mut Fields<'_>) -> T,
    ) -> BTreeMap<String, T> {
        let mut objects = BTreeMap::new();
        let Some(value) = self.take(name) else { return objects };
        let Some(entries) = value.as_object().filter(|entries| entries.len() <= entries_max) else {
            self.fail(name, format!("must be an object with at most {entries_max} objects"));
            return objects;
        };
        for (entry, value) in entries {
            let path = format!("{name}.{}", shown(entry).trim_matches('`'));
            if let Err(message) = key(entry) {
                self.fail(&path, format!("has a name that must {message}"));
            } else if let Some(map) = value.as_object() {
                objects.insert(entry.clone(), self.inner(map, path, &mut read));
            } else {
                self.fail(&path, format!("must be an object, not {}", shape(value)));
            }
        }
        objects
    }

    /// Reads an object that is at `name`.
    fn inner<T>(
        &mut self,
        map: &Map<String, Value>,
        name: impl Display,
        read: impl FnOnce(&mut Fields<'_>) -> T,
    ) -> T {
        let mut inner = Fields {
            map,
            prefix: format!("{}{name}.", self.prefix),
            source: self.source,
            passwords: self.passwords,
            known: Vec::new(),
            refused: Vec::new(),
            empty: Vec::new(),
            errors: self.errors,
        };
        let value = read(&mut inner);
        inner.finish();
        value
    }

    /// A field of Kong's that has no effect here: refused unless null, empty or `neutral`, the value that changes nothing.
    pub(crate) fn unsupported(&mut self, name: &'static str, neutral: Option<&Value>, remedy: &str) {
        self.refused.push(name);
        let Some(value) = self.take(name) else { return };
        let empty = match value {
            // Shown as the list that it is, which the neutral value is not.
            Value::Array(list) => list.is_empty() && neutral.is_none_or(Value::is_array),
            Value::Object(map) => map.is_empty(),
            _ => false,
        };
        if !empty && neutral.map(without_nulls) != Some(without_nulls(value)) {
            self.fail(name, format!("is not supported: {remedy}"));
        }
    }

    /// What `read` makes of an empty object: a placeholder, for a value about which there is an error already.
    pub(crate) fn placeholder<T>(&self, read: impl FnOnce(&mut Fields<'_>) -> T) -> T {
        let (empty, mut errors) = (Map::new(), Invalid::default());
        read(&mut Fields::new(&empty, "", self.source, &mut errors))
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

/// The value without the fields that say nothing.
fn without_nulls(value: &Value) -> Value {
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

fn whole<T>(value: &Value, range: &RangeInclusive<T>) -> Result<T, String>
where
    T: Copy + Display + PartialOrd + TryFrom<u64>,
{
    let number = value.as_u64().and_then(|number| T::try_from(number).ok());
    number.filter(|number| range.contains(number)).ok_or_else(|| {
        let (low, high) = (range.start(), range.end());
        format!("must be a whole number from {low} to {high}, not {}", shape(value))
    })
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
