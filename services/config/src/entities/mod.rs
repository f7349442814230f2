//! Gateway entities: one set of handlers, queries and rules for every kind in the table of kinds.
//!
//! A write is a [`plan::Command`]. The [`committer`] of its control plane groups the commands that wait, reads what they
//! need under the control plane's lock, plans each on what is known, and writes all of them as one version.

pub mod committer;
pub mod difference;
pub mod expiry;
pub mod http;
pub mod known;
mod offer;
pub mod plan;
pub mod revocations;
pub mod rewrite;
pub mod secrets;
pub mod store;
#[cfg(test)]
mod tests;

use clock::Clock;
use ids::ControlPlaneId;
use postgres::Lookups;
use random::Random;
use seal::SealKey;
use sqlx::PgPool;

pub use self::{
    committer::CommitError,
    offer::AcmeOffer,
    plan::{Limits, Refusal},
};
use self::{committer::Committers, secrets::Sealing, store::EntityRow};
use crate::{feed::Feed, imports::Imports, validation::Validation};

/// The gateway entities of this region's control planes. Cheap to clone.
#[derive(Clone)]
pub struct Entities {
    db: PgPool,
    rows: Lookups<EntityRow>,
    /// Seals the secrets of entities at rest.
    seal: SealKey,
    feed: Feed,
    committers: Committers,
    /// Where writes of many entities tell how far they have come.
    imports: Imports,
    /// Where input is read.
    validation: Validation,
    /// The time of day.
    clock: Clock,
}

impl Entities {
    /// What the handlers need, with a committer for each control plane that is written to. `seal` encrypts secrets at
    /// rest; `validation` reads input; `random` draws the secrets that the API chooses.
    pub fn new(
        db: PgPool,
        seal: SealKey,
        feed: Feed,
        limits: Limits,
        validation: Validation,
        (clock, random): (Clock, Random),
    ) -> Self {
        let committers = Committers::new(db.clone(), seal.clone(), feed.clone(), limits, random);
        let (imports, rows) = (Imports::new(db.clone()), Lookups::new(db.clone()));
        Self { db, rows, seal, feed, committers, imports, validation, clock }
    }

    /// What opens the secrets of a control plane's entities.
    pub fn sealing(&self, id: ControlPlaneId) -> Sealing {
        Sealing::of(&self.seal, id)
    }
}
