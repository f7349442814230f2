//! Bytes that are too many for memory, in a file without a name. The file is sealed with a key that nothing else knows: it may hold secrets,
//! and nobody can read it once the process has ended.

use std::{
    fs::File,
    io::{self, Read, Write},
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
};

use seal::SealKey;

/// Bytes that are sealed together. What has fewer stays in memory.
const BLOCK_BYTES: usize = 256 * 1024;
/// Bytes of a sealed block: a nonce and a tag are added.
const SEALED_BYTES: usize = BLOCK_BYTES + 12 + 16;
/// Bytes of the length before a record.
const LENGTH_BYTES: u64 = 4;

/// Where spools are kept, and the key of one piece of work. Cheap to clone.
#[derive(Clone)]
pub struct Spools {
    directory: PathBuf,
    key: SealKey,
}

impl Spools {
    /// In a directory on disk. `key` is random.
    pub fn new(directory: &Path, key: &[u8; 32]) -> Self {
        Self { directory: directory.to_owned(), key: SealKey::new(key) }
    }

    /// An empty one.
    pub fn spool(&self) -> Spool {
        Spool { of: self.clone(), file: None, blocks: 0, last: Vec::new() }
    }
}

/// Bytes that are appended, and then read.
pub struct Spool {
    of: Spools,
    /// Whole blocks, sealed.
    file: Option<File>,
    blocks: u64,
    /// What does not make a block yet.
    last: Vec<u8>,
}

impl Spool {
    /// How many bytes it holds.
    pub fn bytes(&self) -> u64 {
        self.blocks * BLOCK_BYTES as u64 + self.last.len() as u64
    }

    /// Whether it takes room on disk.
    pub fn is_on_disk(&self) -> bool {
        self.file.is_some()
    }

    /// Whether these bytes make it take room on disk.
    pub fn outgrows_memory(&self, more: &[u8]) -> bool {
        !self.is_on_disk() && self.last.len() + more.len() >= BLOCK_BYTES
    }

    /// Adds bytes to the end.
    pub fn append(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while let Some((fitting, rest)) = bytes.split_at_checked(BLOCK_BYTES - self.last.len()) {
            self.last.extend_from_slice(fitting);
            self.put_away()?;
            bytes = rest;
        }
        self.last.extend_from_slice(bytes);
        Ok(())
    }

    fn put_away(&mut self) -> io::Result<()> {
        let file = match &mut self.file {
            Some(file) => file,
            none => none.insert(tempfile::tempfile_in(&self.of.directory)?),
        };
        let sealed = self.of.key.seal(&self.blocks.to_le_bytes(), &self.last);
        file.write_all_at(&sealed, self.blocks * SEALED_BYTES as u64)?;
        self.blocks += 1;
        self.last.clear();
        Ok(())
    }

    fn block(&self, number: u64) -> io::Result<Vec<u8>> {
        let Some(file) = self.file.as_ref().filter(|_| number < self.blocks) else {
            return Ok(self.last.clone());
        };
        let mut sealed = vec![0; SEALED_BYTES];
        file.read_exact_at(&mut sealed, number * SEALED_BYTES as u64)?;
        self.of.key.open(&number.to_le_bytes(), &sealed).map_err(io::Error::other)
    }

    /// Reads from a position on. The reader keeps one block.
    pub fn reader(&self, position: u64) -> Reader<'_> {
        Reader { spool: self, position, block: None }
    }

    /// Appends bytes that [`Reader::record`] reads as one. Answers where they are.
    pub fn append_record(&mut self, record: &[u8]) -> io::Result<u64> {
        let position = self.bytes();
        let length = u32::try_from(record.len()).map_err(io::Error::other)?;
        self.append(&length.to_le_bytes())?;
        self.append(record)?;
        Ok(position)
    }
}

impl Write for Spool {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.append(bytes)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Reads a spool.
pub struct Reader<'s> {
    spool: &'s Spool,
    position: u64,
    /// The block that was read last, and its number.
    block: Option<(u64, Vec<u8>)>,
}

impl Reader<'_> {
    /// The next record; `None` at the end.
    pub fn record(&mut self) -> io::Result<Option<Vec<u8>>> {
        if self.position + LENGTH_BYTES > self.spool.bytes() {
            return Ok(None);
        }
        let mut length = [0; LENGTH_BYTES as usize];
        self.read_exact(&mut length)?;
        let mut record = vec![0; u32::from_le_bytes(length) as usize];
        self.read_exact(&mut record)?;
        Ok(Some(record))
    }
}

impl Read for Reader<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let number = self.position / BLOCK_BYTES as u64;
        if self.block.as_ref().is_none_or(|(held, _)| *held != number) {
            self.block = Some((number, self.spool.block(number)?));
        }
        let Some((_, block)) = &self.block else { return Ok(0) };
        let from = usize::try_from(self.position % BLOCK_BYTES as u64).map_err(io::Error::other)?;
        let rest = block.get(from..).unwrap_or_default();
        let read = rest.len().min(into.len());
        if let (Some(into), Some(rest)) = (into.get_mut(..read), rest.get(..read)) {
            into.copy_from_slice(rest);
        }
        self.position += read as u64;
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spools() -> (tempfile::TempDir, Spools) {
        let directory = tempfile::tempdir().expect("a directory");
        let spools = Spools::new(directory.path(), &[7; 32]);
        (directory, spools)
    }

    fn pattern(length: usize) -> Vec<u8> {
        (0..length).map(|place| (place % 251) as u8).collect()
    }

    #[test]
    fn what_was_appended_is_read_whole_and_from_any_position() {
        let (_directory, spools) = spools();
        for length in [0, 1, BLOCK_BYTES - 1, BLOCK_BYTES, BLOCK_BYTES + 1, 3 * BLOCK_BYTES + 17] {
            let mut spool = spools.spool();
            let bytes = pattern(length);
            bytes.chunks(100_003).for_each(|part| spool.append(part).expect("appended"));
            assert_eq!((spool.bytes(), spool.is_on_disk()), (length as u64, length >= BLOCK_BYTES));
            for from in [0, length / 2, length] {
                let mut read = Vec::new();
                spool.reader(from as u64).read_to_end(&mut read).expect("read");
                assert!(read == bytes[from..], "{length} from {from}");
            }
        }
    }

    #[test]
    fn records_are_read_one_after_another_and_by_their_places() {
        let (_directory, spools) = spools();
        let mut spool = spools.spool();
        let records: Vec<Vec<u8>> = (0..40).map(|number| pattern(number * 1_777)).collect();
        let places: Vec<u64> =
            records.iter().map(|record| spool.append_record(record).expect("appended")).collect();
        let mut reader = spool.reader(0);
        for record in &records {
            assert_eq!(reader.record().expect("read").as_ref(), Some(record));
        }
        assert_eq!(reader.record().expect("read"), None);
        for (place, record) in places.iter().zip(&records).rev() {
            let mut reader = spool.reader(*place);
            assert_eq!(reader.record().expect("read").as_ref(), Some(record));
        }
    }

    #[test]
    fn the_file_has_no_name_and_shows_nothing() {
        let (directory, spools) = spools();
        let mut spool = spools.spool();
        spool.append(&b"a secret ".repeat(100_000)).expect("appended");
        assert_eq!(std::fs::read_dir(directory.path()).expect("listed").count(), 0);
        let file = spool.file.as_ref().expect("on disk");
        let mut raw = vec![0; 2 * BLOCK_BYTES];
        file.read_exact_at(&mut raw, 0).expect("read");
        assert!(!raw.windows(8).any(|window| window == b"a secret"));
    }
}
