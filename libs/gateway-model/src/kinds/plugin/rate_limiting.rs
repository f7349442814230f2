//! Settings of `rate-limiting`: how many requests there may be in a period of time.

use serde_json::{Value, json};

use super::PluginSettings;
use super::counting::{self, LIMIT_MAX, LimitBy, Policy, Redis, WindowType};
use crate::record::{
    Fields, Rules, boolean, integer, number_or_minus_one, optional_integer, record, text, word,
};
use crate::rules::{self, HEADER_NAME, Rule};

/// Characters of the message.
const MESSAGE_CHARS_MAX: usize = 1024;
const MESSAGE: Rule = Rule::new(message, MESSAGE_CHARS_MAX);
const PATH: Rule = Rule::new(rules::prefix_path, rules::PATH_BYTES_MAX);
/// Seconds.
const SYNC_RATE_MIN: f64 = 0.02;
const SYNC_RATE_MAX: f64 = 3600.0;

record! {
    /// Settings of `rate-limiting`. At least one period has a limit.
    pub struct Config {
        /// Requests in a second.
        pub second: Option<u64> = optional_integer(1..=LIMIT_MAX),
        /// Requests in a minute.
        pub minute: Option<u64> = optional_integer(1..=LIMIT_MAX),
        /// Requests in an hour.
        pub hour: Option<u64> = optional_integer(1..=LIMIT_MAX),
        /// Requests in a day.
        pub day: Option<u64> = optional_integer(1..=LIMIT_MAX),
        /// Requests in a month.
        pub month: Option<u64> = optional_integer(1..=LIMIT_MAX),
        /// Requests in a year.
        pub year: Option<u64> = optional_integer(1..=LIMIT_MAX),
        /// By what requests are told apart that are counted separately.
        pub limit_by: LimitBy = word(LimitBy::Consumer),
        /// The header, where `limit_by` is `header`.
        pub header_name: Option<String> = text(HEADER_NAME),
        /// The path, where `limit_by` is `path`.
        pub path: Option<String> = text(PATH),
        /// Where counts are: `local`, in each gateway, or `redis`, in a server that gateways share.
        pub policy: Policy = counting::policy(),
        /// Whether requests pass while the Redis server cannot be asked; else they are answered with 500.
        pub fault_tolerant: bool = boolean(true),
        /// The server, where `policy` is `redis`.
        pub redis: Redis = counting::redis(),
        /// Whether clients are not told of limits.
        pub hide_client_headers: bool = boolean(false),
        /// Status of refusals.
        pub error_code: u16 = integer(429, 200..=599),
        /// What the client is told then.
        pub error_message: String = text(MESSAGE).or("API rate limit exceeded"),
        /// With `redis`: -1, and each request asks the server; else every how many seconds the gateway's own counts are brought there.
        pub sync_rate: f64 = number_or_minus_one(SYNC_RATE_MIN..=SYNC_RATE_MAX),
        /// Whether a period is a piece of the calendar, or the time up to now.
        pub window_type: WindowType = word(WindowType::Fixed),
        /// Whether requests that would be refused are counted and logged, and pass.
        pub observe: bool = boolean(false),
    }
}

impl Config {
    /// The limits, from the shortest period to the longest.
    pub fn limits(&self) -> [Option<u64>; 6] {
        [self.second, self.minute, self.hour, self.day, self.month, self.year]
    }
}

impl PluginSettings for Config {
    const NAME: &'static str = "rate-limiting";

    fn smallest() -> Value {
        json!({ "minute": 5 })
    }

    fn observe(&self) -> bool {
        self.observe
    }
}

impl Rules for Config {
    fn check(&self, fields: &mut Fields<'_>) {
        counting::check_limits(self.limits(), fields);
        counting::check_policy(self.policy, &self.redis, fields);
        if self.limit_by == LimitBy::Header && !fields.has("header_name") {
            fields.fail("header_name", "is required where `limit_by` is header");
        }
        if self.limit_by == LimitBy::Path && !fields.has("path") {
            fields.fail("path", "is required where `limit_by` is path");
        }
        if self.policy == Policy::Local && self.sync_rate >= 0.0 {
            fields.fail("sync_rate", "must be left out where `policy` is local: there is nothing to synchronize with");
        }
    }
}

fn message(text: &str) -> Result<(), String> {
    rules::length(text, MESSAGE_CHARS_MAX)?;
    rules::printable(text)
}
