//! The kinds of gateway entity: their fields, rules, unique keys and references.
//!
//! Everything that Landbridge knows about a service, a route or a plugin as data is here, once: the config service
//! validates and stores with it, the data plane reads what it receives with it, and declarative files are flattened by it.
//! The crate is pure: no I/O, no clock, no randomness.
//!
//! An entity has three forms:
//!
//! * **API** ([`Entity::from_api`], [`Entity::to_api`]): as users write and see it, every field with its default.
//! * **Wire** ([`Entity::from_wire`], [`Entity::to_wire`]): as the database and the nodes hold it. Compact, no secrets, all
//!   references resolved. A field at its default is left out, so an older node reads a newer entity that uses nothing new.
//!   Defaults are therefore part of the format and never change.
//! * **File** ([`declarative`]): nested, references by name.
//!
//! All three are read strictly: what a reader does not know, it refuses.
//!
//! A new kind is one file in `kinds/` and one line in the table in `entity.rs`. A new plugin is one file in `kinds/plugin/` and one line
//! in the table there.

/// Version of the model. It grows with every release that adds a kind, a field, a plugin or a setting.
pub const MODEL_VERSION: u32 = 3;

pub mod declarative;
mod entity;
mod invalid;
mod kind;
mod kinds;
pub mod path_regex;
mod record;
mod reference;
mod rules;
pub mod template;
#[cfg(test)]
mod testing;
pub mod text_regex;
mod tree;

pub use entity::{Entity, NotReady, body_id, parse_body};
pub use invalid::{FIELD_ERRORS_MAX, FieldError, Invalid};
pub use kind::Kind;
pub use kinds::*;
pub use path_regex::PathRegex;
pub use record::{Secret, SecretMap, SecretMut, Treatment};
pub use reference::{OnDelete, Reference, ReferenceMut, Target, UniqueKey};
