//! Fields that hold several values: lists and objects, each with a limit.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use serde_json::{Map, Value};

use super::values::{check_text, find_word, quoted, shape, whole};
use super::{Fields, Rule};
use crate::tree::shown;

impl Fields<'_> {
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
}
