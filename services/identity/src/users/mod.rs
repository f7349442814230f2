//! Users: the people of an organization. Resident: their data never leaves the organization's home region. Other regions and
//! authz know a person by an opaque id only.

pub mod http;
pub mod store;

use access::PrincipalKind;
use ids::UserId;
use serde::Serialize;
use time::OffsetDateTime;
use utoipa::ToSchema;
use web::TextFilter;

use crate::{app::Tx, operation::Operation};

/// Longest e-mail address, bytes (RFC 5321).
const EMAIL_BYTES_MAX: usize = 254;

/// What can go wrong with a person.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The database failed, or the log did.
    #[error(transparent)]
    NotWritten(#[from] mutation::Error),
    /// The organization has another person with this address.
    #[error("the organization has a person with this e-mail address")]
    AddressTaken,
    /// The organization has no such person.
    #[error("no such user")]
    Absent,
}

impl From<postgres::Error> for Error {
    fn from(error: postgres::Error) -> Self {
        Self::NotWritten(error.into())
    }
}

/// A person, as the API shows it.
#[derive(Debug, Serialize, ToSchema)]
pub struct User {
    /// The person's id, which is also that of its principal.
    pub id: UserId,
    /// E-mail address, in lower case. Unique in the organization.
    pub email: String,
    /// Full name; may be empty.
    pub full_name: String,
    /// Whether the person may use the organization.
    pub active: bool,
    /// When the person was added.
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
    /// When the person's data was last changed.
    #[serde(with = "time::serde::rfc3339")]
    pub updated_at: OffsetDateTime,
}

/// What a list of people is narrowed to.
#[derive(Clone, Debug, Default)]
pub struct PersonFilter {
    /// By address, in lower case.
    pub email: TextFilter,
    /// By full name.
    pub full_name: TextFilter,
    /// Whether they may use the organization; `None` lists both.
    pub active: Option<bool>,
}

/// The address in lower case; `None` if it cannot be one.
pub fn parse_email(text: &str) -> Option<String> {
    let text = text.trim();
    let (local, domain) = text.rsplit_once('@')?;
    let plausible = !local.is_empty()
        && !domain.is_empty()
        && text.len() <= EMAIL_BYTES_MAX
        && ids::name::check_visible(text).is_ok()
        && !text.contains(' ');
    plausible.then(|| ids::name::comparable(&text.to_lowercase()))
}

/// Adds a person to the organization of the write, and the principal that other regions and authz know of.
pub async fn create(tx: &mut Tx<'_>, id: UserId, email: &str) -> Result<(), Error> {
    let (organization, at) = (tx.organization(), tx.at());
    store::insert(tx.connection(), organization, id, email, at).await?;
    let put =
        Operation::PrincipalPut { id: id.cast(), kind: PrincipalKind::User, active: true, not_before: None };
    tx.append(put).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{EMAIL_BYTES_MAX, parse_email};

    #[test]
    fn an_address_has_two_parts_and_no_spaces() {
        assert_eq!(parse_email(" Ada@Example.COM ").as_deref(), Some("ada@example.com"));
        assert_eq!(parse_email("\"a@b\"@example.com").as_deref(), Some("\"a@b\"@example.com"));
        let longest = format!("{}@b", "a".repeat(EMAIL_BYTES_MAX - 2));
        assert_eq!(parse_email(&longest).as_deref(), Some(longest.as_str()));
        assert_eq!(parse_email("cafe\u{301}@example.com"), parse_email("caf\u{e9}@example.com"));
        let wrong = [
            "",
            "ada",
            "@example.com",
            "ada@",
            "a da@example.com",
            "ada@exa\u{7}mple.com",
            "a\u{200b}da@example.com",
        ];
        for wrong in wrong {
            assert_eq!(parse_email(wrong), None, "{wrong}");
        }
        assert_eq!(parse_email(&format!("a{longest}")), None, "one byte too long");
    }
}
