//! What the audit log says of a planned write.

use ids::ControlPlaneId;
use mutation::audit::Entry;

use super::{Actor, Request};
use crate::entities::plan::{Command, Plan};

/// The audit entry of a command of `request`, which comes to `plan`, in the control plane `id`.
pub fn entry(request: &Request, command: &Command, id: ControlPlaneId, plan: &Plan) -> Entry {
    let (kind, verb) = match command {
        Command::Create { entity, .. } => (entity.kind().name(), "create"),
        Command::Upsert { entity, .. } => (entity.kind().name(), "put"),
        Command::Delete { kind, .. } => (kind.name(), "delete"),
    };
    let (organization, person) = match &request.actor {
        Actor::Person(caller) => (caller.organization(), Some(&caller.session)),
        Actor::Service(organization) => (*organization, None),
    };
    Entry {
        organization,
        actor: person.map(|session| session.principal),
        session: person.map(|session| session.id),
        action: format!("{kind}.{verb}").into(),
        target: match plan.subject {
            Some(subject) => format!("{id}/{}", subject.id),
            None => id.to_string(),
        },
    }
}
