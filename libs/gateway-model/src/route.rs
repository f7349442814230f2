//! Route: which requests reach which service, by host, path and method.

use std::fmt;

use serde_json::{Value, json};
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::Schema;
use utoipa::{PartialSchema, ToSchema};

use crate::entity::Model;
use crate::fields::{Fields, Source};
use crate::path_regex::{PATTERN_COST_MAX, PathRegex, ROUTE_COST_MAX};
use crate::schema::{fixed, restrict, set};
use crate::writer::Writer;
use crate::{Kind, OnDelete, Protocol, Reference, ReferenceMut, Target, UniqueKey, rules};

/// Hosts of one route.
const HOSTS_MAX: usize = 128;
/// Paths of one route.
const PATHS_MAX: usize = 128;
/// Methods of one route.
const METHODS_MAX: usize = 32;
/// Largest priority of regular expressions.
const REGEX_PRIORITY_MAX: u32 = 2_147_483_647;
const PROTOCOLS_DEFAULT: [Protocol; 2] = [Protocol::Http, Protocol::Https];
const REDIRECT_STATUS_DEFAULT: u16 = 426;
/// Status codes for plain HTTP on a route that only allows HTTPS.
const REDIRECT_STATUSES: [u16; 5] = [426, 301, 302, 307, 308];

/// Which requests reach which service.
#[derive(Clone, Debug, PartialEq, ToSchema)]
pub struct Route {
    /// Name, unique in the control plane; may stand for the id in URLs.
    #[schema(max_length = 128)]
    pub name: Option<String>,
    /// Schemes that clients may use.
    #[schema(value_type = Vec<String>, required = false, default = json!(["http", "https"]), min_items = 1)]
    pub protocols: Vec<Protocol>,
    /// HTTP methods; empty or null matches all. A route has at least one of methods, hosts and paths.
    #[schema(required = false, max_items = 32)]
    pub methods: Vec<String>,
    /// Hosts, each exact or with a leading `*.` or trailing `.*`; empty or null matches all.
    #[schema(required = false, max_items = 128)]
    pub hosts: Vec<String>,
    /// Paths: a prefix that starts with `/`, or `~` and a regular expression that starts with `/`; empty or null matches
    /// all.
    #[schema(required = false, max_items = 128)]
    pub paths: Vec<String>,
    /// Whether the matched part of the path is removed before the request goes upstream.
    #[schema(required = false, default = true)]
    pub strip_path: bool,
    /// Whether the upstream sees the client's Host header.
    #[schema(required = false, default = false)]
    pub preserve_host: bool,
    /// Among matching regular expressions the highest priority wins.
    #[schema(required = false, default = 0, maximum = 2147483647)]
    pub regex_priority: u32,
    /// Answer to plain HTTP when `protocols` is only `https`: 426, 301, 302, 307 or 308.
    #[schema(required = false, default = 426)]
    pub https_redirect_status_code: u16,
    /// The service that requests go to. A route without one is only of use with a plugin that answers by itself.
    #[schema(inline)]
    pub service: Option<Target>,
    /// Free labels to select entities by.
    #[schema(required = false, max_items = 32)]
    pub tags: Vec<String>,
}

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
pub enum HostPattern {
    /// `api.example.com`: this host.
    Exact(String),
    /// `*.example.com`, held as `.example.com`: hosts that end so, with at least one character before.
    Suffix(String),
    /// `example.*`, held as `example.`: hosts that start so, with at least one character after.
    Prefix(String),
}

impl HostPattern {
    /// Tells the forms apart by the wildcard.
    pub fn of(host: &str) -> HostPattern {
        let host = host.to_ascii_lowercase();
        if let Some(suffix) = host.strip_prefix('*') {
            HostPattern::Suffix(suffix.to_owned())
        } else if let Some(prefix) = host.strip_suffix('*') {
            HostPattern::Prefix(prefix.to_owned())
        } else {
            HostPattern::Exact(host)
        }
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

    pub(crate) fn read(fields: &mut Fields<'_>) -> Route {
        let route = Route {
            name: fields.name("name", rules::name),
            protocols: fields.words("protocols", &PROTOCOLS_DEFAULT, &Protocol::WORDS),
            methods: fields.list("methods", METHODS_MAX, rules::method),
            hosts: fields.list("hosts", HOSTS_MAX, rules::host_pattern),
            paths: read_paths(fields),
            strip_path: fields.boolean("strip_path", true),
            preserve_host: fields.boolean("preserve_host", false),
            regex_priority: fields.integer("regex_priority", 0, 0..=REGEX_PRIORITY_MAX),
            https_redirect_status_code: fields.integer_of(
                "https_redirect_status_code",
                REDIRECT_STATUS_DEFAULT,
                &REDIRECT_STATUSES,
            ),
            service: fields.reference("service", Kind::Service),
            tags: fields.tags(),
        };
        if ["methods", "hosts", "paths"].into_iter().all(|name| fields.is_unset(name)) {
            fields.fail("paths", "is required: a route needs at least one of `methods`, `hosts`, `paths`");
        }
        refuse_unsupported(fields);
        route
    }

    /// The derived schema and the settings that have one value only.
    pub(crate) fn body_schema() -> RefOr<Schema> {
        let mut schema = Route::schema();
        restrict(&mut schema, "protocols", Protocol::WORDS.iter().map(|(word, _)| *word));
        for (name, value, _) in fixed_settings() {
            set(&mut schema, name, fixed(value));
        }
        schema
    }
}

/// Settings of Kong's whose only supported value is its default. Shown, because Kong's clients compare them.
fn fixed_settings() -> [(&'static str, Value, &'static str); 3] {
    let streamed = "bodies are always streamed; leave it out";
    [
        ("path_handling", json!("v0"), "only `v0` is; leave it out"),
        ("request_buffering", json!(true), streamed),
        ("response_buffering", json!(true), streamed),
    ]
}

/// Criteria of Kong's that are not implemented, and settings that have one value only.
fn refuse_unsupported(fields: &mut Fields<'_>) {
    let criterion = "route by `hosts`, `paths` and `methods` instead";
    for name in ["headers", "snis", "sources", "destinations", "expression", "priority"] {
        fields.unsupported(name, None, criterion);
    }
    for (name, value, remedy) in fixed_settings() {
        fields.unsupported(name, Some(value), remedy);
    }
}

/// Reads `paths`. What comes from users is checked whole, and its expressions are counted against the limits of one expression
/// and of one route. What is stored was checked when it was written, and is checked again by the gateway that compiles it:
/// reading a list of stored routes takes no longer because of the expressions in them.
fn read_paths(fields: &mut Fields<'_>) -> Vec<String> {
    let is_new = fields.source() != Source::Wire;
    let mut cost = 0;
    fields.list("paths", PATHS_MAX, |text| match PathPattern::of(text) {
        PathPattern::Prefix(prefix) => rules::prefix_path(prefix),
        PathPattern::Regex(pattern) => {
            regex_form(pattern)?;
            if is_new && cost <= ROUTE_COST_MAX { count(pattern, &mut cost) } else { Ok(()) }
        }
    })
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
    fn write(&self, out: &mut Writer) {
        let words = |protocols: &[Protocol]| -> Vec<&'static str> {
            protocols.iter().map(|protocol| protocol.as_str()).collect()
        };
        out.optional("name", self.name.clone());
        out.unless("protocols", words(&self.protocols), words(&PROTOCOLS_DEFAULT));
        out.list("methods", &self.methods);
        out.list("hosts", &self.hosts);
        out.list("paths", &self.paths);
        out.unless("strip_path", self.strip_path, true);
        out.unless("preserve_host", self.preserve_host, false);
        out.unless("regex_priority", self.regex_priority, 0);
        out.unless("https_redirect_status_code", self.https_redirect_status_code, REDIRECT_STATUS_DEFAULT);
        for (name, value, _) in fixed_settings() {
            out.unless(name, value.clone(), value);
        }
        out.reference("service", Kind::Service, self.service.as_ref());
        out.list("tags", &self.tags);
    }

    fn unique_keys(&self) -> Vec<UniqueKey> {
        self.name.iter().map(|name| UniqueKey::new("name", name)).collect()
    }

    fn references(&self) -> Vec<Reference<'_>> {
        let service = self.service.iter();
        let on_delete = OnDelete::Restrict;
        service.map(|target| Reference { field: "service", kind: Kind::Service, target, on_delete }).collect()
    }

    fn references_mut(&mut self) -> Vec<ReferenceMut<'_>> {
        let service = self.service.iter_mut();
        service.map(|target| ReferenceMut { field: "service", kind: Kind::Service, target }).collect()
    }

    fn name(&self) -> Option<&str> {
        self.name.as_deref()
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
