//! Entries of a log, and the chain that they form.

use ids::{OrganizationId, PrincipalId};
use proto::replication::v1 as wire;
use uuid::Uuid;

use crate::{Dot, Origin, Position, Signature, Vector};

/// A BLAKE3 hash, 32 bytes.
pub type Hash = [u8; 32];
/// The hash before the first entry of a log.
pub const NO_HASH: Hash = [0; 32];

/// The last entry of a log, as somebody holds it. The default is the tip of an empty log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tip {
    /// Where the entry stands: epoch 0 and sequence number 0 before the first one.
    pub position: Position,
    /// Chain hash of that entry; [`NO_HASH`] before the first one.
    pub hash: Hash,
}

impl Tip {
    /// Whether `entry` is the next one of a log that ends here.
    pub fn precedes(&self, entry: &Entry) -> bool {
        self.position.seq.checked_add(1) == Some(entry.position.seq)
            && self.position.epoch <= entry.position.epoch
            && self.hash == entry.prev_hash
    }
}

/// One operation as it stands in a log, with its envelope.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// UUIDv7, made when the operation is appended. It is the same in every region.
    pub id: Uuid,
    /// The log that the entry is part of.
    pub origin: Origin,
    /// The place in that log.
    pub position: Position,
    /// Chain hash of the entry before it in its log.
    pub prev_hash: Hash,
    /// What the writer had applied of the other logs. The entry's own log is named only when the writer had not
    /// applied all of it before this entry: see [`Dot::follows`].
    pub deps: Vector,
    /// The organization whose data the operation changes.
    pub organization: OrganizationId,
    /// `None` for the operator and for services.
    pub actor: Option<PrincipalId>,
    /// Ids of what allowed the write and can be revoked: assignment, membership, principal, session.
    pub authority: Vec<Uuid>,
    /// Kind of the operation, as in `assignment.put`.
    pub kind: String,
    /// Body of the operation, as JSON.
    pub body: String,
    /// Unix microseconds at the origin: for people and for lag, never for merging.
    pub at: i64,
    /// W3C trace context of the write. Neither hashed nor signed.
    pub traceparent: String,
    /// Of the origin, over [`Entry::tip`]. `None` until the entry is stored, and for entries of releases that did not sign.
    pub signature: Option<Signature>,
}

/// A message that cannot be read as an entry; names the field.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the entry's {0} cannot be read")]
pub struct Unreadable(pub &'static str);

impl Entry {
    /// Log and position of this entry: what other entries and rows refer to it by.
    pub fn dot(&self) -> Dot {
        Dot { origin: self.origin.clone(), position: self.position }
    }

    /// This entry as the tip of its log. Hashes the entry.
    pub fn tip(&self) -> Tip {
        Tip { position: self.position, hash: self.hash() }
    }

    /// Whether this entry causally follows the one at `earlier`, or is that one.
    pub fn comes_after(&self, earlier: &Dot) -> bool {
        self.dot().follows(&self.deps, earlier)
    }

    /// Everything that a database has applied once it has applied this entry: its deps, this entry, and the whole of its log
    /// before it, also what the writer had not seen of that ([`Entry::comes_after`] tells what it had seen).
    pub fn past(&self) -> Vector {
        let mut past = self.deps.clone();
        past.advance(&self.origin, self.position);
        past
    }

    /// The chain hash: over this entry and, through `prev_hash`, all before it. The trace context and the signature are left out.
    pub fn hash(&self) -> Hash {
        let mut hasher = blake3::Hasher::new_derive_key("landbridge operation v1");
        let mut field = |bytes: &[u8]| {
            hasher.update(&(bytes.len() as u64).to_le_bytes());
            hasher.update(bytes);
        };
        field(self.id.as_bytes());
        field(self.origin.to_string().as_bytes());
        field(&self.position.epoch.to_le_bytes());
        field(&self.position.seq.to_le_bytes());
        field(&self.prev_hash);
        for (origin, position) in &self.deps {
            field(origin.to_string().as_bytes());
            field(&position.epoch.to_le_bytes());
            field(&position.seq.to_le_bytes());
        }
        field(self.organization.uuid().as_bytes());
        field(self.actor.map(|actor| actor.uuid()).unwrap_or_default().as_bytes());
        for id in &self.authority {
            field(id.as_bytes());
        }
        field(self.kind.as_bytes());
        field(self.body.as_bytes());
        field(&self.at.to_le_bytes());
        hasher.finalize().into()
    }

    /// The message in which regions send this entry to each other, and NATS carries it.
    pub fn to_wire(&self) -> wire::Operation {
        wire::Operation {
            id: self.id.as_bytes().to_vec().into(),
            origin: self.origin.to_string(),
            epoch: self.position.epoch,
            seq: self.position.seq,
            prev_hash: self.prev_hash.to_vec().into(),
            deps: self.deps.to_wire(),
            organization_id: self.organization.uuid().as_bytes().to_vec().into(),
            actor_id: self.actor.map(|actor| actor.uuid().as_bytes().to_vec()).unwrap_or_default().into(),
            authority: self.authority.iter().map(|id| id.as_bytes().to_vec().into()).collect(),
            kind: self.kind.clone(),
            body: self.body.clone(),
            at: self.at,
            traceparent: self.traceparent.clone(),
            signature: signature_to_wire(self.signature.as_ref()),
        }
    }

    /// Inverse of [`Entry::to_wire`]. Neither the chain nor the signature is checked here:
    /// [`crate::Intake`] and [`crate::Keyring`] do that. Fails with the name of
    /// the first field whose bytes have another length or form than they must have.
    pub fn from_wire(from: wire::Operation) -> Result<Self, Unreadable> {
        let uuid = |bytes: &[u8], field| Uuid::from_slice(bytes).map_err(|_| Unreadable(field));
        let actor = match from.actor_id.as_ref() {
            [] => None,
            // In the hash, a nil id stands for nobody.
            bytes => match uuid(bytes, "actor")? {
                id if id.is_nil() => return Err(Unreadable("actor")),
                id => Some(PrincipalId::from_uuid(id)),
            },
        };
        Ok(Self {
            id: uuid(&from.id, "id")?,
            origin: from.origin.parse().map_err(|_| Unreadable("origin"))?,
            position: Position { epoch: from.epoch, seq: from.seq },
            prev_hash: from.prev_hash.as_ref().try_into().map_err(|_| Unreadable("prev_hash"))?,
            deps: Vector::from_wire(&from.deps)?,
            organization: OrganizationId::from_uuid(uuid(&from.organization_id, "organization")?),
            actor,
            authority: from.authority.iter().map(|id| uuid(id, "authority")).collect::<Result<_, _>>()?,
            kind: from.kind,
            body: from.body,
            at: from.at,
            traceparent: from.traceparent,
            signature: signature_from_wire(&from.signature)?,
        })
    }
}

/// A signature as messages carry it: no bytes for none.
pub fn signature_to_wire(signature: Option<&Signature>) -> bytes::Bytes {
    signature.map(|signature| signature.as_bytes().to_vec()).unwrap_or_default().into()
}

/// Inverse of [`signature_to_wire`].
pub fn signature_from_wire(bytes: &[u8]) -> Result<Option<Signature>, Unreadable> {
    match bytes {
        [] => Ok(None),
        bytes => Signature::from_bytes(bytes).map(Some).ok_or(Unreadable("signature")),
    }
}

impl Vector {
    /// One message per log, ordered by the log's name.
    pub fn to_wire(&self) -> Vec<wire::Position> {
        let position = |(origin, position): (&Origin, &Position)| wire::Position {
            origin: origin.to_string(),
            epoch: position.epoch,
            seq: position.seq,
        };
        self.iter().map(position).collect()
    }

    /// Inverse of [`Vector::to_wire`]. A log that is named twice counts with its higher position. Fails if a name is not
    /// that of an origin.
    pub fn from_wire(from: &[wire::Position]) -> Result<Self, Unreadable> {
        let position = |wire: &wire::Position| {
            let origin = wire.origin.parse().map_err(|_| Unreadable("origin"))?;
            Ok((origin, Position { epoch: wire.epoch, seq: wire.seq }))
        };
        from.iter().map(position).collect()
    }
}

#[cfg(test)]
mod tests;
