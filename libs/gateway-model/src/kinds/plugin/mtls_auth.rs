//! Settings of `mtls-auth`: clients must show a certificate that one of certain authorities has issued.

use serde_json::{Value, json};

use super::{ANONYMOUS, PluginSettings};
use crate::record::{Fields, Rules, absent, boolean, fixed, list, record, text, word_or_null, words};
use crate::rules::Rule;
use crate::{Kind, Target, record::id_list};

/// Authorities of one plugin.
const AUTHORITIES_MAX: usize = 64;
/// A field that consumers are found by.
const CONSUMER_FIELD: Rule = Rule::new(consumer_field, 9);

/// Why nothing but the default of a setting about revocation is possible.
const NO_REVOCATION: &str = "this gateway asks nobody whether a certificate was revoked; remove it";
/// The same of a setting about what is kept in memory.
const NO_CACHE: &str = "consumers are found as the configuration says at each moment; remove it";

fn consumer_field(text: &str) -> Result<(), String> {
    if matches!(text, "username" | "custom_id") { Ok(()) } else { Err("be `username` or `custom_id`".to_owned()) }
}

words! {
    /// What of a certificate's subject counts as a group.
    pub enum GroupBy {
        /// Its common name.
        Cn = "CN",
        /// All of it.
        Dn = "DN",
    }
}

record! {
    /// Settings of `mtls-auth`.
    pub struct Config {
        /// Ids of the CA certificates that clients are verified by; at least one.
        pub ca_certificates: Vec<Target> = id_list(Kind::CaCertificate, AUTHORITIES_MAX),
        /// Whether a certificate that leads to one of them passes without a consumer.
        pub skip_consumer_lookup: bool = boolean(false),
        /// The fields of consumers that may hold a name of the certificate, where no mtls-auth credential does; `[]`: none.
        pub consumer_by: Vec<String> = list(CONSUMER_FIELD, 2).or_empty(&["username", "custom_id"]),
        /// Id or username of the consumer that a request counts as whose certificate is right and is nobody's; null: it is refused.
        pub default_consumer: Option<String> = text(ANONYMOUS),
        /// Id or username of the consumer that a request counts as which shows no right certificate; null: it is refused.
        pub anonymous: Option<String> = text(ANONYMOUS),
        /// What of the certificate's subject counts as a group in access lists, where `skip_consumer_lookup` is true; null: nothing.
        pub authenticated_group_by: Option<GroupBy> = word_or_null(GroupBy::Cn),
        /// Whether a chain may end at a CA certificate that another authority has issued. Otherwise it must end at one that issued itself.
        pub allow_partial_chain: bool = boolean(false),
        /// Whether clients are told the names of the CA certificates when they are asked for theirs.
        pub send_ca_dn: bool = boolean(false),
        /// Whether requests that would be refused are counted and logged, and pass.
        pub observe: bool = boolean(false),
    }
    besides {
        revocation_check_mode = fixed("SKIP", "this gateway asks nobody whether a certificate was revoked; use `SKIP`, and certificates that end soon"),
        http_timeout = fixed(30_000, NO_REVOCATION),
        cert_cache_ttl = fixed(60_000, NO_REVOCATION),
        ssl_verify = fixed(true, NO_REVOCATION),
        http_proxy_host = absent(NO_REVOCATION),
        http_proxy_port = absent(NO_REVOCATION),
        https_proxy_host = absent(NO_REVOCATION),
        https_proxy_port = absent(NO_REVOCATION),
        cache_ttl = fixed(60, NO_CACHE),
    }
}

impl PluginSettings for Config {
    const NAME: &'static str = "mtls-auth";
    const RUNS_BEFORE_CONSUMER: bool = true;

    fn observe(&self) -> bool {
        self.observe
    }

    fn smallest() -> Value {
        json!({ "ca_certificates": [crate::kinds::EXAMPLE_ID] })
    }
}

impl Rules for Config {
    fn check(&self, fields: &mut Fields<'_>) {
        if fields.is_unset("ca_certificates") {
            fields.fail("ca_certificates", "is required: give the id of a CA certificate that clients are verified by");
        }
    }
}
