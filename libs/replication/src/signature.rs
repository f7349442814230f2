//! Who made an entry. Every origin signs each entry of its log (Ed25519), and nobody else has its key: whoever holds a
//! certificate of NATS or of another region can keep entries back or pass them on, and cannot make one.
//!
//! Signed are the name of the log, the position and the chain hash. The hash covers the entry and all before it, so the
//! signature of one entry proves a whole page that ends with it ([`Keyring::prove_page`]), and proves a [`Tip`] to somebody
//! who does not have the entry.
//!
//! Forms: a key is 32 bytes, written as 64 hexadecimal digits; a signature is 72 bytes, the id of its key (the first 8 bytes
//! of the BLAKE3 hash of the public key) and the 64 bytes of Ed25519.

use std::{collections::BTreeMap, fmt, str::FromStr};

use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair as _, ParsedPublicKey};

use crate::{Entry, Origin, Tip};

/// Bytes of a private or a public key.
const KEY_BYTES: usize = 32;
const KEY_ID_BYTES: usize = 8;
/// Bytes of a signature, the id of its key included.
pub const SIGNATURE_BYTES: usize = KEY_ID_BYTES + 64;
/// Keeps signatures of entries apart from all others that the key might ever make.
const CONTEXT: &[u8] = b"landbridge log entry v1\0";

/// Names a public key.
pub type KeyId = [u8; KEY_ID_BYTES];

/// The signature of an entry, as it is stored and sent.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Signature([u8; SIGNATURE_BYTES]);

impl Signature {
    /// A signature from its bytes; `None` if they are not [`SIGNATURE_BYTES`]. Whether it is right, a [`Keyring`] tells.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    /// Its bytes, as [`Signature::from_bytes`] takes them.
    pub fn as_bytes(&self) -> &[u8; SIGNATURE_BYTES] {
        &self.0
    }

    /// The key that it says it was made with.
    pub fn key(&self) -> KeyId {
        let (key, _) = self.0.split_at(KEY_ID_BYTES);
        key.try_into().unwrap_or_default()
    }

    fn ed25519(&self) -> &[u8] {
        self.0.split_at(KEY_ID_BYTES).1
    }
}

impl fmt::Debug for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Signature(by {})", hex::encode(self.key()))
    }
}

/// A text is not the key that it should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a key of a log is 64 hexadecimal digits")]
pub struct InvalidSigningKey;

/// The private key of a log: 32 random bytes.
pub struct Signer {
    pair: Ed25519KeyPair,
    public: PublicKey,
}

impl Signer {
    /// The key that these bytes are the seed of. They have to be random and secret.
    pub fn from_seed(seed: &[u8; KEY_BYTES]) -> Result<Self, InvalidSigningKey> {
        let pair = Ed25519KeyPair::from_seed_unchecked(seed).map_err(|_| InvalidSigningKey)?;
        let public = PublicKey::from_bytes(pair.public_key().as_ref())?;
        Ok(Self { pair, public })
    }

    /// Reads 64 hexadecimal digits; white space around them is ignored, as a file ends with a new line.
    pub fn from_hex(text: &str) -> Result<Self, InvalidSigningKey> {
        let mut seed = [0; KEY_BYTES];
        hex::decode_to_slice(text.trim(), &mut seed).map_err(|_| InvalidSigningKey)?;
        Self::from_seed(&seed)
    }

    /// What others verify its signatures with.
    pub fn public(&self) -> &PublicKey {
        &self.public
    }

    /// Signs the entry of `origin` that is `tip`.
    pub fn sign(&self, origin: &Origin, tip: &Tip) -> Signature {
        let mut signature = [0; SIGNATURE_BYTES];
        let (key, ed25519) = signature.split_at_mut(KEY_ID_BYTES);
        key.copy_from_slice(&self.public.id);
        ed25519.copy_from_slice(self.pair.sign(&signed_bytes(origin, tip)).as_ref());
        Signature(signature)
    }
}

impl Signer {
    /// Signs `message`, which is no entry of a log. `context` says what it is: a signature counts for no other context.
    pub fn sign_message(&self, context: Context, message: &[u8]) -> Signature {
        let mut signature = [0; SIGNATURE_BYTES];
        let (key, ed25519) = signature.split_at_mut(KEY_ID_BYTES);
        key.copy_from_slice(&self.public.id);
        ed25519.copy_from_slice(self.pair.sign(&context.bytes(message)).as_ref());
        Signature(signature)
    }
}

/// What a message is that a log's key signs besides entries. Its text ends with a zero byte that no context has elsewhere, so none is
/// the beginning of another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Context {
    /// The end of a chain of audit entries.
    AuditHead,
    /// An entry of such a chain.
    AuditEntry,
    /// Where such a chain begins now.
    AuditFloor,
}

impl Context {
    fn bytes(self, message: &[u8]) -> Vec<u8> {
        let context: &[u8] = match self {
            Self::AuditHead => b"landbridge audit head v1\0",
            Self::AuditEntry => b"landbridge audit entry v1\0",
            Self::AuditFloor => b"landbridge audit floor v1\0",
        };
        [context, message].concat()
    }
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Signer").field(&self.public).finish()
    }
}

/// The public half of a [`Signer`].
#[derive(Clone)]
pub struct PublicKey {
    id: KeyId,
    bytes: [u8; KEY_BYTES],
    parsed: ParsedPublicKey,
}

impl PublicKey {
    fn from_bytes(bytes: &[u8]) -> Result<Self, InvalidSigningKey> {
        let bytes: [u8; KEY_BYTES] = bytes.try_into().map_err(|_| InvalidSigningKey)?;
        let parsed = ParsedPublicKey::new(&ED25519, bytes).map_err(|_| InvalidSigningKey)?;
        let id = blake3::hash(&bytes).as_bytes().first_chunk().copied().ok_or(InvalidSigningKey)?;
        Ok(Self { id, bytes, parsed })
    }

    /// How signatures name it.
    pub fn id(&self) -> KeyId {
        self.id
    }

    /// Whether one of `keys` signed `message` in this `context`.
    pub fn any_signed(
        keys: &[Self],
        context: Context,
        message: &[u8],
        signature: &Signature,
    ) -> Result<(), Unproven> {
        let key = keys.iter().find(|key| key.id == signature.key()).ok_or(Unproven::UnknownKey)?;
        let signed = context.bytes(message);
        key.parsed.verify_sig(&signed, signature.ed25519()).map_err(|_| Unproven::Wrong)
    }
}

/// Reads 64 hexadecimal digits.
impl FromStr for PublicKey {
    type Err = InvalidSigningKey;

    fn from_str(text: &str) -> Result<Self, InvalidSigningKey> {
        let mut bytes = [0; KEY_BYTES];
        hex::decode_to_slice(text.trim(), &mut bytes).map_err(|_| InvalidSigningKey)?;
        Self::from_bytes(&bytes)
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.bytes))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({self})")
    }
}

/// An entry or a tip is not known to be of its origin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unproven {
    /// It has no signature.
    #[error("it is not signed")]
    Unsigned,
    /// The keyring has no such key of this log.
    #[error("it is signed with a key that is not one of this log's")]
    UnknownKey,
    /// The signature is of something else, or of nobody.
    #[error("its signature is wrong")]
    Wrong,
    /// An entry of a page does not precede the next one, which is proven.
    #[error("it is not what its origin has at this place")]
    NotInChain,
}

/// The public keys of every log.
#[derive(Clone, Debug, Default)]
pub struct Keyring(BTreeMap<Origin, Vec<PublicKey>>);

impl Keyring {
    /// Trusts `keys` for the log of `origin`, the one that it signs with now first.
    pub fn trust(&mut self, origin: Origin, keys: Vec<PublicKey>) {
        self.0.insert(origin, keys);
    }

    /// The key that `origin` signs with now; `None` if nothing is known of that log.
    pub fn current(&self, origin: &Origin) -> Option<&PublicKey> {
        self.0.get(origin)?.first()
    }

    /// Whether `origin` has an entry with this position and this hash.
    pub fn prove_tip(
        &self,
        origin: &Origin,
        tip: &Tip,
        signature: Option<&Signature>,
    ) -> Result<(), Unproven> {
        let signature = signature.ok_or(Unproven::Unsigned)?;
        let keys = self.0.get(origin).map(Vec::as_slice).unwrap_or_default();
        let key = keys.iter().find(|key| key.id == signature.key()).ok_or(Unproven::UnknownKey)?;
        key.parsed.verify_sig(&signed_bytes(origin, tip), signature.ed25519()).map_err(|_| Unproven::Wrong)
    }

    /// Whether `entry` is of its origin.
    pub fn prove(&self, entry: &Entry) -> Result<(), Unproven> {
        self.prove_tip(&entry.origin, &entry.tip(), entry.signature.as_ref())
    }

    /// Whether all of `page`, entries of one log in order, are of their origin. Costs one verification, however long the page is:
    /// that of the last entry, which the others are proven by through the chain of hashes.
    pub fn prove_page(&self, page: &[Entry]) -> Result<(), Unproven> {
        let Some((last, before)) = page.split_last() else { return Ok(()) };
        self.prove(last)?;
        let mut next = last;
        for entry in before.iter().rev() {
            if entry.origin != next.origin || !entry.tip().precedes(next) {
                return Err(Unproven::NotInChain);
            }
            next = entry;
        }
        Ok(())
    }
}

fn signed_bytes(origin: &Origin, tip: &Tip) -> Vec<u8> {
    let mut bytes = CONTEXT.to_vec();
    bytes.extend(tip.position.epoch.to_le_bytes());
    bytes.extend(tip.position.seq.to_le_bytes());
    bytes.extend(tip.hash);
    bytes.extend(origin.to_string().as_bytes());
    bytes
}

#[cfg(test)]
mod tests;
