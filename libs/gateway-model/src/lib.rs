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
//! A new kind is one file beside `service.rs`, one variant in [`Kind`] and one in [`Entity`], one row in the table of kinds
//! and its lines in the exhaustive matches, which the compiler asks for.

mod consumer;
pub mod declarative;
mod entity;
mod fields;
mod invalid;
mod key_auth;
mod kind;
pub mod path_regex;
pub mod plugin;
mod reference;
mod route;
mod rules;
mod schema;
mod service;
#[cfg(test)]
mod testing;
mod tree;
mod writer;

pub use consumer::Consumer;
pub use entity::{Entity, NotReady, body_id, parse_body};
pub use invalid::{FIELD_ERRORS_MAX, FieldError, Invalid};
pub use key_auth::{Key, KeyAuth, key_hash, key_hash_hex};
pub use kind::{Child, Kind};
pub use path_regex::PathRegex;
pub use plugin::{Plugin, PluginConfig, PluginProtocol};
pub use reference::{OnDelete, Reference, ReferenceMut, Target, UniqueKey};
pub use route::{HostPattern, PathPattern, Route};
pub use service::{Protocol, Service};
