//! Turns of documents: one document of a control plane is written at a time, at whichever replica. It holds rows that it has written until
//! its end, without holding the head; so other writers may meet such a row, and wait here for the end.

use std::time::Duration;

use ids::ControlPlaneId;
use sqlx::{PgConnection, PgPool};
use tokio::time::{Instant, sleep};

use crate::rows::RowError;

/// How long a document waits for those before it.
const TURN_TIMEOUT: &str = "120s";
/// How long a write waits for a row that a document may hold. Meanwhile it holds up other writes.
const HELD_TIMEOUT: &str = "20ms";
/// How long a write waits for the end of a document, and how often it looks.
const END_TIMEOUT: Duration = Duration::from_secs(10);
const LOOK_INTERVAL: Duration = Duration::from_millis(100);

/// What stands for a control plane's turn among Postgres' advisory locks.
pub(super) fn key(control_plane: ControlPlaneId) -> i64 {
    let (high, low) = control_plane.uuid().as_u64_pair();
    (high ^ low).cast_signed()
}

/// Has each statement of the transaction planned anew: a plan that the connection remembers may have been made when the tables were empty.
pub async fn plan_anew(connection: &mut PgConnection) -> Result<(), RowError> {
    sqlx::query("SET LOCAL plan_cache_mode = force_custom_plan").execute(connection).await?;
    Ok(())
}

/// Waits until no other document of the control plane is written. The turn ends with the transaction.
pub async fn take_turn(connection: &mut PgConnection, control_plane: ControlPlaneId) -> Result<(), RowError> {
    let timeouts = "SELECT set_config('lock_timeout', $1, true), set_config('statement_timeout', $1, true)";
    sqlx::query(timeouts).bind(TURN_TIMEOUT).execute(&mut *connection).await?;
    sqlx::query("SELECT pg_advisory_xact_lock($1)").bind(key(control_plane)).execute(connection).await?;
    Ok(())
}

/// From here on the transaction's statements wait for rows that a document holds no longer than others can be held up.
pub async fn wait_little(connection: &mut PgConnection) -> Result<(), RowError> {
    let timeout = "SELECT set_config('lock_timeout', $1, true)";
    sqlx::query(timeout).bind(HELD_TIMEOUT).execute(connection).await?;
    Ok(())
}

/// Waits for the end of the document that is being written; `false`: it takes too long.
pub async fn document_ends(db: &PgPool, control_plane: ControlPlaneId) -> Result<bool, RowError> {
    let deadline = Instant::now() + END_TIMEOUT;
    while Instant::now() < deadline {
        sleep(LOOK_INTERVAL).await;
        let (is_free,): (bool,) = sqlx::query_as("SELECT pg_try_advisory_xact_lock_shared($1)")
            .bind(key(control_plane))
            .fetch_one(db)
            .await?;
        if is_free {
            return Ok(true);
        }
    }
    Ok(false)
}
