//! Route: which requests reach which service, by host, path and method.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::json;

use super::service::NoStreams;
use super::{Child, KindRow, Model, UniqueField};
use crate::path_regex::{PATTERN_COST_MAX, PathRegex, ROUTE_COST_MAX};
use crate::record::{
    Field, Fields, Property, Rules, Source, Writer, absent, boolean, fixed, integer, integer_of, list, name,
    record, reference, schema_of, tags, text_lists, word_list,
};
use crate::rules::{self, HEADER_NAME, HEADER_VALUE, METHOD, NAME, Rule};
use crate::{Application, Entity, Kind, OnDelete, Protocol, Target, UniqueKey};

/// Hosts of one route.
const HOSTS_MAX: usize = 128;
/// Paths of one route.
const PATHS_MAX: usize = 128;
/// Methods of one route.
const METHODS_MAX: usize = 32;
/// Largest priority of regular expressions.
const REGEX_PRIORITY_MAX: u32 = 2_147_483_647;
const PROTOCOLS_DEFAULT: [Protocol; 2] = [Protocol::Http, Protocol::Https];
/// Status codes for plain HTTP on a route that only allows HTTPS.
const REDIRECT_STATUSES: [u16; 5] = [426, 301, 302, 307, 308];

const HOST: Rule = Rule::new(rules::host_pattern, rules::HOST_PATTERN_BYTES_MAX);
const SERVER_NAME: Rule = Rule::new(rules::server_name, rules::UPSTREAM_HOST.chars_max);

const STREAMED: &str = "bodies are always streamed; leave it out";
const CRITERION: &str = "route by `hosts`, `paths`, `methods`, `headers` and `snis` instead";

record! {
    /// Which requests reach which service.
    pub struct Route keeps empty_lists {
        /// Name, unique in the control plane; may stand for the id in URLs.
        pub name: Option<String> = name(NAME),
        /// Schemes that clients may use: `http` and `https`, or `grpc` and `grpcs`, or `ws` and `wss`. A route for gRPC takes no other requests,
        /// and one for WebSockets takes only requests that open one. A route for HTTP takes them all.
        pub protocols: Vec<Protocol> = NoStreams(word_list(&PROTOCOLS_DEFAULT)),
        /// HTTP methods; empty or null matches all. A route has at least one of methods, hosts, headers, paths and snis.
        pub methods: Vec<String> = list(METHOD, METHODS_MAX),
        /// Hosts, each exact or with a leading `*.` or trailing `.*`, and with a port where only that port is meant; empty or null
        /// matches all.
        pub hosts: Vec<String> = list(HOST, HOSTS_MAX),
        /// Paths: a prefix that starts with `/`, or `~` and a regular expression that starts with `/`; empty or null matches
        /// all.
        pub paths: Vec<String> = Paths,
        /// Headers, each with the values of which the request must have one; empty or null matches all. A single value `~*` and a
        /// regular expression is not supported.
        pub headers: BTreeMap<String, Vec<String>> = text_lists(HEADER_NAME, HEADER_VALUE),
        /// Server names that the client asked for in TLS; empty or null matches all.
        pub snis: Vec<String> = list(SERVER_NAME, HOSTS_MAX),
        /// Whether the matched part of the path is removed before the request goes upstream. Never for gRPC, whose paths name methods.
        pub strip_path: bool = StripPath,
        /// Whether the upstream sees the client's Host header.
        pub preserve_host: bool = boolean(false),
        /// Among matching regular expressions the highest priority wins.
        pub regex_priority: u32 = integer(0, 0..=REGEX_PRIORITY_MAX),
        /// Answer to plain HTTP when `protocols` has only schemes with TLS: 426, 301, 302, 307 or 308.
        pub https_redirect_status_code: u16 = integer_of(426, &REDIRECT_STATUSES),
        /// The service that requests go to. A route without one is only of use with a plugin that answers by itself.
        pub service: Option<Target> = reference(Kind::Service, OnDelete::Restrict),
        /// Free labels to select entities by.
        pub tags: Vec<String> = tags(),
    }
    besides {
        path_handling = fixed("v0", "only `v0` is; leave it out"),
        request_buffering = fixed(true, STREAMED),
        response_buffering = fixed(true, STREAMED),
        sources = absent("routes of streams (TCP, UDP) are not served; remove it"),
        destinations = absent("routes of streams (TCP, UDP) are not served; remove it"),
        expression = absent(CRITERION),
        priority = absent(CRITERION),
    }
}

pub(crate) const ROW: KindRow = KindRow {
    name: "route",
    collection: "routes",
    section: "routes",
    label: "route",
    name_field: Some("name"),
    unique: &[UniqueField::shown("name")],
    grants_access: false,
    children: &[Child::new("plugins", "plugins", Kind::Plugin, "route")],
    read: |fields| Entity::Route(super::read(fields)),
    schema: schema_of::<Route>,
    example: || {
        json!({"name": "orders", "protocols": ["https"], "methods": ["GET"], "hosts": ["*.shop.example", "shop.example:8443"],
               "paths": ["/a", "~/b/[0-9]+$"], "headers": {"x-version": ["1", "2"]}, "snis": ["shop.example"],
               "strip_path": false, "preserve_host": true, "regex_priority": 7, "https_redirect_status_code": 308,
               "service": {"id": super::EXAMPLE_ID}, "tags": ["team-a"]})
    },
};

/// A path of a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PathPattern<'a> {
    /// Matches every path that starts with it.
    Prefix(&'a str),
    /// A regular expression for [`PathRegex::compile`](crate::PathRegex::compile), without the `~`.
    Regex(&'a str),
}

impl<'a> PathPattern<'a> {
    /// Tells the two forms apart by the leading `~`.
    pub fn of(path: &'a str) -> PathPattern<'a> {
        match path.strip_prefix('~') {
            Some(pattern) => PathPattern::Regex(pattern),
            None => PathPattern::Prefix(path),
        }
    }
}

/// A host of a route, in lower case.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct HostPattern {
    /// The name, or the part of it that must fit.
    pub name: HostName,
    /// The only port that is meant; `None`: all.
    pub port: Option<u16>,
}

/// What a host's name must be. A wildcard stands for one label or more: `*.example.com` is `a.b.example.com`, never `example.com`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum HostName {
    /// `api.example.com`: this host.
    Exact(String),
    /// `*.example.com`, held as `example.com`.
    Leading(String),
    /// `example.*`, held as `example`.
    Trailing(String),
}

impl HostName {
    /// Whether `host`, in lower case and without port, is one of these.
    pub fn is_met_by(&self, host: &str) -> bool {
        match self {
            HostName::Exact(exact) => host == exact,
            HostName::Leading(rest) => {
                host.strip_suffix(rest.as_str()).is_some_and(|head| head.len() > 1 && head.ends_with('.'))
            }
            HostName::Trailing(rest) => {
                host.strip_prefix(rest.as_str()).is_some_and(|tail| tail.len() > 1 && tail.starts_with('.'))
            }
        }
    }
}

impl HostPattern {
    /// Tells the forms apart by the wildcard, and takes the port off.
    pub fn of(host: &str) -> HostPattern {
        let host = host.to_ascii_lowercase();
        let (name, port) = rules::split_port(&host);
        let name = if let Some(rest) = name.strip_prefix("*.") {
            HostName::Leading(rest.to_owned())
        } else if let Some(rest) = name.strip_suffix(".*") {
            HostName::Trailing(rest.to_owned())
        } else {
            HostName::Exact(name.to_owned())
        };
        HostPattern { name, port }
    }
}

impl Route {
    /// The paths, told apart.
    pub fn path_patterns(&self) -> impl Iterator<Item = PathPattern<'_>> {
        self.paths.iter().map(|path| PathPattern::of(path))
    }

    /// How many steps the expressions among the paths take to compile. What is no expression costs nothing: it is not compiled.
    pub fn path_cost(&self) -> u64 {
        let costs = self.path_patterns().map(|pattern| match pattern {
            PathPattern::Prefix(_) => 0,
            PathPattern::Regex(pattern) => PathRegex::cost_of(pattern).unwrap_or(0),
        });
        costs.fold(0, u64::saturating_add)
    }

    /// The hosts, told apart and in lower case.
    pub fn host_patterns(&self) -> impl Iterator<Item = HostPattern> {
        self.hosts.iter().map(|host| HostPattern::of(host))
    }
}

impl Rules for Route {
    fn check(&self, fields: &mut Fields<'_>) {
        let criteria = ["methods", "hosts", "headers", "paths", "snis"];
        if criteria.into_iter().all(|name| fields.is_unset(name)) {
            let message =
                "is required: a route needs at least one of `methods`, `hosts`, `headers`, `paths`, `snis`";
            fields.fail("paths", message);
        }
        let mut applications = self.protocols.iter().map(|protocol| protocol.application());
        let application = applications.next().unwrap_or(Application::Http);
        if applications.any(|other| other != application) {
            let message = "must be of one kind, `http` and `https`, `grpc` and `grpcs`, or `ws` and `wss`: make a route for each kind";
            fields.fail("protocols", message);
        }
        if application == Application::Grpc {
            if self.strip_path {
                fields.fail("strip_path", "must be false for gRPC, whose paths name methods: leave it out");
            }
            if !self.methods.is_empty() {
                fields.fail("methods", "must be left out for gRPC, which is always POST");
            }
        }
        if !self.snis.is_empty() && !self.protocols.iter().all(|protocol| protocol.is_tls()) {
            let message =
                "must come with `protocols` over TLS alone, such as [https]: plain HTTP has no server name";
            fields.fail("snis", message);
        }
        if self.headers.keys().any(|name| name.eq_ignore_ascii_case("host")) {
            fields.fail("headers", "must not name `host`: use `hosts`");
        }
    }
}

/// Whether the matched part of the path is removed: by default, but for gRPC.
struct StripPath;

impl Field for StripPath {
    type Value = bool;

    fn read(&self, name: &'static str, from: &mut Fields<'_>) -> bool {
        let protocols = from.given("protocols").and_then(|value| value.as_array());
        let is_grpc =
            protocols.into_iter().flatten().any(|word| matches!(word.as_str(), Some("grpc" | "grpcs")));
        from.optional_boolean(name).unwrap_or(!is_grpc)
    }

    fn write(&self, name: &'static str, value: &bool, out: &mut Writer) {
        // No route for gRPC has `true`, so what is left out is the default of the others.
        out.unless(name, *value, true);
    }

    fn describe(&self) -> Option<Property> {
        Some(Property::boolean().default(true.into()))
    }
}

/// Paths of a route. What comes from users is checked whole, and its expressions are counted against the limits of one expression
/// and of one route. What is stored was checked when it was written, and is checked again by the gateway that compiles it:
/// reading a list of stored routes takes no longer because of the expressions in them.
struct Paths;

impl Field for Paths {
    type Value = Vec<String>;

    fn read(&self, name: &'static str, from: &mut Fields<'_>) -> Vec<String> {
        let is_new = from.source() != Source::Wire;
        let mut cost = 0;
        from.list(name, PATHS_MAX, |text| match PathPattern::of(text) {
            PathPattern::Prefix(prefix) => rules::prefix_path(prefix),
            PathPattern::Regex(pattern) => {
                regex_form(pattern)?;
                if is_new && let Some(letter) = pattern.chars().find(|letter| !letter.is_ascii_graphic()) {
                    return Err(never_matches(letter));
                }
                if is_new && cost <= ROUTE_COST_MAX { count(pattern, &mut cost) } else { Ok(()) }
            }
        })
    }

    fn write(&self, name: &'static str, value: &Vec<String>, out: &mut Writer) {
        out.list(name, value);
    }

    fn describe(&self) -> Option<Property> {
        Some(Property::list(Property::text(rules::PATH_BYTES_MAX).required(), PATHS_MAX))
    }
}

/// Paths are matched in their encoded form.
fn never_matches(letter: char) -> String {
    let encoded: String = letter.to_string().bytes().map(|byte| format!("%{byte:02X}")).collect();
    format!("hold `{encoded}` in place of {letter:?}: expressions are matched with the encoded path")
}

/// What an expression holds, whatever it means.
fn regex_form(pattern: &str) -> Result<(), String> {
    rules::length_bytes(pattern, rules::PATH_BYTES_MAX)?;
    rules::printable(pattern)?;
    if pattern.starts_with('/') {
        Ok(())
    } else {
        Err("start with `/`, or with `~/` for a regular expression".to_owned())
    }
}

/// Adds what `pattern` costs to the `cost` of its route.
fn count(pattern: &str, cost: &mut u64) -> Result<(), String> {
    const REMEDY: &str = "shorten repetitions such as `{1,255}`, or use `+`";
    let own = PathRegex::cost_of(pattern).map_err(|error| error.to_string())?;
    if own > PATTERN_COST_MAX {
        return Err(format!(
            "be a smaller regular expression: it takes {own} steps to compile, and {PATTERN_COST_MAX} are allowed; {REMEDY}"
        ));
    }
    *cost += own;
    if *cost > ROUTE_COST_MAX {
        return Err(format!(
            "be a smaller regular expression: up to here those of this route take {cost} steps to compile, and \
             {ROUTE_COST_MAX} are allowed; {REMEDY}, or make several routes"
        ));
    }
    Ok(())
}

impl Model for Route {
    fn unique_keys(&self) -> Vec<UniqueKey> {
        self.name.iter().map(|name| UniqueKey::new("name", name)).collect()
    }

    fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    fn path_cost(&self) -> u64 {
        Route::path_cost(self)
    }
}

impl fmt::Display for PathPattern<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PathPattern::Prefix(prefix) => f.write_str(prefix),
            PathPattern::Regex(pattern) => write!(f, "~{pattern}"),
        }
    }
}

#[cfg(test)]
mod tests;
