//! Digest of an organization's rows. Equal in two regions that have applied the same operations of the organization.

use ids::OrganizationId;
use postgres::{Error, SqlId};
use replication::Digest;
use sqlx::PgConnection;

/// Each row as one line of text, its table first. Revoked sessions are left out: each region forgets them in its own time.
const ROWS: &str = "
    SELECT concat_ws(E'\\n', 'organization', id, status, home_region)
    FROM replicated.organization WHERE id = $1
    UNION ALL
    SELECT concat_ws(E'\\n', 'principal', id, kind, active, coalesce(not_before, 0))
    FROM replicated.principal WHERE organization_id = $1
    UNION ALL
    SELECT concat_ws(E'\\n', 'team', id, predefined, length(name), name, description,
                     extract(epoch FROM created_at), extract(epoch FROM updated_at),
                     -- Only where they say something: a release that has no such columns computes the same.
                     CASE WHEN NOT described THEN 'undescribed' END, CASE WHEN labels <> '{}' THEN labels END)
    FROM replicated.team WHERE organization_id = $1
    UNION ALL
    SELECT concat_ws(E'\\n', 'membership', id, team_id, principal_id)
    FROM replicated.membership WHERE organization_id = $1
    UNION ALL
    SELECT concat_ws(E'\\n', 'assignment', id, coalesce(team_id, principal_id), role_name, entity_type_name,
                     entity_id, entity_region)
    FROM replicated.assignment WHERE organization_id = $1";

/// The digest of the organization's rows as `connection` sees them.
pub async fn of(connection: &mut PgConnection, organization: OrganizationId) -> Result<[u8; 32], Error> {
    let rows: Vec<(String,)> = sqlx::query_as(ROWS).bind(SqlId(organization)).fetch_all(connection).await?;
    let mut digest = Digest::default();
    for (row,) in &rows {
        digest.add(row.as_bytes());
    }
    Ok(digest.to_bytes())
}
