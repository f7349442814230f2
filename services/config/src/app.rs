//! What handlers share: one struct per noun, with what that noun needs.

use axum::extract::FromRef;

use crate::{
    acme::Acme, audit_logs::AuditLogs, audit_webhooks::Webhooks, control_planes::ControlPlanes,
    documents::Documents, enrolment::Enrolment, entities::Entities, imports::Imports, nodes::Nodes,
    pins::Pins,
};

/// The state of the API. Handlers take the nouns that they need.
#[derive(Clone, FromRef)]
pub(crate) struct App {
    /// Control planes: what exists, and whether the caller may touch it.
    pub control_planes: ControlPlanes,
    /// The orders of certificates.
    pub acme: Acme,
    /// The gateway entities of control planes.
    pub entities: Entities,
    /// Their configurations as documents.
    pub documents: Documents,
    /// The writes of many entities.
    pub imports: Imports,
    /// The enrolled gateways.
    pub nodes: Nodes,
    /// Certificates of customers' own, by which gateways are nodes.
    pub pins: Pins,
    /// What makes a gateway a node.
    pub enrolment: Enrolment,
    /// The audit log of the region.
    pub audit_logs: AuditLogs,
    /// Where it is delivered.
    pub webhooks: Webhooks,
}
