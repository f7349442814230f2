//! Settings of `traffic-split`: requests are divided among services by weight, or by a header.

use serde_json::{Value, json};

use super::PluginSettings;
pub use super::canary::Stickiness;
use crate::record::{Fields, Rules, integer, object_list, record, reference, text, word};
use crate::rules::{HEADER_NAME, HEADER_VALUE};
use crate::{Kind, OnDelete, Target};

/// Parts in a plugin.
const SPLITS_MAX: usize = 32;
/// Of each weight.
const WEIGHT_MAX: u32 = 1_000_000;

record! {
    /// A part of the requests.
    pub struct Split {
        /// The service that the part goes to.
        pub service: Option<Target> = reference(Kind::Service, OnDelete::Restrict).bare(),
        /// The part's size, relative to the other parts.
        pub weight: u32 = integer(0, 0..=WEIGHT_MAX),
        /// All requests with this header belong to the part, whatever the weights say.
        pub header_name: Option<String> = text(HEADER_NAME),
        /// The value that the header must have; any where absent.
        pub header_value: Option<String> = text(HEADER_VALUE),
    }
}

impl Rules for Split {
    fn check(&self, fields: &mut Fields<'_>) {
        if self.service.is_none() {
            fields.fail("service", "is required: name the service that the part goes to");
        }
        if self.weight == 0 && !fields.has("header_name") {
            fields.fail("weight", "must be greater than 0 unless `header_name` is given: no request would belong to the part");
        }
        if fields.has("header_value") && !fields.has("header_name") {
            fields.fail("header_name", "is required: `header_value` is the value of a header");
        }
    }
}

record! {
    /// Settings of `traffic-split`. Kong has no such plugin.
    pub struct Config {
        /// The parts that go to other services.
        pub splits: Vec<Split> = object_list(SPLITS_MAX),
        /// The size of the part that goes to the route's own service, relative to the others.
        pub weight: u32 = integer(100, 0..=WEIGHT_MAX),
        /// What a request's part is chosen by.
        pub hash: Stickiness = word(Stickiness::Consumer),
        /// The header, where `hash` is `header`.
        pub hash_header: Option<String> = text(HEADER_NAME),
    }
}

impl PluginSettings for Config {
    const NAME: &'static str = "traffic-split";

    fn smallest() -> Value {
        json!({ "splits": [{ "weight": 1, "service": { "id": crate::kinds::EXAMPLE_ID } }] })
    }
}

impl Rules for Config {
    fn check(&self, fields: &mut Fields<'_>) {
        if fields.is_unset("splits") {
            fields.fail("splits", "must have an entry: all requests would go to the route's own service");
        }
        if self.hash == Stickiness::Header && !fields.has("hash_header") {
            fields.fail("hash_header", "is required: `hash` is `header`");
        }
    }
}
