//! Settings of `response-ratelimiting`: how much of what upstreams count there may be in a period of time.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::PluginSettings;
use super::counting::{self, LimitBy, Limits, Policy, Redis, WindowType};
use crate::record::{Fields, Rules, boolean, record, records, text, word};
use crate::rules::HEADER_NAME;

/// Limits by name.
const LIMITS_MAX: usize = 32;

record! {
    /// Settings of `response-ratelimiting`.
    pub struct Config {
        /// The limits by their names, each with at least one period.
        pub limits: BTreeMap<String, Limits> = records(HEADER_NAME, LIMITS_MAX, "name at least one limit"),
        /// The header by which an upstream says what a request has used. Example: `x-kong-limit: video=1, image=3`. Clients do not get it.
        pub header_name: String = text(HEADER_NAME).or("x-kong-limit"),
        /// By what requests are told apart that are counted separately: `consumer`, `credential` or `ip`.
        pub limit_by: LimitBy = word(LimitBy::Consumer),
        /// Where counts are: `local`, in each gateway, or `redis`, in a server that gateways share.
        pub policy: Policy = counting::policy(),
        /// Whether requests pass while the Redis server cannot be asked; else they are answered with 500.
        pub fault_tolerant: bool = boolean(true),
        /// The server, where `policy` is `redis`.
        pub redis: Redis = counting::redis(),
        /// Whether a request is refused as soon as any limit is used up, whatever it would use.
        pub block_on_first_violation: bool = boolean(false),
        /// Whether clients are not told of limits.
        pub hide_client_headers: bool = boolean(false),
        /// Whether a period is a piece of the calendar, or the time up to now.
        pub window_type: WindowType = word(WindowType::Fixed),
        /// Whether requests that would be refused are counted and logged, and pass.
        pub observe: bool = boolean(false),
    }
}

impl PluginSettings for Config {
    const NAME: &'static str = "response-ratelimiting";

    fn smallest() -> Value {
        json!({ "limits": { "sms": { "minute": 5 } } })
    }

    fn observe(&self) -> bool {
        self.observe
    }
}

impl Rules for Config {
    fn check(&self, fields: &mut Fields<'_>) {
        counting::check_policy(self.policy, &self.redis, fields);
        if !matches!(self.limit_by, LimitBy::Consumer | LimitBy::Credential | LimitBy::Ip) {
            fields.fail("limit_by", "must be one of consumer, credential, ip");
        }
    }
}
