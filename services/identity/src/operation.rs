//! The operations of identity's log: what every region has to know callers by, and what authz learns of principals.
//!
//! No personal data: a person is an opaque id here. Rows take their timestamps from the operation's `at`, so that they
//! are equal in every region. The organization is the operation's own.

use access::{PrincipalKind, TokenKind};
use ids::{PrincipalId, Region, SystemAccountId, TokenId, UserId};
use replication::Vector;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use time::OffsetDateTime;

/// One change, in words that every release understands. A reader that meets an unknown one stops.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", content = "body")]
pub enum Operation {
    #[serde(rename = "organization.put")]
    OrganizationPut(OrganizationPut),
    #[serde(rename = "system_account.put")]
    SystemAccountPut(SystemAccountPut),
    /// Ends its tokens too, those that arrive later included.
    #[serde(rename = "system_account.removed")]
    SystemAccountRemoved { id: SystemAccountId },
    /// For authz: identity keeps no row of it.
    #[serde(rename = "principal.put")]
    PrincipalPut {
        id: PrincipalId,
        kind: PrincipalKind,
        active: bool,
        /// Unix seconds: sessions issued before have ended.
        not_before: Option<i64>,
    },
    /// Ends its tokens too, those that arrive later included.
    #[serde(rename = "principal.removed")]
    PrincipalRemoved { id: PrincipalId },
    #[serde(rename = "token.minted")]
    TokenMinted(TokenMinted),
    #[serde(rename = "token.revoked")]
    TokenRevoked {
        id: TokenId,
        /// Unix seconds: it need not be remembered as revoked after that.
        expires_at: i64,
    },
    /// The public half; of no organization.
    #[serde(rename = "signing_key.put")]
    SigningKeyPut {
        /// `<region>.<id>`.
        id: String,
        jwk: Value,
    },
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OrganizationPut {
    pub name: String,
    pub owner_id: UserId,
    pub home_region: Region,
    pub state: OrganizationState,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OrganizationState {
    Active,
    Suspended,
}

impl OrganizationState {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Suspended => "suspended",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SystemAccountPut {
    pub id: SystemAccountId,
    pub name: String,
    pub description: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TokenMinted {
    pub id: TokenId,
    /// Of the token's text.
    #[serde(with = "hex")]
    pub sha256: [u8; 32],
    pub principal_id: PrincipalId,
    pub principal_kind: PrincipalKind,
    pub name: String,
    #[serde(with = "time::serde::rfc3339")]
    pub expires_at: OffsetDateTime,
    /// What authz had applied where it was minted.
    pub vector: Vector,
}

impl oplog::Operation for Operation {
    fn is_revocation(&self) -> bool {
        match self {
            Self::SystemAccountRemoved { .. } | Self::PrincipalRemoved { .. } | Self::TokenRevoked { .. } => {
                true
            }
            Self::OrganizationPut(_)
            | Self::SystemAccountPut(_)
            | Self::PrincipalPut { .. }
            | Self::TokenMinted(_)
            | Self::SigningKeyPut { .. } => false,
        }
    }
}

/// What a token's principal is.
pub const fn principal_kind(kind: TokenKind) -> PrincipalKind {
    match kind {
        TokenKind::Personal => PrincipalKind::User,
        TokenKind::System => PrincipalKind::SystemAccount,
    }
}

/// 32 bytes as 64 lower-case hexadecimal digits.
mod hex {
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    pub fn serialize<S: Serializer>(bytes: &[u8; 32], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&blake3::Hash::from_bytes(*bytes).to_hex())
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<[u8; 32], D::Error> {
        let digits = String::deserialize(deserializer)?;
        blake3::Hash::from_hex(&digits).map(Into::into).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests;
