//! Rows of imports.

use ids::{ControlPlaneId, kinds};
use postgres::SqlId;
use serde_json::Value;
use sqlx::{FromRow, PgExecutor, PgPool};
use time::OffsetDateTime;
use uuid::Uuid;

use super::{
    Attempt, End, Import, New, PROBLEM_BYTES_MAX, SILENCE_MAX,
    progress::{At, Phase},
};
use crate::rows::RowError;

const TABLE: &str = "regional.import";

/// Days for which an import is remembered.
const KEPT_DAYS: i32 = 7;

#[derive(FromRow)]
struct ImportRow {
    id: Uuid,
    source: String,
    dry_run: bool,
    begun_by: SqlId<kinds::Principal>,
    begun_at: OffsetDateTime,
    seen_at: OffsetDateTime,
    ended_at: Option<OffsetDateTime>,
    phase: String,
    done: i64,
    total: Option<i64>,
    result: Option<String>,
    problem: Option<String>,
    /// By the database's clock, as all the other times.
    now: OffsetDateTime,
}

impl TryFrom<ImportRow> for Import {
    type Error = RowError;

    fn try_from(row: ImportRow) -> Result<Self, RowError> {
        let unreadable = |error: serde_json::Error| RowError::unreadable(TABLE, error);
        let phase = match Phase::of(&row.phase) {
            _ if row.ended_at.is_none() && row.now - row.seen_at > SILENCE_MAX => Phase::Abandoned,
            Some(phase) => phase,
            None => return Err(RowError::unreadable(TABLE, format!("the phase `{}`", row.phase))),
        };
        let result = row.result.as_deref().map(serde_json::from_str).transpose().map_err(unreadable)?;
        let problem = row.problem.as_deref().map(serde_json::from_str).transpose().map_err(unreadable)?;
        Ok(Self {
            id: row.id,
            source: serde_json::from_value(Value::String(row.source)).map_err(unreadable)?,
            dry_run: row.dry_run,
            begun_by: row.begun_by.into(),
            begun_at: row.begun_at,
            seen_at: row.seen_at,
            ended_at: row.ended_at,
            at: At { phase, done: row.done.cast_unsigned(), total: row.total.map(i64::cast_unsigned) },
            result,
            problem,
        })
    }
}

/// Claims the id for an attempt; false if it is taken. An attempt that came to nothing leaves it to another one of the same content.
pub async fn begin(
    db: &PgPool,
    attempt: Attempt,
    new: &New<'_>,
    fingerprint: &[u8; 32],
) -> Result<bool, RowError> {
    let begun = sqlx::query(
        "INSERT INTO regional.import AS known
             (control_plane_id, id, run_id, fingerprint, source, dry_run, begun_by, phase)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
         ON CONFLICT (control_plane_id, id) DO UPDATE SET
             run_id = excluded.run_id, begun_by = excluded.begun_by, begun_at = now(), seen_at = now(), ended_at = NULL,
             phase = excluded.phase, done = 0, total = NULL, result = NULL, problem = NULL
         WHERE known.fingerprint = excluded.fingerprint
           AND CASE WHEN known.ended_at IS NULL THEN known.seen_at < now() - make_interval(secs => $9)
                    ELSE known.phase <> $10 END",
    )
    .bind(SqlId(attempt.control_plane))
    .bind(attempt.import)
    .bind(attempt.run)
    .bind(&fingerprint[..])
    .bind(new.source.as_str())
    .bind(new.dry_run)
    .bind(SqlId(new.begun_by))
    .bind(Phase::Queued.as_str())
    .bind(SILENCE_MAX.as_secs_f64())
    .bind(Phase::Committed.as_str())
    .execute(db)
    .await?;
    Ok(begun.rows_affected() > 0)
}

/// The import that has the id, if it has this content.
pub async fn same(db: &PgPool, attempt: Attempt, fingerprint: &[u8; 32]) -> Result<Option<Import>, RowError> {
    let row: Option<ImportRow> = sqlx::query_as(
        "SELECT *, now() AS now FROM regional.import WHERE control_plane_id = $1 AND id = $2 AND fingerprint = $3",
    )
    .bind(SqlId(attempt.control_plane))
    .bind(attempt.import)
    .bind(&fingerprint[..])
    .fetch_optional(db)
    .await?;
    row.map(Import::try_from).transpose()
}

/// Writes how far an attempt has come.
pub async fn note(db: &PgPool, attempt: Attempt, at: At) -> Result<(), RowError> {
    sqlx::query(
        "UPDATE regional.import SET phase = $4, done = $5, total = $6, seen_at = now()
         WHERE control_plane_id = $1 AND id = $2 AND run_id = $3 AND ended_at IS NULL",
    )
    .bind(SqlId(attempt.control_plane))
    .bind(attempt.import)
    .bind(attempt.run)
    .bind(at.phase.as_str())
    .bind(at.done.cast_signed())
    .bind(at.total.map(u64::cast_signed))
    .execute(db)
    .await?;
    Ok(())
}

/// Writes how an attempt ended.
pub async fn end(db: &PgPool, attempt: Attempt, at: At, end: &End) -> Result<(), RowError> {
    let json = |value: Result<String, serde_json::Error>| value.unwrap_or_else(|_| "null".to_owned());
    let (result, problem) = match end {
        End::Done(result) => (Some(json(serde_json::to_string(result))), None),
        End::Failed(problem) => (None, Some(bounded(problem).to_string())),
    };
    sqlx::query(
        "UPDATE regional.import SET phase = $4, done = $5, total = $6, result = $7, problem = $8, seen_at = now(), ended_at = now()
         WHERE control_plane_id = $1 AND id = $2 AND run_id = $3",
    )
    .bind(SqlId(attempt.control_plane))
    .bind(attempt.import)
    .bind(attempt.run)
    .bind(at.phase.as_str())
    .bind(at.done.cast_signed())
    .bind(at.total.map(u64::cast_signed))
    .bind(result)
    .bind(problem)
    .execute(db)
    .await?;
    Ok(())
}

/// The problem, with its first wrong field only where it is large.
fn bounded(problem: &Value) -> Value {
    let mut problem = problem.clone();
    if problem.to_string().len() > PROBLEM_BYTES_MAX
        && let Some(Value::Array(fields)) = problem.get_mut("invalid_parameters")
    {
        fields.truncate(1);
    }
    problem
}

/// Where a page of a list begins: behind the import that began at this time, in microseconds, and has this id.
pub type Place = (i64, Uuid);

/// Where an import stands in the list.
pub fn place(import: &Import) -> Place {
    let micros = import.begun_at.unix_timestamp_nanos() / 1000;
    (i64::try_from(micros).unwrap_or(i64::MAX), import.id)
}

/// At most `limit` imports behind `after`, the newest first.
pub async fn list(
    db: &PgPool,
    control_plane: ControlPlaneId,
    after: Option<Place>,
    limit: i64,
) -> Result<Vec<Import>, RowError> {
    let (micros, id) = after.unzip();
    let rows: Vec<ImportRow> = sqlx::query_as(
        "SELECT *, now() AS now FROM regional.import
         WHERE control_plane_id = $1
           AND ($2::bigint IS NULL OR (begun_at, id) < ('epoch'::timestamptz + $2 * interval '1 microsecond', $3))
         ORDER BY begun_at DESC, id DESC LIMIT $4",
    )
    .bind(SqlId(control_plane))
    .bind(micros)
    .bind(id)
    .bind(limit)
    .fetch_all(db)
    .await?;
    rows.into_iter().map(Import::try_from).collect()
}

/// One import.
pub async fn find(db: &PgPool, control_plane: ControlPlaneId, id: Uuid) -> Result<Option<Import>, RowError> {
    let row: Option<ImportRow> =
        sqlx::query_as("SELECT *, now() AS now FROM regional.import WHERE control_plane_id = $1 AND id = $2")
            .bind(SqlId(control_plane))
            .bind(id)
            .fetch_optional(db)
            .await?;
    row.map(Import::try_from).transpose()
}

/// Forgets all imports of a control plane that have ended, but for the newest `kept`.
pub async fn forget_most(
    executor: impl PgExecutor<'_>,
    control_plane: ControlPlaneId,
    kept: i64,
) -> Result<(), RowError> {
    sqlx::query(
        "DELETE FROM regional.import WHERE control_plane_id = $1
           AND (ended_at IS NOT NULL OR seen_at < now() - make_interval(secs => $3))
           AND id IN (SELECT id FROM regional.import WHERE control_plane_id = $1
                      ORDER BY begun_at DESC, id DESC OFFSET $2)",
    )
    .bind(SqlId(control_plane))
    .bind(kept)
    .bind(SILENCE_MAX.as_secs_f64())
    .execute(executor)
    .await?;
    Ok(())
}

/// Forgets imports that began more than a week ago.
pub async fn forget_old(db: &PgPool) -> Result<(), postgres::Error> {
    sqlx::query("DELETE FROM regional.import WHERE begun_at < now() - make_interval(days => $1)")
        .bind(KEPT_DAYS)
        .execute(db)
        .await?;
    Ok(())
}
