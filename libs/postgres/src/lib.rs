//! Postgres as every service uses it: a pool over mTLS, migrations, and the write transaction that carries what no
//! write may forget: its idempotency key, its audit entry and, where it is replicated, its operations in the log.

mod error;
mod every;
mod id;
pub mod idempotency;
pub mod log;
mod probe;
pub mod seal;
mod write;

use std::time::Duration;

use anyhow::Context as _;
pub use error::{Error, on_constraint};
pub use every::every;
pub use id::SqlId;
pub use log::{
    Actor, Apply, ApplyError, Committer, Effects, Held, Lease, Log, RELOAD, ReceiveError, Turn, moment,
};
pub use probe::probe;
use settings::sections::{Database, Tls};
pub use sqlx::PgPool;
use sqlx::{
    migrate::Migrator,
    postgres::{PgConnectOptions, PgPoolOptions, PgSslMode},
};
pub use write::Write;

/// How long a request waits for a connection before it is answered 503.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(3);
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
    PgPoolOptions::new()
        .max_connections(database.connections_max)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .connect_lazy_with(options)
}

/// Brings the database to the newest schema. Replicas that start together take turns.
pub async fn migrate(pool: &PgPool, migrations: &Migrator) -> anyhow::Result<()> {
    migrations.run(pool).await.context("database: migration failed")
}
