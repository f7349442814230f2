//! A deployment's folder: where everything of it is kept, and how it is known that all of it has ended.
//!
//! Every leash holds a shared lock on the folder's lock file. Whoever gets the exclusive lock knows that no process of
//! the deployment is left, whatever happened to the testbed. A temporary folder has a sweeper, `landbridge-testbed sweep`:
//! it waits for the testbed to be gone, then for the exclusive lock, then removes the folder, unless it is to be kept.
//!
//! Each region of a deployment has a folder below it, with the same lock. A region that is alone may have a whole one.

use std::{
    fs::{self, File, OpenOptions},
    io::Read,
    os::unix::{
        fs::{OpenOptionsExt, PermissionsExt},
        process::CommandExt,
    },
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use anyhow::Context;

use crate::{binaries, wait};

const LOCK_FILE: &str = "in-use.lock";
const KEEP_FILE: &str = "keep";
/// Process id of the testbed.
const PID_FILE: &str = "testbed.pid";
const TEMPORARY_PREFIX: &str = "landbridge-";
/// Where the folder points when a part of it has to live elsewhere; see `Folder::outside`.
const OUTSIDE_PREFIX: &str = "landbridge-outside-";
/// Longest wait for the processes of a stopped deployment. Leashes are bounded; this is more than their bound.
const EMPTY_DEADLINE: Duration = Duration::from_secs(75);
/// Others may pass through the folder (Postgres runs as its own user), but not look into it.
const FOLDER_MODE: u32 = 0o711;
/// The mode of files that may hold secrets.
const PRIVATE_MODE: u32 = 0o600;

/// The folder of a deployment, or of one region below it. Dropping it lets the sweeper go, if there is one.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    /// The deployment's folder: the path itself, or above it.
    root: PathBuf,
    sweeper: Option<Child>,
    /// Held by the testbed itself, beside its leashes.
    _in_use: File,
}

impl Folder {
    /// A new folder under the system's temporary folder, removed when the testbed and all its processes are gone.
    pub fn temporary() -> anyhow::Result<Self> {
        let path =
            tempfile::Builder::new().prefix(TEMPORARY_PREFIX).tempdir().context("make a folder")?.keep();
        let in_use = prepare(&path)?;
        let mut sweeper = Command::new(binaries::testbed()?);
        sweeper.arg("sweep").arg(&path).stdin(Stdio::piped()).process_group(0);
        let sweeper = sweeper.spawn().context("start the sweeper")?;
        Ok(Self { root: path.clone(), path, sweeper: Some(sweeper), _in_use: in_use })
    }

    /// The given folder, emptied first. It stays afterwards. An error when a deployment still runs in it.
    pub fn at(path: &Path) -> anyhow::Result<Self> {
        fs::create_dir_all(path).with_context(|| format!("make {}", path.display()))?;
        let path = path.canonicalize()?;
        let exclusive = lock_file(&path)?;
        anyhow::ensure!(exclusive.try_lock().is_ok(), "a deployment runs in {}", path.display());
        clear(&path)?;
        drop(exclusive);
        let in_use = prepare(&path)?;
        Ok(Self { root: path.clone(), path, sweeper: None, _in_use: in_use })
    }

    /// A region's folder below this one. This one counts as in use for as long as anything runs there.
    pub fn region(&self, name: &str) -> anyhow::Result<Self> {
        let path = self.make(name)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(FOLDER_MODE))?;
        fs::create_dir_all(path.join("logs"))?;
        let in_use = lock_file(&self.root)?;
        in_use.lock_shared()?;
        Ok(Self { path, root: self.root.clone(), sweeper: None, _in_use: in_use })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The folder with the log of each process, below it.
    pub fn logs(&self) -> PathBuf {
        self.path.join("logs")
    }

    pub(crate) fn lock_file(&self) -> PathBuf {
        self.root.join(LOCK_FILE)
    }

    /// Makes a folder inside this one.
    pub fn make(&self, name: &str) -> anyhow::Result<PathBuf> {
        let path = self.path.join(name);
        fs::create_dir_all(&path).with_context(|| format!("make {}", path.display()))?;
        Ok(path)
    }

    /// Makes a folder for a part that runs as another user. It lies in the system's temporary folder, with a link here,
    /// when that user could not pass through the folders above this one, as under `/root`.
    pub fn make_reachable(&self, name: &str) -> anyhow::Result<PathBuf> {
        if is_reachable_by_others(&self.path) {
            return self.make(name);
        }
        let outside = tempfile::Builder::new().prefix(OUTSIDE_PREFIX).tempdir()?.keep();
        std::os::unix::fs::symlink(&outside, self.path.join(name))?;
        Ok(outside)
    }

    /// As [`keep`], for this folder and all of the deployment's.
    pub fn keep(&self) -> anyhow::Result<()> {
        keep(&self.root)
    }

    /// Waits for the sweeper after everything was stopped, so that nothing is left when this returns.
    pub async fn close(mut self) -> anyhow::Result<()> {
        let Some(mut sweeper) = self.sweeper.take() else { return Ok(()) };
        let path = self.path.clone();
        drop(sweeper.stdin.take());
        drop(self);
        wait::until("the deployment's folder is removed", EMPTY_DEADLINE, async || match sweeper.try_wait() {
            Ok(Some(_)) => Ok(()),
            Ok(None) => Err(format!("{} is in use", path.display())),
            Err(error) => Err(error.to_string()),
        })
        .await
    }
}

/// Makes the sweeper leave a temporary folder where it is, for someone to look into.
pub fn keep(path: &Path) -> anyhow::Result<()> {
    fs::write(path.join(KEEP_FILE), "").context("mark the folder to be kept")
}

/// `landbridge-testbed sweep FOLDER`: removes the folder after the testbed and all its processes are gone.
pub fn sweep(path: &Path) -> anyhow::Result<()> {
    let mut ignored = Vec::new();
    // Ends when the testbed closes the pipe or dies; an error of reading means the same.
    let _ = std::io::stdin().read_to_end(&mut ignored);
    lock_file(path)?.lock()?;
    if path.join(KEEP_FILE).exists() { Ok(()) } else { remove(path) }
}

/// Whether no process of a deployment is left in `path`.
pub fn is_empty_of_processes(path: &Path) -> anyhow::Result<bool> {
    if !path.join(LOCK_FILE).exists() {
        return Ok(true);
    }
    match lock_file(path)?.try_lock() {
        Ok(()) => Ok(true),
        Err(fs::TryLockError::WouldBlock) => Ok(false),
        Err(fs::TryLockError::Error(error)) => Err(error.into()),
    }
}

/// Process id of the testbed that uses or used `path`.
pub fn testbed_pid(path: &Path) -> anyhow::Result<i32> {
    let path = path.join(PID_FILE);
    let text = fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
    text.trim().parse().with_context(|| format!("{} holds no process id", path.display()))
}

/// Waits until no process of a deployment is left in `path`.
pub async fn until_empty_of_processes(path: &Path) -> anyhow::Result<()> {
    wait::until("all processes of the deployment end", EMPTY_DEADLINE, async || {
        match is_empty_of_processes(path) {
            Ok(true) => Ok(()),
            Ok(false) => Err("some still run".to_owned()),
            Err(error) => Err(error.to_string()),
        }
    })
    .await
}

fn prepare(path: &Path) -> anyhow::Result<File> {
    fs::set_permissions(path, fs::Permissions::from_mode(FOLDER_MODE))?;
    fs::create_dir_all(path.join("logs"))?;
    fs::write(path.join(PID_FILE), std::process::id().to_string())?;
    let lock = lock_file(path)?;
    lock.lock_shared()?;
    Ok(lock)
}

fn lock_file(path: &Path) -> anyhow::Result<File> {
    private_file(&path.join(LOCK_FILE), OpenOptions::new().read(true).write(true))
}

/// Opens a file that only this user reads, also where it was there before: logs may tell tokens.
pub(crate) fn private_file(path: &Path, options: &mut OpenOptions) -> anyhow::Result<File> {
    let opened = options.create(true).mode(PRIVATE_MODE).open(path).and_then(|file| {
        file.set_permissions(fs::Permissions::from_mode(PRIVATE_MODE))?;
        Ok(file)
    });
    opened.with_context(|| format!("open {}", path.display()))
}

/// Removes what the folder holds, but for the lock file.
fn clear(path: &Path) -> anyhow::Result<()> {
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        if entry.file_name() != LOCK_FILE {
            remove(&entry.path())?;
        }
    }
    Ok(())
}

/// Removes a file or folder, and what its links to folders made by [`Folder::make_reachable`] point to.
fn remove(path: &Path) -> anyhow::Result<()> {
    if let Ok(target) = fs::read_link(path) {
        let is_ours = target.parent() == Some(&std::env::temp_dir())
            && target.file_name().is_some_and(|name| name.to_string_lossy().starts_with(OUTSIDE_PREFIX));
        if is_ours && target.exists() {
            fs::remove_dir_all(&target).with_context(|| format!("remove {}", target.display()))?;
        }
        return fs::remove_file(path).with_context(|| format!("remove {}", path.display()));
    }
    if !path.is_dir() {
        return fs::remove_file(path).with_context(|| format!("remove {}", path.display()));
    }
    clear(path)?;
    // The lock file, if there is one.
    fs::remove_dir_all(path).with_context(|| format!("remove {}", path.display()))
}

fn is_reachable_by_others(path: &Path) -> bool {
    const OTHERS_MAY_PASS: u32 = 0o001;
    path.ancestors()
        .all(|folder| fs::metadata(folder).is_ok_and(|data| data.permissions().mode() & OTHERS_MAY_PASS != 0))
}
