//! Where an assignment holds, and the shape of an assignment in the API.
//!
//! Scopes form a tree: one control plane, all of a region, all regions. Identity stands apart.

use ids::{ControlPlaneId, Region};
use serde::{Deserialize, Serialize};

use crate::role::{EntityType, Role};

/// The word for "every" in `entity_id` and `entity_region`.
pub const EVERY: &str = "*";

/// Where a role holds. The index scans in this order: [`Scope::Identity`] first, and within a region by control plane.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scope {
    /// The organization's identity configuration.
    Identity,
    /// Every control plane of the organization.
    AllRegions,
    /// Every control plane of a region, also those yet to come.
    Region(Region),
    /// One control plane. The region is part of the name: an assignment that states another region grants nothing.
    ControlPlane {
        /// Where it lies.
        region: Region,
        /// Which one.
        id: ControlPlaneId,
    },
}

/// `{role_name, entity_id, entity_type_name, entity_region}`: a role and where it holds, in the API's words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct AssignedRole {
    /// As in `Viewer`.
    pub role_name: String,
    /// A UUID, or `*`.
    pub entity_id: String,
    /// As in `Control Planes`.
    pub entity_type_name: String,
    /// A region, or `*`.
    pub entity_region: String,
}

/// Why an [`AssignedRole`] names no role and scope.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum InvalidAssignment {
    /// `entity_type_name` is unknown.
    #[error("no entity type is named {0:?}")]
    UnknownEntityType(String),
    /// The entity type has no role of that name.
    #[error("{entity_type} have no role named {role:?}")]
    UnknownRole {
        /// Its name in the API.
        entity_type: &'static str,
        /// The name that was given.
        role: String,
    },
    /// `entity_id` is neither a UUID nor `*`.
    #[error("entity_id is the id of one control plane or \"*\"")]
    EntityId,
    /// The role cannot be given on a single control plane.
    #[error("{0} is a role on \"*\", not on one entity")]
    NotOnOneEntity(&'static str),
    /// `entity_region` is neither a region nor `*`.
    #[error("entity_region is a region or \"*\"")]
    EntityRegion,
    /// No region of the deployment is called so.
    #[error("no region is called {0}")]
    UnknownRegion(Region),
    /// A single control plane with `*` as its region.
    #[error("one control plane lies in one region: name it instead of \"*\"")]
    RegionOfOneEntity,
    /// Identity with a region.
    #[error("Identity is not of one region: entity_region is \"*\"")]
    RegionOfIdentity,
}

impl InvalidAssignment {
    /// The field of the [`AssignedRole`] that is wrong.
    pub const fn field(&self) -> &'static str {
        match self {
            Self::UnknownEntityType(_) => "entity_type_name",
            Self::UnknownRole { .. } => "role_name",
            Self::EntityId | Self::NotOnOneEntity(_) => "entity_id",
            Self::EntityRegion
            | Self::UnknownRegion(_)
            | Self::RegionOfOneEntity
            | Self::RegionOfIdentity => "entity_region",
        }
    }
}

impl AssignedRole {
    /// The role on `scope`, in the API's words.
    pub fn new(role: Role, scope: &Scope) -> Self {
        let (entity_id, entity_region) = match scope {
            Scope::ControlPlane { region, id } => (id.to_string(), region.to_string()),
            Scope::Region(region) => (EVERY.to_owned(), region.to_string()),
            Scope::AllRegions | Scope::Identity => (EVERY.to_owned(), EVERY.to_owned()),
        };
        Self {
            role_name: role.name().to_owned(),
            entity_id,
            entity_type_name: role.entity_type().name().to_owned(),
            entity_region,
        }
    }

    /// The role and scope meant. That the control plane exists and that the region is one of the deployment is for the
    /// caller to know.
    pub fn parse(&self) -> Result<(Role, Scope), InvalidAssignment> {
        let entity_type = EntityType::ALL
            .into_iter()
            .find(|entity_type| entity_type.name() == self.entity_type_name)
            .ok_or_else(|| InvalidAssignment::UnknownEntityType(self.entity_type_name.clone()))?;
        let role = Role::find(entity_type, &self.role_name).ok_or_else(|| {
            InvalidAssignment::UnknownRole { entity_type: entity_type.name(), role: self.role_name.clone() }
        })?;
        let scope = match entity_type {
            EntityType::ControlPlanes => self.control_planes()?,
            EntityType::Identity => self.identity()?,
        };
        if role == Role::ControlPlaneCreator && matches!(scope, Scope::ControlPlane { .. }) {
            return Err(InvalidAssignment::NotOnOneEntity(role.name()));
        }
        Ok((role, scope))
    }

    fn control_planes(&self) -> Result<Scope, InvalidAssignment> {
        let region = if self.entity_region == EVERY {
            None
        } else {
            Some(self.entity_region.parse::<Region>().map_err(|_| InvalidAssignment::EntityRegion)?)
        };
        let id = if self.entity_id == EVERY {
            None
        } else {
            Some(self.entity_id.parse::<ControlPlaneId>().map_err(|_| InvalidAssignment::EntityId)?)
        };
        match (id, region) {
            (Some(id), Some(region)) => Ok(Scope::ControlPlane { region, id }),
            (Some(_), None) => Err(InvalidAssignment::RegionOfOneEntity),
            (None, Some(region)) => Ok(Scope::Region(region)),
            (None, None) => Ok(Scope::AllRegions),
        }
    }

    fn identity(&self) -> Result<Scope, InvalidAssignment> {
        if self.entity_id != EVERY {
            return Err(InvalidAssignment::NotOnOneEntity("Identity Admin"));
        }
        if self.entity_region != EVERY {
            return Err(InvalidAssignment::RegionOfIdentity);
        }
        Ok(Scope::Identity)
    }
}

impl Scope {
    /// The scopes whose roles hold here: this one, then each wider one.
    pub fn and_wider(&self) -> Vec<Self> {
        match self {
            Self::ControlPlane { region, .. } => {
                vec![self.clone(), Self::Region(region.clone()), Self::AllRegions]
            }
            Self::Region(_) => vec![self.clone(), Self::AllRegions],
            Self::AllRegions | Self::Identity => vec![self.clone()],
        }
    }
}

#[cfg(test)]
mod tests {
    use ids::ControlPlaneId;

    use super::{AssignedRole, InvalidAssignment, Scope};
    use crate::Role;

    fn assigned(role: &str, id: &str, entity_type: &str, region: &str) -> AssignedRole {
        AssignedRole {
            role_name: role.into(),
            entity_id: id.into(),
            entity_type_name: entity_type.into(),
            entity_region: region.into(),
        }
    }

    #[test]
    fn every_scope_reads_back() {
        let region: ids::Region = "eu".parse().expect("valid");
        let scopes = [
            Scope::ControlPlane { region: region.clone(), id: ControlPlaneId::from_uuid(uuid::Uuid::nil()) },
            Scope::Region(region),
            Scope::AllRegions,
        ];
        for scope in scopes {
            let written = AssignedRole::new(Role::ControlPlaneViewer, &scope);
            assert_eq!(written.parse(), Ok((Role::ControlPlaneViewer, scope)));
        }
        let written = AssignedRole::new(Role::IdentityAdmin, &Scope::Identity);
        assert_eq!(written.parse(), Ok((Role::IdentityAdmin, Scope::Identity)));
    }

    #[test]
    fn refusals_name_the_field() {
        let id = "00000000-0000-0000-0000-000000000000";
        let cases = [
            (assigned("Admin", "*", "Portals", "*"), "entity_type_name"),
            (assigned("Owner", "*", "Control Planes", "*"), "role_name"),
            (assigned("Viewer", "x", "Control Planes", "eu"), "entity_id"),
            (assigned("Viewer", id, "Control Planes", "*"), "entity_region"),
            (assigned("Viewer", "*", "Control Planes", "EU"), "entity_region"),
            (assigned("Creator", id, "Control Planes", "eu"), "entity_id"),
            (assigned("Admin", id, "Identity", "*"), "entity_id"),
            (assigned("Admin", "*", "Identity", "eu"), "entity_region"),
        ];
        for (assigned, field) in cases {
            assert_eq!(
                assigned.parse().as_ref().map_err(InvalidAssignment::field),
                Err(field),
                "{assigned:?}"
            );
        }
    }
}
