//! The databases of earlier releases, as `migrations/dumps` holds them.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use serde_json::Value;
use sqlx::{AssertSqlSafe, Connection, PgConnection, migrate::Migrator};

use crate::{Database, create_empty};

/// Below the workspace.
const FOLDER: &str = "migrations/dumps";

/// One database of an earlier release.
#[derive(Debug)]
pub struct Dump {
    /// As in `0.1.0`.
    pub release: String,
    /// As in `us`.
    pub region: String,
    /// The content of the release's `known.json`.
    pub known: Value,
    sql: PathBuf,
}

/// Every database that earlier releases of `service` left, by release and region.
pub fn dumps(service: &str) -> Vec<Dump> {
    let found = read_all(service).expect("read migrations/dumps");
    assert!(!found.is_empty(), "{FOLDER} has no database of {service}");
    found
}

impl Dump {
    /// A database with what is in this one, after today's sets of `migrations` have been run on it, in this order.
    pub async fn migrated(&self, migrations: &[&Migrator]) -> Database {
        let database = create_empty().await;
        let sql = fs::read_to_string(&self.sql).expect("read the dump");
        let name = self.sql.display();
        // A connection of its own: a dump changes settings of the session.
        let mut connection = PgConnection::connect_with(&database.options()).await.expect("connect");
        let loaded = sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut connection).await;
        loaded.unwrap_or_else(|error| panic!("{name} cannot be loaded: {error}"));
        connection.close().await.expect("close");
        for set in migrations {
            let migrated = set.run(&database.pool()).await;
            migrated.unwrap_or_else(|error| panic!("{name} cannot be migrated: {error}"));
        }
        database
    }
}

fn read_all(service: &str) -> anyhow::Result<Vec<Dump>> {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folder = manifest.ancestors().nth(2).context("this crate lies in libs/")?.join(FOLDER);
    let mut dumps = Vec::new();
    for release in fs::read_dir(&folder)? {
        let release = release?.path();
        if !release.is_dir() {
            continue;
        }
        let known: Value = serde_json::from_str(&fs::read_to_string(release.join("known.json"))?)?;
        for file in fs::read_dir(&release)? {
            let sql = file?.path();
            let name = sql.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            let region =
                name.strip_suffix(".sql").and_then(|name| name.strip_prefix(service)?.strip_prefix('.'));
            if let Some(region) = region {
                let release = release.file_name().unwrap_or_default().to_string_lossy().into_owned();
                dumps.push(Dump { release, region: region.to_owned(), known: known.clone(), sql });
            }
        }
    }
    dumps.sort_by(|one, other| (&one.release, &one.region).cmp(&(&other.release, &other.region)));
    Ok(dumps)
}
