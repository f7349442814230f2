//! Settings of `key-auth`: requests must carry the API key of a consumer.

use serde_json::{Value, json};

use super::{
    ANONYMOUS, CREDENTIAL_BODY_BYTES, CREDENTIAL_BODY_BYTES_MAX, CREDENTIAL_NAMES_MAX, PluginSettings,
};
use crate::record::{Fields, Rules, boolean, fixed, integer, list, record, text};
use crate::rules::{HEADER_NAME, QUOTABLE};

/// Where Konnect looks for keys. Here: in the control plane, and nowhere else.
fn identity_realms() -> Value {
    json!([{ "scope": "cp", "id": null, "region": null }])
}

record! {
    /// Settings of `key-auth`.
    pub struct Config {
        /// Headers and query arguments that may hold the key, tried in this order.
        pub key_names: Vec<String> = list(HEADER_NAME, CREDENTIAL_NAMES_MAX).or(&["apikey"]),
        /// Whether headers are searched.
        pub key_in_header: bool = boolean(true),
        /// Whether query arguments are searched.
        pub key_in_query: bool = boolean(true),
        /// Whether bodies are searched: forms (`application/x-www-form-urlencoded`, `multipart/form-data`) and JSON objects.
        pub key_in_body: bool = boolean(false),
        /// Bytes of a body that is searched at most; a request with a longer one is refused, if nothing else of it holds a key.
        pub body_max_bytes: u32 = integer(CREDENTIAL_BODY_BYTES, 1..=CREDENTIAL_BODY_BYTES_MAX),
        /// Whether the key is removed from the request before it goes upstream.
        pub hide_credentials: bool = boolean(false),
        /// Whether `OPTIONS` requests need a key too.
        pub run_on_preflight: bool = boolean(true),
        /// Id or username of the consumer that a request counts as which shows no known key; null: it is refused.
        pub anonymous: Option<String> = text(ANONYMOUS),
        /// Realm named in the `WWW-Authenticate` header of refusals.
        pub realm: Option<String> = text(QUOTABLE),
        /// Whether requests that would be refused are counted and logged, and pass.
        pub observe: bool = boolean(false),
    }
    besides {
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
        if !self.key_in_header && !self.key_in_query && !self.key_in_body {
            let message = "must be true unless `key_in_query` or `key_in_body` is: no request could pass";
            fields.fail("key_in_header", message);
        }
    }
}
