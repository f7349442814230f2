//! Teams and their members. A team is a record of the home region; a membership is an edge that any region may write.

pub mod http;
mod mapped;
mod store;

use access::Caller;
use ids::{PrincipalId, TeamId};
use serde::Serialize;
use time::OffsetDateTime;
use utoipa::ToSchema;
use web::{FieldError, labels::Labels};

use crate::{Answer, app::App, operation::Kind};

/// A request about a team was not done.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("no such team")]
    NotFound,
    #[error("no such member")]
    MemberNotFound,
    /// The organization has no principal of this kind with the id.
    #[error("no such {}", noun(*.0))]
    PrincipalNotFound(Kind),
    #[error("name: the organization has a team with this name")]
    NameTaken,
    #[error("it is a member of the team already")]
    MemberAlready,
    /// An organization without an administrator could never have one again.
    #[error("{LAST_ADMINISTRATOR}")]
    LastAdministrator,
    #[error("a predefined team cannot be changed or deleted; only its members can")]
    Predefined,
    #[error("the team holds roles that you do not; only somebody who holds them can add members")]
    HoldsMore,
    /// What allowed the write was revoked in another region before the write was logged.
    #[error("what allowed this was taken back in the same moment")]
    AuthorityRevoked,
    /// The name, the description or the labels.
    #[error("{}", .0.reason)]
    Text(FieldError),
    /// A region of an earlier release would lose them.
    #[error("labels can be given to teams once every region runs this release; try again then")]
    LabelsTooEarly,
}

const LAST_ADMINISTRATOR: &str =
    "the last member of Organization Admin cannot be removed; add another one first";

/// What people call a principal of this kind.
const fn noun(kind: Kind) -> &'static str {
    match kind {
        Kind::User => "user",
        Kind::SystemAccount => "system account",
    }
}

/// A team as users see it, in Konnect's shape.
#[derive(Debug, Serialize, ToSchema)]
pub struct Team {
    /// A UUID, the same in every region.
    pub id: TeamId,
    /// Unique in the organization.
    pub name: String,
    /// `null` if nobody has given one.
    pub description: Option<String>,
    /// Short texts by name.
    pub labels: Labels,
    /// A predefined team cannot be renamed, deleted or given other roles.
    pub system_team: bool,
    /// When the team was created, RFC 3339.
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
    /// When its name, description or labels last changed, RFC 3339.
    #[serde(with = "time::serde::rfc3339")]
    pub updated_at: OffsetDateTime,
}

impl App {
    /// The caller's organization's team `id`. [`Error::NotFound`] once it is certain that no other region has made it.
    pub async fn team(&self, caller: &Caller, id: TeamId) -> Answer<Team> {
        if let Some(team) = store::find(&self.db, caller.organization(), id).await? {
            return Ok(team);
        }
        self.decider.settle(&caller.session.vector).await?;
        let found = store::find(&self.db, caller.organization(), id).await?;
        Ok(found.ok_or(Error::NotFound)?)
    }

    /// Goes on if the caller's organization has this principal of this kind. [`Error::PrincipalNotFound`] once it is certain that
    /// it is not on its way.
    pub async fn require_principal(&self, caller: &Caller, id: PrincipalId, kind: Kind) -> Answer<()> {
        if store::has_principal(&self.db, caller.organization(), id, kind).await? {
            return Ok(());
        }
        self.decider.settle(&caller.session.vector).await?;
        if store::has_principal(&self.db, caller.organization(), id, kind).await? {
            return Ok(());
        }
        Err(Error::PrincipalNotFound(kind).into())
    }
}
