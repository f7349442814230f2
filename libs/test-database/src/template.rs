//! One database for each set of migrations, from which those of the tests are copied.

use sqlx::{AssertSqlSafe, Connection, PgConnection, migrate::Migrator, postgres::PgPoolOptions};

use crate::server::Server;

/// Stands in for Postgres' own `pg_postmaster_start_time()`, which a test could otherwise change only by a restart of the
/// server that all tests share. [`SEARCH_PATH`] has this schema before Postgres' own.
const SERVER_START: &str = "
    CREATE SCHEMA test_database;
    CREATE TABLE test_database.server (started_at timestamptz NOT NULL);
    INSERT INTO test_database.server VALUES (clock_timestamp());
    CREATE FUNCTION test_database.pg_postmaster_start_time() RETURNS timestamptz LANGUAGE sql STABLE
        RETURN (SELECT started_at FROM test_database.server);
";
/// Tables without a schema are made in `public`, as everywhere.
pub const SEARCH_PATH: &str = "public,test_database,pg_catalog";

/// The name of the template with these migrations. It is made if this server has none yet; other processes that want the
/// same one wait for it.
pub async fn ensure(
    server: &Server,
    admin: &mut PgConnection,
    migrations: &[&Migrator],
) -> anyhow::Result<String> {
    let name = name(migrations);
    if exists(admin, &name).await? {
        return Ok(name);
    }
    let mut transaction = admin.begin().await?;
    sqlx::query("SELECT pg_advisory_xact_lock(hashtext($1))").bind(&name).execute(&mut *transaction).await?;
    if !exists(&mut transaction, &name).await? {
        make(server, &name, migrations).await?;
    }
    transaction.commit().await?;
    Ok(name)
}

/// Two sets have the same name if every statement of their migrations is the same.
fn name(migrations: &[&Migrator]) -> String {
    let mut hasher = blake3::Hasher::new();
    hasher.update(SERVER_START.as_bytes());
    for set in migrations {
        hasher.update(b"set");
        for migration in set.iter() {
            hasher.update(&migration.version.to_be_bytes()).update(&migration.checksum);
        }
    }
    format!("template_{}", &hasher.finalize().to_hex()[..16])
}

async fn exists(connection: &mut PgConnection, name: &str) -> anyhow::Result<bool> {
    let found = sqlx::query("SELECT FROM pg_database WHERE datname = $1").bind(name);
    Ok(found.fetch_optional(connection).await?.is_some())
}

/// Makes it under another name first: what has the name is whole.
async fn make(server: &Server, name: &str, migrations: &[&Migrator]) -> anyhow::Result<()> {
    // `CREATE DATABASE` refuses to run in a transaction, and the caller's connection is in one.
    let mut admin = PgConnection::connect_with(&server.options("postgres")).await?;
    let unfinished = format!("{name}_unfinished");
    for statement in [
        format!("DROP DATABASE IF EXISTS {unfinished} WITH (FORCE)"),
        format!("CREATE DATABASE {unfinished} TEMPLATE template0"),
    ] {
        sqlx::raw_sql(AssertSqlSafe(statement)).execute(&mut admin).await?;
    }
    let pool = PgPoolOptions::new().max_connections(1).connect_lazy_with(server.options(&unfinished));
    sqlx::raw_sql(SERVER_START).execute(&pool).await?;
    for set in migrations {
        set.run(&pool).await?;
    }
    // Copies need not set their rows' hint bits again.
    sqlx::raw_sql("VACUUM FREEZE ANALYZE").execute(&pool).await?;
    pool.close().await;
    let rename = format!("ALTER DATABASE {unfinished} RENAME TO {name}");
    sqlx::raw_sql(AssertSqlSafe(rename)).execute(&mut admin).await?;
    admin.close().await?;
    Ok(())
}
