//! The consistency token: what a client has seen or written, as an opaque text that any region can read.
//!
//! A token is a minimum for answers and allows nothing. Example: a client that was granted a role in us sends the token of that
//! answer to eu, and eu answers only once it has applied the grant. It is sealed because it makes a region wait: a forged one with
//! positions far ahead would keep requests parked. Nothing of a token can be read before its seal was checked.
//!
//! Form: base64url without padding of `version, organization (16 bytes), entries, MAC`. An entry is the origin's name
//! behind its length (1 byte), epoch (4 bytes) and sequence number (8 bytes), little-endian. The MAC is keyed BLAKE3 over
//! all before it, cut to 16 bytes. All regions of a deployment have the same key.

use std::fmt;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use ids::OrganizationId;
use subtle::{Choice, ConstantTimeEq as _};
use uuid::Uuid;

use crate::{Origin, Position, Vector};

/// Most entries of a token: the two replicated services of 32 regions. Beyond that a token that was sealed is not opened
/// again: a deployment of that size stops visibly rather than forgets what a client saw.
pub const TOKEN_ENTRIES_MAX: usize = 64;
/// Longest text of a token, in characters.
pub const TOKEN_TEXT_MAX: usize = (BYTES_MAX * 4).div_ceil(3);

const VERSION: u8 = 1;
const ORGANIZATION_BYTES: usize = 16;
const POSITION_BYTES: usize = 4 + 8;
const MAC_BYTES: usize = 16;
const KEY_BYTES: usize = 32;
/// A service, a dot and a region.
const ORIGIN_BYTES_MAX: usize = 16 + 1 + 16;
const ENTRY_BYTES_MAX: usize = 1 + ORIGIN_BYTES_MAX + POSITION_BYTES;
const BYTES_MAX: usize = 1 + ORGANIZATION_BYTES + TOKEN_ENTRIES_MAX * ENTRY_BYTES_MAX + MAC_BYTES;

/// What seals tokens: one key, and others that open what was sealed with them.
#[derive(Clone)]
pub struct TokenKey {
    seals: [u8; KEY_BYTES],
    also_opens: Vec<[u8; KEY_BYTES]>,
}

/// The setting's text is not a key of 32 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the key of consistency tokens is 64 hexadecimal digits")]
pub struct InvalidKey;

impl TokenKey {
    /// Reads 64 hexadecimal digits; white space around them is ignored, as a file ends with a new line.
    pub fn from_hex(text: &str) -> Result<Self, InvalidKey> {
        let mut key = [0; KEY_BYTES];
        hex::decode_to_slice(text.trim(), &mut key).map_err(|_| InvalidKey)?;
        Ok(Self { seals: key, also_opens: Vec::new() })
    }

    /// The same key, which also opens what `other` has sealed: a key that is being replaced, or the one that will replace it.
    pub fn opening(mut self, other: Self) -> Self {
        self.also_opens.push(other.seals);
        self
    }

    /// Keys for another purpose, as in `landbridge access tokens`, in the same order: the first seals, all open. Nobody learns anything
    /// about one purpose's key from another's (BLAKE3's key derivation).
    pub fn for_purpose(&self, purpose: &str) -> Vec<[u8; KEY_BYTES]> {
        self.all().map(|key| blake3::derive_key(purpose, key)).collect()
    }

    fn all(&self) -> impl Iterator<Item = &[u8; KEY_BYTES]> {
        std::iter::once(&self.seals).chain(&self.also_opens)
    }

    /// Whether one of the keys has made `given` of `sealed`. Takes the same time whatever `given` is.
    fn made(&self, sealed: &[u8], given: &[u8; MAC_BYTES]) -> bool {
        self.all().fold(Choice::from(0), |made, key| made | mac(key, sealed).ct_eq(given)).into()
    }
}

fn mac(key: &[u8; KEY_BYTES], sealed: &[u8]) -> [u8; MAC_BYTES] {
    let mut mac = [0; MAC_BYTES];
    blake3::Hasher::new_keyed(key).update(sealed).finalize_xof().fill(&mut mac);
    mac
}

impl fmt::Debug for TokenKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenKey(..)")
    }
}

/// An opened token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    /// The only organization for which the vector says anything.
    pub organization: OrganizationId,
    /// The last entry of each origin that touched the organization, as far as the client knows.
    pub vector: Vector,
}

/// Why a text is not taken as a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidToken {
    /// Not a token's form: cut off, changed in form, or something else.
    #[error("the consistency token is malformed")]
    Malformed,
    /// A token's form, but not sealed with this deployment's key.
    #[error("the consistency token is not one of this deployment")]
    Forged,
}

impl Token {
    /// The token as text, at most [`TOKEN_TEXT_MAX`] characters long for [`TOKEN_ENTRIES_MAX`] entries.
    pub fn seal(&self, key: &TokenKey) -> String {
        let mut bytes = vec![VERSION];
        bytes.extend(self.organization.as_bytes());
        for (origin, position) in &self.vector {
            let name = origin.to_string();
            bytes.push(name.len() as u8);
            bytes.extend(name.as_bytes());
            bytes.extend(position.epoch.to_le_bytes());
            bytes.extend(position.seq.to_le_bytes());
        }
        let mac = mac(&key.seals, &bytes);
        bytes.extend(mac);
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// Inverse of [`Token::seal`]. The seal is checked first, in constant time; nothing else of the text is read before.
    pub fn open(text: &str, key: &TokenKey) -> Result<Self, InvalidToken> {
        if text.len() > TOKEN_TEXT_MAX {
            return Err(InvalidToken::Malformed);
        }
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| InvalidToken::Malformed)?;
        let (sealed, mac) = bytes.split_last_chunk::<MAC_BYTES>().ok_or(InvalidToken::Malformed)?;
        if sealed.len() < 1 + ORGANIZATION_BYTES || sealed.first() != Some(&VERSION) {
            return Err(InvalidToken::Malformed);
        }
        if !key.made(sealed, mac) {
            return Err(InvalidToken::Forged);
        }
        Self::read(sealed).ok_or(InvalidToken::Malformed)
    }

    /// Reads what stands before the MAC, once that was checked.
    fn read(sealed: &[u8]) -> Option<Self> {
        let (_version, rest) = sealed.split_first()?;
        let (organization, mut rest) = rest.split_first_chunk::<ORGANIZATION_BYTES>()?;
        let mut vector = Vector::default();
        let mut entries = 0;
        while let Some((length, after)) = rest.split_first() {
            let (name, after) = after.split_at_checked(usize::from(*length))?;
            let (epoch, after) = after.split_first_chunk()?;
            let (seq, after) = after.split_first_chunk()?;
            let origin: Origin = std::str::from_utf8(name).ok()?.parse().ok()?;
            let position = Position { epoch: u32::from_le_bytes(*epoch), seq: u64::from_le_bytes(*seq) };
            vector.advance(&origin, position);
            rest = after;
            entries += 1;
        }
        let organization = OrganizationId::from_uuid(Uuid::from_bytes(*organization));
        (entries <= TOKEN_ENTRIES_MAX).then_some(Self { organization, vector })
    }
}

#[cfg(test)]
mod tests;
