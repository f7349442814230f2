//! Removes rows that are no longer needed: nodes that have left and whose certificate has expired, tombstones after a day,
//! completed revocations, expired enrolment tokens and imports after a week.

use std::time::Duration;

use postgres::Error;
use sqlx::PgPool;
use tokio_util::sync::CancellationToken;

use crate::imports;

const INTERVAL: Duration = Duration::from_secs(60);

/// A row stays while its certificate is valid: a node that is not listed any more may come back, a removed one must not.
const FORGET_NODES: &str =
    "DELETE FROM regional.node WHERE hidden_after < now() AND certificate_expires_at < now()";
const FORGET_TOKENS: &str =
    "DELETE FROM regional.enrolment_token WHERE expires_at < now() - interval '7 days'";
/// Revocations are sent again to nodes that were not connected. After a week, such a node learns of the delete by a delta or a
/// snapshot.
const FORGET_REVOCATIONS: &str =
    "DELETE FROM regional.revocation WHERE done AND at < now() - interval '7 days'";
/// Removes tombstones older than a day, and raises the floor to the newest of them: no delta can begin before it any more.
const RAISE_FLOOR: &str = "WITH gone AS (
         DELETE FROM regional.entity WHERE deleted AND updated_at < now() - interval '24 hours'
         RETURNING control_plane_id, version
     )
     UPDATE regional.control_plane AS c SET floor = greatest(floor, gone.version)
     FROM (SELECT control_plane_id, max(version) AS version FROM gone GROUP BY 1) AS gone
     WHERE c.id = gone.control_plane_id";

/// Sweeps every minute, until the drain.
pub async fn run(db: PgPool, drain: CancellationToken) -> anyhow::Result<()> {
    let stop = drain.cancelled_owned();
    pace::every(INTERVAL, "nodes, tokens and tombstones are swept", stop, || sweep(&db)).await;
    Ok(())
}

/// Sweeps once.
pub async fn sweep(db: &PgPool) -> Result<(), Error> {
    for statement in [FORGET_NODES, FORGET_TOKENS, FORGET_REVOCATIONS, RAISE_FLOOR] {
        sqlx::query(statement).execute(db).await?;
    }
    imports::forget_old(db).await
}
