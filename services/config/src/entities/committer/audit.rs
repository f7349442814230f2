//! Audit entries of a batch, written with it in one statement.

use ids::{ControlPlaneId, kinds};
use postgres::{Error, SqlId};
use sqlx::PgConnection;

use super::Request;
use crate::entities::plan::{Command, Plan};

/// Entries column by column, as `unnest` takes them.
#[derive(Default)]
pub struct Audit {
    organizations: Vec<SqlId<kinds::Organization>>,
    actors: Vec<SqlId<kinds::Principal>>,
    sessions: Vec<SqlId<kinds::Token>>,
    actions: Vec<String>,
    targets: Vec<String>,
}

impl Audit {
    pub fn push(&mut self, request: &Request, id: ControlPlaneId, plan: &Plan) {
        let (kind, verb) = match &request.command {
            Command::Create { entity, .. } => (entity.kind().name(), "create"),
            Command::Upsert { entity, .. } => (entity.kind().name(), "put"),
            Command::Delete { kind, .. } => (kind.name(), "delete"),
            Command::Apply { .. } => ("configuration", "apply"),
        };
        self.organizations.push(SqlId(request.session.organization));
        self.actors.push(SqlId(request.session.principal));
        self.sessions.push(SqlId(request.session.id));
        self.actions.push(format!("{kind}.{verb}"));
        self.targets.push(match plan.subject {
            Some((_, entity)) => format!("{id}/{entity}"),
            None => id.to_string(),
        });
    }

    pub async fn write(self, connection: &mut PgConnection) -> Result<(), Error> {
        sqlx::query(
            "INSERT INTO audit (organization_id, actor_id, session_id, action, target)
             SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::text[], $5::text[])",
        )
        .bind(self.organizations)
        .bind(self.actors)
        .bind(self.sessions)
        .bind(self.actions)
        .bind(self.targets)
        .execute(connection)
        .await?;
        Ok(())
    }
}
