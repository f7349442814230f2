//! Settings of `basic-auth`: requests must carry the username and password of a consumer.

use super::{ANONYMOUS, PluginSettings};
use crate::record::{Rules, boolean, record, text};
use crate::rules::QUOTABLE;

record! {
    /// Settings of `basic-auth`.
    pub struct Config {
        /// Whether the credentials are removed from the request before it goes upstream.
        pub hide_credentials: bool = boolean(false),
        /// Id or username of the consumer that a request counts as which shows no right credentials; null: it is refused.
        pub anonymous: Option<String> = text(ANONYMOUS),
        /// Realm named in the `WWW-Authenticate` header of refusals.
        pub realm: String = text(QUOTABLE).or("service"),
        /// Whether requests that would be refused are counted and logged, and pass.
        pub observe: bool = boolean(false),
    }
}

impl PluginSettings for Config {
    const NAME: &'static str = "basic-auth";
    const RUNS_BEFORE_CONSUMER: bool = true;

    fn observe(&self) -> bool {
        self.observe
    }
}

impl Rules for Config {}
