//! The counts on disk: an LMDB environment of their own, so that they survive a restart.
//!
//! What is written are differences, each added to what is there. So two processes may write at one time: while one takes over from the other,
//! and the other still answers what it has begun, the sums hold what both have counted.

use std::{fs, path::Path};

use heed::{CommitOrAbort, Database, Env, EnvFlags, EnvOpenOptions, WithoutTls, types::Bytes};

use super::{Change, PERIODS, Period, Subject, Sum, table::oldest};

/// Bytes of the memory map: room for as many counts as there are in memory, some times over. It is address space, not memory.
const MAP_BYTES: usize = 1 << 28;
const KEY_BYTES: usize = 34;
const VALUE_BYTES: usize = 24;

/// The counts of one data folder.
pub(super) struct Disk {
    env: Env<WithoutTls>,
    counts: Database<'static, Bytes, Bytes>,
}

/// Start, count, and the count of the window before.
type Value = [u64; 3];

impl Disk {
    /// Opens what is in `folder`, or begins it.
    pub fn open(folder: &Path) -> Result<Self, heed::Error> {
        fs::create_dir_all(folder)?;
        let mut options = EnvOpenOptions::new().read_txn_without_tls();
        options.map_size(MAP_BYTES);
        // A loss of power may undo the last transaction; the file stays whole.
        #[expect(unsafe_code, reason = "this flag gives up durability, not integrity")]
        unsafe {
            options.flags(EnvFlags::NO_META_SYNC);
        }
        #[expect(unsafe_code, reason = "only gateways write the file, all through LMDB and its locks")]
        let env = unsafe { options.open(folder)? };
        let counts = env.create_databases_and_commit(env.write_txn()?, |opener, txn| {
            let counts = opener.create_database::<Bytes, Bytes>(txn, None)?;
            Ok::<_, heed::Error>(CommitOrAbort::<_, ()>::Commit(counts))
        })?;
        Ok(Self { counts: counts.unwrap_commit(), env })
    }

    /// What is kept, but for what says nothing any more at `now_ms`.
    pub fn load(&self, now_ms: u64) -> Result<Vec<Sum>, heed::Error> {
        let (oldest, txn) = (oldest(now_ms), self.env.read_txn()?);
        let mut sums = Vec::new();
        for entry in self.counts.iter(&txn)? {
            let (key, value) = entry?;
            sums.extend(read(key, value).filter(|sum| !is_over(sum, &oldest)));
        }
        Ok(sums)
    }

    /// Adds `changes` to what is kept, in one transaction. Returns the sums.
    pub fn add(&self, changes: &[Change]) -> Result<Vec<Sum>, heed::Error> {
        let mut txn = self.env.write_txn()?;
        let mut sums = Vec::with_capacity(changes.len());
        for change in changes {
            let key = key(change.subject, change.period);
            let held = self.counts.get(&txn, &key)?.and_then(|value| read(&key, value));
            let Some(sum) = sum(change, held) else { continue };
            let value: Value = [sum.start, sum.count, sum.previous];
            let mut bytes = [0; VALUE_BYTES];
            for (place, number) in bytes.chunks_exact_mut(8).zip(value) {
                place.copy_from_slice(&number.to_be_bytes());
            }
            self.counts.put(&mut txn, &key, &bytes)?;
            sums.push(sum);
        }
        txn.commit()?;
        Ok(sums)
    }

    /// Removes what says nothing any more at `now_ms`.
    pub fn sweep(&self, now_ms: u64) -> Result<(), heed::Error> {
        let (oldest, mut txn) = (oldest(now_ms), self.env.write_txn()?);
        let mut over = Vec::new();
        for entry in self.counts.iter(&txn)? {
            let (key, value) = entry?;
            if read(key, value).is_none_or(|sum| is_over(&sum, &oldest)) {
                over.push(key.to_vec());
            }
        }
        for key in &over {
            self.counts.delete(&mut txn, key)?;
        }
        txn.commit()
    }
}

/// What a change makes of what was kept. `None`: it is for a window that another process has left behind.
fn sum(change: &Change, held: Option<Sum>) -> Option<Sum> {
    let Change { subject, period, start, added, previous } = *change;
    let (count, previous) = match held {
        Some(held) if held.start > start => return None,
        Some(held) if held.start == start => (held.count.saturating_add(added), held.previous.max(previous)),
        Some(held) if held.start == period.before(start) => (added, held.count.max(previous)),
        _ => (added, previous),
    };
    Some(Sum { subject, period, start, count, previous })
}

fn is_over(sum: &Sum, oldest: &[u64; PERIODS]) -> bool {
    sum.start < oldest[sum.period as usize]
}

fn key(subject: Subject, period: Period) -> [u8; KEY_BYTES] {
    let mut key = [0; KEY_BYTES];
    key[..16].copy_from_slice(&subject.scope.to_be_bytes());
    key[16..32].copy_from_slice(&subject.who.to_be_bytes());
    key[32..].copy_from_slice(&[subject.kind, period as u8]);
    key
}

/// `None`: this build does not know what it is.
fn read(key: &[u8], value: &[u8]) -> Option<Sum> {
    let (key, value) = (<[u8; KEY_BYTES]>::try_from(key).ok()?, <[u8; VALUE_BYTES]>::try_from(value).ok()?);
    let id = |at: usize| key.get(at..at + 16)?.try_into().ok().map(u128::from_be_bytes);
    let number = |at: usize| value.get(at..at + 8)?.try_into().ok().map(u64::from_be_bytes);
    Some(Sum {
        subject: Subject { scope: id(0)?, kind: key[32], who: id(16)? },
        period: Period::from_index(key[33])?,
        start: number(0)?,
        count: number(8)?,
        previous: number(16)?,
    })
}
