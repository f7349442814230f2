//! E-mail domains of an organization: whose addresses its identity providers may vouch for.
//!
//! An organization claims a domain, puts a text into DNS that only it was told, and asks for a look. Other organizations may claim the same
//! one: whoever controls its DNS decides whose proof is there. Only the domain itself is verified, not those below. Resident.

mod dns;
pub mod http;
pub mod store;

use ids::Id;
use serde::Serialize;
use time::OffsetDateTime;
use utoipa::ToSchema;
use web::FieldError;

pub use self::dns::Dns;

/// Most domains that an organization claims.
pub const PER_ORGANIZATION_MAX: u64 = 100;
/// Longest name, bytes: with the label in front it has to be a name of DNS (RFC 1035).
const NAME_BYTES_MAX: usize = 253 - LABEL.len() - 1;
/// Longest label of a name, bytes.
const LABEL_BYTES_MAX: usize = 63;
/// What stands in front of the domain in the name of the TXT record.
const LABEL: &str = "_landbridge";
/// What stands in front of the secret in the text of the record.
const PREFIX: &str = "landbridge-domain-verification=";

/// Names a kind of id. Never constructed.
pub enum DomainKind {}

/// The id of a domain.
pub type DomainId = Id<DomainKind>;

/// What can go wrong with a domain.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The database failed, or the log did.
    #[error(transparent)]
    NotWritten(#[from] mutation::Error),
    /// The organization has no such domain.
    #[error("no such domain")]
    Absent,
    /// It has it already.
    #[error("name: the organization has this domain already")]
    Taken,
    /// There are enough.
    #[error("an organization has at most {PER_ORGANIZATION_MAX} domains; delete some first")]
    LimitReached,
    /// DNS does not have the text.
    #[error(
        "DNS has no TXT record `{0}` with the text of this domain; make it, wait until it is published, and try again"
    )]
    NotProven(String),
    /// DNS does not answer.
    #[error("DNS cannot be asked now; try again")]
    NoAnswer,
}

impl From<postgres::Error> for Error {
    fn from(error: postgres::Error) -> Self {
        Self::NotWritten(error.into())
    }
}

/// A domain, as the API shows it.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Domain {
    /// Its id.
    pub id: DomainId,
    /// Its name, in lower case.
    pub name: String,
    /// Whether the organization has shown that it controls it.
    pub verified: bool,
    /// The TXT record that shows it.
    pub record_name: String,
    /// What that record says.
    pub record_value: String,
    /// When the organization claimed it.
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
    /// When it was verified.
    #[serde(with = "time::serde::rfc3339::option")]
    pub verified_at: Option<OffsetDateTime>,
}

impl Domain {
    fn new(
        id: DomainId,
        name: String,
        challenge: &str,
        created_at: OffsetDateTime,
        verified_at: Option<OffsetDateTime>,
    ) -> Self {
        Self {
            id,
            record_name: format!("{LABEL}.{name}"),
            record_value: format!("{PREFIX}{challenge}"),
            name,
            verified: verified_at.is_some(),
            created_at,
            verified_at,
        }
    }
}

/// A name of DNS with two labels or more, in lower case. Names with other letters are written in their ASCII form (`xn--…`).
fn parse_name(text: &str) -> Result<String, FieldError> {
    let name = text.trim().to_ascii_lowercase();
    let is_label = |label: &str| {
        !label.is_empty()
            && label.len() <= LABEL_BYTES_MAX
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-'))
    };
    let fits = name.len() <= NAME_BYTES_MAX && name.contains('.') && name.split('.').all(is_label);
    let reason = "must be a domain, as in example.com; write other letters in their ASCII form, xn--…";
    if fits { Ok(name) } else { Err(FieldError { field: "name".to_owned(), reason: reason.to_owned() }) }
}

/// The domain of an e-mail address.
pub fn of_address(email: &str) -> Option<&str> {
    email.rsplit_once('@').map(|(_, domain)| domain)
}

#[cfg(test)]
mod tests {
    use super::{NAME_BYTES_MAX, of_address, parse_name};

    #[test]
    fn a_domain_is_a_name_of_dns() {
        assert_eq!(parse_name(" Example.COM ").as_deref(), Ok("example.com"));
        assert_eq!(parse_name("xn--bcher-kva.example").as_deref(), Ok("xn--bcher-kva.example"));
        let long = format!("{}.com", "a.".repeat(NAME_BYTES_MAX));
        for wrong in
            ["", "com", "example.com.", ".com", "a_b.com", "-a.com", "b\u{fc}cher.example", "a b.com", &long]
        {
            assert!(parse_name(wrong).is_err(), "{wrong}");
        }
        assert_eq!(of_address("\"a@b\"@example.com"), Some("example.com"));
    }
}
