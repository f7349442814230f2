//! The enrolment token: one string with everything that a new node needs in order to enrol.
//!
//! Its text is `lbe_` and then base64url (without padding) of the content and a checksum of 4 bytes. The checksum finds a token
//! that was copied incompletely, before the node connects anywhere. It protects against nothing else. The token has the
//! fingerprint of the region's CA, so that the node can verify the server at its first connection.
//!
//! Content: format (1 byte, 1), id (16 bytes), secret (32 bytes), fingerprint (32 bytes), then the texts: the API's address and
//! the endpoints of the stream, each behind its length (2 bytes, big-endian).

use std::fmt;

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use crate::limits::ENDPOINTS_MAX;

/// What every token starts with.
pub const PREFIX: &str = "lbe_";

/// The longest token, in bytes of text.
pub const TOKEN_BYTES_MAX: usize = 8 * 1024;

const FORMAT: u8 = 1;
const CHECK_BYTES: usize = 4;

/// An enrolment token that was read, or is about to be shown to its maker.
#[derive(Clone, PartialEq, Eq)]
pub struct EnrolmentToken {
    /// Names the token in the config service's database.
    pub id: Uuid,
    /// Proves the right to enrol. The config service stores only [`EnrolmentToken::secret_hash`].
    pub secret: [u8; 32],
    /// Base URL of the region's API, `https://…`.
    pub api: String,
    /// Where the stream is served, `host:port` each. A node tries one after the other. At most [`ENDPOINTS_MAX`].
    pub sync: Vec<String>,
    /// SHA-256 of the region CA's certificate (DER).
    pub ca_sha256: [u8; 32],
}

/// Why a text is not an enrolment token. The messages are for the person who pasted it.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum InvalidToken {
    /// It does not start with [`PREFIX`].
    #[error("an enrolment token starts with {PREFIX}")]
    NotAToken,
    /// Cut off, changed or too long.
    #[error("the enrolment token is damaged: copy it again, whole, as it was shown when it was made")]
    Damaged,
    /// Complete, and of another format than this build reads.
    #[error("the enrolment token has a newer format than this gateway: use a newer gateway")]
    Unsupported,
}

impl EnrolmentToken {
    /// SHA-256 of the secret: what the config service stores and compares.
    pub fn secret_hash(&self) -> [u8; 32] {
        Sha256::digest(self.secret).into()
    }

    /// The token as text. Addresses longer than 65,535 bytes and endpoints beyond [`ENDPOINTS_MAX`] are cut off. This does not
    /// happen in practice: they come from the config service's settings.
    pub fn encode(&self) -> String {
        let mut content = vec![FORMAT];
        content.extend_from_slice(self.id.as_bytes());
        content.extend_from_slice(&self.secret);
        content.extend_from_slice(&self.ca_sha256);
        for text in [&self.api].into_iter().chain(self.sync.iter().take(ENDPOINTS_MAX)) {
            let length = u16::try_from(text.len()).unwrap_or(u16::MAX);
            content.extend_from_slice(&length.to_be_bytes());
            content.extend(text.bytes().take(length.into()));
        }
        let check = check(&content);
        content.extend_from_slice(&check);
        format!("{PREFIX}{}", BASE64_URL_SAFE_NO_PAD.encode(content))
    }

    /// Reads a token. White space around it is ignored.
    pub fn parse(text: &str) -> Result<EnrolmentToken, InvalidToken> {
        let text = text.trim();
        let encoded = text.strip_prefix(PREFIX).ok_or(InvalidToken::NotAToken)?;
        if text.len() > TOKEN_BYTES_MAX {
            return Err(InvalidToken::Damaged);
        }
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(encoded).map_err(|_| InvalidToken::Damaged)?;
        let (content, found) = bytes.split_last_chunk::<CHECK_BYTES>().ok_or(InvalidToken::Damaged)?;
        if check(content) != *found {
            return Err(InvalidToken::Damaged);
        }
        let (&format, content) = content.split_first().ok_or(InvalidToken::Damaged)?;
        if format != FORMAT {
            return Err(InvalidToken::Unsupported);
        }
        read(content).ok_or(InvalidToken::Damaged)
    }
}

fn check(content: &[u8]) -> [u8; CHECK_BYTES] {
    let [a, b, c, d, ..] = *blake3::hash(content).as_bytes();
    [a, b, c, d]
}

fn read(content: &[u8]) -> Option<EnrolmentToken> {
    let (id, content) = content.split_first_chunk::<16>()?;
    let (secret, content) = content.split_first_chunk::<32>()?;
    let (ca_sha256, mut content) = content.split_first_chunk::<32>()?;
    let mut texts = Vec::new();
    while let Some((length, rest)) = content.split_first_chunk::<2>() {
        let (text, rest) = rest.split_at_checked(u16::from_be_bytes(*length).into())?;
        texts.push(std::str::from_utf8(text).ok()?.to_owned());
        content = rest;
    }
    if !content.is_empty() || texts.is_empty() || texts.len() > ENDPOINTS_MAX + 1 {
        return None;
    }
    let api = texts.remove(0);
    Some(EnrolmentToken {
        id: Uuid::from_bytes(*id),
        secret: *secret,
        api,
        sync: texts,
        ca_sha256: *ca_sha256,
    })
}

/// Shows everything but the secret and the fingerprint.
impl fmt::Debug for EnrolmentToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { id, api, sync, .. } = self;
        f.debug_struct("EnrolmentToken")
            .field("id", id)
            .field("api", api)
            .field("sync", sync)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn token() -> EnrolmentToken {
        EnrolmentToken {
            id: Uuid::from_u128(1),
            secret: [0xab; 32],
            api: "https://eu.example.com".into(),
            sync: vec!["sync-1.example.com:7443".into(), "sync-2.example.com:7443".into()],
            ca_sha256: [7; 32],
        }
    }

    #[test]
    fn travels_whole() {
        let text = token().encode();
        assert_eq!(EnrolmentToken::parse(&text), Ok(token()));
        assert_eq!(EnrolmentToken::parse(&format!("  {text}\n")), Ok(token()));
    }

    /// The token's text with another content under a right checksum.
    fn resealed(token: &EnrolmentToken, change: impl FnOnce(&mut Vec<u8>)) -> String {
        let text = token.encode();
        let mut content = BASE64_URL_SAFE_NO_PAD.decode(&text[PREFIX.len()..]).expect("base64url");
        content.truncate(content.len() - CHECK_BYTES);
        change(&mut content);
        let check = check(&content);
        content.extend(check);
        format!("{PREFIX}{}", BASE64_URL_SAFE_NO_PAD.encode(content))
    }

    #[test]
    fn what_has_a_right_checksum_and_another_content_is_refused() {
        let most = EnrolmentToken { sync: vec!["a:1".into(); ENDPOINTS_MAX], ..token() };
        for token in [token(), most.clone(), EnrolmentToken { sync: vec![], ..token() }] {
            assert_eq!(EnrolmentToken::parse(&resealed(&token, |_| ())), Ok(token));
        }
        let refused = |token: &EnrolmentToken, change: fn(&mut Vec<u8>)| {
            EnrolmentToken::parse(&resealed(token, change)).expect_err("another content")
        };
        assert_eq!(refused(&token(), |content| content[0] += 1), InvalidToken::Unsupported);
        assert_eq!(refused(&token(), |content| content.push(0)), InvalidToken::Damaged, "half a length");
        assert_eq!(
            refused(&token(), |content| content.extend([0, 9])),
            InvalidToken::Damaged,
            "no such text"
        );
        assert_eq!(refused(&token(), |content| content.truncate(81)), InvalidToken::Damaged, "no address");
        assert_eq!(refused(&most, |content| content.extend([0, 1, b'x'])), InvalidToken::Damaged, "too many");
    }

    #[test]
    fn a_token_may_be_as_long_as_its_limit() {
        let with_api = |bytes: usize| EnrolmentToken { api: "a".repeat(bytes), sync: vec![], ..token() };
        let longest = with_api(6054);
        assert_eq!(longest.encode().len(), TOKEN_BYTES_MAX);
        assert_eq!(EnrolmentToken::parse(&longest.encode()), Ok(longest));
        assert_eq!(EnrolmentToken::parse(&with_api(6055).encode()), Err(InvalidToken::Damaged));
    }

    #[test]
    fn the_plane_stores_sha_256_of_the_secret() {
        // If this value changes, no stored token can be used any more.
        let stored = "9a2db2e23f1504cd056606553ac049c5e718e8f9ce9233876df1a7a1821af885";
        assert_eq!(hex::encode(token().secret_hash()), stored);
    }

    #[test]
    fn a_cut_or_altered_paste_is_told_apart() {
        let text = token().encode();
        for length in PREFIX.len()..text.len() {
            assert_eq!(EnrolmentToken::parse(&text[..length]), Err(InvalidToken::Damaged), "{length}");
        }
        for at in PREFIX.len()..text.len() {
            let mut altered = text.clone().into_bytes();
            altered[at] = if altered[at] == b'A' { b'B' } else { b'A' };
            let altered = String::from_utf8(altered).expect("ASCII");
            assert!(EnrolmentToken::parse(&altered).is_err(), "{at}");
        }
        assert_eq!(EnrolmentToken::parse("lbp_eu_1_x"), Err(InvalidToken::NotAToken));
    }

    #[test]
    fn shows_no_secret() {
        let shown = format!("{:?}", token());
        assert!(
            shown.contains("eu.example.com") && !shown.contains("171") && !shown.contains("ab, "),
            "{shown}"
        );
    }

    proptest! {
        #[test]
        fn any_token_travels(api in ".{0,80}", sync in prop::collection::vec(".{0,40}", 0..ENDPOINTS_MAX)) {
            let token = EnrolmentToken { api, sync, ..token() };
            prop_assert_eq!(EnrolmentToken::parse(&token.encode()), Ok(token));
        }

        #[test]
        fn arbitrary_text_is_no_danger(text in "(lbe_)?[A-Za-z0-9_-]{0,200}", content in prop::collection::vec(any::<u8>(), 0..120)) {
            let _ = EnrolmentToken::parse(&text);
            let sealed = [&content[..], &check(&content)].concat();
            let text = format!("{PREFIX}{}", BASE64_URL_SAFE_NO_PAD.encode(sealed));
            let _ = EnrolmentToken::parse(&text);
        }
    }

    /// Tokens that were changed at random (`libs/fuzzing`): each is refused or means the same when it is written and read again.
    #[test]
    fn fuzz_what_is_read_is_what_was_written() {
        let file = [env!("CARGO_MANIFEST_DIR"), "tests", "corpus", "enrolment-tokens"].join("/");
        let words = ["lbe_", "AQ", "AA", "__", "-", "=", " ", "\0", "\u{e9}"];
        let (mut read, mut resealed_read) = (0, 0);
        for case in fuzzing::Corpus::of_lines(file).with_words(&words).run(20_000) {
            let text = String::from_utf8_lossy(&case);
            if let Ok(token) = EnrolmentToken::parse(&text) {
                assert_eq!(token.encode(), text.trim(), "a token has one text");
                read += 1;
            }
            // Behind a right checksum, which anybody can compute.
            let content =
                text.trim().strip_prefix(PREFIX).and_then(|rest| BASE64_URL_SAFE_NO_PAD.decode(rest).ok());
            let Some(mut content) = content.filter(|content| content.len() > CHECK_BYTES) else { continue };
            content.truncate(content.len() - CHECK_BYTES);
            content.extend(check(&content));
            let text = format!("{PREFIX}{}", BASE64_URL_SAFE_NO_PAD.encode(content));
            if let Ok(token) = EnrolmentToken::parse(&text) {
                assert_eq!(EnrolmentToken::parse(&token.encode()), Ok(token));
                resealed_read += 1;
            }
        }
        assert!(read >= 2 && resealed_read > read, "{read} and {resealed_read} were read");
    }
}
