//! The transaction that writes a document: what has changed so far, and its end.

use access::Caller;
use gateway_model::Entity;
use ids::ControlPlaneId;
use mutation::audit::Entry;
use sqlx::{PgConnection, PgPool, Postgres, Transaction};
use sync::{Digest, Place};
use time::OffsetDateTime;
use tokio::{
    sync::mpsc,
    task::{JoinError, JoinHandle},
};
use web::Problem;

use super::{apply::Stopped, rows};
use crate::{
    entities::{
        Limits, Refusal,
        known::{EntityId, Pending},
        revocations::{self, Revoked},
        secrets::Sealing,
        store,
    },
    rows::RowError,
};

/// Versions that others may make while a large document is written.
const RESERVED_VERSIONS: u64 = 1 << 17;

/// Planned parts that wait until those before are written.
const PARTS_WAITING_MAX: usize = 1;

/// What some entities of a document change.
pub type Part = Vec<(EntityId, Pending)>;

/// What a document changes, in numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    pub created: usize,
    pub updated: usize,
    pub deleted: usize,
}

impl Changes {
    /// Counts one more.
    pub fn count(&mut self, change: &Pending) {
        match (&change.before, &change.after) {
            (None, _) => self.created += 1,
            (Some(_), Some(_)) => self.updated += 1,
            (Some(_), None) => self.deleted += 1,
        }
    }
}

/// Writes a document's changes.
pub struct Writer {
    pub transaction: Transaction<'static, Postgres>,
    control_plane: ControlPlaneId,
    sealing: Sealing,
    /// The version that the changes make.
    version: u64,
    /// Rows of later versions are left alone: they were changed by others since they were read.
    pub base: u64,
    /// When the transaction began.
    pub now: OffsetDateTime,
    pub changes: Changes,
    /// What the changes add to the digest of the configuration.
    digest: Digest,
    /// What they add to the cost of its regular expressions, and what they take from it.
    path_cost: (u64, u64),
    revoked: Revoked,
}

impl Writer {
    /// Waits for the documents before this one. With `locks_head`, nobody else writes from here on.
    pub async fn begin(
        db: &PgPool,
        control_plane: ControlPlaneId,
        sealing: Sealing,
        locks_head: bool,
    ) -> Result<Self, Stopped> {
        let mut transaction = db.begin().await?;
        store::plan_anew(&mut transaction).await?;
        store::take_turn(&mut transaction, control_plane).await?;
        let head = match locks_head {
            true => store::lock(&mut transaction, control_plane).await?,
            false => store::head(&mut transaction, control_plane).await?,
        };
        let head = head.ok_or(Stopped::NoControlPlane)?;
        let ahead = if locks_head { 1 } else { RESERVED_VERSIONS };
        Ok(Self {
            transaction,
            control_plane,
            sealing,
            version: head.version + ahead,
            base: head.version,
            now: head.now,
            changes: Changes::default(),
            digest: Digest::default(),
            path_cost: (0, 0),
            revoked: Revoked::at(head.now),
        })
    }

    /// Writes some changes, but for those whose rows others have changed since they were read.
    pub async fn write(&mut self, mut changes: Part) -> Result<(), Stopped> {
        if changes.is_empty() {
            return Ok(());
        }
        let ids: Vec<EntityId> = changes.iter().map(|(id, _)| *id).collect();
        let versions = rows::lock(&mut self.transaction, self.control_plane, &ids).await?;
        changes.retain(|(id, _)| versions.get(id).is_none_or(|version| *version <= self.base));
        let part: Vec<(EntityId, &Pending)> = changes.iter().map(|(id, change)| (*id, change)).collect();
        let new = part.iter().filter(|(id, _)| !versions.contains_key(id)).count() as u64;
        let at = (self.version, self.now);
        let written = store::write_part(
            &mut self.transaction,
            self.control_plane,
            &self.sealing,
            at,
            &part,
            &mut self.digest,
        );
        if written.await? != new {
            // Somebody made an entity with one of the ids a moment ago.
            return Err(Stopped::Disturbed);
        }
        for (id, change) in &changes {
            let cost = |entity: Option<&Entity>| entity.map_or(0, Entity::path_cost);
            self.path_cost.0 += cost(change.after.as_ref());
            self.path_cost.1 += cost(change.before.as_ref().map(|before| &before.entity));
            self.changes.count(change);
            self.revoked.note(*id, change);
        }
        Ok(())
    }

    /// Lets it write while whoever calls plans what it writes next.
    pub fn aside(mut self) -> Aside {
        let (parts, mut arriving) = mpsc::channel(PARTS_WAITING_MAX);
        let work = tokio::spawn(async move {
            while let Some(changes) = arriving.recv().await {
                self.write(changes).await?;
            }
            Ok(self)
        });
        Aside { parts, work }
    }

    /// Locks the head. From here on nobody else writes.
    pub async fn lock_head(&mut self) -> Result<store::Head, Stopped> {
        let head = store::lock(&mut self.transaction, self.control_plane).await?;
        let head = head.ok_or(Stopped::NoControlPlane)?;
        if head.version >= self.version { Err(Stopped::Disturbed) } else { Ok(head) }
    }

    /// Moves the head and commits. Answers the version that the configuration has now, and the newest revocation if there is a new one.
    pub async fn commit(
        mut self,
        head: &store::Head,
        limits: &Limits,
        caller: &Caller,
    ) -> Result<(Place, Option<u64>), Stopped> {
        let (id, changes) = (self.control_plane, self.changes);
        let mut version = head.version;
        if changes != Changes::default() {
            version = self.version;
            let entities = match head.entities {
                Some(before) => (before + changes.created).saturating_sub(changes.deleted),
                None => store::count(&mut self.transaction, id).await?,
            };
            if changes.created > 0 && entities > limits.entities_max {
                return Err(Refusal::LimitReached(limits.entities_max).into());
            }
            let (added, taken) = self.path_cost;
            let cost = match head.path_cost {
                Some(before) => before.saturating_add(added).saturating_sub(taken),
                None => store::path_cost(&mut self.transaction, id).await?,
            };
            if added > taken && cost > limits.path_cost_max {
                return Err(Refusal::PathCost { cost, max: limits.path_cost_max }.into());
            }
            let mut digest = head.digest;
            digest.add(&self.digest);
            let (entities, cost) = (Some(entities), Some(cost));
            store::move_head(&mut self.transaction, id, version, &digest, entities, cost).await?;
        }
        mutation::audit::insert(&mut self.transaction, &[entry(caller, id)]).await.map_err(RowError::from)?;
        let revoked = self.revoked.into_listed();
        let revocation = revocations::commit(&mut self.transaction, id, version, &revoked).await?;
        self.transaction.commit().await?;
        Ok((Place { control_plane: id, incarnation: head.incarnation, version }, revocation))
    }

    /// The transaction's connection, for reads that see what it has written.
    pub fn connection(&mut self) -> &mut PgConnection {
        &mut self.transaction
    }
}

/// A writer at work. It gives up what it has written when this is dropped.
pub struct Aside {
    parts: mpsc::Sender<Part>,
    work: JoinHandle<Result<Writer, Stopped>>,
}

impl Aside {
    /// Waits until it has room for these.
    pub async fn write(&mut self, changes: Part) -> Result<(), Stopped> {
        match self.parts.send(changes).await {
            Ok(()) => Ok(()),
            // It has stopped; nobody asks it again.
            Err(_) => ended((&mut self.work).await).map(drop),
        }
    }

    /// Waits until all is written.
    pub async fn end(self) -> Result<Writer, Stopped> {
        drop(self.parts);
        ended(self.work.await)
    }
}

fn ended(work: Result<Result<Writer, Stopped>, JoinError>) -> Result<Writer, Stopped> {
    work.unwrap_or_else(|error| Err(Stopped::Failed(Problem::internal(error).into())))
}

fn entry(caller: &Caller, control_plane: ControlPlaneId) -> Entry {
    Entry::change(caller.organization(), "configuration.apply", control_plane.to_string())
        .by((&caller.session).into(), caller.requested().clone())
}
