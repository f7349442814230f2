//! Where a port listens, if at all.

use std::{net::SocketAddr, str::FromStr};

use serde::Deserialize;

/// An address to listen on, or `off`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub enum Listen {
    /// Not at all.
    Off,
    /// At this address.
    At(SocketAddr),
}

impl Listen {
    /// The address, unless it is off.
    pub fn address(self) -> Option<SocketAddr> {
        match self {
            Listen::Off => None,
            Listen::At(address) => Some(address),
        }
    }
}

/// The text is no [`Listen`].
#[derive(Debug, thiserror::Error)]
#[error("must be an address such as 0.0.0.0:8000, or `off`")]
pub struct InvalidListen;

impl FromStr for Listen {
    type Err = InvalidListen;

    fn from_str(text: &str) -> Result<Self, InvalidListen> {
        match text {
            "off" => Ok(Listen::Off),
            address => address.parse().map(Listen::At).map_err(|_| InvalidListen),
        }
    }
}

impl TryFrom<String> for Listen {
    type Error = InvalidListen;

    fn try_from(text: String) -> Result<Self, InvalidListen> {
        text.parse()
    }
}
