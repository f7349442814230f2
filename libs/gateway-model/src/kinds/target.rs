//! Target: a host and port that an upstream's requests are spread over.

use std::net::Ipv6Addr;

use serde_json::json;

use super::{EXAMPLE_ID, KindRow, Model, UniqueField};
use crate::record::{
    Field, Fields, Property, Rules, Writer, integer, record, reference, schema_of, tags, text,
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

record! {
    /// A host and port that an upstream's requests are spread over.
    pub struct UpstreamTarget {
        /// The upstream.
        pub upstream: Target = reference(Kind::Upstream, OnDelete::Cascade).required("name the upstream"),
        /// Host and port such as `10.0.0.1:8080`, unique in the upstream. A name is resolved; without a port it is 8000.
        pub target: String = host_port(),
        /// Share of the requests, relative to the other targets; 0: none.
        pub weight: u16 = integer(100, 0..=65_535),
        /// Free labels to select entities by.
        pub tags: Vec<String> = tags(),
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

/// A required host and port, in the form that Kong keeps: with the port.
fn host_port() -> HostPort {
    HostPort
}

struct HostPort;

impl Field for HostPort {
    type Value = String;

    fn read(&self, name: &'static str, from: &mut Fields<'_>) -> String {
        let text =
            text(HOST_AND_PORT).required("give a host and port such as `10.0.0.1:8080`").read(name, from);
        match split_target(&text) {
            Ok((host, port)) if host.contains(':') => format!("[{host}]:{port}"),
            Ok((host, port)) => format!("{host}:{port}"),
            Err(_) => text,
        }
    }

    fn write(&self, name: &'static str, value: &String, out: &mut Writer) {
        out.always(name, value.clone());
    }

    fn describe(&self) -> Option<Property> {
        text(HOST_AND_PORT).required("").describe()
    }
}

impl UpstreamTarget {
    /// Host and port, apart.
    pub fn host_and_port(&self) -> Option<(&str, u16)> {
        split_target(&self.target).ok()
    }
}

impl Rules for UpstreamTarget {}

impl Model for UpstreamTarget {
    fn unique_keys(&self) -> Vec<UniqueKey> {
        let upstream = Target::to_key(Some(&self.upstream));
        vec![UniqueKey::new("target", &format!("{upstream}:{}", self.target))]
    }
}
