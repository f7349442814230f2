//! What nodes say of the health of targets: each sees them for itself.

use std::collections::HashMap;

use ids::{ControlPlaneId, NodeId, kinds};
use postgres::SqlId;
use serde::{Deserialize, Serialize};
use sqlx::{FromRow, PgPool};
use uuid::Uuid;

use super::{seat::Seat, store::TABLE};
use crate::rows::RowError;

/// Nodes that are asked at most.
const NODES_MAX: i64 = 1000;

/// How a node sees a target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Health {
    /// It sends requests there.
    Healthy,
    /// None of its addresses is healthy.
    Unhealthy,
    /// Its name has no address.
    DnsError,
    /// Some of its addresses are not healthy.
    Degraded,
}

/// A target that a node does not send all requests to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unhealthy {
    /// The target's id.
    pub target: Uuid,
    /// How the node sees it.
    pub health: Health,
    /// `address:port` of those that are not healthy.
    pub addresses: Vec<String>,
}

/// What a connected node says of all targets.
pub struct View {
    /// The node.
    pub node: NodeId,
    /// Name of its machine.
    pub hostname: String,
    /// All targets but those that are healthy, by id.
    unhealthy: HashMap<Uuid, Unhealthy>,
}

impl View {
    /// How the node sees a target: its health, and the addresses that are not healthy.
    pub fn of(&self, target: Uuid) -> (Health, &[String]) {
        self.unhealthy
            .get(&target)
            .map_or((Health::Healthy, &[]), |said| (said.health, said.addresses.as_slice()))
    }
}

#[derive(FromRow)]
struct ViewRow {
    id: SqlId<kinds::Node>,
    hostname: String,
    unhealthy: String,
}

/// The views of connected nodes that have told theirs, at most [`NODES_MAX`] of them, by id.
pub async fn views(db: &PgPool, control_plane: ControlPlaneId) -> Result<Vec<View>, RowError> {
    let rows: Vec<ViewRow> = sqlx::query_as(
        "SELECT id, hostname, unhealthy FROM regional.node
         WHERE control_plane_id = $1 AND removed_at IS NULL AND left_at IS NULL AND unhealthy IS NOT NULL
           AND last_seen_at > now() - make_interval(secs => $2)
         ORDER BY id LIMIT $3",
    )
    .bind(SqlId(control_plane))
    .bind(sync::limits::LEASE.as_secs_f64())
    .bind(NODES_MAX)
    .fetch_all(db)
    .await?;
    let view = |ViewRow { id, hostname, unhealthy }| {
        let unreadable = |error| RowError::unreadable(TABLE, error);
        let said: Vec<Unhealthy> = serde_json::from_str(&unhealthy).map_err(unreadable)?;
        let unhealthy = said.into_iter().map(|unhealthy| (unhealthy.target, unhealthy)).collect();
        Ok(View { node: id.into(), hostname, unhealthy })
    };
    rows.into_iter().map(view).collect()
}

impl Seat {
    /// Notes which targets are not healthy for the node. `false` if another stream has the seat by now, or the node was removed.
    pub async fn note_unhealthy(&self, db: &PgPool, unhealthy: &[Unhealthy]) -> Result<bool, RowError> {
        let noted = sqlx::query(
            "UPDATE regional.node SET unhealthy = $4, last_seen_at = now()
             WHERE control_plane_id = $1 AND id = $2 AND session_id = $3 AND removed_at IS NULL",
        )
        .bind(SqlId(self.control_plane))
        .bind(SqlId(self.node))
        .bind(self.session)
        .bind(serde_json::to_string(unhealthy).map_err(|error| RowError::unreadable(TABLE, error))?)
        .execute(db)
        .await?;
        Ok(noted.rows_affected() == 1)
    }
}
