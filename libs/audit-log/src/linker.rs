//! Makes entries part of their chains, after they have committed.
//!
//! An entry waits in the table without a place. A pass takes those that wait, gives each the next place of its organization's chain, and
//! signs the ends, all in one transaction; of all replicas one does so at a time. So no writer waits for another one's entry, and it does
//! not matter in which order transactions begin and commit: an entry is found because it has no place, not because its id is the next.
//!
//! The end of a chain is verified before it is continued. Whoever altered it has to be found, and not signed for.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use ids::{OrganizationId, kinds};
use metrics::{describe_gauge, gauge};
use pace::Rounds;
use postgres::{Error, PgPool, SqlId};
use replication::{Context, PublicKey, Signer};
use sqlx::{AssertSqlSafe, PgConnection};
use tokio_util::sync::CancellationToken;

use crate::{
    Chain, ChainState, Place, Record,
    chain::ChainRow,
    record::{COLUMNS, Row},
};

/// Pause between two looks for entries that wait.
const INTERVAL: Duration = Duration::from_millis(250);
/// Entries of one pass.
const BATCH_MAX: i64 = 2000;
/// Of all replicas and of what removes old entries, one has this lock at a time.
const LOCK: i64 = 0x6175_6469_745f_6c6b;
/// Chains that a process remembers as broken. Beyond that it looks at them again and again.
const BROKEN_MAX: usize = 1024;

const UNLINKED_SECONDS: &str = "landbridge_audit_unlinked_seconds";
const BROKEN: &str = "landbridge_audit_broken_chains";

/// What a linker is made of.
#[derive(Clone)]
pub struct Linking {
    /// The service's database.
    pub db: PgPool,
    /// Where the log is.
    pub place: Place,
    /// The key of the service's log.
    pub signer: Arc<Signer>,
    /// Every key that ends of chains may be signed with, that of `signer` among them.
    pub keys: Vec<PublicKey>,
    /// Whether the database keeps the clients of entries. They go with them.
    pub keeps_clients: bool,
}

/// Links entries. Cheap to clone.
#[derive(Clone)]
pub struct Linker {
    pub(crate) linking: Linking,
    broken: Arc<Mutex<BTreeSet<OrganizationId>>>,
}

impl Linker {
    /// A linker of one replica.
    pub fn new(linking: Linking) -> Self {
        Self { linking, broken: Arc::default() }
    }

    /// What it is made of.
    pub fn linking(&self) -> &Linking {
        &self.linking
    }

    /// Links until the drain.
    pub async fn run(self, drain: CancellationToken) -> anyhow::Result<()> {
        describe_gauge!(
            UNLINKED_SECONDS,
            "How long the oldest audit entry of this service has waited to be part of its chain."
        );
        describe_gauge!(
            BROKEN,
            "Chains of audit entries that are not continued because their end is not what was signed."
        );
        let mut rounds = Rounds::new(INTERVAL, drain);
        let mut failing = false;
        while rounds.next().await {
            let linked = async {
                while self.link_once().await? == BATCH_MAX.unsigned_abs() {}
                self.unlinked().await
            };
            match linked.await {
                Ok(seconds) => {
                    failing = false;
                    gauge!(UNLINKED_SECONDS).set(seconds);
                }
                Err(error) if !std::mem::replace(&mut failing, true) => {
                    tracing::warn!(%error, "audit entries could not be linked; trying again");
                }
                Err(_) => {}
            }
        }
        Ok(())
    }

    /// How long the oldest entry has waited, in seconds; 0 if none waits.
    pub async fn unlinked(&self) -> Result<f64, Error> {
        let seconds: Option<f64> = sqlx::query_scalar(
            "SELECT greatest(extract(epoch FROM clock_timestamp() - min(at)), 0)::float8 FROM audit WHERE seq IS NULL",
        )
        .fetch_one(&self.linking.db)
        .await?;
        Ok(seconds.unwrap_or_default())
    }

    /// One pass. Answers how many entries it has linked: 0 if none waited, or another replica is at it.
    pub async fn link_once(&self) -> Result<u64, Error> {
        let Linking { db, place, .. } = &self.linking;
        let mut transaction = db.begin().await?;
        let is_alone: bool = sqlx::query_scalar("SELECT pg_try_advisory_xact_lock($1)")
            .bind(LOCK)
            .fetch_one(&mut *transaction)
            .await?;
        if !is_alone {
            return Ok(0);
        }
        let broken: Vec<_> = self.broken().iter().copied().map(SqlId).collect();
        let rows: Vec<Row> = sqlx::query_as(AssertSqlSafe(format!(
            "SELECT {COLUMNS} FROM audit WHERE seq IS NULL AND organization_id <> ALL($1) ORDER BY id LIMIT $2"
        )))
        .bind(broken)
        .bind(BATCH_MAX)
        .fetch_all(&mut *transaction)
        .await?;
        if rows.is_empty() {
            return Ok(0);
        }
        let organizations: BTreeSet<OrganizationId> =
            rows.iter().map(|row| row.organization_id.into()).collect();
        let mut states = self.ends(&mut transaction, organizations).await?;
        let mut linked: Vec<(i64, Record)> = Vec::with_capacity(rows.len());
        for row in rows {
            let organization: OrganizationId = row.organization_id.into();
            let Some(state) = states.get_mut(&organization) else { continue };
            let id = row.id;
            let record = row.link(place, state.seq.saturating_add(1), state.hash);
            (state.seq, state.hash) = (record.seq, record.hash);
            linked.push((id, record));
        }
        self.store(&mut transaction, &mut linked, &mut states).await?;
        transaction.commit().await?;
        Ok(linked.len() as u64)
    }

    /// The ends of the chains of `organizations` that may be continued.
    async fn ends(
        &self,
        connection: &mut PgConnection,
        organizations: BTreeSet<OrganizationId>,
    ) -> Result<BTreeMap<OrganizationId, ChainState>, Error> {
        let Linking { place, keys, .. } = &self.linking;
        let all: Vec<_> = organizations.iter().copied().map(SqlId).collect();
        let rows: Vec<ChainRow> = sqlx::query_as("SELECT * FROM audit_chain WHERE organization_id = ANY($1)")
            .bind(all)
            .fetch_all(&mut *connection)
            .await?;
        let mut states: BTreeMap<_, _> = rows
            .into_iter()
            .map(|row| row.state(place))
            .map(|state| (state.chain.organization_id, state))
            .collect();
        let without: Vec<_> =
            organizations.iter().copied().filter(|id| !states.contains_key(id)).map(SqlId).collect();
        // A chain that has entries and no end: somebody has removed that.
        let cut: Vec<(SqlId<kinds::Organization>,)> = sqlx::query_as(
            "SELECT organization FROM unnest($1::uuid[]) AS given (organization)
             WHERE EXISTS (SELECT FROM audit WHERE organization_id = organization AND seq IS NOT NULL)",
        )
        .bind(without)
        .fetch_all(connection)
        .await?;
        let cut: BTreeSet<OrganizationId> = cut.into_iter().map(|(id,)| id.into()).collect();
        for id in organizations {
            let is_whole = match states.get(&id) {
                None => !cut.contains(&id),
                Some(state) => state.signature.as_ref().is_some_and(|signature| {
                    let end = (state.seq, &state.hash);
                    state.chain.proves(keys, Context::AuditHead, end, signature).is_ok()
                }),
            };
            if is_whole {
                let chain = Chain { place: place.clone(), organization_id: id };
                states.entry(id).or_insert_with(|| ChainState::empty(chain));
            } else {
                states.remove(&id);
                self.found_broken(id);
            }
        }
        Ok(states)
    }

    fn found_broken(&self, organization: OrganizationId) {
        tracing::error!(
            %organization,
            "the end of a chain of audit entries is not what was signed: it is not continued; run `landbridge audit verify`"
        );
        let mut broken = self.broken();
        if broken.len() < BROKEN_MAX {
            broken.insert(organization);
        }
        gauge!(BROKEN).set(broken.len() as f64);
    }

    fn broken(&self) -> std::sync::MutexGuard<'_, BTreeSet<OrganizationId>> {
        self.broken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Signs the ends, and writes both.
    async fn store(
        &self,
        connection: &mut PgConnection,
        linked: &mut [(i64, Record)],
        states: &mut BTreeMap<OrganizationId, ChainState>,
    ) -> Result<(), Error> {
        let signer = &self.linking.signer;
        for state in states.values_mut() {
            state.signature = Some(state.chain.sign(signer, Context::AuditHead, state.seq, &state.hash));
        }
        for (_, record) in linked.iter_mut() {
            let is_last =
                states.get(&record.chain.organization_id).is_some_and(|state| state.seq == record.seq);
            if is_last {
                record.signature =
                    Some(record.chain.sign(signer, Context::AuditEntry, record.seq, &record.hash));
            }
        }
        let all = || linked.iter().map(|(_, record)| record);
        sqlx::query(
            "UPDATE audit SET seq = given.seq, prev_hash = given.prev_hash, hash = given.hash, signature = given.signature
             FROM unnest($1::bigint[], $2::bigint[], $3::bytea[], $4::bytea[], $5::bytea[])
                 AS given (id, seq, prev_hash, hash, signature)
             WHERE audit.id = given.id",
        )
        .bind(linked.iter().map(|(id, _)| *id).collect::<Vec<_>>())
        .bind(all().map(|record| record.seq.cast_signed()).collect::<Vec<_>>())
        .bind(all().map(|record| record.prev_hash.to_vec()).collect::<Vec<_>>())
        .bind(all().map(|record| record.hash.to_vec()).collect::<Vec<_>>())
        .bind(all().map(|record| record.signature.map(|bytes| bytes.as_bytes().to_vec())).collect::<Vec<_>>())
        .execute(&mut *connection)
        .await?;
        let signature = |state: &ChainState| state.signature.map(|bytes| bytes.as_bytes().to_vec());
        sqlx::query(
            "INSERT INTO audit_chain (organization_id, seq, hash, signature)
             SELECT * FROM unnest($1::uuid[], $2::bigint[], $3::bytea[], $4::bytea[])
             ON CONFLICT (organization_id) DO UPDATE
             SET seq = excluded.seq, hash = excluded.hash, signature = excluded.signature",
        )
        .bind(states.keys().copied().map(SqlId).collect::<Vec<_>>())
        .bind(states.values().map(|state| state.seq.cast_signed()).collect::<Vec<_>>())
        .bind(states.values().map(|state| state.hash.to_vec()).collect::<Vec<_>>())
        .bind(states.values().map(signature).collect::<Vec<_>>())
        .execute(connection)
        .await?;
        Ok(())
    }
}

/// Waits until nobody else links, and links no entry while the transaction lasts.
pub(crate) async fn lock(connection: &mut PgConnection) -> Result<(), Error> {
    sqlx::query("SELECT pg_advisory_xact_lock($1)").bind(LOCK).execute(connection).await?;
    Ok(())
}
