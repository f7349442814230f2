//! Removes old entries. What is left is still a chain: the service signs where it begins now.

use std::{sync::Arc, time::Duration};

use ids::kinds;
use postgres::{Error, SqlId};
use replication::{Context, Hash, Signature};
use sqlx::PgConnection;
use tokio_util::sync::CancellationToken;

use crate::{
    ChainState, Filter, Linker,
    chain::ChainRow,
    linker::{self, Linking},
    page,
    verify::{Broken, Verifier},
};

/// Pause between two looks.
const INTERVAL: Duration = Duration::from_secs(3600);
/// Chains that are shortened in one transaction.
const CHAINS_MAX: i64 = 10;
/// Entries that are removed from one chain in one transaction.
const ENTRIES_MAX: u32 = 10_000;

/// How long entries are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// Days.
    pub days: u32,
}

impl Linker {
    /// Removes what is older than `retention`, once an hour until the drain.
    pub async fn purge(self, retention: Retention, drain: CancellationToken) -> anyhow::Result<()> {
        let linker = Arc::new(self);
        let work = || {
            let linker = linker.clone();
            async move { purge(&linker, retention).await.map(drop) }
        };
        pace::every(INTERVAL, "old audit entries are removed", drain.cancelled_owned(), work).await;
        Ok(())
    }
}

/// Removes what is older than `retention`, once. Answers how many entries.
pub async fn purge(linker: &Linker, retention: Retention) -> Result<u64, Error> {
    let mut removed = 0;
    loop {
        let (chains, entries) = purge_some(&linker.linking, retention).await?;
        removed += entries;
        if chains == 0 {
            return Ok(removed);
        }
    }
}

/// A chain, and the last of its old entries.
#[derive(sqlx::FromRow)]
struct Cut {
    organization_id: SqlId<kinds::Organization>,
    seq: i64,
    hash: Vec<u8>,
}

/// What is signed for as the beginning of a chain has to be what was there.
async fn check(
    connection: &mut PgConnection,
    linking: &Linking,
    state: &ChainState,
    up_to: i64,
) -> Result<Result<(), Broken>, Error> {
    let filter = Filter {
        after: state.floor_seq,
        up_to: Some(up_to.cast_unsigned()),
        limit: ENTRIES_MAX,
        ..Filter::default()
    };
    let records = page(connection, &linking.place, state.chain.organization_id, &filter).await?;
    let verified = || {
        let mut verifier = Verifier::begin(&linking.keys, state.clone())?;
        records.iter().try_for_each(|record| verifier.take(record))
    };
    Ok(verified())
}

/// Shortens some chains; answers how many, and by how many entries.
async fn purge_some(linking: &Linking, retention: Retention) -> Result<(u64, u64), Error> {
    let mut transaction = linking.db.begin().await?;
    linker::lock(&mut transaction).await?;
    // The first entry of a chain that is not removed is the first one that is young enough, whatever the times of those behind it.
    let cuts: Vec<Cut> = sqlx::query_as(
        "SELECT c.organization_id, last.seq, last.hash FROM (
             SELECT organization_id, floor_seq FROM audit_chain AS c
             WHERE EXISTS (SELECT FROM audit AS a WHERE a.organization_id = c.organization_id
                           AND a.seq = c.floor_seq + 1 AND a.at < now() - make_interval(days => $1))
             ORDER BY organization_id LIMIT $2
         ) AS c,
         LATERAL (
             SELECT coalesce(min(seq), 9223372036854775807) AS first FROM audit
             WHERE organization_id = c.organization_id AND seq > c.floor_seq AND seq <= c.floor_seq + $3
               AND at >= now() - make_interval(days => $1)
         ) AS young,
         LATERAL (
             SELECT seq, hash FROM audit
             WHERE organization_id = c.organization_id AND seq > c.floor_seq AND seq <= c.floor_seq + $3
               AND seq < young.first
             ORDER BY seq DESC LIMIT 1
         ) AS last",
    )
    .bind(i32::try_from(retention.days).unwrap_or(i32::MAX))
    .bind(CHAINS_MAX)
    .bind(i64::from(ENTRIES_MAX))
    .fetch_all(&mut *transaction)
    .await?;
    let (mut chains, mut entries) = (0, 0);
    for cut in cuts {
        let row: ChainRow = sqlx::query_as("SELECT * FROM audit_chain WHERE organization_id = $1")
            .bind(cut.organization_id)
            .fetch_one(&mut *transaction)
            .await?;
        let state = row.state(&linking.place);
        if let Err(broken) = check(&mut transaction, linking, &state, cut.seq).await? {
            tracing::error!(%broken, "old audit entries are not removed: they are not as they were made");
            continue;
        }
        let hash: Hash = cut.hash.try_into().map_err(|_| Error::undecodable("audit: a hash is 32 bytes"))?;
        let signature: Signature =
            state.chain.sign(&linking.signer, Context::AuditFloor, cut.seq.cast_unsigned(), &hash);
        sqlx::query(
            "UPDATE audit_chain SET floor_seq = $2, floor_hash = $3, floor_signature = $4 WHERE organization_id = $1",
        )
        .bind(cut.organization_id)
        .bind(cut.seq)
        .bind(hash.to_vec())
        .bind(signature.as_bytes().to_vec())
        .execute(&mut *transaction)
        .await?;
        if linking.keeps_clients {
            sqlx::query(
                "DELETE FROM resident.audit_client WHERE client_hash IN (
                     SELECT client_hash FROM audit WHERE organization_id = $1 AND seq <= $2 AND client_hash IS NOT NULL)",
            )
            .bind(cut.organization_id)
            .bind(cut.seq)
            .execute(&mut *transaction)
            .await?;
        }
        let gone = sqlx::query("DELETE FROM audit WHERE organization_id = $1 AND seq <= $2")
            .bind(cut.organization_id)
            .bind(cut.seq)
            .execute(&mut *transaction)
            .await?;
        chains += 1;
        entries += gone.rows_affected();
    }
    transaction.commit().await?;
    Ok((chains, entries))
}
