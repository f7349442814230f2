//! The log's head, locked: everything that changes replicated rows passes here, one transaction after the other.

use std::collections::BTreeMap;

use ids::OrganizationId;
use replication::{Applied, Hash, Head as Tip, NO_HASH, Operation, Origin, Position, Vector};
use sqlx::{PgConnection, types::Uuid};

use super::Effects;
use crate::Error;

/// How far one origin's log is applied in this database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    pub origin: Origin,
    pub position: Position,
    /// Chain hash of the operation there.
    pub hash: Hash,
}

/// Before the first operation.
const START: Tip = Tip { position: Position { epoch: 1, seq: 0 }, hash: NO_HASH };

/// The head, and what the transaction that holds it will store.
pub(super) struct Head {
    /// Whether this origin is known to be whole under the database server that runs now.
    pub confirmed: bool,
    /// In which this origin writes.
    pub epoch: u32,
    tips: BTreeMap<Origin, Tip>,
    pending: Vec<Pending>,
}

struct Pending {
    operation: Operation,
    in_turn: bool,
    effects: Effects,
}

/// Where a transaction can go back to.
pub(super) struct Mark {
    pending: usize,
    tips: BTreeMap<Origin, Tip>,
}

#[derive(sqlx::FromRow)]
pub(super) struct HeldRow {
    origin: String,
    epoch: i64,
    seq: i64,
    hash: Vec<u8>,
}

impl TryFrom<HeldRow> for Held {
    type Error = Error;

    fn try_from(row: HeldRow) -> Result<Self, Error> {
        let origin = row.origin.parse().map_err(|error| sqlx::Error::Decode(Box::new(error)))?;
        let hash = row.hash.try_into().map_err(|_| sqlx::Error::Decode("log_origin.hash".into()))?;
        Ok(Self { origin, position: super::position(row.epoch, row.seq), hash })
    }
}

/// Every origin that operations were applied of.
pub(super) async fn held(executor: impl sqlx::PgExecutor<'_>) -> Result<Vec<Held>, Error> {
    let rows: Vec<HeldRow> =
        sqlx::query_as("SELECT origin, epoch, seq, hash FROM log_origin").fetch_all(executor).await?;
    rows.into_iter().map(Held::try_from).collect()
}

/// What a log's database says of itself in one moment.
#[derive(Clone, Debug)]
pub struct State {
    /// Every origin that operations were applied of.
    pub held: Vec<Held>,
    /// Whether the own origin is known to be whole under the database server that runs now.
    pub confirmed: bool,
}

#[derive(sqlx::FromRow)]
struct StateRow {
    confirmed: bool,
    origin: Option<String>,
    epoch: Option<i64>,
    seq: Option<i64>,
    hash: Option<Vec<u8>>,
}

pub(super) async fn state(executor: impl sqlx::PgExecutor<'_>) -> Result<State, Error> {
    let rows: Vec<StateRow> = sqlx::query_as(
        "SELECT confirmed_at IS NOT DISTINCT FROM pg_postmaster_start_time() AS confirmed,
                origin, log_origin.epoch, log_origin.seq, hash
         FROM log_head LEFT JOIN log_origin ON true",
    )
    .fetch_all(executor)
    .await?;
    let confirmed = rows.first().is_some_and(|row| row.confirmed);
    let held = rows.into_iter().filter_map(|row| {
        let row = HeldRow { origin: row.origin?, epoch: row.epoch?, seq: row.seq?, hash: row.hash? };
        Some(Held::try_from(row))
    });
    Ok(State { held: held.collect::<Result<_, _>>()?, confirmed })
}

impl Head {
    /// Waits for the lock, which lasts until the transaction ends.
    pub async fn lock(connection: &mut PgConnection) -> Result<Self, Error> {
        let (confirmed, epoch): (bool, i64) = sqlx::query_as(
            "SELECT confirmed_at IS NOT DISTINCT FROM pg_postmaster_start_time(), epoch FROM log_head FOR UPDATE",
        )
        .fetch_one(&mut *connection)
        .await?;
        // A statement of its own: it sees what was committed while the lock was waited for.
        let tips = held(connection).await?;
        let tips =
            tips.into_iter().map(|held| (held.origin, Tip { position: held.position, hash: held.hash }));
        let epoch = super::position(epoch, 0).epoch;
        Ok(Self { confirmed, epoch, tips: tips.collect(), pending: Vec::new() })
    }

    pub fn tip(&self, origin: &Origin) -> Tip {
        self.tips.get(origin).copied().unwrap_or(START)
    }

    /// Moves the end of a log to where nothing has been appended: after a part of it was set aside.
    pub fn set_tip(&mut self, origin: &Origin, tip: Tip) {
        self.tips.insert(origin.clone(), tip);
    }

    pub fn vector(&self) -> Vector {
        self.tips.iter().map(|(origin, tip)| (origin.clone(), tip.position)).collect()
    }

    /// The end of every log.
    pub fn applied(&self) -> Applied {
        self.tips.clone()
    }

    /// The vector without `origin`: what an operation of that origin depends on.
    pub fn vector_without(&self, origin: &Origin) -> Vector {
        let others = self.tips.iter().filter(|(other, _)| *other != origin);
        others.map(|(other, tip)| (other.clone(), tip.position)).collect()
    }

    /// Takes an operation that has been applied, as the next of its log.
    pub fn take(&mut self, operation: Operation, effects: Effects) {
        self.tips.insert(operation.origin.clone(), operation.head());
        self.pending.push(Pending { operation, in_turn: true, effects });
    }

    /// Takes the effects of a revocation whose turn has not come.
    pub fn take_early(&mut self, operation: Operation, effects: Effects) {
        self.pending.push(Pending { operation, in_turn: false, effects });
    }

    pub fn mark(&self) -> Mark {
        Mark { pending: self.pending.len(), tips: self.tips.clone() }
    }

    /// Forgets what was taken after `mark`.
    pub fn return_to(&mut self, mark: Mark) {
        self.pending.truncate(mark.pending);
        self.tips = mark.tips;
    }

    /// Writes what was taken. The transaction's last statement before its commit.
    pub async fn store(self, connection: &mut PgConnection) -> Result<Vector, Error> {
        if !self.pending.is_empty() {
            store_operations(connection, &self.pending).await?;
            store_applied(connection, &self.pending).await?;
            store_tips(connection, &self).await?;
        }
        Ok(self.vector())
    }
}

async fn store_operations(connection: &mut PgConnection, pending: &[Pending]) -> Result<(), Error> {
    let all: Vec<&Operation> =
        pending.iter().filter(|taken| taken.in_turn).map(|taken| &taken.operation).collect();
    let authority = |operation: &&Operation| {
        operation.authority.iter().map(Uuid::to_string).collect::<Vec<_>>().join(",")
    };
    let deps = all.iter().map(|operation| serde_json::to_string(&operation.deps));
    let deps = deps.collect::<Result<Vec<_>, _>>().map_err(|error| sqlx::Error::Encode(error.into()))?;
    sqlx::query(
        "INSERT INTO log_operation
         (origin, seq, epoch, id, organization_id, actor_id, authority, prev_hash, deps, kind, body, at, traceparent)
         SELECT origin, seq, epoch, id, organization_id, actor_id, string_to_array(authority, ',')::uuid[],
                prev_hash, deps, kind, body, at, traceparent
         FROM unnest($1::text[], $2::bigint[], $3::bigint[], $4::uuid[], $5::uuid[], $6::uuid[], $7::text[],
                     $8::bytea[], $9::text[], $10::text[], $11::text[], $12::bigint[], $13::text[])
              AS row (origin, seq, epoch, id, organization_id, actor_id, authority,
                      prev_hash, deps, kind, body, at, traceparent)",
    )
    .bind(all.iter().map(|operation| operation.origin.to_string()).collect::<Vec<_>>())
    .bind(all.iter().map(|operation| operation.position.seq.cast_signed()).collect::<Vec<_>>())
    .bind(all.iter().map(|operation| i64::from(operation.position.epoch)).collect::<Vec<_>>())
    .bind(all.iter().map(|operation| operation.id).collect::<Vec<_>>())
    .bind(all.iter().map(|operation| operation.organization.uuid()).collect::<Vec<_>>())
    .bind(all.iter().map(|operation| operation.actor.map(|actor| actor.uuid())).collect::<Vec<_>>())
    .bind(all.iter().map(authority).collect::<Vec<_>>())
    .bind(all.iter().map(|operation| operation.prev_hash.to_vec()).collect::<Vec<_>>())
    .bind(deps)
    .bind(all.iter().map(|operation| operation.kind.clone()).collect::<Vec<_>>())
    .bind(all.iter().map(|operation| operation.body.clone()).collect::<Vec<_>>())
    .bind(all.iter().map(|operation| operation.at).collect::<Vec<_>>())
    .bind(all.iter().map(|operation| operation.traceparent.clone()).collect::<Vec<_>>())
    .execute(connection)
    .await?;
    Ok(())
}

async fn store_applied(connection: &mut PgConnection, pending: &[Pending]) -> Result<(), Error> {
    sqlx::query(
        "WITH head AS (
             UPDATE log_head SET position = position + cardinality($1::text[])
             RETURNING position - cardinality($1) AS before)
         INSERT INTO log_applied (position, origin, seq, epoch, organization_id, in_turn, effects)
         SELECT before + place, origin, seq, epoch, organization_id, in_turn, effects
         FROM head, unnest($1, $2::bigint[], $3::bigint[], $4::uuid[], $5::bool[], $6::text[])
              WITH ORDINALITY AS row (origin, seq, epoch, organization_id, in_turn, effects, place)",
    )
    .bind(pending.iter().map(|taken| taken.operation.origin.to_string()).collect::<Vec<_>>())
    .bind(pending.iter().map(|taken| taken.operation.position.seq.cast_signed()).collect::<Vec<_>>())
    .bind(pending.iter().map(|taken| i64::from(taken.operation.position.epoch)).collect::<Vec<_>>())
    .bind(pending.iter().map(|taken| taken.operation.organization.uuid()).collect::<Vec<_>>())
    .bind(pending.iter().map(|taken| taken.in_turn).collect::<Vec<_>>())
    .bind(pending.iter().map(|taken| taken.effects.clone()).collect::<Vec<_>>())
    .execute(connection)
    .await?;
    Ok(())
}

/// Where each log that was appended to ends now, in this database and for each organization that was touched.
async fn store_tips(connection: &mut PgConnection, head: &Head) -> Result<(), Error> {
    let mut touched = BTreeMap::<(OrganizationId, &Origin), Position>::new();
    let mut ends = BTreeMap::<&Origin, Tip>::new();
    for Pending { operation, in_turn, .. } in &head.pending {
        if *in_turn {
            touched.insert((operation.organization, &operation.origin), operation.position);
            ends.insert(&operation.origin, head.tip(&operation.origin));
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
    .bind(ends.values().map(|tip| i64::from(tip.position.epoch)).collect::<Vec<_>>())
    .bind(ends.values().map(|tip| tip.position.seq.cast_signed()).collect::<Vec<_>>())
    .bind(ends.values().map(|tip| tip.hash.to_vec()).collect::<Vec<_>>())
    .bind(touched.keys().map(|(organization, _)| organization.uuid()).collect::<Vec<_>>())
    .bind(touched.keys().map(|(_, origin)| origin.to_string()).collect::<Vec<_>>())
    .bind(touched.values().map(|position| i64::from(position.epoch)).collect::<Vec<_>>())
    .bind(touched.values().map(|position| position.seq.cast_signed()).collect::<Vec<_>>())
    .execute(connection)
    .await?;
    Ok(())
}
