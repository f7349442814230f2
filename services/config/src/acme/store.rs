//! Rows of orders. An attempt is a claim on the row of its order: whoever works on it pushes `due_at` on, and writes only while the
//! claim is its own. So two replicas never work on one order, and what nobody works on any more is taken up again.

use std::time::Duration;

use ids::{ControlPlaneId, OrganizationId, kinds};
use postgres::SqlId;
use sqlx::{FromRow, PgConnection, PgPool};
use time::OffsetDateTime;
use uuid::Uuid;

use super::due::Past;
use crate::rows::RowError;

const TABLE: &str = "regional.acme_order";

/// An entity that is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Job {
    pub control_plane: ControlPlaneId,
    pub organization: OrganizationId,
    /// Of the entity.
    pub id: Uuid,
}

#[derive(FromRow)]
struct JobRow {
    control_plane_id: SqlId<kinds::ControlPlane>,
    organization_id: SqlId<kinds::Organization>,
    id: Uuid,
}

/// Entities that have to be looked at, those that are new or were changed, and those whose time has come. The first of each
/// organization come before the second of any.
pub async fn due(db: &PgPool, limit: i64) -> Result<Vec<Job>, RowError> {
    let rows: Vec<JobRow> = sqlx::query_as(
        "SELECT control_plane_id, organization_id, id FROM (
         SELECT e.control_plane_id, c.organization_id, e.id, coalesce(o.due_at, e.updated_at) AS since,
             row_number() OVER (PARTITION BY c.organization_id ORDER BY coalesce(o.due_at, e.updated_at)) AS rank
         FROM regional.entity AS e JOIN regional.control_plane AS c ON c.id = e.control_plane_id
         LEFT JOIN regional.acme_order AS o ON o.control_plane_id = e.control_plane_id AND o.id = e.id
         WHERE e.kind = 'acme_certificate' AND NOT e.deleted
           AND (o.id IS NULL OR o.due_at <= now() OR (o.run IS NULL AND o.version <> e.version))) AS found
         ORDER BY rank, since LIMIT $1",
    )
    .bind(limit)
    .fetch_all(db)
    .await?;
    let job = |row: JobRow| Job {
        control_plane: row.control_plane_id.into(),
        organization: row.organization_id.into(),
        id: row.id,
    };
    Ok(rows.into_iter().map(job).collect())
}

/// What is known of an order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record {
    /// What counts for what is done next.
    pub past: Past,
    /// The attempt that is worked on, or was when its process died.
    pub run: Option<Uuid>,
    /// Whether somebody works on it.
    pub is_claimed: bool,
    /// The version of the entity that was looked at.
    pub version: i64,
    /// The order at the ACME server.
    pub url: Option<String>,
    /// The private key that it is for, sealed.
    pub key: Option<Vec<u8>>,
    /// Why the last attempt failed; empty: it did not.
    pub error: String,
    /// When it did.
    pub error_at: Option<OffsetDateTime>,
}

#[derive(FromRow)]
struct RecordRow {
    version: i64,
    due_at: OffsetDateTime,
    run: Option<Uuid>,
    is_claimed: bool,
    attempts: i32,
    request: Option<Vec<u8>>,
    url: Option<String>,
    key: Option<Vec<u8>>,
    error: String,
    error_at: Option<OffsetDateTime>,
}

impl TryFrom<RecordRow> for Record {
    type Error = RowError;

    fn try_from(row: RecordRow) -> Result<Self, RowError> {
        let request = row.request.map(<[u8; 32]>::try_from).transpose();
        let request = request.map_err(|_| RowError::unreadable(TABLE, "a hash has 32 bytes"))?;
        let attempts = u32::try_from(row.attempts).unwrap_or_default();
        Ok(Self {
            past: Past { request, attempts, due_at: row.due_at.unix_timestamp() },
            run: row.run,
            is_claimed: row.is_claimed,
            version: row.version,
            url: row.url,
            key: row.key,
            error: row.error,
            error_at: row.error_at,
        })
    }
}

/// What is known of the order of an entity, and the database's time; nothing, if nobody has looked at it yet.
pub async fn record(
    db: &PgPool,
    control_plane: ControlPlaneId,
    id: Uuid,
) -> Result<(Record, OffsetDateTime), RowError> {
    let row: Option<RecordRow> = sqlx::query_as(
        "SELECT *, run IS NOT NULL AND due_at > now() AS is_claimed FROM regional.acme_order
         WHERE control_plane_id = $1 AND id = $2",
    )
    .bind(SqlId(control_plane))
    .bind(id)
    .fetch_optional(db)
    .await?;
    let (now,): (OffsetDateTime,) = sqlx::query_as("SELECT now()").fetch_one(db).await?;
    let record = row.map(Record::try_from).transpose()?.unwrap_or_default();
    Ok((record, now))
}

/// Of the certificate that is in service: from when and until when it is valid.
pub type Validity = Option<(OffsetDateTime, OffsetDateTime)>;

/// Notes that nothing is to be done before `until`, unless somebody has changed the record since `seen`.
pub async fn wait(
    db: &PgPool,
    job: Job,
    seen: &Record,
    version: u64,
    (until, attempts): (OffsetDateTime, u32),
    validity: Validity,
) -> Result<(), RowError> {
    sqlx::query(
        "INSERT INTO regional.acme_order AS o (control_plane_id, id, version, due_at, attempts, not_before, not_after)
         VALUES ($1, $2, $3, $4, $5, $6, $7)
         ON CONFLICT (control_plane_id, id) DO UPDATE SET version = excluded.version, due_at = excluded.due_at, run = NULL,
             attempts = excluded.attempts, not_before = excluded.not_before, not_after = excluded.not_after,
             error = CASE WHEN excluded.attempts = 0 THEN '' ELSE o.error END
         WHERE o.run IS NOT DISTINCT FROM $8 AND o.version = $9 AND o.attempts = $10",
    )
    .bind(SqlId(job.control_plane))
    .bind(job.id)
    .bind(version.cast_signed())
    .bind(until)
    .bind(attempts.cast_signed())
    .bind(validity.map(|(not_before, _)| not_before))
    .bind(validity.map(|(_, not_after)| not_after))
    .bind(seen.run)
    .bind(seen.version)
    .bind(seen.past.attempts.cast_signed())
    .execute(db)
    .await?;
    Ok(())
}

/// A claim on an order.
#[derive(Clone, Copy, Debug)]
pub struct Claim {
    pub job: Job,
    /// Names the attempt.
    run: Uuid,
}

/// What an attempt begins with.
pub struct Begun {
    /// Names the attempt.
    pub run: Uuid,
    /// Its number, from 1.
    pub attempt: u32,
    /// The version of the entity that is ordered.
    pub version: u64,
    /// What is asked for.
    pub request: [u8; 32],
    /// How long the claim lasts, if nobody is heard of.
    pub lasts: Duration,
}

/// Claims an order; `None` if somebody has changed the record since `seen`. Of another request, order and key are forgotten.
pub async fn claim(db: &PgPool, job: Job, seen: &Record, begun: &Begun) -> Result<Option<Claim>, RowError> {
    let claimed = sqlx::query(
        "INSERT INTO regional.acme_order AS o (control_plane_id, id, version, due_at, run, attempts, request)
         VALUES ($1, $2, $3, now() + make_interval(secs => $4), $5, $6, $7)
         ON CONFLICT (control_plane_id, id) DO UPDATE SET version = excluded.version, due_at = excluded.due_at,
             run = excluded.run, attempts = excluded.attempts, request = excluded.request,
             url = CASE WHEN o.request = excluded.request THEN o.url END,
             key = CASE WHEN o.request = excluded.request THEN o.key END
         WHERE o.run IS NOT DISTINCT FROM $8 AND o.version = $9 AND o.attempts = $10",
    )
    .bind(SqlId(job.control_plane))
    .bind(job.id)
    .bind(begun.version.cast_signed())
    .bind(begun.lasts.as_secs_f64())
    .bind(begun.run)
    .bind(begun.attempt.cast_signed())
    .bind(begun.request.as_slice())
    .bind(seen.run)
    .bind(seen.version)
    .bind(seen.past.attempts.cast_signed())
    .execute(db)
    .await?;
    Ok((claimed.rows_affected() == 1).then_some(Claim { job, run: begun.run }))
}

/// What became of an attempt.
pub enum End<'a> {
    /// The entity has a new certificate.
    Issued { version: u64, due_at: OffsetDateTime, validity: Validity },
    /// It is tried again after the pause.
    Failed { version: u64, error: &'a str, pause: Duration },
    /// It was not finished: whoever comes first goes on at once.
    LeftOff,
}

impl Claim {
    /// Lasts for `lasts` from now on, at least. `false`: it is lost.
    pub async fn extend(&self, db: &PgPool, lasts: Duration) -> Result<bool, RowError> {
        let extended = sqlx::query(
            "UPDATE regional.acme_order SET due_at = greatest(due_at, now() + make_interval(secs => $4))
             WHERE control_plane_id = $1 AND id = $2 AND run = $3",
        );
        let lasts = lasts.as_secs_f64();
        let Self { job, run } = self;
        let extended =
            extended.bind(SqlId(job.control_plane)).bind(job.id).bind(run).bind(lasts).execute(db).await?;
        Ok(extended.rows_affected() == 1)
    }

    /// Notes the order at the ACME server, and forgets the key of an earlier one. `false`: the claim is lost.
    pub async fn note_order(&self, db: &PgPool, url: &str) -> Result<bool, RowError> {
        let noted = sqlx::query(
            "UPDATE regional.acme_order SET url = $4, key = NULL WHERE control_plane_id = $1 AND id = $2 AND run = $3",
        );
        let Self { job, run } = self;
        let noted = noted.bind(SqlId(job.control_plane)).bind(job.id).bind(run).bind(url).execute(db).await?;
        Ok(noted.rows_affected() == 1)
    }

    /// Notes the sealed private key that the order is for. `false`: the claim is lost.
    pub async fn note_key(&self, db: &PgPool, key: &[u8]) -> Result<bool, RowError> {
        let noted = sqlx::query(
            "UPDATE regional.acme_order SET key = $4 WHERE control_plane_id = $1 AND id = $2 AND run = $3",
        );
        let Self { job, run } = self;
        let noted = noted.bind(SqlId(job.control_plane)).bind(job.id).bind(run).bind(key).execute(db).await?;
        Ok(noted.rows_affected() == 1)
    }

    /// Gives the claim up.
    pub async fn end(self, db: &PgPool, end: End<'_>) -> Result<(), RowError> {
        let Self { job, run } = self;
        let statement = match &end {
            End::Issued { .. } => {
                "UPDATE regional.acme_order SET run = NULL, version = $4, due_at = $5, not_before = $6, not_after = $7,
                     attempts = 0, url = NULL, key = NULL, error = ''
                 WHERE control_plane_id = $1 AND id = $2 AND run = $3"
            }
            End::Failed { .. } => {
                "UPDATE regional.acme_order SET run = NULL, version = $4, due_at = now() + make_interval(secs => $5),
                     error = $6, error_at = now()
                 WHERE control_plane_id = $1 AND id = $2 AND run = $3"
            }
            End::LeftOff => {
                "UPDATE regional.acme_order SET run = NULL, due_at = now() WHERE control_plane_id = $1 AND id = $2 AND run = $3"
            }
        };
        let query = sqlx::query(statement).bind(SqlId(job.control_plane)).bind(job.id).bind(run);
        let query = match end {
            End::Issued { version, due_at, validity } => query
                .bind(version.cast_signed())
                .bind(due_at)
                .bind(validity.map(|(not_before, _)| not_before))
                .bind(validity.map(|(_, not_after)| not_after)),
            End::Failed { version, error, pause } => {
                query.bind(version.cast_signed()).bind(pause.as_secs_f64()).bind(error.to_owned())
            }
            End::LeftOff => query,
        };
        query.execute(db).await?;
        Ok(())
    }
}

/// Lets an order that has failed be tried again a minute after its last attempt, unless somebody works on it.
pub async fn hurry(
    connection: &mut PgConnection,
    control_plane: ControlPlaneId,
    id: Uuid,
) -> Result<(), RowError> {
    let hurried = sqlx::query(
        "UPDATE regional.acme_order SET due_at = least(due_at, greatest(now(), error_at + interval '1 minute'))
         WHERE control_plane_id = $1 AND id = $2 AND run IS NULL AND attempts > 0",
    );
    hurried.bind(SqlId(control_plane)).bind(id).execute(connection).await?;
    Ok(())
}

/// Forgets the orders of entities that are gone, and the accounts of control planes that are.
pub async fn forget_gone(db: &PgPool) -> Result<(), RowError> {
    sqlx::query(
        "DELETE FROM regional.acme_account AS a WHERE created_at < now() - interval '1 day'
           AND NOT EXISTS (SELECT FROM regional.control_plane AS c WHERE c.id = a.control_plane_id)",
    )
    .execute(db)
    .await?;
    sqlx::query(
        "DELETE FROM regional.acme_order AS o WHERE NOT EXISTS (
             SELECT FROM regional.entity AS e
             WHERE e.control_plane_id = o.control_plane_id AND e.kind = 'acme_certificate' AND e.id = o.id AND NOT e.deleted)",
    )
    .execute(db)
    .await?;
    Ok(())
}

/// How the certificates of the region are.
#[derive(Clone, Copy, Debug, Default, FromRow)]
pub struct Health {
    /// Seconds until the first of those in service ends; negative once it has.
    pub expiry_seconds: Option<f64>,
    /// Which part of its life has the one left that has least of it.
    pub life_left: Option<f64>,
    /// How many could not be ordered or renewed at the last attempt.
    pub failing: i64,
}

/// How the certificates of the region are.
pub async fn health(db: &PgPool) -> Result<Health, RowError> {
    let health = sqlx::query_as(
        "SELECT extract(epoch FROM min(not_after) - now())::float8 AS expiry_seconds,
                min(extract(epoch FROM not_after - now()) / greatest(extract(epoch FROM not_after - not_before), 1))::float8
                    AS life_left,
                count(*) FILTER (WHERE error <> '') AS failing
         FROM regional.acme_order",
    );
    Ok(health.fetch_one(db).await?)
}
