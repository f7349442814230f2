//! Whom an entry, and the rows that it makes, belong to.

use ids::OrganizationId;
use uuid::Uuid;

/// In the place of an organization's id, in logs and in tables: no organization.
const DEPLOYMENT: OrganizationId = OrganizationId::from_uuid(Uuid::nil());

/// The owner of an entry and of its rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tenant {
    /// Nearly everything: accounts, tokens, the organization itself.
    Organization(OrganizationId),
    /// No organization in particular: the public halves of signing keys. They are stored under an id of zeros.
    Deployment,
}

impl Tenant {
    /// The tenant that is stored as `id`.
    pub fn of_stored(id: OrganizationId) -> Self {
        if id == DEPLOYMENT { Self::Deployment } else { Self::Organization(id) }
    }

    /// The id that stands for it in logs and tables.
    pub const fn stored(self) -> OrganizationId {
        match self {
            Self::Organization(id) => id,
            Self::Deployment => DEPLOYMENT,
        }
    }
}

#[cfg(test)]
mod tests {
    use ids::OrganizationId;

    use super::Tenant;

    #[test]
    fn comes_back_from_its_stored_form_which_stays() {
        let organization = Tenant::Organization(OrganizationId::generate());
        for tenant in [organization, Tenant::Deployment] {
            assert_eq!(Tenant::of_stored(tenant.stored()), tenant);
        }
        assert_eq!(Tenant::Deployment.stored().to_string(), "00000000-0000-0000-0000-000000000000");
    }
}
