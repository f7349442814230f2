//! The opened LMDB databases: two generations, the denials, and `meta`. The values of `meta` are read and written here.

use std::path::Path;

use heed::{CommitOrAbort, Database, RoTxn, RwTxn, types::Bytes, types::Str};
use ids::{ControlPlaneId, NodeId};
use sync::Digest;
use uuid::Uuid;

use super::{
    Incarnation, Owner, Position, StoreError,
    environment::Environment,
    generation::Generation,
    layout::{FORMAT, Table},
    staged::Staged,
};

const META: &str = "meta";
const FORMAT_KEY: &str = "format";
const NODE: &str = "node";
const OWNER: &str = "control-plane";
const SERVING: &str = "serving";
const REVOCATION_SEQ: &str = "revocation-seq";
const STAGED: &str = "staged";
const INDEXED_BY: &str = "indexed-by";

/// Stands for [`Owner::Declarative`] under [`OWNER`]; no control plane has this id.
const DECLARATIVE: Uuid = Uuid::nil();

/// All databases of a store.
pub(super) struct Databases {
    meta: Database<'static, Str, Bytes>,
    /// Revoked credentials, by kind and id.
    pub denied: Table,
    /// The two sets of tables: one is served, the other can be filled.
    pub generations: [Generation; 2],
}

impl Databases {
    /// Opens all databases, and makes those that do not exist. A store of another format is left as it is.
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
            let mut generation = |number: u8| {
                let mut table = |name: &str| table(&format!("{name}-{number}"));
                Ok::<_, heed::Error>((
                    table("entities")?,
                    table("keys")?,
                    table("groups")?,
                    table("buckets")?,
                ))
            };
            Ok(CommitOrAbort::Commit((meta, denied, generation(0)?, generation(1)?)))
        })?;
        match outcome {
            CommitOrAbort::Abort(found) => Err(StoreError::Format { folder: folder.to_owned(), found }),
            CommitOrAbort::Commit((meta, denied, first, second)) => {
                let generations = [Generation::new(0, first), Generation::new(1, second)];
                Ok(Databases { meta, denied, generations })
            }
        }
    }

    /// The generation that requests are served from.
    pub fn serving(&self, txn: &RoTxn<'_>) -> Result<Generation, StoreError> {
        let [first, second] = self.generations;
        Ok(match self.meta.get(txn, SERVING)? {
            None | Some([0]) => first,
            Some([1]) => second,
            Some(_) => return Err(StoreError::Damaged(META)),
        })
    }

    /// The generation that is not serving. It holds a snapshot that is being staged, or nothing.
    pub fn spare(&self, txn: &RoTxn<'_>) -> Result<Generation, StoreError> {
        let serving = self.serving(txn)?;
        let [first, second] = self.generations;
        Ok(if serving.number == first.number { second } else { first })
    }

    /// Makes `generation` the one that requests are served from.
    pub fn put_serving(&self, txn: &mut RwTxn<'_>, generation: &Generation) -> Result<(), StoreError> {
        Ok(self.meta.put(txn, SERVING, &[generation.number])?)
    }

    /// The position of `generation`; `None` when no configuration was ever committed to it.
    pub fn position(&self, txn: &RoTxn<'_>, generation: &Generation) -> Result<Option<Position>, StoreError> {
        let Some(value) = self.meta.get(txn, &position_key(generation))? else {
            return Ok(None);
        };
        let parts = || {
            let (incarnation, rest) = value.split_first_chunk()?;
            let (version, digest) = rest.split_first_chunk()?;
            let digest = Digest::from_slice(digest)?;
            Some((u64::from_be_bytes(*incarnation), u64::from_be_bytes(*version), digest))
        };
        let (incarnation, version, digest) = parts().ok_or(StoreError::Damaged(META))?;
        // Earlier releases wrote a position of zeros for "none".
        Ok(Incarnation::new(incarnation).map(|incarnation| Position { incarnation, version, digest }))
    }

    /// Sets the position of `generation`.
    pub fn put_position(
        &self,
        txn: &mut RwTxn<'_>,
        generation: &Generation,
        position: Option<&Position>,
    ) -> Result<(), StoreError> {
        let key = position_key(generation);
        let Some(Position { incarnation, version, digest }) = position else {
            self.meta.delete(txn, &key)?;
            return Ok(());
        };
        let value =
            [&incarnation.get().to_be_bytes()[..], &version.to_be_bytes(), digest.as_bytes()].concat();
        Ok(self.meta.put(txn, &key, &value)?)
    }

    /// The node's id; `None` in a new store.
    pub fn node(&self, txn: &RoTxn<'_>) -> Result<Option<NodeId>, StoreError> {
        Ok(self.uuid(txn, NODE)?.map(NodeId::from_uuid))
    }

    /// Stores the id that the node got when it enrolled.
    pub fn put_node(&self, txn: &mut RwTxn<'_>, node: NodeId) -> Result<(), StoreError> {
        Ok(self.meta.put(txn, NODE, node.as_bytes())?)
    }

    /// Whose configuration this store is for; `None` before it was ever bound.
    pub fn owner(&self, txn: &RoTxn<'_>) -> Result<Option<Owner>, StoreError> {
        let owner = |id: Uuid| match id {
            DECLARATIVE => Owner::Declarative,
            id => Owner::ControlPlane(ControlPlaneId::from_uuid(id)),
        };
        Ok(self.uuid(txn, OWNER)?.map(owner))
    }

    /// Binds the store to whose configuration it holds.
    pub fn put_owner(&self, txn: &mut RwTxn<'_>, owner: Owner) -> Result<(), StoreError> {
        let id = match owner {
            Owner::Declarative => DECLARATIVE,
            Owner::ControlPlane(id) => id.uuid(),
        };
        Ok(self.meta.put(txn, OWNER, id.as_bytes())?)
    }

    fn uuid(&self, txn: &RoTxn<'_>, key: &str) -> Result<Option<Uuid>, StoreError> {
        let value = self.meta.get(txn, key)?;
        value.map(|value| Uuid::from_slice(value).map_err(|_| StoreError::Damaged(META))).transpose()
    }

    /// Sequence number of the last revocation that is stored; 0 for none.
    pub fn revocation_seq(&self, txn: &RoTxn<'_>) -> Result<u64, StoreError> {
        let value = self.meta.get(txn, REVOCATION_SEQ)?;
        let number = |value: &[u8]| Some(u64::from_be_bytes(value.try_into().ok()?));
        value.map_or(Ok(0), |value| number(value).ok_or(StoreError::Damaged(META)))
    }

    /// Stores the sequence number of the last revocation that was stored.
    pub fn put_revocation_seq(&self, txn: &mut RwTxn<'_>, seq: u64) -> Result<(), StoreError> {
        Ok(self.meta.put(txn, REVOCATION_SEQ, &seq.to_be_bytes())?)
    }

    /// How far the spare generation has come; `None` when nothing is staged there.
    pub fn staged(&self, txn: &RoTxn<'_>) -> Result<Option<Staged>, StoreError> {
        let value = self.meta.get(txn, STAGED)?;
        value.map(|value| Staged::read(value).ok_or(StoreError::Damaged(META))).transpose()
    }

    /// Stores how far the spare generation has come.
    pub fn put_staged(&self, txn: &mut RwTxn<'_>, staged: Option<&Staged>) -> Result<(), StoreError> {
        match staged {
            Some(staged) => self.meta.put(txn, STAGED, &staged.to_bytes())?,
            None => {
                self.meta.delete(txn, STAGED)?;
            }
        }
        Ok(())
    }

    /// Which build made the index. Another build may be able to read more credentials, or fewer.
    pub fn indexed_by(&self, txn: &RoTxn<'_>) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.meta.get(txn, INDEXED_BY)?.map(<[u8]>::to_vec))
    }

    /// Stores which build made the index.
    pub fn put_indexed_by(&self, txn: &mut RwTxn<'_>, build: &[u8]) -> Result<(), StoreError> {
        Ok(self.meta.put(txn, INDEXED_BY, build)?)
    }

    /// What earlier releases wrote for "no position".
    #[cfg(test)]
    pub fn put_position_of_zeros(
        &self,
        txn: &mut RwTxn<'_>,
        generation: &Generation,
    ) -> Result<(), StoreError> {
        Ok(self.meta.put(txn, &position_key(generation), &[0; 48])?)
    }

    /// Pretends that another format of the store was written.
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
