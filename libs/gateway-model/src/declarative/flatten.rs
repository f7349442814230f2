//! From the tree of a document to a flat list of entities, each validated by itself.

use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::{FORMAT_VERSION, Item, Parent, preamble::Preamble};
use crate::path_regex::CONFIGURATION_COST_MAX;
use crate::record::{Fields, Source, read_id};
use crate::tree::shown;
use crate::{Entity, Invalid, Joins, Kind};

/// Sections and settings of decK's format that are refused by name when they hold something.
const UNSUPPORTED: [&str; 9] = [
    "cloned_plugins",
    "custom_entities",
    "custom_plugins",
    "filter_chains",
    "licenses",
    "oauth2_credentials",
    "partials",
    "rbac_roles",
    "service_packages",
];

/// Lists below an entity that other gateways' files may hold, and that are refused by name.
const UNSUPPORTED_BELOW: [&str; 1] = ["oauth2_credentials"];

/// How many entities a document has, whatever is wrong with them.
pub(super) fn count(tree: &Value) -> usize {
    let section = |(kind, section): (Kind, &str)| tree.get(section).map_or(0, |list| count_list(kind, list));
    Kind::ALL.into_iter().map(|kind| (kind, kind.section())).map(section).sum()
}

fn count_list(kind: Kind, list: &Value) -> usize {
    let below = |entity: &Value| -> usize {
        let children = kind.children().iter();
        children.filter_map(|child| Some(count_list(child.kind, entity.get(child.section)?))).sum()
    };
    list.as_array().into_iter().flatten().map(|entity| 1 + below(entity)).sum()
}

/// The entities of a document, in the order of the file, each parent before its children, and the tags by which it owns them. Calls `read`
/// for each of them.
pub(super) fn items(tree: Value, read: &dyn Fn()) -> Result<(Vec<Item>, Vec<String>), Invalid> {
    let Value::Object(mut document) = tree else {
        return Err(Invalid::one(
            "",
            format!("the document must be a mapping with `_format_version: \"{FORMAT_VERSION}\"`"),
        ));
    };
    let mut errors = Invalid::default();
    let preamble = Preamble::take(&mut document, &mut errors);
    let mut flat = Flat { preamble, items: Vec::new(), errors, path_cost: 0, read };
    for kind in Kind::ALL {
        if let Some(list) = document.remove(kind.section()) {
            flat.section(list, kind, kind.section().to_owned(), None);
        }
    }
    flat.refuse(&mut document, &UNSUPPORTED, "");
    let mut offered = Kind::ALL.map(Kind::section);
    offered.sort_unstable();
    for name in document.keys() {
        flat.errors.push(
            shown(name).trim_matches('`'),
            format!("is not a known section: remove it or use one of {}", offered.join(", ")),
        );
    }
    flat.errors.or((flat.items, flat.preamble.select_tags))
}

/// Errors after which the rest of a document is not looked at.
const ERRORS_MAX: usize = 1000;

struct Flat<'a> {
    preamble: Preamble,
    items: Vec<Item>,
    errors: Invalid,
    /// What the regular expressions so far take to compile.
    path_cost: u64,
    /// Called for each entity that was read.
    read: &'a dyn Fn(),
}

impl Flat<'_> {
    /// Removes the named sections; those that hold something are refused.
    fn refuse(&mut self, map: &mut Map<String, Value>, sections: &[&str], prefix: &str) {
        for section in sections {
            let empty = match map.remove(*section) {
                None | Some(Value::Null) => true,
                Some(Value::Array(list)) => list.is_empty(),
                Some(Value::Object(map)) => map.is_empty(),
                Some(_) => false,
            };
            if !empty {
                self.errors.push(format!("{prefix}{section}"), "is not supported by this gateway: remove it");
            }
        }
    }

    /// A list of entities. Depth is that of the table of kinds: three levels.
    fn section(&mut self, list: Value, kind: Kind, path: String, parent: Option<Parent>) {
        let list = match list {
            Value::Null => return,
            Value::Array(list) => list,
            _ => return self.errors.push(path, format!("must be a list, one entry per {}", kind.label())),
        };
        for (position, value) in list.into_iter().enumerate() {
            if self.is_hopeless() {
                return;
            }
            let path = format!("{path}[{position}]");
            match value {
                Value::Object(map) => self.entity(map, kind, path, position, parent),
                _ => self.errors.push(path, format!("must be a mapping that describes a {}", kind.label())),
            }
        }
    }

    fn entity(
        &mut self,
        mut map: Map<String, Value>,
        kind: Kind,
        path: String,
        position: usize,
        parent: Option<Parent>,
    ) {
        let prefix = format!("{path}.");
        let id = read_id(map.get("id")).unwrap_or_else(|message| {
            self.errors.push(format!("{prefix}id"), message);
            None
        });
        let children: Vec<_> = kind
            .children()
            .iter()
            .filter_map(|child| map.remove(child.section).map(|list| (child, list)))
            .collect();
        self.refuse(&mut map, &UNSUPPORTED_BELOW, &prefix);
        self.preamble.complete(kind, &mut map, &prefix, &mut self.errors);
        if let Some(Parent { field, .. }) = parent {
            if map.get(field).is_some_and(|value| !value.is_null()) {
                self.errors
                    .push(format!("{prefix}{field}"), "must be left out: the enclosing entity gives it");
            }
            // Stands for the enclosing entity until that one has an id, so that rules about references hold here already.
            map.insert(field.to_owned(), json!({ "id": Uuid::nil().to_string() }));
        }
        let passwords = self.preamble.passwords();
        let mut fields = Fields::new(&map, &prefix, Source::File, &mut self.errors).with_passwords(passwords);
        let entity = kind.read(&mut fields);
        fields.finish();
        self.add_path_cost(&entity, &prefix);
        (self.read)();
        let item = self.items.len();
        self.items.push(Item { path, position, kind, id, entity, parent });
        for (child, list) in children {
            let parent = Parent { item, field: child.parent_field };
            let list = match child.joins {
                Some(joins) => joined(list, joins),
                None => list,
            };
            self.section(list, child.kind, format!("{prefix}{}", child.section), Some(parent));
        }
    }

    /// Whether so much is wrong already that reading on would only take time.
    fn is_hopeless(&self) -> bool {
        self.errors.omitted >= ERRORS_MAX || self.path_cost > CONFIGURATION_COST_MAX
    }

    /// Adds what the entity's regular expressions cost. The entity that exceeds the limit is an error, and the last one read.
    fn add_path_cost(&mut self, entity: &Entity, prefix: &str) {
        self.path_cost = self.path_cost.saturating_add(entity.path_cost());
        if self.path_cost > CONFIGURATION_COST_MAX {
            self.errors.push(
                format!("{prefix}paths"),
                format!(
                    "must be smaller regular expressions, or fewer: up to here those of the document take {} steps to \
                     compile, and {CONFIGURATION_COST_MAX} are allowed; shorten repetitions such as `{{1,255}}`, or use `+`",
                    self.path_cost
                ),
            );
        }
    }
}

/// The children that `list` stands for, which holds what they join their parent with. The tags of an entry are the child's.
fn joined(list: Value, joins: Joins) -> Value {
    let child = |mut named: Value| {
        let tags = named.as_object_mut().and_then(|named| named.remove("tags"));
        let tags = tags.map(|tags| ("tags".to_owned(), tags));
        Value::Object([(joins.field.to_owned(), named)].into_iter().chain(tags).collect())
    };
    match list {
        Value::Array(list) => list.into_iter().map(child).collect(),
        other => other,
    }
}
