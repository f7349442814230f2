//! Organizations: the replicated directory of which organizations exist and where their home is.
//!
//! A record: an organization is written in its home region. Every region has the row, as authentication and the forwarding
//! of requests need it.

pub mod http;
pub mod store;

use ids::{OrganizationId, Region, UserId};
use serde::Serialize;
use time::OffsetDateTime;
use utoipa::ToSchema;

use crate::{
    app::{App, Tx},
    error::Answer,
    operation::{Operation, OrganizationPut, OrganizationState},
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
}

impl From<postgres::Error> for Error {
    fn from(error: postgres::Error) -> Self {
        Self::NotWritten(error.into())
    }
}

/// An organization, as the API shows it.
#[derive(Debug, Serialize, ToSchema)]
pub struct Organization {
    /// Its id.
    pub id: OrganizationId,
    /// Its name, which no other organization of its home region has.
    pub name: String,
    /// The person who owns it.
    pub owner_id: UserId,
    /// The region where its people's data lives and where its records are written.
    #[schema(value_type = String)]
    pub home_region: Region,
    /// Whether it is in use.
    pub state: OrganizationState,
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
    });
    tx.append(put).await?;
    Ok(())
}
