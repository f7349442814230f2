//! The second factor: a code of an authenticator app, which somebody who has one signs on with beside the password. Resident.
//!
//! It is asked for from the moment on when a code has shown that the person has it. A code counts once. Who has lost the app signs on
//! with one of ten recovery codes, once each, or asks an administrator to remove the second factor.

pub mod http;
pub mod store;
pub mod totp;

use ids::UserId;
use random::Random;
use seal::SealKey;
use sha2::{Digest as _, Sha256};
use sqlx::PgConnection;

/// Recovery codes of a person.
const RECOVERY_CODES: usize = 10;
/// Bytes of randomness in one: nobody finds one by its hash.
const RECOVERY_BYTES: usize = 10;
/// Longest code that is looked at, bytes.
const CODE_BYTES_MAX: usize = 64;

/// What can go wrong with a second factor.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The database failed, or the log did.
    #[error(transparent)]
    NotWritten(#[from] mutation::Error),
    /// The person has one.
    #[error("you have a second factor")]
    Present,
    /// The person has none, or none that waits to be confirmed.
    #[error("no such second factor")]
    Absent,
    /// A code is needed to sign on.
    #[error("a code of the second factor is needed")]
    Needed,
    /// The code is wrong, or has counted before.
    #[error("the code is wrong or was used")]
    Wrong,
    /// What is stored is sealed with another key: a fault of ours or of the settings.
    #[error("the second factor is sealed with another key")]
    Unreadable,
}

impl From<postgres::Error> for Error {
    fn from(error: postgres::Error) -> Self {
        Self::NotWritten(error.into())
    }
}

/// What the secret of a person is sealed for.
fn purpose(person: UserId) -> Vec<u8> {
    [b"second factor ".as_slice(), person.as_bytes()].concat()
}

/// The hash of a recovery code, however it is written.
fn recovery_hash(code: &str) -> [u8; 32] {
    let plain: String = code.chars().filter(char::is_ascii_alphanumeric).collect();
    Sha256::digest(plain.to_ascii_uppercase()).into()
}

/// New recovery codes, in groups that people can read out.
fn recovery_codes(random: &Random) -> Vec<String> {
    let code = |_| {
        let text = totp::base32(&random.bytes::<RECOVERY_BYTES>());
        let groups: Vec<String> =
            text.as_bytes().chunks(4).map(|four| String::from_utf8_lossy(four).into_owned()).collect();
        groups.join("-")
    };
    (0..RECOVERY_CODES).map(code).collect()
}

/// Goes on only if `code` is one of the person's that counts at `now` (Unix seconds), or if the person has no second factor; answers whether
/// there is one. A code that counts is used up with the transaction of `connection`.
pub async fn require(
    connection: &mut PgConnection,
    seal: &SealKey,
    person: UserId,
    code: Option<&str>,
    now: i64,
) -> Result<bool, Error> {
    let Some(factor) = store::find(&mut *connection, person).await?.filter(|factor| factor.confirmed) else {
        return Ok(false);
    };
    let code = code.map(str::trim).filter(|code| !code.is_empty()).ok_or(Error::Needed)?;
    if code.len() > CODE_BYTES_MAX {
        return Err(Error::Wrong);
    }
    let secret = seal.open(&purpose(person), &factor.sealed).map_err(|_| Error::Unreadable)?;
    let counts = match totp::step_of(&secret, code, now) {
        Some(step) => store::use_step(connection, person, step).await?,
        None => store::use_recovery_code(connection, person, &recovery_hash(code)).await?,
    };
    if counts { Ok(true) } else { Err(Error::Wrong) }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use random::Random;

    use super::{recovery_codes, recovery_hash};

    #[test]
    fn recovery_codes_are_read_however_they_are_written() {
        let codes = recovery_codes(&Random::seeded(7));
        let hashes: BTreeSet<_> = codes.iter().map(|code| recovery_hash(code)).collect();
        assert_eq!((codes.len(), hashes.len(), codes[0].len()), (10, 10, 19), "{codes:?}");
        for written in [codes[0].to_lowercase(), codes[0].replace('-', ""), codes[0].replace('-', " ")] {
            assert_eq!(recovery_hash(&written), recovery_hash(&codes[0]));
        }
    }
}
