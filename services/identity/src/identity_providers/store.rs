//! Rows of identity providers, at home.

use std::collections::BTreeMap;

use ids::OrganizationId;
use postgres::SqlId;
use sqlx::{AssertSqlSafe, FromRow, PgConnection, PgExecutor};
use time::OffsetDateTime;
use web::Span;

use super::{ClaimMappings, Config, Error, IdentityProvider, ProviderId, ProviderKind, ProviderType};

/// A provider with its sealed client secret.
#[derive(Clone, Debug)]
pub struct Stored {
    /// What the API shows.
    pub shown: IdentityProvider,
    /// Sealed.
    pub secret: Vec<u8>,
}

#[derive(FromRow)]
struct ProviderRow {
    id: SqlId<ProviderKind>,
    enabled: bool,
    login_path: String,
    issuer_url: String,
    client_id: String,
    client_secret: Vec<u8>,
    scopes: Vec<String>,
    name_claim: String,
    email_claim: String,
    groups_claim: String,
    accepts_unverified_emails: bool,
    created_at: OffsetDateTime,
    updated_at: OffsetDateTime,
    last_used_at: Option<OffsetDateTime>,
}

impl From<ProviderRow> for Stored {
    fn from(row: ProviderRow) -> Self {
        let claim_mappings =
            ClaimMappings { name: row.name_claim, email: row.email_claim, groups: row.groups_claim };
        let shown = IdentityProvider {
            id: row.id.into(),
            r#type: ProviderType::Oidc,
            enabled: row.enabled,
            login_path: row.login_path,
            config: Config {
                issuer_url: row.issuer_url,
                client_id: row.client_id,
                scopes: row.scopes,
                claim_mappings,
                accept_unverified_emails: row.accepts_unverified_emails,
            },
            redirect_uris: BTreeMap::new(),
            last_used_at: row.last_used_at,
            created_at: row.created_at,
            updated_at: row.updated_at,
        };
        Self { shown, secret: row.client_secret }
    }
}

const COLUMNS: &str =
    "id, enabled, login_path, issuer_url, client_id, client_secret, scopes, name_claim, email_claim,
     groups_claim, accepts_unverified_emails, created_at, updated_at, last_used_at";

/// Stores a provider, in the place of an earlier one with its id. [`Error::PathTaken`] if another one has the login path.
pub async fn put(
    connection: &mut PgConnection,
    organization: OrganizationId,
    provider: &Stored,
) -> Result<(), Error> {
    let Stored { shown, secret } = provider;
    let Config { issuer_url, client_id, scopes, claim_mappings, accept_unverified_emails } = &shown.config;
    let put = sqlx::query(
        "INSERT INTO resident.identity_provider
             (id, organization_id, enabled, login_path, issuer_url, client_id, client_secret, scopes, name_claim, email_claim,
              groups_claim, accepts_unverified_emails, created_at, updated_at, last_used_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)
         ON CONFLICT (id) DO UPDATE SET enabled = $3, login_path = $4, issuer_url = $5, client_id = $6, client_secret = $7,
             scopes = $8, name_claim = $9, email_claim = $10, groups_claim = $11, accepts_unverified_emails = $12,
             updated_at = $14, last_used_at = $15",
    )
    .bind(SqlId(shown.id))
    .bind(SqlId(organization))
    .bind(shown.enabled)
    .bind(&shown.login_path)
    .bind(issuer_url)
    .bind(client_id)
    .bind(secret)
    .bind(scopes)
    .bind(&claim_mappings.name)
    .bind(&claim_mappings.email)
    .bind(&claim_mappings.groups)
    .bind(accept_unverified_emails)
    .bind(shown.created_at)
    .bind(shown.updated_at)
    .bind(shown.last_used_at)
    .execute(connection)
    .await;
    match put.map_err(postgres::Error::from) {
        Ok(_) => Ok(()),
        Err(error) if error.violates("identity_provider_login_path") => Err(Error::PathTaken),
        Err(error) => Err(error.into()),
    }
}

/// One provider of the organization.
pub async fn find(
    executor: impl PgExecutor<'_>,
    organization: OrganizationId,
    id: ProviderId,
) -> Result<Option<Stored>, postgres::Error> {
    let row: Option<ProviderRow> = sqlx::query_as(AssertSqlSafe(format!(
        "SELECT {COLUMNS} FROM resident.identity_provider WHERE organization_id = $1 AND id = $2"
    )))
    .bind(SqlId(organization))
    .bind(SqlId(id))
    .fetch_optional(executor)
    .await?;
    Ok(row.map(Stored::from))
}

/// The same, locked until the transaction ends: of two writes at once, one finds what the other has done.
pub async fn lock(
    connection: &mut PgConnection,
    organization: OrganizationId,
    id: ProviderId,
) -> Result<Option<Stored>, postgres::Error> {
    let row: Option<ProviderRow> = sqlx::query_as(AssertSqlSafe(format!(
        "SELECT {COLUMNS} FROM resident.identity_provider WHERE organization_id = $1 AND id = $2 FOR UPDATE"
    )))
    .bind(SqlId(organization))
    .bind(SqlId(id))
    .fetch_optional(connection)
    .await?;
    Ok(row.map(Stored::from))
}

/// The provider of the organization where people begin at `login_path`.
pub async fn by_login_path(
    executor: impl PgExecutor<'_>,
    organization: OrganizationId,
    login_path: &str,
) -> Result<Option<Stored>, postgres::Error> {
    let row: Option<ProviderRow> = sqlx::query_as(AssertSqlSafe(format!(
        "SELECT {COLUMNS} FROM resident.identity_provider WHERE organization_id = $1 AND login_path = $2"
    )))
    .bind(SqlId(organization))
    .bind(login_path)
    .fetch_optional(executor)
    .await?;
    Ok(row.map(Stored::from))
}

/// The providers of the organization that `span` says, by id.
pub async fn list(
    executor: impl PgExecutor<'_>,
    organization: OrganizationId,
    span: &Span<ProviderId>,
) -> Result<Vec<IdentityProvider>, postgres::Error> {
    let rows: Vec<ProviderRow> = sqlx::query_as(AssertSqlSafe(format!(
        "SELECT {COLUMNS} FROM resident.identity_provider
         WHERE organization_id = $1 AND ($2::uuid IS NULL OR id > $2) ORDER BY id OFFSET $3 LIMIT $4"
    )))
    .bind(SqlId(organization))
    .bind(span.after.map(SqlId))
    .bind(span.offset)
    .bind(span.limit)
    .fetch_all(executor)
    .await?;
    Ok(rows.into_iter().map(|row| Stored::from(row).shown).collect())
}

/// How many providers the organization has.
pub async fn count(
    executor: impl PgExecutor<'_>,
    organization: OrganizationId,
) -> Result<u64, postgres::Error> {
    let (count,): (i64,) =
        sqlx::query_as("SELECT count(*) FROM resident.identity_provider WHERE organization_id = $1")
            .bind(SqlId(organization))
            .fetch_one(executor)
            .await?;
    Ok(count.cast_unsigned())
}

/// Deletes a provider with its mappings; `false` if there is none.
pub async fn delete(
    connection: &mut PgConnection,
    organization: OrganizationId,
    id: ProviderId,
) -> Result<bool, postgres::Error> {
    let deleted =
        sqlx::query("DELETE FROM resident.identity_provider WHERE organization_id = $1 AND id = $2")
            .bind(SqlId(organization))
            .bind(SqlId(id))
            .execute(connection)
            .await?;
    Ok(deleted.rows_affected() > 0)
}

/// Notes that somebody has signed on by a provider at `at`.
pub async fn used(
    connection: &mut PgConnection,
    id: ProviderId,
    at: OffsetDateTime,
) -> Result<(), postgres::Error> {
    sqlx::query("UPDATE resident.identity_provider SET last_used_at = $2 WHERE id = $1")
        .bind(SqlId(id))
        .bind(at)
        .execute(connection)
        .await?;
    Ok(())
}

/// Whether somebody has signed on by an enabled provider of the organization.
pub async fn any_proven(
    connection: &mut PgConnection,
    organization: OrganizationId,
) -> Result<bool, postgres::Error> {
    let (any,) = sqlx::query_as(
        "SELECT EXISTS (SELECT FROM resident.identity_provider
                        WHERE organization_id = $1 AND enabled AND last_used_at IS NOT NULL)",
    )
    .bind(SqlId(organization))
    .fetch_one(connection)
    .await?;
    Ok(any)
}
