//! Notices that the database was put back to an earlier copy, and begins a new incarnation of its control planes.
//!
//! After a restore the database counts versions again that nodes, gateways' clients and editors have seen already, for another
//! configuration. In a new incarnation nothing is counted twice: nodes compare buckets, revocations are sent anew, a consistency
//! token of before holds nobody up, and an `If-Match` of before never meets a version that it does not mean. Example: an incarnation
//! that begins in 2026 goes on from version 1,790,000,000,000, the milliseconds since 1970. No lost version was as high: a control plane
//! would have to take a thousand versions a second without end. One write or group takes one, a large document 131,072.
//!
//! There are three signs, of which one is enough. The database is another one than before, or its log is on another timeline
//! ([`History::examine`]). It lacks what a node or this process has seen ([`Feed::note_seen`]). An operator says so ([`begin_all`]).

use std::time::Duration;

use ids::ControlPlaneId;
use postgres::SqlId;
use sqlx::{PgConnection, PgPool};
use time::OffsetDateTime;
use tokio::sync::Mutex;

use super::{Feed, Newest};
use crate::rows::RowError;

const INCARNATIONS: &str = "landbridge_incarnations_total";
/// What nodes say ends an incarnation only once it is this old: no node can have its control plane begin anew all the time.
const AGE_MIN: Duration = Duration::from_secs(60);
/// What nodes say of an incarnation that begins later than this is not believed, since incarnations are times.
const AHEAD_MAX: Duration = Duration::from_secs(86_400);

/// Begins a new incarnation, above `$1`. What was counted for a version is counted anew.
const BEGIN: &str = "UPDATE regional.control_plane AS c
     SET epoch = greatest(greatest(epoch, $1) + 1, floor(extract(epoch FROM now()))::bigint),
         version = greatest(version + 1, floor(extract(epoch FROM now()) * 1000)::bigint),
         entities_version = NULL, path_cost_version = NULL";

/// Remembers which start of the database's server was looked at.
#[derive(Default)]
pub(super) struct History(Mutex<Option<OffsetDateTime>>);

impl History {
    /// Whether all control planes have just begun a new incarnation, because the database is not the one that it was. Looks once for
    /// each start of the database's server: `started` tells it apart.
    pub async fn examine(&self, db: &PgPool, started: OffsetDateTime) -> bool {
        let mut examined = self.0.lock().await;
        if *examined == Some(started) {
            return false;
        }
        *examined = Some(started);
        compare_identity(db).await.unwrap_or_else(|error| {
            tracing::warn!(%error, "the database does not tell whether it was put back to an earlier copy; nodes that are ahead of it will");
            false
        })
    }
}

async fn compare_identity(db: &PgPool) -> Result<bool, RowError> {
    let mut transaction = db.begin().await?;
    let (before, now): (Option<String>, String) = sqlx::query_as(
        "SELECT identity,
                concat_ws('/', system_identifier, d.oid, left(pg_walfile_name(pg_current_wal_lsn()), 8))
         FROM regional.history AS h, pg_control_system(), pg_database AS d
         WHERE d.datname = current_database() FOR UPDATE OF h",
    )
    .fetch_one(&mut *transaction)
    .await?;
    let differs = before.as_ref().is_some_and(|before| *before != now);
    if before.as_ref() != Some(&now) {
        sqlx::query("UPDATE regional.history SET identity = $1")
            .bind(&now)
            .execute(&mut *transaction)
            .await?;
    }
    if differs {
        let begun = begin_all(&mut transaction).await?;
        tracing::warn!(
            ?before,
            now,
            control_planes = begun,
            "the database is another one than before: every control plane begins a new incarnation"
        );
    }
    transaction.commit().await?;
    Ok(differs)
}

/// Begins a new incarnation of every control plane; answers how many there are.
pub async fn begin_all(connection: &mut PgConnection) -> Result<u64, RowError> {
    let begun = sqlx::query(BEGIN).bind(0_i64).execute(connection).await?.rows_affected();
    metrics::counter!(INCARNATIONS).increment(begun);
    Ok(begun)
}

impl Newest {
    /// Whether `seen` has something that this lacks.
    pub fn lacks(&self, seen: &Newest) -> bool {
        let same = self.head.incarnation == seen.head.incarnation;
        self.head < seen.head || (same && self.revocation_seq < seen.revocation_seq)
    }
}

impl Feed {
    /// A node, or this process, has seen this of a control plane. If the database lacks it, the control plane begins a new incarnation.
    pub async fn note_seen(&self, id: ControlPlaneId, seen: &Newest) -> Result<(), RowError> {
        let known = self.watched().get(&id).map(|sender| *sender.borrow());
        if known.is_some_and(|known| known.lacks(seen)) {
            self.begin_if_lacking(id, seen).await
        } else {
            Ok(())
        }
    }

    /// Lets the database decide: what this process knows of it may be old.
    pub(super) async fn begin_if_lacking(&self, id: ControlPlaneId, seen: &Newest) -> Result<(), RowError> {
        let begun = sqlx::query(sqlx::AssertSqlSafe(format!(
            "{BEGIN}
             WHERE id = $2 AND ((epoch, version) < ($1, $3) OR (epoch = $1 AND $4 > coalesce(
                     (SELECT seq FROM regional.revocation_head WHERE control_plane_id = c.id), 0)))
               AND epoch <= extract(epoch FROM now()) - $5 AND $1 <= extract(epoch FROM now()) + $6"
        )))
        .bind(seen.head.incarnation.cast_signed())
        .bind(SqlId(id))
        .bind(seen.head.version.cast_signed())
        .bind(seen.revocation_seq.cast_signed())
        .bind(AGE_MIN.as_secs_f64())
        .bind(AHEAD_MAX.as_secs_f64())
        .execute(&self.0.db)
        .await?
        .rows_affected();
        if begun > 0 {
            metrics::counter!(INCARNATIONS).increment(begun);
            tracing::warn!(control_plane = %id, ?seen, "the database lacks what was seen of a control plane: it begins a new incarnation");
            self.take_in(self.read_newest(&[id]).await?);
            self.hint(id).await;
        }
        Ok(())
    }
}
