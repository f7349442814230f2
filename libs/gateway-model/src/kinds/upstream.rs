//! Upstream: a virtual host whose requests are spread over targets.

use serde_json::json;

use super::healthchecks::Healthchecks;
use super::{Child, KindRow, Model, UniqueField};
use crate::record::{
    Fields, Rules, absent, boolean, fixed, further_number, integer, name, object, record, reference,
    schema_of, tags, text, word, words,
};
use crate::rules::{self, HEADER_NAME, Rule, UPSTREAM_HOST};
use crate::{Entity, Kind, OnDelete, Target, UniqueKey};

/// Longest slow start, in seconds.
const SLOW_START_SECONDS_MAX: u32 = 3_600;

const STICKY: &str = "sticky sessions are not; use `hash_on: cookie`";

const COOKIE: Rule = HEADER_NAME;
const CAPTURE: Rule = Rule::new(rules::name, rules::NAME.chars_max);
const QUERY_ARGUMENT: Rule = Rule::new(rules::name, rules::NAME.chars_max);

words! {
    /// How requests are spread over the targets.
    pub enum Algorithm {
        /// One target after the other, by weight.
        RoundRobin = "round-robin",
        /// The same target for the same value of what `hash_on` names.
        ConsistentHashing = "consistent-hashing",
        /// The target with the fewest open requests.
        LeastConnections = "least-connections",
        /// The target that answers fastest.
        Latency = "latency",
    }
}

words! {
    /// What a request is hashed by.
    pub enum HashOn {
        /// Nothing.
        None = "none",
        /// The consumer.
        Consumer = "consumer",
        /// The client's address.
        Ip = "ip",
        /// A header.
        Header = "header",
        /// A cookie, which is set where it is missing.
        Cookie = "cookie",
        /// The path.
        Path = "path",
        /// A query argument.
        QueryArg = "query_arg",
        /// A named group of the route's regular expression.
        UriCapture = "uri_capture",
    }
}

record! {
    /// A virtual host whose requests are spread over targets.
    pub struct Upstream keeps empty_lists {
        /// Name, unique in the control plane. A service whose `host` is this name sends its requests here.
        pub name: String = name(UPSTREAM_HOST).required("give the host name that services use"),
        /// How requests are spread over the targets.
        pub algorithm: Algorithm = word(Algorithm::RoundRobin),
        /// What a request is hashed by.
        pub hash_on: HashOn = word(HashOn::None),
        /// What a request is hashed by where `hash_on` finds nothing.
        pub hash_fallback: HashOn = word(HashOn::None),
        /// Header for `hash_on: header`.
        pub hash_on_header: Option<String> = text(HEADER_NAME),
        /// Header for `hash_fallback: header`.
        pub hash_fallback_header: Option<String> = text(HEADER_NAME),
        /// Cookie for `hash_on: cookie` or `hash_fallback: cookie`.
        pub hash_on_cookie: Option<String> = text(COOKIE),
        /// Path of that cookie.
        pub hash_on_cookie_path: String = text(rules::UPSTREAM_PATH).or("/"),
        /// Query argument for `hash_on: query_arg`.
        pub hash_on_query_arg: Option<String> = text(QUERY_ARGUMENT),
        /// Query argument for `hash_fallback: query_arg`.
        pub hash_fallback_query_arg: Option<String> = text(QUERY_ARGUMENT),
        /// Name of a group in the path of the route, such as `id` in `~/users/(?<id>\d+)`, for `hash_on: uri_capture`. As in Kong, a number names
        /// none.
        pub hash_on_uri_capture: Option<String> = text(CAPTURE),
        /// The same for `hash_fallback: uri_capture`.
        pub hash_fallback_uri_capture: Option<String> = text(CAPTURE),
        /// Seconds over which a target that has come or recovered gets more and more of its share; 0: it gets it at once.
        pub slow_start: f64 = further_number(SLOW_START_SECONDS_MAX),
        /// Slots of the ring.
        pub slots: u32 = integer(10_000, 10..=65_536),
        /// How unhealthy targets are found.
        pub healthchecks: Healthchecks = object(),
        /// Host header that the targets see.
        pub host_header: Option<String> = text(UPSTREAM_HOST),
        /// Certificate that the gateway shows the targets.
        pub client_certificate: Option<Target> = reference(Kind::Certificate, OnDelete::Restrict),
        /// Whether the names of SRV records are sent as Host.
        pub use_srv_name: bool = boolean(false),
        /// Free labels to select entities by.
        pub tags: Vec<String> = tags(),
    }
    besides {
        sticky_sessions_cookie = absent(STICKY),
        sticky_sessions_cookie_path = fixed("/", STICKY),
    }
}

pub(crate) const ROW: KindRow = KindRow {
    name: "upstream",
    collection: "upstreams",
    section: "upstreams",
    label: "upstream",
    name_field: Some("name"),
    unique: &[UniqueField::shown("name")],
    grants_access: false,
    children: &[Child::new("targets", "targets", Kind::UpstreamTarget, "upstream")],
    read: |fields| Entity::Upstream(super::read(fields)),
    schema: schema_of::<Upstream>,
    example: || {
        json!({"name": "orders.internal", "algorithm": "consistent-hashing", "hash_on": "header", "hash_on_header": "x-user",
               "hash_fallback": "ip", "slow_start": 30, "slots": 100, "host_header": "orders.example.com", "tags": ["team-a"],
               "healthchecks": {"threshold": 12.5, "active": {"type": "https", "timeout": 0.5, "http_path": "/health",
                   "https_sni": "orders.example.com", "headers": {"x-check": ["1"]}, "healthy": {"interval": 5, "successes": 2}},
                   "passive": {"unhealthy": {"http_failures": 3, "http_statuses": [500]}}}})
    },
};

impl Rules for Upstream {
    fn check(&self, fields: &mut Fields<'_>) {
        let hashes = [
            ("hash_on", self.hash_on, "hash_on_header", "hash_on_query_arg", "hash_on_uri_capture"),
            (
                "hash_fallback",
                self.hash_fallback,
                "hash_fallback_header",
                "hash_fallback_query_arg",
                "hash_fallback_uri_capture",
            ),
        ];
        for (field, hash, header, query_argument, capture) in hashes {
            let needed = match hash {
                HashOn::Header => header,
                HashOn::Cookie => "hash_on_cookie",
                HashOn::QueryArg => query_argument,
                HashOn::UriCapture => capture,
                HashOn::None | HashOn::Consumer | HashOn::Ip | HashOn::Path => continue,
            };
            if !fields.has(needed) {
                fields.fail(needed, format!("is required: `{field}` is `{}`", hash.as_str()));
            }
        }
        if self.hash_on == HashOn::None && self.hash_fallback != HashOn::None {
            fields.fail("hash_fallback", "must be `none` where `hash_on` is");
        }
        // As in Kong: a cookie is always found, since it is set where it is missing.
        if self.hash_on == HashOn::Cookie && self.hash_fallback != HashOn::None {
            fields.fail("hash_fallback", "must be `none` where `hash_on` is `cookie`, which is always there");
        }
        let is_simple = matches!(self.hash_on, HashOn::Consumer | HashOn::Ip | HashOn::Path);
        if is_simple && self.hash_fallback == self.hash_on {
            fields.fail("hash_fallback", "must differ from `hash_on`");
        }
    }
}

impl Model for Upstream {
    fn unique_keys(&self) -> Vec<UniqueKey> {
        vec![UniqueKey::new("name", &self.name)]
    }

    fn name(&self) -> Option<&str> {
        Some(&self.name)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::testing::{read, refused};
    use crate::{Entity, Kind};

    #[test]
    fn a_slow_start_is_shown_only_where_it_is_set() {
        let usual = read(Kind::Upstream, json!({ "name": "a.test" }));
        assert_eq!(usual.to_api().get("slow_start"), None);
        let slow = read(Kind::Upstream, json!({ "name": "a.test", "slow_start": 30 }));
        assert_eq!(slow.to_api()["slow_start"], 30);
        let wire = slow.to_wire().expect("complete");
        assert_eq!(Entity::from_wire(Kind::Upstream, &wire), Ok(slow));
        for bad in [json!(-1), json!(3_601), json!("30")] {
            assert_eq!(
                refused(Kind::Upstream, json!({ "name": "a.test", "slow_start": bad })).0,
                "slow_start"
            );
        }
    }
}
