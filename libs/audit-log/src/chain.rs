//! Chains: what identifies one, where it ends and where it begins.

use std::fmt;

use ids::{OrganizationId, Region, ServiceName};
use replication::{Context, Hash, NO_HASH, PublicKey, Signature, Signer, Unproven};
use serde::{Deserialize, Serialize};

use crate::record::hexed;

/// The service and the region that keep an audit log.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Place {
    /// The service.
    pub service: ServiceName,
    /// The region.
    pub region: Region,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.service.as_str(), self.region)
    }
}

/// The entries of one organization in one place. Shown as in `config.us/0198f3…`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Chain {
    /// Where the entries are.
    #[serde(flatten)]
    pub place: Place,
    /// Whose they are. An id of zeros: of no organization in particular.
    pub organization_id: OrganizationId,
}

impl fmt::Display for Chain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.place, self.organization_id)
    }
}

impl Chain {
    /// What is signed of the entry with this sequence number and hash.
    fn message(&self, seq: u64, hash: &Hash) -> Vec<u8> {
        let mut bytes = seq.to_le_bytes().to_vec();
        bytes.extend(hash);
        bytes.extend(self.organization_id.uuid().as_bytes());
        bytes.extend(self.place.to_string().as_bytes());
        bytes
    }

    /// The signature of the entry with this sequence number and hash.
    pub fn sign(&self, signer: &Signer, context: Context, seq: u64, hash: &Hash) -> Signature {
        signer.sign_message(context, &self.message(seq, hash))
    }

    /// Whether one of `keys` made `signature` for the entry with this sequence number and hash.
    pub fn proves(
        &self,
        keys: &[PublicKey],
        context: Context,
        (seq, hash): (u64, &Hash),
        signature: &Signature,
    ) -> Result<(), Unproven> {
        PublicKey::any_signed(keys, context, &self.message(seq, hash), signature)
    }
}

/// How far a chain goes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChainState {
    /// Which chain.
    #[serde(flatten)]
    pub chain: Chain,
    /// Sequence number of its last entry.
    pub seq: u64,
    /// Hash of its last entry.
    #[serde(with = "hexed")]
    pub hash: Hash,
    /// The service's signature of both.
    #[serde(with = "hexed::signature")]
    pub signature: Option<Signature>,
    /// Sequence number of the last entry that was removed because it was old; 0 if none was.
    pub floor_seq: u64,
    /// Hash of that entry; zeros if none was removed.
    #[serde(with = "hexed")]
    pub floor_hash: Hash,
    /// The service's signature of both; `None` if none was removed.
    #[serde(with = "hexed::signature")]
    pub floor_signature: Option<Signature>,
}

impl ChainState {
    /// A chain without entries.
    pub fn empty(chain: Chain) -> Self {
        Self {
            chain,
            seq: 0,
            hash: NO_HASH,
            signature: None,
            floor_seq: 0,
            floor_hash: NO_HASH,
            floor_signature: None,
        }
    }
}

/// A row of `audit_chain`.
#[derive(sqlx::FromRow)]
pub(crate) struct ChainRow {
    organization_id: postgres::SqlId<ids::kinds::Organization>,
    seq: i64,
    hash: Vec<u8>,
    signature: Option<Vec<u8>>,
    floor_seq: i64,
    floor_hash: Vec<u8>,
    floor_signature: Option<Vec<u8>>,
}

impl ChainRow {
    /// What the row says of a chain in `place`. What cannot be read is read as something that no signature is for: whoever damaged it is
    /// found when the chain is verified, and nothing stops because of it.
    pub fn state(self, place: &Place) -> ChainState {
        let hash = |bytes: Vec<u8>| bytes.try_into().unwrap_or([0xff; 32]);
        let signature = |bytes: Vec<u8>| Signature::from_bytes(&bytes);
        ChainState {
            chain: Chain { place: place.clone(), organization_id: self.organization_id.into() },
            seq: self.seq.cast_unsigned(),
            hash: hash(self.hash),
            signature: self.signature.and_then(signature),
            floor_seq: self.floor_seq.cast_unsigned(),
            floor_hash: hash(self.floor_hash),
            floor_signature: self.floor_signature.and_then(signature),
        }
    }
}
