//! The database of one test.

use std::{
    collections::BTreeSet,
    path::Path,
    process,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use sqlx::{
    AssertSqlSafe, Connection, PgConnection, PgPool,
    migrate::Migrator,
    postgres::{PgConnectOptions, PgPoolOptions},
};

use crate::{
    server::Server,
    template::{self, SEARCH_PATH},
};

/// Connections of [`Database::pool`]. Enough for a writer, a group committer, a follower and a few requests.
const CONNECTIONS_MAX: u32 = 8;
/// Databases of earlier tests that may be left, of about 8 MB each. A run of a few tests removes none.
const LEFT_MAX: usize = 32;
/// Of those above, how many are removed before a new one is made. More than one, so that they become fewer.
const REMOVED_AT_ONCE: usize = 2;
/// Attempts to copy a database whose connections have just been closed; each lasts up to five seconds.
const COPY_ATTEMPTS: usize = 3;
/// Postgres' code for "somebody is connected to it".
const OBJECT_IN_USE: &str = "55006";

/// Names of databases of this process whose handle is dropped.
static DROPPED: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());

/// A database that only this test uses. It may be removed once this is dropped, with whoever is connected to it.
#[derive(Debug)]
pub struct Database {
    name: String,
    pool: PgPool,
}

impl Database {
    pub(crate) async fn create(migrations: &[&Migrator]) -> anyhow::Result<Self> {
        let server = Server::shared();
        let mut admin = PgConnection::connect_with(&server.options("postgres")).await?;
        let template = template::ensure(server, &mut admin, migrations).await?;
        remove_some(&mut admin).await?;
        let created = Self::copy_of(&template, &mut admin).await?;
        admin.close().await?;
        Ok(created)
    }

    /// A pool of a few connections. It connects at first use.
    pub fn pool(&self) -> PgPool {
        self.pool.clone()
    }

    /// How to connect to it, for a pool of one's own.
    pub fn options(&self) -> PgConnectOptions {
        options(&self.name)
    }

    /// Whether none of its connections does anything: see [`Server::is_at_rest`].
    pub fn is_at_rest(&self) -> bool {
        Server::shared().is_at_rest(&self.name)
    }

    /// Another database with everything that is in this one now. Connections to this one are closed for it, in the middle
    /// of what they do; pools open new ones by themselves.
    ///
    /// To the copy, its server has just been started, as is the case when an operator puts a backup in place: see
    /// [`Self::restart`].
    pub async fn copy(&self) -> Self {
        let mut admin = admin().await;
        allow_connections(&mut admin, &self.name, false).await.expect("refuse connections");
        close_connections(&mut admin, &self.name).await.expect("close connections");
        let copy = Self::copy_of(&self.name, &mut admin).await.expect("copy a test database");
        allow_connections(&mut admin, &self.name, true).await.expect("allow connections");
        copy.restart().await;
        copy
    }

    /// Replaces everything in this database by what is in `copy`, as an operator does who restores a backup: pools of
    /// this database find the copy's data from now on, and a server that was started anew.
    pub async fn restore(&self, copy: &Self) {
        let mut admin = admin().await;
        execute(&mut admin, format!("DROP DATABASE {} WITH (FORCE)", self.name)).await.expect("restore");
        close_connections(&mut admin, &copy.name).await.expect("close connections");
        copy_database(&mut admin, &copy.name, &self.name).await.expect("restore");
        self.restart().await;
    }

    /// Makes this database believe that its server was started anew just now: all connections are closed, and
    /// `pg_postmaster_start_time()` answers another time than before.
    pub async fn restart(&self) {
        let mut admin = admin().await;
        close_connections(&mut admin, &self.name).await.expect("close connections");
        let mut connection = PgConnection::connect_with(&self.options()).await.expect("connect");
        sqlx::raw_sql("UPDATE test_database.server SET started_at = clock_timestamp()")
            .execute(&mut connection)
            .await
            .expect("set the time of the server's start");
        connection.close().await.expect("close");
    }

    async fn copy_of(template: &str, admin: &mut PgConnection) -> anyhow::Result<Self> {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let name = format!("test_{}_{}", process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        // Left by a process that had the same id before.
        execute(admin, format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)")).await?;
        copy_database(admin, template, &name).await?;
        let pool = PgPoolOptions::new().max_connections(CONNECTIONS_MAX).connect_lazy_with(options(&name));
        Ok(Self { name, pool })
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        DROPPED.lock().unwrap_or_else(PoisonError::into_inner).insert(self.name.clone());
    }
}

fn options(name: &str) -> PgConnectOptions {
    Server::shared().options(name).options([("search_path", SEARCH_PATH)])
}

async fn admin() -> PgConnection {
    PgConnection::connect_with(&Server::shared().options("postgres")).await.expect("connect to the server")
}

async fn execute(admin: &mut PgConnection, statement: String) -> sqlx::Result<()> {
    sqlx::raw_sql(AssertSqlSafe(statement)).execute(admin).await?;
    Ok(())
}

/// Whoever polls a database would else connect again before it is copied.
async fn allow_connections(admin: &mut PgConnection, name: &str, allowed: bool) -> sqlx::Result<()> {
    execute(admin, format!("ALTER DATABASE {name} ALLOW_CONNECTIONS {allowed}")).await
}

async fn close_connections(admin: &mut PgConnection, name: &str) -> sqlx::Result<()> {
    let close = "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = $1";
    sqlx::query(close).bind(name).execute(admin).await?;
    Ok(())
}

/// Postgres copies only a database to which nobody is connected. A pool may connect again after its connections were closed.
async fn copy_database(admin: &mut PgConnection, from: &str, to: &str) -> sqlx::Result<()> {
    for _ in 1..COPY_ATTEMPTS {
        match execute(admin, format!("CREATE DATABASE {to} TEMPLATE {from}")).await {
            Err(sqlx::Error::Database(error)) if error.code().as_deref() == Some(OBJECT_IN_USE) => {
                close_connections(admin, from).await?;
            }
            outcome => return outcome,
        }
    }
    execute(admin, format!("CREATE DATABASE {to} TEMPLATE {from}")).await
}

/// Removes a few databases that no test uses any more.
async fn remove_some(admin: &mut PgConnection) -> anyhow::Result<()> {
    let names: Vec<(String,)> =
        sqlx::query_as("SELECT datname FROM pg_database WHERE datname LIKE 'test\\_%'")
            .fetch_all(&mut *admin)
            .await?;
    let unused: Vec<String> = names.into_iter().map(|(name,)| name).filter(|name| !is_used(name)).collect();
    let too_many = unused.len().saturating_sub(LEFT_MAX).min(REMOVED_AT_ONCE);
    for name in unused.into_iter().take(too_many) {
        // Another process may remove it at the same time.
        match execute(admin, format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)")).await {
            Ok(()) | Err(sqlx::Error::Database(_)) => {}
            Err(error) => return Err(error.into()),
        }
        DROPPED.lock().unwrap_or_else(PoisonError::into_inner).remove(&name);
    }
    Ok(())
}

/// Whether a test may still use the database of this name, `test_<process>_<number>`.
fn is_used(name: &str) -> bool {
    let Some(process) = name.split('_').nth(1).and_then(|id| id.parse::<u32>().ok()) else { return true };
    if process == process::id() {
        return !DROPPED.lock().unwrap_or_else(PoisonError::into_inner).contains(name);
    }
    Path::new(&format!("/proc/{process}")).exists()
}
