//! Invites: how people come to an organization. Resident: other regions hear of a person once it has accepted.
//!
//! A mail carries a credential that accepts the invite once, within [`LIFE`]. Whoever has it chooses the name and the password.

pub mod http;
pub mod store;

use ids::{Id, UserId};
use serde::Serialize;
use time::{Duration, OffsetDateTime};
use utoipa::ToSchema;

/// How long an invite can be accepted.
pub const LIFE: Duration = Duration::days(7);
/// Most invites of an organization that wait to be accepted.
pub const WAITING_MAX: i64 = 1000;

/// Names a kind of id. Never constructed.
pub enum InviteKind {}

/// The id of an invite.
pub type InviteId = Id<InviteKind>;

/// What can go wrong with an invite.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The database failed, or the log did.
    #[error(transparent)]
    NotWritten(#[from] mutation::Error),
    /// The settings name no mail server.
    #[error("no mail is sent here")]
    NoMail,
    /// The organization has a person with this address.
    #[error("the organization has a person with this e-mail address")]
    IsMember,
    /// Too many invites or mails wait.
    #[error("too many invites wait")]
    LimitReached,
    /// The organization has no such invite.
    #[error("no such invite")]
    Absent,
    /// The credential of a mail opens nothing.
    #[error("the invite is unknown, expired, accepted or withdrawn")]
    Unknown,
}

impl From<postgres::Error> for Error {
    fn from(error: postgres::Error) -> Self {
        Self::NotWritten(error.into())
    }
}

/// An invite that waits to be accepted, as the API shows it.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Invite {
    /// Its id.
    pub id: InviteId,
    /// The address that the mail goes to.
    pub email: String,
    /// Who has invited.
    pub invited_by: UserId,
    /// When that was.
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
    /// Until when it can be accepted.
    #[serde(with = "time::serde::rfc3339")]
    pub expires_at: OffsetDateTime,
}
