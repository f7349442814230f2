//! What the platform operator sends, and what it is shown. No e-mail address is answered: it is told ids.

use access::Limits;
use ids::Region;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use web::FieldError;

use crate::organizations::Organization;

/// The body of a request that makes an organization.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateOrganization {
    /// Unique in the home region.
    pub name: String,
    /// Where its people's data will live, and its records be written. It never changes.
    #[schema(value_type = String)]
    pub home_region: Region,
    /// E-mail address of its owner. It is kept in the home region only.
    pub owner_email: String,
    /// What it may have, where that is not what the settings say.
    #[serde(default)]
    pub limits: LimitsBody,
}

/// The body of a request that changes an organization. What is left out stays as it is.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ManageOrganization {
    /// Its name from now on.
    pub name: Option<String>,
    /// All of its limits from now on: one that is left out is that of the settings again.
    pub limits: Option<LimitsBody>,
}

/// The body of a request that gives an organization another owner.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewOwner {
    /// E-mail address of a person of the organization, or of somebody who becomes one by this.
    pub email: String,
}

/// Limits of one organization, in place of those of the settings.
#[derive(Clone, Copy, Default, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = OrganizationLimits)]
pub struct LimitsBody {
    /// Most entities of each of its control planes.
    #[schema(minimum = 1)]
    pub entities: Option<u32>,
    /// Most access tokens that can be used, of all its people and system accounts together.
    #[schema(minimum = 1)]
    pub access_tokens: Option<u32>,
    /// Most requests per second at each process of a service. What is beyond is 429. Sessions with a signed token follow within five
    /// minutes.
    #[schema(minimum = 1)]
    pub requests_per_second: Option<u32>,
}

impl LimitsBody {
    /// Checked: a limit is at least 1.
    pub fn read(self) -> Result<Limits, FieldError> {
        let positive = |field: &str, value: Option<u32>| match value.map(std::num::NonZeroU32::new) {
            None => Ok(None),
            Some(Some(value)) => Ok(Some(value)),
            Some(None) => Err(FieldError {
                field: format!("limits.{field}"),
                reason: "must be at least 1; suspend an organization that may do nothing".to_owned(),
            }),
        };
        Ok(Limits {
            entities: positive("entities", self.entities)?,
            access_tokens: positive("access_tokens", self.access_tokens)?,
            requests_per_second: positive("requests_per_second", self.requests_per_second)?,
        })
    }
}

impl From<Limits> for LimitsBody {
    fn from(limits: Limits) -> Self {
        Self {
            entities: limits.entities.map(Into::into),
            access_tokens: limits.access_tokens.map(Into::into),
            requests_per_second: limits.requests_per_second.map(Into::into),
        }
    }
}

/// An organization, as the platform operator sees it.
#[derive(Serialize, ToSchema)]
pub struct ManagedOrganization {
    /// What its own members see of it.
    #[serde(flatten)]
    pub organization: Organization,
    /// Its limits; `null` for those of the settings.
    pub limits: LimitsBody,
}

impl From<Organization> for ManagedOrganization {
    fn from(organization: Organization) -> Self {
        Self { limits: organization.limits.into(), organization }
    }
}

/// An organization whose owner is new, with a token of that person.
#[derive(Serialize, ToSchema)]
pub struct OwnedOrganization {
    /// The organization.
    #[serde(flatten)]
    pub organization: ManagedOrganization,
    /// The text of a token of the owner. Shown this once.
    pub owner_token: String,
}
