//! Settings of `udp-log`: a datagram for each request.

use serde_json::{Value, json};

use super::{PluginSettings, http_log::NO_LUA};
use crate::record::{Rules, absent, number, record, required_integer, text};
use crate::rules::UPSTREAM_HOST;

record! {
    /// Settings of `udp-log`. Each request becomes a datagram of JSON, in Kong's format. Nobody says whether it arrives.
    pub struct Config {
        /// Name or address that entries are sent to.
        pub host: String = text(UPSTREAM_HOST).required("name the host that entries are sent to"),
        /// Its port.
        pub port: u16 = required_integer(1..=65_535, "name the port that entries are sent to"),
        /// Milliseconds that sending may take.
        pub timeout: f64 = number(10_000, 2_147_483_646),
    }
    besides {
        custom_fields_by_lua = absent(NO_LUA).shown(),
    }
}

impl PluginSettings for Config {
    const NAME: &'static str = "udp-log";

    fn smallest() -> Value {
        json!({ "host": "logs.example.com", "port": 514 })
    }
}

impl Rules for Config {}
