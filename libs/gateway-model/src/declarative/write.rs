//! From entities to a document that makes exactly them.

use std::collections::HashMap;

use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::FORMAT_VERSION;
use crate::{Entity, Kind};

/// The document of `entities`, whose references are resolved: read again, it means these entities and no others. Each entity has its
/// id. It stands below the entity that it refers to, where it refers to one only and that one is there. `comment` is for people;
/// empty: there is none. `select_tags`: every entity has these tags, and the document owns only those that have them.
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
    let mut written: Vec<Map<String, Value>> =
        entities.iter().map(|(id, entity)| fields(*id, entity)).collect();
    let mut top: Vec<(Kind, Map<String, Value>)> = Vec::new();
    // Children before what they stand below, so that each is whole when it is put there.
    for kind in Kind::ALL.into_iter().rev() {
        for (place, (_, entity)) in
            entities.iter().enumerate().filter(|(_, (_, entity))| entity.kind() == kind)
        {
            let mut own = written.get_mut(place).map(std::mem::take).unwrap_or_default();
            let home =
                home(entity).and_then(|(home, field, section)| Some((*places.get(&home)?, field, section)));
            match home.and_then(|(home, field, section)| Some((written.get_mut(home)?, field, section))) {
                Some((parent, field, section)) => {
                    own.remove(field);
                    push(parent, section, own);
                }
                None => top.push((kind, own)),
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

/// A document as YAML.
pub fn to_yaml(document: &Map<String, Value>) -> String {
    serde_norway::to_string(document).unwrap_or_default()
}

fn push(map: &mut Map<String, Value>, section: &str, entity: Map<String, Value>) {
    if let Value::Array(list) = map.entry(section).or_insert_with(|| json!([])) {
        list.push(Value::Object(entity));
    }
}

/// The fields of an entity as a document has them: what is not set is left out.
fn fields(id: Uuid, entity: &Entity) -> Map<String, Value> {
    let mut fields = Map::from_iter([("id".to_owned(), json!(id))]);
    let is_set = |value: &Value| match value {
        Value::Null => false,
        Value::Array(list) => !list.is_empty(),
        _ => true,
    };
    fields.extend(entity.to_api().into_iter().filter(|(_, value)| is_set(value)));
    fields
}

/// The entity below which a document has this one, the field that refers to it, and the section there.
fn home(entity: &Entity) -> Option<((Kind, Uuid), &'static str, &'static str)> {
    let references = entity.references();
    let [reference] = references.as_slice() else { return None };
    let children = reference.kind.children().iter();
    let mut fitting =
        children.filter(|child| child.kind == entity.kind() && child.parent_field == reference.field);
    let child = fitting.next()?;
    Some(((reference.kind, reference.target.id()?), child.parent_field, child.section))
}
