//! What a document says of itself before its entities: its version, and what holds for all entities of a kind.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::upgrade::Version;
use crate::record::Passwords;
use crate::tree::shown;
use crate::{Invalid, Kind, rules};

/// Names that carry no configuration of the gateway, at the top and in entities.
const REMARKS: [&str; 2] = ["_comment", "_ignore"];
/// Top-level names that say where the file goes, which whoever applies it says.
const DESTINATION: [&str; 2] = ["_konnect", "_workspace"];
/// What `_info` may hold besides, to no effect. Other entities of the control plane can be referred to without it.
const HARMLESS_INFO: [&str; 1] = ["default_lookup_tags"];
/// Fields of a service that its shorthand `url` gives.
const GIVEN_BY_URL: [&str; 4] = ["protocol", "host", "port", "path"];

/// What holds for all entities of a document.
#[derive(Debug, Default)]
pub(super) struct Preamble {
    /// The form that the document is written in.
    pub version: Version,
    /// `_info.select_tags`: the document owns the entities that have all of them, and gives them to those that it has.
    pub select_tags: Vec<String>,
    /// `_transform: false`: passwords are hashes already.
    is_transformed: bool,
    /// `_info.defaults`: fields of entities that leave them out.
    defaults: BTreeMap<Kind, Map<String, Value>>,
    /// `_plugin_configs`: settings that plugins share, by the name that a plugin's `_config` says.
    plugin_configs: Map<String, Value>,
}

/// Removes what is only for people.
pub(super) fn remove_remarks(map: &mut Map<String, Value>) {
    for name in REMARKS {
        map.remove(name);
    }
}

impl Preamble {
    /// Takes the preamble out of a document.
    pub fn take(document: &mut Map<String, Value>, errors: &mut Invalid) -> Self {
        let mut preamble = Self::default();
        match document.remove("_format_version") {
            Some(Value::String(text)) if Version::of(&text).is_some() => {
                preamble.version = Version::of(&text).unwrap_or_default();
            }
            None => {
                let remedy = format!("is required: add `_format_version: \"{}\"`", super::FORMAT_VERSION);
                errors.push("_format_version", remedy);
            }
            Some(_) => {
                let known = Version::ALL.map(|version| format!("\"{}\"", version.as_str())).join(", ");
                errors.push("_format_version", format!("must be one of {known}, in quotes"));
            }
        }
        remove_remarks(document);
        for name in DESTINATION {
            document.remove(name);
        }
        match document.remove("_transform") {
            None | Some(Value::Null | Value::Bool(true)) => {}
            Some(Value::Bool(false)) => preamble.is_transformed = true,
            Some(_) => errors.push("_transform", "must be `true` or `false`"),
        }
        if let Some(mut info) = mapping(document.remove("_info"), "_info", errors) {
            preamble.take_info(&mut info, errors);
        }
        if let Some(configs) = mapping(document.remove("_plugin_configs"), "_plugin_configs", errors) {
            preamble.plugin_configs = configs;
        }
        preamble
    }

    /// What the passwords of the document are.
    pub fn passwords(&self) -> Passwords {
        if self.is_transformed { Passwords::Hashed } else { Passwords::Plain }
    }

    fn take_info(&mut self, info: &mut Map<String, Value>, errors: &mut Invalid) {
        match info.remove("select_tags") {
            None | Some(Value::Null) => {}
            Some(Value::Array(tags)) => self.take_tags(&tags, errors),
            Some(_) => errors.push("_info.select_tags", "must be a list of tags"),
        }
        if let Some(defaults) = mapping(info.remove("defaults"), "_info.defaults", errors) {
            for (name, fields) in defaults {
                let path = format!("_info.defaults.{name}");
                let Some(kind) = Kind::from_name(&name) else {
                    let known = Kind::ALL.map(Kind::name).join(", ");
                    errors.push("_info.defaults", format!("has {}, which is none of {known}", shown(&name)));
                    continue;
                };
                self.defaults.extend(mapping(Some(fields), &path, errors).map(|fields| (kind, fields)));
            }
        }
        // What decK calls `_transform: false`.
        self.is_transformed |= info.remove("skip_hash_for_basic_auth") == Some(Value::Bool(true));
        let says_nothing = |value: &Value| matches!(value, Value::Null | Value::Bool(false));
        info.retain(|name, value| !HARMLESS_INFO.contains(&name.as_str()) && !says_nothing(value));
        for name in info.keys() {
            errors.push("_info", format!("has {}, which is not supported: remove it", shown(name)));
        }
    }

    fn take_tags(&mut self, tags: &[Value], errors: &mut Invalid) {
        if tags.len() > rules::TAGS_MAX {
            errors.push("_info.select_tags", format!("must have at most {} tags", rules::TAGS_MAX));
            return;
        }
        for (place, tag) in tags.iter().enumerate() {
            let path = || format!("_info.select_tags[{place}]");
            match tag.as_str().map(|tag| (tag, rules::tag(tag))) {
                Some((tag, Ok(()))) => self.select_tags.push(tag.to_owned()),
                Some((_, Err(reason))) => errors.push(path(), format!("must {reason}")),
                None => errors.push(path(), "must be a text: put it in quotes"),
            }
        }
    }

    /// Completes the fields of an entity by what holds for all of its kind.
    pub fn complete(&self, kind: Kind, map: &mut Map<String, Value>, path: &str, errors: &mut Invalid) {
        remove_remarks(map);
        if kind == Kind::Plugin
            && let Some(name) = map.remove("_config")
        {
            let shared = name.as_str().and_then(|name| self.plugin_configs.get(name));
            match shared {
                Some(shared) => fill(map, "config", shared),
                None => {
                    errors.push(format!("{path}_config"), "must be the name of an entry of `_plugin_configs`")
                }
            }
        }
        self.version.upgrade(kind, map);
        let has_url = map.get("url").is_some_and(|url| !url.is_null());
        for (name, value) in self.defaults.get(&kind).into_iter().flatten() {
            if !(kind == Kind::Service && has_url && GIVEN_BY_URL.contains(&name.as_str())) {
                fill(map, name, value);
            }
        }
        self.tag(map);
    }

    /// Gives an entity the tags by which the document owns it. What is no list of tags is left for the reader to refuse.
    fn tag(&self, map: &mut Map<String, Value>) {
        if self.select_tags.is_empty() {
            return;
        }
        let tags = map.entry("tags").or_insert(Value::Null);
        if tags.is_null() {
            *tags = Value::Array(Vec::new());
        }
        let Value::Array(tags) = tags else { return };
        for tag in &self.select_tags {
            if !tags.iter().any(|own| own.as_str() == Some(tag)) {
                tags.push(Value::String(tag.clone()));
            }
        }
    }
}

/// Sets a field that is not there, and the fields within it that are not there.
fn fill(map: &mut Map<String, Value>, name: &str, value: &Value) {
    match (map.get_mut(name), value) {
        (None, _) => drop(map.insert(name.to_owned(), value.clone())),
        (Some(Value::Object(own)), Value::Object(shared)) => {
            for (name, value) in shared {
                fill(own, name, value);
            }
        }
        (Some(_), _) => {}
    }
}

/// The mapping that a name of the preamble has, if it has one.
fn mapping(value: Option<Value>, path: &str, errors: &mut Invalid) -> Option<Map<String, Value>> {
    match value {
        None | Some(Value::Null) => None,
        Some(Value::Object(map)) => Some(map),
        Some(_) => {
            errors.push(path, "must be a mapping");
            None
        }
    }
}
