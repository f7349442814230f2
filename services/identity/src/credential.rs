//! Secrets that people without an access token show: in the link of a mail, or to go on with a session of the console.
//!
//! The text is `<prefix>_<organization>_<secret>`: 32 hexadecimal digits that name the organization, so that every region knows where
//! its home is, and 48 of randomness. Only the SHA-256 of the text is stored.

use std::fmt;

use ids::OrganizationId;
use random::Random;
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

/// Bytes of randomness.
const SECRET_BYTES: usize = 24;

/// What a credential is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Accepts an invite, once.
    Invite,
    /// Sets a new password, once.
    PasswordReset,
    /// Goes on with a session of the console.
    Refresh,
    /// The state of a sign-on by an identity provider, which sends it back.
    SignOn,
}

impl Kind {
    const fn prefix(self) -> &'static str {
        match self {
            Self::Invite => "lbi",
            Self::PasswordReset => "lbw",
            Self::Refresh => "lbr",
            Self::SignOn => "lbf",
        }
    }
}

/// A credential that has the right form. Its text is secret: `Debug` hides it.
#[derive(Clone, PartialEq, Eq)]
pub struct Credential {
    /// Where it belongs, as its text says. The database decides.
    pub organization: OrganizationId,
    text: String,
}

impl Credential {
    /// A new one.
    pub fn make(kind: Kind, organization: OrganizationId, random: &Random) -> Self {
        let secret: [u8; SECRET_BYTES] = random.bytes();
        let text = format!("{}_{}_{}", kind.prefix(), organization.uuid().simple(), hex::encode(secret));
        Self { organization, text }
    }

    /// The one in `text`; `None` if it has not the form of one of this kind.
    pub fn read(kind: Kind, text: &str) -> Option<Self> {
        let rest = text.strip_prefix(kind.prefix())?.strip_prefix('_')?;
        let (organization, secret) = rest.split_once('_')?;
        // One credential has one text.
        let is_plain = rest.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f' | b'_'));
        let has_length =
            organization.len() == 32 && secret.len() == 2 * SECRET_BYTES && !secret.contains('_');
        let id = Uuid::try_parse(organization).ok().filter(|_| is_plain && has_length)?;
        Some(Self { organization: OrganizationId::from_uuid(id), text: text.to_owned() })
    }

    /// The text that its holder keeps.
    pub fn expose(&self) -> &str {
        &self.text
    }

    /// The hash that it is stored and found by.
    pub fn sha256(&self) -> [u8; 32] {
        Sha256::digest(&self.text).into()
    }
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a credential of {}", self.organization)
    }
}

#[cfg(test)]
mod tests {
    use ids::OrganizationId;
    use random::Random;

    use super::{Credential, Kind};

    #[test]
    fn reads_what_it_makes_and_nothing_else() {
        let organization = OrganizationId::generate();
        let made = Credential::make(Kind::Invite, organization, &Random::seeded(7));
        let text = made.expose();
        let read = Credential::read(Kind::Invite, text).expect("its form");
        assert_eq!((read.organization, read.sha256()), (organization, made.sha256()));
        assert_eq!(Credential::read(Kind::Refresh, text), None, "it is for something else");
        for end in 0..text.len() {
            assert_eq!(Credential::read(Kind::Invite, &text[..end]), None, "truncated at {end}");
        }
        for wrong in [text.to_uppercase(), format!("{text}0"), text.replace('_', "-"), format!("{text}_")] {
            assert_eq!(Credential::read(Kind::Invite, &wrong), None, "{wrong}");
        }
        assert!(!format!("{made:?}").contains(&text[40..]), "a secret is never shown");
    }
}
