//! The name of a region.

use std::{fmt, str::FromStr, sync::Arc};

use serde::{Deserialize, Serialize};

/// Longest name of a region, in bytes.
pub const REGION_LENGTH_MAX: usize = 16;

/// A region: a lower-case letter, then letters, digits and hyphens, as in `us` or `eu-west`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(try_from = "String", into = "String")]
#[schema(value_type = String, example = "us")]
pub struct Region(Arc<str>);

/// The text is not the name of a region.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("a region is 1 to 16 characters: a lower-case letter, then lower-case letters, digits and hyphens")]
pub struct InvalidRegion;

impl Region {
    /// The name, as in `eu-west`.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Region {
    type Err = InvalidRegion;

    fn from_str(name: &str) -> Result<Self, InvalidRegion> {
        let first_is_letter = name.starts_with(|c: char| c.is_ascii_lowercase());
        let all_allowed = name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
        if first_is_letter && all_allowed && name.len() <= REGION_LENGTH_MAX {
            Ok(Self(name.into()))
        } else {
            Err(InvalidRegion)
        }
    }
}

impl TryFrom<String> for Region {
    type Error = InvalidRegion;

    fn try_from(name: String) -> Result<Self, InvalidRegion> {
        name.parse()
    }
}

impl From<Region> for String {
    fn from(region: Region) -> Self {
        region.0.to_string()
    }
}

impl fmt::Display for Region {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::Region;

    #[test]
    fn refuses_what_would_confuse_a_token_or_a_subject() {
        for bad in ["", "US", "1eu", "eu_west", "eu.west", "eu*", "a-name-that-is-too-long"] {
            assert!(bad.parse::<Region>().is_err(), "{bad:?}");
        }
        let region: Region = "eu-west".parse().expect("valid");
        assert_eq!((region.as_str(), region.to_string()), ("eu-west", "eu-west".to_owned()));
        assert_eq!(String::from(region), "eu-west");
    }
}
