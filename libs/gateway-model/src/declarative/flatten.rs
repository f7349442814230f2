//! From a document to its entities, one after another, each validated by itself. Of a stream, no more is held at a time than the fields
//! of one entity at each of the three levels.

use std::fmt;

use serde::Deserializer;
use serde::de::{DeserializeSeed, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::{Given, Item, Outline, Parent, outline::scalars, preamble::Preamble};
use crate::invalid::FIELD_ERRORS_MAX;
use crate::path_regex::CONFIGURATION_COST_MAX;
use crate::record::{Fields, Source, read_id};
use crate::tree::{Budget, Tree, shown};
use crate::{Child, Entity, Invalid, Joins, Kind};

/// Lists below an entity that other gateways' files may hold, and that are refused by name.
const UNSUPPORTED_BELOW: [&str; 1] = ["oauth2_credentials"];
/// Errors after which the rest of a document is not looked at.
const ERRORS_MAX: usize = 1000;

/// Takes an entity, with the fields that it was read from.
pub(super) type Sink<'s> = dyn FnMut(Item, Given) + 's;

/// Reads the entities of a document whose [`Outline`] is known, and gives each to `sink`: what is below an entity comes before it.
/// An error of the deserializer is answered as `broken` says.
pub(super) fn items<'de, D: Deserializer<'de>>(
    document: D,
    outline: Outline,
    sink: &mut Sink<'_>,
    broken: impl FnOnce(D::Error) -> Invalid,
) -> Result<(), Invalid> {
    let Outline { preamble, errors, .. } = outline;
    let mut flat = Flat { preamble, errors, path_cost: 0, items: 0, is_cut: false, sink };
    let read = document.deserialize_map(Sections(&mut flat));
    match read {
        Err(error) if !flat.is_cut => Err(broken(error)),
        _ => flat.errors.or(()),
    }
}

/// Removes the named sections; those that hold something are refused.
pub(super) fn refuse(map: &mut Map<String, Value>, sections: &[&str], prefix: &str, errors: &mut Invalid) {
    for section in sections {
        let empty = match map.remove(*section) {
            None | Some(Value::Null) => true,
            Some(Value::Array(list)) => list.is_empty(),
            Some(Value::Object(map)) => map.is_empty(),
            Some(_) => false,
        };
        if !empty {
            errors.push(format!("{prefix}{section}"), "is not supported by this gateway: remove it");
        }
    }
}

struct Flat<'a, 's> {
    preamble: Preamble,
    errors: Invalid,
    /// What the regular expressions so far take to compile.
    path_cost: u64,
    /// How many entities have begun.
    items: usize,
    /// Whether so much is wrong already that reading on would only take time.
    is_cut: bool,
    sink: &'a mut Sink<'s>,
}

/// Where an entity stands in its document.
struct Place {
    kind: Kind,
    /// Such as `services[3].routes[0]`.
    path: String,
    /// In the list that holds it.
    position: usize,
    parent: Option<Parent>,
}

/// An entity that has begun: its number, and how many errors there were before it.
struct Begun {
    number: usize,
    errors: usize,
}

impl Flat<'_, '_> {
    fn begin(&mut self) -> Begun {
        let begun = Begun { number: self.items, errors: self.errors.fields.len() };
        self.items += 1;
        begun
    }

    /// Reads the fields of an entity, those below it aside. What is wrong with it is told before what is wrong below it.
    fn finish(&mut self, begun: Begun, place: Place, mut map: Map<String, Value>) {
        let Place { kind, path, position, parent } = place;
        let mut errors = Invalid::default();
        let prefix = format!("{path}.");
        let id = read_id(map.get("id")).unwrap_or_else(|message| {
            errors.push(format!("{prefix}id"), message);
            None
        });
        refuse(&mut map, &UNSUPPORTED_BELOW, &prefix, &mut errors);
        self.preamble.complete(kind, &mut map, &prefix, &mut errors);
        if let Some(Parent { field, .. }) = parent {
            if map.get(field).is_some_and(|value| !value.is_null()) {
                errors.push(format!("{prefix}{field}"), "must be left out: the enclosing entity gives it");
            }
            // Stands for the enclosing entity until that one has an id, so that rules about references hold here already.
            map.insert(field.to_owned(), json!({ "id": Uuid::nil().to_string() }));
        }
        let passwords = self.preamble.passwords();
        let mut fields = Fields::new(&map, &prefix, Source::File, &mut errors).with_passwords(passwords);
        let entity = kind.read(&mut fields);
        fields.finish();
        self.add_path_cost(&entity, &prefix, &mut errors);
        self.note(begun.errors, errors);
        let item = Item { number: begun.number, path, position, kind, id, entity, parent };
        (self.sink)(item, Given { map, passwords });
    }

    /// Adds what the entity's regular expressions cost. The entity that exceeds the limit is an error, and the last one read.
    fn add_path_cost(&mut self, entity: &Entity, prefix: &str, errors: &mut Invalid) {
        self.path_cost = self.path_cost.saturating_add(entity.path_cost());
        if self.path_cost > CONFIGURATION_COST_MAX {
            errors.push(
                format!("{prefix}paths"),
                format!(
                    "must be smaller regular expressions, or fewer: up to here those of the document take {} steps to \
                     compile, and {CONFIGURATION_COST_MAX} are allowed; shorten repetitions such as `{{1,255}}`, or use `+`",
                    self.path_cost
                ),
            );
        }
    }

    /// Takes in errors that belong at a place among those so far.
    fn note(&mut self, at: usize, errors: Invalid) {
        let listed = &mut self.errors.fields;
        let at = at.min(listed.len());
        listed.splice(at..at, errors.fields);
        let too_many = listed.len().saturating_sub(FIELD_ERRORS_MAX);
        listed.truncate(FIELD_ERRORS_MAX);
        self.errors.omitted += errors.omitted + too_many;
    }

    /// An error that ends the reading, if there is no use in it.
    fn go_on<E: Error>(&mut self) -> Result<(), E> {
        self.is_cut = self.errors.omitted >= ERRORS_MAX || self.path_cost > CONFIGURATION_COST_MAX;
        if self.is_cut { Err(E::custom("too much is wrong")) } else { Ok(()) }
    }
}

/// A whole document.
struct Sections<'f, 'a, 's>(&'f mut Flat<'a, 's>);

impl<'de> Visitor<'de> for Sections<'_, '_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a mapping")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut sections: A) -> Result<(), A::Error> {
        while let Some(name) = sections.next_key::<String>()? {
            let Some(kind) = Kind::ALL.into_iter().find(|kind| kind.section() == name) else {
                sections.next_value::<IgnoredAny>()?;
                continue;
            };
            let path = kind.section().to_owned();
            sections.next_value_seed(List { flat: &mut *self.0, kind, path, parent: None, joins: None })?;
        }
        Ok(())
    }
}

/// A list of entities. Depth is that of the table of kinds: three levels.
struct List<'f, 'a, 's> {
    flat: &'f mut Flat<'a, 's>,
    kind: Kind,
    path: String,
    parent: Option<Parent>,
    joins: Option<Joins>,
}

impl List<'_, '_, '_> {
    fn below<'f, 'a, 's>(
        flat: &'f mut Flat<'a, 's>,
        child: &Child,
        path: &str,
        item: usize,
    ) -> List<'f, 'a, 's> {
        List {
            flat,
            kind: child.kind,
            path: format!("{path}.{}", child.section),
            parent: Some(Parent { item, field: child.parent_field }),
            joins: child.joins,
        }
    }

    fn refuse(self) {
        self.flat.errors.push(self.path, format!("must be a list, one entry per {}", self.kind.label()));
    }
}

impl<'de> DeserializeSeed<'de> for List<'_, '_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, list: D) -> Result<(), D::Error> {
        list.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for List<'_, '_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of entities")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut entries: A) -> Result<(), A::Error> {
        let Self { flat, kind, path, parent, joins } = self;
        for position in 0.. {
            flat.go_on()?;
            let place = Place { kind, path: format!("{path}[{position}]"), position, parent };
            let entry = Entry { flat: &mut *flat, place, joins };
            if entries.next_element_seed(entry)?.is_none() {
                break;
            }
        }
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<(), A::Error> {
        while entries.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        self.refuse();
        Ok(())
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        Ok(())
    }

    scalars!(|this| this.refuse());
}

/// One entity of a list.
struct Entry<'f, 'a, 's> {
    flat: &'f mut Flat<'a, 's>,
    place: Place,
    joins: Option<Joins>,
}

impl Entry<'_, '_, '_> {
    fn refuse(self) {
        let message = format!("must be a mapping that describes a {}", self.place.kind.label());
        self.flat.errors.push(self.place.path, message);
    }
}

impl<'de> DeserializeSeed<'de> for Entry<'_, '_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, entry: D) -> Result<(), D::Error> {
        let Self { flat, place, joins: Some(joins) } = self else { return entry.deserialize_any(self) };
        let begun = flat.begin();
        let named = Tree { budget: &mut Budget::of_entity() }.deserialize(entry)?;
        flat.finish(begun, place, joined(named, joins));
        Ok(())
    }
}

impl<'de> Visitor<'de> for Entry<'_, '_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an entity")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<(), A::Error> {
        let Self { flat, place, .. } = self;
        let begun = flat.begin();
        let (mut map, mut below, mut budget) = (Map::new(), Vec::new(), Budget::of_entity());
        while let Some(name) = fields.next_key::<String>()? {
            if map.contains_key(&name) || below.contains(&name) {
                return Err(A::Error::custom(format_args!("the name {} occurs twice", shown(&name))));
            }
            match place.kind.children().iter().find(|child| child.section == name) {
                Some(child) => {
                    fields.next_value_seed(List::below(&mut *flat, child, &place.path, begun.number))?;
                    below.push(name);
                }
                None => {
                    let value = fields.next_value_seed(Tree { budget: &mut budget })?;
                    map.insert(name, value);
                }
            }
        }
        flat.finish(begun, place, map);
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<(), A::Error> {
        while elements.next_element::<IgnoredAny>()?.is_some() {}
        self.refuse();
        Ok(())
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        self.refuse();
        Ok(())
    }

    scalars!(|this| this.refuse());
}

/// The child that an entry stands for which holds what the child joins its parent with. The tags of the entry are the child's.
fn joined(mut named: Value, joins: Joins) -> Map<String, Value> {
    let tags = named.as_object_mut().and_then(|named| named.remove("tags"));
    let tags = tags.map(|tags| ("tags".to_owned(), tags));
    [(joins.field.to_owned(), named)].into_iter().chain(tags).collect()
}
