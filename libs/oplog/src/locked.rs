//! The logs of a database, locked by the one row of `log_head`: everything that changes replicated rows passes here, one
//! transaction after the other.

use std::collections::BTreeMap;

use ids::OrganizationId;
use postgres::Error;
use replication::{Applied, Entry, NO_HASH, Origin, Position, Signature, Signer, Tip, Vector};
use sqlx::{PgConnection, types::Uuid};

use crate::{
    State,
    apply::StoredEffects,
    columns,
    stored::{self, OriginRow},
};

/// Before the first entry.
const START: Tip = Tip { position: Position { epoch: 1, seq: 0 }, hash: NO_HASH };

/// The ends of all logs, and what the transaction that holds the lock will store.
pub struct LockedLog {
    /// Whether the log written here is known to be whole under the database server that runs now.
    pub confirmed: bool,
    /// In which this origin writes.
    pub epoch: u32,
    tips: Applied,
    taken: Vec<Taken>,
}

/// An entry with what it changed.
struct Taken {
    entry: Entry,
    /// `false` for a revocation whose turn has not come.
    in_turn: bool,
    effects: StoredEffects,
}

/// Where a transaction can go back to.
pub struct Mark {
    taken: usize,
    tips: Applied,
}

#[derive(sqlx::FromRow)]
struct StateRow {
    confirmed: bool,
    origin: Option<String>,
    epoch: Option<i64>,
    seq: Option<i64>,
    hash: Option<Vec<u8>>,
    signature: Option<Vec<u8>>,
}

/// Reads the tips of all logs in this database, and whether its own log is confirmed since Postgres was started. Takes
/// no lock. Fails if the database does, or if a stored origin, position or hash has another form than it must have.
pub async fn read_state(executor: impl sqlx::PgExecutor<'_>) -> Result<State, Error> {
    let rows: Vec<StateRow> = sqlx::query_as(
        "SELECT confirmed_at IS NOT DISTINCT FROM pg_postmaster_start_time() AS confirmed,
                origin, log_origin.epoch, log_origin.seq, hash, signature
         FROM log_head LEFT JOIN log_origin ON true LEFT JOIN log_operation USING (origin, seq)",
    )
    .fetch_all(executor)
    .await?;
    let confirmed = rows.first().is_some_and(|row| row.confirmed);
    let (mut tips, mut signatures) = (Applied::new(), BTreeMap::new());
    for row in rows {
        let (Some(origin), Some(epoch), Some(seq), Some(hash)) = (row.origin, row.epoch, row.seq, row.hash)
        else {
            continue;
        };
        let (origin, tip) = OriginRow { origin, epoch, seq, hash }.try_into()?;
        if let Some(signature) = row.signature.map(stored::signature).transpose()? {
            signatures.insert(origin.clone(), signature);
        }
        tips.insert(origin, tip);
    }
    Ok(State { tips, signatures, confirmed })
}

impl LockedLog {
    /// Waits for the lock, which lasts until the transaction ends.
    pub async fn lock(connection: &mut PgConnection) -> Result<Self, Error> {
        let (confirmed, epoch): (bool, i64) = sqlx::query_as(
            "SELECT confirmed_at IS NOT DISTINCT FROM pg_postmaster_start_time(), epoch FROM log_head FOR UPDATE",
        )
        .fetch_one(&mut *connection)
        .await?;
        // A statement of its own: it sees what was committed while the lock was waited for.
        let rows: Vec<OriginRow> =
            sqlx::query_as("SELECT origin, epoch, seq, hash FROM log_origin").fetch_all(connection).await?;
        let tips = rows.into_iter().map(TryInto::try_into).collect::<Result<_, _>>()?;
        Ok(Self { confirmed, epoch: columns::position(epoch, 0)?.epoch, tips, taken: Vec::new() })
    }

    /// The end of the log of `origin`.
    pub fn tip(&self, origin: &Origin) -> Tip {
        self.tips.get(origin).copied().unwrap_or(START)
    }

    /// Moves the end of a log back, after entries were taken out of it.
    pub fn set_tip(&mut self, origin: &Origin, tip: Tip) {
        self.tips.insert(origin.clone(), tip);
    }

    /// The position of the end of every log.
    pub fn vector(&self) -> Vector {
        self.tips.iter().map(|(origin, tip)| (origin.clone(), tip.position)).collect()
    }

    /// The end of every log.
    pub fn applied(&self) -> Applied {
        self.tips.clone()
    }

    /// The vector without `origin`: what an entry of that origin depends on.
    pub fn vector_without(&self, origin: &Origin) -> Vector {
        let others = self.tips.iter().filter(|(other, _)| *other != origin);
        others.map(|(other, tip)| (other.clone(), tip.position)).collect()
    }

    /// Takes an entry that has been applied, as the next of its log.
    pub fn take(&mut self, entry: Entry, effects: StoredEffects) {
        self.tips.insert(entry.origin.clone(), entry.tip());
        self.taken.push(Taken { entry, in_turn: true, effects });
    }

    /// Takes the effects of a revocation whose turn has not come.
    pub fn take_early(&mut self, entry: Entry, effects: StoredEffects) {
        self.taken.push(Taken { entry, in_turn: false, effects });
    }

    /// What [`LockedLog::return_to`] needs.
    pub fn mark(&self) -> Mark {
        Mark { taken: self.taken.len(), tips: self.tips.clone() }
    }

    /// Forgets what was taken after `mark`.
    pub fn return_to(&mut self, mark: Mark) {
        self.taken.truncate(mark.taken);
        self.tips = mark.tips;
    }

    /// Writes what was taken, as the last statements before the commit; answers the vector after it. New entries of `own`
    /// are signed.
    pub async fn store(
        mut self,
        connection: &mut PgConnection,
        own: &Origin,
        signer: &Signer,
    ) -> Result<Vector, Error> {
        let entries = self.taken.iter_mut().map(|taken| &mut taken.entry);
        for entry in entries.filter(|entry| entry.origin == *own && entry.signature.is_none()) {
            entry.signature = Some(signer.sign(own, &entry.tip()));
        }
        if !self.taken.is_empty() {
            store_entries(connection, &self.taken).await?;
            store_applied(connection, &self.taken).await?;
            store_tips(connection, &self).await?;
        }
        Ok(self.vector())
    }
}

async fn store_entries(connection: &mut PgConnection, taken: &[Taken]) -> Result<(), Error> {
    let all: Vec<&Entry> = taken.iter().filter(|taken| taken.in_turn).map(|taken| &taken.entry).collect();
    let authority =
        |entry: &&Entry| entry.authority.iter().map(Uuid::to_string).collect::<Vec<_>>().join(",");
    let deps = all.iter().map(|entry| serde_json::to_string(&entry.deps));
    let deps = deps.collect::<Result<Vec<_>, _>>().map_err(Error::unencodable)?;
    sqlx::query(
        "INSERT INTO log_operation
         (origin, seq, epoch, id, organization_id, actor_id, authority, prev_hash, deps, kind, body, at, traceparent,
          signature)
         SELECT origin, seq, epoch, id, organization_id, actor_id, string_to_array(authority, ',')::uuid[],
                prev_hash, deps, kind, body, at, traceparent, signature
         FROM unnest($1::text[], $2::bigint[], $3::bigint[], $4::uuid[], $5::uuid[], $6::uuid[], $7::text[],
                     $8::bytea[], $9::text[], $10::text[], $11::text[], $12::bigint[], $13::text[], $14::bytea[])
              AS row (origin, seq, epoch, id, organization_id, actor_id, authority,
                      prev_hash, deps, kind, body, at, traceparent, signature)",
    )
    .bind(all.iter().map(|entry| entry.origin.to_string()).collect::<Vec<_>>())
    .bind(all.iter().map(|entry| columns::seq(entry.position)).collect::<Vec<_>>())
    .bind(all.iter().map(|entry| columns::epoch(entry.position)).collect::<Vec<_>>())
    .bind(all.iter().map(|entry| entry.id).collect::<Vec<_>>())
    .bind(all.iter().map(|entry| entry.organization.uuid()).collect::<Vec<_>>())
    .bind(all.iter().map(|entry| entry.actor.map(|actor| actor.uuid())).collect::<Vec<_>>())
    .bind(all.iter().map(authority).collect::<Vec<_>>())
    .bind(all.iter().map(|entry| entry.prev_hash.to_vec()).collect::<Vec<_>>())
    .bind(deps)
    .bind(all.iter().map(|entry| entry.kind.clone()).collect::<Vec<_>>())
    .bind(all.iter().map(|entry| entry.body.clone()).collect::<Vec<_>>())
    .bind(all.iter().map(|entry| entry.at).collect::<Vec<_>>())
    .bind(all.iter().map(|entry| entry.traceparent.clone()).collect::<Vec<_>>())
    .bind(all.iter().map(|entry| entry.signature.as_ref().map(signature)).collect::<Vec<_>>())
    .execute(connection)
    .await?;
    Ok(())
}

fn signature(signature: &Signature) -> Vec<u8> {
    signature.as_bytes().to_vec()
}

async fn store_applied(connection: &mut PgConnection, taken: &[Taken]) -> Result<(), Error> {
    sqlx::query(
        "WITH head AS (
             UPDATE log_head SET position = position + cardinality($1::text[])
             RETURNING position - cardinality($1) AS before)
         INSERT INTO log_applied (position, origin, seq, epoch, organization_id, in_turn, effects)
         SELECT before + place, origin, seq, epoch, organization_id, in_turn, effects
         FROM head, unnest($1, $2::bigint[], $3::bigint[], $4::uuid[], $5::bool[], $6::text[])
              WITH ORDINALITY AS row (origin, seq, epoch, organization_id, in_turn, effects, place)",
    )
    .bind(taken.iter().map(|taken| taken.entry.origin.to_string()).collect::<Vec<_>>())
    .bind(taken.iter().map(|taken| columns::seq(taken.entry.position)).collect::<Vec<_>>())
    .bind(taken.iter().map(|taken| columns::epoch(taken.entry.position)).collect::<Vec<_>>())
    .bind(taken.iter().map(|taken| taken.entry.organization.uuid()).collect::<Vec<_>>())
    .bind(taken.iter().map(|taken| taken.in_turn).collect::<Vec<_>>())
    .bind(taken.iter().map(|taken| taken.effects.clone()).collect::<Vec<_>>())
    .execute(connection)
    .await?;
    Ok(())
}

/// Where each log that was appended to ends now, in this database and for each organization that was touched.
async fn store_tips(connection: &mut PgConnection, log: &LockedLog) -> Result<(), Error> {
    let mut touched = BTreeMap::<(OrganizationId, &Origin), Position>::new();
    let mut ends = BTreeMap::<&Origin, Tip>::new();
    for Taken { entry, in_turn, .. } in &log.taken {
        if *in_turn {
            touched.insert((entry.organization, &entry.origin), entry.position);
            ends.insert(&entry.origin, log.tip(&entry.origin));
        }
    }
    sqlx::query(
        "WITH ends AS (
             INSERT INTO log_origin (origin, epoch, seq, hash)
             SELECT * FROM unnest($1::text[], $2::bigint[], $3::bigint[], $4::bytea[])
             ON CONFLICT (origin) DO UPDATE SET epoch = excluded.epoch, seq = excluded.seq, hash = excluded.hash)
         INSERT INTO log_organization (organization_id, origin, epoch, seq)
         SELECT * FROM unnest($5::uuid[], $6::text[], $7::bigint[], $8::bigint[])
         ON CONFLICT (organization_id, origin) DO UPDATE SET epoch = excluded.epoch, seq = excluded.seq",
    )
    .bind(ends.keys().map(ToString::to_string).collect::<Vec<_>>())
    .bind(ends.values().map(|tip| columns::epoch(tip.position)).collect::<Vec<_>>())
    .bind(ends.values().map(|tip| columns::seq(tip.position)).collect::<Vec<_>>())
    .bind(ends.values().map(|tip| tip.hash.to_vec()).collect::<Vec<_>>())
    .bind(touched.keys().map(|(organization, _)| organization.uuid()).collect::<Vec<_>>())
    .bind(touched.keys().map(|(_, origin)| origin.to_string()).collect::<Vec<_>>())
    .bind(touched.values().map(|position| columns::epoch(*position)).collect::<Vec<_>>())
    .bind(touched.values().map(|position| columns::seq(*position)).collect::<Vec<_>>())
    .execute(connection)
    .await?;
    Ok(())
}
