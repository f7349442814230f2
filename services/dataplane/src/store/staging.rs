//! Receiving a snapshot: its pages are written to the spare generation, which is promoted together with the last delta.
//!
//! Staged buckets survive the loss of the stream, and the end of the process. They are reported when buckets are compared again, so
//! the control plane sends only what is missing. What is staged is dropped once a newer configuration was reached without it.

use std::sync::{MutexGuard, PoisonError};

use heed::RwTxn;
use sync::{EntityState, buckets_to_bytes, limits::PAGE_ENTITIES_MAX};

use super::{
    Commit, Incarnation, Position, Shared, Store, StoreError,
    commit::verified,
    staged::{Bucket, Staged},
};

/// The snapshot that is being staged.
pub(super) struct Staging {
    /// As it is stored.
    staged: Staged,
    /// As of which version, or later, the pages of this stream are. `None`: the control plane has not told.
    base: Option<u64>,
    /// The bucket that the last page of this stream may have left unfinished.
    open: Option<u8>,
}

/// What a node tells of its buckets when they are compared.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct HeldBuckets {
    /// The digest of each bucket, encoded. Empty when nothing is held.
    pub digests: Vec<u8>,
    /// The version as of which the whole of each bucket is staged, or 0. Empty when none is.
    pub staged_at: Vec<u64>,
}

impl Store {
    /// Prepares for the pages of a snapshot, which are as of version `base` or later; `None` if nobody knows. What an earlier stream
    /// or process has staged is kept. If it was in another incarnation, digests alone tell what of it is right.
    pub async fn begin_staging(&self, incarnation: Incarnation, base: Option<u64>) -> Result<(), StoreError> {
        self.writer.run(move |shared| shared.begin_staging(incarnation, base)).await
    }

    /// Its buckets, for the control plane to compare. A staged bucket counts as staged, any other one as served. In which incarnation
    /// that was does not matter: equal digests are of equal entities.
    pub fn buckets(&self) -> Result<HeldBuckets, StoreError> {
        let shared = &*self.shared;
        let staging = shared.staging();
        let staged = staging.as_ref().map(|staging| &staging.staged);
        let staged = staged.filter(|staged| staged.numbers(true).next().is_some());
        shared.environment.read(|txn| {
            let serving = shared.databases.serving(txn)?;
            if staged.is_none() && shared.databases.position(txn, &serving)?.is_none() {
                return Ok(HeldBuckets::default());
            }
            let mut digests = serving.bucket_digests(txn)?;
            let Some(staged) = staged else {
                return Ok(HeldBuckets { digests: buckets_to_bytes(&digests), staged_at: Vec::new() });
            };
            let spare = shared.databases.spare(txn)?.bucket_digests(txn)?;
            for number in staged.numbers(true).map(usize::from) {
                digests[number] = spare[number];
            }
            Ok(HeldBuckets { digests: buckets_to_bytes(&digests), staged_at: staged.versions() })
        })
    }

    /// Stages one page. Of the buckets that the page begins, what was staged before is dropped.
    ///
    /// [`StoreError::ForeignEntity`] if an entity is a tombstone or belongs to a bucket that no page has begun.
    pub async fn stage_page(
        &self,
        incarnation: Incarnation,
        begins: Vec<u8>,
        entities: Vec<EntityState>,
    ) -> Result<(), StoreError> {
        self.writer.run(move |shared| shared.stage_page(incarnation, &begins, &entities)).await
    }

    /// No page follows. Copies the buckets that were not received from the serving generation to the spare one, in several
    /// transactions.
    pub async fn copy_unchanged(&self, incarnation: Incarnation) -> Result<(), StoreError> {
        self.writer.run(move |shared| shared.copy_unchanged(incarnation)).await
    }

    /// Applies the last delta to the staged generation and makes that generation the serving one, in one transaction.
    ///
    /// [`StoreError::DigestDiffers`] if the result is not what the control plane has. Then the old generation goes on
    /// serving, and what is staged stays staged.
    pub async fn promote(&self, commit: Commit) -> Result<Position, StoreError> {
        self.writer.run(move |shared| shared.promote(&commit)).await
    }
}

impl Staging {
    /// Goes on with what is `staged`, on a new stream.
    pub fn resumed(staged: Staged, base: Option<u64>) -> Self {
        Self { staged, base, open: None }
    }

    /// How far a bucket has come that was received or copied to its end.
    fn whole(&self) -> Bucket {
        self.base.map_or(Bucket::Part, Bucket::Whole)
    }
}

impl Shared {
    pub(super) fn staging(&self) -> MutexGuard<'_, Option<Staging>> {
        self.staging.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn begin_staging(&self, incarnation: Incarnation, base: Option<u64>) -> Result<(), StoreError> {
        if let Some(staging) = &mut *self.staging() {
            (staging.base, staging.open) = (base, None);
            if staging.staged.incarnation != incarnation {
                staging.staged.distrust();
                staging.staged.incarnation = incarnation;
            }
            return Ok(());
        }
        self.drop_staged()?;
        *self.staging() = Some(Staging::resumed(Staged::new(incarnation), base));
        Ok(())
    }

    /// Frees the spare generation.
    pub(super) fn drop_staged(&self) -> Result<(), StoreError> {
        *self.staging() = None;
        self.environment.write(|txn| {
            self.databases.spare(txn)?.clear(txn)?;
            self.databases.put_staged(txn, None)
        })
    }

    fn stage_page(
        &self,
        incarnation: Incarnation,
        begins: &[u8],
        entities: &[EntityState],
    ) -> Result<(), StoreError> {
        let (staged, open) = self.with_staging(incarnation, |staging| {
            let mut staged = staging.staged.clone();
            // Pages are in the order of buckets: what an earlier page has begun is whole once another bucket begins.
            let finished = staging.open.filter(|_| !begins.is_empty()).into_iter();
            finished.chain(begins.iter().copied()).for_each(|number| staged.set(number, staging.whole()));
            let open = begins.last().copied();
            if let Some(number) = open {
                staged.set(number, Bucket::Part);
            }
            (staged, open.or(staging.open))
        })?;
        let is_foreign =
            |entity: &&EntityState| entity.deleted || staged.bucket(entity.bucket()) == Bucket::Absent;
        if let Some(entity) = entities.iter().find(is_foreign) {
            return Err(StoreError::ForeignEntity { bucket: entity.bucket() });
        }
        self.environment.write(|txn| {
            let spare = self.databases.spare(txn)?;
            for bucket in begins {
                spare.clear_bucket(txn, *bucket)?;
            }
            spare.apply(txn, entities).map(drop)?;
            self.databases.put_staged(txn, Some(&staged))
        })?;
        self.with_staging(incarnation, |staging| (staging.staged, staging.open) = (staged, open))
    }

    fn copy_unchanged(&self, incarnation: Incarnation) -> Result<(), StoreError> {
        let (mut staged, whole) = self.with_staging(incarnation, |staging| {
            let whole = staging.whole();
            if let Some(number) = staging.open.take() {
                staging.staged.set(number, whole);
            }
            (staging.staged.clone(), whole)
        })?;
        if self.position().is_none() {
            return Ok(());
        }
        let missing: Vec<u8> = staged.numbers(false).collect();
        let mut rest = &missing[..];
        while !rest.is_empty() {
            let count = self.environment.write(|txn| {
                let copied = self.copy_some(txn, rest)?;
                rest[..copied].iter().for_each(|number| staged.set(*number, whole));
                self.databases.put_staged(txn, Some(&staged))?;
                Ok(copied)
            })?;
            rest = &rest[count..];
            self.with_staging(incarnation, |staging| staging.staged = staged.clone())?;
        }
        Ok(())
    }

    /// Copies the first of `buckets` into the spare generation, as many as fit one transaction, and says how many.
    fn copy_some(&self, txn: &mut RwTxn<'_>, buckets: &[u8]) -> Result<usize, StoreError> {
        let (serving, spare) = (self.databases.serving(txn)?, self.databases.spare(txn)?);
        let (mut count, mut entities) = (0, 0);
        while entities < PAGE_ENTITIES_MAX
            && let Some(&number) = buckets.get(count)
        {
            let bucket = serving.bucket_entities(txn, number)?;
            spare.apply(txn, &bucket).map(drop)?;
            entities += bucket.len();
            count += 1;
        }
        Ok(count)
    }

    fn promote(&self, commit: &Commit) -> Result<Position, StoreError> {
        self.with_staging(commit.incarnation, |_| ())?;
        let _span = tracing::info_span!("commit to LMDB", version = commit.version).entered();
        let other_incarnation = self.leaves_incarnation(commit);
        let promoted = self.environment.write(|txn| {
            let spare = self.databases.spare(txn)?;
            spare.apply(txn, &commit.entities).map(drop)?;
            let position = verified(commit, spare.digest(txn)?)?;
            self.databases.put_position(txn, &spare, Some(&position))?;
            self.databases.put_serving(txn, &spare)?;
            self.databases.put_staged(txn, None)?;
            if other_incarnation {
                self.databases.put_revocation_seq(txn, 0)?;
            }
            let ended =
                self.end_denials(txn, commit, |txn, kind, id| Ok(spare.get(txn, kind, id)?.is_none()))?;
            Ok((position, ended))
        });
        if let Err(StoreError::DigestDiffers { .. }) = &promoted {
            self.distrust(commit.incarnation)?;
        }
        let (position, ended) = promoted?;
        self.publish(position, other_incarnation);
        self.denied.settle((commit.incarnation, commit.settled.clone()), ended);
        self.owners_changed();
        // Frees the old generation's space. If this fails, the next start of the process does it.
        if let Err(error) = self.drop_staged() {
            tracing::warn!(%error, "the generation that was served before could not be emptied; the next start empties it");
        }
        Ok(position)
    }

    /// What is staged is not what it should be: the next comparison goes by digests alone.
    fn distrust(&self, incarnation: Incarnation) -> Result<(), StoreError> {
        let staged = self.with_staging(incarnation, |staging| {
            staging.staged.distrust();
            staging.staged.clone()
        })?;
        self.environment.write(|txn| self.databases.put_staged(txn, Some(&staged)))
    }

    /// [`StoreError::NotStaging`] if no snapshot of `incarnation` is being staged.
    fn with_staging<T>(
        &self,
        incarnation: Incarnation,
        with: impl FnOnce(&mut Staging) -> T,
    ) -> Result<T, StoreError> {
        match &mut *self.staging() {
            Some(staging) if staging.staged.incarnation == incarnation => Ok(with(staging)),
            Some(_) | None => Err(StoreError::NotStaging(incarnation)),
        }
    }
}
