//! Operations, entries and effects as the tables hold them.

use ids::{PrincipalId, kinds};
use postgres::{Error, SqlId};
use replication::{Entry, Position, Signature};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use sqlx::types::Uuid;

use crate::{
    Operation,
    apply::{ApplyError, StoredEffects},
    columns,
};

/// An operation on its way to or from an entry.
#[derive(Serialize, Deserialize)]
struct Tagged<'a> {
    kind: std::borrow::Cow<'a, str>,
    #[serde(borrow)]
    body: &'a RawValue,
}

/// The operation in an entry; an error if this release does not know its kind, or it is malformed.
pub fn operation<O: Operation>(entry: &Entry) -> Result<O, ApplyError> {
    let read = || {
        let body: &RawValue = serde_json::from_str(&entry.body)?;
        let tagged = Tagged { kind: entry.kind.as_str().into(), body };
        serde_json::from_str(&serde_json::to_string(&tagged)?)
    };
    read().map_err(|error: serde_json::Error| ApplyError::Unreadable(error.to_string()))
}

/// The kind and the body of an entry that holds `operation`.
pub fn kind_and_body(operation: &impl Operation) -> Result<(String, String), Error> {
    let text = serde_json::to_string(operation).map_err(Error::unencodable)?;
    let tagged: Tagged<'_> = serde_json::from_str(&text).map_err(Error::unencodable)?;
    Ok((tagged.kind.into_owned(), tagged.body.get().to_owned()))
}

/// What `log_applied` says of an entry.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Effects<E> {
    /// Rows were made anew: whoever follows has to read them again.
    Marker(Marker),
    Changed(E),
}

/// Stands where effects would stand. Its stored form is a JSON string; effects are objects.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Marker {
    Reload,
}

/// The stored form of what an entry changed.
pub fn effects(effects: &impl Serialize) -> Result<StoredEffects, Error> {
    serde_json::to_string(effects).map_err(Error::unencodable)
}

/// The stored form of "rows were made anew".
pub fn reload() -> Result<StoredEffects, Error> {
    effects(&Effects::<()>::Marker(Marker::Reload))
}

/// A row of `log_operation`.
#[derive(sqlx::FromRow)]
pub struct OperationRow {
    origin: String,
    seq: i64,
    epoch: i64,
    id: Uuid,
    organization_id: SqlId<kinds::Organization>,
    actor_id: Option<SqlId<kinds::Principal>>,
    authority: Vec<Uuid>,
    prev_hash: Vec<u8>,
    deps: String,
    kind: String,
    body: String,
    at: i64,
    traceparent: String,
    signature: Option<Vec<u8>>,
}

impl TryFrom<OperationRow> for Entry {
    type Error = Error;

    fn try_from(row: OperationRow) -> Result<Self, Error> {
        Ok(Self {
            id: row.id,
            origin: columns::origin(&row.origin)?,
            position: columns::position(row.epoch, row.seq)?,
            prev_hash: hash(row.prev_hash)?,
            deps: serde_json::from_str(&row.deps).map_err(Error::undecodable)?,
            organization: row.organization_id.into(),
            actor: row.actor_id.map(PrincipalId::from),
            authority: row.authority,
            kind: row.kind,
            body: row.body,
            at: row.at,
            traceparent: row.traceparent,
            signature: row.signature.map(signature).transpose()?,
        })
    }
}

/// Entries from their rows, in the same order.
pub fn entries(rows: Vec<OperationRow>) -> Result<Vec<Entry>, Error> {
    rows.into_iter().map(Entry::try_from).collect()
}

/// A row of `log_origin`, or of a join with it.
#[derive(sqlx::FromRow)]
pub struct OriginRow {
    /// Name of the log, as in `authz.us`.
    pub origin: String,
    /// Epoch of the last applied entry, from 0.
    pub epoch: i64,
    /// Sequence number of the last applied entry; 0 if none is applied.
    pub seq: i64,
    /// Chain hash of the last applied entry, 32 bytes.
    pub hash: Vec<u8>,
}

impl TryFrom<OriginRow> for (replication::Origin, replication::Tip) {
    type Error = Error;

    fn try_from(row: OriginRow) -> Result<Self, Error> {
        let position: Position = columns::position(row.epoch, row.seq)?;
        Ok((columns::origin(&row.origin)?, replication::Tip { position, hash: hash(row.hash)? }))
    }
}

/// A signature from its column.
pub fn signature(bytes: Vec<u8>) -> Result<Signature, Error> {
    Signature::from_bytes(&bytes).ok_or_else(|| Error::undecodable("a signature is 72 bytes"))
}

fn hash(bytes: Vec<u8>) -> Result<replication::Hash, Error> {
    bytes.try_into().map_err(|_| Error::undecodable("a hash is 32 bytes"))
}

#[cfg(test)]
mod tests {
    use replication::{NO_HASH, Position, Vector};
    use serde_json::json;

    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    #[serde(tag = "kind", content = "body")]
    enum Thing {
        #[serde(rename = "thing.put")]
        Put { name: String, size: u64 },
        #[serde(rename = "thing.removed")]
        Removed(u64),
    }

    impl Operation for Thing {
        fn is_revocation(&self) -> bool {
            matches!(self, Self::Removed(_))
        }
    }

    fn entry(kind: &str, body: &str) -> Entry {
        Entry {
            id: Uuid::nil(),
            origin: "authz.us".parse().expect("an origin"),
            position: Position { epoch: 1, seq: 1 },
            prev_hash: NO_HASH,
            deps: Vector::default(),
            organization: ids::OrganizationId::from_uuid(Uuid::nil()),
            actor: None,
            authority: Vec::new(),
            kind: kind.to_owned(),
            body: body.to_owned(),
            at: 0,
            traceparent: String::new(),
            signature: None,
        }
    }

    #[test]
    fn an_operation_comes_back_from_its_entry() {
        for thing in [Thing::Put { name: "é \"quoted\"".to_owned(), size: u64::MAX }, Thing::Removed(7)] {
            let (kind, body) = kind_and_body(&thing).expect("JSON");
            assert_eq!(operation::<Thing>(&entry(&kind, &body)).expect("read"), thing);
        }
        let (kind, body) = kind_and_body(&Thing::Put { name: "a".to_owned(), size: 1 }).expect("JSON");
        assert_eq!((kind.as_str(), body.as_str()), ("thing.put", r#"{"name":"a","size":1}"#));
    }

    #[test]
    fn what_is_no_operation_of_this_release_is_an_error() {
        for (kind, body) in [
            ("thing.made", "{}"),
            ("", r#"{"name":"a","size":1}"#),
            ("thing.put", r#"{"name":"a"}"#),
            ("thing.put", "{"),
            ("thing.put", ""),
        ] {
            let read = operation::<Thing>(&entry(kind, body));
            assert!(matches!(read, Err(ApplyError::Unreadable(_))), "{kind} {body}: {read:?}");
        }
    }

    #[test]
    fn an_operation_without_a_kind_cannot_be_written() {
        #[derive(Serialize, Deserialize)]
        struct Untagged {
            body: u8,
        }
        impl Operation for Untagged {
            fn is_revocation(&self) -> bool {
                false
            }
        }
        assert!(kind_and_body(&Untagged { body: 1 }).is_err());
    }

    #[test]
    fn the_marker_is_told_from_effects() {
        assert_eq!(reload().expect("JSON"), r#""reload""#, "as databases have it");
        let read = |text| serde_json::from_str::<Effects<Vec<u8>>>(text).ok();
        assert_eq!(read(r#""reload""#), Some(Effects::Marker(Marker::Reload)));
        assert_eq!(read("[1,2]"), Some(Effects::Changed(vec![1, 2])));
        assert_eq!(read(r#""other""#), None);
        assert_eq!(effects(&vec![1, 2]).expect("JSON"), json!([1, 2]).to_string());
    }
}
