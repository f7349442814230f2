//! Changes of an entity that depend on what it is: it is read, changed, and written only if nobody has written it meanwhile.

use std::sync::Arc;

use gateway_model::Entity;
use ids::ControlPlaneId;

use super::{
    Entities, Refusal,
    committer::{Actor, BatchError, CommitError, Outcome, Request, Shown},
    known::EntityId,
    plan::{Command, Selector},
    store,
};
use crate::rows::RowError;

/// Times that an entity is read and written anew because somebody else has written it.
const TRIES_MAX: usize = 32;

/// What became of an entity that was to be changed.
pub enum Rewritten {
    /// It stands as it was to be.
    Stands(Box<Shown>),
    /// The change was not made: what changes it did not want to.
    Left,
    /// There is no such entity.
    Gone,
}

impl Entities {
    /// Changes an entity. `change` may be called several times; if it answers `false`, nothing is written.
    pub async fn rewrite(
        &self,
        actor: &Actor,
        id: ControlPlaneId,
        entity: EntityId,
        change: impl Fn(&mut Entity) -> bool,
    ) -> Result<Rewritten, CommitError> {
        let failed = |error: RowError| CommitError::Failed(Arc::new(BatchError::from(error)));
        let sealing = self.sealing(id);
        for _ in 0..TRIES_MAX {
            let Some(row) = store::get(&self.db, id, entity.kind, entity.id).await.map_err(failed)? else {
                return Ok(Rewritten::Gone);
            };
            let mut changed = row.entity(&sealing).map_err(failed)?;
            if !change(&mut changed) {
                return Ok(Rewritten::Left);
            }
            let (selector, if_match) = (Selector::Id(entity.id), Some(row.version()));
            let command = Command::Upsert { selector, new_id: entity.id, entity: changed, if_match };
            match self.committers.commit(id, Request::plain(command, actor.clone())).await {
                Ok(Outcome::Stands(shown)) => return Ok(Rewritten::Stands(shown)),
                Ok(_) => return Ok(Rewritten::Gone),
                Err(CommitError::Refused(Refusal::OtherVersion)) => {}
                Err(error) => return Err(error),
            }
        }
        Err(CommitError::Contended)
    }
}
