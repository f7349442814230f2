//! What can fail in the store.

use std::{io, path::PathBuf};

use sync::Digest;

use super::{Incarnation, layout::FORMAT};

/// Why the store could not be opened, read or changed. A failed change changes nothing.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Another process has the store open.
    #[error("{} is in use by another gateway: give each gateway a data folder of its own, or start this one with --take-over", folder.display())]
    InUse {
        /// The store's folder.
        folder: PathBuf,
    },
    /// Another release wrote the store, in a layout that this one cannot read.
    #[error(
        "{} has store format {found}, this gateway reads {FORMAT}", folder.display()
    )]
    Format {
        /// The store's folder.
        folder: PathBuf,
        /// Version of its layout.
        found: u32,
    },
    /// The change does not fit. The limit in bytes.
    #[error("the store has reached its limit of {0} bytes")]
    Full(usize),
    /// A stored value cannot be read.
    #[error("the store's table `{0}` is damaged")]
    Damaged(&'static str),
    /// The change was refused: its result is not what the control plane has.
    #[error("the digest after this change is {found}, but the control plane announced {expected}")]
    DigestDiffers {
        /// What the control plane announced.
        expected: Digest,
        /// What the change leads to.
        found: Digest,
    },
    /// A page of a snapshot breaks the protocol.
    #[error("a page has an entity of bucket {bucket} that is a tombstone, or whose bucket no page has begun")]
    ForeignEntity {
        /// The entity's bucket.
        bucket: u8,
    },
    /// A page or the end of a snapshot came without a beginning.
    #[error("no snapshot of incarnation {0} is being staged")]
    NotStaging(Incarnation),
    /// A change panicked, and the thread that writes has ended.
    #[error("the store's writer has stopped; see the log for the reason")]
    WriterStopped,
    /// LMDB failed. To write half of a page, as on a full disk, is an I/O error to it.
    #[error("store: {0}{hint}", hint = full_disk(.0))]
    Lmdb(#[from] heed::Error),
    /// The data folder cannot be used.
    #[error("store: {0}")]
    Io(#[from] io::Error),
}

fn full_disk(error: &heed::Error) -> &'static str {
    if matches!(error, heed::Error::Io(_)) { "; see whether the disk of the data folder is full" } else { "" }
}
