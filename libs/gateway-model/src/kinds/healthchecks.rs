//! How the unhealthy targets of an upstream are found. Fields and defaults are Kong's.

use std::collections::BTreeMap;

use crate::record::{
    Rules, boolean, integer, integer_list, number, object, record, text, text_lists, word, words,
};
use crate::rules::{self, HEADER_NAME, HEADER_VALUE, UPSTREAM_HOST};

/// Longest interval between two checks, and longest timeout of one, in seconds.
const SECONDS_MAX: u32 = 65_535;
/// Most checks at a time.
const CONCURRENCY_MAX: u32 = 2_147_483_646;
/// Statuses in one list.
const STATUSES_MAX: usize = 32;

words! {
    /// What a target is checked by.
    pub enum Probe {
        /// A connection.
        Tcp = "tcp",
        /// A request.
        Http = "http",
        /// A request over TLS.
        Https = "https",
        /// A gRPC health check.
        Grpc = "grpc",
        /// A gRPC health check over TLS.
        Grpcs = "grpcs",
    }
}

record! {
    /// How unhealthy targets are found.
    pub struct Healthchecks {
        /// By asking them.
        pub active: Active = object(),
        /// By what they answer to requests.
        pub passive: Passive = object(),
        /// Least share of the weight that must be healthy, in percent.
        pub threshold: f64 = number(0, 100),
    }
}

impl Healthchecks {
    /// Whether no check can find a target unhealthy.
    pub fn are_off(&self) -> bool {
        let Active { healthy, unhealthy, .. } = &self.active;
        let PassiveUnhealthy { tcp_failures, timeouts, http_failures, .. } = &self.passive.unhealthy;
        healthy.interval == 0.0
            && unhealthy.interval == 0.0
            && [tcp_failures, timeouts, http_failures].into_iter().all(|failures| *failures == 0)
    }
}

record! {
    /// By asking the targets.
    pub struct Active {
        /// What they are asked.
        pub probe as "type": Probe = word(Probe::Http),
        /// Seconds after which a check has failed.
        pub timeout: f64 = number(1, SECONDS_MAX),
        /// Most checks at a time.
        pub concurrency: u32 = integer(10, 1..=CONCURRENCY_MAX),
        /// Path of the request.
        pub http_path: String = text(rules::UPSTREAM_PATH).or("/"),
        /// Name that the target's certificate must have.
        pub https_sni: Option<String> = text(UPSTREAM_HOST),
        /// Whether the target's certificate is verified.
        pub https_verify_certificate: bool = boolean(true),
        /// Headers of the request.
        pub headers: BTreeMap<String, Vec<String>> = text_lists(HEADER_NAME, HEADER_VALUE),
        /// When a target is healthy again.
        pub healthy: ActiveHealthy = object(),
        /// When a target is unhealthy.
        pub unhealthy: ActiveUnhealthy = object(),
    }
}

record! {
    /// When a target is healthy again.
    pub struct ActiveHealthy {
        /// Seconds between two checks of a healthy target; 0: none.
        pub interval: f64 = number(0, SECONDS_MAX),
        /// Successes after which it is healthy; 0: never.
        pub successes: u8 = integer(0, 0..=255),
        /// Statuses that are successes.
        pub http_statuses: Vec<u16> = integer_list(&[200, 302], 100..=999, STATUSES_MAX),
    }
}

record! {
    /// When a target is unhealthy.
    pub struct ActiveUnhealthy {
        /// Seconds between two checks of an unhealthy target; 0: none.
        pub interval: f64 = number(0, SECONDS_MAX),
        /// Failed connections after which it is unhealthy; 0: never.
        pub tcp_failures: u8 = integer(0, 0..=255),
        /// Timeouts after which it is unhealthy; 0: never.
        pub timeouts: u8 = integer(0, 0..=255),
        /// Failed requests after which it is unhealthy; 0: never.
        pub http_failures: u8 = integer(0, 0..=255),
        /// Statuses that are failures.
        pub http_statuses: Vec<u16> =
            integer_list(&[429, 404, 500, 501, 502, 503, 504, 505], 100..=999, STATUSES_MAX),
    }
}

record! {
    /// By what the targets answer to requests.
    pub struct Passive {
        /// What the requests are.
        pub probe as "type": Probe = word(Probe::Http),
        /// When a target is healthy again.
        pub healthy: PassiveHealthy = object(),
        /// When a target is unhealthy.
        pub unhealthy: PassiveUnhealthy = object(),
    }
}

record! {
    /// When a target is healthy again.
    pub struct PassiveHealthy {
        /// Successes after which it is healthy; 0: never.
        pub successes: u8 = integer(0, 0..=255),
        /// Statuses that are successes.
        pub http_statuses: Vec<u16> = integer_list(
            &[200, 201, 202, 203, 204, 205, 206, 207, 208, 226, 300, 301, 302, 303, 304, 305, 306, 307, 308],
            100..=999,
            STATUSES_MAX,
        ),
    }
}

record! {
    /// When a target is unhealthy.
    pub struct PassiveUnhealthy {
        /// Failed connections after which it is unhealthy; 0: never.
        pub tcp_failures: u8 = integer(0, 0..=255),
        /// Timeouts after which it is unhealthy; 0: never.
        pub timeouts: u8 = integer(0, 0..=255),
        /// Failed requests after which it is unhealthy; 0: never.
        pub http_failures: u8 = integer(0, 0..=255),
        /// Statuses that are failures.
        pub http_statuses: Vec<u16> = integer_list(&[429, 500, 503], 100..=999, STATUSES_MAX),
    }
}

macro_rules! without_rules {
    ($($Record:ty),*) => { $(impl Rules for $Record {})* };
}
without_rules!(
    Healthchecks,
    Active,
    ActiveHealthy,
    ActiveUnhealthy,
    Passive,
    PassiveHealthy,
    PassiveUnhealthy
);
