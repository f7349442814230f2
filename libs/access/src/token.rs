//! Opaque access tokens, and the one definition of their form: `lbp_<region>_<body>` for people, `lbs_…` for system accounts, `lbo_…`
//! for the platform operator.
//!
//! A token names where in its region's log it was minted, so that another region can tell a token that it has not heard of yet from
//! one that never was. The place is sealed: a stranger who sees a token learns the region, and not how much is written there. The
//! seal also tells a token of this deployment from a made-up text without asking anybody.
//!
//! `body` is hexadecimal: 24 random bytes (the secret), then the sealed place (epoch and sequence number, 12 bytes), then a tag of 16
//! bytes. Place and tag are AES-256-GCM. Its key is derived from the key of consistency tokens, so every service of every region has
//! it; its nonce is the first half of the secret, which is never drawn twice; kind, region and the rest of the secret are
//! authenticated. The key opens places only: what a token may do, its SHA-256 in the database says, and only that is ever stored.
//!
//! Releases before generation [`SEALED_TOKENS_GENERATION`] minted `lbp_<region>_<seq>_<secret>_<check>`. Such texts stay valid. Their
//! check can be computed by anybody, so they say nothing about where they come from.

use std::{fmt, sync::Arc};

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ids::Region;
use replication::{Position, TokenKey};
use sha2::{Digest as _, Sha256};

/// From this generation on, regions read tokens with a sealed place.
pub const SEALED_TOKENS_GENERATION: u32 = 3;
/// Bytes of randomness in a token.
pub const SECRET_BYTES: usize = 24;

const PURPOSE: &str = "landbridge access tokens: the place";
const PLACE_BYTES: usize = 4 + 8;
const TAG_BYTES: usize = 16;
const BODY_BYTES: usize = SECRET_BYTES + PLACE_BYTES + TAG_BYTES;
/// Hexadecimal digits of the check of an earlier text.
const CHECK_DIGITS: usize = 8;
/// Longest token, bytes: a prefix, a region of 16 characters, the body.
const TOKEN_BYTES_MAX: usize = 3 + 1 + 16 + 1 + 2 * BODY_BYTES;

/// What an opaque token belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenKind {
    /// A person; the text begins with `lbp_`.
    Personal,
    /// A system account; the text begins with `lbs_`.
    System,
    /// The platform operator; the text begins with `lbo_`.
    Operator,
}

impl TokenKind {
    const fn prefix(self) -> &'static str {
        match self {
            Self::Personal => "lbp",
            Self::System => "lbs",
            Self::Operator => "lbo",
        }
    }

    fn of_prefix(prefix: &str) -> Option<Self> {
        [Self::Personal, Self::System, Self::Operator].into_iter().find(|kind| kind.prefix() == prefix)
    }
}

/// A token that has the right form. Its text is secret: `Debug` hides it.
#[derive(Clone, PartialEq, Eq)]
pub struct OpaqueToken {
    /// What it belongs to, as its text says. The database decides.
    pub kind: TokenKind,
    /// Where it was minted.
    pub region: Region,
    /// Position of its entry in the log of the region's identity. Epoch 0: the text does not say which.
    pub position: Position,
    text: String,
}

impl OpaqueToken {
    /// A token in the form of releases before generation [`SEALED_TOKENS_GENERATION`], for regions that read no other one.
    pub fn plain(kind: TokenKind, region: &Region, seq: u64, secret: [u8; SECRET_BYTES]) -> Self {
        let body = format!("{}_{region}_{seq}_{}", kind.prefix(), hex::encode(secret));
        let text = format!("{body}_{}", check(&body));
        Self { kind, region: region.clone(), position: Position { epoch: 0, seq }, text }
    }

    fn read_plain(text: &str) -> Option<Self> {
        let (body, given) = text.rsplit_once('_')?;
        if given != check(body) {
            return None;
        }
        let mut parts = body.split('_');
        let kind = TokenKind::of_prefix(parts.next()?)?;
        let region = parts.next()?.parse().ok()?;
        let position = Position { epoch: 0, seq: parts.next()?.parse().ok()? };
        let secret = parts.next()?;
        let complete = secret.len() == 2 * SECRET_BYTES && parts.next().is_none();
        complete.then(|| Self { kind, region, position, text: text.to_owned() })
    }

    /// Whether its text could only be made with the deployment's key. A token that is not sealed may be made up.
    pub const fn is_sealed(&self) -> bool {
        self.position.epoch != 0
    }

    /// The text that its owner keeps.
    pub fn expose(&self) -> &str {
        &self.text
    }

    /// The hash that it is stored and found by.
    pub fn sha256(&self) -> [u8; 32] {
        Sha256::digest(&self.text).into()
    }
}

impl fmt::Debug for OpaqueToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}_{}_… of {:?}", self.kind.prefix(), self.region, self.position)
    }
}

/// Writes and reads the texts of tokens. Cheap to clone.
#[derive(Clone)]
pub struct TokenFormat {
    /// The first one seals; all open.
    keys: Arc<[LessSafeKey]>,
}

impl TokenFormat {
    /// The format of the deployment that has `key`.
    pub fn new(key: &TokenKey) -> Self {
        let key_of = |bytes: [u8; 32]| {
            LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &bytes).expect("AES-256-GCM takes 32 bytes"))
        };
        Self { keys: key.for_purpose(PURPOSE).into_iter().map(key_of).collect() }
    }

    /// A new token. `secret` must be random and used once; `position` is that of its entry in the log of `region`'s identity.
    pub fn mint(
        &self,
        kind: TokenKind,
        region: &Region,
        position: Position,
        secret: [u8; SECRET_BYTES],
    ) -> OpaqueToken {
        let mut place = [&position.epoch.to_le_bytes()[..], &position.seq.to_le_bytes()].concat();
        let tag = self.keys[0]
            .seal_in_place_separate_tag(nonce(&secret), aad(kind, region, &secret), &mut place)
            .expect("twelve bytes are below the limit");
        let body = [&secret[..], &place, tag.as_ref()].concat();
        let text = format!("{}_{region}_{}", kind.prefix(), hex::encode(body));
        OpaqueToken { kind, region: region.clone(), position, text }
    }

    /// The token in `text`; `None` if it has not the form of one of this deployment.
    pub fn read(&self, text: &str) -> Option<OpaqueToken> {
        if text.len() > TOKEN_BYTES_MAX {
            return None;
        }
        self.read_sealed(text).or_else(|| OpaqueToken::read_plain(text))
    }

    fn read_sealed(&self, text: &str) -> Option<OpaqueToken> {
        let (prefix, rest) = text.split_once('_')?;
        let (region, digits) = rest.split_once('_')?;
        let kind = TokenKind::of_prefix(prefix)?;
        let region: Region = region.parse().ok()?;
        let mut body = [0; BODY_BYTES];
        hex::decode_to_slice(digits, &mut body).ok()?;
        // One token has one text.
        if digits.bytes().any(|digit| digit.is_ascii_uppercase()) {
            return None;
        }
        let (secret, sealed) = body.split_first_chunk::<SECRET_BYTES>()?;
        let position = self.keys.iter().find_map(|key| {
            let mut place = sealed.to_vec();
            let place = key.open_in_place(nonce(secret), aad(kind, &region, secret), &mut place).ok()?;
            let (epoch, seq) = place.split_first_chunk()?;
            Some(Position {
                epoch: u32::from_le_bytes(*epoch),
                seq: u64::from_le_bytes(seq.try_into().ok()?),
            })
        });
        // No log has an epoch 0.
        let position = position.filter(|position| position.epoch != 0)?;
        Some(OpaqueToken { kind, region, position, text: text.to_owned() })
    }
}

/// The first half of the secret.
fn nonce(secret: &[u8; SECRET_BYTES]) -> Nonce {
    let mut bytes = [0; NONCE_LEN];
    bytes.copy_from_slice(&secret[..NONCE_LEN]);
    Nonce::assume_unique_for_key(bytes)
}

fn aad(kind: TokenKind, region: &Region, secret: &[u8; SECRET_BYTES]) -> Aad<Vec<u8>> {
    Aad::from([kind.prefix().as_bytes(), &secret[NONCE_LEN..], region.as_str().as_bytes()].concat())
}

fn check(body: &str) -> String {
    hex::encode(&Sha256::digest(body)[..CHECK_DIGITS / 2])
}

#[cfg(test)]
mod tests {
    use replication::{Position, TokenKey};

    use super::{OpaqueToken, SECRET_BYTES, TokenFormat, TokenKind};

    const PLACE: Position = Position { epoch: 3, seq: 42 };

    fn format(byte: &str) -> TokenFormat {
        TokenFormat::new(&key(byte))
    }

    fn key(byte: &str) -> TokenKey {
        TokenKey::from_hex(&byte.repeat(32)).expect("a key")
    }

    fn token(format: &TokenFormat) -> OpaqueToken {
        format.mint(TokenKind::System, &"us".parse().expect("region"), PLACE, [7; SECRET_BYTES])
    }

    #[test]
    fn reads_what_it_mints_and_nothing_that_was_altered() {
        let token = token(&format("ab"));
        let text = token.expose();
        assert!(text.starts_with("lbs_us_0707"), "{text}");
        assert_eq!(format("ab").read(text).as_ref(), Some(&token));
        assert!(token.is_sealed());
        for end in 0..text.len() {
            assert_eq!(format("ab").read(&text[..end]), None, "truncated at {end}");
            let mut altered = text.to_owned().into_bytes();
            altered[end] = if altered[end] == b'1' { b'2' } else { b'1' };
            let altered = String::from_utf8(altered).expect("text");
            assert_eq!(format("ab").read(&altered), None, "altered at {end}");
        }
        for other in ["lbp_us_", "lbs_eu_", "lbx_us_"] {
            assert_eq!(format("ab").read(&text.replacen("lbs_us_", other, 1)), None);
        }
        assert_eq!(format("ab").read(&text.to_uppercase().replacen("LBS_US", "lbs_us", 1)), None);
        assert!(!format!("{token:?}").contains("0707"), "a secret is never shown");
    }

    #[test]
    fn what_another_deployment_minted_is_none_of_this_one() {
        assert_eq!(format("cd").read(token(&format("ab")).expose()), None);
        let replaced = TokenFormat::new(&key("cd").opening(key("ab")));
        assert!(replaced.read(token(&format("ab")).expose()).is_some(), "an earlier key opens");
        assert!(format("cd").read(token(&replaced).expose()).is_some(), "the new key seals");
    }

    /// Neither place nor epoch can be seen: what differs in them only has nothing in common behind the secret.
    #[test]
    fn a_text_says_nothing_of_its_place() {
        let body = |secret: u8, seq: u64| {
            let position = Position { epoch: 1, seq };
            let token = format("ab").mint(
                TokenKind::Personal,
                &"us".parse().expect("region"),
                position,
                [secret; SECRET_BYTES],
            );
            token.expose()["lbp_us_".len() + 2 * SECRET_BYTES..].to_owned()
        };
        let bodies: Vec<String> = (0..64).map(|secret| body(secret, u64::from(secret))).collect();
        for (at, one) in bodies.iter().enumerate() {
            assert!(bodies[at + 1..].iter().all(|other| one[..24] != other[..24]));
        }
    }

    /// Made by release 0.1.0.
    #[test]
    fn texts_of_earlier_releases_stay_valid() {
        let token =
            OpaqueToken::plain(TokenKind::System, &"us".parse().expect("region"), 42, [7; SECRET_BYTES]);
        let text = token.expose();
        assert_eq!(text, format!("lbs_us_42_{}_c9e83790", "07".repeat(SECRET_BYTES)));
        assert_eq!(format("ab").read(text).as_ref(), Some(&token));
        assert!(!token.is_sealed());
        for end in 0..text.len() {
            assert_eq!(format("ab").read(&text[..end]), None, "truncated at {end}");
        }
        assert_eq!(format("ab").read(&text.replacen("42", "43", 1)), None);
    }
}
