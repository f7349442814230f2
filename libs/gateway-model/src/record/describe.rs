//! What clients are told of a record: an OpenAPI schema, made of the documentation and the fields.

use serde_json::Value;
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{
    AdditionalProperties, ArrayBuilder, Object, ObjectBuilder, Schema, SchemaType, Type,
};

/// The schema of one field, without its documentation.
pub(crate) struct Property {
    schema: Schema,
    /// Whether a body must have it.
    required: bool,
}

/// The schema of a record in the making.
pub(crate) struct Description(Object);

impl Description {
    /// `about` are the lines of a documentation comment.
    pub(crate) fn new(about: &[&str]) -> Description {
        Description(ObjectBuilder::new().schema_type(Type::Object).description(Some(text(about))).build())
    }

    /// Adds a field with the lines of its documentation; nothing for one that clients are not told of.
    pub(crate) fn add(&mut self, name: &str, about: &[&str], property: Option<Property>) {
        let Some(Property { mut schema, required }) = property else { return };
        let description = Some(text(about)).filter(|text| !text.is_empty());
        match &mut schema {
            Schema::Object(object) if object.description.is_none() => object.description = description,
            Schema::Array(array) => array.description = description,
            _ => {}
        }
        if required {
            self.0.required.push(name.to_owned());
        }
        self.0.properties.insert(name.to_owned(), RefOr::T(schema));
    }

    /// Adds or replaces a property that the table of fields cannot describe.
    pub(crate) fn set(&mut self, name: &str, property: impl Into<RefOr<Schema>>) {
        self.0.properties.insert(name.to_owned(), property.into());
    }

    /// Says that a body must have `name`.
    pub(crate) fn require(&mut self, name: &str) {
        self.0.required.push(name.to_owned());
    }

    pub(crate) fn into_object(self) -> Object {
        self.0
    }

    pub(crate) fn into_schema(self) -> RefOr<Schema> {
        RefOr::T(Schema::Object(self.0))
    }
}

impl Property {
    pub(crate) fn of(schema: impl Into<Schema>) -> Property {
        Property { schema: schema.into(), required: false }
    }

    /// A text of at most `chars_max` characters, or null.
    pub(crate) fn text(chars_max: usize) -> Property {
        let types = SchemaType::from_iter([Type::String, Type::Null]);
        Property::of(ObjectBuilder::new().schema_type(types).max_length(Some(chars_max)).build())
    }

    pub(crate) fn boolean() -> Property {
        Property::of(ObjectBuilder::new().schema_type(Type::Boolean).build())
    }

    /// A whole number from `min` to `max`.
    pub(crate) fn integer(min: u64, max: u64) -> Property {
        let builder = ObjectBuilder::new().schema_type(Type::Integer);
        let builder = builder.minimum((min > 0).then_some(min)).maximum(Some(max));
        Property::of(builder.build())
    }

    /// One of `words`.
    pub(crate) fn word(words: &[&str]) -> Property {
        let words = words.iter().map(|word| Value::from(*word));
        Property::of(ObjectBuilder::new().schema_type(Type::String).enum_values(Some(words)).build())
    }

    /// A list of at most `entries_max` of what `entry` describes; null where it has none.
    pub(crate) fn list(entry: Property, entries_max: usize) -> Property {
        let list = ArrayBuilder::new().items(RefOr::T(entry.schema)).max_items(Some(entries_max)).build();
        let mut property = Property::of(Schema::Array(list));
        property.allow_null();
        property
    }

    /// Names, each with what `entry` describes.
    pub(crate) fn map(entry: Property) -> Property {
        let types = SchemaType::from_iter([Type::Object, Type::Null]);
        let builder = ObjectBuilder::new().schema_type(types);
        let entries = AdditionalProperties::RefOr(RefOr::T(entry.schema));
        Property::of(builder.additional_properties(Some(entries)).build())
    }

    /// The value of an absent field. Null says nothing.
    pub(crate) fn default(mut self, value: Value) -> Property {
        let value = Some(value).filter(|value| !value.is_null());
        match &mut self.schema {
            Schema::Object(object) => object.default = value,
            Schema::Array(array) => {
                array.schema_type = SchemaType::new(Type::Array);
                array.default = value;
            }
            _ => {}
        }
        self
    }

    /// A body must have the field.
    pub(crate) fn required(mut self) -> Property {
        let types = match &mut self.schema {
            Schema::Object(object) => Some(&mut object.schema_type),
            Schema::Array(array) => Some(&mut array.schema_type),
            _ => None,
        };
        if let Some(types) = types
            && let SchemaType::Array(several) = types
            && let Some(first) = several.first()
        {
            *types = SchemaType::new(first.clone());
        }
        self.required = true;
        self
    }

    /// A body may lack the field.
    pub(crate) fn optional(self) -> Property {
        Property { required: false, ..self }
    }

    fn allow_null(&mut self) {
        match &mut self.schema {
            Schema::Object(object) => add_null(&mut object.schema_type),
            Schema::Array(array) => add_null(&mut array.schema_type),
            _ => {}
        }
    }

    /// The same, and null.
    pub(crate) fn or_null(mut self) -> Property {
        self.allow_null();
        self
    }
}

fn add_null(types: &mut SchemaType) {
    if let SchemaType::Type(only) = types {
        *types = SchemaType::from_iter([only.clone(), Type::Null]);
    }
}

/// The lines of a documentation comment as one text.
fn text(lines: &[&str]) -> String {
    lines.iter().map(|line| line.trim()).collect::<Vec<_>>().join(" ").trim().to_owned()
}
