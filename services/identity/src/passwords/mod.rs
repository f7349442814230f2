//! Passwords: how people sign on to the console. Resident: nothing of them leaves the organization's home region.
//!
//! A password is set with the credential of a mail (an invite, or a reset), or by whoever knows the one before. Each ends the person's
//! sessions, but for the one in which it was changed.

pub mod attempts;
pub mod hashing;
pub mod http;
pub mod store;

pub use hashing::{Busy, Hasher};
use ids::{TokenId, UserId};
use web::FieldError;

use crate::{app::Tx, tokens};

/// Shortest password, characters, and longest, bytes. NIST SP 800-63B: length counts, rules of composition do not.
pub const CHARS_MIN: usize = 12;
pub const BYTES_MAX: usize = 1024;

/// What can go wrong with a password.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The database failed, or the log did.
    #[error(transparent)]
    NotWritten(#[from] mutation::Error),
    /// Too many are to be hashed.
    #[error(transparent)]
    Busy(#[from] Busy),
    /// Too many attempts have failed.
    #[error(transparent)]
    Locked(#[from] attempts::Locked),
    /// The credential of a mail opens nothing.
    #[error("the link is unknown, expired or used")]
    LinkUnknown,
}

impl From<postgres::Error> for Error {
    fn from(error: postgres::Error) -> Self {
        Self::NotWritten(error.into())
    }
}

/// A new password, in the form in which passwords are compared. `email` is the person's: a password must not be that.
pub fn parse_new(field: &str, text: &str, email: &str) -> Result<String, FieldError> {
    let refused = |reason: String| FieldError { field: field.to_owned(), reason };
    let password = comparable(text);
    if password.len() > BYTES_MAX {
        return Err(refused(format!("may have at most {BYTES_MAX} bytes")));
    }
    if password.chars().count() < CHARS_MIN {
        return Err(refused(format!("must have at least {CHARS_MIN} characters")));
    }
    let mut chars = password.chars();
    let first = chars.next();
    if password.eq_ignore_ascii_case(email) || chars.all(|c| Some(c) == first) {
        return Err(refused("is too easy to guess; choose another".to_owned()));
    }
    Ok(password)
}

/// The form in which passwords are compared: the same letters are the same password, however a keyboard encodes them.
pub fn comparable(text: &str) -> String {
    ids::name::comparable(text)
}

/// Sets the password of a person to the one with `hash`, and ends the person's sessions but for `kept`. Mails that would set another one
/// are of no use any more.
pub async fn set(tx: &mut Tx<'_>, person: UserId, hash: &str, kept: Option<TokenId>) -> Result<(), Error> {
    let at = tx.at();
    store::put(tx.connection(), person, hash, at).await?;
    store::forget_resets(tx.connection(), person).await?;
    for (id, ends_at) in tokens::store::usable_sessions(tx.connection(), person.cast(), at).await? {
        if Some(id) != kept {
            tokens::revoke_session(tx, id, ends_at).await?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{BYTES_MAX, parse_new};

    #[test]
    fn a_password_is_long_and_not_plain_to_see() {
        assert_eq!(
            parse_new("password", "correct horse ", "a@b").as_deref(),
            Ok("correct horse "),
            "as it is"
        );
        assert_eq!(
            parse_new("password", "cafe\u{301} cafe\u{301} caf", "a@b").as_deref(),
            Ok("caf\u{e9} caf\u{e9} caf")
        );
        for wrong in ["", "short", "aaaaaaaaaaaaaaaa", "Ada@Example.com", &"ab".repeat(BYTES_MAX)] {
            assert!(parse_new("password", wrong, "ada@example.com").is_err(), "{wrong}");
        }
    }
}
