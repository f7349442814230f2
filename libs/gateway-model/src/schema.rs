//! What the derived schemas cannot say.

use serde_json::Value;
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ArrayItems, Object, ObjectBuilder, Schema, SchemaType, Type};

/// Adds or replaces a property.
pub(crate) fn set(schema: &mut RefOr<Schema>, name: &str, property: impl Into<RefOr<Schema>>) {
    if let RefOr::T(Schema::Object(object)) = schema {
        object.properties.insert(name.to_owned(), property.into());
    }
}

/// A setting of Kong's whose only supported value is its default. Listed, because Kong's clients fill in what a schema tells.
pub(crate) fn fixed(value: Value) -> Object {
    ObjectBuilder::new()
        .schema_type(if value.is_boolean() { Type::Boolean } else { Type::String })
        .description(Some("Accepted for compatibility; no other value is supported."))
        .default(Some(value.clone()))
        .enum_values(Some([value]))
        .build()
}

/// A setting of Kong's that can only be left out, and is shown as null.
pub(crate) fn unset() -> Object {
    let meaning = "Always null; accepted for compatibility.";
    ObjectBuilder::new().schema_type(Type::Null).description(Some(meaning)).build()
}

/// Restricts a text property, or the entries of a list property, to a vocabulary.
pub(crate) fn restrict(
    schema: &mut RefOr<Schema>,
    property: &str,
    words: impl Iterator<Item = &'static str>,
) {
    if let Some(text) = text_of(schema, property) {
        text.enum_values = Some(words.map(Into::into).collect());
    }
}

/// Says of each list without default that it is null where it has no entries, as the API shows it and takes it.
pub(crate) fn allow_null_lists(schema: &mut RefOr<Schema>) {
    let RefOr::T(Schema::Object(object)) = schema else { return };
    for property in object.properties.values_mut() {
        if let RefOr::T(Schema::Array(list)) = property
            && list.default.is_none()
        {
            list.schema_type = SchemaType::from_iter([Type::Array, Type::Null]);
        }
    }
}

fn text_of<'s>(schema: &'s mut RefOr<Schema>, property: &str) -> Option<&'s mut Object> {
    let RefOr::T(Schema::Object(object)) = schema else { return None };
    let mut property = object.properties.get_mut(property)?;
    if let RefOr::T(Schema::Array(list)) = property {
        let ArrayItems::RefOrSchema(items) = &mut list.items else { return None };
        property = items.as_mut();
    }
    if let RefOr::T(Schema::Object(text)) = property { Some(text) } else { None }
}
