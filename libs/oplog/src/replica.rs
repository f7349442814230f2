//! The logs of one database without their service's types: read, and taken in from other regions.

use std::{collections::BTreeMap, sync::Arc};

use clock::Clock;
use ids::{OrganizationId, kinds};
use postgres::{Error, SqlId};
use replication::{Applied, Entry, Origin, Signature, Signer, Tip, Vector};
use sqlx::PgPool;
use tokio::sync::watch;

use crate::{
    apply::ErasedApply,
    columns,
    locked::{self, LockedLog},
    stored::{self, OperationRow},
};

/// The logs of one database, as replication sees them. Cheap to clone; clones share what they know to be applied.
#[derive(Clone)]
pub struct Replica {
    pub(crate) db: PgPool,
    pub(crate) origin: Origin,
    pub(crate) apply: Arc<dyn ErasedApply>,
    pub(crate) signer: Arc<Signer>,
    pub(crate) clock: Clock,
    applied: watch::Sender<Vector>,
}

/// What a database says of its logs in one moment.
#[derive(Clone, Debug)]
pub struct State {
    /// The last entry applied of every log.
    pub tips: Applied,
    /// The origins' signatures of [`State::tips`], for those that have one.
    pub signatures: BTreeMap<Origin, Signature>,
    /// Whether the log written here is known to be whole under the database server that runs now.
    pub confirmed: bool,
}

impl State {
    /// The position of the last entry applied of every log.
    pub fn vector(&self) -> Vector {
        self.tips.iter().map(|(origin, tip)| (origin.clone(), tip.position)).collect()
    }
}

impl Replica {
    pub(crate) fn new(
        db: PgPool,
        origin: Origin,
        apply: Arc<dyn ErasedApply>,
        signer: Signer,
        clock: Clock,
    ) -> Self {
        Self { db, origin, apply, signer: Arc::new(signer), clock, applied: watch::Sender::default() }
    }

    /// Who writes the log of this database.
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// What the log that is written here is signed with.
    pub fn signer(&self) -> &Signer {
        &self.signer
    }

    /// The same key, for others that sign in this service's name.
    pub fn shared_signer(&self) -> Arc<Signer> {
        self.signer.clone()
    }

    /// The database.
    pub fn db(&self) -> &PgPool {
        &self.db
    }

    /// Whether the entry takes something away. `false` for what this release cannot read.
    pub fn is_revocation(&self, entry: &Entry) -> bool {
        self.apply.is_revocation(entry)
    }

    /// What has been applied, as this process knows it: its own writes at once, what other replicas applied once
    /// [`Replica::read_state`] has seen it.
    pub fn watch_applied(&self) -> watch::Receiver<Vector> {
        self.applied.subscribe()
    }

    /// Reads how far each log is applied, and whether the log written here is whole. [`Replica::watch_applied`] follows, also
    /// back, where the database was restored from a copy.
    pub async fn read_state(&self) -> Result<State, Error> {
        let state = locked::read_state(&self.db).await?;
        let vector = state.vector();
        self.applied.send_if_modified(|applied| {
            let news = *applied != vector;
            *applied = vector;
            news
        });
        Ok(state)
    }

    /// This process has committed everything in `vector`.
    pub(crate) fn note_applied(&self, vector: &Vector) {
        self.applied.send_if_modified(|applied| {
            let news = !applied.covers(vector);
            applied.merge(vector);
            news
        });
    }

    /// At most `limit` entries of the log of `origin` after the sequence number `after_seq`, in order.
    pub async fn entries(&self, origin: &Origin, after_seq: u64, limit: u32) -> Result<Vec<Entry>, Error> {
        let rows: Vec<OperationRow> = sqlx::query_as(
            "SELECT * FROM log_operation WHERE origin = $1 AND seq > $2 ORDER BY seq LIMIT $3",
        )
        .bind(origin.to_string())
        .bind(after_seq.cast_signed())
        .bind(i64::from(limit))
        .fetch_all(&self.db)
        .await?;
        stored::entries(rows)
    }

    /// The entry of `origin` with the sequence number `seq`, if this database holds it.
    pub async fn entry(&self, origin: &Origin, seq: u64) -> Result<Option<Entry>, Error> {
        let row: Option<OperationRow> =
            sqlx::query_as("SELECT * FROM log_operation WHERE origin = $1 AND seq = $2")
                .bind(origin.to_string())
                .bind(seq.cast_signed())
                .fetch_optional(&self.db)
                .await?;
        row.map(Entry::try_from).transpose()
    }

    /// Whether this database holds the entry of `origin` that is `tip`.
    pub async fn holds(&self, origin: &Origin, tip: &Tip) -> Result<bool, Error> {
        let held = self.entry(origin, tip.position.seq).await?;
        Ok(held.is_some_and(|held| held.tip() == *tip))
    }

    /// The last entry of each log that touched `organization`.
    pub async fn organization_vector(&self, organization: OrganizationId) -> Result<Vector, Error> {
        organization_vector(&self.db, organization).await
    }

    /// At most `limit` organizations that any entry touched, by id, after the id `after`.
    pub async fn organizations(
        &self,
        after: Option<OrganizationId>,
        limit: u32,
    ) -> Result<Vec<OrganizationId>, Error> {
        let rows: Vec<(SqlId<kinds::Organization>,)> = sqlx::query_as(
            "SELECT DISTINCT organization_id FROM log_organization
             WHERE $1::uuid IS NULL OR organization_id > $1 ORDER BY organization_id LIMIT $2",
        )
        .bind(after.map(SqlId))
        .bind(i64::from(limit))
        .fetch_all(&self.db)
        .await?;
        Ok(rows.into_iter().map(|(id,)| id.into()).collect())
    }

    /// Digest of an organization's replicated rows, and the vector for which it holds.
    pub async fn digest(&self, organization: OrganizationId) -> Result<(Vector, [u8; 32]), Error> {
        let mut transaction = self.db.begin().await?;
        sqlx::query("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            .execute(&mut *transaction)
            .await?;
        let vector = organization_vector(&mut *transaction, organization).await?;
        let digest = self.apply.digest(&mut transaction, organization).await?;
        Ok((vector, digest))
    }

    /// Writes what `log` has taken, and commits.
    pub(crate) async fn store(
        &self,
        mut transaction: sqlx::Transaction<'static, sqlx::Postgres>,
        log: LockedLog,
    ) -> Result<(), Error> {
        let vector = log.store(&mut transaction, &self.origin, &self.signer).await?;
        transaction.commit().await?;
        self.note_applied(&vector);
        Ok(())
    }
}

async fn organization_vector(
    executor: impl sqlx::PgExecutor<'_>,
    organization: OrganizationId,
) -> Result<Vector, Error> {
    let rows = sqlx::query_as("SELECT origin, epoch, seq FROM log_organization WHERE organization_id = $1")
        .bind(SqlId(organization))
        .fetch_all(executor)
        .await?;
    columns::vector(rows)
}
