//! What led to a decision.
//!
//! Cedar names policies by strings. They are made of a [`Reason`] and read back here, and nowhere else.

use std::{fmt, str::FromStr};

use ids::AssignmentId;

use crate::PolicyId;

/// What led to a decision. Reasons sort as their texts do.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    /// A role that is assigned to the caller or to a team of the caller: `assignment:<id>`.
    Assignment(AssignmentId),
    /// A custom policy of the organization: `policy:<id>`.
    Policy(PolicyId),
    /// A rule of the product, as in `system:suspended`: the organization is suspended.
    System(String),
}

/// Text that is no [`Reason`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no reason of a decision")]
pub struct UnknownReason(pub String);

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Assignment(id) => write!(f, "assignment:{id}"),
            Self::Policy(id) => write!(f, "policy:{id}"),
            Self::System(name) => write!(f, "system:{name}"),
        }
    }
}

impl FromStr for Reason {
    type Err = UnknownReason;

    fn from_str(text: &str) -> Result<Self, UnknownReason> {
        let unknown = || UnknownReason(text.to_owned());
        match text.split_once(':').ok_or_else(unknown)? {
            ("assignment", id) => id.parse().map(Self::Assignment).map_err(|_| unknown()),
            ("policy", id) => id.parse().map(Self::Policy).map_err(|_| unknown()),
            ("system", name) if !name.is_empty() => Ok(Self::System(name.to_owned())),
            _ => Err(unknown()),
        }
    }
}

#[cfg(test)]
mod tests {
    use ids::AssignmentId;

    use super::Reason;
    use crate::PolicyId;

    #[test]
    fn is_written_and_read_back() {
        let assignment = Reason::Assignment(AssignmentId::generate());
        let policy = Reason::Policy(PolicyId::generate());
        let system = Reason::System("error: no such thing".to_owned());
        for reason in [&assignment, &policy, &system] {
            assert_eq!(reason.to_string().parse().as_ref(), Ok(reason));
        }
        assert_eq!(system.to_string(), "system:error: no such thing");
        assert!(assignment < policy && policy < system, "as their texts sort");
    }

    #[test]
    fn an_unknown_form_is_an_error() {
        let id = AssignmentId::generate();
        for text in ["", "system:", "assignment", "assignment:1", &format!("role:{id}"), &id.to_string()] {
            assert!(text.parse::<Reason>().is_err(), "{text:?}");
        }
    }
}
