//! The secret of a webhook, and the signature of a delivery, as Standard Webhooks says: HMAC-SHA256 over id, time and body.

use aws_lc_rs::hmac;
use base64::{Engine as _, prelude::BASE64_STANDARD};
use random::Random;

const PREFIX: &str = "whsec_";
/// Bytes of a secret that is made here, and those that one may have.
const BYTES: usize = 32;
const BYTES_MIN: usize = 24;
const BYTES_MAX: usize = 64;

/// A secret. Its text is not shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Vec<u8>);

impl Secret {
    /// A new one.
    pub fn generate(random: &Random) -> Self {
        Self(random.bytes::<BYTES>().to_vec())
    }

    /// Reads `whsec_` and base64 of 24 to 64 bytes.
    pub fn parse(text: &str) -> Option<Self> {
        let bytes = BASE64_STANDARD.decode(text.strip_prefix(PREFIX)?).ok()?;
        (BYTES_MIN..=BYTES_MAX).contains(&bytes.len()).then_some(Self(bytes))
    }

    /// As its owner keeps it.
    pub fn expose(&self) -> String {
        format!("{PREFIX}{}", BASE64_STANDARD.encode(&self.0))
    }

    /// Its bytes, to be sealed.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// From its bytes.
    pub fn of_bytes(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }

    /// The value of the header `webhook-signature`. `at` is in Unix seconds.
    pub fn sign(&self, id: &str, at: i64, body: &[u8]) -> String {
        let key = hmac::Key::new(hmac::HMAC_SHA256, &self.0);
        let signed = [id.as_bytes(), b".", at.to_string().as_bytes(), b".", body].concat();
        format!("v1,{}", BASE64_STANDARD.encode(hmac::sign(&key, &signed)))
    }
}

#[cfg(test)]
mod tests {
    use super::Secret;

    /// The example of the specification of Standard Webhooks.
    #[test]
    fn signs_as_the_specification_says() {
        let secret = Secret::parse("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").expect("a secret");
        let signature =
            secret.sign("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, br#"{"test": 2432232314}"#);
        assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn a_secret_has_a_form() {
        assert!(Secret::parse("whsec_AAAA").is_none(), "too short");
        assert!(Secret::parse("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").is_none());
        let secret = Secret::generate(&random::Random::seeded(1));
        assert!(Secret::parse(&secret.expose()).as_ref() == Some(&secret));
    }
}
