//! Settings of `oauth2-introspection`: requests must carry a token that a provider says is worth something.

use serde_json::{Value, json};

use super::{
    ANONYMOUS, PluginSettings,
    openid_connect::URL,
};
use crate::record::{Rules, Secret, boolean, integer, record, sealed, text, word, words};
use crate::rules::{self, KEY, Rule};

/// What is said of a token beside it.
const HINT: Rule = Rule::new(rules::header_value, rules::HEADER_VALUE.chars_max);

words! {
    /// What of the provider's answer names the consumer.
    pub enum TokenConsumerBy {
        /// Its `username`, which is that of a consumer.
        Username = "username",
        /// Its `client_id`, which is the `custom_id` of a consumer.
        ClientId = "client_id",
    }
}

record! {
    /// Settings of `oauth2-introspection`.
    pub struct Config {
        /// Where the provider is asked (RFC 7662).
        pub introspection_url: String = text(URL).required("name where the provider is asked about tokens"),
        /// The `Authorization` header by which the gateway shows who it is. Example: `Basic …`.
        pub authorization_value: Secret = sealed("authorization_value_sealed", KEY).required("the provider does not answer everybody"),
        /// What the provider is told of tokens.
        pub token_type_hint: Option<String> = text(HINT),
        /// Seconds for which its answers count; 0: it is asked each time.
        pub ttl: u32 = integer(30, 0..=3600),
        /// What of its answer names the consumer. Somebody passes who is none.
        pub consumer_by: TokenConsumerBy = word(TokenConsumerBy::Username),
        /// Whether the token is removed from the request before it goes upstream.
        pub hide_credentials: bool = boolean(false),
        /// Whether `OPTIONS` requests need a token too.
        pub run_on_preflight: bool = boolean(true),
        /// Id or username of the consumer that a request counts as which shows no right token; null: it is refused.
        pub anonymous: Option<String> = text(ANONYMOUS),
        /// Whether requests that would be refused are counted and logged, and pass.
        pub observe: bool = boolean(false),
    }
}

impl PluginSettings for Config {
    const NAME: &'static str = "oauth2-introspection";
    const RUNS_BEFORE_CONSUMER: bool = true;

    fn observe(&self) -> bool {
        self.observe
    }

    fn smallest() -> Value {
        json!({ "introspection_url": "https://id.example.com/introspect", "authorization_value": "Basic YTpi" })
    }
}

impl Rules for Config {}
