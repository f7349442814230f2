//! A request's signature: what the client says of it, and whether it is right
//! (draft-cavage-http-signatures, as Kong reads it: `hmac username="…", algorithm="…", headers="…", signature="…"`).

use std::{borrow::Cow, fmt::Write as _};

use aws_lc_rs::hmac;
use base64::{Engine as _, prelude::BASE64_STANDARD};
use http::{HeaderValue, Version, header};

use super::super::{Exchange, identities::HmacKey};

/// What a client says of a signature.
#[derive(Debug, PartialEq, Eq)]
pub struct Signature<'h> {
    /// Of the hmac-auth credential.
    pub username: Cow<'h, str>,
    /// For example `hmac-sha256`.
    pub algorithm: Cow<'h, str>,
    headers: Cow<'h, str>,
    signature: Cow<'h, str>,
}

impl<'h> Signature<'h> {
    /// Reads what stands behind the scheme. `None` if a parameter is missing, stands twice, or is not in quotation marks.
    pub fn read(text: &'h str) -> Option<Self> {
        let [mut username, mut algorithm, mut headers, mut signature] = [const { None }; 4];
        let mut rest = text.trim();
        while !rest.is_empty() {
            let (name, after) = rest.split_once('=')?;
            let (value, after) = quoted(after.trim_start())?;
            let slot = match name.trim() {
                "username" => &mut username,
                "algorithm" => &mut algorithm,
                "headers" => &mut headers,
                "signature" => &mut signature,
                _ => return None,
            };
            if slot.replace(value).is_some() {
                return None;
            }
            let after = after.trim_start();
            rest = match after.strip_prefix(',') {
                Some(next) => next.trim_start(),
                None if after.is_empty() => after,
                None => return None,
            };
        }
        Some(Self { username: username?, algorithm: algorithm?, headers: headers?, signature: signature? })
    }

    /// What it covers, in the order in which it was signed.
    pub fn covered(&self) -> impl Iterator<Item = &str> {
        self.headers.split(' ').filter(|name| !name.is_empty())
    }
}

/// A text in quotation marks, in which a backslash stands before a quotation mark or backslash, and what follows.
fn quoted(text: &str) -> Option<(Cow<'_, str>, &str)> {
    let inner = text.strip_prefix('"')?;
    let mut plain = String::new();
    let mut escaped = false;
    for (at, c) in inner.char_indices() {
        match (escaped, c) {
            (false, '"') => {
                let (value, rest) = (inner.get(..at)?, inner.get(at + 1..)?);
                let value = if value.contains('\\') { Cow::Owned(plain) } else { Cow::Borrowed(value) };
                return Some((value, rest));
            }
            (false, '\\') => escaped = true,
            (_, c) => {
                escaped = false;
                plain.push(c);
            }
        }
    }
    None
}

/// Whether the signature is what `key` makes of the request.
pub fn is_right(signature: &Signature<'_>, key: &HmacKey, exchange: &Exchange<'_, '_>) -> bool {
    let algorithm = match &*signature.algorithm {
        "hmac-sha1" => hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY,
        "hmac-sha256" => hmac::HMAC_SHA256,
        "hmac-sha384" => hmac::HMAC_SHA384,
        "hmac-sha512" => hmac::HMAC_SHA512,
        _ => return false,
    };
    let (Some(signed), Ok(tag)) =
        (signed(signature, exchange), BASE64_STANDARD.decode(&*signature.signature))
    else {
        return false;
    };
    hmac::verify(&hmac::Key::new(algorithm, key.0.as_bytes()), signed.as_bytes(), &tag).is_ok()
}

/// What was signed: a line for each thing that the signature covers. `None` if a header is not text.
fn signed(signature: &Signature<'_>, exchange: &Exchange<'_, '_>) -> Option<String> {
    let mut all = String::new();
    for (number, name) in signature.covered().enumerate() {
        if number > 0 {
            all.push('\n');
        }
        let mut values = exchange.headers.get_all(name).into_iter().peekable();
        if values.peek().is_some() {
            write!(all, "{name}: ").ok()?;
            for (number, value) in values.enumerate() {
                all.push_str(if number > 0 { ", " } else { "" });
                all.push_str(value.to_str().ok()?);
            }
            continue;
        }
        let target = exchange.uri.path_and_query().map_or("/", |target| target.as_str());
        match name {
            "@request-target" => {
                write!(all, "{name}: {} {target}", exchange.method.as_str().to_ascii_lowercase()).ok()?;
            }
            "request-line" => {
                write!(all, "{} {target} HTTP/{}", exchange.method, version(exchange.version)).ok()?;
            }
            // Over HTTP/2 the host is no header.
            name if name.eq_ignore_ascii_case(header::HOST.as_str()) => {
                write!(all, "{name}: {}", HeaderValue::to_str(exchange.authority).ok()?).ok()?;
            }
            name => write!(all, "{name}:").ok()?,
        }
    }
    Some(all)
}

fn version(version: Version) -> &'static str {
    match version {
        Version::HTTP_10 => "1.0",
        Version::HTTP_2 => "2.0",
        _ => "1.1",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_read_in_any_order_and_only_in_quotation_marks() {
        let good = r#"username="a\"b", algorithm="hmac-sha256",headers="date  host", signature="eA==""#;
        let read = Signature::read(good).unwrap();
        assert_eq!((&*read.username, &*read.algorithm, &*read.signature), ("a\"b", "hmac-sha256", "eA=="));
        assert_eq!(read.covered().collect::<Vec<_>>(), ["date", "host"]);
        assert!(Signature::read(r#"signature="x", headers="", algorithm="y", username="z""#).is_some());
        for bad in [
            "",
            r#"username="a", algorithm="b", headers="c""#,
            r#"username=a, algorithm="b", headers="c", signature="d""#,
            r#"username="a", username="b", algorithm="b", headers="c", signature="d""#,
            r#"username="a" algorithm="b", headers="c", signature="d""#,
            r#"username="a", algorithm="b", headers="c", signature="d"#,
            r#"username="a", algorithm="b", headers="c", signature="d", more="e""#,
            r#"username="a", algorithm="b", headers="c", signature="d\"#,
        ] {
            assert_eq!(Signature::read(bad), None, "{bad}");
        }
    }
}
