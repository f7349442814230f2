//! Fields of Kong's that clients send and that have one value here, or none.

use serde_json::Value;
use utoipa::openapi::schema::{ObjectBuilder, Type};

use super::super::{Field, Fields, Property, Writer};

/// A setting of Kong's whose only supported value is its default. It is shown, because Kong's clients compare it. `remedy` ends
/// the message "is not supported: …".
pub(crate) fn fixed(value: impl Into<Value>, remedy: &'static str) -> Fixed {
    Fixed { value: value.into(), remedy }
}

pub(crate) struct Fixed {
    value: Value,
    remedy: &'static str,
}

impl Field for Fixed {
    type Value = ();

    fn read(&self, name: &'static str, from: &mut Fields<'_>) {
        from.unsupported(name, Some(&self.value), self.remedy);
    }

    fn write(&self, name: &'static str, _: &(), out: &mut Writer) {
        out.unless(name, self.value.clone(), self.value.clone());
    }

    fn describe(&self) -> Option<Property> {
        let kind = match self.value {
            Value::Bool(_) => Type::Boolean,
            Value::Number(_) => Type::Integer,
            _ => Type::String,
        };
        let schema = ObjectBuilder::new()
            .schema_type(kind)
            .description(Some("Accepted for compatibility; no other value is supported."))
            .default(Some(self.value.clone()))
            .enum_values(Some([self.value.clone()]))
            .build();
        Some(Property::of(schema))
    }
}

/// A field of Kong's that has no effect here: refused unless null or empty, and not shown. `remedy` ends the message "is not
/// supported: …".
pub(crate) fn absent(remedy: &'static str) -> Absent {
    Absent { remedy, shown: false }
}

pub(crate) struct Absent {
    remedy: &'static str,
    shown: bool,
}

impl Absent {
    /// The field is shown, as null.
    pub(crate) fn shown(self) -> Absent {
        Absent { shown: true, ..self }
    }
}

impl Field for Absent {
    type Value = ();

    fn read(&self, name: &'static str, from: &mut Fields<'_>) {
        from.unsupported(name, None, self.remedy);
    }

    fn write(&self, name: &'static str, _: &(), out: &mut Writer) {
        if !out.empty_list(name) && self.shown {
            out.optional(name, None::<bool>);
        }
    }

    fn describe(&self) -> Option<Property> {
        let meaning = "Always null; accepted for compatibility.";
        let schema = ObjectBuilder::new().schema_type(Type::Null).description(Some(meaning)).build();
        self.shown.then(|| Property::of(schema))
    }
}
