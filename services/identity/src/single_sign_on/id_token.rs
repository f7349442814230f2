//! What an ID token has to say (OpenID Connect Core 1.0, sections 3.1.3.6 and 3.1.3.7). Pure: the signature was verified before.

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256, Sha384, Sha512};

/// How far the clocks of a provider and of this region may be apart, seconds.
const SKEW: i64 = 60;
/// Longest subject and issuer, bytes: a subject has at most 255 (section 2).
const SUBJECT_BYTES_MAX: usize = 255;

/// The claims of a token.
pub type Claims = Map<String, Value>;

/// What a token is expected to say.
#[derive(Clone, Copy, Debug)]
pub struct Expected<'e> {
    /// The provider, as it names itself.
    pub issuer: &'e str,
    /// What the provider knows the organization by.
    pub client: &'e str,
    /// Of this sign-on.
    pub nonce: &'e str,
    /// Unix seconds.
    pub now: i64,
}

/// The subject of a token, or why the token does not count.
pub fn judge<'c>(claims: &'c Claims, expected: &Expected<'_>) -> Result<&'c str, &'static str> {
    let text = |name: &str| claims.get(name).and_then(Value::as_str);
    let audience = match claims.get("aud") {
        Some(Value::String(audience)) => vec![audience.as_str()],
        Some(Value::Array(all)) => all.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    let is_for_others = audience.len() > 1 && text("azp").is_none();
    let azp_is_other = text("azp").is_some_and(|azp| azp != expected.client);
    let is_subject =
        |sub: &&str| !sub.is_empty() && sub.len() <= SUBJECT_BYTES_MAX && !sub.contains(char::is_control);
    let subject = text("sub").filter(is_subject);
    if text("iss") != Some(expected.issuer) {
        Err("its token is of another issuer")
    } else if !audience.contains(&expected.client) || is_for_others || azp_is_other {
        Err("its token is for somebody else")
    } else if !is_same(text("nonce").unwrap_or_default(), expected.nonce) {
        Err("its token is of another sign-on")
    } else if seconds(claims, "exp").is_none_or(|end| end + SKEW <= expected.now) {
        Err("its token is over")
    } else if seconds(claims, "iat").is_none_or(|start| start - SKEW > expected.now) {
        Err("its token is of the future")
    } else if claims.contains_key("nbf")
        && seconds(claims, "nbf").is_none_or(|start| start - SKEW > expected.now)
    {
        Err("its token does not count yet")
    } else {
        subject.ok_or("its token does not say of whom it is")
    }
}

/// Goes on only if the token says nothing of the access token beside it, or what is so. `algorithm` is that of the token's header.
pub fn judge_access_token(claims: &Claims, algorithm: &str, access_token: &str) -> Result<(), &'static str> {
    let Some(said) = claims.get("at_hash") else { return Ok(()) };
    let hash = match algorithm.get(2..) {
        Some("256") => Sha256::digest(access_token).to_vec(),
        Some("384") => Sha384::digest(access_token).to_vec(),
        // EdDSA with Ed25519 hashes with SHA-512.
        _ => Sha512::digest(access_token).to_vec(),
    };
    let half = hash.get(..hash.len() / 2).unwrap_or_default();
    match is_same(said.as_str().unwrap_or_default(), &BASE64_URL_SAFE_NO_PAD.encode(half)) {
        true => Ok(()),
        false => Err("its tokens do not belong together"),
    }
}

fn is_same(one: &str, other: &str) -> bool {
    aws_lc_rs::constant_time::verify_slices_are_equal(one.as_bytes(), other.as_bytes()).is_ok()
}

/// A time in whole seconds. Some providers send fractions.
fn seconds(claims: &Claims, name: &str) -> Option<i64> {
    let value = claims.get(name)?;
    // Unix seconds are far below 2^53.
    #[expect(clippy::cast_possible_truncation, reason = "it saturates")]
    value.as_i64().or_else(|| value.as_f64().map(|seconds| seconds as i64))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{Claims, Expected, judge, judge_access_token};

    const EXPECTED: Expected<'_> =
        Expected { issuer: "https://id.example", client: "us", nonce: "n", now: 1_000_000 };

    fn claims(changes: Value) -> Claims {
        let mut claims = json!({
            "iss": "https://id.example", "aud": "us", "sub": "1", "nonce": "n", "exp": 1_000_300, "iat": 999_999
        });
        let all = claims.as_object_mut().expect("an object");
        for (name, value) in changes.as_object().expect("an object") {
            match value {
                Value::Null => drop(all.remove(name)),
                value => drop(all.insert(name.clone(), value.clone())),
            }
        }
        all.clone()
    }

    #[test]
    fn a_token_counts_with_all_that_it_has_to_say() {
        for changes in [
            json!({}),
            json!({ "aud": ["us"] }),
            json!({ "aud": ["us", "others"], "azp": "us" }),
            json!({ "exp": 999_941 }),
            json!({ "exp": 1_000_300.5 }),
            json!({ "iat": 1_000_060, "nbf": 1_000_060 }),
        ] {
            assert_eq!(judge(&claims(changes.clone()), &EXPECTED), Ok("1"), "{changes}");
        }
    }

    #[test]
    fn a_token_that_lacks_something_does_not_count() {
        for (changes, expected) in [
            (json!({ "iss": "https://id.example/" }), "another issuer"),
            (json!({ "iss": null }), "another issuer"),
            (json!({ "aud": "others" }), "somebody else"),
            (json!({ "aud": null }), "somebody else"),
            (json!({ "aud": ["us", "others"] }), "somebody else"),
            (json!({ "azp": "others" }), "somebody else"),
            (json!({ "nonce": "m" }), "another sign-on"),
            (json!({ "nonce": null }), "another sign-on"),
            (json!({ "exp": 999_940 }), "over"),
            (json!({ "exp": null }), "over"),
            (json!({ "exp": "1000300" }), "over"),
            (json!({ "iat": 1_000_061 }), "future"),
            (json!({ "iat": null }), "future"),
            (json!({ "nbf": 1_000_061 }), "does not count yet"),
            (json!({ "nbf": "soon" }), "does not count yet"),
            (json!({ "sub": "" }), "of whom"),
            (json!({ "sub": 1 }), "of whom"),
            (json!({ "sub": "a\0" }), "of whom"),
            (json!({ "sub": "a".repeat(256) }), "of whom"),
        ] {
            let refused = judge(&claims(changes.clone()), &EXPECTED).expect_err("refused");
            assert!(refused.contains(expected), "{changes}: {refused}");
        }
    }

    /// The example of OpenID Connect Core 1.0, appendix A.3.
    #[test]
    fn the_access_token_belongs_to_the_id_token() {
        let access_token = "jHkWEdUXMU1BwAsC4vtUsZwnNvTIxEl0z9K3vx5KF0Y";
        let said = |hash: Value| claims(json!({ "at_hash": hash }));
        let right = said("77QmUPtjPfzWtF2AnpK9RQ".into());
        assert!(judge_access_token(&right, "RS256", access_token).is_ok());
        assert!(judge_access_token(&right, "RS256", "another").is_err());
        assert!(judge_access_token(&right, "RS512", access_token).is_err());
        assert!(judge_access_token(&said(1.into()), "RS256", access_token).is_err());
        assert!(judge_access_token(&claims(json!({})), "RS256", access_token).is_ok());
    }
}
