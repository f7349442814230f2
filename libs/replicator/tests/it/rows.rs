//! The rows of the test's service: ids of operations, and of those that were taken away again. Equal whatever the order.

use std::collections::BTreeSet;

use futures::future::BoxFuture;
use ids::OrganizationId;
use postgres::{Apply, ApplyError, Effects, Error, SqlId};
use replication::Operation;
use sqlx::PgConnection;
use uuid::Uuid;

pub const TABLES: &str = "
    CREATE TABLE IF NOT EXISTS thing (id uuid PRIMARY KEY, organization_id uuid NOT NULL);
    CREATE TABLE IF NOT EXISTS thing_removed (id uuid PRIMARY KEY, organization_id uuid NOT NULL)";

pub struct Rows;

async fn insert(
    connection: &mut PgConnection,
    operation: &Operation,
    id: Uuid,
) -> Result<Effects, ApplyError> {
    let statement = match operation.kind.as_str() {
        "thing.put" => "INSERT INTO thing VALUES ($1, $2) ON CONFLICT DO NOTHING",
        "thing.removed" => "INSERT INTO thing_removed VALUES ($1, $2) ON CONFLICT DO NOTHING",
        kind => return Err(ApplyError::Unreadable(kind.to_owned())),
    };
    sqlx::query(statement).bind(id).bind(SqlId(operation.organization)).execute(connection).await?;
    Ok("[]".to_owned())
}

fn target(operation: &Operation) -> Result<Uuid, ApplyError> {
    serde_json::from_str(&operation.body).map_err(|error| ApplyError::Unreadable(error.to_string()))
}

impl Apply for Rows {
    fn apply<'a>(
        &'a self,
        connection: &'a mut PgConnection,
        operation: &'a Operation,
    ) -> BoxFuture<'a, Result<Effects, ApplyError>> {
        Box::pin(async move { insert(connection, operation, target(operation)?).await })
    }

    fn revokes(&self, operation: &Operation) -> bool {
        operation.kind == "thing.removed"
    }

    fn deny<'a>(
        &'a self,
        connection: &'a mut PgConnection,
        operation: &'a Operation,
    ) -> BoxFuture<'a, Result<Effects, ApplyError>> {
        self.apply(connection, operation)
    }

    fn clear<'a>(
        &'a self,
        connection: &'a mut PgConnection,
        organization: OrganizationId,
    ) -> BoxFuture<'a, Result<(), ApplyError>> {
        Box::pin(async move {
            for statement in [
                "DELETE FROM thing WHERE organization_id = $1",
                "DELETE FROM thing_removed WHERE organization_id = $1",
            ] {
                sqlx::query(statement).bind(SqlId(organization)).execute(&mut *connection).await?;
            }
            Ok(())
        })
    }

    fn digest<'a>(
        &'a self,
        connection: &'a mut PgConnection,
        organization: OrganizationId,
    ) -> BoxFuture<'a, Result<[u8; 32], Error>> {
        Box::pin(async move {
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
        })
    }
}
