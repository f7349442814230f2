//! How far a snapshot has come: which buckets are in the spare generation, and as of which version. Kept in the store, in the
//! transaction that stages them, so that a snapshot goes on after the stream was cut or the process has ended. Pure.

use sync::BUCKETS;

use super::Incarnation;

/// Stored for [`Bucket::Absent`] and [`Bucket::Part`]; every other number is a version. No version is either of them.
const ABSENT: u64 = 0;
const PART: u64 = u64::MAX;

/// How far one bucket has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Bucket {
    /// Nothing of it is staged.
    Absent,
    /// It has begun, or nobody knows as of when it is: only its digest tells whether it is right.
    Part,
    /// The whole of it is staged, as it was at this version or later.
    Whole(u64),
}

/// A snapshot of one incarnation that is being staged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Staged {
    pub incarnation: Incarnation,
    buckets: [Bucket; BUCKETS as usize],
}

impl Staged {
    /// Nothing is staged yet.
    pub fn new(incarnation: Incarnation) -> Self {
        Self { incarnation, buckets: [Bucket::Absent; BUCKETS as usize] }
    }

    /// Something of every bucket is there, and only its digest tells whether it is right.
    pub fn of_unknown_versions(incarnation: Incarnation) -> Self {
        Self { incarnation, buckets: [Bucket::Part; BUCKETS as usize] }
    }

    /// How far a bucket has come.
    pub fn bucket(&self, number: u8) -> Bucket {
        self.buckets[usize::from(number)]
    }

    /// Notes how far a bucket has come.
    pub fn set(&mut self, number: u8, bucket: Bucket) {
        self.buckets[usize::from(number)] = bucket;
    }

    /// Numbers of the buckets of which something is staged, or nothing.
    pub fn numbers(&self, staged: bool) -> impl Iterator<Item = u8> {
        let all = (0..=u8::MAX).zip(self.buckets);
        all.filter(move |(_, bucket)| (*bucket != Bucket::Absent) == staged).map(|(number, _)| number)
    }

    /// From now on only digests tell whether a bucket is right: the result was not what the control plane has.
    pub fn distrust(&mut self) {
        for bucket in self.buckets.iter_mut().filter(|bucket| **bucket != Bucket::Absent) {
            *bucket = Bucket::Part;
        }
    }

    /// As the control plane is told: of each bucket, the version as of which the whole of it is staged, or 0. Empty if none is.
    pub fn versions(&self) -> Vec<u64> {
        let version = |bucket: &Bucket| if let Bucket::Whole(at) = bucket { *at } else { 0 };
        let versions: Vec<u64> = self.buckets.iter().map(version).collect();
        if versions.iter().all(|at| *at == 0) { Vec::new() } else { versions }
    }

    /// As it is stored.
    pub fn to_bytes(&self) -> Vec<u8> {
        let number = |bucket: &Bucket| match bucket {
            Bucket::Absent => ABSENT,
            Bucket::Part => PART,
            Bucket::Whole(at) => *at,
        };
        let numbers = std::iter::once(self.incarnation.get()).chain(self.buckets.iter().map(number));
        numbers.flat_map(u64::to_be_bytes).collect()
    }

    /// Inverse of [`Staged::to_bytes`]; `None` if `bytes` are not of it.
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let (numbers, []) = bytes.as_chunks::<8>() else { return None };
        let (incarnation, buckets) = numbers.split_first()?;
        let bucket = |number: &[u8; 8]| match u64::from_be_bytes(*number) {
            ABSENT => Bucket::Absent,
            PART => Bucket::Part,
            at => Bucket::Whole(at),
        };
        let buckets: Vec<Bucket> = buckets.iter().map(bucket).collect();
        Some(Self {
            incarnation: Incarnation::new(u64::from_be_bytes(*incarnation))?,
            buckets: buckets.try_into().ok()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_read_as_it_was_stored_and_nothing_else_is() {
        let mut staged = Staged::new(Incarnation::new(7).expect("not 0"));
        assert_eq!((staged.versions(), staged.numbers(true).count()), (vec![], 0));
        staged.set(3, Bucket::Part);
        staged.set(255, Bucket::Whole(9));
        let bytes = staged.to_bytes();
        assert_eq!(Staged::read(&bytes), Some(staged.clone()));
        assert_eq!((staged.versions()[255], staged.versions().len()), (9, 256));
        assert!(staged.numbers(true).eq([3, 255]));
        for wrong in [&bytes[1..], &bytes[8..], &[0; 2056], &[]] {
            assert_eq!(Staged::read(wrong), None);
        }
        staged.distrust();
        assert_eq!((staged.bucket(255), staged.bucket(0)), (Bucket::Part, Bucket::Absent));
    }
}
