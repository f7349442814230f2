//! A service that keeps things, for these tests: its operations, its rows, and the log of one of its regions.

use clock::Clock;
use ids::{OrganizationId, ServiceName};
use oplog::{Apply, ApplyError, Author, Committer, Log, LogTx, NotWritten, Operation, Replica};
use postgres::{Error, PgPool, SqlId};
use replication::{Digest, Entry, Origin, Position, Signer};
use serde::{Deserialize, Serialize};
use sqlx::{PgConnection, migrate::Migrator};
use test_database::Database;
use time::{OffsetDateTime, macros::datetime};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Makes the log's tables. Those of the service that they belong to are there too, and stay empty.
static SERVICE: Migrator = sqlx::migrate!("../../migrations/authz");

const TABLES: &str = "
    CREATE TABLE thing (name text NOT NULL, organization_id uuid NOT NULL, PRIMARY KEY (organization_id, name));
    CREATE TABLE removed_thing (name text NOT NULL, organization_id uuid NOT NULL, PRIMARY KEY (organization_id, name))";

/// When everything happens.
pub const NOW: OffsetDateTime = datetime!(2030-01-02 03:04:05.000006 UTC);

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", content = "body")]
pub enum Thing {
    #[serde(rename = "thing.put")]
    Put { name: String },
    /// For ever.
    #[serde(rename = "thing.removed")]
    Removed { name: String },
}

pub fn put(name: &str) -> Thing {
    Thing::Put { name: name.to_owned() }
}

pub fn removed(name: &str) -> Thing {
    Thing::Removed { name: name.to_owned() }
}

impl Operation for Thing {
    fn is_revocation(&self) -> bool {
        matches!(self, Self::Removed { .. })
    }
}

pub struct Things;

impl Apply for Things {
    type Operation = Thing;
    /// What is there now, or is no longer.
    type Effects = Vec<Thing>;

    async fn apply(
        &self,
        connection: &mut PgConnection,
        entry: &Entry,
        thing: Thing,
    ) -> Result<Vec<Thing>, ApplyError> {
        let (statement, name) = match &thing {
            Thing::Put { name } => (
                "INSERT INTO thing SELECT $1, $2 WHERE NOT EXISTS (
                     SELECT FROM removed_thing WHERE name = $1 AND organization_id = $2)
                 ON CONFLICT DO NOTHING",
                name,
            ),
            Thing::Removed { name } => (
                "WITH gone AS (DELETE FROM thing WHERE name = $1 AND organization_id = $2)
                 INSERT INTO removed_thing VALUES ($1, $2) ON CONFLICT DO NOTHING",
                name,
            ),
        };
        let changed =
            sqlx::query(statement).bind(name).bind(SqlId(entry.organization)).execute(connection).await?;
        Ok(if changed.rows_affected() > 0 { vec![thing] } else { Vec::new() })
    }

    async fn deny(
        &self,
        connection: &mut PgConnection,
        entry: &Entry,
        thing: Thing,
    ) -> Result<Vec<Thing>, ApplyError> {
        if let Thing::Removed { name } = &thing {
            let statement = "DELETE FROM thing WHERE name = $1 AND organization_id = $2";
            sqlx::query(statement).bind(name).bind(SqlId(entry.organization)).execute(connection).await?;
        }
        Ok(vec![thing])
    }

    async fn clear(&self, connection: &mut PgConnection, organization: OrganizationId) -> Result<(), Error> {
        for statement in [
            "DELETE FROM thing WHERE organization_id = $1",
            "DELETE FROM removed_thing WHERE organization_id = $1",
        ] {
            sqlx::query(statement).bind(SqlId(organization)).execute(&mut *connection).await?;
        }
        Ok(())
    }

    async fn digest(
        &self,
        connection: &mut PgConnection,
        organization: OrganizationId,
    ) -> Result<[u8; 32], Error> {
        let rows: Vec<(String,)> = sqlx::query_as(
            "SELECT 'there ' || name FROM thing WHERE organization_id = $1
             UNION ALL SELECT 'gone ' || name FROM removed_thing WHERE organization_id = $1",
        )
        .bind(SqlId(organization))
        .fetch_all(connection)
        .await?;
        let mut digest = Digest::default();
        rows.iter().for_each(|(row,)| digest.add(row.as_bytes()));
        Ok(digest.to_bytes())
    }
}

/// The log of one region, with its committer running.
pub struct Region {
    pub database: Database,
    pub log: Log<Things>,
    pub drain: CancellationToken,
    committing: JoinHandle<anyhow::Result<()>>,
}

impl Region {
    /// A region with an empty database that takes writes.
    pub async fn start(name: &str) -> Self {
        let database = test_database::create_with(&[&SERVICE, &oplog::MIGRATIONS]).await;
        sqlx::raw_sql(TABLES).execute(&database.pool()).await.expect("tables");
        let region = Self::on(database, name);
        region.replica().confirm().await.expect("confirmed");
        region
    }

    /// A replica of the region's service on a database that is there.
    pub fn on(database: Database, name: &str) -> Self {
        let (log, committer) = open(database.pool(), name);
        let drain = CancellationToken::new();
        let committing = tokio::spawn(committer.run(drain.clone()));
        Self { database, log, drain, committing }
    }

    pub fn replica(&self) -> &Replica {
        self.log.replica()
    }

    /// Writes operations of `organization`; answers the position of the last.
    pub async fn write(&self, organization: OrganizationId, things: Vec<Thing>) -> Position {
        write(&self.log, organization, things).await.expect("written")
    }

    /// The log written here, whole.
    pub async fn entries(&self) -> Vec<Entry> {
        self.replica().entries(self.log.origin(), 0, 1000).await.expect("entries")
    }

    /// Names of the things of `organization`, in order.
    pub async fn names(&self, organization: OrganizationId) -> Vec<String> {
        let statement = "SELECT name FROM thing WHERE organization_id = $1 ORDER BY name";
        let rows: Vec<(String,)> = sqlx::query_as(statement)
            .bind(SqlId(organization))
            .fetch_all(&self.database.pool())
            .await
            .expect("names");
        rows.into_iter().map(|(name,)| name).collect()
    }

    /// Stops the committer, which serves those that wait.
    pub async fn stop(self) -> Database {
        self.drain.cancel();
        self.committing.await.expect("ended").expect("in good order");
        self.database
    }
}

pub fn open(db: PgPool, region: &str) -> (Log<Things>, Committer<Things>) {
    let origin = Origin::new(ServiceName::Authz, &region.parse().expect("a region"));
    Log::open(db, origin, Things, Clock::manual(NOW), signer())
}

pub async fn write(
    log: &Log<Things>,
    organization: OrganizationId,
    things: Vec<Thing>,
) -> anyhow::Result<Position> {
    let written = log.write(Author::operator(), move |tx| {
        Box::pin(async move {
            append(tx, organization, things).await?;
            anyhow::Ok(())
        })
    });
    written.await?.position.ok_or_else(|| anyhow::anyhow!("nothing was appended"))
}

pub async fn append(
    tx: &mut LogTx<Things>,
    organization: OrganizationId,
    things: Vec<Thing>,
) -> Result<(), ApplyError> {
    for thing in things {
        tx.append(organization, thing).await?;
    }
    Ok(())
}

/// Why a write of [`write`] has no effect.
pub fn reason(error: &anyhow::Error) -> &NotWritten {
    error.downcast_ref().expect("the log refused it")
}

/// The key of every log of these tests.
pub fn signer() -> Signer {
    Signer::from_seed(&[7; 32]).expect("a key")
}
