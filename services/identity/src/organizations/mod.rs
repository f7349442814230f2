//! Organizations: the replicated directory of which organizations exist and where their home is.
//!
//! A record: an organization is written in its home region. Every region has the row, as authentication and the forwarding
//! of requests need it. Its owner changes it ([`http`]); the platform operator makes, suspends, limits and deletes it
//! ([`crate::operator`]).

pub mod http;
pub mod purge;
pub mod store;

use access::{Caller, Limits};
use ids::{OrganizationId, Region, UserId};
use serde::Serialize;
use time::OffsetDateTime;
use utoipa::ToSchema;

use crate::{
    app::{App, Tx},
    error::Answer,
    operation::{ORGANIZATIONS_GENERATION, Operation, OrganizationPut, OrganizationState},
    revocations::Ended,
};

/// What can go wrong with an organization.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The database failed, or the log did.
    #[error(transparent)]
    NotWritten(#[from] mutation::Error),
    /// Another organization has the name.
    #[error("an organization with this name exists")]
    NameTaken,
    /// A caller belongs to it, so it exists; but this region has not applied it yet.
    #[error("the organization has not arrived in this region yet")]
    NotArrived,
    /// There is no such organization.
    #[error("no such organization")]
    Absent,
    /// Its home is another region, which only just became known here.
    #[error("the organization is written in another region")]
    NotHome,
    /// It is being deleted, or it has been.
    #[error("the organization is being deleted")]
    Deleting,
    /// Only its owner may do that.
    #[error("only the owner may do this")]
    NotOwner,
    /// The change is written here, but authz has not applied it in time.
    #[error("authz has not applied the change in time")]
    StillHonoured,
    /// A region of an earlier release would not read it.
    #[error("this needs every region to run this release")]
    TooEarly,
}

impl From<postgres::Error> for Error {
    fn from(error: postgres::Error) -> Self {
        Self::NotWritten(error.into())
    }
}

/// Whether an organization is in use, in Konnect's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = OrganizationState)]
pub enum State {
    /// It is.
    Active,
    /// It is suspended: every request of its people and programs is refused. Its gateways serve.
    Inactive,
    /// It is suspended for good, and its data is being deleted in every region.
    Deleting,
    /// Its data is deleted.
    Deleted,
}

/// An organization, as the API shows it.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Organization {
    /// Its id.
    pub id: OrganizationId,
    /// Its name, which no other organization of its home region has. Empty once it is deleted.
    pub name: String,
    /// The person who owns it.
    pub owner_id: UserId,
    /// The region where its people's data lives and where its records are written.
    #[schema(value_type = String)]
    pub home_region: Region,
    /// Whether it is in use.
    pub state: State,
    /// Its limits, for the platform operator.
    #[serde(skip)]
    pub limits: Limits,
    /// When it was made.
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
    /// When it was last changed.
    #[serde(with = "time::serde::rfc3339")]
    pub updated_at: OffsetDateTime,
}

/// The organization that somebody without a token names in the field `organization`, by its id or its name. `None` only if it is certain
/// that it is not on its way from another region. An error for what can be neither an id nor a name.
pub async fn named(app: &App, text: &str) -> Answer<Option<Organization>> {
    match text.trim().parse() {
        Ok(id) => known(app, id).await,
        Err(_) => {
            let name = web::text::name("organization", text)?;
            match store::by_name(&app.db, &name).await? {
                Some(found) => Ok(Some(found)),
                None => {
                    app.settle().await?;
                    Ok(store::by_name(&app.db, &name).await?)
                }
            }
        }
    }
}

impl Organization {
    /// The operation that says what is so now.
    fn as_put(&self) -> OrganizationPut {
        OrganizationPut {
            name: self.name.clone(),
            owner_id: self.owner_id,
            home_region: self.home_region.clone(),
            state: match self.state {
                State::Active => OrganizationState::Active,
                State::Inactive | State::Deleting | State::Deleted => OrganizationState::Suspended,
            },
            deleting: matches!(self.state, State::Deleting | State::Deleted),
            limits: self.limits,
            installs_owner: false,
        }
    }
}

/// The organization with this id; `None` only if it is certain that it is not on its way from another region.
pub async fn known(app: &App, id: OrganizationId) -> Answer<Option<Organization>> {
    if let Some(found) = store::find(&app.db, id).await? {
        return Ok(Some(found));
    }
    app.settle().await?;
    Ok(store::find(&app.db, id).await?)
}

/// An organization to be made.
pub struct NewOrganization {
    /// Its id, chosen beforehand.
    pub id: OrganizationId,
    /// Its name, checked.
    pub name: String,
    /// The person who will own it.
    pub owner: UserId,
    /// Its limits.
    pub limits: Limits,
}

/// Makes the organization, with its home in `region`. authz makes its owner Organization Admin.
pub async fn create(tx: &mut Tx<'_>, new: &NewOrganization, region: &Region) -> Result<(), Error> {
    if store::by_name(tx.connection(), &new.name).await?.is_some() {
        return Err(Error::NameTaken);
    }
    let put = Operation::OrganizationPut(OrganizationPut {
        name: new.name.clone(),
        owner_id: new.owner,
        home_region: region.clone(),
        state: OrganizationState::Active,
        deleting: false,
        limits: new.limits,
        installs_owner: false,
    });
    tx.append(put).await?;
    Ok(())
}

/// Changes the organization of the write, and answers it as it is then. What changes nothing is not written. One that is being
/// deleted is [`Error::Deleting`]: nothing of it changes any more.
pub async fn change(
    tx: &mut Tx<'_>,
    region: &Region,
    alter: impl FnOnce(&mut OrganizationPut) + Send,
) -> Result<Organization, Error> {
    let id = tx.organization();
    let before = store::find(tx.connection(), id).await?.ok_or(Error::Absent)?;
    if before.home_region != *region {
        return Err(Error::NotHome);
    }
    let mut put = before.as_put();
    alter(&mut put);
    if put == before.as_put() {
        return Ok(before);
    }
    if matches!(before.state, State::Deleting | State::Deleted) {
        return Err(Error::Deleting);
    }
    if put.name != before.name
        && store::by_name(tx.connection(), &put.name).await?.is_some_and(|other| other.id != id)
    {
        return Err(Error::NameTaken);
    }
    tx.append(Operation::OrganizationPut(put)).await?;
    store::find(tx.connection(), id).await?.ok_or(Error::Absent)
}

impl App {
    /// An error unless every region reads what an organization has since [`ORGANIZATIONS_GENERATION`].
    pub fn require_organizations_generation(&self) -> Result<(), Error> {
        match self.replication.all_read(ORGANIZATIONS_GENERATION) {
            true => Ok(()),
            false => Err(Error::TooEarly),
        }
    }

    /// Waits until what was written of the organization is in force in this region: authz decides by it, and no service remembers a
    /// token as it was before. Other regions follow as they hear of it. A change that is repeated waits again.
    pub async fn enforce(&self, caller: &Caller, organization: OrganizationId) -> Answer<()> {
        self.announcer.announce(Ended::Any).await;
        let written = self.log.replica().organization_vector(organization).await?;
        let seq = written.get(self.log.origin()).map_or(0, |position| position.seq);
        let applied = self.outbox.wait_applied(caller, seq).await;
        applied.map_err(|_| Error::StillHonoured)?;
        Ok(())
    }
}
