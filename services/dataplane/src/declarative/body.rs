//! The forms in which a client may send a document: as it is, as the member `config` of a JSON object, or as the field `config` of a form.
//! The latter two are those of clients that were written for Kong.

use axum::http::{HeaderMap, header};
use serde_json::Value;
use url::form_urlencoded;

/// The name of the member and of the field.
const CONFIG: &str = "config";

/// How a body holds the document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Form {
    /// The body is the document, or a JSON object that holds it.
    Document,
    /// A form, percent-encoded.
    Encoded,
    /// A form of parts, between lines with this text.
    Parts { boundary: String },
}

/// A document may be declared as any of these. A page of another site cannot send one of them without asking first.
const DOCUMENT_TYPES: [&str; 7] = [
    "application/json",
    "application/yaml",
    "application/x-yaml",
    "application/vnd.yaml",
    "text/yaml",
    "text/x-yaml",
    "text/vnd.yaml",
];

impl Form {
    /// The form that the headers declare; `None` for one that no document has.
    pub fn of(headers: &HeaderMap) -> Option<Self> {
        let declared = headers.get(header::CONTENT_TYPE)?.to_str().ok()?;
        let (essence, parameters) = declared.split_once(';').unwrap_or((declared, ""));
        let essence = essence.trim().to_ascii_lowercase();
        match essence.as_str() {
            "application/x-www-form-urlencoded" => Some(Self::Encoded),
            "multipart/form-data" => {
                let mut parameters =
                    parameters.split(';').filter_map(|parameter| parameter.trim().split_once('='));
                let (_, boundary) = parameters.find(|(name, _)| name.eq_ignore_ascii_case("boundary"))?;
                let boundary = boundary.trim_matches('"').to_owned();
                (!boundary.is_empty()).then_some(Self::Parts { boundary })
            }
            essence => DOCUMENT_TYPES.contains(&essence).then_some(Self::Document),
        }
    }

    /// The document in `body`; `None` if the form has no field `config`.
    pub fn document(&self, body: String) -> Option<String> {
        match self {
            Self::Document => Some(unwrapped(body)),
            Self::Encoded => {
                let mut fields = form_urlencoded::parse(body.as_bytes());
                fields.find(|(name, _)| name == CONFIG).map(|(_, value)| value.into_owned())
            }
            Self::Parts { boundary } => {
                let line = format!("--{boundary}");
                body.split(line.as_str()).find_map(part).map(str::to_owned)
            }
        }
    }
}

/// The text in `{"config": "…"}`; any other body is the document itself.
fn unwrapped(body: String) -> String {
    let inside = body.trim_start().strip_prefix('{').map(str::trim_start);
    // A document is read once, and not here.
    if !inside.is_some_and(|inside| inside.starts_with("\"config\"")) {
        return body;
    }
    match serde_json::from_str(&body) {
        Ok(Value::Object(mut members)) if members.len() == 1 => match members.remove(CONFIG) {
            Some(Value::String(document)) => document,
            _ => body,
        },
        _ => body,
    }
}

/// What a part of a form holds, if it is the field `config`.
fn part(text: &str) -> Option<&str> {
    let (head, content) = text.strip_prefix("\r\n")?.split_once("\r\n\r\n")?;
    let mut lines = head.split("\r\n").filter_map(|line| line.split_once(':'));
    let (_, disposition) = lines.find(|(name, _)| name.trim().eq_ignore_ascii_case("content-disposition"))?;
    let mut parameters = disposition.split(';').filter_map(|parameter| parameter.trim().split_once('='));
    let (_, name) = parameters.find(|(name, _)| name.eq_ignore_ascii_case("name"))?;
    if name.trim_matches('"') == CONFIG { content.strip_suffix("\r\n") } else { None }
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderMap, HeaderValue, header};

    use super::Form;

    fn form(declared: &str) -> Option<Form> {
        let value = HeaderValue::from_str(declared).expect("a header");
        Form::of(&HeaderMap::from_iter([(header::CONTENT_TYPE, value)]))
    }

    fn document(declared: &str, body: &str) -> Option<String> {
        form(declared).expect("a form of a document").document(body.to_owned())
    }

    #[test]
    fn a_document_comes_in_several_forms() {
        for (declared, body) in [
            ("text/yaml", "a: 1"),
            ("Application/YAML; charset=utf-8", "a: 1"),
            ("application/json", r#"{"config": "a: 1"}"#),
            ("application/x-www-form-urlencoded", "check=1&config=a%3A+1"),
            (
                "multipart/form-data; boundary=\"-x\"",
                "---x\r\nContent-Disposition: form-data; name=\"other\"\r\n\r\nb\r\n---x\r\ncontent-disposition: form-data; \
                 name=\"config\"; filename=\"kong.yml\"\r\nContent-Type: text/yaml\r\n\r\na: 1\r\n---x--\r\n",
            ),
        ] {
            assert_eq!(document(declared, body).as_deref(), Some("a: 1"), "{declared}");
        }
        for json in [r#"{"config": 5}"#, r#"{"config": "a", "b": 1}"#, r#"{"_format_version": "3.0"}"#] {
            assert_eq!(document("application/json", json).as_deref(), Some(json), "a document");
        }
    }

    #[test]
    fn what_is_no_document_is_told() {
        for declared in ["text/plain", "multipart/form-data", "multipart/form-data; boundary=", ""] {
            assert_eq!(form(declared), None, "{declared}");
        }
        assert_eq!(Form::of(&HeaderMap::new()), None);
        for (declared, body) in [
            ("application/x-www-form-urlencoded", "konfig=a"),
            ("application/x-www-form-urlencoded", ""),
            ("multipart/form-data; boundary=x", ""),
            (
                "multipart/form-data; boundary=x",
                "--x\r\nContent-Disposition: form-data; name=\"b\"\r\n\r\na\r\n--x--",
            ),
            (
                "multipart/form-data; boundary=x",
                "--x\r\nContent-Disposition: form-data; name=\"config\"\r\n\r\na",
            ),
        ] {
            assert_eq!(document(declared, body), None, "{body:?}");
        }
    }
}
