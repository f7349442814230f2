//! Digest of a tenant's replicated rows. Two regions that have applied the same entries compute the same one, whatever the
//! settings of their databases: timestamps are microseconds, and the order of rows does not matter.

use futures::TryStreamExt as _;
use postgres::{Error, SqlId};
use replication::Digest;
use sqlx::PgConnection;

use crate::tenant::Tenant;

/// The rows of an organization, one text each: the fields in a JSON array, after the table's name. The fingerprint of a name is not
/// among them: where an earlier release wrote the name, it depends on the key that a region has now.
const ROWS_OF_ORGANIZATION: &str = "
    SELECT (jsonb_build_array('organization', id, name, owner_id, home_region, state,
               replicated.microseconds(created_at), replicated.microseconds(updated_at))
           -- Only where they say something: a release that has no such columns computes the same.
           || CASE WHEN limits IS NULL AND NOT deleting THEN '[]'::jsonb
                   ELSE jsonb_build_array(limits, deleting, replicated.microseconds(removed_at)) END)::text
    FROM replicated.organization WHERE id = $1
    UNION ALL
    SELECT (jsonb_build_array('system_account', id, name, description,
               replicated.microseconds(created_at), replicated.microseconds(updated_at))
           || CASE WHEN konnect_managed IS NULL THEN '[]'::jsonb ELSE jsonb_build_array(konnect_managed) END)::text
    FROM replicated.system_account WHERE organization_id = $1
    UNION ALL
    SELECT (jsonb_build_array('token', encode(sha256, 'hex'), id, principal_id, principal_kind, name,
               replicated.microseconds(created_at), replicated.microseconds(expires_at),
               replicated.microseconds(revoked_at), vector)
           -- Only where they say something: a release that has no such columns computes the same.
           || CASE WHEN parent_id IS NULL AND replaced_at IS NULL THEN '[]'::jsonb
                   ELSE jsonb_build_array(parent_id, replicated.microseconds(replaced_at)) END
           || CASE WHEN is_session THEN jsonb_build_array('session') ELSE '[]'::jsonb END)::text
    FROM replicated.token WHERE organization_id = $1
    UNION ALL
    SELECT jsonb_build_array('replaced_text', encode(sha256, 'hex'), replicated.microseconds(replaced_at))::text
    FROM replicated.replaced_text WHERE organization_id = $1
    UNION ALL
    SELECT jsonb_build_array('token_rename', token_id, name, replicated.microseconds(renamed_at))::text
    FROM replicated.token_rename WHERE organization_id = $1
    UNION ALL
    SELECT jsonb_build_array('revoked_token', id, replicated.microseconds(revoked_at))::text
    FROM replicated.revoked_token WHERE organization_id = $1
    UNION ALL
    SELECT jsonb_build_array('removed', id, replicated.microseconds(removed_at))::text
    FROM replicated.removed WHERE organization_id = $1";
/// The rows of the deployment, in the same form.
const ROWS_OF_DEPLOYMENT: &str = "
    SELECT jsonb_build_array('signing_key', id, jwk, replicated.microseconds(created_at))::text
    FROM replicated.signing_key
    UNION ALL
    -- The platform operator's.
    SELECT jsonb_build_array('token', encode(sha256, 'hex'), id, principal_id, principal_kind, name,
               replicated.microseconds(created_at), replicated.microseconds(expires_at),
               replicated.microseconds(revoked_at))::text
    FROM replicated.token WHERE organization_id = '00000000-0000-0000-0000-000000000000'
    UNION ALL
    SELECT jsonb_build_array('revoked_token', id, replicated.microseconds(revoked_at))::text
    FROM replicated.revoked_token WHERE organization_id = '00000000-0000-0000-0000-000000000000'";

/// The digest of what `tenant` owns.
pub async fn digest(connection: &mut PgConnection, tenant: Tenant) -> Result<[u8; 32], Error> {
    let query = match tenant {
        Tenant::Organization(id) => sqlx::query_as(ROWS_OF_ORGANIZATION).bind(SqlId(id)),
        Tenant::Deployment => sqlx::query_as(ROWS_OF_DEPLOYMENT),
    };
    let mut digest = Digest::default();
    let mut rows = query.fetch(connection);
    while let Some((row,)) = rows.try_next().await? {
        let row: String = row;
        digest.add(row.as_bytes());
    }
    Ok(digest.to_bytes())
}
