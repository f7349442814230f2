//! Opening a store that may be of no use: cut off, damaged, or of another format. Such a store is set aside, loudly, and the gateway begins
//! with an empty one: it fetches its configuration from the control plane.
//!
//! What LMDB reads is mapped memory, so a damaged file can end the process that reads it. A store that gives reason to doubt is therefore
//! first read by a process of its own. Two things give reason: the file is shorter than it says, or the last process that opened the store
//! never came to an end with that (the file [`OPENING`] tells).

use std::{
    env, fs, io,
    os::unix::process::ExitStatusExt as _,
    path::Path,
    process::{Command, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

use heed::MdbError;

use super::{
    Scan, Store, StoreError, StoreOptions,
    environment::{DATA_FILE, Environment, Lock, is_open},
};

/// Is there while a store is being opened.
const OPENING: &str = "opening";
/// What an unusable store is called. One is kept: an older one is replaced.
const ASIDE: &str = "data.mdb.unusable";
/// LMDB's table of readers.
const READERS_FILE: &str = "lock.mdb";
/// The command of this program that reads a store ([`read_all`]).
pub const READ_COMMAND: &str = "check-store";
/// How that command ends where the store is of no use, and not something else in the way, such as a full disk.
pub const UNUSABLE: u8 = 3;
/// How a program ends that has panicked.
const PANICKED: i32 = 101;
/// How long reading it may take at most.
const READ_TIMEOUT: Duration = Duration::from_secs(600);
const READ_POLL: Duration = Duration::from_millis(20);

impl Store {
    /// Opens the store in `folder` as [`Store::open`] does. One that cannot be used is set aside, and an empty one opened in its place.
    pub fn open_or_begin_anew(folder: &Path, options: StoreOptions) -> Result<Store, StoreError> {
        fs::create_dir_all(folder)?;
        // Whoever has the store open may be about to remove the file that tells of it.
        if is_open(folder) {
            return Err(StoreError::InUse { folder: folder.to_owned() });
        }
        if is_doubtful(folder, options)? && !can_be_read(folder)? {
            set_aside(folder, &"a process that read it found it unusable, or ended by it")?;
        }
        // Without it, as on a full disk, nobody learns that this never came to an end.
        if let Err(error) = fs::write(folder.join(OPENING), "") {
            tracing::warn!(%error, "it cannot be noted that the store is being opened");
        }
        let opened = match Store::open(folder, options) {
            Err(error) if error.says_unusable() => {
                set_aside(folder, &error)?;
                Store::open(folder, options)
            }
            opened => opened,
        };
        remove(&folder.join(OPENING))?;
        opened
    }
}

/// Reads all of the store in `folder`: what a process of its own does for one that is doubted.
pub fn read_all(folder: &Path, options: StoreOptions) -> Result<(), StoreError> {
    let store = Store::open(folder, options)?;
    store.scan(Scan::Serving, drop)
}

fn is_doubtful(folder: &Path, options: StoreOptions) -> Result<bool, StoreError> {
    if !folder.join(DATA_FILE).exists() {
        return Ok(false);
    }
    if folder.join(OPENING).exists() {
        return Ok(true);
    }
    match Environment::open(folder, options) {
        Ok(environment) => environment.is_cut_off(),
        // Said again when it is opened.
        Err(_) => Ok(false),
    }
}

/// Whether a process of its own comes through the store, or is kept from it by something else than the store.
fn can_be_read(folder: &Path) -> io::Result<bool> {
    let mut reading = Command::new(env::current_exe()?)
        .arg(READ_COMMAND)
        .arg(folder)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()?;
    let began = Instant::now();
    while began.elapsed() < READ_TIMEOUT {
        if let Some(status) = reading.try_wait()? {
            let is_unusable = [Some(UNUSABLE.into()), Some(PANICKED)].contains(&status.code());
            return Ok(!is_unusable && status.signal().is_none());
        }
        #[expect(
            clippy::disallowed_methods,
            reason = "opening a store blocks, and nothing runs before it is open"
        )]
        sleep(READ_POLL);
    }
    reading.kill()?;
    reading.wait()?;
    Ok(false)
}

/// [`StoreError::InUse`] if another process has the store open by now: then it is not touched.
fn set_aside(folder: &Path, why: &dyn std::fmt::Display) -> Result<(), StoreError> {
    let _lock = Lock::take(folder)?;
    let aside = folder.join(ASIDE);
    tracing::error!(
        error = %why,
        aside = %aside.display(),
        "the store cannot be used and was set aside; the gateway begins with an empty one and fetches its configuration"
    );
    fs::rename(folder.join(DATA_FILE), aside)?;
    remove(&folder.join(READERS_FILE))?;
    Ok(())
}

fn remove(file: &Path) -> io::Result<()> {
    match fs::remove_file(file) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

impl StoreError {
    /// Whether the store itself is the reason, and will be the next time.
    pub fn says_unusable(&self) -> bool {
        match self {
            Self::Format { .. } | Self::Damaged(_) | Self::Lmdb(heed::Error::Decoding(_)) => true,
            Self::Lmdb(heed::Error::Mdb(error)) => matches!(
                error,
                MdbError::Invalid
                    | MdbError::Corrupted
                    | MdbError::PageNotFound
                    | MdbError::VersionMismatch
                    | MdbError::Incompatible
                    | MdbError::Panic
                    | MdbError::BadValSize
            ),
            _ => false,
        }
    }
}
