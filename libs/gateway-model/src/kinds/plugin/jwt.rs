//! Settings of `jwt`: requests must carry a JSON web token that a consumer has signed.

use super::{ANONYMOUS, CREDENTIAL_NAMES_MAX, PluginSettings};
use crate::record::{Fields, Rules, boolean, integer, list, record, text};
use crate::rules::{self, HEADER_NAME, QUOTABLE, Rule};

/// Characters of a claim's name.
const CLAIM_CHARS_MAX: usize = 128;
/// The name of a claim.
const CLAIM: Rule = Rule::new(claim, CLAIM_CHARS_MAX);
/// A claim about time.
const CHECKED_CLAIM: Rule = Rule::new(checked_claim, 3);
/// Seconds of a year.
const EXPIRATION_MAX: u32 = 31_536_000;

fn claim(text: &str) -> Result<(), String> {
    rules::length(text, CLAIM_CHARS_MAX)?;
    rules::printable(text)
}

fn checked_claim(text: &str) -> Result<(), String> {
    if matches!(text, "exp" | "nbf") { Ok(()) } else { Err("be `exp` or `nbf`".to_owned()) }
}

record! {
    /// Settings of `jwt`.
    pub struct Config {
        /// Query arguments that may hold the token.
        pub uri_param_names: Vec<String> = list(HEADER_NAME, CREDENTIAL_NAMES_MAX).or_empty(&["jwt"]),
        /// Cookies that may hold the token.
        pub cookie_names: Vec<String> = list(HEADER_NAME, CREDENTIAL_NAMES_MAX),
        /// Headers that may hold the token, behind the word `Bearer`.
        pub header_names: Vec<String> = list(HEADER_NAME, CREDENTIAL_NAMES_MAX).or_empty(&["authorization"]),
        /// The claim, or else the field of the token's header, that holds the key of the jwt credential.
        pub key_claim_name: String = text(CLAIM).or("iss"),
        /// Whether the secrets of credentials are base64.
        pub secret_is_base64: bool = boolean(false),
        /// Claims that must be there and be right: `exp` (not over yet), `nbf` (begun).
        pub claims_to_verify: Vec<String> = list(CHECKED_CLAIM, 2),
        /// Seconds from now that `exp` may lie ahead at most; 0: as long as it likes.
        pub maximum_expiration: u32 = integer(0, 0..=EXPIRATION_MAX),
        /// Whether `OPTIONS` requests need a token too.
        pub run_on_preflight: bool = boolean(true),
        /// Id or username of the consumer that a request counts as which shows no right token; null: it is refused.
        pub anonymous: Option<String> = text(ANONYMOUS),
        /// Realm named in the `WWW-Authenticate` header of refusals.
        pub realm: Option<String> = text(QUOTABLE),
        /// Whether requests that would be refused are counted and logged, and pass.
        pub observe: bool = boolean(false),
    }
}

impl PluginSettings for Config {
    const NAME: &'static str = "jwt";
    const RUNS_BEFORE_CONSUMER: bool = true;

    fn observe(&self) -> bool {
        self.observe
    }
}

impl Rules for Config {
    fn check(&self, fields: &mut Fields<'_>) {
        if self.maximum_expiration > 0 && !self.claims_to_verify.iter().any(|claim| claim == "exp") {
            fields.fail("claims_to_verify", "must contain `exp` where `maximum_expiration` is set");
        }
        if [&self.uri_param_names, &self.cookie_names, &self.header_names].iter().all(|names| names.is_empty()) {
            fields.fail("header_names", "must have an entry unless `cookie_names` or `uri_param_names` has: no request could pass");
        }
    }
}
