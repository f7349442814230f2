//! References to other entities.

use utoipa::openapi::KnownFormat;
use utoipa::openapi::schema::{ObjectBuilder, Schema, SchemaFormat, Type};
use uuid::Uuid;

use super::super::{Field, Fields, Property, Writer};
use crate::{Kind, OnDelete, Reference, ReferenceMut, Target, rules};

/// A reference to an entity of `kind`; `on_delete` is what happens to this entity when that one is deleted.
pub(crate) fn reference(kind: Kind, on_delete: OnDelete) -> OneReference {
    OneReference { kind, on_delete, is_bare: false }
}

#[derive(Clone, Copy)]
pub(crate) struct OneReference {
    kind: Kind,
    on_delete: OnDelete,
    is_bare: bool,
}

impl OneReference {
    /// Files have the name or the id itself, in place of an object that holds it, since decK reads no other form.
    pub(crate) fn bare(self) -> OneReference {
        OneReference { is_bare: true, ..self }
    }

    /// A body must have it. `remedy` ends the message "is required: …".
    pub(crate) fn required(self, remedy: &'static str) -> RequiredReference {
        RequiredReference { reference: self, remedy }
    }

    fn schema(self) -> Schema {
        let id = ObjectBuilder::new()
            .schema_type(Type::String)
            .format(Some(SchemaFormat::KnownFormat(KnownFormat::Uuid)))
            .description(Some("Id of the entity referred to."));
        ObjectBuilder::new().schema_type(Type::Object).property("id", id).required("id").build().into()
    }
}

impl Field for OneReference {
    type Value = Option<Target>;

    fn read(&self, name: &'static str, from: &mut Fields<'_>) -> Option<Target> {
        from.reference(name, self.kind)
    }

    fn write(&self, name: &'static str, value: &Option<Target>, out: &mut Writer) {
        out.reference(name, self.kind, value.as_ref());
    }

    fn describe(&self) -> Option<Property> {
        Some(Property::of(self.schema()).or_null())
    }

    fn references<'v>(&self, field: &'static str, value: &'v Option<Target>, found: &mut Vec<Reference<'v>>) {
        let OneReference { kind, on_delete, is_bare } = *self;
        found.extend(value.iter().map(|target| Reference { field, kind, target, on_delete, is_bare }));
    }

    fn references_mut<'v>(
        &self,
        field: &'static str,
        value: &'v mut Option<Target>,
        found: &mut Vec<ReferenceMut<'v>>,
    ) {
        found.extend(value.iter_mut().map(|target| ReferenceMut { field, kind: self.kind, target }));
    }
}

pub(crate) struct RequiredReference {
    reference: OneReference,
    remedy: &'static str,
}

impl Field for RequiredReference {
    type Value = Target;

    fn read(&self, name: &'static str, from: &mut Fields<'_>) -> Target {
        from.require(name, self.remedy);
        // The nil id is never returned: without a reference there is an error.
        self.reference.read(name, from).unwrap_or(Target::Id(Uuid::nil()))
    }

    fn write(&self, name: &'static str, value: &Target, out: &mut Writer) {
        out.reference(name, self.reference.kind, Some(value));
    }

    fn describe(&self) -> Option<Property> {
        Some(Property::of(self.reference.schema()).required())
    }

    fn references<'v>(&self, field: &'static str, target: &'v Target, found: &mut Vec<Reference<'v>>) {
        let OneReference { kind, on_delete, is_bare } = self.reference;
        found.push(Reference { field, kind, target, on_delete, is_bare });
    }

    fn references_mut<'v>(
        &self,
        field: &'static str,
        target: &'v mut Target,
        found: &mut Vec<ReferenceMut<'v>>,
    ) {
        found.push(ReferenceMut { field, kind: self.reference.kind, target });
    }
}

/// Ids of at most `entries_max` entities of `kind`, which cannot be deleted as long as they stand here.
pub(crate) fn id_list(kind: Kind, entries_max: usize) -> IdList {
    IdList { kind, entries_max }
}

pub(crate) struct IdList {
    kind: Kind,
    entries_max: usize,
}

impl Field for IdList {
    type Value = Vec<Target>;

    fn read(&self, name: &'static str, from: &mut Fields<'_>) -> Vec<Target> {
        let ids = from.list(name, self.entries_max, |text| match rules::uuid(text) {
            Some(_) => Ok(()),
            None => Err(format!("be the id of a {}", self.kind.label())),
        });
        ids.iter().filter_map(|id| rules::uuid(id)).map(Target::Id).collect()
    }

    fn write(&self, name: &'static str, value: &Vec<Target>, out: &mut Writer) {
        let ids: Vec<String> = value.iter().filter_map(Target::id).map(|id| id.to_string()).collect();
        out.list(name, &ids);
    }

    fn describe(&self) -> Option<Property> {
        let id = ObjectBuilder::new()
            .schema_type(Type::String)
            .format(Some(SchemaFormat::KnownFormat(KnownFormat::Uuid)));
        Some(Property::list(Property::of(id.build()), self.entries_max))
    }

    fn references<'v>(&self, field: &'static str, value: &'v Vec<Target>, found: &mut Vec<Reference<'v>>) {
        let (kind, on_delete) = (self.kind, OnDelete::Restrict);
        let is_bare = true;
        found.extend(value.iter().map(|target| Reference { field, kind, target, on_delete, is_bare }));
    }

    fn references_mut<'v>(
        &self,
        field: &'static str,
        value: &'v mut Vec<Target>,
        found: &mut Vec<ReferenceMut<'v>>,
    ) {
        found.extend(value.iter_mut().map(|target| ReferenceMut { field, kind: self.kind, target }));
    }
}
