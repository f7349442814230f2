//! A delta as it was received, and whether it continues what is held. Pure.

use std::time::SystemTime;

use sync::{Digest, EntityState};

use crate::store::{Incarnation, Position, Settled, StoreError};

/// A received delta whose form was checked.
#[derive(Debug)]
pub struct Delta {
    /// The incarnation in which the versions count.
    pub incarnation: Incarnation,
    /// The delta has all entities that changed after this version.
    pub base: u64,
    /// Version of the configuration after the delta.
    pub version: u64,
    /// Digest of all entities at `version`.
    pub digest: Digest,
    /// Changed entities and tombstones.
    pub entities: Vec<EntityState>,
    /// The revocations whose deletes are part of `version`.
    pub settled: Settled,
    /// When the control plane committed the newest change of the delta, by the control plane's clock. For the propagation
    /// metric.
    pub committed_at: Option<SystemTime>,
}

/// Why a change was not applied. Then the configuration in service stays as it was.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// The delta starts from a configuration, and the gateway holds none.
    #[error("a delta from version {base} cannot be applied: this gateway holds no configuration")]
    NothingHeld {
        /// Where the delta starts.
        base: u64,
    },
    /// The delta is of another incarnation.
    #[error("a delta of incarnation {delta} cannot follow incarnation {held}")]
    Incarnation {
        /// What the gateway holds.
        held: Incarnation,
        /// What the delta is of.
        delta: Incarnation,
    },
    /// The delta starts after what is held, or ends before it.
    #[error("a delta from version {base} to {version} does not continue version {held}")]
    Gap {
        /// What the gateway holds.
        held: u64,
        /// Where the delta starts.
        base: u64,
        /// Where the delta ends.
        version: u64,
    },
    /// An entity contradicts the delta that carries it.
    #[error("an entity has version {entity}, later than its delta's {version}")]
    EntityVersion {
        /// Version of the entity.
        entity: u64,
        /// Where the delta ends.
        version: u64,
    },
    /// Deriving the view panicked.
    #[error("the view could not be derived; the configuration in service stays as it was")]
    Derive,
    /// This process writes no more.
    #[error("another process has taken over: it takes changes from now on")]
    TakenOver,
    /// The store refused or failed; [`StoreError::DigestDiffers`] when the result is not what the control plane has.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Delta {
    /// The entities that are newer than what is held, if the delta continues it. A delta may begin earlier than necessary.
    pub(super) fn entities_after(&self, held: Option<&Position>) -> Result<Vec<EntityState>, ApplyError> {
        let &Delta { incarnation, base, version, .. } = self;
        let Some(held) = held else {
            return if base == 0 { self.in_range(0) } else { Err(ApplyError::NothingHeld { base }) };
        };
        // A gateway that holds no entity can begin any incarnation at its beginning.
        let is_empty = held.version == 0 && held.digest.is_zero();
        if incarnation != held.incarnation && !(base == 0 && is_empty) {
            return Err(ApplyError::Incarnation { held: held.incarnation, delta: incarnation });
        }
        if base > held.version || version < held.version {
            return Err(ApplyError::Gap { held: held.version, base, version });
        }
        self.in_range(held.version)
    }

    /// The entities after version `held`; an error if one is later than the delta itself.
    fn in_range(&self, held: u64) -> Result<Vec<EntityState>, ApplyError> {
        if let Some(entity) = self.entities.iter().find(|entity| entity.version > self.version) {
            return Err(ApplyError::EntityVersion { entity: entity.version, version: self.version });
        }
        Ok(self.entities.iter().filter(|entity| entity.version > held).cloned().collect())
    }
}
