//! Fields that hold several texts, of which some are secrets. Example: the headers of the requests that `http-log` sends.
//!
//! All of them are sealed as one text, their JSON: who reads what is stored does not learn how many there are, and nobody can exchange two.

use std::collections::BTreeMap;

use super::{Field, Fields, Property, Secret, SecretMut, Source, Treatment, Writer, field::MAP_ENTRIES_MAX};
use crate::NotReady;
use crate::rules::{self, Rule};

/// Texts by their names, as far as their holder knows them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SecretMap(
    /// Their JSON; `None`: there are none.
    Option<Secret>,
);

impl SecretMap {
    fn new(entries: &BTreeMap<String, String>) -> Self {
        let json = || serde_json::to_string(entries).unwrap_or_default();
        Self((!entries.is_empty()).then(|| Secret::Plain(json())))
    }

    /// The texts by their names; `None` if they are sealed.
    pub fn entries(&self) -> Option<BTreeMap<String, String>> {
        match &self.0 {
            None => Some(BTreeMap::new()),
            Some(secret) => serde_json::from_str(secret.plain()?).ok(),
        }
    }
}

/// Names that keep `key`, each with one text that keeps `value`; `at_rest` is the field that holds all of them on the wire, sealed.
pub(crate) fn sealed_map(at_rest: &'static str, key: Rule, value: Rule) -> SealedMap {
    SealedMap { at_rest, key, value }
}

pub(crate) struct SealedMap {
    at_rest: &'static str,
    key: Rule,
    value: Rule,
}

impl Field for SealedMap {
    type Value = SecretMap;

    fn read(&self, name: &'static str, from: &mut Fields<'_>) -> SecretMap {
        if from.source() == Source::Wire {
            return SecretMap(from.text(self.at_rest, rules::sealed_text).map(Secret::AtRest));
        }
        SecretMap::new(&from.text_map(name, MAP_ENTRIES_MAX, self.key.check, self.value.check))
    }

    fn write(&self, name: &'static str, value: &SecretMap, out: &mut Writer) {
        match (out.is_wire(), &value.0) {
            (true, None) => {}
            (true, Some(Secret::AtRest(sealed))) => out.always(self.at_rest, sealed.clone()),
            (true, Some(_)) => out.not_ready(NotReady::NoSecret { field: name }),
            (false, _) => out.optional(
                name,
                value
                    .entries()
                    .filter(|entries| !entries.is_empty())
                    .map(|entries| serde_json::json!(entries)),
            ),
        }
    }

    fn describe(&self) -> Option<Property> {
        Some(Property::map(Property::text(self.value.chars_max).required()))
    }

    fn secrets_mut<'v>(&self, field: &'static str, value: &'v mut SecretMap, found: &mut Vec<SecretMut<'v>>) {
        found.extend(value.0.iter_mut().map(|secret| SecretMut {
            field,
            treatment: Treatment::Seal,
            secret,
        }));
    }
}
