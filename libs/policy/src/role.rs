//! The roles that an assignment can give, and the predefined team.
//!
//! Names are those of Konnect's public API. What a role holds is written once, in `cedar/schema.cedarschema`: a role is
//! the action group `role/<key>`, and `cedar/roles.cedar` has one template for it. [`crate::system`] refuses to load
//! when this table, the groups and the templates differ.

use ids::{AssignmentId, TeamId};
use uuid::Uuid;

use crate::{Action, Scope, change::Assignment, change::Holder, decision::ResourceKind};

/// What a role is about: `entity_type_name` of an assignment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EntityType {
    /// Control planes and what is in them.
    ControlPlanes,
    /// The organization's teams, roles, users and system accounts.
    Identity,
}

impl EntityType {
    /// Every entity type.
    pub const ALL: [Self; 2] = [Self::ControlPlanes, Self::Identity];

    /// The name in the API.
    pub const fn name(self) -> &'static str {
        match self {
            Self::ControlPlanes => "Control Planes",
            Self::Identity => "Identity",
        }
    }
}

/// A role.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Everything on a control plane.
    ControlPlaneAdmin,
    /// Read a control plane and what is in it.
    ControlPlaneViewer,
    /// Create control planes.
    ControlPlaneCreator,
    /// Write services, routes, upstreams and plugins of a control plane.
    ControlPlaneDeployer,
    /// Manage the organization's identity configuration.
    IdentityAdmin,
}

impl Role {
    /// Every role.
    pub const ALL: [Self; 5] = [
        Self::ControlPlaneAdmin,
        Self::ControlPlaneViewer,
        Self::ControlPlaneCreator,
        Self::ControlPlaneDeployer,
        Self::IdentityAdmin,
    ];

    /// The role of an entity type by its name in the API, as in `("Control Planes", "Viewer")`.
    pub fn find(entity_type: EntityType, name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.entity_type() == entity_type && role.name() == name)
    }

    /// What the role is about.
    pub const fn entity_type(self) -> EntityType {
        match self {
            Self::IdentityAdmin => EntityType::Identity,
            _ => EntityType::ControlPlanes,
        }
    }

    /// The name in the API, unique within its entity type.
    pub const fn name(self) -> &'static str {
        match self {
            Self::ControlPlaneAdmin | Self::IdentityAdmin => "Admin",
            Self::ControlPlaneViewer => "Viewer",
            Self::ControlPlaneCreator => "Creator",
            Self::ControlPlaneDeployer => "Deployer",
        }
    }

    /// The stable name in storage and in Cedar: template `<key>`, action group `role/<key>`.
    pub const fn key(self) -> &'static str {
        match self {
            Self::ControlPlaneAdmin => "ControlPlane/Admin",
            Self::ControlPlaneViewer => "ControlPlane/Viewer",
            Self::ControlPlaneCreator => "ControlPlane/Creator",
            Self::ControlPlaneDeployer => "ControlPlane/Deployer",
            Self::IdentityAdmin => "Identity/Admin",
        }
    }

    /// The role with this [`key`](Self::key). `None` if there is none.
    pub fn from_key(key: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.key() == key)
    }

    /// One sentence for people.
    pub const fn description(self) -> &'static str {
        match self {
            Self::ControlPlaneAdmin => {
                "Everything on a control plane: its configuration, its nodes and itself."
            }
            Self::ControlPlaneViewer => "Read a control plane, its whole configuration and its nodes.",
            Self::ControlPlaneCreator => "Create control planes, and become Admin of those created.",
            Self::ControlPlaneDeployer => {
                "Read a control plane, its configuration without credentials, and its nodes; write services, routes \
                 and plugins. Not consumers or credentials, hence no whole configuration documents."
            }
            Self::IdentityAdmin => "Manage users, teams, roles and system accounts of the organization.",
        }
    }

    /// What the role allows on such a resource.
    pub fn actions(self, kind: ResourceKind) -> impl Iterator<Item = Action> {
        Action::ALL.into_iter().filter(move |action| crate::system::system().grants(self, *action, kind))
    }
}

/// A team that every organization has from the start. It cannot be renamed, deleted or given other roles; only its
/// members change. What it holds follows from this table, never from stored assignments, so that a release which adds
/// a role adds it here for every organization.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PredefinedTeam {
    /// May do everything in the organization.
    OrganizationAdmin,
}

impl PredefinedTeam {
    /// Every predefined team.
    pub const ALL: [Self; 1] = [Self::OrganizationAdmin];

    /// The name in the API.
    pub const fn name(self) -> &'static str {
        match self {
            Self::OrganizationAdmin => "Organization Admin",
        }
    }

    /// One sentence for people.
    pub const fn description(self) -> &'static str {
        match self {
            Self::OrganizationAdmin => "Everything in the organization.",
        }
    }

    /// What the team holds, as assignments. Their ids are derived from the team's and the role's (UUID version 5), so
    /// they are the same in every region and after every restart.
    pub fn assignments(self, team: TeamId) -> impl Iterator<Item = Assignment> {
        let held: &[(Role, Scope)] = match self {
            Self::OrganizationAdmin => &[
                (Role::ControlPlaneAdmin, Scope::AllRegions),
                (Role::ControlPlaneCreator, Scope::AllRegions),
                (Role::IdentityAdmin, Scope::Identity),
            ],
        };
        held.iter().map(move |(role, scope)| Assignment {
            id: AssignmentId::from_uuid(Uuid::new_v5(&team.uuid(), role.key().as_bytes())),
            holder: Holder::Team(team),
            role: *role,
            scope: scope.clone(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{EntityType, Role};

    #[test]
    fn roles_are_found_by_their_names() {
        for role in Role::ALL {
            assert_eq!(Role::find(role.entity_type(), role.name()), Some(role));
            assert_eq!(Role::from_key(role.key()), Some(role));
        }
        assert_eq!(Role::find(EntityType::Identity, "Creator"), None);
    }
}
