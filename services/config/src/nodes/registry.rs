//! What nodes report, and the seats that their streams take, written in groups ([`Grouped`]).

use std::collections::{HashMap, HashSet};

use ids::{OrganizationId, kinds};
use postgres::SqlId;
use sqlx::{AssertSqlSafe, PgPool};
use uuid::Uuid;

use super::{
    Report,
    seat::{Hello, Seat, encode},
};
use crate::{grouped::Grouped, rows::RowError};

/// Locks the rows of nodes before they are written, always in the same order: several statements, of several replicas too, may concern some
/// of the same nodes.
const LOCKED: &str = "locked AS MATERIALIZED (
         SELECT n.control_plane_id, n.id FROM regional.node AS n JOIN r USING (control_plane_id, id)
         ORDER BY n.control_plane_id, n.id FOR NO KEY UPDATE OF n
     )";

/// Writes what streams tell of nodes. Cheap to clone.
#[derive(Clone)]
pub struct Registry {
    /// `None` in place of a report: the node has sent something, no more.
    reports: Grouped<(Seat, Option<Report>), bool>,
    seats: Grouped<(Seat, Hello), Option<OrganizationId>>,
}

impl Registry {
    /// Starts the tasks that write.
    pub fn start(db: &PgPool) -> Self {
        let (of_reports, of_seats) = (db.clone(), db.clone());
        Self {
            reports: Grouped::start(move |batch| {
                let db = of_reports.clone();
                async move { write(&db, &batch).await }
            }),
            seats: Grouped::start(move |batch| {
                let db = of_seats.clone();
                async move { take(&db, &batch).await }
            }),
        }
    }

    /// Notes that the node has sent something. `false` if another stream has the seat by now, or the node was removed.
    pub async fn note_seen(&self, seat: &Seat) -> Result<bool, RowError> {
        self.reports.ask((*seat, None)).await
    }

    /// Notes what the node says that it has applied. `false` as in [`Registry::note_seen`].
    pub async fn note_applied(&self, seat: &Seat, report: Report) -> Result<bool, RowError> {
        self.reports.ask((*seat, Some(report))).await
    }

    /// Takes the seat of a node that has enrolled from whichever stream had it; answers whose node it is, and `None` if it was never
    /// enrolled here, was removed, or has another key.
    #[must_use = "`None`: the stream may not go on"]
    pub async fn take(&self, seat: &Seat, hello: Hello) -> Result<Option<OrganizationId>, RowError> {
        self.seats.ask((*seat, hello)).await
    }
}

/// Writes the reports of those that have their seat; answers who has.
async fn write(db: &PgPool, batch: &[(Seat, Option<Report>)]) -> Result<Vec<bool>, RowError> {
    let reports = || batch.iter().map(|(_, report)| report.as_ref());
    let quarantined = reports().map(|report| report.map(|report| encode(&report.quarantined)).transpose());
    let quarantined: Vec<Option<String>> = quarantined.collect::<Result<_, _>>()?;
    let number = |of: fn(&Report) -> u64| {
        reports().map(|report| report.map(|report| of(report).cast_signed())).collect::<Vec<Option<i64>>>()
    };
    let written: Vec<(Uuid,)> = sqlx::query_as(AssertSqlSafe(format!(
        "WITH r AS (
             SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::bigint[], $5::bigint[], $6::bool[], $7::bigint[],
                     $8::bigint[], $9::text[], $10::text[], $11::bytea[])
              AS r (control_plane_id, id, session_id, incarnation, version, digest_matches, derive_us, commit_us,
                    last_error, quarantined, digest)
         ), {LOCKED}
         UPDATE regional.node AS n
         SET last_seen_at = now(),
             applied_at = CASE WHEN r.version IS NULL THEN n.applied_at ELSE now() END,
             applied_epoch = coalesce(r.incarnation, n.applied_epoch),
             applied_version = coalesce(r.version, n.applied_version),
             applied_digest = coalesce(r.digest, n.applied_digest),
             digest_matches = coalesce(r.digest_matches, n.digest_matches),
             derive_us = coalesce(r.derive_us, n.derive_us), commit_us = coalesce(r.commit_us, n.commit_us),
             last_error = coalesce(r.last_error, n.last_error),
             quarantined = coalesce(r.quarantined, n.quarantined)
         FROM r JOIN locked USING (control_plane_id, id)
         WHERE n.control_plane_id = r.control_plane_id AND n.id = r.id AND n.session_id = r.session_id
           AND n.removed_at IS NULL
         RETURNING n.session_id"
    )))
    .bind(batch.iter().map(|(seat, _)| seat.control_plane.uuid()).collect::<Vec<_>>())
    .bind(batch.iter().map(|(seat, _)| seat.node.uuid()).collect::<Vec<_>>())
    .bind(batch.iter().map(|(seat, _)| seat.session).collect::<Vec<_>>())
    .bind(number(|report| report.incarnation))
    .bind(number(|report| report.version))
    .bind(reports().map(|report| report.map(|report| report.digest_matches)).collect::<Vec<_>>())
    .bind(number(|report| report.derive_us))
    .bind(number(|report| report.commit_us))
    .bind(reports().map(|report| report.map(|report| report.error.clone())).collect::<Vec<_>>())
    .bind(quarantined)
    .bind(reports().map(|report| report.map(|report| report.digest.clone())).collect::<Vec<_>>())
    .fetch_all(db)
    .await?;
    let written: HashSet<Uuid> = written.into_iter().map(|(session,)| session).collect();
    Ok(batch.iter().map(|(seat, _)| written.contains(&seat.session)).collect())
}

/// Gives streams the seats of their nodes, and notes what those say of themselves; answers whose nodes they are.
async fn take(db: &PgPool, batch: &[(Seat, Hello)]) -> Result<Vec<Option<OrganizationId>>, RowError> {
    let text =
        |of: fn(&Hello) -> &str| batch.iter().map(|(_, hello)| of(hello).to_owned()).collect::<Vec<_>>();
    let taken: Vec<(Uuid, SqlId<kinds::Organization>)> = sqlx::query_as(AssertSqlSafe(format!(
        "WITH r AS (
             SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::bytea[], $5::text[], $6::text[], $7::text[],
                     $8::text[], $9::text[], $10::integer[], $11::text[])
              AS r (control_plane_id, id, session_id, key_sha256, hostname, software_version, quarantined, kinds,
                    plugins, model_version, last_error)
         ), {LOCKED}
         UPDATE regional.node AS n
         SET session_id = r.session_id, hostname = r.hostname, software_version = r.software_version,
             quarantined = r.quarantined, kinds = r.kinds, plugins = r.plugins, model_version = r.model_version,
             last_error = coalesce(nullif(r.last_error, ''), n.last_error),
             snapshot_buckets = NULL, snapshot_buckets_of = NULL, last_seen_at = now(), left_at = NULL
         FROM r JOIN locked USING (control_plane_id, id) JOIN regional.control_plane AS c ON c.id = control_plane_id
         WHERE n.control_plane_id = r.control_plane_id AND n.id = r.id AND n.removed_at IS NULL
           AND coalesce(n.key_sha256 = r.key_sha256, true)
         RETURNING n.session_id, c.organization_id"
    )))
    .bind(batch.iter().map(|(seat, _)| seat.control_plane.uuid()).collect::<Vec<_>>())
    .bind(batch.iter().map(|(seat, _)| seat.node.uuid()).collect::<Vec<_>>())
    .bind(batch.iter().map(|(seat, _)| seat.session).collect::<Vec<_>>())
    .bind(batch.iter().map(|(seat, _)| seat.key.as_bytes().to_vec()).collect::<Vec<_>>())
    .bind(text(|hello| &hello.hostname))
    .bind(text(|hello| &hello.software_version))
    .bind(text(|hello| &hello.quarantined))
    .bind(text(|hello| &hello.kinds))
    .bind(text(|hello| &hello.plugins))
    .bind(batch.iter().map(|(_, hello)| hello.model_version.cast_signed()).collect::<Vec<_>>())
    .bind(text(|hello| &hello.last_error))
    .fetch_all(db)
    .await?;
    let taken: HashMap<Uuid, SqlId<kinds::Organization>> = taken.into_iter().collect();
    Ok(batch.iter().map(|(seat, _)| taken.get(&seat.session).copied().map(Into::into)).collect())
}
