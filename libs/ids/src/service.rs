//! The names of the services of a region.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// A service of a region. Its name is that of its command (`landbridge <name>`), its database and its certificate, and the
/// first part of the name of its log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "&'static str")]
pub enum ServiceName {
    /// Organizations, people, system accounts and tokens.
    Identity,
    /// Teams, roles and decisions.
    Authz,
    /// Control planes, gateway entities and nodes.
    Config,
}

/// The text is not the name of a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a service is `identity`, `authz` or `config`")]
pub struct InvalidServiceName;

impl ServiceName {
    /// Every service, in the order in which a region starts them.
    pub const ALL: [Self; 3] = [Self::Identity, Self::Authz, Self::Config];

    /// The name, as in `authz`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Identity => "identity",
            Self::Authz => "authz",
            Self::Config => "config",
        }
    }
}

impl FromStr for ServiceName {
    type Err = InvalidServiceName;

    fn from_str(name: &str) -> Result<Self, InvalidServiceName> {
        Self::ALL.into_iter().find(|service| service.as_str() == name).ok_or(InvalidServiceName)
    }
}

impl TryFrom<String> for ServiceName {
    type Error = InvalidServiceName;

    fn try_from(name: String) -> Result<Self, InvalidServiceName> {
        name.parse()
    }
}

impl From<ServiceName> for &'static str {
    fn from(service: ServiceName) -> Self {
        service.as_str()
    }
}

impl fmt::Display for ServiceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::{InvalidServiceName, ServiceName};

    #[test]
    fn a_name_is_read_back_and_nothing_else_is_a_service() {
        for service in ServiceName::ALL {
            assert_eq!(service.to_string().parse(), Ok(service));
        }
        for name in ["", "Authz", "authz ", "nats", "operator"] {
            assert_eq!(name.parse::<ServiceName>(), Err(InvalidServiceName), "{name:?}");
        }
    }
}
