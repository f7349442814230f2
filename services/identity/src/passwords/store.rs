//! Rows of passwords, and of mails that set new ones.

use ids::{OrganizationId, UserId, kinds};
use postgres::{Error, SqlId};
use sqlx::{PgConnection, PgExecutor};
use time::OffsetDateTime;

/// Somebody who may sign on with a password.
pub struct SignOn {
    /// The person.
    pub person: UserId,
    /// The hash of the password, if there is one.
    pub hash: Option<String>,
    /// Whether the person may use the organization.
    pub active: bool,
}

/// Who has the address `email` in the organization.
pub async fn by_email(
    executor: impl PgExecutor<'_>,
    organization: OrganizationId,
    email: &str,
) -> Result<Option<SignOn>, Error> {
    let row: Option<(SqlId<kinds::User>, Option<String>, bool)> = sqlx::query_as(
        "SELECT p.id, w.hash, p.active FROM resident.person AS p
         LEFT JOIN resident.password AS w ON w.person_id = p.id
         WHERE p.organization_id = $1 AND p.email = $2",
    )
    .bind(SqlId(organization))
    .bind(email)
    .fetch_optional(executor)
    .await?;
    Ok(row.map(|(person, hash, active)| SignOn { person: person.into(), hash, active }))
}

/// The hash of a person's password, if there is one.
pub async fn hash(executor: impl PgExecutor<'_>, person: UserId) -> Result<Option<String>, Error> {
    let row: Option<(String,)> = sqlx::query_as("SELECT hash FROM resident.password WHERE person_id = $1")
        .bind(SqlId(person))
        .fetch_optional(executor)
        .await?;
    Ok(row.map(|(hash,)| hash))
}

/// Stores the hash of a person's password.
pub async fn put(
    connection: &mut PgConnection,
    person: UserId,
    hash: &str,
    at: OffsetDateTime,
) -> Result<(), Error> {
    sqlx::query(
        "INSERT INTO resident.password (person_id, hash, changed_at) VALUES ($1, $2, $3)
         ON CONFLICT (person_id) DO UPDATE SET hash = excluded.hash, changed_at = excluded.changed_at",
    )
    .bind(SqlId(person))
    .bind(hash)
    .bind(at)
    .execute(connection)
    .await?;
    Ok(())
}

/// Notes that the credential with this hash sets a new password for `person`, who may be nobody.
pub async fn insert_reset(
    connection: &mut PgConnection,
    sha256: &[u8; 32],
    organization: OrganizationId,
    person: UserId,
    at: OffsetDateTime,
    expires_at: OffsetDateTime,
) -> Result<(), Error> {
    sqlx::query(
        "INSERT INTO resident.password_reset (sha256, organization_id, person_id, created_at, expires_at)
         VALUES ($1, $2, $3, $4, $5)",
    )
    .bind(&sha256[..])
    .bind(SqlId(organization))
    .bind(SqlId(person))
    .bind(at)
    .bind(expires_at)
    .execute(connection)
    .await?;
    Ok(())
}

/// How many credentials set a new password for `person` at `now`.
pub async fn count_resets(
    executor: impl PgExecutor<'_>,
    person: UserId,
    now: OffsetDateTime,
) -> Result<i64, Error> {
    let (count,): (i64,) = sqlx::query_as(
        "SELECT count(*) FROM resident.password_reset WHERE person_id = $1 AND expires_at > $2",
    )
    .bind(SqlId(person))
    .bind(now)
    .fetch_one(executor)
    .await?;
    Ok(count)
}

/// Whose password the credential with this hash sets at `now`, with the address. `None` also for a person that is not active.
pub async fn find_reset(
    executor: impl PgExecutor<'_>,
    sha256: &[u8; 32],
    now: OffsetDateTime,
) -> Result<Option<(UserId, String)>, Error> {
    let row: Option<(SqlId<kinds::User>, String)> = sqlx::query_as(
        "SELECT p.id, p.email FROM resident.password_reset AS r
         JOIN resident.person AS p ON p.id = r.person_id AND p.organization_id = r.organization_id
         WHERE r.sha256 = $1 AND r.expires_at > $2 AND p.active",
    )
    .bind(&sha256[..])
    .bind(now)
    .fetch_optional(executor)
    .await?;
    Ok(row.map(|(person, email)| (person.into(), email)))
}

/// Nothing sets a new password for `person` any more.
pub async fn forget_resets(connection: &mut PgConnection, person: UserId) -> Result<(), Error> {
    sqlx::query("DELETE FROM resident.password_reset WHERE person_id = $1")
        .bind(SqlId(person))
        .execute(connection)
        .await?;
    Ok(())
}
