//! Settings of `http-log`: an entry for each request is sent to an HTTP server.

use serde_json::{Value, json};

use super::{PluginSettings, queue::Queue};
use crate::record::{
    Fields, Rules, Secret, SecretMap, absent, number, object, optional_decimal, optional_integer, record, sealed, sealed_map,
    word, words,
};
use crate::rules::{self, HEADER_NAME, HEADER_VALUE, Rule};

/// Bytes of a URL.
const URL_BYTES_MAX: usize = 2048;
/// Why no field is computed.
pub(super) const NO_LUA: &str = "no Lua runs here; remove it: entries have all of Kong's usual fields";
/// The URL of an HTTP server.
pub(super) const URL: Rule = Rule::new(url, URL_BYTES_MAX);

words! {
    /// How entries are sent.
    pub enum Method {
        /// As a new resource.
        Post = "POST",
        /// In place of one.
        Put = "PUT",
        /// As a part of one.
        Patch = "PATCH",
    }
}

words! {
    /// What entries are said to be.
    pub enum ContentType {
        /// JSON.
        Json = "application/json",
        /// JSON whose encoding is named.
        JsonUtf8 = "application/json; charset=utf-8",
    }
}

record! {
    /// Settings of `http-log`. Each request becomes an entry, in Kong's format. Entries wait in a queue and are sent in batches: one entry as a
    /// JSON object where `queue.max_batch_size` is 1, else a JSON array.
    pub struct Config {
        /// Where entries are sent. A user name and a password in it are sent as basic authentication.
        pub http_endpoint: Secret = sealed("http_endpoint_sealed", URL).required("name the URL that entries are sent to"),
        /// The method of the requests.
        pub method: Method = word(Method::Post),
        /// Their content type.
        pub content_type: ContentType = word(ContentType::Json),
        /// Milliseconds that a request may take.
        pub timeout: f64 = number(10_000, 2_147_483_646),
        /// Milliseconds for which a connection is kept without use.
        pub keepalive: f64 = number(60_000, 2_147_483_646),
        /// Has no effect, as in Kong: use `queue.max_retry_time`.
        pub retry_count: Option<u32> = optional_integer(0..=1_000_000),
        /// Kong's earlier name of `queue.max_batch_size`. Counts unless it is 1.
        pub queue_size: Option<u32> = optional_integer(1..=1_000_000),
        /// Kong's earlier name of `queue.max_coalescing_delay`. Counts unless it is 2.
        pub flush_timeout: Option<f64> = optional_decimal(0.0..=3600.0),
        /// Further headers of the requests.
        pub headers: SecretMap = sealed_map("headers_sealed", HEADER_NAME, HEADER_VALUE),
        /// How entries are kept until they are sent.
        pub queue: Queue = object(),
    }
    besides {
        custom_fields_by_lua = absent(NO_LUA).shown(),
    }
}

impl PluginSettings for Config {
    const NAME: &'static str = "http-log";

    fn smallest() -> Value {
        json!({ "http_endpoint": "https://logs.example.com" })
    }
}

impl Config {
    /// The queue, with what the earlier names say.
    pub fn queue(&self) -> Queue {
        let mut queue = self.queue.clone();
        if let Some(size) = self.queue_size.filter(|size| *size != 1) {
            queue.max_batch_size = size;
        }
        if let Some(delay) = self.flush_timeout.filter(|delay| *delay != 2.0) {
            queue.max_coalescing_delay = delay;
        }
        queue
    }
}

impl Rules for Config {
    fn check(&self, fields: &mut Fields<'_>) {
        let has_user = self.http_endpoint.plain().is_some_and(has_user);
        for name in self.headers.entries().unwrap_or_default().keys() {
            let lower = name.to_ascii_lowercase();
            if ["host", "content-length", "content-type", "transfer-encoding", "connection"].contains(&&*lower) {
                fields.fail(format_args!("headers.{name}"), "is what the gateway says itself: remove it");
            }
            if lower == "authorization" && has_user {
                let message = "must be left out where `http_endpoint` has a user: both are the same header";
                fields.fail(format_args!("headers.{name}"), message);
            }
        }
    }
}

/// Whether a URL has a user before its host.
fn has_user(url: &str) -> bool {
    let rest = url.split_once("://").map_or("", |(_, rest)| rest);
    rest.split(['/', '?', '#']).next().is_some_and(|authority| authority.contains('@'))
}

fn url(text: &str) -> Result<(), String> {
    rules::length_bytes(text, URL_BYTES_MAX)?;
    let rest = text.strip_prefix("http://").or_else(|| text.strip_prefix("https://"));
    let authority = rest.and_then(|rest| rest.split(['/', '?', '#']).next()).unwrap_or_default();
    let host = authority.rsplit('@').next().unwrap_or_default();
    let has_host = !host.is_empty() && !host.starts_with(':');
    if has_host && text.bytes().all(|byte| (b'!'..=b'~').contains(&byte)) {
        Ok(())
    } else {
        Err("be a URL such as `https://logs.example.com/in`".to_owned())
    }
}
