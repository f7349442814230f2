//! What can go wrong in the store.

use std::{io, path::PathBuf};

use sync::Digest;

use super::layout::FORMAT;

#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("{} is in use by another gateway: give each gateway a data folder of its own", folder.display())]
    InUse { folder: PathBuf },
    #[error(
        "{} has store format {found}, this gateway reads {FORMAT}: remove that folder and start again; \
         the configuration is fetched anew", folder.display()
    )]
    Format { folder: PathBuf, found: u32 },
    #[error("the store has reached its limit of {0} bytes")]
    Full(usize),
    #[error("the store's table `{0}` is damaged: remove the store's folder and start again")]
    Damaged(&'static str),
    #[error("the digest after this change is {found}, the control plane's is {expected}")]
    DigestDiffers { expected: Digest, found: Digest },
    #[error("a page carries a row of bucket {bucket} that is deleted, or whose bucket was not begun")]
    ForeignRow { bucket: u8 },
    #[error("no snapshot of epoch {0} is being staged")]
    NotStaging(u64),
    #[error("the store's writer has stopped; see the log for the reason")]
    WriterStopped,
    #[error("store: {0}")]
    Lmdb(#[from] heed::Error),
    #[error("store: {0}")]
    Io(#[from] io::Error),
}
