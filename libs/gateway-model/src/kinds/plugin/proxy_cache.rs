//! Settings of `proxy-cache`: answers are kept and given again.

use serde_json::{Value, json};

use super::PluginSettings;
use crate::record::{
    Rules, boolean, fixed, integer, integer_list, list, object, optional_integer, record, word, word_list, words,
};
use crate::rules::{HEADER_NAME, HEADER_VALUE, Rule};
use crate::rules;

/// Statuses in the list.
const STATUSES_MAX: usize = 64;
/// Types, headers and arguments in each list.
const NAMES_MAX: usize = 64;
/// Ten years, in seconds.
const TTL_MAX: u32 = 315_360_000;
const ARGUMENT_CHARS_MAX: usize = 256;
const ARGUMENT: Rule = Rule::new(argument, ARGUMENT_CHARS_MAX);

words! {
    /// A method whose answers may be kept.
    pub enum CachedMethod {
        /// `HEAD`.
        Head = "HEAD",
        /// `GET`.
        Get = "GET",
        /// `POST`, where the answer says until when it may be kept.
        Post = "POST",
        /// `PATCH`. Named for Kong's clients: no such answer may be kept (RFC 9111).
        Patch = "PATCH",
        /// `PUT`, likewise.
        Put = "PUT",
    }
}

words! {
    /// Where answers are kept.
    pub enum Strategy {
        /// In the memory of each gateway.
        Memory = "memory",
    }
}

record! {
    /// Which headers tell of the cache.
    pub struct ResponseHeaders {
        /// How many seconds ago the upstream gave the answer.
        pub age as "age": bool = boolean(true),
        /// `Hit`, `Miss`, `Refresh` or `Bypass`.
        pub status as "X-Cache-Status": bool = boolean(true),
        /// The name of the answer in the cache.
        pub key as "X-Cache-Key": bool = boolean(true),
    }
}

impl Rules for ResponseHeaders {}

record! {
    /// Settings of `proxy-cache`.
    pub struct Config {
        /// Statuses of the answers that are kept.
        pub response_code: Vec<u16> = integer_list(&[200, 301, 404], 100..=900, STATUSES_MAX),
        /// Methods whose answers are kept.
        pub request_method: Vec<CachedMethod> = word_list(&[CachedMethod::Get, CachedMethod::Head]),
        /// Types of the answers that are kept, each as the whole `Content-Type`.
        pub content_type: Vec<String> = list(HEADER_VALUE, NAMES_MAX).or(&["text/plain", "application/json"]),
        /// For how many seconds an answer is given again.
        pub cache_ttl: u32 = integer(300, 1..=TTL_MAX),
        /// Where answers are kept.
        pub strategy: Strategy = word(Strategy::Memory).required("name `memory`"),
        /// Whether `Cache-Control` decides (RFC 9111), of answers and of requests; else `cache_ttl` does.
        pub cache_control: bool = boolean(false),
        /// Whether paths that differ in case alone have one answer.
        pub ignore_uri_case: bool = boolean(false),
        /// For how many seconds an answer is kept in all. One that is not given again any more tells `Refresh` instead of `Miss`.
        pub storage_ttl: Option<u32> = optional_integer(1..=TTL_MAX),
        /// Query arguments that tell answers apart; all if there are none.
        pub vary_query_params: Vec<String> = list(ARGUMENT, NAMES_MAX),
        /// Headers of requests that tell answers apart, besides those that answers name in `Vary`.
        pub vary_headers: Vec<String> = list(HEADER_NAME, NAMES_MAX).or(&["Accept-Encoding"]),
        /// Which headers tell of the cache.
        pub response_headers: ResponseHeaders = object(),
    }
    besides {
        memory = fixed(json!({ "dictionary_name": "kong_db_cache" }), "all answers of a gateway share one memory; remove it"),
    }
}

impl PluginSettings for Config {
    const NAME: &'static str = "proxy-cache";

    fn smallest() -> Value {
        json!({ "strategy": "memory" })
    }
}

impl Rules for Config {}

fn argument(text: &str) -> Result<(), String> {
    rules::length(text, ARGUMENT_CHARS_MAX)?;
    rules::printable(text)
}
