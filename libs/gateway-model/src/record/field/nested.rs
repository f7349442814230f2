//! Records within a record.

use std::collections::BTreeMap;
use std::marker::PhantomData;

use utoipa::openapi::RefOr;
use utoipa::openapi::schema::Schema;

use super::super::{Field, Fields, Property, Record, SecretMut, Writer};
use crate::rules::Rule;
use crate::{Reference, ReferenceMut};

/// A record within the record; absent, it is made of defaults.
pub(crate) fn object<R: Record>() -> Object<R> {
    Object { sparse: false, record: PhantomData }
}

/// A record within the record that shows only what is set: a client that compares it with what it sent finds nothing more.
pub(crate) fn sparse_object<R: Record>() -> Object<R> {
    Object { sparse: true, record: PhantomData }
}

pub(crate) struct Object<R> {
    sparse: bool,
    record: PhantomData<R>,
}

impl<R: Record> Field for Object<R> {
    type Value = R;

    fn read(&self, name: &'static str, from: &mut Fields<'_>) -> R {
        from.object(name, R::read)
    }

    fn write(&self, name: &'static str, value: &R, out: &mut Writer) {
        out.object(name, |inner| {
            value.write(inner);
            if self.sparse {
                inner.drop_nulls();
            }
        });
    }

    fn describe(&self) -> Option<Property> {
        Some(Property::of(R::describe().into_object()))
    }

    fn references<'v>(&self, _: &'static str, value: &'v R, found: &mut Vec<Reference<'v>>) {
        value.references(found);
    }

    fn references_mut<'v>(&self, _: &'static str, value: &'v mut R, found: &mut Vec<ReferenceMut<'v>>) {
        value.references_mut(found);
    }

    fn secrets_mut<'v>(&self, _: &'static str, value: &'v mut R, found: &mut Vec<SecretMut<'v>>) {
        value.secrets_mut(found);
    }
}

/// A record within the record, or none.
pub(crate) fn optional_object<R: Record>() -> OptionalObject<R> {
    OptionalObject(PhantomData)
}

pub(crate) struct OptionalObject<R>(PhantomData<R>);

impl<R: Record> Field for OptionalObject<R> {
    type Value = Option<R>;

    fn read(&self, name: &'static str, from: &mut Fields<'_>) -> Option<R> {
        if !from.has(name) {
            from.skip(name);
            return None;
        }
        Some(from.object(name, R::read))
    }

    fn write(&self, name: &'static str, value: &Option<R>, out: &mut Writer) {
        match value {
            Some(record) => out.whole_object(name, |inner| record.write(inner)),
            None => out.optional(name, None::<bool>),
        }
    }

    fn describe(&self) -> Option<Property> {
        Some(Property::of(R::describe().into_object()).or_null())
    }

    fn references<'v>(&self, _: &'static str, value: &'v Option<R>, found: &mut Vec<Reference<'v>>) {
        if let Some(record) = value {
            record.references(found);
        }
    }

    fn references_mut<'v>(
        &self,
        _: &'static str,
        value: &'v mut Option<R>,
        found: &mut Vec<ReferenceMut<'v>>,
    ) {
        if let Some(record) = value {
            record.references_mut(found);
        }
    }

    fn secrets_mut<'v>(&self, _: &'static str, value: &'v mut Option<R>, found: &mut Vec<SecretMut<'v>>) {
        if let Some(record) = value {
            record.secrets_mut(found);
        }
    }
}

/// A list of at most `entries_max` records.
pub(crate) fn object_list<R: Record>(entries_max: usize) -> ObjectList<R> {
    ObjectList { entries_max, record: PhantomData }
}

pub(crate) struct ObjectList<R> {
    entries_max: usize,
    record: PhantomData<R>,
}

impl<R: Record> Field for ObjectList<R> {
    type Value = Vec<R>;

    fn read(&self, name: &'static str, from: &mut Fields<'_>) -> Vec<R> {
        from.objects(name, self.entries_max, R::read)
    }

    fn write(&self, name: &'static str, value: &Vec<R>, out: &mut Writer) {
        out.objects(name, value, R::write);
    }

    fn describe(&self) -> Option<Property> {
        Some(Property::list(Property::of(R::describe().into_object()), self.entries_max))
    }

    fn references<'v>(&self, _: &'static str, value: &'v Vec<R>, found: &mut Vec<Reference<'v>>) {
        value.iter().for_each(|record| record.references(found));
    }

    fn references_mut<'v>(&self, _: &'static str, value: &'v mut Vec<R>, found: &mut Vec<ReferenceMut<'v>>) {
        value.iter_mut().for_each(|record| record.references_mut(found));
    }

    fn secrets_mut<'v>(&self, _: &'static str, value: &'v mut Vec<R>, found: &mut Vec<SecretMut<'v>>) {
        value.iter_mut().for_each(|record| record.secrets_mut(found));
    }
}

/// Records by name, at least one and at most `entries_max`; names keep `key`. `remedy` ends the message "is required: …". What they hold has no
/// secrets and no references.
pub(crate) fn records<R: Record>(key: Rule, entries_max: usize, remedy: &'static str) -> Records<R> {
    Records { key, entries_max, remedy, record: PhantomData }
}

pub(crate) struct Records<R> {
    key: Rule,
    entries_max: usize,
    remedy: &'static str,
    record: PhantomData<R>,
}

impl<R: Record> Field for Records<R> {
    type Value = BTreeMap<String, R>;

    fn read(&self, name: &'static str, from: &mut Fields<'_>) -> Self::Value {
        from.require(name, self.remedy);
        let records = from.named_objects(name, self.entries_max, self.key.check, R::read);
        if from.given(name).and_then(serde_json::Value::as_object).is_some_and(serde_json::Map::is_empty) {
            from.fail(name, format!("must have an entry: {}", self.remedy));
        }
        records
    }

    fn write(&self, name: &'static str, value: &Self::Value, out: &mut Writer) {
        out.whole_object(name, |inner| {
            for (key, record) in value {
                inner.whole_object(key, |inner| record.write(inner));
            }
        });
    }

    fn describe(&self) -> Option<Property> {
        Some(Property::map(Property::of(R::describe().into_object())).required())
    }
}

/// Keeps the shape of [`RefOr`] out of the kinds.
pub(crate) fn schema_of<R: Record>() -> RefOr<Schema> {
    R::describe().into_schema()
}
