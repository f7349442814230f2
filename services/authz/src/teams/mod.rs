//! Teams and their members. A team is a record of the home region; a membership is an edge that any region may write.

pub mod http;
mod store;

use ids::{TeamId, kinds};
use postgres::SqlId;
use serde::Serialize;
use sqlx::FromRow;
pub use store::{find, require_principal};
use time::OffsetDateTime;
use utoipa::ToSchema;

#[derive(Debug, Serialize, ToSchema)]
pub struct Team {
    pub id: TeamId,
    pub name: String,
    pub description: String,
    /// A predefined team cannot be renamed, deleted or given other roles.
    pub system_team: bool,
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339")]
    pub updated_at: OffsetDateTime,
}

#[derive(FromRow)]
struct Row {
    id: SqlId<kinds::Team>,
    name: String,
    description: String,
    predefined: bool,
    created_at: OffsetDateTime,
    updated_at: OffsetDateTime,
}

impl From<Row> for Team {
    fn from(row: Row) -> Self {
        Self {
            id: row.id.into(),
            name: row.name,
            description: row.description,
            system_team: row.predefined,
            created_at: row.created_at,
            updated_at: row.updated_at,
        }
    }
}
