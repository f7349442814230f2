//! Settings of `request-termination`: requests are answered here, the upstream never sees them.

use super::PluginSettings;
use crate::record::{Fields, Rules, boolean, integer, record, text};
use crate::rules::{self, HEADER_NAME, HEADER_VALUE, Rule};

/// Characters of the message.
const MESSAGE_CHARS_MAX: usize = 1024;
/// Bytes of the body.
const BODY_BYTES_MAX: usize = 64 * 1024;

const MESSAGE: Rule = Rule::new(message_rule, MESSAGE_CHARS_MAX);
const BODY: Rule = Rule::new(body_rule, BODY_BYTES_MAX);

record! {
    /// Settings of `request-termination`.
    pub struct Config {
        /// Status code of the answer.
        pub status_code: u16 = integer(503, 200..=599),
        /// Text of the answer, sent as `{"message": …}`. Excludes `body` and `content_type`.
        pub message: Option<String> = text(MESSAGE),
        /// Body of the answer, sent as it is.
        pub body: Option<String> = text(BODY),
        /// Content type of `body`.
        pub content_type: Option<String> = text(HEADER_VALUE),
        /// Whether the answer shows the request. For those who set a gateway up: it shows what clients send, their credentials too.
        pub echo: bool = boolean(false),
        /// A header or query argument without which a request is not answered here.
        pub trigger: Option<String> = text(HEADER_NAME),
        /// Whether requests that would be answered are counted and logged, and pass.
        pub observe: bool = boolean(false),
    }
}

impl PluginSettings for Config {
    const NAME: &'static str = "request-termination";

    fn observe(&self) -> bool {
        self.observe
    }
}

impl Rules for Config {
    fn check(&self, fields: &mut Fields<'_>) {
        if fields.has("message") && (fields.has("body") || fields.has("content_type")) {
            fields.fail(
                "message",
                "must be left out when `body` or `content_type` is set: the body replaces it",
            );
        }
        if fields.has("content_type") && !fields.has("body") {
            fields.fail("content_type", "must come with a `body`, whose type it tells");
        }
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
