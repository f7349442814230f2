//! Rules for texts: names, tags, hosts, paths. Each returns what the text must do, to continue "must …".
//!
//! Nothing that these let through contains a control character, so every value can be stored in Postgres, written in a
//! header and shown in a terminal.

use std::net::{IpAddr, Ipv6Addr};

use uuid::Uuid;

/// What a text must do, and how long it may be at most.
#[derive(Clone, Copy)]
pub(crate) struct Rule {
    /// The error continues "… must".
    pub check: fn(&str) -> Result<(), String>,
    /// As clients are told. `check` sees to it.
    pub chars_max: usize,
}

impl Rule {
    pub(crate) const fn new(check: fn(&str) -> Result<(), String>, chars_max: usize) -> Rule {
        Rule { check, chars_max }
    }
}

pub(crate) const NAME: Rule = Rule::new(name, NAME_CHARS_MAX);
pub(crate) const USERNAME: Rule = Rule::new(username, USERNAME_CHARS_MAX);
pub(crate) const CUSTOM_ID: Rule = Rule::new(custom_id, USERNAME_CHARS_MAX);
pub(crate) const TAG: Rule = Rule::new(tag, TAG_CHARS_MAX);
pub(crate) const UPSTREAM_HOST: Rule = Rule::new(upstream_host, HOST_BYTES_MAX);
pub(crate) const UPSTREAM_PATH: Rule = Rule::new(upstream_path, PATH_BYTES_MAX);
pub(crate) const METHOD: Rule = Rule::new(method, METHOD_BYTES_MAX);
pub(crate) const KEY: Rule = Rule::new(key, KEY_BYTES_MAX);
pub(crate) const HEADER_NAME: Rule = Rule::new(header_name, HEADER_NAME_BYTES_MAX);
pub(crate) const HEADER_VALUE: Rule = Rule::new(header_value, HEADER_VALUE_BYTES_MAX);
pub(crate) const QUOTABLE: Rule = Rule::new(quotable, HEADER_VALUE_BYTES_MAX);

/// Bytes of a host with its port.
pub(crate) const HOST_PATTERN_BYTES_MAX: usize = HOST_BYTES_MAX + ":65535".len();
/// How a reference to a vault begins.
pub(crate) const VAULT_SCHEME: &str = "{vault://";
/// Bytes of a reference to a vault.
const VAULT_REFERENCE_BYTES_MAX: usize = 1024;
/// Bytes of a sealed text in base64: of the largest secret, a certificate's key, and what sealing adds.
const SEALED_BYTES_MAX: usize = 128 * 1024;
/// Letters of an HTTP method.
const METHOD_BYTES_MAX: usize = 32;
/// Characters in the name of an entity.
const NAME_CHARS_MAX: usize = 128;
/// Characters in a consumer's username or custom id.
const USERNAME_CHARS_MAX: usize = 255;
/// Characters in one tag.
const TAG_CHARS_MAX: usize = 128;
/// Tags on one entity.
pub(crate) const TAGS_MAX: usize = 32;
/// Bytes of a host name, as in DNS.
const HOST_BYTES_MAX: usize = 253;
/// Bytes of one label of a host name, as in DNS.
const HOST_LABEL_BYTES_MAX: usize = 63;
/// Bytes of a path or a path's regular expression.
pub(crate) const PATH_BYTES_MAX: usize = 1024;
/// Bytes of an API key.
const KEY_BYTES_MAX: usize = 512;
/// Bytes of a header's name.
const HEADER_NAME_BYTES_MAX: usize = 128;
/// Bytes of a header's value.
const HEADER_VALUE_BYTES_MAX: usize = 1024;

/// The name of a service, route or plugin instance: usable in a URL, and never mistaken for an id.
pub(crate) fn name(text: &str) -> Result<(), String> {
    length(text, NAME_CHARS_MAX)?;
    if !text.chars().all(|c| c.is_alphanumeric() || matches!(c, '.' | '-' | '_' | '~')) {
        return Err("hold only letters, digits and `.`, `-`, `_`, `~`".to_owned());
    }
    not_an_id(text)
}

/// A consumer's username: any printable text, often an e-mail address.
pub(crate) fn username(text: &str) -> Result<(), String> {
    custom_id(text)?;
    not_an_id(text)
}

/// A consumer's id in another system.
pub(crate) fn custom_id(text: &str) -> Result<(), String> {
    length(text, USERNAME_CHARS_MAX)?;
    printable(text)?;
    trimmed(text)
}

/// A name in a reference: of whatever kind, so the widest rule.
pub(crate) fn reference_name(text: &str) -> Result<(), String> {
    username(text)
}

/// A tag. Commas and slashes join tags in list filters.
pub(crate) fn tag(text: &str) -> Result<(), String> {
    length(text, TAG_CHARS_MAX)?;
    printable(text)?;
    if text.contains([',', '/']) {
        return Err("not contain `,` or `/`: they combine tags in list filters".to_owned());
    }
    trimmed(text)
}

/// A host to connect to: a name or an IP address, without port.
pub(crate) fn upstream_host(text: &str) -> Result<(), String> {
    if text.parse::<IpAddr>().is_ok() { Ok(()) } else { host_name(text) }
}

/// A host that requests ask for: exact, or with one wildcard at either end, and with a port where only that one is meant.
pub(crate) fn host_pattern(text: &str) -> Result<(), String> {
    let (name, port) = split_port(text);
    if port == Some(0) || (port.is_none() && name.len() != text.len()) {
        return Err("have a port from 1 to 65535 behind the colon, or none".to_owned());
    }
    let address = name.strip_prefix('[').and_then(|name| name.strip_suffix(']'));
    if address.is_some_and(|address| address.parse::<Ipv6Addr>().is_ok()) {
        return Ok(());
    }
    server_name(name)
}

/// Splits the port off a host. `None` for a host without port, and for a port that is no number.
pub(crate) fn split_port(text: &str) -> (&str, Option<u16>) {
    match text.rsplit_once(':') {
        // The colon of an IPv6 address is in brackets.
        Some((host, port)) if !port.contains(']') => (host, port.parse().ok()),
        _ => (text, None),
    }
}

/// A host's name: exact, or with one wildcard at either end.
pub(crate) fn server_name(text: &str) -> Result<(), String> {
    let name = match (text.strip_prefix("*."), text.strip_suffix(".*")) {
        (Some(_), Some(_)) => return Err("have one wildcard, at the start or at the end".to_owned()),
        (Some(name), None) | (None, Some(name)) => name,
        (None, None) => text,
    };
    host_name(name).map_err(|message| format!("{message}; a wildcard is a leading `*.` or a trailing `.*`"))
}

/// A host's name, without wildcards.
pub(crate) fn host_name(text: &str) -> Result<(), String> {
    let valid = text.len() <= HOST_BYTES_MAX
        && text.split('.').all(|label| {
            (1..=HOST_LABEL_BYTES_MAX).contains(&label.len())
                && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
                && !label.starts_with('-')
                && !label.ends_with('-')
        });
    if valid {
        Ok(())
    } else {
        Err("be a host name such as `api.example.com`, without scheme or path".to_owned())
    }
}

/// The path of a service, put before every request's path.
pub(crate) fn upstream_path(text: &str) -> Result<(), String> {
    if !text.starts_with('/') {
        return Err("start with `/`".to_owned());
    }
    path_characters(text)
}

/// A prefix path of a route, in the normal form that requests are brought into before matching: another form would never
/// match anything.
pub(crate) fn prefix_path(text: &str) -> Result<(), String> {
    upstream_path(text)?;
    let segments = || text.split('/').skip(1);
    if text.contains("//") {
        return Err("not contain `//`: repeated slashes of requests are merged before matching".to_owned());
    }
    if segments().any(|segment| segment == "." || segment == "..") {
        return Err("not contain `.` or `..` segments: they are resolved before matching".to_owned());
    }
    match text.split('%').skip(1).filter_map(|rest| rest.get(..2)).find(|digits| encodes_unreserved(digits)) {
        Some(digits) => Err(format!(
            "not encode `%{digits}`: requests are decoded there before matching, write the character"
        )),
        None => Ok(()),
    }
}

fn encodes_unreserved(hex_digits: &str) -> bool {
    u8::from_str_radix(hex_digits, 16)
        .is_ok_and(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~'))
}

/// The characters of RFC 3986, section 3.3, `pchar` and `/`.
fn path_characters(text: &str) -> Result<(), String> {
    length_bytes(text, PATH_BYTES_MAX)?;
    let bytes = text.as_bytes();
    for (index, byte) in bytes.iter().enumerate() {
        let valid = match byte {
            b'%' => {
                bytes.get(index + 1..index + 3).is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
            }
            byte => byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@/".contains(byte),
        };
        if !valid {
            return Err(
                "hold only characters of a URL path (RFC 3986): percent-encode the others; a regular \
                        expression starts with `~/`"
                    .to_owned(),
            );
        }
    }
    Ok(())
}

/// An HTTP method.
pub(crate) fn method(text: &str) -> Result<(), String> {
    let valid =
        (1..=METHOD_BYTES_MAX).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_uppercase());
    if valid { Ok(()) } else { Err("be an HTTP method in capitals, such as `GET`".to_owned()) }
}

/// An API key: what fits in a header and in a query argument.
pub(crate) fn key(text: &str) -> Result<(), String> {
    length_bytes(text, KEY_BYTES_MAX)?;
    header_characters(text)
}

/// The name of a header that also serves as a query argument.
pub(crate) fn header_name(text: &str) -> Result<(), String> {
    length_bytes(text, HEADER_NAME_BYTES_MAX)?;
    if text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')) {
        Ok(())
    } else {
        Err("hold only letters, digits, `-` and `_`".to_owned())
    }
}

/// The value of a header.
pub(crate) fn header_value(text: &str) -> Result<(), String> {
    length_bytes(text, HEADER_VALUE_BYTES_MAX)?;
    header_characters(text)
}

/// A value that stands in double quotes in a header.
pub(crate) fn quotable(text: &str) -> Result<(), String> {
    header_value(text)?;
    if text.contains(['"', '\\']) { Err("not contain `\"` or `\\`".to_owned()) } else { Ok(()) }
}

/// A UUID in its hyphenated form, the only one that is taken for an id.
pub(crate) fn uuid(text: &str) -> Option<Uuid> {
    if text.len() == uuid::fmt::Hyphenated::LENGTH { Uuid::try_parse(text).ok() } else { None }
}

/// A reference to a secret in a vault: `{vault://<prefix>/<resource>[/<key>]}`.
pub(crate) fn vault_reference(text: &str) -> Result<(), String> {
    length_bytes(text, VAULT_REFERENCE_BYTES_MAX)?;
    header_characters(text)?;
    let path = text.strip_prefix(VAULT_SCHEME).and_then(|text| text.strip_suffix('}')).unwrap_or_default();
    let path = path.split_once('?').map_or(path, |(path, _)| path);
    if path.split('/').count() >= 2 && path.split('/').all(|part| !part.is_empty()) {
        Ok(())
    } else {
        Err("be a reference such as `{vault://prefix/resource/key}`".to_owned())
    }
}

/// A hash of 32 bytes, as it is written at rest.
pub(crate) fn hex_hash(text: &str) -> Result<(), String> {
    let valid = text.len() == 64 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    if valid { Ok(()) } else { Err("be 64 lower-case hex digits".to_owned()) }
}

/// How a password's hash begins that was taken over from Kong. 40 hex digits follow: SHA-1 of the password and the consumer's id.
const KONG_HASH_PREFIX: &str = "$kong-sha1$";

/// Whether the text is what Kong keeps of a password: the hex digits of SHA-1 over the password and its consumer's id.
fn is_kong_hash(text: &str) -> bool {
    text.len() == 40 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// A password's hash as somebody may give it: as it is shown here, or as Kong keeps it.
pub(crate) fn given_hash(text: &str) -> Result<(), String> {
    if is_kong_hash(text) || password_hash(text).is_ok() {
        return Ok(());
    }
    Err("be a password's hash: `$argon2id$…` as it is shown here, or the 40 hex digits that Kong keeps"
        .to_owned())
}

/// The form in which such a hash is stored.
pub(crate) fn stored_hash(given: String) -> String {
    if is_kong_hash(&given) { format!("{KONG_HASH_PREFIX}{}", given.to_ascii_lowercase()) } else { given }
}

/// A password's hash: Argon2id in PHC form, or `$kong-sha1$` and the 40 hex digits that Kong keeps.
pub(crate) fn password_hash(text: &str) -> Result<(), String> {
    let is_kong = text.strip_prefix(KONG_HASH_PREFIX).is_some_and(is_kong_hash);
    let is_argon2 = text.strip_prefix("$argon2id$v=19$").is_some_and(|rest| rest.split('$').count() == 3);
    if (is_kong || is_argon2) && text.len() <= KEY_BYTES_MAX && header_characters(text).is_ok() {
        Ok(())
    } else {
        Err("be a password's hash such as `$argon2id$v=19$…`".to_owned())
    }
}

/// A sealed text: base64.
pub(crate) fn sealed_text(text: &str) -> Result<(), String> {
    length_bytes(text, SEALED_BYTES_MAX)?;
    let valid = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'='));
    if valid { Ok(()) } else { Err("be base64".to_owned()) }
}

fn header_characters(text: &str) -> Result<(), String> {
    if !text.bytes().all(|byte| (b' '..=b'~').contains(&byte)) {
        return Err("hold only printable ASCII characters".to_owned());
    }
    trimmed(text)
}

fn not_an_id(text: &str) -> Result<(), String> {
    if uuid(text).is_some() {
        Err("not have the form of a UUID, which stands for an id: use another name".to_owned())
    } else {
        Ok(())
    }
}

pub(crate) fn printable(text: &str) -> Result<(), String> {
    if text.chars().any(char::is_control) { Err("not contain control characters".to_owned()) } else { Ok(()) }
}

fn trimmed(text: &str) -> Result<(), String> {
    if text.trim() == text { Ok(()) } else { Err("not start or end with a space".to_owned()) }
}

/// One to `chars_max` characters.
pub(crate) fn length(text: &str, chars_max: usize) -> Result<(), String> {
    // A character has at most four bytes: count only texts that can fit.
    if text.is_empty() {
        Err("not be empty: leave the field out instead".to_owned())
    } else if text.len() > chars_max.saturating_mul(4) || text.chars().count() > chars_max {
        Err(format!("have at most {chars_max} characters"))
    } else {
        Ok(())
    }
}

/// One to `bytes_max` bytes.
pub(crate) fn length_bytes(text: &str, bytes_max: usize) -> Result<(), String> {
    if text.is_empty() {
        Err("not be empty: leave the field out instead".to_owned())
    } else if text.len() > bytes_max {
        Err(format!("have at most {bytes_max} bytes"))
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests;
