//! Role assignments: a role, to a holder, on an entity or all of them, in a region or all of them.

pub mod http;
pub mod store;

use ids::{AssignmentId, kinds};
use policy::AssignedRole;
use postgres::SqlId;
use serde::Serialize;
use sqlx::FromRow;
use utoipa::ToSchema;

/// An assignment as users see it, in Konnect's shape.
#[derive(Debug, Serialize, ToSchema)]
pub struct Assignment {
    pub id: AssignmentId,
    #[serde(flatten)]
    pub role: AssignedRole,
}

#[derive(FromRow)]
struct Row {
    id: SqlId<kinds::Assignment>,
    role_name: String,
    entity_type_name: String,
    entity_id: String,
    entity_region: String,
}

impl From<Row> for Assignment {
    fn from(row: Row) -> Self {
        Self {
            id: row.id.into(),
            role: AssignedRole {
                role_name: row.role_name,
                entity_id: row.entity_id,
                entity_type_name: row.entity_type_name,
                entity_region: row.entity_region,
            },
        }
    }
}
