//! Settings of `bot-detection`: which programs may send requests, by their `User-Agent`.

use super::PluginSettings;
use crate::record::{Rules, boolean, list, record};
use crate::text_regex::TEXT_REGEX;

/// Expressions in each list.
const PATTERNS_MAX: usize = 128;

record! {
    /// Settings of `bot-detection`.
    pub struct Config {
        /// Regular expressions: a `User-Agent` that one matches passes.
        pub allow: Vec<String> = list(TEXT_REGEX, PATTERNS_MAX),
        /// Regular expressions: a `User-Agent` that one matches, and none of `allow`, is refused, beside those of known bots.
        pub deny: Vec<String> = list(TEXT_REGEX, PATTERNS_MAX),
        /// Whether requests that would be refused are counted and logged, and pass.
        pub observe: bool = boolean(false),
    }
}

impl PluginSettings for Config {
    const NAME: &'static str = "bot-detection";
    const RUNS_BEFORE_CONSUMER: bool = true;

    fn observe(&self) -> bool {
        self.observe
    }
}

impl Rules for Config {}
