//! Settings of `acl`: only consumers of certain groups pass, or all but those of certain groups.

use serde_json::{Value, json};

use super::PluginSettings;
use crate::record::{Fields, Rules, boolean, list, record};
use crate::rules::{CUSTOM_ID, Rule};

/// Groups that one list names.
const GROUPS_MAX: usize = 512;
/// A group: of consumers, or one that an identity provider or a certificate states, such as `/staff` or `CN=staff,O=Shop`.
const GROUP: Rule = CUSTOM_ID;

record! {
    /// Settings of `acl`.
    pub struct Config {
        /// The groups whose members pass, and nobody else. Either this or `deny`.
        pub allow: Vec<String> = list(GROUP, GROUPS_MAX),
        /// The groups whose members do not pass. Either this or `allow`.
        pub deny: Vec<String> = list(GROUP, GROUPS_MAX),
        /// Whether the upstream is not told the groups in `X-Consumer-Groups` or `X-Authenticated-Groups`.
        pub hide_groups_header: bool = boolean(false),
        /// Whether the names of the consumer groups that a consumer is in count like its `acls`.
        pub include_consumer_groups: bool = boolean(false),
        /// Whether the groups that an identity provider states count also where a consumer is known; its own count only if the provider states none.
        pub always_use_authenticated_groups: bool = boolean(false),
        /// Whether requests that would be refused are counted and logged, and pass.
        pub observe: bool = boolean(false),
    }
}

impl PluginSettings for Config {
    const NAME: &'static str = "acl";

    fn observe(&self) -> bool {
        self.observe
    }

    fn smallest() -> Value {
        json!({ "allow": ["staff"] })
    }
}

impl Rules for Config {
    fn check(&self, fields: &mut Fields<'_>) {
        match (fields.is_unset("allow"), fields.is_unset("deny")) {
            (true, true) => fields.fail(
                "allow",
                "is required: name the groups that pass, or in `deny` those that do not",
            ),
            (false, false) => fields.fail("deny", "must be left out where `allow` is given"),
            _ => {}
        }
    }
}
