//! From entities to a document that makes exactly them.

use std::collections::HashMap;

use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::FORMAT_VERSION;
use crate::{Child, Entity, Joins, Kind, Reference};

/// The document of `entities`, whose references are resolved: read again, it means these entities and no others. Each entity has its
/// id. It stands below the entity that it refers to, where it refers to one only and that one is there. What joins two entities has no id:
/// it is an entry of a list of the first. Example: a membership is an entry of its consumer's `groups`, as in decK's files. `comment` is
/// for people; empty: there is none. `select_tags`: every entity has these tags, and the document owns only those that have them.
/// Where there are passwords, the document says `_transform: false`: they are hashes.
pub fn document(entities: &[(Uuid, Entity)], comment: &str, select_tags: &[String]) -> Map<String, Value> {
    let mut document = Map::new();
    document.insert("_format_version".to_owned(), json!(FORMAT_VERSION));
    if !comment.is_empty() {
        document.insert("_comment".to_owned(), json!(comment));
    }
    if !select_tags.is_empty() {
        document.insert("_info".to_owned(), json!({ "select_tags": select_tags }));
    }
    let places: HashMap<(Kind, Uuid), usize> =
        entities.iter().enumerate().map(|(place, (id, entity))| ((entity.kind(), *id), place)).collect();
    // One entity of each kind tells: whether it has a password follows from its kind.
    let of_each_kind =
        Kind::ALL.into_iter().filter_map(|kind| entities.iter().find(|(_, entity)| entity.kind() == kind));
    if of_each_kind.into_iter().any(|(_, entity)| entity.holds_password_hash()) {
        document.insert("_transform".to_owned(), json!(false));
    }
    let mut written: Vec<Map<String, Value>> =
        entities.iter().map(|(id, entity)| fields(*id, entity)).collect();
    let mut top: Vec<(Kind, Map<String, Value>)> = Vec::new();
    // Children before what they stand below, so that each is whole when it is put there.
    for kind in Kind::ALL.into_iter().rev() {
        for (place, (_, entity)) in
            entities.iter().enumerate().filter(|(_, (_, entity))| entity.kind() == kind)
        {
            let mut own = written.get_mut(place).map(std::mem::take).unwrap_or_default();
            let home = home(entity).and_then(|(child, parent)| Some((child, *places.get(&parent)?)));
            if let Some((child, _)) = home {
                own.remove(child.parent_field);
            }
            for reference in entity.references() {
                let id = reference.target.id();
                let name = id.and_then(|id| entities.get(*places.get(&(reference.kind, id))?)?.1.name());
                if let Some(shown @ Value::Object(_)) = own.get_mut(reference.field) {
                    name_target(shown, reference, name);
                }
            }
            let Some((child, home)) = home else {
                top.push((kind, own));
                continue;
            };
            if let Some(joins) = child.joins {
                own = joined(own, joins);
            }
            if let Some(parent) = written.get_mut(home) {
                push(parent, child.section, own);
            }
        }
    }
    for kind in Kind::ALL {
        for (_, own) in top.iter_mut().filter(|(of, _)| *of == kind) {
            push(&mut document, kind.section(), std::mem::take(own));
        }
    }
    document
}

/// A document as YAML. What a reader of YAML 1.1 would take for something else than a text is in quotes, such as `yes` and `12:30`.
pub fn to_yaml(document: &Map<String, Value>) -> String {
    // Lines are as long as they are: folded ones are hard to compare.
    let options = serde_saphyr::ser_options! { folded_wrap_chars: usize::MAX };
    serde_saphyr::to_string_with_options(document, options).unwrap_or_default()
}

fn push(map: &mut Map<String, Value>, section: &str, entity: Map<String, Value>) {
    if let Value::Array(list) = map.entry(section).or_insert_with(|| json!([])) {
        list.push(Value::Object(entity));
    }
}

/// The fields of an entity as a document has them: what is not set is left out, within objects too. decK takes null for a wrong type there.
fn fields(id: Uuid, entity: &Entity) -> Map<String, Value> {
    let mut fields = Map::from_iter([("id".to_owned(), json!(id))]);
    let set = entity.to_api().into_iter().filter(|(_, value)| !value.is_null());
    fields.extend(set.map(|(name, value)| (name, without_nulls(value))));
    fields
}

/// An entry of a list stays as it is: clients compare lists as a whole.
fn without_nulls(value: Value) -> Value {
    match value {
        Value::Object(fields) => {
            let set = fields.into_iter().filter(|(_, value)| !value.is_null());
            set.map(|(name, value)| (name, without_nulls(value))).collect()
        }
        value => value,
    }
}

/// The entity below which a document has this one, and as which of its children. What joins two entities stands below the first of them.
fn home(entity: &Entity) -> Option<(&'static Child, (Kind, Uuid))> {
    let references = entity.references();
    references.iter().find_map(|reference| {
        let mut children = reference.kind.children().iter();
        let child = children
            .find(|child| child.kind == entity.kind() && child.parent_field == reference.field)
            .filter(|child| child.is_written && (references.len() == 1 || child.joins.is_some()))?;
        Some((child, (reference.kind, reference.target.id()?)))
    })
}

/// Makes a reference what people write: by name where the target has one and is there, and without an object where the field wants none.
fn name_target(shown: &mut Value, reference: Reference<'_>, name: Option<&str>) {
    let named = name.zip(reference.kind.name_field());
    let bare = match named {
        Some((name, _)) => Some(name.to_owned()),
        None => reference.target.id().map(|id| id.to_string()),
    };
    match (reference.is_bare, bare, named) {
        (true, Some(bare), _) => *shown = bare.into(),
        (false, _, Some((name, field))) => *shown = json!({ field: name }),
        _ => {}
    }
}

/// The entry that stands for a child which joins its parent with something: that thing, and the child's tags. Reading gives the child its id.
fn joined(mut child: Map<String, Value>, joins: Joins) -> Map<String, Value> {
    child.remove("id");
    if let Some(Value::Object(named)) = child.remove(joins.field) {
        child.extend(named);
    }
    child
}
