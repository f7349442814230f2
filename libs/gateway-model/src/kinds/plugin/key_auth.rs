//! Settings of `key-auth`: requests must carry the API key of a consumer.

use serde_json::{Value, json};

use super::PluginSettings;
use crate::record::{Fields, Rules, absent, boolean, fixed, list, record, text};
use crate::rules::{HEADER_NAME, QUOTABLE};

/// Names under which a key is looked for.
const KEY_NAMES_MAX: usize = 16;

/// Where Konnect looks for keys. Here: in the control plane, and nowhere else.
fn identity_realms() -> Value {
    json!([{ "scope": "cp", "id": null, "region": null }])
}

record! {
    /// Settings of `key-auth`.
    pub struct Config {
        /// Headers and query arguments that may hold the key, tried in this order.
        pub key_names: Vec<String> = list(HEADER_NAME, KEY_NAMES_MAX).or(&["apikey"]),
        /// Whether headers are searched.
        pub key_in_header: bool = boolean(true),
        /// Whether query arguments are searched.
        pub key_in_query: bool = boolean(true),
        /// Whether the key is removed from the request before it goes upstream.
        pub hide_credentials: bool = boolean(false),
        /// Whether `OPTIONS` requests need a key too.
        pub run_on_preflight: bool = boolean(true),
        /// Realm named in the `WWW-Authenticate` header of refusals.
        pub realm: Option<String> = text(QUOTABLE),
        /// Whether requests that would be refused are counted and logged, and pass.
        pub observe: bool = boolean(false),
    }
    besides {
        key_in_body = fixed(false, "bodies are not read for keys; use a header or a query argument"),
        anonymous = absent("requests without a key are refused; remove it").shown(),
        identity_realms = fixed(identity_realms(), "keys are those of this control plane; remove it"),
    }
}

impl PluginSettings for Config {
    const NAME: &'static str = "key-auth";
    const RUNS_BEFORE_CONSUMER: bool = true;

    fn observe(&self) -> bool {
        self.observe
    }
}

impl Rules for Config {
    fn check(&self, fields: &mut Fields<'_>) {
        if !self.key_in_header && !self.key_in_query {
            fields.fail("key_in_header", "must be true unless `key_in_query` is: no request could pass");
        }
    }
}
