//! Declarative files: a whole configuration as one YAML or JSON document, in decK's format.
//!
//! Reading has two steps. [`parse`] checks the text, its structure and every entity by itself. [`Document::entities`] then
//! gives ids, resolves references and finds duplicates, so that applying a file twice changes nothing. Used by the config
//! service's atomic apply and by data planes without a control plane.
//!
//! Every error tells the entity's path, such as `services[3].routes[0].paths[1]`, with line and column, or the position of
//! the syntax error.

mod flatten;
#[cfg(test)]
mod fuzz;
mod locate;
mod resolve;
mod text;

#[cfg(test)]
mod tests;

use uuid::Uuid;

use crate::{Entity, Invalid, Kind, UniqueKey};

/// The only format version that is read.
pub const FORMAT_VERSION: &str = "3.0";

/// Bytes of a document's text.
pub const DOCUMENT_BYTES_MAX: usize = 32 * 1024 * 1024;

/// A document whose entities are valid, each by itself.
#[derive(Debug)]
pub struct Document {
    /// In the order of the file, each parent before its children.
    items: Vec<Item>,
    /// For the positions of later errors.
    text: Box<str>,
}

/// One entity of a document.
#[derive(Debug)]
struct Item {
    /// Such as `services[3].routes[0]`.
    path: String,
    /// Place in the list that holds it.
    position: usize,
    kind: Kind,
    /// The id, if the file gives one.
    id: Option<Uuid>,
    entity: Entity,
    parent: Option<Parent>,
}

/// The entity around another one.
#[derive(Clone, Copy, Debug)]
struct Parent {
    /// Index in [`Document::items`].
    item: usize,
    /// The child's field that refers to it.
    field: &'static str,
}

/// Reads a YAML text, of which JSON is a part. Refuses unknown fields and sections, and texts that are too large, too deep
/// or that expand too far.
pub fn parse(text: &str) -> Result<Document, Invalid> {
    let tree = text::read(text)?;
    let items = flatten::items(tree).map_err(|invalid| locate::add_positions(invalid, text))?;
    Ok(Document { items, text: text.into() })
}

impl Document {
    /// All entities with ids and resolved references, parents before children, in a stable order.
    ///
    /// An `id` in the file wins. An entity without one takes that of `existing` for one of its unique keys, else a UUIDv5 of
    /// `namespace` and its natural key: the unique key, or parent and position for what has no name. `namespace` is the control
    /// plane's id, so that two control planes never share one. Duplicates and unknown references are refused with their path.
    pub fn entities(
        &self,
        namespace: Uuid,
        existing: &dyn Fn(Kind, &UniqueKey) -> Option<Uuid>,
    ) -> Result<Vec<(Uuid, Entity)>, Invalid> {
        resolve::entities(&self.items, namespace, existing)
            .map_err(|invalid| locate::add_positions(invalid, &self.text))
    }
}
