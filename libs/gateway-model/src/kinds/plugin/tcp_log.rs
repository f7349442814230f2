//! Settings of `tcp-log`: a line for each request is sent over a TCP connection.

use serde_json::{Value, json};

use super::{PluginSettings, http_log::NO_LUA};
use crate::record::{Rules, absent, boolean, number, record, required_integer, text};
use crate::rules::UPSTREAM_HOST;

record! {
    /// Settings of `tcp-log`. Each request becomes a line of JSON, in Kong's format.
    pub struct Config {
        /// Name or address that entries are sent to.
        pub host: String = text(UPSTREAM_HOST).required("name the host that entries are sent to"),
        /// Its port.
        pub port: u16 = required_integer(1..=65_535, "name the port that entries are sent to"),
        /// Milliseconds that connecting and sending may take.
        pub timeout: f64 = number(10_000, 2_147_483_646),
        /// Milliseconds for which the connection is kept without use.
        pub keepalive: f64 = number(60_000, 2_147_483_646),
        /// Whether TLS is spoken. The receiver's certificate is verified as those of upstreams are.
        pub tls: bool = boolean(false),
        /// The name that the receiver's certificate must have; `host` where nothing is said.
        pub tls_sni: Option<String> = text(UPSTREAM_HOST),
    }
    besides {
        custom_fields_by_lua = absent(NO_LUA).shown(),
    }
}

impl PluginSettings for Config {
    const NAME: &'static str = "tcp-log";

    fn smallest() -> Value {
        json!({ "host": "logs.example.com", "port": 514 })
    }
}

impl Rules for Config {}
