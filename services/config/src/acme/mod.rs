//! Certificates that are ordered from ACME servers (RFC 8555): for each entity of the kind `acme_certificate`, this makes what the entity asks for
//! be there, and renews it in time.
//!
//! What gateways need is written into the entity, as every change is: the challenges that they answer, then the certificate. How an order goes is
//! a row of its own ([`store`]), since it concerns no gateway. When to order is decided by pure rules ([`due`]); [`reconcile`] carries that out, an
//! [`attempt`] at a time for each entity, in whichever replica comes first.

mod accounts;
mod attempt;
mod challenges;
mod client;
mod due;
mod failure;
mod hook;
pub mod http;
mod options;
pub mod reconcile;
mod store;

use random::Random;
use seal::SealKey;
use sqlx::PgPool;

pub use self::options::Options;
use self::store::Job;
use crate::entities::{Entities, committer::Actor};

/// The orders of this region's control planes. Cheap to clone.
#[derive(Clone)]
pub struct Acme {
    db: PgPool,
    /// Seals the keys of accounts, and those of certificates that are not issued yet.
    seal: SealKey,
    entities: Entities,
    options: Options,
    /// For names of attempts, and for pauses.
    random: Random,
}

impl Acme {
    /// What orders, and what the handlers need. `options` are the ACME servers of the region.
    pub fn new(db: PgPool, seal: SealKey, entities: Entities, options: Options, random: Random) -> Self {
        Self { db, seal, entities, options, random }
    }

    /// Who writes what an order comes to.
    fn actor(&self, job: Job) -> Actor {
        Actor::Service(job.organization)
    }
}
