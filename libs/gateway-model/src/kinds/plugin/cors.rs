//! Settings of `cors`: pages of other origins may send requests.

use super::PluginSettings;
use crate::record::{Rules, boolean, list, optional_integer, record, word_list, words};
use crate::rules::{HEADER_NAME, Rule};
use crate::text_regex;

/// Origins, or patterns of them.
const ORIGINS_MAX: usize = 256;
/// Headers in each list.
const HEADERS_MAX: usize = 128;
const ORIGIN_BYTES_MAX: usize = 512;
const ORIGIN: Rule = Rule::new(origin, ORIGIN_BYTES_MAX);

words! {
    /// A method of requests that pages may send.
    pub enum CorsMethod {
        /// `GET`.
        Get = "GET",
        /// `HEAD`.
        Head = "HEAD",
        /// `PUT`.
        Put = "PUT",
        /// `PATCH`.
        Patch = "PATCH",
        /// `POST`.
        Post = "POST",
        /// `DELETE`.
        Delete = "DELETE",
        /// `OPTIONS`.
        Options = "OPTIONS",
        /// `TRACE`. Named for Kong's clients: the gateway lets no such request pass.
        Trace = "TRACE",
        /// `CONNECT`, likewise.
        Connect = "CONNECT",
    }
}

const METHODS_DEFAULT: [CorsMethod; 9] = [
    CorsMethod::Get,
    CorsMethod::Head,
    CorsMethod::Put,
    CorsMethod::Patch,
    CorsMethod::Post,
    CorsMethod::Delete,
    CorsMethod::Options,
    CorsMethod::Trace,
    CorsMethod::Connect,
];

record! {
    /// Settings of `cors`.
    pub struct Config {
        /// Origins that may send requests: `*`, an origin such as `https://example.com`, or a regular expression that matches a whole one; one
        /// without a colon matches the host alone. All origins if there are none.
        pub origins: Vec<String> = list(ORIGIN, ORIGINS_MAX),
        /// Headers that pages may send; those that a preflight asks for if there are none.
        pub headers: Vec<String> = list(HEADER_NAME, HEADERS_MAX),
        /// Headers of answers that pages may read besides the usual ones.
        pub exposed_headers: Vec<String> = list(HEADER_NAME, HEADERS_MAX),
        /// Methods that pages may use.
        pub methods: Vec<CorsMethod> = word_list(&METHODS_DEFAULT),
        /// For how many seconds a browser may remember the answer to a preflight.
        pub max_age: Option<u32> = optional_integer(0..=u32::MAX),
        /// Whether pages may send cookies and other credentials.
        pub credentials: bool = boolean(false),
        /// Whether pages of public networks may reach this private one, where a preflight asks.
        pub private_network: bool = boolean(false),
        /// Whether preflights go to the upstream, which answers them.
        pub preflight_continue: bool = boolean(false),
        /// Whether answers to requests without `Origin` have the headers too.
        pub allow_origin_absent: bool = boolean(true),
    }
}

impl PluginSettings for Config {
    const NAME: &'static str = "cors";
    const RUNS_BEFORE_CONSUMER: bool = true;
}

impl Rules for Config {}

/// Whether an origin is written out. What has any other character is a regular expression.
pub fn is_literal(origin: &str) -> bool {
    origin.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".:/-".contains(&byte))
}

/// `*`, an origin, or an expression for some.
fn origin(text: &str) -> Result<(), String> {
    if text == "*" || !text.is_empty() && is_literal(text) && text.len() <= ORIGIN_BYTES_MAX {
        return Ok(());
    }
    (text_regex::TEXT_REGEX.check)(text)
}
