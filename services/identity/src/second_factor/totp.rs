//! Codes that change every thirty seconds (RFC 6238, with HMAC-SHA-1 and six digits: what every authenticator app does), and the texts
//! by which an app is told the secret.

use aws_lc_rs::{constant_time::verify_slices_are_equal, hmac};

/// Bytes of a secret, as RFC 4226 recommends.
pub const SECRET_BYTES: usize = 20;
/// How long a code is shown, seconds.
const STEP_SECONDS: i64 = 30;
/// How many steps the clock of an app may be behind or ahead.
const SKEW_STEPS: i64 = 1;
const DIGITS: usize = 6;
const ALPHABET: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

/// The step of time whose code `code` is, by a clock that shows `now` (Unix seconds); `None` if it is none of the present ones.
pub fn step_of(secret: &[u8], code: &str, now: i64) -> Option<i64> {
    let present = now.div_euclid(STEP_SECONDS);
    let mut steps = present.saturating_sub(SKEW_STEPS)..=present.saturating_add(SKEW_STEPS);
    steps.find(|step| verify_slices_are_equal(code_of(secret, *step).as_bytes(), code.as_bytes()).is_ok())
}

/// The code that is shown at `now` (Unix seconds).
pub fn code_at(secret: &[u8], now: i64) -> String {
    code_of(secret, now.div_euclid(STEP_SECONDS))
}

/// RFC 4226, section 5.3.
fn code_of(secret: &[u8], step: i64) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, secret);
    let tag = hmac::sign(&key, &step.to_be_bytes());
    let tag = tag.as_ref();
    let offset = usize::from(tag.last().copied().unwrap_or_default() & 0x0f);
    let four = tag.get(offset..offset + 4).unwrap_or_default();
    let number = four.iter().fold(0_u32, |number, byte| number << 8 | u32::from(*byte)) & 0x7fff_ffff;
    format!("{:0DIGITS$}", number % 1_000_000)
}

/// `bytes` in base32 (RFC 4648), without padding.
pub fn base32(bytes: &[u8]) -> String {
    let mut text = String::new();
    for chunk in bytes.chunks(5) {
        let mut five = [0; 5];
        five[..chunk.len()].copy_from_slice(chunk);
        let number = five.iter().fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
        let digits = (chunk.len() * 8).div_ceil(5);
        for digit in 0..digits {
            let value = (number >> (35 - 5 * digit)) & 0x1f;
            text.push(char::from(ALPHABET[usize::try_from(value).unwrap_or_default()]));
        }
    }
    text
}

/// What an app reads from a picture: the secret, whose it is (`account`) and what it opens (`issuer`).
pub fn url(secret: &[u8], issuer: &str, account: &str) -> String {
    let (issuer, account) = (escape(issuer), escape(account));
    format!("otpauth://totp/{issuer}:{account}?secret={}&issuer={issuer}", base32(secret))
}

fn escape(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~@".contains(&byte);
    text.bytes()
        .map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::{base32, code_at, code_of, step_of, url};

    const SECRET: &[u8] = b"12345678901234567890";

    /// RFC 4226, appendix D, and the last six digits of RFC 6238, appendix B.
    #[test]
    fn codes_are_those_of_the_standards() {
        let expected = [
            "755224", "287082", "359152", "969429", "338314", "254676", "287922", "162583", "399871",
            "520489",
        ];
        for (step, code) in (0..).zip(expected) {
            assert_eq!(code_of(SECRET, step), code);
        }
        for (now, code) in
            [(59, "287082"), (1_111_111_109, "081804"), (1_234_567_890, "005924"), (20_000_000_000, "353130")]
        {
            assert_eq!(code_at(SECRET, now), code);
        }
    }

    #[test]
    fn a_clock_may_be_a_step_behind_or_ahead() {
        let code = code_at(SECRET, 3000);
        for now in [2970, 3000, 3029, 3059] {
            assert_eq!(step_of(SECRET, &code, now), Some(100), "{now}");
        }
        for now in [2969, 3060] {
            assert_eq!(step_of(SECRET, &code, now), None, "{now}");
        }
        for wrong in ["", "000000", &code[1..], &format!("0{code}")] {
            assert_eq!(step_of(SECRET, wrong, 3000), None, "{wrong}");
        }
    }

    /// RFC 4648, section 10.
    #[test]
    fn base32_is_that_of_the_standard() {
        for (text, expected) in [
            ("", ""),
            ("f", "MY"),
            ("fo", "MZXQ"),
            ("foo", "MZXW6"),
            ("foob", "MZXW6YQ"),
            ("fooba", "MZXW6YTB"),
            ("foobar", "MZXW6YTBOI"),
        ] {
            assert_eq!(base32(text.as_bytes()), expected);
        }
    }

    #[test]
    fn an_app_is_told_all_it_needs() {
        assert_eq!(
            url(SECRET, "Acme & Co", "ada@example.com"),
            "otpauth://totp/Acme%20%26%20Co:ada@example.com?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&issuer=Acme%20%26%20Co"
        );
    }
}
