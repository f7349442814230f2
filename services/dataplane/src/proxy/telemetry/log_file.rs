//! The file that lines go to. Threads that serve requests hand lines over, and never wait for a disk: a thread of its own writes them. What it
//! cannot keep up with, or cannot write, is dropped and counted.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    sync::{
        Arc,
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use metrics::{Counter, counter, describe_counter};
use tokio::{sync::oneshot, time::timeout};

const DROPPED: &str = "landbridge_access_log_dropped_total";

/// Pieces that wait to be written at most, of about 32 KiB each.
const WAITING_MAX: usize = 64;
/// How long the end of a gateway waits for lines that are not written yet: nobody may read from a pipe, and a disk may hang.
const LAST_LINES_TIMEOUT: Duration = Duration::from_secs(5);
/// How often it is said that lines are lost, at most.
const COMPLAINT_INTERVAL: Duration = Duration::from_secs(60);

/// Some lines, and how many they are.
type Piece = (Vec<u8>, u64);

/// Takes lines for the file. The file is closed when the last one is dropped.
pub struct Lines {
    sender: SyncSender<Piece>,
    dropped: Counter,
}

/// The thread that writes, which drops the other end when it is done.
#[derive(Debug)]
pub struct LogFile(oneshot::Receiver<()>);

impl Lines {
    /// Hands over `count` lines.
    pub fn send(&self, lines: Vec<u8>, count: u64) {
        if self.sender.try_send((lines, count)).is_err() {
            self.dropped.increment(count);
        }
    }
}

impl LogFile {
    /// Opens the file at `path`, to which is added; `-` is the standard output. An error if it cannot be opened.
    pub fn open(path: &Path) -> anyhow::Result<(Arc<Lines>, Self)> {
        describe_counter!(DROPPED, "Lines of the access log that were lost.");
        let target =
            Target::open(path).with_context(|| format!("access_log.file: cannot open {}", path.display()))?;
        let (sender, receiver) = sync_channel(WAITING_MAX);
        let dropped = counter!(DROPPED);
        let lines = Arc::new(Lines { sender, dropped: dropped.clone() });
        let (done, ended) = oneshot::channel();
        let thread = thread::Builder::new().name("access-log".to_owned());
        let writing = thread.spawn(move || {
            let _done: oneshot::Sender<()> = done;
            write(target, &receiver, &dropped);
        });
        writing.context("cannot start the access log's thread")?;
        Ok((lines, Self(ended)))
    }

    /// Waits until everything is written, or [`LAST_LINES_TIMEOUT`] is over: then the rest is lost. All that take lines must be dropped by then.
    pub async fn ended(self) {
        if timeout(LAST_LINES_TIMEOUT, self.0).await.is_err() {
            tracing::error!("the last lines of the access log are lost: nobody takes them in time");
        }
    }
}

/// Where lines are written.
enum Target {
    Output,
    File { path: PathBuf, open: File },
}

impl Target {
    fn open(path: &Path) -> io::Result<Self> {
        if path == Path::new("-") {
            return Ok(Self::Output);
        }
        Ok(Self::File { path: path.to_owned(), open: open_file(path)? })
    }

    fn write(&mut self, lines: &[u8]) -> io::Result<()> {
        match self {
            Self::Output => io::stdout().lock().write_all(lines),
            Self::File { path, open } => {
                if !is_at(open, path) {
                    *open = open_file(path)?;
                }
                open.write_all(lines)
            }
        }
    }
}

fn open_file(path: &Path) -> io::Result<File> {
    // Addresses of clients are in it.
    OpenOptions::new().create(true).append(true).mode(0o600).open(path)
}

/// Whether `file` is still the one at `path`. Whoever rotates logs has moved it away otherwise.
fn is_at(file: &File, path: &Path) -> bool {
    match (file.metadata(), fs::metadata(path)) {
        (Ok(open), Ok(there)) => (open.dev(), open.ino()) == (there.dev(), there.ino()),
        _ => false,
    }
}

fn write(mut target: Target, pieces: &Receiver<Piece>, dropped: &Counter) {
    let mut complained: Option<Instant> = None;
    while let Ok((lines, count)) = pieces.recv() {
        let Err(error) = target.write(&lines) else { continue };
        dropped.increment(count);
        if complained.is_none_or(|at| at.elapsed() >= COMPLAINT_INTERVAL) {
            complained = Some(Instant::now());
            tracing::error!(%error, "lines of the access log are lost: they cannot be written");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{io::Read as _, os::unix::fs::FileTypeExt as _};

    use rustix::fs::{CWD, FileType, Mode, mknodat};

    use super::*;

    /// More than a pipe holds.
    const LINES: &[u8] = &[b'x'; 1 << 20];

    /// A pipe with a name, and its end to read from.
    fn pipe(folder: &Path) -> (PathBuf, File) {
        let path = folder.join("pipe");
        mknodat(CWD, &path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
        // Opened for both, since otherwise it would wait for who writes.
        let end = OpenOptions::new().read(true).write(true).open(&path).unwrap();
        assert!(end.metadata().unwrap().file_type().is_fifo());
        (path, end)
    }

    #[tokio::test(start_paused = true)]
    async fn the_end_waits_for_the_last_lines_but_not_for_ever() {
        let folder = tempfile::tempdir().unwrap();
        let (path, mut reader) = pipe(folder.path());
        let (lines, file) = LogFile::open(&path).unwrap();
        lines.send(LINES.to_vec(), 1);
        drop(lines);
        let began = tokio::time::Instant::now();
        file.ended().await;
        assert_eq!(began.elapsed().as_secs(), LAST_LINES_TIMEOUT.as_secs());
        // The thread goes on for as long as the process does.
        let mut read = vec![0; LINES.len()];
        reader.read_exact(&mut read).unwrap();
        assert_eq!(read, LINES);
    }

    #[tokio::test]
    async fn what_is_taken_in_time_is_not_lost() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("access.log");
        let (lines, file) = LogFile::open(&path).unwrap();
        for _ in 0..3 {
            lines.send(LINES.to_vec(), 1);
        }
        drop(lines);
        file.ended().await;
        assert_eq!(fs::metadata(&path).unwrap().len(), 3 * LINES.len() as u64);
    }
}
