//! nginx: a location for each route, a map of keys.

use super::Files;
use crate::documents::{Size, consumer_name, key, route_path};

/// The file to start with.
pub const FILE: &str = "nginx.conf";

/// Its configuration.
pub fn files(size: Size) -> Files {
    let locations = (0..size.routes).map(|route| {
        let path = route_path(route);
        format!("location {path} {{ if ($consumer = \"\") {{ return 401; }} proxy_pass http://upstream; }}\n")
    });
    let keys =
        (0..size.consumers).map(|consumer| format!("\"{}\" {};\n", key(consumer), consumer_name(consumer)));
    vec![
        (FILE, include_str!("../../../peers/nginx.conf").to_owned()),
        ("locations.conf", locations.collect()),
        ("keys.map", keys.collect()),
    ]
}
