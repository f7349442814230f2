//! Makes the configuration as a document says, all or nothing.
//!
//! Only the last moments hold up other writers. A large document is compared with a snapshot of the configuration, part by part, and what
//! differs is written aside: nobody sees it before the commit. Its version is far ahead, so that those of others fit in between. What others
//! have changed meanwhile is looked at again, at last with the head locked. Where others wrote the same rows or keys, all of it is
//! done again; the last attempt, and each at a small document, locks the head first.

use std::{collections::HashSet, sync::Arc};

use access::Caller;
use gateway_model::{
    Kind,
    declarative::{Resolver, owns},
};
use ids::ControlPlaneId;
use sqlx::{Postgres, Transaction};
use uuid::Uuid;

use super::{
    Counts, Documents,
    check::{Checked, PART_ENTITIES},
    plan::Planner,
    rows,
    writer::{Changes, Part, Writer},
};
use crate::{
    entities::{
        CommitError, Refusal,
        committer::BatchError,
        difference::{self, CHANGES_MAX, Change},
        known::{EntityId, Pending, Stored},
        store,
    },
    error::{Answer, Error},
    feed::Head,
    imports::{Phase, Progress},
    rows::RowError,
    validation::in_place,
};

/// Attempts at a document. The last one locks the head first.
const ATTEMPTS_MAX: usize = 3;
/// Changes of others that may be looked at with the head locked, and how often they are looked at before.
const LATE_CHANGES_MAX: usize = 200;
const LOOKS_MAX: usize = 8;

/// How a document is to be applied.
pub struct Asked {
    pub control_plane: ControlPlaneId,
    /// Whether it is only told what would change.
    pub dry_run: bool,
    /// The version that the configuration must have.
    pub if_match: Option<u64>,
    /// Who asks.
    pub caller: Caller,
    /// Where it tells how far it has come.
    pub progress: Progress,
}

/// Why an attempt ends without a commit.
#[derive(Debug)]
pub enum Stopped {
    /// Others have written the same at the same time.
    Disturbed,
    /// The control plane was deleted.
    NoControlPlane,
    Refused(Refusal),
    Failed(Error),
}

impl From<Refusal> for Stopped {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<RowError> for Stopped {
    fn from(error: RowError) -> Self {
        match error {
            RowError::Database(cause) if cause.is_conflict() => Self::Disturbed,
            error => Self::Failed(CommitError::Failed(Arc::new(BatchError::from(error))).into()),
        }
    }
}

impl From<sqlx::Error> for Stopped {
    fn from(error: sqlx::Error) -> Self {
        RowError::from(error).into()
    }
}

impl From<Error> for Stopped {
    fn from(error: Error) -> Self {
        match error {
            Error::Rows(error) => error.into(),
            error => Self::Failed(error),
        }
    }
}

impl Documents {
    /// Makes the configuration as the document says, in one version. Entities that are new get ids made in the control plane.
    pub async fn apply(&self, mut document: Checked, asked: &Asked) -> Answer<Counts> {
        for attempt in 1..=ATTEMPTS_MAX {
            let is_last = attempt == ATTEMPTS_MAX;
            let stopped = match self.attempt(&mut document, asked, is_last).await {
                Ok(counts) => return Ok(counts),
                Err(stopped) => stopped,
            };
            match stopped {
                Stopped::Disturbed => document.resolver.restart(),
                Stopped::NoControlPlane => return Err(CommitError::NoControlPlane.into()),
                Stopped::Refused(refusal) => return Err(CommitError::Refused(refusal).into()),
                Stopped::Failed(error) => return Err(error),
            }
        }
        Err(CommitError::Contended.into())
    }

    async fn attempt(&self, document: &mut Checked, asked: &Asked, is_last: bool) -> Result<Counts, Stopped> {
        let (id, progress) = (asked.control_plane, &asked.progress);
        let sealing = self.sealing(id);
        progress.enter(Phase::Queued, Some(document.entities));
        let mut writer = match asked.dry_run {
            true => None,
            false => {
                let is_small = document.entities <= self.limits.at_once_max && self.is_small(id).await?;
                Some(Writer::begin(&self.db, id, sealing.clone(), is_last || is_small).await?)
            }
        };
        let mut snapshot = self.db.begin().await?;
        sqlx::query("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            .execute(&mut *snapshot)
            .await?;
        store::plan_anew(&mut snapshot).await?;
        let head = store::head(&mut snapshot, id).await?.ok_or(Stopped::NoControlPlane)?;
        writer.iter_mut().for_each(|writer| writer.base = head.version);
        require_version(asked, &head)?;
        progress.enter(if asked.dry_run { Phase::Planning } else { Phase::Writing }, Some(document.entities));
        let Checked { kept, resolver, select_tags, .. } = document;
        let planner = Planner {
            control_plane: id,
            sealing: &sealing,
            limits: &self.limits,
            now: head.now,
            seed: self.random.bytes(),
            kept,
            select_tags,
            is_empty: head.entities == Some(0),
        };
        let mut attempt = Attempt {
            asked,
            planner,
            resolver,
            writer,
            counted: Changes::default(),
            described: Vec::new(),
            others: Vec::new(),
        };
        attempt.write_entities(&mut snapshot).await?;
        attempt.delete_the_rest(&mut snapshot).await?;
        drop(snapshot);
        attempt.finish(self, head.version).await
    }

    /// Whether the control plane holds so little that all of it may be deleted while others wait.
    async fn is_small(&self, id: ControlPlaneId) -> Result<bool, Stopped> {
        let mut connection = self.db.acquire().await?;
        let head = store::head(&mut connection, id).await?.ok_or(Stopped::NoControlPlane)?;
        Ok(head.entities.is_some_and(|entities| entities <= self.limits.at_once_max))
    }
}

fn require_version(asked: &Asked, head: &store::Head) -> Result<(), Stopped> {
    match asked.if_match {
        Some(version) if version != head.version => Err(Refusal::OtherConfiguration.into()),
        _ => Ok(()),
    }
}

/// One attempt at a document.
struct Attempt<'a> {
    asked: &'a Asked,
    planner: Planner<'a>,
    resolver: &'a mut Resolver,
    /// `None`: nothing is written.
    writer: Option<Writer>,
    /// What would change, where nothing is written.
    counted: Changes,
    /// The first of it.
    described: Vec<Change>,
    /// What others have changed meanwhile, and the document does not have.
    others: Vec<EntityId>,
}

impl Attempt<'_> {
    /// Writes what is new or differs. The next part is planned while one is written.
    async fn write_entities(&mut self, snapshot: &mut Transaction<'static, Postgres>) -> Result<(), Stopped> {
        let kept = self.planner.kept;
        let (mut parts, mut aside) = (kept.parts(), self.writer.take().map(Writer::aside));
        while let Some(part) = in_place(|| parts.next()) {
            let part = part?;
            let entities = part.len();
            let planned = self.planner.plan(snapshot, self.resolver, part).await?;
            match &mut aside {
                Some(aside) => aside.write(planned).await?,
                None => self.count(&planned),
            }
            self.asked.progress.add(entities);
        }
        let invalid = self.resolver.take_errors();
        if !invalid.is_empty() {
            return Err(Refusal::Document(kept.located(invalid)).into());
        }
        if let Some(aside) = aside {
            self.writer = Some(aside.end().await?);
        }
        Ok(())
    }

    /// Writes changes, or counts them.
    async fn keep(&mut self, changes: Part) -> Result<(), Stopped> {
        match &mut self.writer {
            Some(writer) => writer.write(changes).await,
            None => {
                self.count(&changes);
                Ok(())
            }
        }
    }

    /// Counts changes that are not written, and describes the first.
    fn count(&mut self, changes: &Part) {
        for (id, change) in changes {
            self.counted.count(change);
            if self.described.len() < CHANGES_MAX {
                self.described.push(difference::of(*id, change));
            }
        }
    }

    /// Deletes what the document owns and does not have, and what goes with that.
    async fn delete_the_rest(
        &mut self,
        snapshot: &mut Transaction<'static, Postgres>,
    ) -> Result<(), Stopped> {
        let id = self.asked.control_plane;
        // A dry run meets again what it has counted.
        let mut gone = HashSet::new();
        // Consumers before what lets them in: it is revoked with them.
        for kind in Kind::ALL {
            let mut after = Uuid::nil();
            loop {
                let connection = self.writer.as_mut().map_or(&mut **snapshot, Writer::connection);
                let owned = rows::owned(connection, id, (kind, after), self.planner.select_tags).await?;
                let Some(last) = owned.last() else { break };
                after = *last;
                let missing = owned.iter().filter(|id| !self.resolver.has(kind, **id));
                let missing: Vec<EntityId> = missing.map(|id| EntityId { kind, id: *id }).collect();
                for part in missing.chunks(PART_ENTITIES) {
                    self.delete(part, snapshot, &mut gone).await?;
                }
                if owned.len() < rows::IDS_MAX {
                    break;
                }
            }
        }
        Ok(())
    }

    /// Deletes entities, and what goes with them that the document does not own.
    async fn delete(
        &mut self,
        ids: &[EntityId],
        snapshot: &mut Transaction<'static, Postgres>,
        gone: &mut HashSet<EntityId>,
    ) -> Result<(), Stopped> {
        let mut to_delete: Vec<EntityId> = ids.to_vec();
        while !to_delete.is_empty() {
            let (id, sealing) = (self.asked.control_plane, self.planner.sealing);
            let connection = self.writer.as_mut().map_or(&mut **snapshot, Writer::connection);
            let along = match self.planner.select_tags {
                [] => Vec::new(),
                _ => {
                    gone.extend(&to_delete);
                    self.planner.taken_along(connection, self.resolver, &to_delete, gone).await?
                }
            };
            let mut rows = store::stored(connection, id, sealing, &to_delete).await?;
            let deleted = to_delete
                .iter()
                .filter_map(|id| Some((*id, Pending { before: Some(rows.remove(id)?), after: None })));
            let deleted = deleted.collect();
            self.keep(deleted).await?;
            to_delete = along;
        }
        Ok(())
    }

    /// Looks at what others have changed meanwhile, and commits.
    async fn finish(mut self, documents: &Documents, version: u64) -> Result<Counts, Stopped> {
        let Some(mut writer) = self.writer.take() else { return Ok(self.counts(self.counted, version)) };
        for _ in 0..LOOKS_MAX {
            let newest = store::head(writer.connection(), self.asked.control_plane).await?;
            let newest = newest.ok_or(Stopped::NoControlPlane)?.version;
            if self.look_again(&mut writer, newest).await? <= LATE_CHANGES_MAX {
                break;
            }
        }
        let head = writer.lock_head().await?;
        require_version(self.asked, &head)?;
        self.look_again(&mut writer, head.version).await?;
        self.require_peace(&mut writer).await?;
        let changes = writer.changes;
        let limits = documents.limits.of(self.asked.caller.session.limits);
        let (place, revocation) = writer.commit(&head, &limits, &self.asked.caller).await?;
        if place.version != head.version {
            let newest = Head { incarnation: place.incarnation, version: place.version };
            documents.feed.advance(place.control_plane, newest, revocation).await;
        }
        self.asked.caller.shows(&place.into());
        Ok(self.counts(changes, place.version))
    }

    /// Does again what the document says of entities that others have changed since it was done. Answers how many there were.
    async fn look_again(&mut self, writer: &mut Writer, newest: u64) -> Result<usize, Stopped> {
        let id = self.asked.control_plane;
        let base = writer.base;
        let changed = rows::changed(writer.connection(), id, base, newest).await?;
        writer.base = newest;
        // Others may have made the first entities.
        self.planner.is_empty = false;
        for part in changed.chunks(PART_ENTITIES) {
            let (mut wanted, mut others) = (Vec::new(), Vec::new());
            for id in part {
                match self.resolver.find(id.kind, id.id) {
                    Some(number) => wanted.push((*id, number)),
                    None => others.push(*id),
                }
            }
            let changes = self.planner.plan_again(writer.connection(), self.resolver, &wanted).await?;
            writer.write(changes).await?;
            let mut owned = store::stored(writer.connection(), id, self.planner.sealing, &others).await?;
            owned.retain(|_, row| owns(self.planner.select_tags, &row.entity));
            self.others.extend(others);
            let deleted = owned.into_iter().map(|(id, row)| (id, Pending { before: Some(row), after: None }));
            writer.write(deleted.collect()).await?;
        }
        Ok(changed.len())
    }

    /// Stops where what others have changed does not go together with the document.
    async fn require_peace(&mut self, writer: &mut Writer) -> Result<(), Stopped> {
        let id = self.asked.control_plane;
        let is_resolved = self.resolver.take_errors().is_empty();
        if !is_resolved || rows::leave_a_gap(writer.connection(), id, &self.others).await? {
            return Err(Stopped::Disturbed);
        }
        // A key that the document took from one of them.
        let stay = store::stored(writer.connection(), id, self.planner.sealing, &self.others).await?;
        let keys = |(id, row): (&EntityId, &Stored)| -> Vec<_> {
            let keys = row.entity.unique_keys().into_iter();
            keys.map(|key| ((id.kind, key), id.id)).collect()
        };
        let keys: Vec<_> = stay.iter().flat_map(keys).collect();
        let asked = keys.iter().map(|(key, _)| key.clone()).collect();
        let holders = store::holders(writer.connection(), id, asked).await?;
        let all_held = keys.iter().all(|(key, id)| holders.get(key) == Some(id));
        if all_held { Ok(()) } else { Err(Stopped::Disturbed) }
    }

    fn counts(&self, changes: Changes, version: u64) -> Counts {
        let Changes { created, updated, deleted } = changes;
        Counts {
            version,
            created,
            updated,
            deleted,
            dry_run: self.asked.dry_run,
            changes: self.described.clone(),
            import: self.asked.progress.import(),
        }
    }
}
