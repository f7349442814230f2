//! The first look at a document: what it says of itself, and how many entities it has. Entities are not read.

use std::{collections::HashSet, fmt};

use serde::Deserializer;
use serde::de::{DeserializeSeed, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Map;

use super::{FORMAT_VERSION, preamble::Preamble};
use crate::tree::{Budget, Tree, shown};
use crate::{Invalid, Kind};

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

/// What a document says of itself.
#[derive(Debug, Default)]
pub struct Outline {
    pub(super) preamble: Preamble,
    /// How many entities it has, whatever is wrong with them.
    pub entities: usize,
    /// What is wrong with it, its entities aside.
    pub(super) errors: Invalid,
}

impl Outline {
    /// Reads a whole document, and keeps little of it. An error means that it is no document at all.
    pub(super) fn read<'de, D: Deserializer<'de>>(document: D) -> Result<Self, D::Error> {
        document.deserialize_map(Top)
    }

    /// The tags by which the document owns entities: see [`super::Document::select_tags`].
    pub fn select_tags(&self) -> &[String] {
        &self.preamble.select_tags
    }
}

struct Top;

impl<'de> Visitor<'de> for Top {
    type Value = Outline;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a mapping with `_format_version: \"{FORMAT_VERSION}\"`")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut sections: A) -> Result<Outline, A::Error> {
        let (mut names, mut rest, mut entities) = (HashSet::new(), Map::new(), 0);
        let mut budget = Budget::new();
        while let Some(name) = sections.next_key::<String>()? {
            match Kind::ALL.into_iter().find(|kind| kind.section() == name) {
                Some(kind) => entities += sections.next_value_seed(Count(kind))?,
                None => {
                    let tree = Tree { budget: &mut budget };
                    rest.insert(name.clone(), sections.next_value_seed(tree)?);
                }
            }
            if let Some(twice) = names.replace(name) {
                return Err(A::Error::custom(format_args!("the name {} occurs twice", shown(&twice))));
            }
        }
        let mut errors = Invalid::default();
        let preamble = Preamble::take(&mut rest, &mut errors);
        super::flatten::refuse(&mut rest, &UNSUPPORTED, "", &mut errors);
        let mut offered = Kind::ALL.map(Kind::section);
        offered.sort_unstable();
        for name in rest.keys() {
            errors.push(
                shown(name).trim_matches('`'),
                format!("is not a known section: remove it or use one of {}", offered.join(", ")),
            );
        }
        Ok(Outline { preamble, entities, errors })
    }
}

/// Counts the entities of a list, and those below them.
struct Count(Kind);

/// The same of one entry of the list.
struct CountEntry(Kind);

impl<'de> DeserializeSeed<'de> for Count {
    type Value = usize;

    fn deserialize<D: Deserializer<'de>>(self, list: D) -> Result<usize, D::Error> {
        list.deserialize_any(self)
    }
}

impl<'de> DeserializeSeed<'de> for CountEntry {
    type Value = usize;

    fn deserialize<D: Deserializer<'de>>(self, entry: D) -> Result<usize, D::Error> {
        entry.deserialize_any(self)
    }
}

/// What a visitor answers for a value that is neither list, mapping nor null.
macro_rules! scalars {
    (|$this:ident| $answer:expr) => {
        scalars!(|$this| $answer, visit_bool: bool, visit_i64: i64, visit_u64: u64, visit_f64: f64, visit_str: &str);

        fn visit_none<E: Error>(self) -> Result<Self::Value, E> {
            self.visit_unit()
        }
    };
    (|$this:ident| $answer:expr, $($visit:ident: $value:ty),*) => {
        $(fn $visit<E: Error>(self, _: $value) -> Result<Self::Value, E> {
            let $this = self;
            Ok($answer)
        })*
    };
}
pub(super) use scalars;

impl<'de> Visitor<'de> for Count {
    type Value = usize;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of entities")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut entries: A) -> Result<usize, A::Error> {
        let mut count = 0;
        while let Some(below) = entries.next_element_seed(CountEntry(self.0))? {
            count += 1 + below;
        }
        Ok(count)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<usize, A::Error> {
        while entries.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(0)
    }

    fn visit_unit<E: Error>(self) -> Result<usize, E> {
        Ok(0)
    }

    scalars!(|_this| 0);
}

impl<'de> Visitor<'de> for CountEntry {
    type Value = usize;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an entity")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<usize, A::Error> {
        while elements.next_element::<IgnoredAny>()?.is_some() {}
        Ok(0)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<usize, A::Error> {
        let mut count = 0;
        while let Some(name) = fields.next_key::<String>()? {
            match self.0.children().iter().find(|child| child.section == name) {
                Some(child) => count += fields.next_value_seed(Count(child.kind))?,
                None => drop(fields.next_value::<IgnoredAny>()?),
            }
        }
        Ok(count)
    }

    fn visit_unit<E: Error>(self) -> Result<usize, E> {
        Ok(0)
    }

    scalars!(|_this| 0);
}
