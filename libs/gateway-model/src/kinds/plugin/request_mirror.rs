//! Settings of `request-mirror`: another server gets a copy of requests, and nobody waits for it.

use serde_json::{Value, json};

use super::PluginSettings;
use crate::record::{Rules, integer, number, record, text};
use crate::rules::{self, Rule};

/// Bytes of the address.
const URL_BYTES_MAX: usize = 2048;
const URL: Rule = Rule::new(url, URL_BYTES_MAX);

record! {
    /// Settings of `request-mirror`. Kong has no such plugin.
    pub struct Config {
        /// Where copies go, as in `http://shadow.internal:8080/base`. The request's path follows, and its query.
        pub url: String = text(URL).required("name the server that gets the copies, as in http://shadow.internal:8080"),
        /// The share of the requests that are copied, in percent.
        pub sample_percentage: f64 = number(100, 100),
        /// Bytes of the longest body that is copied. A request with a longer one is not.
        pub max_body_bytes: u32 = integer(65_536, 0..=8 * 1024 * 1024),
        /// Copies that are on their way at the same time. Further ones are dropped, and counted.
        pub max_in_flight: u32 = integer(64, 1..=4096),
        /// Milliseconds that a copy may take.
        pub timeout: u32 = integer(10_000, 1..=600_000),
    }
}

impl PluginSettings for Config {
    const NAME: &'static str = "request-mirror";

    fn smallest() -> Value {
        json!({ "url": "http://shadow.example" })
    }
}

impl Rules for Config {}

fn url(text: &str) -> Result<(), String> {
    rules::length_bytes(text, URL_BYTES_MAX)?;
    let url = url::Url::parse(text).map_err(|error| format!("be a URL: {error}"))?;
    let is_whole = matches!(url.scheme(), "http" | "https") && url.has_host();
    if !is_whole || url.query().is_some() || url.fragment().is_some() || !url.username().is_empty() || url.password().is_some() {
        return Err("be a URL of http or https without user, query and fragment".to_owned());
    }
    Ok(())
}
