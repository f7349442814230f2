//! Rows of domains, at home.

use ids::OrganizationId;
use postgres::SqlId;
use sqlx::{FromRow, PgConnection, PgExecutor};
use time::OffsetDateTime;
use web::Span;

use super::{Domain, DomainId, DomainKind, Error};

#[derive(FromRow)]
struct DomainRow {
    id: SqlId<DomainKind>,
    name: String,
    challenge: String,
    created_at: OffsetDateTime,
    verified_at: Option<OffsetDateTime>,
}

impl From<DomainRow> for Domain {
    fn from(row: DomainRow) -> Self {
        Self::new(row.id.into(), row.name, &row.challenge, row.created_at, row.verified_at)
    }
}

/// Claims a domain. [`Error::Taken`] if the organization has it.
pub(super) async fn insert(
    connection: &mut PgConnection,
    organization: OrganizationId,
    domain: &Domain,
    challenge: &str,
) -> Result<(), Error> {
    let inserted = sqlx::query(
        "INSERT INTO resident.domain (id, organization_id, name, challenge, created_at) VALUES ($1, $2, $3, $4, $5)",
    )
    .bind(SqlId(domain.id))
    .bind(SqlId(organization))
    .bind(&domain.name)
    .bind(challenge)
    .bind(domain.created_at)
    .execute(connection)
    .await;
    match inserted.map_err(postgres::Error::from) {
        Ok(_) => Ok(()),
        Err(error) if error.violates("domain_name") => Err(Error::Taken),
        Err(error) => Err(error.into()),
    }
}

/// One domain of the organization.
pub(super) async fn find(
    executor: impl PgExecutor<'_>,
    organization: OrganizationId,
    id: DomainId,
) -> Result<Option<Domain>, postgres::Error> {
    let row: Option<DomainRow> =
        sqlx::query_as("SELECT * FROM resident.domain WHERE organization_id = $1 AND id = $2")
            .bind(SqlId(organization))
            .bind(SqlId(id))
            .fetch_optional(executor)
            .await?;
    Ok(row.map(Domain::from))
}

/// The domains of the organization that `span` says, by id.
pub(super) async fn list(
    executor: impl PgExecutor<'_>,
    organization: OrganizationId,
    span: &Span<DomainId>,
) -> Result<Vec<Domain>, postgres::Error> {
    let rows: Vec<DomainRow> = sqlx::query_as(
        "SELECT * FROM resident.domain WHERE organization_id = $1 AND ($2::uuid IS NULL OR id > $2)
         ORDER BY id OFFSET $3 LIMIT $4",
    )
    .bind(SqlId(organization))
    .bind(span.after.map(SqlId))
    .bind(span.offset)
    .bind(span.limit)
    .fetch_all(executor)
    .await?;
    Ok(rows.into_iter().map(Domain::from).collect())
}

/// How many domains the organization has.
pub(super) async fn count(
    executor: impl PgExecutor<'_>,
    organization: OrganizationId,
) -> Result<u64, postgres::Error> {
    let (count,): (i64,) = sqlx::query_as("SELECT count(*) FROM resident.domain WHERE organization_id = $1")
        .bind(SqlId(organization))
        .fetch_one(executor)
        .await?;
    Ok(count.cast_unsigned())
}

/// Notes that a domain was verified at `at`; answers it, unless it is gone.
pub(super) async fn verify(
    connection: &mut PgConnection,
    organization: OrganizationId,
    id: DomainId,
    at: OffsetDateTime,
) -> Result<Option<Domain>, postgres::Error> {
    let row: Option<DomainRow> = sqlx::query_as(
        "UPDATE resident.domain SET verified_at = $3 WHERE organization_id = $1 AND id = $2 RETURNING *",
    )
    .bind(SqlId(organization))
    .bind(SqlId(id))
    .bind(at)
    .fetch_optional(connection)
    .await?;
    Ok(row.map(Domain::from))
}

/// Gives a domain up; `false` if there is none.
pub(super) async fn delete(
    connection: &mut PgConnection,
    organization: OrganizationId,
    id: DomainId,
) -> Result<bool, postgres::Error> {
    let deleted = sqlx::query("DELETE FROM resident.domain WHERE organization_id = $1 AND id = $2")
        .bind(SqlId(organization))
        .bind(SqlId(id))
        .execute(connection)
        .await?;
    Ok(deleted.rows_affected() > 0)
}

/// Whether the organization has verified the domain `name`, which is in lower case.
pub async fn is_verified(
    executor: impl PgExecutor<'_>,
    organization: OrganizationId,
    name: &str,
) -> Result<bool, postgres::Error> {
    let (is_verified,) = sqlx::query_as(
        "SELECT EXISTS (SELECT FROM resident.domain
                        WHERE organization_id = $1 AND name = $2 AND verified_at IS NOT NULL)",
    )
    .bind(SqlId(organization))
    .bind(name)
    .fetch_one(executor)
    .await?;
    Ok(is_verified)
}
