//! Deletes what is of no use any more: invites and links that have expired, sessions that have ended, failures that are forgotten.

use std::time::Duration;

use clock::Clock;
use sqlx::PgPool;
use tokio_util::sync::CancellationToken;

use crate::passwords::attempts;

/// Pause between two sweeps.
const INTERVAL: Duration = Duration::from_secs(3600);
/// How long a refresh token that was used is remembered, so that its session ends if it is shown again.
const USED_REMEMBERED: time::Duration = time::Duration::days(1);

/// Sweeps now and every hour, until `drain`.
pub async fn run(db: PgPool, clock: Clock, drain: CancellationToken) -> anyhow::Result<()> {
    pace::every(INTERVAL, "what people no longer need is swept", drain.cancelled_owned(), || {
        once(&db, &clock)
    })
    .await;
    Ok(())
}

/// Sweeps once, by `clock`.
pub async fn once(db: &PgPool, clock: &Clock) -> Result<(), postgres::Error> {
    let now = clock.now();
    for (statement, before) in [
        ("DELETE FROM resident.invite WHERE expires_at <= $1", now),
        ("DELETE FROM resident.password_reset WHERE expires_at <= $1", now),
        ("DELETE FROM resident.failed_attempt WHERE last_at <= $1", now - attempts::REMEMBERED),
        ("DELETE FROM resident.refresh_token WHERE used_at <= $1", now - USED_REMEMBERED),
        ("DELETE FROM resident.session WHERE ends_at <= $1", now),
        ("DELETE FROM resident.used_sign_on WHERE expires_at <= $1", now),
    ] {
        sqlx::query(statement).bind(before).execute(db).await?;
    }
    Ok(())
}
