//! Users: the people of an organization. Resident: their data never leaves the organization's home region. Other regions and
//! authz know a person by an opaque id only.

pub mod http;
pub mod store;

use access::PrincipalKind;
use ids::{PrincipalId, UserId};
use serde::Serialize;
use time::OffsetDateTime;
use utoipa::ToSchema;
use web::{FieldError, TextFilter};

use crate::{app::Tx, operation::Operation, organizations, system_accounts, tokens};

/// Longest e-mail address, bytes (RFC 5321).
const EMAIL_BYTES_MAX: usize = 254;
/// Longest full name, characters.
const FULL_NAME_CHARS_MAX: usize = 128;

/// What can go wrong with a person.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The database failed, or the log did.
    #[error(transparent)]
    NotWritten(#[from] mutation::Error),
    /// The organization has another person with this address.
    #[error("the organization has a person with this e-mail address")]
    AddressTaken,
    /// The person is deactivated.
    #[error("the person is deactivated")]
    Inactive,
    /// The organization has no such person.
    #[error("no such user")]
    Absent,
    /// The person owns the organization.
    #[error("the organization's owner can be neither deactivated nor removed")]
    Owner,
    /// The person of the request.
    #[error("you cannot deactivate or remove yourself")]
    Oneself,
    /// It is done here, but authz has not applied it in time and may still allow the person's sessions.
    #[error("authz has not applied it in time")]
    StillHonoured,
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

/// What is to be changed of a person, checked. `None` leaves it as it is.
#[derive(Clone, Debug, Default)]
struct Changes {
    full_name: Option<String>,
    active: Option<bool>,
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

/// A full name, trimmed and in the form in which names are compared; may be empty.
pub fn parse_full_name(field: &str, text: &str) -> Result<String, FieldError> {
    let text = ids::name::comparable(text.trim());
    let refused = |reason: String| FieldError { field: field.to_owned(), reason };
    if text.chars().count() > FULL_NAME_CHARS_MAX {
        return Err(refused(format!("may have at most {FULL_NAME_CHARS_MAX} characters")));
    }
    if !text.is_empty() {
        ids::name::check_visible(&text).map_err(|unfit| refused(format!("must {unfit}")))?;
    }
    Ok(text)
}

/// Adds a person to the organization of the write, and the principal that other regions and authz know of.
pub async fn create(tx: &mut Tx<'_>, id: UserId, email: &str) -> Result<(), Error> {
    let (organization, at) = (tx.organization(), tx.at());
    store::insert(tx.connection(), organization, id, email, at).await?;
    put_principal(tx, id, true).await?;
    Ok(())
}

/// Adds a person that has accepted an invite; answers it.
pub async fn join(tx: &mut Tx<'_>, id: UserId, email: &str, full_name: String) -> Result<User, Error> {
    create(tx, id, email).await?;
    let organization = tx.organization();
    let person = store::find(tx.connection(), organization, id).await?.ok_or(Error::Absent)?;
    let person = User { full_name, ..person };
    store::update(tx.connection(), &person).await?;
    Ok(person)
}

async fn put_principal(tx: &mut Tx<'_>, id: UserId, active: bool) -> Result<(), mutation::Error> {
    // Whoever is active again begins with new sessions.
    let not_before = (!active).then(|| tx.at().unix_timestamp());
    let put = Operation::PrincipalPut { id: id.cast(), kind: PrincipalKind::User, active, not_before };
    tx.append(put).await?;
    Ok(())
}

/// Changes a person at the request of `by`; answers the person as it is then. Deactivation ends the person's tokens and sessions for
/// ever: whoever is made active again gets new ones.
async fn update(tx: &mut Tx<'_>, by: PrincipalId, id: UserId, changes: Changes) -> Result<User, Error> {
    let (organization, at) = (tx.organization(), tx.at());
    let mut person = store::find(tx.connection(), organization, id).await?.ok_or(Error::Absent)?;
    if let Some(active) = changes.active.filter(|active| *active != person.active) {
        if !active {
            require_dispensable(tx, by, id).await?;
        }
        // Also when the person becomes active: another region may have made a token before it heard of the end.
        tokens::revoke_all(tx, id.cast()).await?;
        put_principal(tx, id, active).await?;
        person.active = active;
        person.updated_at = at;
    }
    if let Some(full_name) = changes.full_name.filter(|name| *name != person.full_name) {
        person.full_name = full_name;
        person.updated_at = at;
    }
    store::update(tx.connection(), &person).await?;
    Ok(person)
}

/// Whether a removal had anything left to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Removed {
    /// This write removed the person.
    Now,
    /// An earlier one did. This one has written nothing.
    Before,
}

/// Removes a person for ever, at the request of `by`, with all that is known of the person, and ends its tokens and sessions. A removal
/// that is repeated succeeds.
async fn remove(tx: &mut Tx<'_>, by: PrincipalId, id: UserId) -> Result<Removed, Error> {
    let organization = tx.organization();
    if store::find(tx.connection(), organization, id).await?.is_none() {
        // No id is used twice, whatever it names.
        return match system_accounts::store::is_removed(tx.connection(), organization, id.cast()).await? {
            true => Ok(Removed::Before),
            false => Err(Error::Absent),
        };
    }
    require_dispensable(tx, by, id).await?;
    tokens::revoke_all(tx, id.cast()).await?;
    store::delete(tx.connection(), organization, id).await?;
    tx.append(Operation::PrincipalRemoved { id: id.cast() }).await?;
    Ok(Removed::Now)
}

/// The owner stays, and nobody locks himself out by accident.
async fn require_dispensable(tx: &mut Tx<'_>, by: PrincipalId, id: UserId) -> Result<(), Error> {
    let organization = tx.organization();
    let found = organizations::store::find(tx.connection(), organization).await?;
    match found {
        Some(organization) if organization.owner_id == id => Err(Error::Owner),
        _ if by == id.cast() => Err(Error::Oneself),
        _ => Ok(()),
    }
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
