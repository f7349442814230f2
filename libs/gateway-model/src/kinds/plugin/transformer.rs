//! What the settings of `request-transformer` and `response-transformer` have in common: entries such as `x-name:value`.

use crate::{
    rules::{self, HEADER_NAME, Rule},
    template::Template,
};

/// Entries of one list.
pub(super) const ENTRIES_MAX: usize = 128;
/// Bytes of an entry.
const ENTRY_BYTES_MAX: usize = 4096;

/// Headers of one connection, and those by which the body is framed: they are the gateway's.
const FRAMING: [&str; 11] = [
    "connection",
    "content-length",
    "http2-settings",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "via",
    "x-request-id",
];
/// How headers begin by which the gateway tells an upstream who sends a request.
const IDENTITY: [&str; 4] = ["x-anonymous-", "x-authenticated-", "x-consumer-", "x-credential-"];

/// The name and the value of an entry. As in Kong, any number of colons stands between them; the value is empty without one.
pub fn pair(entry: &str) -> (&str, &str) {
    let (name, value) = entry.split_once(':').unwrap_or((entry, ""));
    (name, value.trim_start_matches(':'))
}

/// A header that is removed. What the gateway says itself is not among those, so removing it has no effect.
pub(super) const HEADER_TO_REMOVE: Rule = HEADER_NAME;
/// A header and the name that it gets.
pub(super) const HEADER_TO_RENAME: Rule = Rule::new(header_to_rename, ENTRY_BYTES_MAX);
/// A header of an answer and its value.
pub(super) const HEADER_TO_ANSWER: Rule = Rule::new(header_to_answer, ENTRY_BYTES_MAX);
/// A header of a request and the template of its value.
pub(super) const HEADER_TO_SET: Rule = Rule::new(header_to_set, ENTRY_BYTES_MAX);
/// The same, where the header may be `Host`.
pub(super) const HEADER_TO_REPLACE: Rule = Rule::new(header_to_replace, ENTRY_BYTES_MAX);
/// A field of a body, or an argument of a query.
pub(super) const FIELD: Rule = Rule::new(field, ENTRY_BYTES_MAX);
/// One, and the name that it gets.
pub(super) const FIELD_TO_RENAME: Rule = Rule::new(field_to_rename, ENTRY_BYTES_MAX);
/// One, and its value.
pub(super) const FIELD_TO_ANSWER: Rule = Rule::new(field_to_answer, ENTRY_BYTES_MAX);
/// One, and the template of its value.
pub(super) const FIELD_TO_SET: Rule = Rule::new(field_to_set, ENTRY_BYTES_MAX);
/// The template of a path.
pub(super) const PATH: Rule = Rule::new(path, ENTRY_BYTES_MAX);

fn entry(text: &str) -> Result<(&str, &str), String> {
    field(text)?;
    if text.starts_with(':') || !text.contains(':') {
        return Err("be a name and a value with a colon between them, such as `name:value`".to_owned());
    }
    Ok(pair(text))
}

fn field(text: &str) -> Result<(), String> {
    rules::length_bytes(text, ENTRY_BYTES_MAX)?;
    rules::printable(text)
}

fn template(text: &str) -> Result<(), String> {
    Template::parse(text).map(drop).map_err(|error| {
        format!("be a text in which `$( … )` holds headers.…, query_params.…, uri_captures.… or constants: {error}")
    })
}

fn header_name(name: &str) -> Result<(), String> {
    (HEADER_NAME.check)(name)
        .map_err(|message| format!("begin with the name of a header, which must {message}"))?;
    let plain = name.to_ascii_lowercase().replace('_', "-");
    if FRAMING.contains(&plain.as_str()) {
        return Err(format!(
            "not set `{name}`: it is about the connection or the framing, which is the gateway's"
        ));
    }
    if IDENTITY.iter().any(|family| plain.starts_with(family)) {
        return Err(format!("not set `{name}`: by it the gateway alone says who sends a request"));
    }
    Ok(())
}

fn header_value(value: &str) -> Result<(), String> {
    let is_fit = value.bytes().all(|byte| (b' '..=b'~').contains(&byte));
    if is_fit { Ok(()) } else { Err("have a value of printable ASCII characters".to_owned()) }
}

fn no_template(value: &str) -> Result<(), String> {
    if value.contains("$(") { Err("name a fixed name: only values are computed".to_owned()) } else { Ok(()) }
}

fn header_to_rename(text: &str) -> Result<(), String> {
    let (from, to) = entry(text)?;
    (HEADER_NAME.check)(from)?;
    no_template(to)?;
    if to.eq_ignore_ascii_case("host") {
        return Err("not make a `Host` of another header: use `replace.headers`".to_owned());
    }
    header_name(to.trim())
}

fn header_to_answer(text: &str) -> Result<(), String> {
    let (name, value) = entry(text)?;
    header_name(name)?;
    header_value(value)
}

fn header_to_set(text: &str) -> Result<(), String> {
    header_to_replace(text)?;
    if pair(text).0.eq_ignore_ascii_case("host") {
        return Err("not add a `Host`: a request has one; use `replace.headers`".to_owned());
    }
    Ok(())
}

fn header_to_replace(text: &str) -> Result<(), String> {
    let (name, value) = entry(text)?;
    header_name(name)?;
    header_value(value)?;
    template(value)
}

fn field_to_rename(text: &str) -> Result<(), String> {
    let (_, to) = entry(text)?;
    no_template(to)?;
    if to.is_empty() { Err("say the new name after the colon".to_owned()) } else { Ok(()) }
}

fn field_to_answer(text: &str) -> Result<(), String> {
    entry(text).map(drop)
}

fn field_to_set(text: &str) -> Result<(), String> {
    let (_, value) = entry(text)?;
    template(value)
}

fn path(text: &str) -> Result<(), String> {
    field(text)?;
    if !text.starts_with(['/', '$']) {
        return Err("start with `/`, or with a template that does".to_owned());
    }
    template(text)
}
