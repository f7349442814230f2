//! Texts, lists of texts, and names with lists of texts.

use std::collections::BTreeMap;

use serde_json::json;

use super::super::{Field, Fields, Property, Writer};
use crate::rules::{self, Rule};

/// Headers that one map may name, and values that each may have.
pub(crate) const MAP_ENTRIES_MAX: usize = 32;

/// An optional text that keeps `rule`.
pub(crate) fn text(rule: Rule) -> Text {
    Text { rule, new: None, referenceable: false }
}

/// What an entity is called. A new name also keeps the rule for all names; one that is stored is read as it is.
pub(crate) fn name(rule: Rule) -> Text {
    Text { rule, new: Some(ids::name::check), referenceable: false }
}

/// A unique text that never stands in a URL. A new one holds only what can be seen.
pub(crate) fn foreign_id(rule: Rule) -> Text {
    Text { rule, new: Some(ids::name::check_visible), referenceable: false }
}

/// What a text must be that is not stored yet.
type RuleForNew = fn(&str) -> Result<(), ids::name::UnfitName>;

#[derive(Clone, Copy)]
pub(crate) struct Text {
    rule: Rule,
    new: Option<RuleForNew>,
    referenceable: bool,
}

impl Text {
    /// A body must have it. `remedy` ends the message "is required: …".
    pub(crate) fn required(self, remedy: &'static str) -> RequiredText {
        RequiredText { text: self, remedy }
    }

    /// What it is when it is absent.
    pub(crate) fn or(self, default: &'static str) -> TextOr {
        TextOr { text: self, default }
    }

    /// A reference to a vault may stand in its place.
    pub(crate) fn or_reference(self) -> Text {
        Text { referenceable: true, ..self }
    }
}

impl Field for Text {
    type Value = Option<String>;

    fn read(&self, name: &'static str, from: &mut Fields<'_>) -> Option<String> {
        if self.referenceable && from.holds_reference(name) {
            return from.text(name, rules::vault_reference);
        }
        match self.new {
            Some(for_new) => from.new_text(name, self.rule.check, for_new),
            None => from.text(name, self.rule.check),
        }
    }

    fn write(&self, name: &'static str, value: &Option<String>, out: &mut Writer) {
        out.optional(name, value.clone());
    }

    fn describe(&self) -> Option<Property> {
        Some(Property::text(self.rule.chars_max))
    }
}

pub(crate) struct RequiredText {
    text: Text,
    remedy: &'static str,
}

impl Field for RequiredText {
    type Value = String;

    fn read(&self, name: &'static str, from: &mut Fields<'_>) -> String {
        from.require(name, self.remedy);
        self.text.read(name, from).unwrap_or_default()
    }

    fn write(&self, name: &'static str, value: &String, out: &mut Writer) {
        out.always(name, value.clone());
    }

    fn describe(&self) -> Option<Property> {
        self.text.describe().map(Property::required)
    }
}

pub(crate) struct TextOr {
    text: Text,
    default: &'static str,
}

impl Field for TextOr {
    type Value = String;

    fn read(&self, name: &'static str, from: &mut Fields<'_>) -> String {
        self.text.read(name, from).unwrap_or_else(|| self.default.to_owned())
    }

    fn write(&self, name: &'static str, value: &String, out: &mut Writer) {
        out.unless(name, value.as_str(), self.default);
    }

    fn describe(&self) -> Option<Property> {
        self.text.describe().map(|property| property.default(self.default.into()))
    }
}

/// A list of at most `entries_max` distinct texts that each keep `rule`; empty and null where there are none.
pub(crate) fn list(rule: Rule, entries_max: usize) -> List {
    List { rule, entries_max, default: &[], may_be_empty: false }
}

/// The tags of an entity.
pub(crate) fn tags() -> Tags {
    Tags(list(rules::TAG, rules::TAGS_MAX))
}

pub(crate) struct Tags(List);

impl Field for Tags {
    type Value = Vec<String>;

    fn read(&self, name: &'static str, from: &mut Fields<'_>) -> Vec<String> {
        self.0.read(name, from)
    }

    fn write(&self, name: &'static str, value: &Vec<String>, out: &mut Writer) {
        self.0.write(name, value, out);
    }

    fn describe(&self) -> Option<Property> {
        self.0.describe()
    }

    fn tags<'v>(&self, value: &'v Vec<String>) -> &'v [String] {
        value
    }
}

pub(crate) struct List {
    rule: Rule,
    entries_max: usize,
    default: &'static [&'static str],
    may_be_empty: bool,
}

impl List {
    /// What it is when it is absent. It must not be empty then.
    pub(crate) fn or(self, default: &'static [&'static str]) -> List {
        List { default, ..self }
    }

    /// What it is when it is absent. It may be empty.
    pub(crate) fn or_empty(self, default: &'static [&'static str]) -> List {
        List { default, may_be_empty: true, ..self }
    }

    /// A body must have it, with one entry at least. `remedy` ends the message "is required: …".
    pub(crate) fn required(self, remedy: &'static str) -> RequiredList {
        RequiredList { list: self, remedy }
    }
}

impl Field for List {
    type Value = Vec<String>;

    fn read(&self, name: &'static str, from: &mut Fields<'_>) -> Vec<String> {
        if !from.has(name) {
            from.skip(name);
            return self.default.iter().map(|entry| (*entry).to_owned()).collect();
        }
        if !self.default.is_empty() && !self.may_be_empty && from.is_unset(name) {
            from.fail(name, format!("must have an entry: leave it out for {}", self.default.join(", ")));
        }
        from.list(name, self.entries_max, self.rule.check)
    }

    fn write(&self, name: &'static str, value: &Vec<String>, out: &mut Writer) {
        if self.default.is_empty() {
            out.list(name, value);
        } else {
            let default: Vec<String> = self.default.iter().map(|entry| (*entry).to_owned()).collect();
            out.unless(name, value.clone(), default);
        }
    }

    fn describe(&self) -> Option<Property> {
        let list = Property::list(Property::text(self.rule.chars_max).required(), self.entries_max);
        Some(if self.default.is_empty() { list } else { list.default(json!(self.default)) })
    }
}

pub(crate) struct RequiredList {
    list: List,
    remedy: &'static str,
}

impl Field for RequiredList {
    type Value = Vec<String>;

    fn read(&self, name: &'static str, from: &mut Fields<'_>) -> Vec<String> {
        if from.is_unset(name) {
            from.fail(name, format!("is required: {}", self.remedy));
        }
        self.list.read(name, from)
    }

    fn write(&self, name: &'static str, value: &Vec<String>, out: &mut Writer) {
        self.list.write(name, value, out);
    }

    fn describe(&self) -> Option<Property> {
        self.list.describe().map(Property::required)
    }
}

/// Names that keep `key`, each with one or more texts that keep `value`. Example: the headers that a route asks for.
pub(crate) fn text_lists(key: Rule, value: Rule) -> TextLists {
    TextLists { key, value }
}

pub(crate) struct TextLists {
    key: Rule,
    value: Rule,
}

impl Field for TextLists {
    type Value = BTreeMap<String, Vec<String>>;

    fn read(&self, name: &'static str, from: &mut Fields<'_>) -> Self::Value {
        from.text_lists(name, MAP_ENTRIES_MAX, self.key.check, self.value.check)
    }

    fn write(&self, name: &'static str, value: &Self::Value, out: &mut Writer) {
        out.optional(name, (!value.is_empty()).then(|| json!(value)));
    }

    fn describe(&self) -> Option<Property> {
        let values = Property::text(self.value.chars_max).required();
        Some(Property::map(Property::list(values, MAP_ENTRIES_MAX)))
    }
}

/// Names that keep `key`, each with one text that keeps `value`. Example: the headers of a request that the gateway sends.
pub(crate) fn text_map(key: Rule, value: Rule) -> TextMap {
    TextMap { key, value }
}

pub(crate) struct TextMap {
    key: Rule,
    value: Rule,
}

impl Field for TextMap {
    type Value = BTreeMap<String, String>;

    fn read(&self, name: &'static str, from: &mut Fields<'_>) -> Self::Value {
        from.text_map(name, MAP_ENTRIES_MAX, self.key.check, self.value.check)
    }

    fn write(&self, name: &'static str, value: &Self::Value, out: &mut Writer) {
        out.optional(name, (!value.is_empty()).then(|| json!(value)));
    }

    fn describe(&self) -> Option<Property> {
        Some(Property::map(Property::text(self.value.chars_max).required()))
    }
}
