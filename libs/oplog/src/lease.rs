//! Which of a service's replicas receives the entries of other regions.

use std::time::Duration;

use postgres::Error;
use sqlx::{PgConnection, Postgres, pool::PoolConnection};
use tokio::time::timeout;

use crate::Replica;

/// Advisory lock of the replica that receives.
const RECEIVE_LOCK: i64 = 0x6c62_7265_6376;

/// Longest time to find out whether the connection lives.
const ASK_TIMEOUT: Duration = Duration::from_secs(1);

/// The right to receive, as long as the connection that holds it lives. Dropping it gives the right back.
pub struct Lease(PoolConnection<Postgres>);

impl Replica {
    /// Takes the right to receive, unless another replica has it.
    pub async fn try_lease(&self) -> Result<Option<Lease>, Error> {
        let mut connection = self.db.acquire().await?;
        // The lock is the connection's: it must not go back to the pool with it.
        connection.close_on_drop();
        let (locked,): (bool,) = sqlx::query_as("SELECT pg_try_advisory_lock($1)")
            .bind(RECEIVE_LOCK)
            .fetch_one(&mut *connection)
            .await?;
        Ok(locked.then_some(Lease(connection)))
    }
}

impl Lease {
    /// Whether the connection lives, and the lock with it.
    pub async fn is_held(&mut self) -> bool {
        let connection: &mut PgConnection = &mut self.0;
        let asked = timeout(ASK_TIMEOUT, sqlx::query("SELECT 1").execute(connection)).await;
        asked.is_ok_and(|answer| answer.is_ok())
    }
}
