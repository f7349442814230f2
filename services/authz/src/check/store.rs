//! Which control planes an organization is known to have. authz has no table of them; but whoever makes one is made its Admin, so an
//! assignment on it stands in the logs, and those are kept.

use std::collections::BTreeSet;

use ids::{ControlPlaneId, OrganizationId};
use postgres::{Error, SqlId};
use sqlx::PgPool;

/// Those of `ids` on which the organization has, or had, an assigned role.
pub async fn known(
    db: &PgPool,
    organization: OrganizationId,
    ids: &BTreeSet<ControlPlaneId>,
) -> Result<BTreeSet<ControlPlaneId>, Error> {
    let mut known = BTreeSet::new();
    for statement in [
        "SELECT DISTINCT entity_id FROM replicated.assignment WHERE organization_id = $1 AND entity_id = ANY($2)",
        // Rarely needed: of roles that were all taken back only the log tells.
        "SELECT DISTINCT body::jsonb #>> '{role,entity_id}' FROM log_operation
         WHERE organization_id = $1 AND kind = 'assignment.put' AND body::jsonb #>> '{role,entity_id}' = ANY($2)",
    ] {
        let missing: Vec<String> = ids.difference(&known).map(ToString::to_string).collect();
        if missing.is_empty() {
            break;
        }
        let found: Vec<(String,)> =
            sqlx::query_as(statement).bind(SqlId(organization)).bind(missing).fetch_all(db).await?;
        known.extend(found.into_iter().filter_map(|(id,)| id.parse::<ControlPlaneId>().ok()));
    }
    Ok(known)
}
