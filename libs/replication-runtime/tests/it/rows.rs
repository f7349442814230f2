//! The rows of the test's service: ids of things, and of those that were taken away again. Equal whatever the order.

use std::collections::BTreeSet;

use ids::OrganizationId;
use oplog::{Apply, ApplyError, Operation};
use postgres::{Error, SqlId};
use replication::Entry;
use serde::{Deserialize, Serialize};
use sqlx::PgConnection;
use uuid::Uuid;

pub const TABLES: &str = "
    CREATE TABLE IF NOT EXISTS thing (id uuid PRIMARY KEY, organization_id uuid NOT NULL);
    CREATE TABLE IF NOT EXISTS thing_removed (id uuid PRIMARY KEY, organization_id uuid NOT NULL)";

#[derive(Serialize, Deserialize)]
#[serde(tag = "kind", content = "body")]
pub enum Thing {
    #[serde(rename = "thing.put")]
    Put(Uuid),
    #[serde(rename = "thing.removed")]
    Removed(Uuid),
}

impl Operation for Thing {
    fn is_revocation(&self) -> bool {
        matches!(self, Self::Removed(_))
    }
}

pub struct Rows;

impl Apply for Rows {
    type Operation = Thing;
    type Effects = Vec<Uuid>;

    async fn apply(
        &self,
        connection: &mut PgConnection,
        entry: &Entry,
        thing: Thing,
    ) -> Result<Vec<Uuid>, ApplyError> {
        let (statement, id) = match thing {
            Thing::Put(id) => ("INSERT INTO thing VALUES ($1, $2) ON CONFLICT DO NOTHING", id),
            Thing::Removed(id) => ("INSERT INTO thing_removed VALUES ($1, $2) ON CONFLICT DO NOTHING", id),
        };
        sqlx::query(statement).bind(id).bind(SqlId(entry.organization)).execute(connection).await?;
        Ok(vec![id])
    }

    async fn deny(
        &self,
        connection: &mut PgConnection,
        entry: &Entry,
        thing: Thing,
    ) -> Result<Vec<Uuid>, ApplyError> {
        self.apply(connection, entry, thing).await
    }

    async fn clear(&self, connection: &mut PgConnection, organization: OrganizationId) -> Result<(), Error> {
        for statement in [
            "DELETE FROM thing WHERE organization_id = $1",
            "DELETE FROM thing_removed WHERE organization_id = $1",
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
        let mut hasher = blake3::Hasher::new();
        for statement in [
            "SELECT id FROM thing WHERE organization_id = $1",
            "SELECT id FROM thing_removed WHERE organization_id = $1",
        ] {
            let rows: Vec<(Uuid,)> =
                sqlx::query_as(statement).bind(SqlId(organization)).fetch_all(&mut *connection).await?;
            for id in rows.into_iter().map(|(id,)| id).collect::<BTreeSet<_>>() {
                hasher.update(id.as_bytes());
            }
            hasher.update(b"/");
        }
        Ok(hasher.finalize().into())
    }
}
