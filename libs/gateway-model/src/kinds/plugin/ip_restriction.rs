//! Settings of `ip-restriction`: which addresses requests may come from.

use serde_json::{Value, json};

use super::PluginSettings;
use crate::record::{Fields, Rules, boolean, list, optional_integer, record, text};
use crate::rules::{self, Rule};

/// Addresses and ranges in each list.
const RANGES_MAX: usize = 4096;
/// Bytes of the longest range in IPv6.
const RANGE_BYTES_MAX: usize = 43;
const RANGE: Rule = Rule::new(range, RANGE_BYTES_MAX);
/// Characters of the message.
const MESSAGE_CHARS_MAX: usize = 1024;
const MESSAGE: Rule = Rule::new(message, MESSAGE_CHARS_MAX);

record! {
    /// Settings of `ip-restriction`.
    pub struct Config {
        /// Addresses and ranges (CIDR) that alone may send requests.
        pub allow: Vec<String> = list(RANGE, RANGES_MAX),
        /// Addresses and ranges that may not. They are looked at first.
        pub deny: Vec<String> = list(RANGE, RANGES_MAX),
        /// Status of refusals; 403 when absent.
        pub status: Option<u16> = optional_integer(400..=599),
        /// What the client is told.
        pub message: Option<String> = text(MESSAGE),
        /// Whether requests that would be refused are counted and logged, and pass.
        pub observe: bool = boolean(false),
    }
}

impl PluginSettings for Config {
    const NAME: &'static str = "ip-restriction";

    fn smallest() -> Value {
        json!({ "deny": ["192.0.2.1"] })
    }

    fn observe(&self) -> bool {
        self.observe
    }
}

impl Rules for Config {
    fn check(&self, fields: &mut Fields<'_>) {
        if fields.is_unset("allow") && fields.is_unset("deny") {
            fields.fail("allow", "must have an entry unless `deny` has one");
        }
    }
}

fn message(text: &str) -> Result<(), String> {
    rules::length(text, MESSAGE_CHARS_MAX)?;
    rules::printable(text)
}

/// An address, or a range whose length fits its family.
fn range(text: &str) -> Result<(), String> {
    let (address, length) = text.split_once('/').map_or((text, None), |(address, bits)| (address, Some(bits)));
    let address: std::net::IpAddr =
        address.parse().map_err(|_| "be an IP address or a range such as 10.0.0.0/8".to_owned())?;
    let bits = if address.is_ipv4() { 32 } else { 128 };
    let fits = |length: &str| {
        length.bytes().all(|byte| byte.is_ascii_digit()) && length.parse::<u8>().is_ok_and(|length| length <= bits)
    };
    match length {
        Some(length) if !fits(length) => Err(format!("end in a length from 0 to {bits}")),
        _ => Ok(()),
    }
}
