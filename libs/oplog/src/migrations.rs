//! The log's own migrations, after those of the service whose database it is in.

use std::sync::LazyLock;

use sqlx::{PgPool, migrate::Migrator};

/// Apart from the service's, so that both can go on without knowing of each other.
const TABLE: &str = "_oplog_migrations";

/// The log's own migrations. They need those of the service, which made the first tables of the log.
pub static MIGRATIONS: LazyLock<Migrator> = LazyLock::new(|| {
    let mut migrator = sqlx::migrate!("../../migrations/oplog");
    migrator.dangerous_set_table_name(TABLE);
    migrator
});

/// Brings the tables of the log to the newest schema. The service's own migrations, which made them, have to have run.
pub async fn migrate(pool: &PgPool) -> anyhow::Result<()> {
    postgres::migrate(pool, &MIGRATIONS).await
}
