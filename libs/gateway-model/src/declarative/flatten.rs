//! From the tree of a document to a flat list of entities, each validated by itself.

use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::{FORMAT_VERSION, Item, Parent, preamble::Preamble};
use crate::path_regex::CONFIGURATION_COST_MAX;
use crate::record::{Fields, Source, read_id};
use crate::tree::shown;
use crate::{Entity, Invalid, Kind};

/// Sections and settings of decK's format that are refused by name when they hold something.
const UNSUPPORTED: [&str; 7] = [
    "custom_entities",
    "filter_chains",
    "licenses",
    "mtls_auth_credentials",
    "oauth2_credentials",
    "partials",
    "rbac_roles",
];

/// Lists below an entity that other gateways' files may hold, and that are refused by name.
const UNSUPPORTED_BELOW: [&str; 2] = ["mtls_auth_credentials", "oauth2_credentials"];

/// The list of a consumer's groups, or of a group's consumers, as decK writes it: each entry names the other side of a membership.
struct Members {
    section: &'static str,
    /// The field of a membership that refers to the enclosing entity.
    own_field: &'static str,
    other_field: &'static str,
}

impl Members {
    fn below(kind: Kind) -> Option<Members> {
        match kind {
            Kind::Consumer => {
                Some(Members { section: "groups", own_field: "consumer", other_field: "consumer_group" })
            }
            Kind::ConsumerGroup => {
                Some(Members { section: "consumers", own_field: "consumer_group", other_field: "consumer" })
            }
            _ => None,
        }
    }

    /// The memberships that `list` names, one entry each.
    fn memberships(&self, list: Value) -> Value {
        match list {
            Value::Array(list) => list.into_iter().map(|named| json!({ self.other_field: named })).collect(),
            other => other,
        }
    }
}

/// The entities of a document, in the order of the file, each parent before its children, and the tags by which it owns them.
pub(super) fn items(tree: Value) -> Result<(Vec<Item>, Vec<String>), Invalid> {
    let Value::Object(mut document) = tree else {
        return Err(Invalid::one(
            "",
            format!("the document must be a mapping with `_format_version: \"{FORMAT_VERSION}\"`"),
        ));
    };
    let mut flat = Flat::default();
    flat.preamble = Preamble::take(&mut document, &mut flat.errors);
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

#[derive(Default)]
struct Flat {
    preamble: Preamble,
    items: Vec<Item>,
    errors: Invalid,
    /// What the regular expressions so far take to compile.
    path_cost: u64,
}

impl Flat {
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
        let members = Members::below(kind).and_then(|members| Some((map.remove(members.section)?, members)));
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
        let mut fields = Fields::new(&map, &prefix, Source::File, &mut self.errors);
        let entity = kind.read(&mut fields);
        fields.finish();
        self.count(&entity, &prefix);
        let item = self.items.len();
        self.items.push(Item { path, position, kind, id, entity, parent });
        for (child, list) in children {
            let parent = Parent { item, field: child.parent_field };
            self.section(list, child.kind, format!("{prefix}{}", child.section), Some(parent));
        }
        if let Some((list, members)) = members {
            let parent = Parent { item, field: members.own_field };
            let path = format!("{prefix}{}", members.section);
            self.section(members.memberships(list), Kind::ConsumerGroupMember, path, Some(parent));
        }
    }

    /// Whether so much is wrong already that reading on would only take time.
    fn is_hopeless(&self) -> bool {
        self.errors.omitted >= ERRORS_MAX || self.path_cost > CONFIGURATION_COST_MAX
    }

    /// Adds what the entity's regular expressions cost. The entity that exceeds the limit is an error, and the last one read.
    fn count(&mut self, entity: &Entity, prefix: &str) {
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
