//! The operations of identity's log: what every region needs to authenticate callers, and what authz needs to know of
//! principals.
//!
//! No personal data: a person is an opaque id here. Rows take their timestamps from the entry's `at`, so that they are equal
//! in every region. Whom an operation belongs to stands in its entry (`crate::tenant`).

use access::{Limits, PrincipalKind};
use ids::{PrincipalId, Region, SystemAccountId, TokenId, UserId};
use replication::Vector;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use time::OffsetDateTime;

/// One change. Its form as JSON is stored for ever and read by other releases; a release that meets a kind which it does not
/// know stops before it, visibly.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", content = "body")]
pub enum Operation {
    /// Makes an organization, or changes it.
    #[serde(rename = "organization.put")]
    OrganizationPut(OrganizationPut),
    /// Ends an organization for ever, with everything of it, also what arrives later. Releases before [`ORGANIZATIONS_GENERATION`] do
    /// not read it.
    #[serde(rename = "organization.removed")]
    OrganizationRemoved {},
    /// Makes a system account, or changes it. One that was removed stays removed.
    #[serde(rename = "system_account.put")]
    SystemAccountPut(SystemAccountPut),
    /// Removes a system account for ever, and ends its tokens, also those that arrive later.
    #[serde(rename = "system_account.removed")]
    SystemAccountRemoved {
        /// The account.
        id: SystemAccountId,
    },
    /// Makes a principal, or changes it. For authz, which decides by it: identity keeps no row of it.
    #[serde(rename = "principal.put")]
    PrincipalPut {
        /// The principal.
        id: PrincipalId,
        /// What it is.
        kind: PrincipalKind,
        /// Whether it may do anything.
        active: bool,
        /// Unix seconds: sessions issued before have ended.
        not_before: Option<i64>,
    },
    /// Removes a principal for ever, and ends its tokens, also those that arrive later.
    #[serde(rename = "principal.removed")]
    PrincipalRemoved {
        /// The principal.
        id: PrincipalId,
    },
    /// Makes an access token.
    #[serde(rename = "token.minted")]
    TokenMinted(TokenMinted),
    /// Gives a system account's access token another name. Written in the organization's home region. Releases before
    /// [`RENAMES_GENERATION`] do not read it.
    #[serde(rename = "token.renamed")]
    TokenRenamed {
        /// The token.
        id: TokenId,
        /// Its name from now on.
        name: String,
    },
    /// Revokes an access token for ever, also if it arrives later.
    #[serde(rename = "token.revoked")]
    TokenRevoked {
        /// The token.
        id: TokenId,
        /// Unix seconds: it need not be remembered as revoked after that.
        expires_at: i64,
    },
    /// Publishes the public half of a signing key. It belongs to the deployment, not to an organization.
    #[serde(rename = "signing_key.put")]
    SigningKeyPut {
        /// `<region>.<id>`.
        id: String,
        /// The public half as a JSON Web Key (RFC 7517).
        jwk: Value,
    },
}

/// The generation of entries since which a token can be renamed.
pub const RENAMES_GENERATION: u32 = 4;
/// The generation of entries since which a system account says whether Konnect manages it.
pub const ACCOUNTS_GENERATION: u32 = 4;

/// The generation of entries since which an organization has limits and can be deleted, and the platform operator has tokens.
pub const ORGANIZATIONS_GENERATION: u32 = 5;

/// An organization as it is from now on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OrganizationPut {
    /// Its name.
    pub name: String,
    /// The person who owns it.
    pub owner_id: UserId,
    /// The region where its records are written.
    pub home_region: Region,
    /// Whether it is in use. One that is being deleted is suspended.
    pub state: OrganizationState,
    /// Whether it is being deleted. Releases before [`ORGANIZATIONS_GENERATION`] would drop it, and `limits`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub deleting: bool,
    /// Its limits, in place of those of the settings.
    #[serde(default, skip_serializing_if = "Limits::is_empty")]
    pub limits: Limits,
    /// Whether `owner_id` is a new owner, who administers the organization from now on.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub installs_owner: bool,
}

/// Whether an organization is in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OrganizationState {
    /// It is.
    Active,
    /// It is not for now.
    Suspended,
}

impl OrganizationState {
    /// The state that the column `state` names; `None` for a word that this release does not know.
    pub fn from_column(text: &str) -> Option<Self> {
        [Self::Active, Self::Suspended].into_iter().find(|state| state.as_str() == text)
    }

    /// The same; an unknown word is an error.
    pub fn read(text: &str) -> Result<Self, postgres::Error> {
        let unknown = || postgres::Error::undecodable(format!("`{text}` is no state of an organization"));
        Self::from_column(text).ok_or_else(unknown)
    }

    /// What the column `state` says.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Suspended => "suspended",
        }
    }
}

/// A system account as it is from now on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SystemAccountPut {
    /// The account.
    pub id: SystemAccountId,
    /// Its name.
    pub name: String,
    /// What it is for.
    pub description: String,
    /// What its maker said of `konnect_managed`, which releases before [`ACCOUNTS_GENERATION`] would drop.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub konnect_managed: Option<bool>,
}

/// An access token that was made.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TokenMinted {
    /// The token. One that was made in two regions has one id and two hashes.
    pub id: TokenId,
    /// Of the token's text.
    #[serde(with = "hexadecimal")]
    pub sha256: [u8; 32],
    /// Who uses it.
    pub principal_id: PrincipalId,
    /// What its principal is.
    pub principal_kind: PrincipalKind,
    /// What its maker called it. Empty for a person's: see `name_print`. Earlier releases wrote it here.
    pub name: String,
    /// The keyed fingerprint of the name of a person's token (`crate::tokens::names`).
    #[serde(default, skip_serializing_if = "Option::is_none", with = "hexadecimal::optional")]
    pub name_print: Option<[u8; 32]>,
    /// When it ends by itself.
    #[serde(with = "time::serde::rfc3339")]
    pub expires_at: OffsetDateTime,
    /// What authz had applied where it was minted.
    pub vector: Vector,
    /// The access token that it was made with, directly or by way of a signed token: this one ends with it. `None` for the first
    /// token of an organization, and for those that earlier releases made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<TokenId>,
    /// The text of the same token that this one replaces.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaces: Option<ReplacedText>,
    /// Whether it is a session of the console: it has no text then, and `sha256` is random. Earlier releases take it for a token
    /// that nobody has the text of.
    #[serde(default, skip_serializing_if = "is_false")]
    pub session: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
const fn is_false(flag: &bool) -> bool {
    !*flag
}

/// A text of a token that was rotated.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ReplacedText {
    /// Of the text.
    #[serde(with = "hexadecimal")]
    pub sha256: [u8; 32],
    /// When it stops to open anything.
    #[serde(with = "time::serde::rfc3339")]
    pub ends_at: OffsetDateTime,
}

impl oplog::Operation for Operation {
    fn is_revocation(&self) -> bool {
        match self {
            Self::OrganizationRemoved {}
            | Self::SystemAccountRemoved { .. }
            | Self::PrincipalRemoved { .. }
            | Self::TokenRevoked { .. } => true,
            Self::OrganizationPut(_)
            | Self::SystemAccountPut(_)
            | Self::PrincipalPut { .. }
            | Self::TokenMinted(_)
            | Self::TokenRenamed { .. }
            | Self::SigningKeyPut { .. } => false,
        }
    }
}

/// 32 bytes as 64 lower-case hexadecimal digits.
mod hexadecimal {
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    /// Writes the digits as a string.
    pub fn serialize<S: Serializer>(bytes: &[u8; 32], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&hex::encode(bytes))
    }

    /// Reads exactly 64 digits, in either case.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<[u8; 32], D::Error> {
        let digits = String::deserialize(deserializer)?;
        let mut bytes = [0; 32];
        hex::decode_to_slice(digits, &mut bytes).map_err(D::Error::custom)?;
        Ok(bytes)
    }

    /// The same for a member that may be missing.
    pub mod optional {
        use serde::{Deserializer, Serializer};

        /// `null` for `None`.
        pub fn serialize<S: Serializer>(bytes: &Option<[u8; 32]>, serializer: S) -> Result<S::Ok, S::Error> {
            match bytes {
                Some(bytes) => super::serialize(bytes, serializer),
                None => serializer.serialize_none(),
            }
        }

        /// A member that is there has 64 digits.
        pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<[u8; 32]>, D::Error> {
            super::deserialize(deserializer).map(Some)
        }
    }
}

#[cfg(test)]
mod tests;
