//! Removes rows that are no longer needed: nodes whose certificate has expired for so long that it is not renewed any more, old
//! tombstones and completed revocations, expired enrolment tokens and imports after a week. Counts those that stay.

use std::time::Duration;

use postgres::Error;
use sqlx::PgPool;
use tokio_util::sync::CancellationToken;

use crate::{imports, settings::Retention};

const INTERVAL: Duration = Duration::from_secs(60);

const CERTIFICATES: &str = "landbridge_node_certificate_expiry_timestamp_seconds";

/// A row stays while its certificate is valid or may be renewed: a node that is not listed any more may come back, a removed one must not.
const FORGET_NODES: &str =
    "DELETE FROM regional.node WHERE certificate_expires_at < now() - make_interval(secs => $1)";
/// A node with a pinned certificate comes back without its row. A removed one must not, as long as its certificate is pinned.
const FORGET_PINNED_NODES: &str = "DELETE FROM regional.node AS n
     WHERE pinned_certificate_id IS NOT NULL
       AND greatest(created_at, last_seen_at, left_at, removed_at) < now() - make_interval(secs => $1)
       AND (removed_at IS NULL OR NOT EXISTS (
           SELECT FROM regional.pinned_certificate WHERE id = n.pinned_certificate_id))";
const FORGET_TOKENS: &str =
    "DELETE FROM regional.enrolment_token WHERE expires_at < now() - interval '7 days'";
/// Revocations are sent again to nodes that were not connected. Later, such a node learns of the delete by a delta or a snapshot.
const FORGET_REVOCATIONS: &str =
    "DELETE FROM regional.revocation WHERE done AND at < now() - make_interval(secs => $1)";
/// Removes old tombstones, and raises the floor to the newest of them: no delta can begin before it any more.
const RAISE_FLOOR: &str = "WITH gone AS (
         DELETE FROM regional.entity WHERE deleted AND updated_at < now() - make_interval(secs => $1)
         RETURNING control_plane_id, version
     )
     UPDATE regional.control_plane AS c SET floor = greatest(floor, gone.version)
     FROM (SELECT control_plane_id, max(version) AS version FROM gone GROUP BY 1) AS gone
     WHERE c.id = gone.control_plane_id";

/// Sweeps every minute, until the drain.
pub async fn run(db: PgPool, retention: Retention, drain: CancellationToken) -> anyhow::Result<()> {
    metrics::describe_gauge!(
        CERTIFICATES,
        "When the first of the certificates ends that nodes of the region's control planes have which were heard of lately."
    );
    let stop = drain.cancelled_owned();
    pace::every(INTERVAL, "nodes, tokens and tombstones are swept", stop, || sweep(&db, &retention)).await;
    Ok(())
}

/// Sweeps once.
pub async fn sweep(db: &PgPool, retention: &Retention) -> Result<(), Error> {
    for (statement, after_seconds) in [
        (FORGET_NODES, retention.nodes_renewable_seconds),
        (FORGET_PINNED_NODES, retention.nodes_listed_seconds),
        (FORGET_REVOCATIONS, retention.revocations_seconds),
        (RAISE_FLOOR, retention.tombstones_seconds),
    ] {
        sqlx::query(statement).bind(f64::from(after_seconds)).execute(db).await?;
    }
    sqlx::query(FORGET_TOKENS).execute(db).await?;
    let (first_end,): (Option<f64>,) = sqlx::query_as(
        "SELECT extract(epoch FROM min(certificate_expires_at))::float8 FROM regional.node
         WHERE removed_at IS NULL AND left_at IS NULL AND last_seen_at > now() - make_interval(secs => $1)",
    )
    .bind(f64::from(retention.nodes_listed_seconds))
    .fetch_one(db)
    .await?;
    metrics::gauge!(CERTIFICATES).set(first_end.unwrap_or_default());
    imports::forget_old(db).await
}
