//! Route: which requests reach which service, by host, path and method.

use std::fmt;

use regex::{Regex, RegexBuilder};
use serde_json::{Value, json};
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::Schema;
use utoipa::{PartialSchema, ToSchema};

use crate::entity::Model;
use crate::fields::Fields;
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
/// Bytes of one compiled path expression. Room for dozens of `\w+`; nested counted repetitions do not fit.
const REGEX_COMPILED_BYTES_MAX: usize = 1024 * 1024;
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
    /// A regular expression for [`compile_path_regex`], without the `~`.
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

/// Compiles a path expression: RE2 syntax, anchored at the start of the path, bounded in size.
///
/// The validation and the router share it, so what is accepted is what runs.
pub fn compile_path_regex(pattern: &str) -> Result<Regex, regex::Error> {
    RegexBuilder::new(&format!("^(?:{pattern})"))
        .size_limit(REGEX_COMPILED_BYTES_MAX)
        .dfa_size_limit(REGEX_COMPILED_BYTES_MAX)
        .build()
}

impl Route {
    /// The paths, told apart.
    pub fn path_patterns(&self) -> impl Iterator<Item = PathPattern<'_>> {
        self.paths.iter().map(|path| PathPattern::of(path))
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
            paths: fields.list("paths", PATHS_MAX, path_rule),
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

/// A prefix, or `~` and a regular expression that starts with a slash.
fn path_rule(text: &str) -> Result<(), String> {
    match PathPattern::of(text) {
        PathPattern::Prefix(prefix) => rules::prefix_path(prefix),
        PathPattern::Regex(pattern) => {
            rules::length_bytes(pattern, rules::PATH_BYTES_MAX)?;
            rules::printable(pattern)?;
            if !pattern.starts_with('/') {
                return Err("start with `/`, or with `~/` for a regular expression".to_owned());
            }
            // Alone first: an unbalanced pattern could close the group that anchors it.
            compile_alone(pattern).and_then(|()| compile_path_regex(pattern)).map(drop).map_err(regex_message)
        }
    }
}

fn compile_alone(pattern: &str) -> Result<(), regex::Error> {
    RegexBuilder::new(pattern).size_limit(REGEX_COMPILED_BYTES_MAX).build().map(drop)
}

fn regex_message(error: regex::Error) -> String {
    match error {
        regex::Error::CompiledTooBig(bytes) => {
            format!("be a smaller regular expression: it compiles to more than {bytes} bytes")
        }
        // The last line says what is wrong; those before draw the pattern.
        error => {
            let text = error.to_string();
            let reason = text.lines().last().unwrap_or_default().trim_start_matches("error: ");
            format!("be a regular expression in RE2 syntax: {reason}")
        }
    }
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
