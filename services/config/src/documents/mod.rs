//! Declarative documents: a whole configuration, or the part of it that has some tags, as one text, read and written.
//!
//! A document may have a million entities and half a gigabyte, and is never in memory as a whole. It is received into a [`spool`]; its
//! entities are checked one after another and kept by kind ([`check`]); then they are compared with what there is and written, part by
//! part ([`plan`], [`writer`]), in one transaction that holds up other writers only at its end ([`apply`]).

mod apply;
mod body;
mod check;
mod export;
pub mod http;
mod plan;
mod rows;
mod spool;
mod writer;

use std::{io, path::PathBuf};

use access::Turns;
use ids::ControlPlaneId;
use random::Random;
use seal::SealKey;
use sqlx::PgPool;
use uuid::Uuid;
use web::Problem;

use self::spool::Spools;
use crate::{
    entities::{Limits, difference::Change, secrets::Sealing},
    error::Error,
    feed::Feed,
    imports::Imports,
    validation::Validation,
};

/// Documents that take room on disk at the same time, each up to 512 MiB and as much again for its entities; one organization has half of
/// them at most.
const ON_DISK_MAX: usize = 4;
/// Documents that are written at the same time, with two connections to the database each; the same holds.
const WRITTEN_MAX: usize = 4;
/// Documents of one organization that may wait for either.
const WAITING_MAX: usize = 16;

/// The documents of this region's control planes. Cheap to clone.
#[derive(Clone)]
pub struct Documents {
    db: PgPool,
    /// Seals the secrets of entities at rest.
    seal: SealKey,
    feed: Feed,
    limits: Limits,
    random: Random,
    /// Where documents tell how far they have come.
    imports: Imports,
    /// Where they are read.
    validation: Validation,
    /// Where they are kept meanwhile.
    directory: PathBuf,
    on_disk: Turns,
    written: Turns,
}

/// How a document differed from what was there.
#[derive(Clone, Debug, PartialEq)]
pub struct Counts {
    /// The version of the control plane afterwards.
    pub version: u64,
    /// Entities that were in the document only.
    pub created: usize,
    /// Entities that were in both and differed.
    pub updated: usize,
    /// Entities that the document does not have.
    pub deleted: usize,
    /// Whether nothing was written.
    pub dry_run: bool,
    /// Of a dry run: what the first of the changes would be.
    pub changes: Vec<Change>,
    /// The import that it was.
    pub import: Uuid,
}

impl Documents {
    /// `directory` is where documents are kept that do not fit in memory, sealed, until they are written.
    pub fn new(
        (db, seal): (PgPool, SealKey),
        feed: Feed,
        limits: Limits,
        validation: Validation,
        directory: PathBuf,
        random: Random,
    ) -> Self {
        let imports = Imports::new(db.clone());
        let (on_disk, written) = (Turns::new(ON_DISK_MAX, WAITING_MAX), Turns::new(WRITTEN_MAX, WAITING_MAX));
        Self { db, seal, feed, limits, random, imports, validation, directory, on_disk, written }
    }

    /// Where one document is kept.
    fn spools(&self) -> Spools {
        Spools::new(&self.directory, &self.random.bytes())
    }

    /// Opens the secrets of a control plane's entities.
    fn sealing(&self, id: ControlPlaneId) -> Sealing {
        Sealing::of(&self.seal, id)
    }
}

/// A document could not be kept, or read again: the disk is full, or damaged.
fn not_kept(error: io::Error) -> Error {
    Problem::unavailable("the document cannot be kept on disk now; try again").because(error).into()
}
