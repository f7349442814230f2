//! How a binary learns its settings: a TOML file, then environment variables over it.
//!
//! Settings are one struct per binary, made of the [`sections`] that several binaries share. Unknown keys in the file
//! are refused. `LANDBRIDGE_LISTEN__API` sets `api` of section `listen`; variables that name no setting are ignored,
//! since others use the prefix too. [`mod@reference`] writes the documentation from the same structs.

mod lists;
pub mod reference;
pub mod sections;

use std::path::{Path, PathBuf};

use figment::{
    Figment,
    providers::{Env, Format, Toml},
};
pub use lists::{AddressRanges, Addresses, InvalidAddress, InvalidRange, Names};
use serde::de::DeserializeOwned;
use utoipa::ToSchema;

/// What every environment variable starts with.
pub const ENVIRONMENT_PREFIX: &str = "LANDBRIDGE_";

/// Why settings cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    #[error("no settings file at {0}")]
    NoFile(PathBuf),
    #[error("settings: {0}")]
    Invalid(#[from] Box<figment::Error>),
}

/// Reads the settings of type `T` from `file`, if given, and the environment.
pub fn load<T: DeserializeOwned + ToSchema>(file: Option<&Path>) -> Result<T, SettingsError> {
    let mut figment = Figment::new();
    if let Some(path) = file {
        if !path.is_file() {
            return Err(SettingsError::NoFile(path.to_owned()));
        }
        figment = figment.merge(Toml::file_exact(path));
    }
    let known = reference::top_level_names::<T>();
    let environment = Env::prefixed(ENVIRONMENT_PREFIX).split("__").filter(move |key| {
        let first = key.as_str().split('.').next().unwrap_or_default().to_ascii_lowercase();
        known.contains(&first)
    });
    figment.merge(environment).extract().map_err(|error| SettingsError::Invalid(Box::new(error)))
}

#[cfg(test)]
mod tests;
