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
    let action = format!("{kind}.{verb}");
    let target = match plan.subject {
        Some(subject) => format!("{id}/{}", subject.id),
        None => id.to_string(),
    };
    match &request.actor {
        Actor::Person(caller) => Entry::change(caller.organization(), action, target)
            .by((&caller.session).into(), caller.requested().clone()),
        Actor::Service(organization) => Entry::change(*organization, action, target),
    }
}
