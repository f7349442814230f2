//! Settings of `hmac-auth`: requests must be signed with the key of a consumer.

use super::{ANONYMOUS, CREDENTIAL_BODY_BYTES, CREDENTIAL_BODY_BYTES_MAX, PluginSettings};
use crate::record::{Rules, boolean, integer, list, record, text, word_list, words};
use crate::rules::{self, QUOTABLE, Rule};

/// Headers that a signature may have to cover.
const HEADERS_MAX: usize = 32;
/// Seconds of a day.
const CLOCK_SKEW_MAX: u32 = 86_400;
/// What a signature covers: a header, or one of the words for the request line.
const SIGNED: Rule = Rule::new(signed, rules::HEADER_NAME.chars_max);

fn signed(text: &str) -> Result<(), String> {
    if text == "@request-target" { Ok(()) } else { (rules::HEADER_NAME.check)(text) }
}

words! {
    /// How a request is signed.
    pub enum HmacAlgorithm {
        /// HMAC with SHA-1.
        Sha1 = "hmac-sha1",
        /// HMAC with SHA-256.
        Sha256 = "hmac-sha256",
        /// HMAC with SHA-384.
        Sha384 = "hmac-sha384",
        /// HMAC with SHA-512.
        Sha512 = "hmac-sha512",
    }
}

const ALGORITHMS: [HmacAlgorithm; 4] =
    [HmacAlgorithm::Sha1, HmacAlgorithm::Sha256, HmacAlgorithm::Sha384, HmacAlgorithm::Sha512];

record! {
    /// Settings of `hmac-auth`.
    pub struct Config {
        /// Seconds by which the `X-Date` or `Date` of a request may differ from the gateway's clock.
        pub clock_skew: u32 = integer(300, 1..=CLOCK_SKEW_MAX),
        /// The algorithms that signatures may have.
        pub algorithms: Vec<HmacAlgorithm> = word_list(&ALGORITHMS),
        /// What every signature must cover: names of headers, `request-line` or `@request-target`.
        pub enforce_headers: Vec<String> = list(SIGNED, HEADERS_MAX),
        /// Whether the `Digest` header must fit the body. To be used with `digest` among `enforce_headers`.
        pub validate_request_body: bool = boolean(false),
        /// Bytes of a body at most whose digest is checked; a longer one is refused.
        pub body_max_bytes: u32 = integer(CREDENTIAL_BODY_BYTES, 1..=CREDENTIAL_BODY_BYTES_MAX),
        /// Whether the signature is removed from the request before it goes upstream.
        pub hide_credentials: bool = boolean(false),
        /// Id or username of the consumer that a request counts as which has no right signature; null: it is refused.
        pub anonymous: Option<String> = text(ANONYMOUS),
        /// Realm named in the `WWW-Authenticate` header of refusals.
        pub realm: Option<String> = text(QUOTABLE),
        /// Whether requests that would be refused are counted and logged, and pass.
        pub observe: bool = boolean(false),
    }
}

impl PluginSettings for Config {
    const NAME: &'static str = "hmac-auth";
    const RUNS_BEFORE_CONSUMER: bool = true;

    fn observe(&self) -> bool {
        self.observe
    }
}

impl Rules for Config {}
