//! The form in which whoever checks a document as a stream keeps its entities until they are written.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use uuid::Uuid;

use super::{Item, Parent};
use crate::record::{Fields, Passwords, Source};
use crate::{Entity, Invalid, Kind, Secret, SecretMut, Treatment};

/// The fields that an entity was read from.
#[derive(Debug)]
pub struct Given {
    pub(super) map: Map<String, Value>,
    pub(super) passwords: Passwords,
}

#[derive(Serialize, Deserialize)]
struct Kept {
    number: usize,
    path: String,
    position: usize,
    kind: String,
    id: Option<Uuid>,
    /// Number and field of the entity around it.
    parent: Option<(usize, String)>,
    has_hashes: bool,
    fields: Map<String, Value>,
}

impl Item {
    /// The entity as bytes, which [`Item::from_kept`] reads. If its passwords were hashed since it was read, they are hashes from now on.
    pub fn into_kept(mut self, mut given: Given) -> Vec<u8> {
        for SecretMut { field, treatment, secret } in self.entity.secrets_mut() {
            if let (Treatment::Password, Secret::AtRest(hash)) = (treatment, &*secret) {
                given.map.insert(field.to_owned(), Value::String(hash.clone()));
                given.passwords = Passwords::Hashed;
            }
        }
        let Self { number, path, position, kind, id, parent, .. } = self;
        let kept = Kept {
            number,
            path,
            position,
            kind: kind.name().to_owned(),
            id,
            parent: parent.map(|parent| (parent.item, parent.field.to_owned())),
            has_hashes: given.passwords == Passwords::Hashed,
            fields: given.map,
        };
        // Names and values are text, numbers and lists: JSON can hold them.
        serde_json::to_vec(&kept).unwrap_or_default()
    }

    /// Reads what [`Item::into_kept`] made.
    pub fn from_kept(bytes: &[u8]) -> Result<Self, Invalid> {
        let unreadable = |what: &str| Invalid::one("", format!("a kept entity cannot be read: {what}"));
        let kept: Kept = serde_json::from_slice(bytes).map_err(|error| unreadable(&error.to_string()))?;
        let Kept { number, path, position, kind, id, parent, has_hashes, fields } = kept;
        let kind = Kind::from_name(&kind).ok_or_else(|| unreadable("its kind"))?;
        let parent = match parent {
            Some((item, field)) => {
                let mut children = Kind::ALL.into_iter().flat_map(Kind::children);
                let child = children.find(|child| child.kind == kind && child.parent_field == field);
                let field = child.ok_or_else(|| unreadable("its parent"))?.parent_field;
                Some(Parent { item, field })
            }
            None => None,
        };
        let passwords = if has_hashes { Passwords::Hashed } else { Passwords::Plain };
        let mut errors = Invalid::default();
        let mut reader = Fields::new(&fields, "", Source::File, &mut errors).with_passwords(passwords);
        let entity: Entity = kind.read(&mut reader);
        reader.finish();
        errors.or(Self { number, path, position, kind, id, entity, parent })
    }
}
