//! A real Postgres database for one test, made in milliseconds.
//!
//! ```ignore
//! let database = test_database::create(&MIGRATIONS).await;
//! let pool = database.pool();
//! ```
//!
//! * There is one Postgres server for all tests that run at a time, whether `cargo test` runs them in a few processes or
//!   `cargo nextest` runs each in its own. The first one starts it; it ends seconds after the last ([`server`]).
//! * Each set of migrations is run once per server. A test gets a copy of the result ([`template`]).
//! * A database is removed some time after its [`Database`] was dropped or its process has ended.
//! * The server is made for tests: it loses everything when it ends, and whoever runs the tests may do anything in it.
//!
//! A dev-dependency only. Everything here panics instead of returning errors: a test can do nothing about them.

#![warn(missing_docs)]

mod database;
mod dump;
mod server;
mod template;

pub use database::Database;
pub use dump::{Dump, dumps};
use sqlx::migrate::Migrator;

/// A new database on which `migrations` have been run. Nobody else uses it.
pub async fn create(migrations: &Migrator) -> Database {
    create_with(&[migrations]).await
}

/// A new database on which several sets of migrations have been run, in this order. Each set needs a migrations table of
/// its own (`Migrator::dangerous_set_table_name`).
pub async fn create_with(migrations: &[&Migrator]) -> Database {
    Database::create(migrations).await.expect("test database")
}

/// A new database without any table, into which a test loads something itself.
pub async fn create_empty() -> Database {
    create_with(&[]).await
}
