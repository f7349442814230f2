//! HAProxy: a tree of path prefixes, a map of keys.

use super::Files;
use crate::documents::{Size, consumer_name, key, route_name, route_path};

/// The file to start with.
pub const FILE: &str = "haproxy.cfg";

/// Its configuration.
pub fn files(size: Size) -> Files {
    let routes = (0..size.routes).map(|route| format!("{} {}\n", route_path(route), route_name(route)));
    let keys = (0..size.consumers).map(|consumer| format!("{} {}\n", key(consumer), consumer_name(consumer)));
    vec![
        (FILE, include_str!("../../../peers/haproxy.cfg").to_owned()),
        ("routes.map", routes.collect()),
        ("keys.map", keys.collect()),
    ]
}
