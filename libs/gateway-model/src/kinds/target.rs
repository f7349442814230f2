//! Target: a host and port that an upstream's requests are spread over.

use std::net::Ipv6Addr;

use serde_json::json;
use uuid::Uuid;

use super::{EXAMPLE_ID, KindRow, Model, UniqueField};
use crate::record::{
    Field, Fields, Property, Rules, Source, Writer, fixed, integer, record, reference, schema_of, tags, text,
};
use crate::rules::{self, Rule};
use crate::{Entity, Kind, OnDelete, Target, UniqueKey};

/// Port of a target that names none, as in Kong.
const PORT_DEFAULT: u16 = 8000;

/// A target's host and port.
const HOST_AND_PORT: Rule = Rule::new(host_and_port, rules::UPSTREAM_HOST.chars_max + 8);

fn host_and_port(text: &str) -> Result<(), String> {
    split_target(text).map(drop)
}

/// Splits `host`, `host:port` and `[v6]:port`. Without a port it is 8000.
fn split_target(text: &str) -> Result<(&str, u16), String> {
    rules::length_bytes(text, HOST_AND_PORT.chars_max)?;
    let usage = || "be a host and port such as `10.0.0.1:8080` or `[::1]:8080`".to_owned();
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (host, port) = rest.split_once(']').ok_or_else(usage)?;
            host.parse::<Ipv6Addr>().map_err(|_| usage())?;
            (host, if port.is_empty() { None } else { Some(port.strip_prefix(':').ok_or_else(usage)?) })
        }
        None if text.parse::<Ipv6Addr>().is_ok() => (text, None),
        None => match text.rsplit_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        },
    };
    (rules::UPSTREAM_HOST.check)(host)?;
    let port = port.map_or(Ok(PORT_DEFAULT), |port| port.parse().map_err(|_| usage()))?;
    if port == 0 { Err(usage()) } else { Ok((host, port)) }
}

/// A state that an operator has set a target to, once: from then on checks decide again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ByHand {
    /// Whether it was set to healthy.
    pub is_healthy: bool,
    /// When, in Unix milliseconds.
    pub at: u64,
}

/// What was set by hand: at rest and on nodes only.
struct SetByHand;

impl Field for SetByHand {
    type Value = Option<ByHand>;

    fn read(&self, _: &'static str, from: &mut Fields<'_>) -> Option<ByHand> {
        if from.source() != Source::Wire {
            return None;
        }
        let (is_healthy, at) = (from.optional_boolean("set_healthy"), from.integer("set_at", 0..=u64::MAX));
        Some(ByHand { is_healthy: is_healthy?, at: at? })
    }

    fn write(&self, _: &'static str, value: &Option<ByHand>, out: &mut Writer) {
        if out.is_wire() {
            out.optional("set_healthy", value.map(|by_hand| by_hand.is_healthy));
            out.optional("set_at", value.map(|by_hand| by_hand.at));
        }
    }

    fn describe(&self) -> Option<Property> {
        None
    }
}

record! {
    /// A host and port that an upstream's requests are spread over.
    pub struct UpstreamTarget keeps empty_lists {
        /// The upstream.
        pub upstream: Target = reference(Kind::Upstream, OnDelete::Cascade).required("name the upstream"),
        /// Host and port such as `10.0.0.1:8080`, unique in the upstream. A name is resolved; without a port it is 8000.
        pub target: String = text(HOST_AND_PORT).required("give a host and port such as `10.0.0.1:8080`"),
        /// Share of the requests, relative to the other targets; 0: none.
        pub weight: u16 = integer(100, 0..=65_535),
        /// Free labels to select entities by.
        pub tags: Vec<String> = tags(),
        /// The state that an operator has set it to, which is no part of bodies.
        pub by_hand: Option<ByHand> = SetByHand,
    }
    besides {
        failover = fixed(false, "all targets take requests; give those that should not the weight 0"),
    }
}

pub(crate) const ROW: KindRow = KindRow {
    name: "target",
    collection: "targets",
    section: "targets",
    label: "target",
    name_field: None,
    unique: &[UniqueField {
        field: "target",
        taken: Some("the upstream has this target already"),
        repeated: Some("repeats {}"),
    }],
    grants_access: false,
    children: &[],
    read: |fields| Entity::UpstreamTarget(super::read(fields)),
    schema: schema_of::<UpstreamTarget>,
    example: || json!({"upstream": {"id": EXAMPLE_ID}, "target": "10.0.0.1:8080", "weight": 7, "tags": ["rack-1"]}),
};

impl UpstreamTarget {
    /// What the target `text` of the upstream with this id is unique by; `None` if it is no host and port.
    pub fn key(upstream: Uuid, text: &str) -> Option<UniqueKey> {
        let (host, port) = split_target(text).ok()?;
        Some(UniqueKey::new("target", &format!("{upstream}:{host}:{port}")))
    }

    /// Host and port, apart.
    pub fn host_and_port(&self) -> Option<(&str, u16)> {
        split_target(&self.target).ok()
    }
}

impl Rules for UpstreamTarget {}

impl Model for UpstreamTarget {
    fn unique_keys(&self) -> Vec<UniqueKey> {
        let upstream = Target::to_key(Some(&self.upstream));
        // With the port, however it was written.
        let target = match self.host_and_port() {
            Some((host, port)) => format!("{host}:{port}"),
            None => self.target.clone(),
        };
        vec![UniqueKey::new("target", &format!("{upstream}:{target}"))]
    }

    fn take_over(&mut self, stored: &Entity) {
        if let Entity::UpstreamTarget(stored) = stored {
            self.by_hand = self.by_hand.or(stored.by_hand);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{ByHand, UpstreamTarget};
    use crate::testing::{read, refused};
    use crate::{Entity, Kind};

    #[test]
    fn what_was_set_by_hand_stays_and_is_no_part_of_bodies() {
        let body = json!({ "target": "10.0.0.2" });
        let set = |by_hand| {
            let Entity::UpstreamTarget(target) = read(Kind::UpstreamTarget, body.clone()) else {
                panic!("a target")
            };
            Entity::UpstreamTarget(UpstreamTarget { by_hand: Some(by_hand), ..target })
        };
        let stored = set(ByHand { is_healthy: false, at: 7 });
        assert_eq!(stored.to_api(), read(Kind::UpstreamTarget, body.clone()).to_api());
        let wire = stored.to_wire().expect("resolved");
        assert_eq!(Entity::from_wire(Kind::UpstreamTarget, &wire), Ok(stored.clone()));
        let mut again = read(Kind::UpstreamTarget, body.clone());
        again.inherit(Some(&stored), 0);
        assert_eq!(again, stored);
        let later = set(ByHand { is_healthy: true, at: 8 });
        let mut again = later.clone();
        again.inherit(Some(&stored), 0);
        assert_eq!(again, later);
        for field in ["by_hand", "set_healthy", "set_at"] {
            assert_eq!(refused(Kind::UpstreamTarget, json!({ "target": "a", field: 1 })).0, field);
        }
    }

    #[test]
    fn a_target_is_shown_as_it_was_sent_and_unique_with_its_port() {
        for (target, host, port) in [
            ("10.0.0.2", "10.0.0.2", 8000),
            ("10.0.0.2:81", "10.0.0.2", 81),
            ("[::1]:82", "::1", 82),
            ("::1", "::1", 8000),
            ("orders.internal", "orders.internal", 8000),
        ] {
            let entity = read(Kind::UpstreamTarget, json!({ "target": target }));
            assert_eq!(entity.to_api()["target"], target);
            let Entity::UpstreamTarget(read) = entity else { panic!("a target") };
            assert_eq!(read.host_and_port(), Some((host, port)));
        }
        let keys = |target: &str| read(Kind::UpstreamTarget, json!({ "target": target })).unique_keys();
        assert_eq!(keys("10.0.0.2"), keys("10.0.0.2:8000"));
        for bad in ["", "a:0", "a:x", "a b:80", "[::1", "http://a", "a:80/x"] {
            assert_eq!(refused(Kind::UpstreamTarget, json!({ "target": bad })).0, "target", "{bad}");
        }
    }
}
