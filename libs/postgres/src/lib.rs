//! Postgres as every service uses it: a pool over mTLS, migrations, typed ids in SQL, and what can go wrong. Knows nothing of
//! logs, of HTTP or of tokens. The other two database crates stand on it: `libs/oplog` and `libs/mutation`.

mod error;
mod id;
mod lookups;
mod nodelay;
mod probe;

use std::{future::ready, time::Duration};

use anyhow::Context as _;
pub use error::Error;
pub use id::SqlId;
pub use lookups::{Lookups, Row};
pub use probe::probe;
use settings::sections::{Database, Tls};
pub use sqlx::PgPool;
use sqlx::{
    Connection as _,
    migrate::Migrator,
    postgres::{PgConnectOptions, PgPoolOptions, PgSslMode},
};
use tokio::task::spawn_blocking;

/// How long a request waits for a connection before it is answered 503.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(3);
/// A connection that was used within this time is taken to be open. One that was idle for longer is asked first: a question more for each
/// request would be a good part of what a small one costs.
const TRUSTED_IDLE: Duration = Duration::from_secs(1);
/// Longest time that one statement may run.
const STATEMENT_TIMEOUT: &str = "30s";
/// Longest time that a statement waits for a lock.
const LOCK_TIMEOUT: &str = "10s";

/// A pool that connects at first use, so that a service starts while its database is away.
pub fn connect(database: &Database, tls: &Tls) -> PgPool {
    let options = PgConnectOptions::new()
        .host(&database.host)
        .port(database.port)
        .database(&database.name)
        .username(&database.user)
        .application_name("landbridge")
        .ssl_mode(PgSslMode::VerifyFull)
        .ssl_root_cert(&tls.ca)
        .ssl_client_cert(&tls.certificate)
        .ssl_client_key(&tls.key)
        .options([("statement_timeout", STATEMENT_TIMEOUT), ("lock_timeout", LOCK_TIMEOUT)]);
    let port = database.port;
    PgPoolOptions::new()
        .max_connections(database.connections_max)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .after_connect(move |_, _| {
            Box::pin(async move {
                // It fails only where the process ends.
                let _ = spawn_blocking(move || nodelay::set(port)).await;
                Ok(())
            })
        })
        .test_before_acquire(false)
        .before_acquire(|connection, used| {
            Box::pin(async move {
                if used.idle_for > TRUSTED_IDLE {
                    connection.ping().await?;
                }
                Ok(true)
            })
        })
        // A connection would keep for ever what its largest statement took.
        .after_release(|connection, _| {
            connection.shrink_buffers();
            Box::pin(ready(Ok(true)))
        })
        .connect_lazy_with(options)
}

/// Brings the database to the newest schema of `migrations`. Replicas that start together take turns.
pub async fn migrate(pool: &PgPool, migrations: &Migrator) -> anyhow::Result<()> {
    migrations.run(pool).await.context("database: migration failed")
}
