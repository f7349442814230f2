//! Keeps the counts of long windows on disk, beside the requests.

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{self, Receiver, RecvTimeoutError, Sender},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use clock::Clock;

use super::{Period, Table, disk::Disk, remote::Remotes};

/// Windows of this period and of longer ones survive a restart: the others are over sooner than a gateway is back.
const KEPT_FROM: Period = Period::Hour;
/// What was counted in the last moment before a process was killed is lost: at most this much.
const WRITTEN_EVERY: Duration = Duration::from_secs(1);
/// How often what is over is dropped, in writes.
const SWEPT_EVERY: u32 = 10;
/// How often it is dropped on disk, in writes: what is kept there is windows of an hour at least.
const SWEPT_ON_DISK_EVERY: u32 = 600;

/// The counts of a gateway. They outlive every configuration, and those of long windows the process.
///
/// When another process takes over, it begins with what is on disk. The old one goes on to count what it still answers, and adds it to what is
/// on disk. The new one hears of it when it next counts for the same subject, a second later at most.
#[derive(Debug)]
pub struct Counters {
    table: Arc<Table>,
    keeping: Mutex<Option<Keeping>>,
    remotes: Remotes,
}

/// The thread that writes.
#[derive(Debug)]
struct Keeping {
    /// Dropped, it makes the thread write what is left, and end.
    going: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Default for Counters {
    fn default() -> Self {
        Self {
            table: Arc::new(Table::new(KEPT_FROM)),
            keeping: Mutex::default(),
            remotes: Remotes::default(),
        }
    }
}

impl Counters {
    /// The counts in memory.
    pub fn table(&self) -> &Table {
        &self.table
    }

    /// The servers of counts that are shared with other gateways.
    pub fn remotes(&self) -> &Remotes {
        &self.remotes
    }

    /// Reads what an earlier process has left in `folder`, and keeps there what is counted from now on. Without a disk the gateway serves all the
    /// same: then it says so, tries again each second, and counts in memory.
    pub fn keep_in(&self, folder: PathBuf, clock: Clock) {
        let disk = begin(&folder, &self.table, &clock);
        let (going, stopped) = mpsc::channel();
        let table = self.table.clone();
        let thread = thread::Builder::new()
            .name("counters".to_owned())
            .spawn(move || write_until(&stopped, disk, &folder, &table, &clock));
        match thread {
            Ok(thread) => {
                let keeping = Keeping { going: Some(going), thread: Some(thread) };
                *self.keeping.lock().unwrap_or_else(PoisonError::into_inner) = Some(keeping);
            }
            Err(error) => {
                tracing::error!(%error, "no thread for the counts of rate limits: they do not survive a restart")
            }
        }
    }
}

impl Drop for Keeping {
    fn drop(&mut self) {
        self.going.take();
        if let Some(thread) = self.thread.take() {
            // It has no more to say.
            let _ = thread.join();
        }
    }
}

/// Opens the folder and reads it. `None` if that does not work: the log says why.
fn begin(folder: &Path, table: &Table, clock: &Clock) -> Option<Disk> {
    let begun = Disk::open(folder).and_then(|disk| {
        table.settle(disk.load(now_ms(clock))?);
        Ok(disk)
    });
    begun.inspect_err(|error| tracing::warn!(%error, folder = %folder.display(), "the counts of rate limits cannot be kept")).ok()
}

fn write_until(stopped: &Receiver<()>, mut disk: Option<Disk>, folder: &Path, table: &Table, clock: &Clock) {
    for round in 1_u32.. {
        let is_last = stopped.recv_timeout(WRITTEN_EVERY) == Err(RecvTimeoutError::Disconnected);
        if disk.is_none() && !is_last {
            disk = begin(folder, table, clock);
        }
        if let Some(disk) = &disk {
            write(disk, table);
        }
        if is_last {
            return;
        }
        if round.is_multiple_of(SWEPT_EVERY) {
            table.sweep(now_ms(clock));
        }
        if let Some(disk) = disk.as_ref().filter(|_| round.is_multiple_of(SWEPT_ON_DISK_EVERY))
            && let Err(error) = disk.sweep(now_ms(clock))
        {
            tracing::warn!(%error, "counts of rate limits that are over cannot be removed from disk");
        }
    }
}

fn write(disk: &Disk, table: &Table) {
    let changes = table.changes();
    if changes.is_empty() {
        return;
    }
    match disk.add(&changes) {
        Ok(sums) => table.settle(sums),
        Err(error) => {
            tracing::warn!(%error, "the counts of rate limits cannot be written; trying again");
            table.restore(changes);
        }
    }
}

fn now_ms(clock: &Clock) -> u64 {
    (clock.now().unix_timestamp_nanos() / 1_000_000).try_into().unwrap_or(0)
}
