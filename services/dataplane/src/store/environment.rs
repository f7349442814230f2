//! The LMDB environment: opened by one process at a time, and enlarged when it is full.
//!
//! A transaction lives within one call, so none is ever held across an `.await`.

use std::{
    fs::{self, File, TryLockError},
    io,
    path::Path,
    sync::{PoisonError, RwLock},
};

use heed::{CompactionOption, Env, EnvOpenOptions, MdbError, RoTxn, RwTxn, WithoutTls};

use super::{StoreError, StoreOptions, layout::DATABASES_MAX};

/// Read transactions at one time. More than the runtime has threads is enough, since none is held across an `.await`.
const READERS_MAX: u32 = 1024;

/// Locked by the process that has the store open.
const LOCK_FILE: &str = "landbridge.lock";
/// Pages have the size of the system's, which are never smaller.
const PAGE_BYTES_MIN: u64 = 4096;
/// LMDB's own name for the file with the data.
pub(super) const DATA_FILE: &str = "data.mdb";

pub(super) struct Environment {
    /// LMDB. Transactions are begun by [`Environment::read`] and [`Environment::write`]; before the store is open, also by
    /// what opens it.
    pub env: Env<WithoutTls>,
    /// Readers share it. It is held exclusively while the map grows, because LMDB requires that no transaction is open then.
    growth: RwLock<()>,
    map_bytes_max: usize,
    _lock: Lock,
}

/// Unlocks the file when dropped. Closing the file alone does not: a child process that is being started has a copy of the
/// open file for a moment.
pub(super) struct Lock(File);

impl Lock {
    /// [`StoreError::InUse`] if another process has it.
    pub fn take(folder: &Path) -> Result<Self, StoreError> {
        let lock = File::options().create(true).truncate(false).write(true).open(folder.join(LOCK_FILE))?;
        match lock.try_lock() {
            Ok(()) => Ok(Self(lock)),
            Err(TryLockError::WouldBlock) => Err(StoreError::InUse { folder: folder.to_owned() }),
            Err(TryLockError::Error(error)) => Err(error.into()),
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // Fails only for a file that is gone.
        let _ = self.0.unlock();
    }
}

/// Whether a process has the store in `folder` open.
pub fn is_open(folder: &Path) -> bool {
    let lock = File::open(folder.join(LOCK_FILE));
    lock.is_ok_and(|lock| matches!(lock.try_lock_shared(), Err(TryLockError::WouldBlock)))
}

impl Environment {
    /// Opens the environment in `folder` and locks it; [`StoreError::InUse`] if another process has the lock.
    pub fn open(folder: &Path, options: StoreOptions) -> Result<Environment, StoreError> {
        fs::create_dir_all(folder)?;
        let lock = Lock::take(folder)?;
        let mut open = EnvOpenOptions::new().read_txn_without_tls();
        open.map_size(options.map_bytes).max_dbs(DATABASES_MAX).max_readers(READERS_MAX);
        #[expect(unsafe_code, reason = "the lock keeps other processes from changing the mapped file")]
        let env = unsafe { open.open(folder)? };
        Ok(Environment { env, growth: RwLock::new(()), map_bytes_max: options.map_bytes_max, _lock: lock })
    }

    /// Whether the file is shorter than what it says to have. It may be, if what was last taken of it was given back in the same transaction.
    pub fn is_cut_off(&self) -> Result<bool, StoreError> {
        let pages = self.env.info().last_page_number as u64 + 1;
        Ok(self.env.real_disk_size()? < pages * PAGE_BYTES_MIN)
    }

    /// Copies what is committed to `folder`, in place of what is there, and waits until it is on disk.
    pub fn copy(&self, folder: &Path) -> Result<(), StoreError> {
        match fs::remove_dir_all(folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            removed => removed?,
        }
        fs::create_dir_all(folder)?;
        let _no_growth = self.growth.read().unwrap_or_else(PoisonError::into_inner);
        let copy = self.env.copy_to_path(folder.join(DATA_FILE), CompactionOption::Enabled)?;
        copy.sync_all()?;
        Ok(File::open(folder)?.sync_all()?)
    }

    /// Runs `f` in a read transaction. `f` must not open another transaction.
    pub fn read<T>(&self, f: impl FnOnce(&RoTxn<'_>) -> Result<T, StoreError>) -> Result<T, StoreError> {
        let _no_growth = self.growth.read().unwrap_or_else(PoisonError::into_inner);
        let txn = self.env.read_txn()?;
        f(&txn)
    }

    /// Runs `f` in a write transaction and commits it to disk. An error of `f` undoes all of it. When the map is full it is
    /// enlarged, and `f` runs again from its start. Called by one thread at a time: first by the one that opens the store,
    /// then by the writer.
    pub fn write<T>(
        &self,
        mut f: impl FnMut(&mut RwTxn<'_>) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        loop {
            match self.attempt(&mut f) {
                Err(StoreError::Lmdb(heed::Error::Mdb(MdbError::MapFull))) => self.grow()?,
                outcome => return outcome,
            }
        }
    }

    fn attempt<T>(
        &self,
        f: &mut impl FnMut(&mut RwTxn<'_>) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let mut txn = self.env.write_txn()?;
        let value = f(&mut txn)?;
        txn.commit()?;
        Ok(value)
    }

    fn grow(&self) -> Result<(), StoreError> {
        let _no_readers = self.growth.write().unwrap_or_else(PoisonError::into_inner);
        let now = self.map_bytes();
        let larger = now.saturating_mul(2).min(self.map_bytes_max);
        if larger <= now {
            return Err(StoreError::Full(self.map_bytes_max));
        }
        #[expect(
            unsafe_code,
            reason = "no transaction is open: readers are locked out, and only this thread writes"
        )]
        unsafe {
            self.env.resize(larger)?;
        }
        tracing::info!(bytes = larger, "the store's memory map was enlarged");
        Ok(())
    }

    /// Size of the memory map now, in bytes.
    pub fn map_bytes(&self) -> usize {
        self.env.info().map_size
    }
}
