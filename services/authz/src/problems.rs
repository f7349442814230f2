//! How the errors of this service are answered over HTTP: the one mapping.

use axum::response::{IntoResponse, Response};
use web::{Problem, ProblemType};

use crate::{Error, assigned_roles, check, control_planes, regions, teams};

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        match error {
            Error::Mutation(error) => error.into(),
            Error::Unavailable(error) => error.into(),
            Error::OrganizationNotArrived => {
                Self::not_yet_replicated("the organization has not arrived in this region; try again")
            }
            Error::Team(error) => team(&error),
            Error::AssignedRole(error) => assigned_role(&error),
            Error::Check(error) => check(&error),
            Error::ControlPlane(error @ control_planes::Error::MayNotCreate) => {
                Self::forbidden(error.to_string())
            }
            Error::Regions(error) => regions(&error),
            Error::Refused(problem) => problem,
        }
    }
}

fn team(error: &teams::Error) -> Problem {
    use teams::Error;
    match error {
        Error::NotFound | Error::MemberNotFound | Error::PrincipalNotFound(_) => {
            Problem::new(ProblemType::NotFound, error.to_string())
        }
        Error::NameTaken | Error::MemberAlready | Error::LastAdministrator => {
            Problem::conflict(error.to_string())
        }
        Error::Predefined | Error::HoldsMore | Error::AuthorityRevoked => {
            Problem::forbidden(error.to_string())
        }
        Error::Text(error) => error.clone().into(),
        Error::LabelsTooEarly => Problem::unavailable(error.to_string()),
    }
}

fn assigned_role(error: &assigned_roles::Error) -> Problem {
    use assigned_roles::Error;
    match error {
        Error::NotFound => Problem::new(ProblemType::NotFound, error.to_string()),
        Error::AssignedAlready => Problem::conflict(error.to_string()),
        Error::OfPredefinedTeam | Error::HoldsLess | Error::AuthorityRevoked => {
            Problem::forbidden(error.to_string())
        }
        Error::Invalid(error) => Problem::invalid_field(error.field(), error.to_string()),
    }
}

fn check(error: &check::Error) -> Problem {
    use check::Error;
    match error {
        Error::TooMany => Problem::invalid_field("checks", error.to_string()),
        Error::UnknownAction { question } => {
            Problem::invalid_field(format!("checks[{question}].action"), error.to_string())
        }
        Error::RegionMissing { question } => {
            Problem::invalid_field(format!("checks[{question}].on.region"), error.to_string())
        }
        Error::SessionEnded => Problem::unauthenticated(error.to_string()),
    }
}

fn regions(error: &regions::Error) -> Problem {
    use regions::Error;
    match error {
        Error::TokenNotFound => Problem::new(ProblemType::NotFound, error.to_string()),
        Error::IdentityAway(status) => {
            Problem::unavailable("identity cannot be asked now; try again").because(status)
        }
        Error::IdentityUnreadable(reason) => Problem::internal(reason),
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        Problem::from(self).into_response()
    }
}
