//! What handlers share: one struct per noun, with what that noun needs.

use axum::extract::FromRef;

use crate::{control_planes::ControlPlanes, enrolment::Enrolment, entities::Entities, nodes::Nodes};

/// The state of the API. Handlers take the nouns that they need.
#[derive(Clone, FromRef)]
pub(crate) struct App {
    pub control_planes: ControlPlanes,
    pub entities: Entities,
    pub nodes: Nodes,
    pub enrolment: Enrolment,
}
