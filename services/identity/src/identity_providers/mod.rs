//! Identity providers: who else may say who an organization's people are. OpenID Connect only.
//!
//! Whoever sets up a provider decides who anybody is, the owner included. So that takes the right to manage users, and all that the owner
//! holds besides. Written and read in the organization's home region.

pub mod http;
pub mod mappings;
pub mod store;

use std::collections::BTreeMap;

use ids::{Id, Region};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use utoipa::ToSchema;
use web::FieldError;

/// Most providers of an organization.
pub const PER_ORGANIZATION_MAX: u64 = 10;
/// Longest login path, bytes.
const LOGIN_PATH_BYTES_MAX: usize = 64;
/// Longest client id, client secret and name of a claim, bytes.
const TEXT_BYTES_MAX: usize = 1024;
/// Most scopes, and the longest one, bytes.
const SCOPES_MAX: usize = 32;
const SCOPE_BYTES_MAX: usize = 256;
/// The scope without which a provider says nothing about who somebody is.
const OPENID: &str = "openid";

/// Names a kind of id. Never constructed.
pub enum ProviderKind {}

/// The id of an identity provider.
pub type ProviderId = Id<ProviderKind>;

/// What can go wrong with an identity provider.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The database failed, or the log did.
    #[error(transparent)]
    NotWritten(#[from] mutation::Error),
    /// The organization has no such provider.
    #[error("no such identity provider")]
    Absent,
    /// Another provider of the organization has the login path.
    #[error("login_path: the organization has an identity provider with this login path")]
    PathTaken,
    /// There are enough.
    #[error("an organization has at most {PER_ORGANIZATION_MAX} identity providers; delete one first")]
    LimitReached,
    /// Nobody could sign on any more.
    #[error(
        "passwords are off, and nobody could sign on without this identity provider; set basic_auth_enabled of /v3/authentication-settings first"
    )]
    LocksOut,
    /// What was sealed cannot be opened.
    #[error("the client secret cannot be opened: it was sealed with another key")]
    Unreadable,
    /// The provider has no such mapping.
    #[error("no such mapping")]
    MappingAbsent,
    /// It has the mapping already.
    #[error("the group is mapped to this team already")]
    Mapped,
    /// There are enough.
    #[error("an identity provider has at most {} mappings; delete some first", mappings::PER_PROVIDER_MAX)]
    MappingsReached,
}

impl From<postgres::Error> for Error {
    fn from(error: postgres::Error) -> Self {
        Self::NotWritten(error.into())
    }
}

/// Which protocol a provider speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ProviderType {
    /// OpenID Connect.
    Oidc,
}

/// In which claims a provider says what.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ClaimMappings {
    /// The full name.
    pub name: String,
    /// The e-mail address.
    pub email: String,
    /// The names of the groups, as a list.
    pub groups: String,
}

impl Default for ClaimMappings {
    fn default() -> Self {
        Self { name: "name".to_owned(), email: "email".to_owned(), groups: "groups".to_owned() }
    }
}

/// How a provider is reached and read, as the API shows it. The client secret is never shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Config {
    /// The issuer. Its description is read from `/.well-known/openid-configuration` below.
    pub issuer_url: String,
    /// What the provider knows this organization by.
    pub client_id: String,
    /// What people are asked to let the organization know.
    pub scopes: Vec<String>,
    /// In which claims the provider says what.
    pub claim_mappings: ClaimMappings,
    /// Whether addresses count that the provider does not call verified (`email_verified`). Only for one whose addresses people cannot choose.
    pub accept_unverified_emails: bool,
}

/// An identity provider, as the API shows it.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct IdentityProvider {
    /// Its id.
    pub id: ProviderId,
    /// Which protocol it speaks.
    pub r#type: ProviderType,
    /// Whether people may sign on by it.
    pub enabled: bool,
    /// The end of the path where people begin: `/v3/authenticate/{organization}/{login_path}`.
    pub login_path: String,
    /// How it is reached and read.
    pub config: Config,
    /// Where it sends people back to, by region. It has to know all of them.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schema(value_type = BTreeMap<String, String>)]
    pub redirect_uris: BTreeMap<Region, String>,
    /// When somebody last signed on by it, with issuer and client as they are; `null`: nobody yet.
    #[serde(with = "time::serde::rfc3339::option")]
    pub last_used_at: Option<OffsetDateTime>,
    /// When it was made.
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
    /// When it was last changed.
    #[serde(with = "time::serde::rfc3339")]
    pub updated_at: OffsetDateTime,
}

fn refused(field: &str, reason: impl Into<String>) -> FieldError {
    FieldError { field: field.to_owned(), reason: reason.into() }
}

/// A login path: letters, digits, `-` and `_`.
pub fn parse_login_path(text: &str) -> Result<String, FieldError> {
    let fits = !text.is_empty()
        && text.len() <= LOGIN_PATH_BYTES_MAX
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
    let reason = "must be 1 to 64 letters, digits, `-` and `_`";
    if fits { Ok(text.to_owned()) } else { Err(refused("login_path", reason)) }
}

/// A text that is sent as it is: visible ASCII, without line breaks.
fn parse_text(field: &str, text: &str) -> Result<String, FieldError> {
    let fits = !text.is_empty() && text.len() <= TEXT_BYTES_MAX && !text.chars().any(char::is_control);
    let reason = "must be a text of 1 to 1024 bytes without control characters";
    if fits { Ok(text.to_owned()) } else { Err(refused(field, reason)) }
}

/// Scopes (RFC 6749, section 3.3), with `openid` among them.
fn parse_scopes(scopes: Vec<String>) -> Result<Vec<String>, FieldError> {
    let fits = |scope: &String| {
        !scope.is_empty()
            && scope.len() <= SCOPE_BYTES_MAX
            && scope.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\\'))
    };
    if scopes.len() > SCOPES_MAX || !scopes.iter().all(fits) {
        return Err(refused("config.scopes", "must be at most 32 texts without spaces, 256 bytes each"));
    }
    let is_there = scopes.iter().any(|scope| scope == OPENID);
    let missing = (!is_there).then(|| OPENID.to_owned());
    Ok(missing.into_iter().chain(scopes).collect())
}

/// The URL of an issuer (OpenID Connect Discovery 1.0, section 2): https, without query and fragment.
fn parse_issuer(client: &egress::Client, text: &str) -> Result<String, FieldError> {
    const FIELD: &str = "config.issuer_url";
    client.endpoint(text).map_err(|reason| refused(FIELD, reason))?;
    match text.contains(['?', '#']) {
        true => Err(refused(FIELD, "must have neither a query nor a fragment")),
        false => Ok(text.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::{parse_issuer, parse_login_path, parse_scopes};

    #[test]
    fn what_people_write_has_a_form() {
        for wrong in ["", "a/b", "a b", "\u{e9}", "..", &"a".repeat(65)] {
            assert!(parse_login_path(wrong).is_err(), "{wrong}");
        }
        assert_eq!(parse_login_path("acme-1_x").as_deref(), Ok("acme-1_x"));
        let scopes = parse_scopes(vec!["email".to_owned()]).expect("scopes");
        assert_eq!(scopes, ["openid", "email"], "without openid there is no ID token");
        assert!(parse_scopes(vec!["a b".to_owned()]).is_err());
    }

    #[test]
    fn an_issuer_is_https_and_nothing_but_a_place() {
        let client = egress::Client::new(None, false).expect("a client");
        assert!(parse_issuer(&client, "https://id.example.com/realms/x").is_ok());
        for wrong in [
            "http://id.example.com",
            "https://id.example.com/?a",
            "https://id.example.com#x",
            "https://10.0.0.1",
        ] {
            assert!(parse_issuer(&client, wrong).is_err(), "{wrong}");
        }
    }
}
