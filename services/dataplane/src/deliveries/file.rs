//! Entries as lines at the end of a file.

use std::{
    fs::{self, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use bytes::Bytes;
use futures::future::BoxFuture;
use rustix::fs::OFlags;

use super::{Destination, Failed};

/// Whoever collects logs runs as another user of the same group.
const MODE: u32 = 0o640;

/// See the module.
#[derive(Clone, Debug)]
pub struct File {
    path: PathBuf,
    /// Opened for each batch: whoever rotates logs can move it away.
    reopens: bool,
    /// Nothing is written below this folder.
    kept: Option<PathBuf>,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    open: Option<fs::File>,
    /// The last line that was written is not whole.
    is_torn: bool,
}

impl File {
    /// The file at `path`, which must not be in the folder `kept`, where the gateway keeps its own.
    pub fn new(path: PathBuf, reopens: bool, kept: Option<PathBuf>) -> Self {
        Self { path, reopens, kept, state: Arc::default() }
    }

    fn write(&self, batch: &[Bytes]) -> Result<(), Failed> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let failed = |delivered, error: &io::Error| {
            let cause = format!("{}: {error}", self.path.display());
            Failed { delivered, stuck: batch.len() - delivered, is_hopeless: false, cause }
        };
        let mut file = match state.open.take().filter(|_| !self.reopens) {
            Some(file) => file,
            None => self.open().map_err(|error| failed(0, &error))?,
        };
        let mut lines = Vec::with_capacity(batch.iter().map(|entry| entry.len() + 1).sum::<usize>() + 1);
        lines.extend(state.is_torn.then_some(b'\n'));
        let mut ends = Vec::with_capacity(batch.len());
        for entry in batch {
            lines.extend_from_slice(entry);
            lines.push(b'\n');
            ends.push(lines.len());
        }
        let (written, result) = write(&mut file, &lines);
        let delivered = ends.partition_point(|end| *end <= written);
        let whole = delivered.checked_sub(1).and_then(|last| ends.get(last)).copied().unwrap_or(0);
        state.is_torn = if written == 0 { state.is_torn } else { whole != written };
        result.map_err(|error| failed(delivered, &error))?;
        state.open = Some(file);
        Ok(())
    }

    fn open(&self) -> io::Result<fs::File> {
        if let Some(kept) = &self.kept
            && fs::canonicalize(self.path.parent().unwrap_or(Path::new("/")))?
                .starts_with(fs::canonicalize(kept)?)
        {
            return Err(io::Error::other("it is in the folder that the gateway keeps its own data in"));
        }
        // A pipe that nobody reads from is an error, and keeps nobody waiting.
        let flags = OFlags::NONBLOCK.bits().cast_signed();
        OpenOptions::new().create(true).append(true).mode(MODE).custom_flags(flags).open(&self.path)
    }
}

/// Writes `bytes`. Returns how many were written.
fn write(file: &mut fs::File, bytes: &[u8]) -> (usize, io::Result<()>) {
    let mut written = 0;
    while let Some(rest) = bytes.get(written..).filter(|rest| !rest.is_empty()) {
        match file.write(rest) {
            Ok(0) => return (written, Err(io::ErrorKind::WriteZero.into())),
            Ok(count) => written += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return (written, Err(error)),
        }
    }
    (written, Ok(()))
}

impl Destination for File {
    fn deliver<'a>(&'a self, batch: &'a [Bytes]) -> BoxFuture<'a, Result<(), Failed>> {
        let (file, batch) = (self.clone(), batch.to_vec());
        Box::pin(async move {
            let count = batch.len();
            let written = tokio::task::spawn_blocking(move || file.write(&batch)).await;
            written.unwrap_or_else(|error| {
                Err(Failed { delivered: 0, stuck: count, is_hopeless: false, cause: error.to_string() })
            })
        })
    }
}
