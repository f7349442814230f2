//! What a write rests on and what can be revoked.
//!
//! authz names it with every decision that allows; it travels as text (`assignment:<id>`) and is read here, and nowhere
//! else. The log keeps the ids only: whatever an id names, revoking it ends what was written on the strength of it.

use std::{fmt, str::FromStr};

use ids::{AssignmentId, MembershipId, PrincipalId, TeamId, TokenId};
use uuid::Uuid;

use crate::Session;

/// Something that allows a write and that can be revoked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Authority {
    /// The caller itself, which can be made inactive or removed.
    Principal(PrincipalId),
    /// The access token of the request.
    Session(TokenId),
    /// An assigned role.
    Assignment(AssignmentId),
    /// The team that the role is assigned to.
    Team(TeamId),
    /// The caller's membership in that team.
    Membership(MembershipId),
}

/// Text that is no [`Authority`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} names nothing that a write can rest on")]
pub struct UnknownAuthority(pub String);

impl Authority {
    /// What every write in `session` rests on, whatever allows it.
    pub fn of_session(session: &Session) -> [Self; 2] {
        [Self::Principal(session.principal), Self::Session(session.id)]
    }

    /// The id, as the log has it.
    pub const fn uuid(self) -> Uuid {
        match self {
            Self::Principal(id) => id.uuid(),
            Self::Session(id) => id.uuid(),
            Self::Assignment(id) => id.uuid(),
            Self::Team(id) => id.uuid(),
            Self::Membership(id) => id.uuid(),
        }
    }
}

impl fmt::Display for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Principal(id) => write!(f, "principal:{id}"),
            Self::Session(id) => write!(f, "session:{id}"),
            Self::Assignment(id) => write!(f, "assignment:{id}"),
            Self::Team(id) => write!(f, "team:{id}"),
            Self::Membership(id) => write!(f, "membership:{id}"),
        }
    }
}

impl FromStr for Authority {
    type Err = UnknownAuthority;

    fn from_str(text: &str) -> Result<Self, UnknownAuthority> {
        let (kind, id) = text.split_once(':').ok_or_else(|| UnknownAuthority(text.to_owned()))?;
        let read = match kind {
            "principal" => id.parse().map(Self::Principal),
            "session" => id.parse().map(Self::Session),
            "assignment" => id.parse().map(Self::Assignment),
            "team" => id.parse().map(Self::Team),
            "membership" => id.parse().map(Self::Membership),
            _ => return Err(UnknownAuthority(text.to_owned())),
        };
        read.map_err(|_| UnknownAuthority(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::Authority;

    #[test]
    fn is_written_and_read_back() {
        let id = Uuid::now_v7();
        for kind in ["principal", "session", "assignment", "team", "membership"] {
            let text = format!("{kind}:{id}");
            let authority: Authority = text.parse().expect("known");
            assert_eq!((authority.to_string(), authority.uuid()), (text, id));
        }
    }

    #[test]
    fn an_unknown_form_is_an_error() {
        let id = Uuid::now_v7();
        for text in ["", "team", "team:", "team:1", &id.to_string(), &format!("role:{id}")] {
            assert!(text.parse::<Authority>().is_err(), "{text:?}");
        }
    }
}
