//! Rows of second factors.

use ids::UserId;
use postgres::{Error, SqlId};
use sqlx::{PgConnection, PgExecutor};
use time::OffsetDateTime;

/// A second factor.
pub struct Factor {
    /// What codes are made of, sealed.
    pub sealed: Vec<u8>,
    /// Whether it is asked for.
    pub confirmed: bool,
    /// Recovery codes that were not used.
    pub recovery_codes: i64,
}

/// The second factor of `person`, if there is one. Its row is locked until the transaction ends.
pub async fn find(executor: impl PgExecutor<'_>, person: UserId) -> Result<Option<Factor>, Error> {
    let row: Option<(Vec<u8>, Option<OffsetDateTime>, i64)> = sqlx::query_as(
        "SELECT sealed, confirmed_at,
             (SELECT count(*) FROM resident.recovery_code AS c WHERE c.person_id = f.person_id)
         FROM resident.second_factor AS f WHERE person_id = $1 FOR UPDATE",
    )
    .bind(SqlId(person))
    .fetch_optional(executor)
    .await?;
    Ok(row.map(|(sealed, confirmed_at, recovery_codes)| Factor {
        sealed,
        confirmed: confirmed_at.is_some(),
        recovery_codes,
    }))
}

/// Stores a second factor that is not confirmed yet, in the place of another such one. `false` if there is one that is.
pub async fn put(
    connection: &mut PgConnection,
    person: UserId,
    sealed: &[u8],
    at: OffsetDateTime,
) -> Result<bool, Error> {
    let put = sqlx::query(
        "INSERT INTO resident.second_factor AS f (person_id, sealed, created_at) VALUES ($1, $2, $3)
         ON CONFLICT (person_id) DO UPDATE SET sealed = excluded.sealed, created_at = excluded.created_at
         WHERE f.confirmed_at IS NULL",
    )
    .bind(SqlId(person))
    .bind(sealed)
    .bind(at)
    .execute(connection)
    .await?;
    Ok(put.rows_affected() > 0)
}

/// The second factor is asked for from now on; these are its recovery codes.
pub async fn confirm(
    connection: &mut PgConnection,
    person: UserId,
    step: i64,
    recovery: &[[u8; 32]],
    at: OffsetDateTime,
) -> Result<(), Error> {
    sqlx::query("UPDATE resident.second_factor SET confirmed_at = $2, last_step = $3 WHERE person_id = $1")
        .bind(SqlId(person))
        .bind(at)
        .bind(step)
        .execute(&mut *connection)
        .await?;
    let hashes: Vec<&[u8]> = recovery.iter().map(|hash| &hash[..]).collect();
    sqlx::query("INSERT INTO resident.recovery_code (person_id, sha256) SELECT $1, unnest($2::bytea[])")
        .bind(SqlId(person))
        .bind(hashes)
        .execute(connection)
        .await?;
    Ok(())
}

/// The code of `step` counts, unless it or a later one has counted before.
pub async fn use_step(connection: &mut PgConnection, person: UserId, step: i64) -> Result<bool, Error> {
    let used = sqlx::query(
        "UPDATE resident.second_factor SET last_step = $2 WHERE person_id = $1 AND last_step < $2",
    )
    .bind(SqlId(person))
    .bind(step)
    .execute(connection)
    .await?;
    Ok(used.rows_affected() > 0)
}

/// The recovery code with this hash counts, if there is one, and is gone.
pub async fn use_recovery_code(
    connection: &mut PgConnection,
    person: UserId,
    sha256: &[u8; 32],
) -> Result<bool, Error> {
    let used = sqlx::query("DELETE FROM resident.recovery_code WHERE person_id = $1 AND sha256 = $2")
        .bind(SqlId(person))
        .bind(&sha256[..])
        .execute(connection)
        .await?;
    Ok(used.rows_affected() > 0)
}

/// Removes the second factor of `person`, with its recovery codes; `false` if there is none.
pub async fn delete(connection: &mut PgConnection, person: UserId) -> Result<bool, Error> {
    let deleted = sqlx::query("DELETE FROM resident.second_factor WHERE person_id = $1")
        .bind(SqlId(person))
        .execute(connection)
        .await?;
    Ok(deleted.rows_affected() > 0)
}
