//! Digest of an organization's replicated rows. Two regions that have applied the same operations compute the same one,
//! whatever their database's settings: timestamps are microseconds, and the order of rows does not matter.

use futures::TryStreamExt as _;
use ids::OrganizationId;
use postgres::{Error, SqlId};
use replication::Digest;
use sqlx::PgConnection;

use crate::signing_keys;

/// One row as text, each: the fields in a JSON array, the table's name first.
const ROWS: &str = "
    SELECT jsonb_build_array('organization', id, name, owner_id, home_region, state,
               replicated.microseconds(created_at), replicated.microseconds(updated_at))::text
    FROM replicated.organization WHERE id = $1
    UNION ALL
    SELECT jsonb_build_array('system_account', id, name, description,
               replicated.microseconds(created_at), replicated.microseconds(updated_at))::text
    FROM replicated.system_account WHERE organization_id = $1
    UNION ALL
    SELECT jsonb_build_array('token', encode(sha256, 'hex'), id, principal_id, principal_kind, name,
               replicated.microseconds(created_at), replicated.microseconds(expires_at),
               replicated.microseconds(revoked_at), vector)::text
    FROM replicated.token WHERE organization_id = $1
    UNION ALL
    SELECT jsonb_build_array('revoked_token', id, replicated.microseconds(revoked_at))::text
    FROM replicated.revoked_token WHERE organization_id = $1
    UNION ALL
    SELECT jsonb_build_array('removed', id, replicated.microseconds(removed_at))::text
    FROM replicated.removed WHERE organization_id = $1
    UNION ALL
    SELECT jsonb_build_array('signing_key', id, jwk, replicated.microseconds(created_at))::text
    FROM replicated.signing_key WHERE $2";

pub async fn digest(connection: &mut PgConnection, organization: OrganizationId) -> Result<[u8; 32], Error> {
    let mut digest = Digest::default();
    let mut rows = sqlx::query_as::<_, (String,)>(ROWS)
        .bind(SqlId(organization))
        .bind(organization == signing_keys::ORGANIZATION)
        .fetch(connection);
    while let Some((row,)) = rows.try_next().await? {
        digest.add(row.as_bytes());
    }
    Ok(digest.to_bytes())
}
