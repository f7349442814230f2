//! Reads the fields of one JSON object, notes every fault with its path, and refuses what nobody asked for.
//!
//! A record asks for its fields by name, in order; [`Fields::finish`] then refuses the rest. A reader always
//! returns a value: after a fault it is a placeholder, and the whole entity is dropped because errors were noted.

mod collections;
mod values;

use std::fmt::Display;
use std::ops::RangeInclusive;

use serde_json::{Map, Value};

pub(crate) use self::values::read_id;
use self::values::{check_text, find_word, read_target, shape, whole, without_nulls};
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

    /// A number from 0 to `max`, fractions included; `None` when absent.
    pub(crate) fn number(&mut self, name: &'static str, max: f64) -> Option<f64> {
        self.decimal(name, &(0.0..=max))
    }

    /// A number within `range`, fractions included; `None` when absent.
    pub(crate) fn decimal(&mut self, name: &'static str, range: &RangeInclusive<f64>) -> Option<f64> {
        self.number_or(None, name, range)
    }

    /// A number from `range`, fractions included, or -1; `None` when absent.
    pub(crate) fn number_or_minus_one(
        &mut self,
        name: &'static str,
        range: &RangeInclusive<f64>,
    ) -> Option<f64> {
        self.number_or(Some(-1.0), name, range)
    }

    /// A number within `range`, or `other`.
    fn number_or(
        &mut self,
        other: Option<f64>,
        name: &'static str,
        range: &RangeInclusive<f64>,
    ) -> Option<f64> {
        let value = self.take(name)?;
        let number = value.as_f64().filter(|number| Some(*number) == other || range.contains(number));
        if number.is_none() {
            let (min, max) = (range.start(), range.end());
            let other = other.map(|other| format!("{other}, or ")).unwrap_or_default();
            self.fail(name, format!("must be {other}a number from {min} to {max}, not {}", shape(value)));
        }
        number
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
