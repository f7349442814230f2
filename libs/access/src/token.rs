//! Opaque access tokens: `lbp_<region>_<seq>_<secret>_<check>` for people, `lbs_…` for system accounts.
//!
//! `region` and `seq` name where in the region's log the token was minted, so that another region can tell a token
//! that it has not heard of yet from one that never was. `check` tells a truncated paste from an unknown token.
//! Only the SHA-256 of the whole is ever stored.

use std::fmt;

use axum::http::{HeaderMap, header};
use ids::Region;
use sha2::{Digest as _, Sha256};

/// Bytes of randomness in a token.
pub const SECRET_BYTES: usize = 24;
/// Hexadecimal digits of the check.
const CHECK_DIGITS: usize = 8;
/// Longest token, bytes.
const TOKEN_BYTES_MAX: usize = 128;

/// What an opaque token belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenKind {
    /// A person; the text begins with `lbp_`.
    Personal,
    /// A system account; the text begins with `lbs_`.
    System,
}

impl TokenKind {
    const fn prefix(self) -> &'static str {
        match self {
            Self::Personal => "lbp",
            Self::System => "lbs",
        }
    }
}

/// A token that has the right form. Its text is secret: `Debug` hides it.
#[derive(Clone, PartialEq, Eq)]
pub struct OpaqueToken {
    /// What it belongs to, as its text says. The database decides.
    pub kind: TokenKind,
    /// Where it was minted.
    pub region: Region,
    /// Position in the minting region's log.
    pub seq: u64,
    text: String,
}

impl OpaqueToken {
    /// A new token. `secret` must be random; `seq` is the position of its entry in the log of `region`'s identity.
    pub fn mint(kind: TokenKind, region: &Region, seq: u64, secret: [u8; SECRET_BYTES]) -> Self {
        let body = format!("{}_{region}_{seq}_{}", kind.prefix(), hex::encode(secret));
        let text = format!("{body}_{}", check(&body));
        Self { kind, region: region.clone(), seq, text }
    }

    /// The token in `text`; `None` if it has not the form of one.
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() > TOKEN_BYTES_MAX {
            return None;
        }
        let (body, given) = text.rsplit_once('_')?;
        if given != check(body) {
            return None;
        }
        let mut parts = body.split('_');
        let kind = match parts.next()? {
            "lbp" => TokenKind::Personal,
            "lbs" => TokenKind::System,
            _ => return None,
        };
        let region = parts.next()?.parse().ok()?;
        let seq = parts.next()?.parse().ok()?;
        let secret = parts.next()?;
        let complete = secret.len() == 2 * SECRET_BYTES && parts.next().is_none();
        complete.then(|| Self { kind, region, seq, text: text.to_owned() })
    }

    /// The token that a request carries; `None` if it carries none, or a signed one.
    pub fn of_request(headers: &HeaderMap) -> Option<Self> {
        let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
        Self::parse(value.split_once(' ')?.1.trim())
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
        write!(f, "{}_{}_{}_…", self.kind.prefix(), self.region, self.seq)
    }
}

fn check(body: &str) -> String {
    hex::encode(&Sha256::digest(body)[..CHECK_DIGITS / 2])
}

#[cfg(test)]
mod tests {
    use super::{OpaqueToken, SECRET_BYTES, TokenKind};

    #[test]
    fn parses_what_it_mints_and_nothing_that_was_altered() {
        let region = "us".parse().expect("region");
        let token = OpaqueToken::mint(TokenKind::System, &region, 42, [7; SECRET_BYTES]);
        let text = token.expose();
        assert!(text.starts_with("lbs_us_42_0707"), "{text}");
        assert_eq!(OpaqueToken::parse(text).as_ref(), Some(&token));
        for end in 0..text.len() {
            assert_eq!(OpaqueToken::parse(&text[..end]), None, "truncated at {end}");
        }
        assert_eq!(OpaqueToken::parse(&text.replacen("42", "43", 1)), None);
        assert!(!format!("{token:?}").contains("0707"), "a secret is never shown");
    }
}
