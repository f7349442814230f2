//! Names of logs.

use std::{fmt, str::FromStr};

use ids::{Region, ServiceName};
use serde::{Deserialize, Serialize};

/// Who writes a log: `<service>.<region>`, as in `authz.us`. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Origin {
    service: ServiceName,
    region: Region,
}

/// The text is not the name of a service, a dot and the name of a region.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an origin is `<service>.<region>`")]
pub struct InvalidOrigin;

impl Origin {
    /// The log of `service` in `region`.
    pub fn new(service: ServiceName, region: &Region) -> Self {
        Self { service, region: region.clone() }
    }

    /// The first part, as in `authz`.
    pub const fn service(&self) -> ServiceName {
        self.service
    }

    /// Where the log is written.
    pub fn region(&self) -> &Region {
        &self.region
    }

    /// The same service's log in another region.
    pub fn in_region(&self, region: &Region) -> Self {
        Self { service: self.service, region: region.clone() }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.service, self.region)
    }
}

impl FromStr for Origin {
    type Err = InvalidOrigin;

    fn from_str(text: &str) -> Result<Self, InvalidOrigin> {
        let (service, region) = text.split_once('.').ok_or(InvalidOrigin)?;
        let service = service.parse().map_err(|_| InvalidOrigin)?;
        Ok(Self { service, region: region.parse().map_err(|_| InvalidOrigin)? })
    }
}

impl TryFrom<String> for Origin {
    type Error = InvalidOrigin;

    fn try_from(text: String) -> Result<Self, InvalidOrigin> {
        text.parse()
    }
}

impl From<Origin> for String {
    fn from(origin: Origin) -> Self {
        origin.to_string()
    }
}

#[cfg(test)]
mod tests {
    use ids::ServiceName;

    use super::{InvalidOrigin, Origin};

    #[test]
    fn is_a_service_and_a_region() {
        let origin: Origin = "authz.eu-west".parse().expect("an origin");
        assert_eq!((origin.service(), origin.region().as_str()), (ServiceName::Authz, "eu-west"));
        assert_eq!(String::from(origin.clone()), "authz.eu-west");
        let us = "us".parse().expect("a region");
        assert_eq!(origin.in_region(&us), Origin::new(ServiceName::Authz, &us));
    }

    #[test]
    fn anything_else_is_an_error() {
        for text in
            ["", "authz", ".us", "authz.", "Authz.us", "authz2.us", "authz.US", "nats.us", "authz.us.eu"]
        {
            assert_eq!(text.parse::<Origin>(), Err(InvalidOrigin), "{text:?}");
        }
    }
}
