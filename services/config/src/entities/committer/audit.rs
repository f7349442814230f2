//! Audit entries of a batch, written with it in one statement.

use ids::ControlPlaneId;
use mutation::audit::Entry;

use super::Request;
use crate::entities::plan::{Command, Plan};

/// The audit entry of a planned request.
pub fn entry(request: &Request, id: ControlPlaneId, plan: &Plan) -> Entry {
    let (kind, verb) = match &request.command {
        Command::Create { entity, .. } => (entity.kind().name(), "create"),
        Command::Upsert { entity, .. } => (entity.kind().name(), "put"),
        Command::Delete { kind, .. } => (kind.name(), "delete"),
        Command::Apply { .. } => ("configuration", "apply"),
    };
    Entry {
        organization: request.session.organization,
        actor: Some(request.session.principal),
        session: Some(request.session.id),
        action: format!("{kind}.{verb}").into(),
        target: match plan.subject {
            Some((_, entity)) => format!("{id}/{entity}"),
            None => id.to_string(),
        },
    }
}
