//! Settings of `request-termination`: requests are answered here, the upstream never sees them.

use utoipa::openapi::RefOr;
use utoipa::openapi::schema::Schema;
use utoipa::{PartialSchema, ToSchema};

use crate::fields::Fields;
use crate::rules;
use crate::schema::{fixed, set, unset};
use crate::writer::Writer;

/// The plugin's name.
pub const NAME: &str = "request-termination";
const STATUS_DEFAULT: u16 = 503;
/// Characters of the message.
const MESSAGE_CHARS_MAX: usize = 1024;
/// Bytes of the body.
const BODY_BYTES_MAX: usize = 64 * 1024;

/// Settings of `request-termination`.
#[derive(Clone, Debug, PartialEq, ToSchema)]
pub struct Config {
    /// Status code of the answer.
    #[schema(required = false, default = 503, minimum = 200, maximum = 599)]
    pub status_code: u16,
    /// Text of the answer, sent as `{"message": …}`. Excludes `body` and `content_type`.
    #[schema(max_length = 1024)]
    pub message: Option<String>,
    /// Body of the answer, sent as it is.
    #[schema(max_length = 65536)]
    pub body: Option<String>,
    /// Content type of `body`.
    #[schema(max_length = 1024)]
    pub content_type: Option<String>,
}

impl Config {
    pub(crate) fn read(fields: &mut Fields<'_>) -> Config {
        let config = Config {
            status_code: fields.integer("status_code", STATUS_DEFAULT, 200..=599),
            message: fields.text("message", message_rule),
            body: fields.text("body", body_rule),
            content_type: fields.text("content_type", rules::header_value),
        };
        if fields.has("message") && (fields.has("body") || fields.has("content_type")) {
            fields.fail(
                "message",
                "must be left out when `body` or `content_type` is set: the body replaces it",
            );
        }
        if fields.has("content_type") && !fields.has("body") {
            fields.fail("content_type", "must come with a `body`, whose type it tells");
        }
        fields.unsupported("echo", Some(false.into()), "the request is not echoed; remove it");
        fields.unsupported("trigger", None, "every matching request is answered; remove it");
        config
    }

    /// The derived schema and the settings that have one value only.
    pub(crate) fn body_schema() -> RefOr<Schema> {
        let mut schema = Config::schema();
        set(&mut schema, "echo", fixed(false.into()));
        set(&mut schema, "trigger", unset());
        schema
    }

    pub(crate) fn write(&self, out: &mut Writer) {
        out.unless("status_code", self.status_code, STATUS_DEFAULT);
        out.optional("message", self.message.clone());
        out.optional("body", self.body.clone());
        out.optional("content_type", self.content_type.clone());
        out.unless("echo", false, false);
        out.optional("trigger", None::<String>);
    }
}

fn message_rule(text: &str) -> Result<(), String> {
    rules::length(text, MESSAGE_CHARS_MAX)?;
    rules::printable(text)
}

/// A body may have lines and tabs, but no character that Postgres or a terminal chokes on.
fn body_rule(text: &str) -> Result<(), String> {
    rules::length_bytes(text, BODY_BYTES_MAX)?;
    let text: String = text.chars().filter(|c| !matches!(c, '\n' | '\r' | '\t')).collect();
    rules::printable(&text)
}
