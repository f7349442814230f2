//! How far nodes are behind, in seconds: in the list of nodes, and as metrics of the region.

use std::time::Duration;

use sqlx::{AssertSqlSafe, PgPool};
use tokio_util::sync::CancellationToken;

use crate::rows::RowError;

/// Pause between two looks.
const INTERVAL: Duration = Duration::from_secs(10);

const LAG: &str = "landbridge_node_lag_seconds";
const BEHIND: &str = "landbridge_nodes_behind";

/// The lag of the node `n` of the control plane `c`: how long ago the oldest change was committed that it does not hold, of those that no later
/// change of the same entity has replaced. 0 at the head; null where the node holds nothing of the present incarnation.
pub const OF_NODE: &str = "CASE WHEN n.applied_epoch <> c.epoch THEN NULL
          WHEN n.applied_version >= c.version THEN 0
          ELSE greatest(extract(epoch FROM now() - coalesce(
                   (SELECT e.updated_at FROM regional.entity AS e
                    WHERE e.control_plane_id = c.id AND e.version > n.applied_version
                    ORDER BY e.version LIMIT 1), c.committed_at)), 0)::float8 END";

/// How far the region's connected nodes are behind.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Lag {
    /// The longest lag, in seconds.
    pub seconds: f64,
    /// How many are not at the head of their control plane.
    pub nodes: i64,
}

/// Reads it.
pub async fn read(db: &PgPool) -> Result<Lag, RowError> {
    let (seconds, nodes): (Option<f64>, i64) = sqlx::query_as(AssertSqlSafe(format!(
        "SELECT max({OF_NODE}), count(*) FILTER (WHERE (n.applied_epoch, n.applied_version) <> (c.epoch, c.version))
         FROM regional.node AS n JOIN regional.control_plane AS c ON c.id = n.control_plane_id
         WHERE removed_at IS NULL AND left_at IS NULL AND last_seen_at > now() - make_interval(secs => $1)"
    )))
    .bind(sync::limits::LEASE.as_secs_f64())
    .fetch_one(db)
    .await?;
    Ok(Lag { seconds: seconds.unwrap_or_default(), nodes })
}

/// Shows it as metrics, until the drain.
pub async fn run(db: PgPool, drain: CancellationToken) -> anyhow::Result<()> {
    metrics::describe_gauge!(
        LAG,
        "How long ago the oldest change was committed that a connected node of the region does not hold: of all nodes the longest."
    );
    metrics::describe_gauge!(
        BEHIND,
        "Connected nodes of the region that do not hold the newest version of their control plane."
    );
    let look = async || {
        let lag = read(&db).await?;
        metrics::gauge!(LAG).set(lag.seconds);
        metrics::gauge!(BEHIND).set(lag.nodes as f64);
        Ok::<_, RowError>(())
    };
    pace::every(INTERVAL, "the lag of nodes is read", drain.cancelled_owned(), look).await;
    Ok(())
}
