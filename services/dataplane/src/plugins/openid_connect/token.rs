//! Tokens that the provider has signed.

use std::sync::Arc;

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Map, Value};

use super::{Claims, claims::Demands};
use crate::plugins::providers::Known;

#[derive(Deserialize)]
struct Head {
    alg: String,
    #[serde(default)]
    kid: Option<String>,
    #[serde(default)]
    crit: Option<Value>,
}

/// Whether it has the form of a signed token.
pub fn is_signed(token: &str) -> bool {
    token.split('.').count() == 3 && token.split('.').next().and_then(part::<Head>).is_some()
}

/// Whether the key of a token is known.
pub fn has_known_key(token: &str, known: &Known) -> bool {
    verified(token, known).is_some()
}

/// Judges a token by the keys that are known: what it claims, or why it is worth nothing. `None` if its key is not known.
pub fn judge(token: &str, known: &Known, demands: &Demands) -> Option<Claims> {
    let claims = match verified(token, known)? {
        Ok(claims) => claims,
        Err(reason) => return Some(Err(reason)),
    };
    let issuer = claims.get("iss").and_then(Value::as_str).unwrap_or_default();
    Some(if !demands.trusts(issuer, &known.metadata.issuer) {
        Err("of another issuer")
    } else if !claims.get("exp").is_some_and(Value::is_number) {
        Err("without an end")
    } else if !demands.is_for_us(&claims) {
        Err("for somebody else")
    } else {
        Ok(Arc::new(claims))
    })
}

/// Judges the token of a login at `now`, in Unix seconds (OpenID Connect Core 1.0, section 3.1.3.7): what it claims, or why it is worth nothing.
pub fn judge_login(
    token: &str,
    known: &Known,
    client: &str,
    nonce: &str,
    now: u64,
) -> Result<Map<String, Value>, &'static str> {
    let claims = verified(token, known).unwrap_or(Err("signed with an unknown key"))?;
    let text = |name: &str| claims.get(name).and_then(Value::as_str);
    let audience = match claims.get("aud") {
        Some(Value::String(audience)) => vec![audience.as_str()],
        Some(Value::Array(all)) => all.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    // Unix seconds are far below 2^53.
    #[allow(clippy::cast_precision_loss)]
    let is_over = claims.get("exp").and_then(Value::as_f64).is_none_or(|end| end <= now as f64);
    if text("iss") != Some(known.metadata.issuer.as_str()) {
        Err("of another issuer")
    } else if !audience.contains(&client) || (audience.len() > 1 && text("azp") != Some(client)) {
        Err("for somebody else")
    } else if text("nonce") != Some(nonce) {
        Err("of another login")
    } else if is_over {
        Err("over")
    } else {
        Ok(claims)
    }
}

/// The claims of a token whose signature is right. `None` if its key is not known.
fn verified(token: &str, known: &Known) -> Option<Result<Map<String, Value>, &'static str>> {
    let mut parts = token.split('.');
    let (Some(head), Some(claims), Some(signature), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Some(Err("no signed token"));
    };
    let message = token.as_bytes().get(..head.len() + 1 + claims.len()).unwrap_or_default();
    let Some(Head { alg, kid, crit: None }) = part(head) else {
        return Some(Err("with a header that cannot be read"));
    };
    let Ok(algorithm) = alg.parse() else { return Some(Err("signed in a way that is not verified here")) };
    match known.keys.verify(kid.as_deref(), algorithm, message, signature)? {
        true => Some(part(claims).ok_or("without claims")),
        false => Some(Err("with a wrong signature")),
    }
}

fn part<T: DeserializeOwned>(text: &str) -> Option<T> {
    serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(text).ok()?).ok()
}
