//! Routes and requests at random, of few words, so that many routes meet one request.

use std::collections::BTreeMap;

use http::{HeaderMap, HeaderName, Method};
use rand::{Rng, rngs::StdRng, seq::IndexedRandom as _};
use uuid::Uuid;

use super::{super::Lookup, naive::Configured};

const LABELS: [&str; 8] = ["a", "b", "api", "shop", "eu", "us", "example", "x-1"];
const ENDS: [&str; 3] = ["com", "io", "test"];
const PORTS: [u16; 3] = [80, 443, 8443];
const SEGMENTS: [&str; 9] = ["a", "b", "ab", "users", "v1", "v2", "orders", "caf%C3%A9", "12"];
const METHODS: [&str; 5] = ["GET", "POST", "PUT", "DELETE", "PURGE"];
const HEADERS: [&str; 3] = ["x-version", "x-tenant", "accept"];
const VALUES: [&str; 4] = ["1", "2", "Two", "three"];

/// A request with what [`Lookup`] borrows.
#[derive(Clone, Debug)]
pub struct Asked {
    host: String,
    path: String,
    method: Method,
    port: u16,
    https: bool,
    sni: Option<String>,
    headers: HeaderMap,
}

impl Asked {
    pub fn lookup(&self) -> Lookup<'_> {
        let Self { host, path, method, port, https, sni, headers } = self;
        Lookup { host, path, method, port: *port, https: *https, sni: sni.as_deref(), headers }
    }
}

/// A route, which asks for hosts with this chance.
pub fn route(random: &mut StdRng, id: Uuid, asks_host: f64) -> Configured {
    let some = |random: &mut StdRng, chance: f64, one: &dyn Fn(&mut StdRng) -> String| -> Vec<String> {
        let count = if random.random_bool(chance) { random.random_range(1..=3) } else { 0 };
        (0..count).map(|_| one(random)).collect()
    };
    let mut headers = BTreeMap::new();
    while random.random_bool(0.2) {
        headers.insert(word(random, &HEADERS), vec![word(random, &VALUES), word(random, &VALUES)]);
    }
    let mut methods = some(random, 0.4, &|random| word(random, &METHODS));
    methods.dedup();
    Configured {
        id,
        hosts: some(random, asks_host, &host_pattern),
        paths: some(random, 0.9, &|random| match random.random_bool(0.3) {
            true => expression(random),
            false => path(random),
        }),
        methods,
        headers,
        snis: some(random, 0.1, &name_pattern),
        accepts_https: random.random_bool(0.9),
        regex_priority: random.random_range(0..3),
    }
}

/// A request that is like `route`, or not.
pub fn request(random: &mut StdRng, route: &Configured) -> Asked {
    let like = |random: &mut StdRng, patterns: &[String]| match patterns.choose(random) {
        Some(pattern) if random.random_bool(0.9) => filled(random, pattern),
        _ => name(random),
    };
    let host = like(random, &route.hosts);
    let (host, port) = match host.split_once(':') {
        Some((host, port)) => (host.to_owned(), port.parse().unwrap()),
        None => (host, *PORTS.choose(random).unwrap()),
    };
    let prefix =
        route.paths.choose(random).filter(|path| !path.starts_with('~')).cloned().unwrap_or_default();
    let path = match random.random_range(0..4) {
        0 => prefix + &path(random),
        1 => path(random) + &word(random, &SEGMENTS),
        2 => path(random) + "/12",
        _ => prefix,
    };
    let mut headers = HeaderMap::new();
    for (name, values) in &route.headers {
        if random.random_bool(0.9) {
            headers
                .append(HeaderName::try_from(name).unwrap(), values[0].to_ascii_uppercase().parse().unwrap());
        }
    }
    while random.random_bool(0.3) {
        let name = HeaderName::try_from(word(random, &HEADERS)).unwrap();
        headers.append(name, word(random, &VALUES).parse().unwrap());
    }
    let method = route.methods.choose(random).filter(|_| random.random_bool(0.9)).cloned();
    let method = method.unwrap_or_else(|| word(random, &METHODS));
    Asked {
        host: if random.random_bool(0.95) { host } else { String::new() },
        path: if path.is_empty() { "/".to_owned() } else { path },
        method: Method::from_bytes(method.as_bytes()).unwrap(),
        port,
        https: random.random_bool(0.5),
        sni: random.random_bool(0.8).then(|| like(random, &route.snis)),
        headers,
    }
}

fn word(random: &mut StdRng, of: &[&str]) -> String {
    (*of.choose(random).unwrap()).to_owned()
}

fn labels(random: &mut StdRng) -> String {
    let count = random.random_range(1..=3);
    (0..count).map(|_| word(random, &LABELS)).collect::<Vec<_>>().join(".")
}

fn name(random: &mut StdRng) -> String {
    format!("{}.{}", labels(random), word(random, &ENDS))
}

fn name_pattern(random: &mut StdRng) -> String {
    match random.random_range(0..5) {
        0 => format!("*.{}", name(random)),
        1 => format!("{}.*", labels(random)),
        2 => format!("*.{}", word(random, &ENDS)),
        _ => name(random),
    }
}

fn host_pattern(random: &mut StdRng) -> String {
    let pattern = name_pattern(random);
    match random.random_range(0..8) {
        0 => format!("{pattern}:{}", PORTS.choose(random).unwrap()),
        1 => pattern.to_ascii_uppercase(),
        _ => pattern,
    }
}

/// A name that fits `pattern`.
fn filled(random: &mut StdRng, pattern: &str) -> String {
    pattern.replace('*', &labels(random)).to_ascii_lowercase()
}

fn path(random: &mut StdRng) -> String {
    let count = random.random_range(0..=3);
    let segments: String = (0..count).map(|_| format!("/{}", word(random, &SEGMENTS))).collect();
    if segments.is_empty() || random.random_bool(0.1) { segments + "/" } else { segments }
}

fn expression(random: &mut StdRng) -> String {
    // Of few beginnings, so that there are not many to compile.
    let beginning =
        if random.random_bool(0.5) { String::new() } else { format!("/{}", word(random, &SEGMENTS)) };
    let segment = word(random, &SEGMENTS);
    match random.random_range(0..8) {
        0 => format!("~{beginning}/\\d+"),
        1 => format!("~{beginning}/[a-z]+$"),
        2 => format!("~{beginning}/({segment}|b)/"),
        3 => format!("~(?i){beginning}/{}", segment.to_ascii_uppercase()),
        4 => format!("~{beginning}(/.*)?/{segment}"),
        5 => format!("~{beginning}/?$"),
        6 => format!("~/.*{segment}"),
        _ => format!("~/(a|ab)?{segment}?"),
    }
}
