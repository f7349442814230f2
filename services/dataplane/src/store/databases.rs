//! The tables of the store, opened: two generations, what is denied, and `meta`, whose values are read and written here.

use std::path::Path;

use heed::{CommitOrAbort, Database, RoTxn, RwTxn, types::Bytes, types::Str};
use ids::{ControlPlaneId, NodeId};
use sync::Digest;
use uuid::Uuid;

use super::{
    Position, StoreError,
    environment::Environment,
    generation::Generation,
    layout::{FORMAT, Table},
};

const META: &str = "meta";
const FORMAT_KEY: &str = "format";
const NODE: &str = "node";
const CONTROL_PLANE: &str = "control-plane";
const SERVING: &str = "serving";
const REVOCATION_SEQ: &str = "revocation-seq";
const INDEXED_BY: &str = "indexed-by";

pub(super) struct Databases {
    meta: Database<'static, Str, Bytes>,
    pub denied: Table,
    pub generations: [Generation; 2],
}

impl Databases {
    /// Opens or makes all tables; refuses a store of another format untouched.
    pub fn open(environment: &Environment, folder: &Path) -> Result<Databases, StoreError> {
        let env = &environment.env;
        let outcome = env.create_databases_and_commit(env.write_txn()?, |opener, txn| {
            let meta = opener.create_database::<Str, Bytes>(txn, Some(META))?;
            match meta.get(txn, FORMAT_KEY)?.map(|value| number(value, META)).transpose()? {
                None => meta.put(txn, FORMAT_KEY, &FORMAT.to_be_bytes())?,
                Some(FORMAT) => {}
                Some(found) => return Ok::<_, StoreError>(CommitOrAbort::Abort(found)),
            }
            let mut table = |name: &str| opener.create_database::<Bytes, Bytes>(txn, Some(name));
            let denied = table("denied")?;
            let first = (table("entities-0")?, table("keys-0")?, table("buckets-0")?);
            let second = (table("entities-1")?, table("keys-1")?, table("buckets-1")?);
            Ok(CommitOrAbort::Commit((meta, denied, first, second)))
        })?;
        match outcome {
            CommitOrAbort::Abort(found) => Err(StoreError::Format { folder: folder.to_owned(), found }),
            CommitOrAbort::Commit((meta, denied, first, second)) => {
                let generations = [Generation::new(0, first), Generation::new(1, second)];
                Ok(Databases { meta, denied, generations })
            }
        }
    }

    /// The generation that readers see.
    pub fn serving(&self, txn: &RoTxn<'_>) -> Result<Generation, StoreError> {
        let [first, second] = self.generations;
        Ok(match self.meta.get(txn, SERVING)? {
            None | Some([0]) => first,
            Some([1]) => second,
            Some(_) => return Err(StoreError::Damaged(META)),
        })
    }

    /// The other one: a snapshot being staged, or nothing.
    pub fn spare(&self, txn: &RoTxn<'_>) -> Result<Generation, StoreError> {
        let serving = self.serving(txn)?;
        let [first, second] = self.generations;
        Ok(if serving.number == first.number { second } else { first })
    }

    pub fn put_serving(&self, txn: &mut RwTxn<'_>, generation: &Generation) -> Result<(), StoreError> {
        Ok(self.meta.put(txn, SERVING, &[generation.number])?)
    }

    pub fn position(&self, txn: &RoTxn<'_>, generation: &Generation) -> Result<Position, StoreError> {
        let Some(value) = self.meta.get(txn, &position_key(generation))? else {
            return Ok(Position::default());
        };
        let parts = || {
            let (epoch, rest) = value.split_first_chunk()?;
            let (version, digest) = rest.split_first_chunk()?;
            let digest = Digest::from_slice(digest)?;
            Some(Position {
                epoch: u64::from_be_bytes(*epoch),
                version: u64::from_be_bytes(*version),
                digest,
            })
        };
        parts().ok_or(StoreError::Damaged(META))
    }

    pub fn put_position(
        &self,
        txn: &mut RwTxn<'_>,
        generation: &Generation,
        position: &Position,
    ) -> Result<(), StoreError> {
        let Position { epoch, version, digest } = position;
        let value = [&epoch.to_be_bytes()[..], &version.to_be_bytes(), digest.as_bytes()].concat();
        Ok(self.meta.put(txn, &position_key(generation), &value)?)
    }

    pub fn node(&self, txn: &RoTxn<'_>) -> Result<Option<NodeId>, StoreError> {
        Ok(self.uuid(txn, NODE)?.map(NodeId::from_uuid))
    }

    pub fn put_node(&self, txn: &mut RwTxn<'_>, node: NodeId) -> Result<(), StoreError> {
        Ok(self.meta.put(txn, NODE, node.as_bytes())?)
    }

    pub fn control_plane(&self, txn: &RoTxn<'_>) -> Result<Option<ControlPlaneId>, StoreError> {
        Ok(self.uuid(txn, CONTROL_PLANE)?.map(ControlPlaneId::from_uuid))
    }

    pub fn put_control_plane(&self, txn: &mut RwTxn<'_>, id: ControlPlaneId) -> Result<(), StoreError> {
        Ok(self.meta.put(txn, CONTROL_PLANE, id.as_bytes())?)
    }

    fn uuid(&self, txn: &RoTxn<'_>, key: &str) -> Result<Option<Uuid>, StoreError> {
        let value = self.meta.get(txn, key)?;
        value.map(|value| Uuid::from_slice(value).map_err(|_| StoreError::Damaged(META))).transpose()
    }

    pub fn revocation_seq(&self, txn: &RoTxn<'_>) -> Result<u64, StoreError> {
        let value = self.meta.get(txn, REVOCATION_SEQ)?;
        let number = |value: &[u8]| Some(u64::from_be_bytes(value.try_into().ok()?));
        value.map_or(Ok(0), |value| number(value).ok_or(StoreError::Damaged(META)))
    }

    pub fn put_revocation_seq(&self, txn: &mut RwTxn<'_>, seq: u64) -> Result<(), StoreError> {
        Ok(self.meta.put(txn, REVOCATION_SEQ, &seq.to_be_bytes())?)
    }

    /// Which build made the key index; another one may be able to read more, or less.
    pub fn indexed_by(&self, txn: &RoTxn<'_>) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.meta.get(txn, INDEXED_BY)?.map(<[u8]>::to_vec))
    }

    pub fn put_indexed_by(&self, txn: &mut RwTxn<'_>, build: &[u8]) -> Result<(), StoreError> {
        Ok(self.meta.put(txn, INDEXED_BY, build)?)
    }

    #[cfg(test)]
    pub fn put_format(&self, txn: &mut RwTxn<'_>, format: u32) -> Result<(), StoreError> {
        Ok(self.meta.put(txn, FORMAT_KEY, &format.to_be_bytes())?)
    }
}

fn position_key(generation: &Generation) -> String {
    format!("position-{}", generation.number)
}

fn number(value: &[u8], table: &'static str) -> Result<u32, StoreError> {
    value.try_into().map(u32::from_be_bytes).map_err(|_| StoreError::Damaged(table))
}
