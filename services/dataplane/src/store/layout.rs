//! The store on disk: its tables, their keys and values.
//!
//! | table | key | value |
//! |---|---|---|
//! | `meta` | name of the value | see the methods of [`super::databases::Databases`] |
//! | `denied` | kind, 0, id | incarnation and sequence number of the revocation |
//! | `entities-<g>` | bucket, kind, 0, id | version, body |
//! | `keys-<g>` | hash that a credential or consumer is looked up by | its id, consumer id, end if it has one |
//! | `groups-<g>` | consumer id, id of the entity that says so | a group of the consumer |
//! | `buckets-<g>` | bucket | digest of its entities; absent when empty |
//!
//! `<g>` is the number of the generation. Numbers are big-endian. The key of an entity begins with its bucket, so that the
//! entities of a bucket are neighbours. Whoever changes any of this raises [`FORMAT`], but for
//! `keys-<g>` and `groups-<g>`: they are made of the entities again by a build with other rules.

use heed::{Database, types::Bytes};
use uuid::Uuid;

use super::Place;

/// Version of this layout.
pub(super) const FORMAT: u32 = 2;

/// Named tables: two, and four for each generation.
pub(super) const DATABASES_MAX: u32 = 10;

pub(super) type Table = Database<'static, Bytes, Bytes>;

/// Key in `denied`.
pub(super) fn denied_key(kind: &str, id: Uuid) -> Vec<u8> {
    [kind.as_bytes(), &[0], id.as_bytes()].concat()
}

/// Kind and id of a key in `denied`; `None` when the key is damaged.
pub(super) fn read_denied_key(key: &[u8]) -> Option<(&str, Uuid)> {
    let (name, id) = key.split_last_chunk::<16>()?;
    let (&0, kind) = name.split_last()? else { return None };
    Some((std::str::from_utf8(kind).ok()?, Uuid::from_bytes(*id)))
}

/// Value in `denied`.
pub(super) fn denied_value(place: Place) -> Vec<u8> {
    [place.incarnation.to_be_bytes(), place.seq.to_be_bytes()].concat()
}

/// The revocation of a value in `denied`; `None` when the value is damaged.
pub(super) fn read_denied_value(value: &[u8]) -> Option<Place> {
    let (incarnation, seq) = value.split_first_chunk()?;
    let seq = seq.try_into().ok()?;
    Some(Place { incarnation: u64::from_be_bytes(*incarnation), seq: u64::from_be_bytes(seq) })
}

/// Key in `entities-<g>`.
pub(super) fn entities_key(bucket: u8, kind: &str, id: Uuid) -> Vec<u8> {
    [&[bucket][..], kind.as_bytes(), &[0], id.as_bytes()].concat()
}

/// Kind and id of a key in `entities-<g>`; `None` when the key is damaged.
pub(super) fn read_entities_key(key: &[u8]) -> Option<(&str, Uuid)> {
    read_denied_key(key.split_first()?.1)
}

/// Value in `entities-<g>`.
pub(super) fn entities_value(version: u64, body: &[u8]) -> Vec<u8> {
    [&version.to_be_bytes()[..], body].concat()
}

/// Version and body of a value in `entities-<g>`; `None` when the value is damaged.
pub(super) fn read_entities_value(value: &[u8]) -> Option<(u64, &[u8])> {
    let (version, body) = value.split_first_chunk()?;
    Some((u64::from_be_bytes(*version), body))
}
