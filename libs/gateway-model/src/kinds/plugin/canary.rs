//! Settings of `canary`: a share of the requests goes to another upstream, which may grow with time.

use serde_json::{Value, json};

use super::PluginSettings;
use crate::record::{Fields, Rules, fixed, integer, optional_integer, optional_number, record, text, word, words};
use crate::rules::{HEADER_NAME, UPSTREAM_HOST, UPSTREAM_PATH};

/// A year, in seconds.
const DURATION_MAX: u32 = 31_536_000;
/// The last second that a date can name.
const SECONDS_MAX: u64 = 253_402_300_799;

words! {
    /// What a request's place is chosen by: the same goes to the same place, at every gateway.
    pub enum Stickiness {
        /// The consumer; the client's address where there is none.
        Consumer = "consumer",
        /// The client's address.
        Ip = "ip",
        /// A header; chance where there is none.
        Header = "header",
        /// Chance.
        None = "none",
    }
}

record! {
    /// Settings of `canary`.
    pub struct Config {
        /// Unix seconds from which the share grows.
        pub start: Option<u64> = optional_integer(0..=SECONDS_MAX),
        /// For how many seconds it grows, from nothing to everything.
        pub duration: u32 = integer(3600, 1..=DURATION_MAX),
        /// Into how many steps requests are divided.
        pub steps: u32 = integer(1000, 1..=1_000_000),
        /// A share that does not grow, in percent. Excludes `start`.
        pub percentage: Option<f64> = optional_number(100),
        /// What a request's place is chosen by.
        pub hash: Stickiness = word(Stickiness::Consumer),
        /// The header, where `hash` is `header`.
        pub hash_header: Option<String> = text(HEADER_NAME),
        /// The host that the share goes to; if an upstream has this name, its targets. The service's where absent.
        pub upstream_host: Option<String> = text(UPSTREAM_HOST),
        /// The port, likewise.
        pub upstream_port: Option<u16> = optional_integer(1..=65_535),
        /// The path that is put before the request's, likewise.
        pub upstream_uri: Option<String> = text(UPSTREAM_PATH),
        /// A header by which clients choose: `always` goes to the other upstream, `never` does not.
        pub canary_by_header_name: Option<String> = text(HEADER_NAME),
    }
    besides {
        groups = crate::record::absent("give the plugin a `consumer_group` instead").shown(),
        upstream_fallback = fixed(false, "an upstream's health checks take requests away from bad targets; remove it"),
    }
}

impl PluginSettings for Config {
    const NAME: &'static str = "canary";

    fn smallest() -> Value {
        json!({ "percentage": 10.0, "upstream_host": "next.example" })
    }
}

impl Rules for Config {
    fn check(&self, fields: &mut Fields<'_>) {
        if fields.has("start") && fields.has("percentage") {
            fields.fail("percentage", "must be left out where `start` is given: the share grows");
        }
        if !fields.has("start") && !fields.has("percentage") && !fields.has("canary_by_header_name") {
            fields.fail("percentage", "is required unless `start` or `canary_by_header_name` is given");
        }
        if self.hash == Stickiness::Header && !fields.has("hash_header") {
            fields.fail("hash_header", "is required: `hash` is `header`");
        }
        if ["upstream_host", "upstream_port", "upstream_uri"].iter().all(|field| !fields.has(field)) {
            fields.fail("upstream_host", "is required, unless `upstream_port` or `upstream_uri` is given");
        }
    }
}
