//! Rows of people.

use ids::{OrganizationId, UserId, kinds};
use postgres::SqlId;
use sqlx::{AssertSqlSafe, FromRow, PgConnection, PgExecutor};
use time::OffsetDateTime;
use web::Span;

use super::{Error, PersonFilter, User};

#[derive(FromRow)]
struct PersonRow {
    id: SqlId<kinds::User>,
    email: String,
    full_name: String,
    active: bool,
    created_at: OffsetDateTime,
    updated_at: OffsetDateTime,
}

impl From<PersonRow> for User {
    fn from(row: PersonRow) -> Self {
        Self {
            id: row.id.into(),
            email: row.email,
            full_name: row.full_name,
            active: row.active,
            created_at: row.created_at,
            updated_at: row.updated_at,
        }
    }
}

/// Adds a person at the time `at`. [`Error::AddressTaken`] if the organization has another one with this address.
pub async fn insert(
    connection: &mut PgConnection,
    organization: OrganizationId,
    id: UserId,
    email: &str,
    at: OffsetDateTime,
) -> Result<(), Error> {
    let inserted = sqlx::query(
        "INSERT INTO resident.person (id, organization_id, email, full_name, created_at, updated_at)
         VALUES ($1, $2, $3, '', $4, $4)",
    )
    .bind(SqlId(id))
    .bind(SqlId(organization))
    .bind(email)
    .bind(at)
    .execute(connection)
    .await;
    match inserted.map_err(postgres::Error::from) {
        Ok(_) => Ok(()),
        Err(error) if error.violates("person_email") => Err(Error::AddressTaken),
        Err(error) => Err(error.into()),
    }
}

/// One person of the organization.
pub async fn find(
    executor: impl PgExecutor<'_>,
    organization: OrganizationId,
    id: UserId,
) -> Result<Option<User>, postgres::Error> {
    let row: Option<PersonRow> =
        sqlx::query_as("SELECT * FROM resident.person WHERE organization_id = $1 AND id = $2")
            .bind(SqlId(organization))
            .bind(SqlId(id))
            .fetch_optional(executor)
            .await?;
    Ok(row.map(User::from))
}

/// Stores what can be changed of a person. [`User::updated_at`] is stored as it stands there.
pub async fn update(connection: &mut PgConnection, person: &User) -> Result<(), postgres::Error> {
    sqlx::query("UPDATE resident.person SET full_name = $2, active = $3, updated_at = $4 WHERE id = $1")
        .bind(SqlId(person.id))
        .bind(&person.full_name)
        .bind(person.active)
        .bind(person.updated_at)
        .execute(connection)
        .await?;
    Ok(())
}

/// Deletes a person, and with it all that stands in other tables of schema `resident` about it.
pub async fn delete(
    connection: &mut PgConnection,
    organization: OrganizationId,
    id: UserId,
) -> Result<(), postgres::Error> {
    sqlx::query("DELETE FROM resident.person WHERE organization_id = $1 AND id = $2")
        .bind(SqlId(organization))
        .bind(SqlId(id))
        .execute(connection)
        .await?;
    Ok(())
}

/// The person of the organization with this address, which is in lower case.
pub async fn by_email(
    executor: impl PgExecutor<'_>,
    organization: OrganizationId,
    email: &str,
) -> Result<Option<User>, postgres::Error> {
    let row: Option<PersonRow> =
        sqlx::query_as("SELECT * FROM resident.person WHERE organization_id = $1 AND email = $2")
            .bind(SqlId(organization))
            .bind(email)
            .fetch_optional(executor)
            .await?;
    Ok(row.map(User::from))
}

/// Whom a filter lets through.
const FITS: &str = "organization_id = $1
     AND ($2::text IS NULL OR email = lower($2)) AND ($3::text IS NULL OR strpos(email, lower($3)) > 0)
     AND ($4::text IS NULL OR full_name = $4) AND ($5::text IS NULL OR strpos(full_name, $5) > 0)
     AND ($6::bool IS NULL OR active = $6)";

/// The people of the organization whom the filter lets through and `span` says, by id.
pub async fn list(
    executor: impl PgExecutor<'_>,
    organization: OrganizationId,
    filter: &PersonFilter,
    span: &Span<UserId>,
) -> Result<Vec<User>, postgres::Error> {
    let rows: Vec<PersonRow> = sqlx::query_as(AssertSqlSafe(format!(
        "SELECT * FROM resident.person WHERE {FITS} AND ($7::uuid IS NULL OR id > $7) ORDER BY id OFFSET $8 LIMIT $9"
    )))
    .bind(SqlId(organization))
    .bind(&filter.email.eq)
    .bind(&filter.email.contains)
    .bind(&filter.full_name.eq)
    .bind(&filter.full_name.contains)
    .bind(filter.active)
    .bind(span.after.map(SqlId))
    .bind(span.offset)
    .bind(span.limit)
    .fetch_all(executor)
    .await?;
    Ok(rows.into_iter().map(User::from).collect())
}

/// How many people of the organization the filter lets through.
pub async fn count(
    executor: impl PgExecutor<'_>,
    organization: OrganizationId,
    filter: &PersonFilter,
) -> Result<u64, postgres::Error> {
    let (count,): (i64,) =
        sqlx::query_as(AssertSqlSafe(format!("SELECT count(*) FROM resident.person WHERE {FITS}")))
            .bind(SqlId(organization))
            .bind(&filter.email.eq)
            .bind(&filter.email.contains)
            .bind(&filter.full_name.eq)
            .bind(&filter.full_name.contains)
            .bind(filter.active)
            .fetch_one(executor)
            .await?;
    Ok(count.cast_unsigned())
}
