//! System accounts: principals that are programs. Replicated records, written in the organization's home region.

pub mod http;
pub mod store;

use access::PrincipalKind;
use ids::SystemAccountId;
use mutation::Key;
use random::Random;
use serde::Serialize;
use time::OffsetDateTime;
use utoipa::ToSchema;
use web::TextFilter;

use crate::{
    app::Tx,
    operation::{Operation, SystemAccountPut},
    tokens,
};

/// What can go wrong with a system account.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The database failed, or the log did.
    #[error(transparent)]
    NotWritten(#[from] mutation::Error),
    /// Another system account of the organization has the name.
    #[error("the organization has a system account with this name")]
    NameTaken,
    /// The organization has no such account.
    #[error("no such system account")]
    Absent,
    /// It is deleted here, but authz has not applied that in time and may still allow its sessions.
    #[error("authz has not applied the deletion in time")]
    StillHonoured,
}

impl From<postgres::Error> for Error {
    fn from(error: postgres::Error) -> Self {
        Self::NotWritten(error.into())
    }
}

/// A system account, as the API shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct SystemAccount {
    /// Its id, which is also that of its principal.
    pub id: SystemAccountId,
    /// Its name, unique in the organization.
    pub name: String,
    /// What it is for; may be empty.
    pub description: String,
    /// `false`, or `null` as its maker gave it: the organization manages its accounts itself.
    pub konnect_managed: Option<bool>,
    /// When it was made.
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
    /// When it was last changed.
    #[serde(with = "time::serde::rfc3339")]
    pub updated_at: OffsetDateTime,
}

/// An account to be made, checked.
struct NewAccount {
    name: String,
    description: String,
    konnect_managed: Option<bool>,
}

/// What a list of accounts is narrowed to.
#[derive(Clone, Debug, Default)]
pub struct AccountFilter {
    /// By name.
    pub name: TextFilter,
    /// By description.
    pub description: TextFilter,
    /// Whether a condition was given that no account meets.
    pub none: bool,
}

/// Makes an account. Its id follows from the request's idempotency key, if it has one. Example: the database is restored
/// from a backup that has the account but not the key; the request that comes again is answered with the same account.
async fn create(
    tx: &mut Tx<'_>,
    key: Option<&Key>,
    random: &Random,
    new: NewAccount,
) -> Result<SystemAccount, Error> {
    let NewAccount { name, description, konnect_managed } = new;
    let (organization, at) = (tx.organization(), tx.at());
    let derived = key.map(|key| SystemAccountId::from_uuid(key.derived_id("system-account")));
    let mut id = derived.unwrap_or_else(|| random.id(at));
    if store::is_used(tx.connection(), id).await? {
        match store::find(tx.connection(), organization, id).await? {
            Some(known) if known.name == name && known.description == description => return Ok(known),
            // The key was used a day or longer ago, for something else.
            _ => id = random.id(at),
        }
    }
    let account = put(tx, SystemAccountPut { id, name, description, konnect_managed }).await?;
    let principal = Operation::PrincipalPut {
        id: id.cast(),
        kind: PrincipalKind::SystemAccount,
        active: true,
        not_before: None,
    };
    tx.append(principal).await?;
    Ok(account)
}

/// Gives an account the name and the description in `put`, and makes it if it is not there. The log is locked, so nobody
/// else can take the name meanwhile.
async fn put(tx: &mut Tx<'_>, put: SystemAccountPut) -> Result<SystemAccount, Error> {
    let (organization, id) = (tx.organization(), put.id);
    if store::is_name_taken(tx.connection(), organization, &put.name, id).await? {
        return Err(Error::NameTaken);
    }
    tx.append(Operation::SystemAccountPut(put)).await?;
    store::find(tx.connection(), organization, id).await?.ok_or(Error::Absent)
}

/// Changes what is given of an account.
async fn update(
    tx: &mut Tx<'_>,
    id: SystemAccountId,
    name: Option<String>,
    description: Option<String>,
) -> Result<SystemAccount, Error> {
    let organization = tx.organization();
    let before = store::find(tx.connection(), organization, id).await?.ok_or(Error::Absent)?;
    let changed = SystemAccountPut {
        id,
        name: name.unwrap_or(before.name),
        description: description.unwrap_or(before.description),
        konnect_managed: before.konnect_managed,
    };
    put(tx, changed).await
}

/// Whether a deletion had anything left to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Deleted {
    /// This write deleted the account.
    Now,
    /// An earlier one did. This one has written nothing.
    Before,
}

/// Deletes an account and revokes its tokens. An account that was deleted before stays so: whoever repeats a deletion, because
/// its first answer was 503 or was lost, succeeds.
async fn delete(tx: &mut Tx<'_>, id: SystemAccountId) -> Result<Deleted, Error> {
    let organization = tx.organization();
    if store::find(tx.connection(), organization, id).await?.is_none() {
        return match store::is_removed(tx.connection(), organization, id).await? {
            true => Ok(Deleted::Before),
            false => Err(Error::Absent),
        };
    }
    tokens::revoke_all(tx, id.cast()).await?;
    tx.append(Operation::SystemAccountRemoved { id }).await?;
    tx.append(Operation::PrincipalRemoved { id: id.cast() }).await?;
    Ok(Deleted::Now)
}
