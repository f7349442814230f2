//! What can go wrong with a request, and how clients are told: the one mapping of this service's errors to HTTP.
//!
//! Each noun has an enum of its own for what can go wrong with it. They meet here.

use std::time::Duration;

use access::Unavailable;
use axum::response::{IntoResponse, Response};
use web::{FieldError, Problem, ProblemType};

use crate::{
    authentication_settings, console, domains, identity_providers, invites, organizations, passwords,
    second_factor, signing_keys, single_sign_on, system_accounts, tokens, users,
};

/// What a handler answers.
pub type Answer<T> = Result<T, Error>;

/// A request was not done.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The write failed, or the database did.
    #[error(transparent)]
    Mutation(#[from] mutation::Error),
    /// What the answer depends on is not known in this region now.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
    /// About the caller's organization.
    #[error(transparent)]
    Organization(#[from] organizations::Error),
    /// About a person.
    #[error(transparent)]
    User(#[from] users::Error),
    /// About an invite.
    #[error(transparent)]
    Invite(#[from] invites::Error),
    /// About a password.
    #[error(transparent)]
    Password(#[from] passwords::Error),
    /// About a second factor.
    #[error(transparent)]
    SecondFactor(#[from] second_factor::Error),
    /// About a session of the console.
    #[error(transparent)]
    Console(#[from] console::Error),
    /// About how an organization's people may sign on.
    #[error(transparent)]
    AuthenticationSettings(#[from] authentication_settings::Error),
    /// About an identity provider.
    #[error(transparent)]
    IdentityProvider(#[from] identity_providers::Error),
    /// About a domain.
    #[error(transparent)]
    Domain(#[from] domains::Error),
    /// About a sign-on by an identity provider.
    #[error(transparent)]
    SingleSignOn(#[from] single_sign_on::Error),
    /// About a system account.
    #[error(transparent)]
    SystemAccount(#[from] system_accounts::Error),
    /// About an access token.
    #[error(transparent)]
    Token(#[from] tokens::Error),
    /// About the keys that sign short-lived tokens.
    #[error(transparent)]
    SigningKey(#[from] signing_keys::Error),
    /// A field of the request is not valid.
    #[error("{}: {}", .0.field, .0.reason)]
    Invalid(FieldError),
    /// Refused by the guard or by what reads the parts of a request.
    #[error(transparent)]
    Refused(#[from] Problem),
}

impl From<FieldError> for Error {
    fn from(error: FieldError) -> Self {
        Self::Invalid(error)
    }
}

impl From<postgres::Error> for Error {
    fn from(error: postgres::Error) -> Self {
        Self::Mutation(error.into())
    }
}

impl From<oplog::NotWritten> for Error {
    fn from(error: oplog::NotWritten) -> Self {
        Self::Mutation(error.into())
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        match error {
            Error::Mutation(error) => error.into(),
            Error::Unavailable(error) => error.into(),
            Error::Organization(error) => organization(error),
            Error::User(error) => user(error),
            Error::Invite(error) => invite(error),
            Error::Password(error) => password(error),
            Error::SecondFactor(error) => second_factor(error),
            Error::Console(error) => console(error),
            Error::AuthenticationSettings(error) => authentication(error),
            Error::IdentityProvider(error) => identity_provider(error),
            Error::Domain(error) => domain(error),
            Error::SingleSignOn(error) => single_sign_on::problem(error),
            Error::SystemAccount(error) => system_account(error),
            Error::Token(error) => token(error),
            Error::SigningKey(error) => signing_key(error),
            Error::Invalid(error) => error.into(),
            Error::Refused(problem) => problem,
        }
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        Problem::from(self).into_response()
    }
}

fn organization(error: organizations::Error) -> Problem {
    match error {
        organizations::Error::NotWritten(error) => error.into(),
        organizations::Error::NameTaken => Problem::conflict("an organization with this name exists"),
        organizations::Error::Absent => Problem::not_found("organization"),
        error @ organizations::Error::TooEarly => Problem::unavailable(format!("{error}; try again then")),
        organizations::Error::Deleting => {
            Problem::conflict("the organization is being deleted, which cannot be taken back")
        }
        organizations::Error::NotHome => {
            Problem::unavailable("the organization has just arrived in this region; try again")
        }
        organizations::Error::NotOwner => {
            Problem::forbidden("only the owner of the organization can do this")
        }
        organizations::Error::StillHonoured => Problem::unavailable(
            "it is written; sessions may be decided as before until authz can be reached; try again",
        ),
        organizations::Error::NotArrived => {
            Problem::not_yet_replicated("the organization has not arrived in this region yet; try again")
        }
    }
}

fn user(error: users::Error) -> Problem {
    match error {
        users::Error::NotWritten(error) => error.into(),
        users::Error::AddressTaken => {
            Problem::conflict("the organization has a person with this e-mail address")
        }
        users::Error::Inactive => {
            Problem::conflict("the person with this e-mail address is deactivated; name another one")
        }
        users::Error::Absent => Problem::not_found("user"),
        users::Error::Owner => {
            Problem::conflict("the organization's owner can be neither deactivated nor removed")
        }
        users::Error::Oneself => {
            Problem::conflict("you cannot deactivate or remove yourself; another administrator can")
        }
        users::Error::StillHonoured => Problem::unavailable(
            "it is done; the person's sessions may last until authz can be reached; try again",
        ),
    }
}

fn invite(error: invites::Error) -> Problem {
    match error {
        invites::Error::NotWritten(error) => error.into(),
        invites::Error::NoMail => {
            Problem::conflict("no mail is sent here; set the section `mail` in the settings of identity")
        }
        invites::Error::IsMember => {
            Problem::conflict("the organization has a person with this e-mail address")
        }
        invites::Error::LimitReached => Problem::new(
            ProblemType::LimitReached,
            format!("at most {} invites can wait to be accepted; withdraw some first", invites::WAITING_MAX),
        ),
        invites::Error::Absent => Problem::not_found("invite"),
        error @ invites::Error::Unknown => Problem::unauthenticated(format!("{error}; ask for another one")),
    }
}

/// When whoever finds all turns taken should try again.
const BUSY: Duration = Duration::from_secs(1);

fn password(error: passwords::Error) -> Problem {
    match error {
        passwords::Error::NotWritten(error) => error.into(),
        error @ passwords::Error::Busy(_) => Problem::too_many_requests(format!("{error}; try again"), BUSY),
        passwords::Error::Locked(locked) => {
            Problem::too_many_requests(format!("{locked}; wait before the next one"), locked.wait)
        }
        error @ passwords::Error::LinkUnknown => {
            Problem::unauthenticated(format!("{error}; ask for another one"))
        }
    }
}

fn second_factor(error: second_factor::Error) -> Problem {
    match error {
        second_factor::Error::NotWritten(error) => error.into(),
        error @ second_factor::Error::Present => Problem::conflict(format!("{error}; remove it first")),
        second_factor::Error::Absent => Problem::not_found("second factor"),
        error @ second_factor::Error::Needed => Problem::invalid_field("totp", error.to_string()),
        error @ second_factor::Error::Wrong => Problem::invalid_field("code", error.to_string()),
        error @ second_factor::Error::Unreadable => Problem::internal(error),
    }
}

fn console(error: console::Error) -> Problem {
    match error {
        console::Error::NotWritten(error) => error.into(),
        error @ (console::Error::NotSignedOn | console::Error::WrongCode) => {
            Problem::unauthenticated(error.to_string())
        }
        error @ console::Error::Ended => Problem::unauthenticated(format!("{error}; sign on again")),
        error @ console::Error::NoPasswords => Problem::forbidden(error.to_string()),
        console::Error::Absent => Problem::not_found("session"),
    }
}

fn authentication(error: authentication_settings::Error) -> Problem {
    match error {
        authentication_settings::Error::NotWritten(error) => error.into(),
        error @ authentication_settings::Error::LocksOut => Problem::conflict(error.to_string()),
    }
}

fn identity_provider(error: identity_providers::Error) -> Problem {
    match error {
        identity_providers::Error::NotWritten(error) => error.into(),
        identity_providers::Error::Absent => Problem::not_found("identity provider"),
        identity_providers::Error::MappingAbsent => Problem::not_found("mapping"),
        error @ (identity_providers::Error::PathTaken
        | identity_providers::Error::LocksOut
        | identity_providers::Error::Mapped) => Problem::conflict(error.to_string()),
        error @ (identity_providers::Error::LimitReached | identity_providers::Error::MappingsReached) => {
            Problem::new(ProblemType::LimitReached, error.to_string())
        }
        error @ identity_providers::Error::Unreadable => Problem::internal(error),
    }
}

fn domain(error: domains::Error) -> Problem {
    match error {
        domains::Error::NotWritten(error) => error.into(),
        domains::Error::Absent => Problem::not_found("domain"),
        error @ (domains::Error::Taken | domains::Error::NotProven(_)) => {
            Problem::conflict(error.to_string())
        }
        error @ domains::Error::LimitReached => Problem::new(ProblemType::LimitReached, error.to_string()),
        error @ domains::Error::NoAnswer => Problem::unavailable(error.to_string()),
    }
}

fn system_account(error: system_accounts::Error) -> Problem {
    match error {
        system_accounts::Error::NotWritten(error) => error.into(),
        system_accounts::Error::NameTaken => {
            Problem::conflict("name: the organization has a system account with this name")
        }
        system_accounts::Error::Absent => Problem::not_found("system account"),
        system_accounts::Error::StillHonoured => Problem::unavailable(
            "the account is deleted; sessions made from its tokens may last until authz can be reached; try again",
        ),
    }
}

fn token(error: tokens::Error) -> Problem {
    match error {
        tokens::Error::NotWritten(error) => error.into(),
        tokens::Error::Absent => Problem::not_found("access token"),
        tokens::Error::LimitReached(most) => Problem::new(
            ProblemType::LimitReached,
            format!("at most {most} tokens can be active; revoke one first"),
        ),
        tokens::Error::OrganizationLimitReached(most) => Problem::new(
            ProblemType::LimitReached,
            format!(
                "at most {most} tokens of this organization can be active; revoke one first, or ask the platform operator for more"
            ),
        ),
        tokens::Error::KeyReused => mutation::Error::KeyReused.into(),
        tokens::Error::RevokedSince => {
            Problem::conflict("the token that this request made has been revoked since")
        }
        tokens::Error::ParentEnded => Problem::unauthenticated("the token's session has ended"),
        tokens::Error::ParentNotArrived => {
            Problem::not_yet_replicated("the token of the request has not arrived in this region; try again")
        }
        tokens::Error::StillHonoured => Problem::unavailable(
            "the token is revoked; sessions made from it may last until authz can be reached; try again",
        ),
        error @ tokens::Error::RenamedTooEarly => Problem::unavailable(format!("{error}; try again then")),
        error @ tokens::Error::Lost => Problem::internal(error),
    }
}

fn signing_key(error: signing_keys::Error) -> Problem {
    match error {
        signing_keys::Error::Database(error) => mutation::Error::from(error).into(),
        signing_keys::Error::NotSigningYet => {
            Problem::unavailable("this region's key has not reached the other regions yet; try again")
        }
        error @ signing_keys::Error::Unusable(_) => Problem::internal(error),
    }
}
