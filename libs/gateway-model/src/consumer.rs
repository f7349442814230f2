//! Consumer: someone who calls the gateway, known by credentials.

use utoipa::ToSchema;

use crate::entity::Model;
use crate::fields::Fields;
use crate::writer::Writer;
use crate::{Reference, ReferenceMut, UniqueKey, rules};

/// Someone who calls the gateway. Has a username, a custom id, or both.
#[derive(Clone, Debug, PartialEq, ToSchema)]
pub struct Consumer {
    /// Unique in the control plane; may stand for the id in URLs.
    #[schema(max_length = 255)]
    pub username: Option<String>,
    /// The consumer's id in another system, unique in the control plane.
    #[schema(max_length = 255)]
    pub custom_id: Option<String>,
    /// Free labels to select entities by.
    #[schema(required = false, max_items = 32)]
    pub tags: Vec<String>,
}

impl Consumer {
    pub(crate) fn read(fields: &mut Fields<'_>) -> Consumer {
        if !fields.has("username") && !fields.has("custom_id") {
            fields.fail("username", "is required: a consumer needs a `username`, a `custom_id` or both");
        }
        Consumer {
            username: fields.name("username", rules::username),
            custom_id: fields.foreign_id("custom_id", rules::custom_id),
            tags: fields.tags(),
        }
    }
}

impl Model for Consumer {
    fn write(&self, out: &mut Writer) {
        out.optional("username", self.username.clone());
        out.optional("custom_id", self.custom_id.clone());
        out.list("tags", &self.tags);
    }

    fn unique_keys(&self) -> Vec<UniqueKey> {
        let key = |field, value: &Option<String>| value.as_deref().map(|value| UniqueKey::new(field, value));
        [key("username", &self.username), key("custom_id", &self.custom_id)].into_iter().flatten().collect()
    }

    fn references(&self) -> Vec<Reference<'_>> {
        Vec::new()
    }

    fn references_mut(&mut self) -> Vec<ReferenceMut<'_>> {
        Vec::new()
    }

    fn name(&self) -> Option<&str> {
        self.username.as_deref()
    }
}
