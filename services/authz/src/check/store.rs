//! Which control planes an organization is known to have. authz has no table of them; but whoever makes one is made its Admin, so an
//! assignment on it stands in the logs, and those are kept.

use std::collections::BTreeSet;

use ids::{ControlPlaneId, OrganizationId};
use moka::sync::Cache;
use postgres::{Error, SqlId};
use sqlx::PgPool;

/// Control planes that are remembered.
const REMEMBERED_MAX: u64 = 100_000;

/// Remembers which control planes are known: one that was known once stays so. Cheap to clone.
#[derive(Clone)]
pub struct Known(Cache<(OrganizationId, ControlPlaneId), ()>);

impl Default for Known {
    fn default() -> Self {
        Self(Cache::new(REMEMBERED_MAX))
    }
}

impl Known {
    /// Those of `ids` that are known as the organization's.
    pub async fn find(
        &self,
        db: &PgPool,
        organization: OrganizationId,
        ids: &BTreeSet<ControlPlaneId>,
    ) -> Result<BTreeSet<ControlPlaneId>, Error> {
        let is_remembered = |id: &&ControlPlaneId| self.0.get(&(organization, **id)).is_some();
        let (mut found, missing): (BTreeSet<_>, BTreeSet<_>) = ids.iter().partition(is_remembered);
        for id in known(db, organization, &missing).await? {
            self.0.insert((organization, id), ());
            found.insert(id);
        }
        Ok(found)
    }
}

/// Those of `ids` on which the organization has, or had, an assigned role.
async fn known(
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
